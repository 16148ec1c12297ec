//! Embeddings as Parquet: columns `name` (text), `label` (int64, null without labels) and `features` (a list of floats).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::Table;
use crate::{Error, Result};

const SCHEMA: &str = "message embeddings {
    required binary name (UTF8);
    optional int64 label;
    required group features (LIST) { repeated group list { required float element; } }
}";

/// Values of a group of rows, which is held once more while it is written.
const VALUES_IN_A_GROUP: i64 = 1 << 22;

pub(super) fn write(path: &Path, table: &Table) -> Result<()> {
    let file = File::create(path).map_err(|error| Error::file("write", path, error))?;
    let written = write_groups(&file, table).and_then(|()| Ok(file.sync_all()?));
    written.map_err(|error| match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => Error::file("write", path, *error),
            Err(error) => Error::damaged(path, error),
        },
        error => Error::damaged(path, error),
    })
}

fn write_groups(file: &File, table: &Table) -> Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let note = |(key, value): &(String, String)| KeyValue::new(key.clone(), value.clone());
    // Dictionaries and compression gain nothing on floats that are all different.
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_key_value_metadata(Some(table.metadata.iter().map(note).collect()))
        .build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    let (images, width) = table.features.size2().map_err(|error| ParquetError::General(error.to_string()))?;
    let rows_in_a_group = (VALUES_IN_A_GROUP / width.max(1)).max(1);
    for start in (0..images).step_by(rows_in_a_group as usize) {
        let rows = rows_in_a_group.min(images - start);
        let range = start as usize..(start + rows) as usize;
        let mut group = writer.next_row_group()?;
        let names: Vec<ByteArray> =
            table.names[range.clone()].iter().map(|name| name.as_bytes().to_vec().into()).collect();
        column::<ByteArrayType>(&mut group, &names, None, None)?;
        let labels = if table.labels.is_empty() { &[] } else { &table.labels[range] };
        let given = i16::from(!table.labels.is_empty());
        column::<Int64Type>(&mut group, labels, Some(&vec![given; rows as usize]), None)?;
        let values = table.values(start, rows);
        // Each value but a row's first repeats at the list's level.
        let repetition: Vec<i16> = (0..values.len() as i64).map(|at| i16::from(at % width != 0)).collect();
        column::<FloatType>(&mut group, &values, Some(&vec![1; values.len()]), Some(&repetition))?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &File>,
    values: &[T::T],
    definition: Option<&[i16]>,
    repetition: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
    column.typed::<T>().write_batch(values, definition, repetition)?;
    column.close()
}
