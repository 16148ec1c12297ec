//! Lists: a CSV or JSON Lines file that names an image, and perhaps its label, in each row.
//!
//! Images of several classes each have them in a column `labels`, as `cat;dog`, or in a JSON array.
//!
//! Paths are relative to the list's folder. Files are not looked at when the list is opened: one that is missing is an
//! error of its own sample.

use std::fs::File;
use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::labels::{Label, Labels, MultiLabels};
use super::{Form, SampleData, SampleInfo, Source, SourceError, names};
use crate::error::ReadError;
use crate::random;

/// What the names of lists end with.
pub(super) const CSV_SUFFIXES: [&str; 1] = [".csv"];
pub(super) const JSONL_SUFFIXES: [&str; 2] = [".jsonl", ".ndjson"];

/// The column of several classes.
const SEVERAL: &str = "labels";

/// Malformed rows that an error shows; it counts the others.
const SHOWN: usize = 5;

/// Images that a list names.
#[derive(Debug)]
pub struct ListSource {
    list: PathBuf,
    folder: PathBuf,
    /// As the list has them.
    paths: Vec<Box<str>>,
    ids: Vec<u64>,
    labels: Labels,
    several: Option<MultiLabels>,
    identity: String,
}

/// Which fields of a row count.
#[derive(Clone, Copy, Debug)]
pub struct ListFields<'a> {
    /// The image's path.
    pub image: &'a str,
    /// Its label; `None` for `label`, or `labels`, where there is such a field.
    pub label: Option<&'a str>,
}

impl Default for ListFields<'_> {
    fn default() -> Self {
        ListFields { image: "path", label: None }
    }
}

/// The rows of a list, and what is wrong with others.
#[derive(Default)]
struct Rows {
    paths: Vec<Box<str>>,
    labels: Vec<Option<Label>>,
    /// Of each row, in a list of several classes; empty in another.
    several: Vec<Vec<String>>,
    malformed: Vec<String>,
    malformed_count: usize,
}

impl ListSource {
    /// Reads a CSV file whose first row names the columns. Labels are class numbers where all are whole numbers, else
    /// class names.
    pub fn csv(path: &Path, fields: ListFields) -> Result<ListSource, SourceError> {
        ListSource::new(path, csv_rows(path, fields)?)
    }

    /// Reads a file of one JSON object a line. Labels are class numbers, or texts, the class names.
    pub fn jsonl(path: &Path, fields: ListFields) -> Result<ListSource, SourceError> {
        ListSource::new(path, json_rows(path, fields)?)
    }

    fn new(list: &Path, rows: Rows) -> Result<ListSource, SourceError> {
        let Rows { paths, labels, several, malformed, malformed_count } = rows;
        let refuse = |found: String, remedy: &str| SourceError::Unfit {
            path: list.to_path_buf(),
            found,
            expected: "a path, and a label where there are labels, in every row".into(),
            remedy: remedy.into(),
        };
        if malformed_count > 0 {
            let more = if malformed_count > SHOWN { "; ..." } else { "" };
            let found = format!("{malformed_count} malformed rows ({}{more})", malformed.join("; "));
            return Err(refuse(found, "correct or remove them"));
        }
        if paths.is_empty() {
            return Err(refuse("no rows".into(), "write one for each image"));
        }
        let folder = list.parent().unwrap_or(Path::new("")).to_path_buf();
        let ids = names::ids(
            paths.len(),
            |index| names::without_suffix(within(&folder, &paths[index]).as_bytes()).to_vec(),
            |index| full_name(&folder, &paths[index], index),
        );
        let labels = Labels::new(labels, None, list, |index| paths[index].to_string())?;
        let several = (several.len() == paths.len()).then(|| MultiLabels::new(&several));
        let mut hasher = random::hasher("list source");
        for (index, path) in paths.iter().enumerate() {
            hasher.write(&(path.len() as u64).to_le_bytes());
            hasher.write(path.as_bytes());
            hasher.write(&labels.get(index).unwrap_or(-1).to_le_bytes());
            for label in several.iter().flat_map(|several| &several.labels[index]) {
                hasher.write(&label.to_le_bytes());
            }
        }
        let identity = format!("{:016x}", hasher.finish());
        Ok(ListSource { list: list.to_path_buf(), folder, paths, ids, labels, several, identity })
    }
}

