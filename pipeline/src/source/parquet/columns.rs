//! Which columns of a file count, and what stands in the small ones.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::metadata::FileMetaData;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::super::labels::Label;
use super::ParquetFields;
use super::chunk::Chunk;
use super::file::StoredFile;

/// Numbers of the columns that count, among the leaves of a file's schema.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub image: usize,
    pub path: Option<usize>,
    pub label: Option<usize>,
    /// Why the column `label` isn't taken, although there is one.
    pub remark: Option<String>,
}

/// What was found and what was expected.
pub(super) type Mismatch = (String, String);

impl Columns {
    pub fn find(schema: &SchemaDescriptor, fields: &ParquetFields) -> Result<Columns, Mismatch> {
        let place =
            |parts: &[&str]| schema.columns().iter().position(|column| column.path().parts() == parts);
        let column = |place: usize| schema.columns()[place].as_ref();
        let image = fields.image;
        let expected = || format!("`{image}` to be bytes, or a struct of `bytes` and `path`");
        let (image_at, path) = match (place(&[image]), place(&[image, "bytes"])) {
            (Some(direct), _) => (direct, None),
            (None, Some(bytes)) => (bytes, place(&[image, "path"])),
            (None, None) => {
                let root = schema.root_schema().get_fields();
                let names: Vec<&str> = root.iter().map(|field| field.name()).collect();
                return Err(match names.contains(&image) {
                    true => (format!("`{image}` without `bytes`"), expected()),
                    false => (format!("columns {}", names.join(", ")), format!("one called {image}")),
                });
            }
        };
        let found = column(image_at);
        if found.physical_type() != Type::BYTE_ARRAY || found.max_rep_level() > 0 || is_text(found) {
            return Err((format!("`{}`: {}", found.path().string(), kind(found)), expected()));
        }
        let path = path.filter(|path| column(*path).physical_type() == Type::BYTE_ARRAY);
        let (label, remark) = match (fields.label, place(&[fields.label.unwrap_or("label")])) {
            (Some(name), None) => {
                let root = schema.root_schema().get_fields();
                let names: Vec<&str> = root.iter().map(|field| field.name()).collect();
                return Err((
                    format!("columns {}", names.join(", ")),
                    format!("one of numbers or texts called {name}"),
                ));
            }
            (_, Some(place)) if is_label(column(place)) => (Some(place), None),
            (Some(name), Some(place)) => {
                let expected = format!("`{name}` to be whole numbers or texts");
                return Err((format!("`{name}`: {}", kind(column(place))), expected));
            }
            (None, Some(place)) => (None, Some(format!("column label is {}", kind(column(place))))),
            (None, None) => (None, None),
        };
        Ok(Columns { image: image_at, path, label, remark })
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    let is_string = matches!(column.logical_type_ref(), Some(LogicalType::String));
    is_string || column.converted_type() == ConvertedType::UTF8
}

fn is_label(column: &ColumnDescriptor) -> bool {
    column.max_rep_level() == 0
        && matches!(column.physical_type(), Type::INT32 | Type::INT64 | Type::BYTE_ARRAY)
}

/// What a column holds, in words.
fn kind(column: &ColumnDescriptor) -> String {
    let list = if column.max_rep_level() > 0 { "lists of " } else { "" };
    let kind = match column.physical_type() {
        _ if is_text(column) => "texts".to_string(),
        Type::BYTE_ARRAY => "bytes".to_string(),
        other => other.to_string(),
    };
    format!("{list}{kind}")
}

/// The names that Hugging Face's `datasets` notes for a column of class numbers.
pub(super) fn class_names(metadata: &FileMetaData, field: &str) -> Option<Vec<String>> {
    let notes = metadata.key_value_metadata()?.iter().find(|note| note.key == "huggingface")?;
    let notes: serde_json::Value = serde_json::from_str(notes.value.as_ref()?).ok()?;
    let names = notes.get("info")?.get("features")?.get(field)?.get("names")?.as_array()?;
    names.iter().map(|name| name.as_str().map(str::to_string)).collect()
}

/// The texts in `chunk`.
pub(super) fn texts(chunk: &Chunk, file: &StoredFile) -> Result<Vec<Option<String>>> {
    let text = |value: ByteArray| String::from_utf8_lossy(value.data()).into_owned();
    Ok(chunk.values::<ByteArrayType>(file)?.into_iter().map(|value| value.map(text)).collect())
}

/// The labels in `chunk`, a column that may hold some.
pub(super) fn labels(chunk: &Chunk, file: &StoredFile) -> Result<Vec<Option<Label>>> {
    fn all<V>(values: Vec<Option<V>>, label: impl Fn(V) -> Label) -> Vec<Option<Label>> {
        values.into_iter().map(|value| value.map(&label)).collect()
    }
    Ok(match chunk.column.physical_type() {
        Type::INT32 => all(chunk.values::<Int32Type>(file)?, |number| Label::Number(number.into())),
        Type::INT64 => all(chunk.values::<Int64Type>(file)?, Label::Number),
        _ => all(texts(chunk, file)?, Label::Text),
    })
}
