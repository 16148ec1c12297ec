//! Values that know where they were written.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::from_value::Wrong;
use crate::problem::Problem;

/// Where text came from: a file or an override.
#[derive(Debug)]
pub(crate) struct Origin {
    /// As problems show it.
    pub name: String,
    /// Folder that relative paths in it start from; `None` for the working directory.
    pub folder: Option<PathBuf>,
    /// Rank in a sorted list of problems.
    pub order: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub origin: Arc<Origin>,
    pub line: Option<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub data: Data,
    pub place: Place,
}

#[derive(Clone, Debug)]
pub(crate) enum Data {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Vec<(String, Node)>),
}

impl Node {
    pub fn entry(&self, key: &str) -> Option<&Node> {
        match &self.data {
            Data::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Lays `over` on top: tables merge key by key, anything else is replaced.
    pub fn merge(&mut self, over: Node) {
        match (&mut self.data, over.data) {
            (Data::Table(entries), Data::Table(new)) => {
                for (key, node) in new {
                    match entries.iter_mut().find(|(name, _)| *name == key) {
                        Some((_, old)) => old.merge(node),
                        None => entries.push((key, node)),
                    }
                }
            }
            (data, new) => *data = new,
        }
        self.place = over.place;
    }
}

/// Turns what the TOML parser found into nodes, and byte offsets into lines.
pub(crate) struct Reader<'a> {
    pub origin: &'a Arc<Origin>,
    pub text: &'a str,
    /// Overrides have no lines.
    pub has_lines: bool,
    pub problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub fn place(&self, span: Range<usize>) -> Place {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Place { origin: Arc::clone(self.origin), line: self.has_lines.then_some(line) }
    }

    pub fn table(&mut self, table: &DeTable<'_>, path: &str) -> Data {
        let mut entries: Vec<(Range<usize>, String, Node)> = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let mut node = self.value(value, &join(path, &name));
            if matches!(node.data, Data::Table(_)) {
                node.place = self.place(key.span());
            }
            entries.push((key.span(), name, node));
        }
        entries.sort_by_key(|(span, _, _)| span.start);
        Data::Table(entries.into_iter().map(|(_, name, node)| (name, node)).collect())
    }

    pub fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Node {
        let place = self.place(value.span());
        let data = match value.get_ref() {
            DeValue::String(text) => Data::String(text.to_string()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => Data::Integer(number),
                Err(_) => {
                    let message = format!("found {integer}, expected a whole number of at most 64 bits");
                    self.problems.push(Problem::at(&place, path, message));
                    Data::Integer(0)
                }
            },
            // The parser accepts only what Rust parses as a float; too large a number reads as infinity,
            // which `FromValue` refuses.
            DeValue::Float(float) => Data::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => Data::Boolean(*flag),
            DeValue::Datetime(datetime) => Data::Datetime(datetime.to_string()),
            DeValue::Array(items) => Data::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.value(item, &format!("{path}[{index}]")))
                    .collect(),
            ),
            DeValue::Table(table) => self.table(table, path),
        };
        Node { data, place }
    }
}

/// `path.key`, or `key` at the root; a key that TOML would need to quote is quoted.
pub(crate) fn join(path: &str, key: &str) -> String {
    let bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let key = if bare { key.to_string() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// What a [`Value`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// A whole number, written without a point.
    Integer,
    /// A number with a point or an exponent, an infinity or not-a-number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// A date, a time or both.
    Datetime,
    /// `[..]`, also `[[..]]`.
    Array,
    /// `{..}` or `[..]` header.
    Table,
}

/// A value as it stands in the file, for readers that learn only at run time what to expect.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(crate) node: &'a Node,
}

impl<'a> Value<'a> {
    /// What it is.
    pub fn kind(self) -> Kind {
        match self.node.data {
            Data::String(_) => Kind::String,
            Data::Integer(_) => Kind::Integer,
            Data::Float(_) => Kind::Float,
            Data::Boolean(_) => Kind::Boolean,
            Data::Datetime(_) => Kind::Datetime,
            Data::Array(_) => Kind::Array,
            Data::Table(_) => Kind::Table,
        }
    }

    /// The text, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match &self.node.data {
            Data::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(self) -> Option<i64> {
        match self.node.data {
            Data::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// The number, if it is one; whole numbers count.
    pub fn as_float(self) -> Option<f64> {
        match self.node.data {
            Data::Integer(number) => Some(number as f64),
            Data::Float(number) => Some(number),
            _ => None,
        }
    }

    /// The flag, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self.node.data {
            Data::Boolean(flag) => Some(flag),
            _ => None,
        }
    }

    /// The items, if it is an array.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Value<'a>>> {
        match &self.node.data {
            Data::Array(items) => Some(items.iter().map(|node| Value { node })),
            _ => None,
        }
    }

    /// The value without its place, to be written elsewhere; `None` of a date that TOML's own type does not hold.
    pub fn to_toml(self) -> Option<toml::Value> {
        let of = |node: &'a Node| Value { node }.to_toml();
        Some(match &self.node.data {
            Data::String(text) => text.clone().into(),
            Data::Integer(number) => (*number).into(),
            Data::Float(number) => (*number).into(),
            Data::Boolean(flag) => (*flag).into(),
            Data::Datetime(text) => toml::Value::Datetime(text.parse().ok()?),
            Data::Array(items) => toml::Value::Array(items.iter().map(of).collect::<Option<_>>()?),
            Data::Table(entries) => {
                let entry = |(key, node): &'a (String, Node)| Some((key.clone(), of(node)?));
                toml::Value::Table(entries.iter().map(entry).collect::<Option<_>>()?)
            }
        })
    }

    /// The error for a value that is not `what` (`a number from 0 to 1`): says what was found.
    pub fn expected(self, what: impl std::fmt::Display) -> Wrong {
        Wrong {
            path: String::new(),
            place: self.node.place.clone(),
            message: format!("found {self}, expected {what}"),
        }
    }

    pub(crate) fn folder(self) -> Option<&'a std::path::Path> {
        self.node.place.origin.folder.as_deref()
    }
}

impl std::fmt::Display for Value<'_> {
    /// The value as an error message shows it: short values whole, arrays and tables by name.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.node.data {
            Data::String(text) => write!(formatter, "{text:?}"),
            Data::Integer(number) => write!(formatter, "{number}"),
            Data::Float(number) => formatter.write_str(&number_text(*number)),
            Data::Boolean(flag) => write!(formatter, "{flag}"),
            Data::Datetime(text) => formatter.write_str(text),
            Data::Array(items) => {
                let scalar = |node: &Node| !matches!(node.data, Data::Array(_) | Data::Table(_));
                if items.len() > 4 || !items.iter().all(scalar) {
                    return write!(formatter, "an array of {}", items.len());
                }
                let items: Vec<String> = items.iter().map(|node| Value { node }.to_string()).collect();
                write!(formatter, "[{}]", items.join(", "))
            }
            Data::Table(_) => formatter.write_str("a table"),
        }
    }
}

/// A number as people write it: no exponent in the middle of the scale.
pub(crate) fn number_text(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 || (1e-5..1e15).contains(&size) || !number.is_finite() {
        number.to_string()
    } else {
        format!("{number:e}")
    }
}