impl Source for ListSource {
    fn len(&self) -> usize {
        self.paths.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        SampleInfo { id: self.ids[index], label: self.labels.get(index) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        let (folder, path) = (&self.folder, &self.paths[index]);
        let name = names::without_suffix(within(folder, path).as_bytes());
        names::name(self.ids[index], name, || full_name(folder, path, index).into())
    }

    fn path(&self, index: usize) -> PathBuf {
        self.folder.join(&*self.paths[index])
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        data.form = Form::Encoded;
        data.bytes.clear();
        File::open(self.path(index))?.read_to_end(&mut data.bytes)?;
        Ok(())
    }

    fn classes(&self) -> Option<&[String]> {
        self.labels.classes()
    }

    fn multi_labels(&self) -> Option<&MultiLabels> {
        self.several.as_ref()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn summary(&self) -> String {
        let labels = match &self.several {
            Some(several) => format!("several of {} classes each", several.classes.len()),
            None => self.labels.summary(),
        };
        format!("{} images listed in {}, {labels}", self.len(), self.list.display())
    }
}

/// A listed path from the list's folder on, where it lies below it.
fn within<'a>(folder: &Path, path: &'a str) -> &'a str {
    let below = Path::new(path).strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or(path);
    below.strip_prefix("./").unwrap_or(below)
}

/// Only a path that is listed twice needs its place in the list to be told apart.
fn full_name(folder: &Path, path: &str, index: usize) -> String {
    format!("{}#{index}", within(folder, path))
}

impl Rows {
    fn malformed(&mut self, line: u64, what: impl std::fmt::Display) {
        self.malformed_count += 1;
        if self.malformed.len() < SHOWN {
            self.malformed.push(format!("line {line}: {what}"));
        }
    }
}

fn csv_rows(path: &Path, fields: ListFields) -> Result<Rows, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_path_buf(), error };
    let file = File::open(path).map_err(unreadable)?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(file);
    let unfit = |found: String, expected: String| SourceError::Unfit {
        path: path.to_path_buf(),
        found,
        expected,
        remedy: "correct the first row, or name the columns with image_field and label_field".into(),
    };
    let columns =
        reader.headers().map_err(|error| unfit(error.to_string(), "a row of column names".into()))?;
    // Some programs begin their files with a byte order mark.
    let columns: Vec<String> =
        columns.iter().map(|column| column.trim_start_matches('\u{feff}').to_string()).collect();
    let place = |field: &str| columns.iter().position(|column| column == field);
    let missing =
        |field: &str| unfit(format!("columns {}", columns.join(", ")), format!("one called {field}"));
    let image = place(fields.image).ok_or_else(|| missing(fields.image))?;
    let label = match fields.label {
        Some(field) => Some(place(field).ok_or_else(|| missing(field))?),
        None => place("label").or_else(|| place(SEVERAL)),
    };
    let several = label.is_some_and(|label| columns[label] == SEVERAL);

    let mut rows = Rows::default();
    let mut texts: Vec<Option<String>> = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                if let csv::ErrorKind::Io(_) = error.kind() {
                    return Err(SourceError::Unreadable { path: path.to_path_buf(), error: error.into() });
                }
                rows.malformed(error.position().map_or(0, csv::Position::line), "not UTF-8");
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        match record.get(image) {
            _ if record.len() != columns.len() => {
                rows.malformed(line, format!("found {} fields, expected {}", record.len(), columns.len()));
            }
            None | Some("") => rows.malformed(line, "no path"),
            Some(path) => {
                rows.paths.push(path.into());
                let text = label.and_then(|label| record.get(label)).filter(|text| !text.is_empty());
                if several {
                    let names = text.unwrap_or_default().split(';').map(str::trim);
                    rows.several.push(names.filter(|name| !name.is_empty()).map(String::from).collect());
                    texts.push(None);
                } else {
                    texts.push(text.map(str::to_string));
                }
            }
        }
    }
    let numbers = texts.iter().flatten().all(|text| text.parse::<i64>().is_ok());
    let label = |text: String| match text.parse() {
        Ok(number) if numbers => Label::Number(number),
        _ => Label::Text(text),
    };
    rows.labels = texts.into_iter().map(|text| text.map(label)).collect();
    Ok(rows)
}

