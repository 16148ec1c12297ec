//! What one file holds, from its footer and its small columns.

use std::io;
use std::path::Path;
use std::sync::Arc;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMask, PageIndexPolicy, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader,
    ParquetStatisticsPolicy, RowGroupMetaData,
};
use rayon::prelude::*;

use super::super::SourceError;
use super::super::files::Files;
use super::super::labels::Label;
use super::ParquetFields;
use super::chunk::{Chunk, contained};
use super::columns::{self, Columns};
use super::file::StoredFile;
use super::images::Images;

/// One file.
pub(super) struct Part {
    pub file: StoredFile,
    pub groups: Vec<Group>,
    pub class_names: Option<Vec<String>>,
    /// Why a column of labels isn't taken.
    pub remark: Option<String>,
}

/// One row group, and what stands in its small columns.
pub(super) struct Group {
    pub images: Images,
    /// The column of the images' paths.
    pub paths: Option<Chunk>,
    /// A path for each row.
    pub names: Vec<Option<String>>,
    /// A label for each row.
    pub labels: Vec<Option<Label>>,
    /// Of the images, as stored and before compression.
    pub bytes: [i64; 2],
}

/// Reads the footer and the small columns of file `number`; its images are not touched.
pub(super) fn read(
    files: &Arc<Files>,
    number: usize,
    fields: &ParquetFields,
) -> std::result::Result<Part, SourceError> {
    let path = files.path(number);
    let bytes = std::fs::metadata(path)
        .map_err(|error| SourceError::Unreadable { path: path.to_path_buf(), error })?
        .len();
    let file = StoredFile::new(files, number, bytes);
    let metadata = contained(|| footer(&file)).map_err(|error| damaged(path, error))?;
    let schema = metadata.file_metadata().schema_descr();
    let columns = Columns::find(schema, fields).map_err(|(found, expected)| SourceError::Unfit {
        path: path.to_path_buf(),
        found,
        expected,
        remedy: "name the columns with image_field and label_field, or write the data set anew with its images in it".into(),
    })?;
    let metadata =
        contained(|| located(metadata, &file, columns.image)).map_err(|error| damaged(path, error))?;
    let groups = (0..metadata.num_row_groups())
        .into_par_iter()
        .map(|group| contained(|| read_group(&metadata, group, &columns, &file)))
        .collect::<Result<Vec<Group>>>()
        .map_err(|error| damaged(path, error))?;
    let class_names = columns::class_names(metadata.file_metadata(), fields.label.unwrap_or("label"));
    Ok(Part { file, groups, class_names, remark: columns.remark })
}

fn footer(file: &StoredFile) -> Result<ParquetMetaData> {
    // Statistics of images are their first bytes, kilobytes of them.
    let options = ParquetMetaDataOptions::new()
        .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
        .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
    ParquetMetaDataReader::new().with_metadata_options(Some(options)).parse_and_finish(file)
}

/// The same with the places of the pages of column `image`, where the file has an index of them.
fn located(metadata: ParquetMetaData, file: &StoredFile, image: usize) -> Result<ParquetMetaData> {
    let mut reader = ParquetMetaDataReader::new_with_metadata(metadata)
        .with_offset_index_policy(PageIndexPolicy::Optional)
        .with_offset_index_mask(ColumnChunkMask::columns([image]));
    reader.read_page_indexes(file)?;
    reader.finish()
}

fn read_group(
    metadata: &ParquetMetaData,
    number: usize,
    columns: &Columns,
    file: &StoredFile,
) -> Result<Group> {
    let group: &RowGroupMetaData = metadata.row_group(number);
    let chunk = |column: usize| Chunk::new(group.column(column), group.num_rows());
    let image = group.column(columns.image);
    let index = metadata.page_index_for_row_group(number);
    let images = Images::new(chunk(columns.image)?, index.page_locations(columns.image).map(Vec::as_slice));
    let paths = columns.path.map(chunk).transpose()?;
    let names = match &paths {
        Some(paths) => columns::texts(paths, file)?,
        None => vec![None; images.rows()],
    };
    let labels = match columns.label {
        Some(label) => columns::labels(&chunk(label)?, file)?,
        None => vec![None; images.rows()],
    };
    let bytes = [image.compressed_size(), image.uncompressed_size()];
    Ok(Group { images, paths, names, labels, bytes })
}

/// Why a file could not be read whose footer or columns say `error`.
fn damaged(path: &Path, error: ParquetError) -> SourceError {
    match io_error(error) {
        Ok(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            SourceError::Unreadable { path: path.to_path_buf(), error }
        }
        Ok(error) => unfit(path, error.to_string()),
        Err(text) => unfit(path, text),
    }
}

fn unfit(path: &Path, found: String) -> SourceError {
    SourceError::Unfit {
        path: path.to_path_buf(),
        found,
        expected: "a whole Parquet file".into(),
        remedy: "fetch or write it again".into(),
    }
}

/// The system's error that the crate passed on, or else the crate's own in words.
pub(super) fn io_error(error: ParquetError) -> std::result::Result<io::Error, String> {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => Ok(*error),
            Err(error) => Err(error.to_string()),
        },
        ParquetError::General(text) | ParquetError::EOF(text) | ParquetError::NYI(text) => Err(text),
        other => Err(other.to_string()),
    }
}
