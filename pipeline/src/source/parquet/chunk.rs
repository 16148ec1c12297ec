//! A column's part in one row group, and what is common to reading any.

use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

use super::file::StoredFile;

/// A column chunk: what of the footer is needed to read it.
#[derive(Debug)]
pub(super) struct Chunk {
    pub column: ColumnDescPtr,
    pub codec: Compression,
    /// Where its pages lie in the file.
    pub range: Range<u64>,
    pub rows: usize,
}

impl Chunk {
    pub fn new(metadata: &ColumnChunkMetaData, rows: i64) -> Result<Chunk> {
        // Some writers say that the dictionary is at 0 where there is none.
        let pages = metadata.data_page_offset();
        let start = metadata.dictionary_page_offset().filter(|at| (1..pages).contains(at)).unwrap_or(pages);
        let (start, bytes) = (u64::try_from(start)?, u64::try_from(metadata.compressed_size())?);
        let end = start.checked_add(bytes).ok_or_else(|| general("a column that ends after all files"))?;
        if metadata.num_values() != rows {
            return Err(general(&format!("{} values in a column of {rows} rows", metadata.num_values())));
        }
        Ok(Chunk {
            column: metadata.column_descr_ptr(),
            codec: metadata.compression(),
            range: start..end,
            rows: usize::try_from(rows)?,
        })
    }

    /// A reader of the pages that lie in `range`.
    pub fn pages<R: ChunkReader>(
        &self,
        file: &Arc<R>,
        range: &Range<u64>,
    ) -> Result<SerializedPageReader<R>> {
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(self.codec)
            .set_data_page_offset(i64::try_from(range.start)?)
            .set_total_compressed_size(i64::try_from(range.end - range.start)?)
            .build()?;
        SerializedPageReader::new(file.clone(), &metadata, self.rows, None)
    }

    /// All values of the chunk; `None` for a null.
    pub fn values<T: DataType>(&self, file: &StoredFile) -> Result<Vec<Option<T::T>>> {
        let pages = self.pages(&Arc::new(file.clone()), &self.range)?;
        values::<T>(&self.column, Box::new(pages), self.rows)
    }
}

/// The `rows` values in `pages`, the first of which may be a dictionary.
pub(super) fn values<T: DataType>(
    column: &ColumnDescPtr,
    pages: Box<dyn PageReader>,
    rows: usize,
) -> Result<Vec<Option<T::T>>> {
    let mut reader = ColumnReaderImpl::<T>::new(column.clone(), pages);
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (found, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if found != rows {
        return Err(general(&format!("{found} values where there should be {rows}")));
    }
    let present = column.max_def_level();
    if present == 0 {
        return Ok(values.into_iter().map(Some).collect());
    }
    let mut values = values.into_iter();
    Ok(levels.into_iter().map(|level| if level == present { values.next() } else { None }).collect())
}

/// Pages that were read before.
pub(super) struct Given(pub VecDeque<Page>);

impl Iterator for Given {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Result<Page>> {
        self.0.pop_front().map(Ok)
    }
}

impl PageReader for Given {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        Ok(self.0.pop_front())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        Ok(self.0.front().map(|page| PageMetadata {
            num_rows: None,
            num_levels: Some(page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.pop_front();
        Ok(())
    }
}

/// What `read` makes of a file, or what its panic said: the crate believes much that a damaged page says, and one such
/// page must not end a run of days.
pub(super) fn contained<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("panicked");
        Err(general(&format!("damaged ({text})")))
    })
}

pub(super) fn general(text: &str) -> ParquetError {
    ParquetError::General(text.to_string())
}
