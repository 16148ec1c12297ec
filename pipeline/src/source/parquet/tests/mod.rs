mod columns;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

use super::*;

const HUGGING_FACE: &str = "message m {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional int64 label;
}";
const NAMES: &str = r#"{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;

/// A column's values in one row group.
enum Column<'a> {
    Bytes(Vec<Option<&'a [u8]>>),
    Numbers(Vec<Option<i64>>),
    Small(Vec<Option<i32>>),
    Reals(Vec<Option<f64>>),
}

fn texts<'a>(texts: &[&'a str]) -> Column<'a> {
    Column::Bytes(texts.iter().map(|text| Some(text.as_bytes())).collect())
}

fn numbers(numbers: &[i64]) -> Column<'static> {
    Column::Numbers(numbers.iter().copied().map(Some).collect())
}

/// Writes the next column; a null is one of the innermost field.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
    present: i16,
    values: Vec<Option<T::T>>,
) {
    let level = |value: &Option<T::T>| if value.is_some() { present } else { present - 1 };
    let levels: Vec<i16> = values.iter().map(level).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
}

fn write_with(path: &Path, properties: WriterPropertiesBuilder, schema: &str, groups: &[Vec<Column>]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let message = Arc::new(parse_message_type(schema).unwrap());
    let schema = SchemaDescriptor::new(message.clone());
    let mut writer = SerializedFileWriter::new(file, message, Arc::new(properties.build())).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for (number, column) in columns.iter().enumerate() {
            let present = schema.column(number).max_def_level();
            match column {
                Column::Bytes(values) => {
                    let bytes = |value: &Option<&[u8]>| value.map(|bytes| ByteArray::from(bytes.to_vec()));
                    let values = values.iter().map(bytes).collect();
                    write_column::<ByteArrayType>(&mut group, present, values);
                }
                Column::Numbers(values) => write_column::<Int64Type>(&mut group, present, values.clone()),
                Column::Small(values) => write_column::<Int32Type>(&mut group, present, values.clone()),
                Column::Reals(values) => write_column::<DoubleType>(&mut group, present, values.clone()),
            }
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn write(path: &Path, schema: &str, groups: &[Vec<Column>]) {
    write_with(path, WriterProperties::builder(), schema, groups);
}

/// Properties of a file that notes the class names.
fn noted(names: &str) -> WriterPropertiesBuilder {
    let note = KeyValue::new("huggingface".to_string(), names.to_string());
    WriterProperties::builder().set_key_value_metadata(Some(vec![note]))
}

fn try_open(path: &Path) -> Result<ParquetSource, SourceError> {
    ParquetSource::open(path, ParquetFields::default())
}

fn open(path: &Path) -> ParquetSource {
    try_open(path).unwrap()
}

fn refusal(path: &Path, fields: ParquetFields) -> String {
    let error = ParquetSource::open(path, fields).unwrap_err();
    error.to_string().replace(&path.display().to_string(), "FILE")
}

fn read(source: &ParquetSource, index: usize) -> Result<Vec<u8>, String> {
    // What an earlier sample left must not shine through.
    let mut data = SampleData { form: Form::Rgb8(Default::default()), bytes: vec![99; 7] };
    source.read(index, &mut data).map_err(|error| error.to_string())?;
    assert_eq!(data.form, Form::Encoded);
    Ok(data.bytes)
}

fn ids(source: &dyn Source) -> Vec<u64> {
    (0..source.len()).map(|index| source.sample(index).id).collect()
}

fn id(name: &str) -> u64 {
    random::sample_id(name.as_bytes())
}

/// Bytes that don't compress, as images'.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// Overwrites `range` of a file.
fn blank(path: &Path, range: Range<usize>) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[range].fill(0xA5);
    std::fs::write(path, bytes).unwrap();
}

fn reference(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/parquet")).join(name)
}
