//! From files and overrides to one tree of values.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::from_value::FromValue;
use crate::node::{Data, Node, Origin, Place, Reader, Value};
use crate::problem::{Problem, Problems};
use crate::table::Table;

/// A TOML file with what it extends merged in and overrides applied; every value knows its file and line.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct Document {
    root: Arc<Node>,
}

impl Document {
    /// Reads the file at `path`, what it extends, and lays the overrides on top.
    ///
    /// The top-level key `extends` is a path relative to the file, or an array of them of which later ones
    /// win. Tables merge deeply; arrays and single values are replaced whole. Each of `sets` is `key=value`
    /// with a dotted key (`encoder.width`, `losses[0].weight`) and a TOML value; a bare word (`cuda:0`,
    /// `../photos`) is text.
    pub fn load(path: &Path, sets: &[String]) -> Result<Document, Problems> {
        Self::load_after(path, sets, 0)
    }

    /// As [`load`](Self::load), with problems that sort behind those of the `file_count` files before.
    pub(crate) fn load_after(path: &Path, sets: &[String], file_count: usize) -> Result<Document, Problems> {
        let mut loading = Loading { files: Vec::new(), file_count, problems: Vec::new() };
        let root = match loading.file(path) {
            Ok(root) => root,
            Err(message) => return Err(Problem::with_file(path.display().to_string(), message).into()),
        };
        loading.finish(root, sets)
    }

    /// Reads `text`, which problems call `name`. It cannot extend a file, and relative paths in it start
    /// from the working directory.
    pub fn parse(text: &str, name: &str) -> Result<Document, Problems> {
        Self::parse_with(text, name, &[])
    }

    /// As [`parse`](Self::parse), with overrides as [`load`](Self::load) takes them.
    pub fn parse_with(text: &str, name: &str, sets: &[String]) -> Result<Document, Problems> {
        let mut loading = Loading { files: Vec::new(), file_count: 0, problems: Vec::new() };
        let origin = Arc::new(Origin { name: name.into(), folder: None, order: 0 });
        let root = parse(text, &origin, &mut loading.problems);
        loading.finish(root, sets)
    }

    /// Reads the whole document with `read`, then reports unknown keys and everything else that is wrong, all
    /// at once.
    pub fn read<T>(&self, read: impl FnOnce(&mut Table<'_>) -> T) -> Result<T, Problems> {
        let problems = RefCell::new(Vec::new());
        let value = self.read_into(&problems, read);
        Problems::unless_empty(value, problems.into_inner())
    }

    /// Whether the document has the top-level key `key`: tells what kind of file it is before it is read.
    pub fn has(&self, key: &str) -> bool {
        self.root.entry(key).is_some()
    }

    pub(crate) fn read_into<T>(
        &self,
        problems: &RefCell<Vec<Problem>>,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let mut table = Table::new(Some(&self.root), self.root.place.clone(), String::new(), problems);
        let value = read(&mut table);
        table.finish();
        value
    }
}

fn parse(text: &str, origin: &Arc<Origin>, problems: &mut Vec<Problem>) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { origin, text, has_lines: true, problems };
    for error in errors {
        let place = reader.place(error.span().unwrap_or(0..0));
        reader.problems.push(Problem::at(&place, "", format!("not valid TOML: {}", error.message().trim())));
    }
    let data = reader.table(table.get_ref(), "");
    Node { data, place: Place { origin: Arc::clone(origin), line: None } }
}

struct Loading {
    /// The files being read, outermost first: a file that extends one of them would go round in a circle.
    files: Vec<PathBuf>,
    file_count: usize,
    problems: Vec<Problem>,
}

impl Loading {
    /// The document of `root` with the overrides on top.
    fn finish(mut self, mut root: Node, sets: &[String]) -> Result<Document, Problems> {
        for set in sets {
            self.file_count += 1;
            let name = format!("--set {set}");
            let origin = Arc::new(Origin { name, folder: None, order: self.file_count });
            if let Err(message) = self.set(&mut root, set, &origin) {
                let place = Place { origin, line: None };
                self.problems.push(Problem::at(&place, "", message));
            }
        }
        Problems::unless_empty(Document { root: Arc::new(root) }, self.problems)
    }