fn json_rows(path: &Path, fields: ListFields) -> Result<Rows, SourceError> {
    let text =
        std::fs::read(path).map_err(|error| SourceError::Unreadable { path: path.to_path_buf(), error })?;
    let mut rows = Rows::default();
    for (line, row) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if row.trim_ascii().is_empty() {
            continue;
        }
        let row: Value = match serde_json::from_slice(row) {
            Ok(row) => row,
            Err(error) => {
                rows.malformed(line, format!("no JSON ({error})"));
                continue;
            }
        };
        let Some(path) = row.get(fields.image).and_then(Value::as_str).filter(|path| !path.is_empty()) else {
            rows.malformed(line, format!("no text in {:?}", fields.image));
            continue;
        };
        let first_of = || ["label", SEVERAL].into_iter().find(|field| row.get(field).is_some());
        let label_field = fields.label.or_else(first_of).unwrap_or("label");
        if let Some(Value::Array(names)) = row.get(label_field) {
            let Some(names) = names.iter().map(class_name).collect() else {
                rows.malformed(
                    line,
                    format!("{label_field:?} with other items than whole numbers and texts"),
                );
                continue;
            };
            if rows.several.len() < rows.paths.len() {
                rows.malformed(line, format!("an array in {label_field:?}, expected one label as before"));
                continue;
            }
            rows.paths.push(path.into());
            rows.labels.push(None);
            rows.several.push(names);
            continue;
        }
        if !rows.several.is_empty() {
            rows.malformed(line, format!("no array in {label_field:?}, expected one as before"));
            continue;
        }
        let label = match row.get(label_field) {
            None if fields.label.is_some() => {
                rows.malformed(line, format!("no {label_field:?}"));
                continue;
            }
            None | Some(Value::Null) => None,
            Some(found) => match Label::from_json(&row, label_field) {
                Some(label) => Some(label),
                None => {
                    rows.malformed(line, format!("label {found}, expected a whole number or a text"));
                    continue;
                }
            },
        };
        rows.paths.push(path.into());
        rows.labels.push(label);
    }
    Ok(rows)
}

