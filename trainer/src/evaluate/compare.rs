//! Evaluations side by side, if they were measured alike.
//!
//! Runs, their steps and the widths of their features may differ: they are what is compared. Everything else that a number was
//! measured on must be the same.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Of `measured_on`, what tells the compared apart.
const OF_THE_RUN: [&str; 4] = ["fingerprint", "random_init", "step", "features"];

/// Several evaluations' accuracies.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// One for each file.
    pub rows: Vec<ComparedRun>,
    /// Names of the sections that at least one of them has.
    pub sections: Vec<String>,
}

/// One evaluation of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedRun {
    /// As it was given.
    pub path: PathBuf,
    /// Of the run.
    pub fingerprint: String,
    /// Optimizer steps that the weights were trained for.
    pub step: u64,
    /// In the order of the sections; none where a section is missing.
    pub accuracies: Vec<Option<Compared>>,
}

/// The numbers of a section that are compared, fractions of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// None of samples of several classes.
    pub top1: Option<f64>,
    /// Mean accuracy per class, or of samples of several classes the mean average precision.
    pub mean: f64,
}

/// Reads `evaluation.json` files, or those of runs' folders.
///
/// # Errors
/// One can't be read, or two were measured on different things, by the names of the differing keys.
pub fn compare(paths: &[PathBuf]) -> Result<Comparison> {
    let files = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let mut sections: Vec<String> = Vec::new();
    let mut differences = Vec::new();
    for (index, (file, path)) in files.iter().zip(paths).enumerate() {
        for (name, section) in found_sections(file) {
            let conditions = conditions(path, name, section)?;
            let Some(first) = files[..index].iter().position(|other| other.get(name).is_some()) else {
                sections.push(name.clone());
                continue;
            };
            let other = self::conditions(&paths[first], name, &files[first][name])?;
            for (key, left, right) in diptych_config::differences(&other, &conditions) {
                let (left_path, right_path) = (paths[first].display(), path.display());
                differences.push(format!("{name}.{key}: {left} in {left_path}, {right} in {right_path}"));
            }
        }
    }
    if !differences.is_empty() {
        return Err(Error::Unfit(format!(
            "found evaluations that were measured differently, expected alike ones; evaluate again with one configuration:\n{}",
            differences.join("\n")
        )));
    }
    let row = |(file, path): (&Map<String, Value>, &PathBuf)| ComparedRun {
        path: path.clone(),
        fingerprint: file.get("fingerprint").and_then(Value::as_str).unwrap_or_default().to_owned(),
        step: file.get("step").and_then(Value::as_u64).unwrap_or(0),
        accuracies: sections.iter().map(|name| accuracies(file.get(name)?)).collect(),
    };
    Ok(Comparison { rows: files.iter().zip(paths).map(row).collect(), sections })
}

fn read(path: &Path) -> Result<Map<String, Value>> {
    let path = if path.is_dir() { path.join("evaluation.json") } else { path.to_path_buf() };
    let text = std::fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    let file: Map<String, Value> = serde_json::from_str(&text).map_err(|error| {
        Error::damaged(&path, format!("found no evaluation ({error}); evaluate the run again"))
    })?;
    if found_sections(&file).next().is_none() {
        return Err(Error::damaged(
            &path,
            "found no accuracies, expected those of a protocol; evaluate the run again",
        ));
    }
    Ok(file)
}

/// The values that hold accuracies, by name.
fn found_sections(file: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    file.iter().filter(|(_, value)| value.get("per_class").is_some())
}

fn accuracies(section: &Value) -> Option<Compared> {
    let mean = section["mean_per_class"].as_f64().or(section["mean_average_precision"].as_f64())?;
    Some(Compared { top1: section["top1"].as_f64(), mean })
}

fn conditions(path: &Path, name: &str, section: &Value) -> Result<toml::Table> {
    let mut measured_on =
        section.get("measured_on").and_then(Value::as_object).cloned().ok_or_else(|| {
            let message = format!("{name} does not say what it was measured on; evaluate the run again");
            Error::damaged(path, message)
        })?;
    for key in OF_THE_RUN {
        measured_on.remove(key);
    }
    toml::Table::try_from(measured_on)
        .map_err(|error| Error::damaged(path, format!("{name}.measured_on: {error}; evaluate the run again")))
}

