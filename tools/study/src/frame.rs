//! A table for other programs, written as CSV and as Parquet: columns with a name and a type, values that may be absent.

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Parquet's `string`.
    Text,
    /// Parquet's `int64`.
    Whole,
    /// Parquet's `double`; in CSV with six decimals, which tell a million test images apart.
    Real,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Text(String),
    Whole(i64),
    Real(f64),
    Absent,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.into())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Cell {
        Cell::Real(number)
    }
}

impl From<usize> for Cell {
    fn from(count: usize) -> Cell {
        Cell::Whole(count as i64)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Absent, Into::into)
    }
}

/// A table.
#[derive(Clone, Debug)]
pub struct Frame {
    columns: Vec<(String, Kind)>,
    rows: Vec<Vec<Cell>>,
}

impl Frame {
    /// Without rows.
    pub fn new(columns: impl IntoIterator<Item = (String, Kind)>) -> Frame {
        Frame { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Appends a row: a cell per column, of its kind or absent.
    pub fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(row.len(), self.columns.len(), "a cell per column");
        self.rows.push(row);
    }

    /// A head, then a line per row; what is absent is empty.
    pub fn csv(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut text = names.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(csv_cell).collect();
            text.push_str(&cells.join(","));
            text.push('\n');
        }
        text
    }

    /// As a Parquet file with one group of rows.
    pub fn parquet(&self) -> Result<Vec<u8>, ParquetError> {
        let field = |(name, kind): &(String, Kind)| {
            let kind = match kind {
                Kind::Text => ["binary", " (UTF8)"],
                Kind::Whole => ["int64", ""],
                Kind::Real => ["double", ""],
            };
            format!("optional {} {name}{};", kind[0], kind[1])
        };
        let schema = format!("message table {{ {} }}", self.columns.iter().map(field).collect::<String>());
        let schema = parse_message_type(&schema)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema.into(), properties.into())?;
        let mut group = writer.next_row_group()?;
        for (index, (_, kind)) in self.columns.iter().enumerate() {
            let cells = || self.rows.iter().map(|row| &row[index]);
            match kind {
                Kind::Text => column::<ByteArrayType>(&mut group, cells(), |cell| match cell {
                    Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                    _ => None,
                })?,
                Kind::Whole => column::<Int64Type>(&mut group, cells(), |cell| match cell {
                    Cell::Whole(number) => Some(*number),
                    _ => None,
                })?,
                Kind::Real => column::<DoubleType>(&mut group, cells(), |cell| match cell {
                    Cell::Real(number) => Some(*number),
                    _ => None,
                })?,
            }
        }
        group.close()?;
        writer.into_inner()
    }
}

fn column<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = &'a Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let values: Vec<Option<T::T>> = cells.map(value).collect();
    let present: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
    column.typed::<T>().write_batch(&values, Some(&present), None)?;
    column.close()
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => quoted(text),
        Cell::Whole(number) => number.to_string(),
        // Adding zero turns -0.0 into 0.0.
        Cell::Real(number) => ((number * 1e6).round() / 1e6 + 0.0).to_string(),
        Cell::Absent => String::new(),
    }
}

/// As RFC 4180 has it.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    fn frame() -> Frame {
        let kinds = [("name", Kind::Text), ("count", Kind::Whole), ("share", Kind::Real)];
        let mut frame = Frame::new(kinds.map(|(name, kind)| (name.to_string(), kind)));
        frame.push(vec!["plain".into(), 3_usize.into(), 0.123_456_789.into()]);
        frame.push(vec!["a \"b\", c".into(), Cell::Absent, Cell::Absent]);
        frame
    }

    #[test]
    fn csv_quotes_what_needs_it_and_leaves_out_what_is_absent() {
        assert_eq!(frame().csv(), "name,count,share\nplain,3,0.123457\n\"a \"\"b\"\", c\",,\n");
    }

    #[test]
    fn rounding_leaves_no_negative_zero() {
        let mut frame = Frame::new([("x".to_string(), Kind::Real)]);
        frame.push(vec![(-1e-9).into()]);
        assert_eq!(frame.csv(), "x\n0\n");
    }

    #[test]
    fn parquet_has_the_same_rows_typed_and_exact() {
        let reader = SerializedFileReader::new(bytes::Bytes::from(frame().parquet().unwrap())).unwrap();
        let rows: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| {
                row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()
            })
            .collect();
        let named = |fields: [Field; 3]| -> Vec<(String, Field)> {
            ["name", "count", "share"].map(String::from).into_iter().zip(fields).collect()
        };
        assert_eq!(
            rows,
            [
                named([Field::Str("plain".into()), Field::Long(3), Field::Double(0.123_456_789)]),
                named([Field::Str("a \"b\", c".into()), Field::Null, Field::Null]),
            ]
        );
    }

    #[test]
    fn a_table_without_rows_is_still_a_file() {
        let empty = Frame::new([("x".to_string(), Kind::Real)]);
        let reader = SerializedFileReader::new(bytes::Bytes::from(empty.parquet().unwrap())).unwrap();
        assert_eq!((empty.csv().as_str(), reader.metadata().file_metadata().num_rows()), ("x\n", 0));
    }
}