/// One of several classes: a text, or a whole number.
fn class_name(item: &Value) -> Option<String> {
    match item {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number.as_i64().map(|number| number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list, and the images a.png and sub/b.c.png beside it.
    fn folder(name: &str, list: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("a.png"), "A").unwrap();
        std::fs::write(folder.path().join("sub/b.c.png"), "B").unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, list).unwrap();
        (folder, path)
    }

    fn refusal(result: Result<ListSource, SourceError>, list: &Path) -> String {
        result.unwrap_err().to_string().replace(&list.display().to_string(), "LIST")
    }

    fn id(name: &str) -> u64 {
        random::sample_id(name.as_bytes())
    }

    #[test]
    fn a_csv_list_names_paths_and_labels_in_any_columns() {
        let text =
            "\u{feff}kind,  path ,note\r\ndog,./sub/b.c.png,\"x, y\"\ncat,a.png,\n\ndog,\"gone.png\",\n";
        let (folder, list) = folder("list.csv", text);
        let source =
            ListSource::csv(&list, ListFields { label: Some("kind"), ..Default::default() }).unwrap();
        assert_eq!(source.classes().unwrap(), ["cat", "dog"]);
        let samples: Vec<_> = (0..3).map(|index| source.sample(index)).collect();
        assert_eq!(
            samples.iter().map(|sample| sample.label).collect::<Vec<_>>(),
            [Some(1), Some(0), Some(1)]
        );
        assert_eq!(
            samples.iter().map(|sample| sample.id).collect::<Vec<_>>(),
            ["sub/b.c", "a", "gone"].map(id)
        );
        let mut data = SampleData::default();
        source.read(0, &mut data).unwrap();
        assert_eq!(data.bytes, b"B");
        assert!(
            matches!(source.read(2, &mut data), Err(ReadError::File(_))),
            "a missing file is its sample's error"
        );
        assert_eq!(source.path(2), folder.path().join("gone.png"));
        let unlabelled = ListSource::csv(&list, ListFields::default()).unwrap();
        assert_eq!((unlabelled.classes(), unlabelled.sample(0).label), (None, None));
        assert_ne!(source.identity(), unlabelled.identity());
    }

    #[test]
    fn a_column_of_whole_numbers_holds_class_numbers() {
        let (_folder, list) = folder("list.csv", "path,label\na.png,2\nsub/b.c.png,0\n");
        let source = ListSource::csv(&list, ListFields::default()).unwrap();
        assert_eq!((source.classes().unwrap().len(), source.sample(0).label), (3, Some(2)));
        std::fs::write(&list, "path,label\na.png,2\nsub/b.c.png,10b\n").unwrap();
        let source = ListSource::csv(&list, ListFields::default()).unwrap();
        assert_eq!((source.classes().unwrap().join(" "), source.sample(0).label), ("10b 2".into(), Some(1)));
    }

    #[test]
    fn a_json_list_gives_the_same_samples() {
        let json = "{\"path\": \"a.png\", \"label\": \"cat\"}\n\n{\"label\": \"dog\", \"path\": \"sub/b.c.png\", \"x\": 1}";
        let (folder, list) = folder("list.jsonl", json);
        std::fs::write(folder.path().join("list.csv"), "path,label\na.png,cat\nsub/b.c.png,dog\n").unwrap();
        let json = ListSource::jsonl(&list, ListFields::default()).unwrap();
        let csv = ListSource::csv(&folder.path().join("list.csv"), ListFields::default()).unwrap();
        for index in 0..2 {
            assert_eq!(json.sample(index), csv.sample(index));
        }
        assert_eq!((json.classes(), json.identity()), (csv.classes(), csv.identity()));
    }

    #[test]
    fn images_of_several_classes_have_them_in_a_column_or_in_an_array() {
        let json = "{\"path\": \"a.png\", \"labels\": [\"dog\", \"cat\"]}\n{\"path\": \"sub/b.c.png\", \"labels\": []}";
        let (folder, list) = folder("list.jsonl", json);
        let csv = folder.path().join("list.csv");
        std::fs::write(&csv, "path,labels\na.png,dog; cat\nsub/b.c.png,\n").unwrap();
        let json = ListSource::jsonl(&list, ListFields::default()).unwrap();
        let csv = ListSource::csv(&csv, ListFields::default()).unwrap();
        let several = json.multi_labels().unwrap();
        assert_eq!(
            (several.classes.join(" "), &several.labels),
            ("cat dog".into(), &vec![vec![0, 1], vec![]])
        );
        assert_eq!(csv.multi_labels(), Some(several));
        assert_eq!(csv.identity(), json.identity());
        // Who knows of one class a sample sees none.
        assert_eq!((json.classes(), json.sample(0).label), (None, None));
        let mixed = "{\"path\": \"a.png\", \"label\": [1]}\n{\"path\": \"b\", \"label\": 1}\n{\"path\": \"c\", \"label\": [[]]}";
        std::fs::write(&list, mixed).unwrap();
        let text = refusal(ListSource::jsonl(&list, ListFields::default()), &list);
        assert!(text.contains("line 2: no array in \"label\", expected one as before; line 3: "), "{text}");
    }

    #[test]
    fn a_path_below_the_list_and_one_listed_twice_have_ids_of_their_own() {
        let (folder, list) = folder("list.csv", "");
        let whole = folder.path().join("sub/b.c.png");
        std::fs::write(&list, format!("path\n{}\na.png\na.png\n", whole.display())).unwrap();
        let source = ListSource::csv(&list, ListFields::default()).unwrap();
        let ids: Vec<u64> = (0..3).map(|index| source.sample(index).id).collect();
        let names = ["sub/b.c", "a.png#1", "a.png#2"];
        assert_eq!(ids, names.map(id));
        assert_eq!([0, 1, 2].map(|index| source.name(index)), names.map(str::as_bytes));
        assert_eq!(source.path(0), whole);
    }

    #[test]
    fn malformed_rows_are_reported_by_line_and_counted() {
        let (_folder, list) =
            folder("list.csv", b"path,label\na.png,1\nb.png\n,2\nc.png,3,4\n\xFF,1\nd\ne\n");
        assert_eq!(
            refusal(ListSource::csv(&list, ListFields::default()), &list),
            "LIST: found 6 malformed rows (line 3: found 1 fields, expected 2; line 4: no path; \
             line 5: found 3 fields, expected 2; line 6: not UTF-8; line 7: found 1 fields, expected 2; ...), \
             expected a path, and a label where there are labels, in every row; correct or remove them"
        );
        let json = "{\"path\": \"a\"}\n{\n[]\n{\"path\": 3}\n{\"path\": \"b\", \"label\": 1.5}\n";
        let (_folder, list) = folder("list.jsonl", json);
        let text = refusal(ListSource::jsonl(&list, ListFields::default()), &list);
        assert!(text.starts_with("LIST: found 4 malformed rows (line 2: no JSON ("), "{text}");
        let rest = "; line 3: no text in \"path\"; line 4: no text in \"path\"; \
                    line 5: label 1.5, expected a whole number or a text), expected";
        assert!(text.contains(rest), "{text}");
    }

    #[test]
    fn columns_that_are_not_there_and_lists_without_rows_are_refused() {
        let (_folder, list) = folder("list.csv", "file,kind\na.png,1\n");
        let text = refusal(ListSource::csv(&list, ListFields::default()), &list);
        assert!(text.starts_with("LIST: found columns file, kind, expected one called path; "), "{text}");
        let fields = ListFields { image: "file", label: Some("class") };
        assert!(refusal(ListSource::csv(&list, fields), &list).contains("expected one called class"));
        std::fs::write(&list, "path\n").unwrap();
        assert!(refusal(ListSource::csv(&list, ListFields::default()), &list).contains("found no rows"));
        assert!(
            refusal(ListSource::csv(&list.join("x"), ListFields::default()), &list)
                .starts_with("cannot read ")
        );
        let fields = ListFields { label: Some("class"), ..Default::default() };
        std::fs::write(&list, "{\"path\": \"a\", \"label\": 1}").unwrap();
        assert!(refusal(ListSource::jsonl(&list, fields), &list).contains("line 1: no \"class\""));
    }
}