impl Comparison {
    /// For other programs.
    pub fn to_json(&self) -> Value {
        let row = |row: &ComparedRun| {
            let mut map = Map::new();
            map.insert("path".into(), json!(row.path.display().to_string()));
            map.insert("fingerprint".into(), json!(row.fingerprint));
            map.insert("step".into(), json!(row.step));
            for (name, accuracies) in self.sections.iter().zip(&row.accuracies) {
                match accuracies {
                    Some(Compared { top1: Some(top1), mean }) => {
                        drop(map.insert(name.clone(), json!({ "top1": top1, "mean_per_class": mean })));
                    }
                    Some(Compared { top1: None, mean }) => {
                        drop(map.insert(name.clone(), json!({ "mean_average_precision": mean })));
                    }
                    None => {}
                }
            }
            Value::from(map)
        };
        self.rows.iter().map(row).collect()
    }
}

impl fmt::Display for Comparison {
    /// A row for each evaluation; top-1, and where classes differ in size the mean per class behind it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.rows.iter().map(|row| row.path.display().to_string()).collect();
        let width = names.iter().map(String::len).max().unwrap_or(0);
        let columns: Vec<usize> = self.sections.iter().map(|name| name.len().max(15)).collect();
        write!(formatter, "{:width$}  {:16}  {:>8}", "", "fingerprint", "step")?;
        for (section, column) in self.sections.iter().zip(&columns) {
            write!(formatter, "  {section:>column$}")?;
        }
        writeln!(formatter)?;
        for (name, row) in names.iter().zip(&self.rows) {
            write!(formatter, "{name:width$}  {:16}  {:>8}", row.fingerprint, row.step)?;
            for (accuracies, column) in row.accuracies.iter().zip(&columns) {
                let text = match accuracies {
                    Some(Compared { top1: Some(top1), mean }) => {
                        format!("{:.1} % ({:.1} %)", top1 * 100.0, mean * 100.0)
                    }
                    Some(Compared { top1: None, mean }) => format!("({:.1} %)", mean * 100.0),
                    None => "-".into(),
                };
                write!(formatter, "  {text:>column$}")?;
            }
            writeln!(formatter)?;
        }
        writeln!(formatter, "\ntop-1, and in brackets the mean over classes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, size: i64, identity: &str, step: u64) -> PathBuf {
        let path = folder.join(name);
        let file = json!({
            "fingerprint": "00ff", "step": step, "classes": ["a", "b"],
            "linear": {
                "top1": 0.5, "mean_per_class": 0.25, "per_class": [0.5, null],
                "measured_on": {
                    "step": step, "fingerprint": "00ff", "view_size": [size, size], "test": { "identity": identity },
                },
            },
        });
        std::fs::write(&path, file.to_string()).unwrap();
        path
    }

    #[test]
    fn alike_evaluations_of_different_runs_stand_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        let paths =
            [write(folder.path(), "a.json", 32, "11", 5), write(folder.path(), "b.json", 32, "11", 10)];
        let comparison = compare(&paths).unwrap();
        assert_eq!(comparison.sections, ["linear"]);
        assert_eq!(comparison.rows[1].accuracies, [Some(Compared { top1: Some(0.5), mean: 0.25 })]);
        let table = comparison.to_string();
        assert!(table.contains("50.0 % (25.0 %)") && table.contains("10"), "{table}");
        assert_eq!(comparison.to_json()[0]["linear"]["top1"], 0.5);
    }

    #[test]
    fn unlike_evaluations_are_refused_by_the_names_of_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let paths =
            [write(folder.path(), "a.json", 32, "11", 5), write(folder.path(), "b.json", 64, "22", 5)];
        let message = compare(&paths).unwrap_err().to_string();
        for expected in ["linear.view_size[0]: 32 in ", "a.json, 64 in ", "linear.test.identity: \"11\" in "]
        {
            assert!(message.contains(expected), "expected {expected:?} in: {message}");
        }
        assert!(!message.contains("linear.step"), "{message}");
    }

    #[test]
    fn a_file_that_does_not_say_what_it_was_measured_on_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        std::fs::write(&path, "{\"linear\": {\"top1\": 0.5, \"per_class\": [0.5]}}").unwrap();
        let message = compare(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(message.contains("linear does not say what it was measured on"), "{message}");
        std::fs::write(&path, "{}").unwrap();
        let message = compare(&[path]).unwrap_err().to_string();
        assert!(message.contains("found no accuracies"), "{message}");
    }
}