    /// The merged tree of the file at `path`, or why it cannot be read.
    fn file(&mut self, path: &Path) -> Result<Node, String> {
        let absolute = path.canonicalize().map_err(|error| format!("cannot be read: {error}"))?;
        if self.files.contains(&absolute) {
            let circle: Vec<String> =
                self.files.iter().chain([&absolute]).map(|file| file.display().to_string()).collect();
            return Err(format!("extends itself in a circle: {}", circle.join(" extends ")));
        }
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err("is not UTF-8 text, expected a TOML file".into());
            }
            result => result.map_err(|error| format!("cannot be read: {error}"))?,
        };
        let origin = Arc::new(Origin {
            name: path.display().to_string(),
            folder: absolute.parent().map(Path::to_path_buf),
            order: self.file_count,
        });
        self.file_count += 1;
        let mut node = parse(&text, &origin, &mut self.problems);
        let Some(extends) = take(&mut node, "extends") else { return Ok(node) };

        self.files.push(absolute);
        let mut merged = Node { data: Data::Table(Vec::new()), place: node.place.clone() };
        for base in self.bases(&extends) {
            let place = base.place.clone();
            let result = match String::from_value(Value { node: &base }) {
                Ok(text) => {
                    let base_path = path.parent().unwrap_or(Path::new("")).join(&text);
                    self.file(&base_path).map_err(|message| format!("{} {message}", base_path.display()))
                }
                Err(wrong) => Err(wrong.message),
            };
            match result {
                Ok(base) => merged.merge(base),
                Err(message) => self.problems.push(Problem::at(&place, "extends", message)),
            }
        }
        self.files.pop();
        merged.merge(node);
        Ok(merged)
    }

    fn bases(&self, extends: &Node) -> Vec<Node> {
        match &extends.data {
            Data::Array(items) => items.clone(),
            _ => vec![extends.clone()],
        }
    }

    fn set(&mut self, root: &mut Node, set: &str, origin: &Arc<Origin>) -> Result<(), String> {
        let shape = "expected key=value, as in --set loader.batch_size=64";
        let (key, text) = set.split_once('=').ok_or_else(|| format!("found no `=`, {shape}"))?;
        let steps = steps(key.trim()).ok_or_else(|| format!("`{}` is no key, {shape}", key.trim()))?;
        let place = Place { origin: Arc::clone(origin), line: None };
        let text = text.trim();
        let value = match DeValue::parse(text) {
            Ok(value) => Reader { origin, text, has_lines: false, problems: &mut self.problems }
                .value(&value, key.trim()),
            // What opens like TOML was meant as TOML.
            Err(error) if text.starts_with(['[', '{', '"', '\'']) => {
                return Err(format!("not valid TOML: {}", error.message().trim()));
            }
            Err(_) => Node { data: Data::String(text.to_string()), place: place.clone() },
        };
        let mut node = root;
        for (index, step) in steps.iter().enumerate() {
            node = match (step, &mut node.data) {
                (Step::Key(key), Data::Table(entries)) => {
                    let position = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                        let empty = Node { data: Data::Table(Vec::new()), place: place.clone() };
                        entries.push((key.clone(), empty));
                        entries.len() - 1
                    });
                    &mut entries[position].1
                }
                (Step::Index(item), Data::Array(items)) => {
                    let count = items.len();
                    items.get_mut(*item).ok_or_else(|| {
                        format!("found index {item}, but `{}` has {count} items", text_of(&steps[..index]))
                    })?
                }
                (Step::Key(_), _) => return Err(format!("`{}` is not a table", text_of(&steps[..index]))),
                (Step::Index(_), _) => {
                    return Err(format!("`{}` is not an array", text_of(&steps[..index])));
                }
            };
        }
        node.merge(value);
        Ok(())
    }
}

fn take(node: &mut Node, key: &str) -> Option<Node> {
    let Data::Table(entries) = &mut node.data else { return None };
    let position = entries.iter().position(|(name, _)| name == key)?;
    Some(entries.remove(position).1)
}

/// One step of a dotted key.
enum Step {
    Key(String),
    Index(usize),
}

/// `losses[0].weight` as steps; `None` when it is not a key.
fn steps(key: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    for part in key.split('.') {
        let (name, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        {
            return None;
        }
        steps.push(Step::Key(name.to_string()));
        while !indices.is_empty() {
            let (index, rest) = indices.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            indices = rest;
        }
    }
    Some(steps)
}

fn text_of(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => text.push_str(&format!(".{key}")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}
