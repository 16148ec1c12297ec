//! The cursor that configuration structs read themselves with.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;

use crate::choice::{Choice, nearest};
use crate::document::Document;
use crate::from_value::FromValue;
use crate::node::{Data, Node, Place, Value, join};
use crate::problem::Problem;

/// Cursor on one table. Keys that were never asked for are reported as unknown when its reading ends.
pub struct Table<'a> {
    /// `None` for a table that the file leaves out.
    node: Option<&'a Node>,
    place: Place,
    path: String,
    asked: Vec<String>,
    accepts_any: bool,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(
        node: Option<&'a Node>,
        place: Place,
        path: String,
        problems: &'a RefCell<Vec<Problem>>,
    ) -> Table<'a> {
        Table { node, place, path, asked: Vec::new(), accepts_any: false, problems }
    }

    /// The value under `key`. Missing or wrong: a problem, and the type's default comes back.
    pub fn required<T: FromValue + Default>(&mut self, key: &str) -> T {
        match self.find(key) {
            Some(node) => self.convert(key, node).unwrap_or_default(),
            None => {
                self.problem(Some(key), format!("missing, expected {}", T::expected()));
                T::default()
            }
        }
    }

    /// The value under `key`, if there is one. Wrong: a problem and `None`.
    pub fn optional<T: FromValue>(&mut self, key: &str) -> Option<T> {
        self.find(key).and_then(|node| self.convert(key, node))
    }

    /// The value under `key`, or `default`. Wrong: a problem and `default`.
    pub fn or<T: FromValue>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// As [`required`](Self::required), for numbers within `range`.
    pub fn required_in<T: Number>(&mut self, key: &str, range: impl RangeBounds<T>) -> T {
        match self.find(key) {
            Some(_) => self.optional_in(key, range).unwrap_or_default(),
            None => {
                self.problem(Some(key), format!("missing, expected {}", range_text(&range)));
                T::default()
            }
        }
    }

    /// As [`optional`](Self::optional), for numbers within `range`.
    pub fn optional_in<T: Number>(&mut self, key: &str, range: impl RangeBounds<T>) -> Option<T> {
        let node = self.find(key)?;
        let number: T = self.convert(key, node)?;
        if range.contains(&number) {
            return Some(number);
        }
        self.problem(Some(key), format!("found {}, expected {}", Value { node }, range_text(&range)));
        None
    }

    /// As [`or`](Self::or), for numbers within `range`; `default` itself is not checked.
    pub fn or_in<T: Number>(&mut self, key: &str, default: T, range: impl RangeBounds<T>) -> T {
        self.optional_in(key, range).unwrap_or(default)
    }

    /// One of an enum's choices by its text, or `default`. Wrong: a problem and `default`.
    pub fn choice<T: Choice>(&mut self, key: &str, default: T) -> T {
        self.optional_choice(key).unwrap_or(default)
    }

    /// One of an enum's choices by its text, if the key is there. Wrong: a problem and `None`.
    pub fn optional_choice<T: Choice>(&mut self, key: &str) -> Option<T> {
        let node = self.find(key)?;
        let texts = || T::ALL.iter().map(|(text, _)| *text);
        let found = Value { node }.as_str();
        if let Some(&(_, choice)) = T::ALL.iter().find(|(text, _)| Some(*text) == found) {
            return Some(choice);
        }
        let all: Vec<String> = texts().map(|text| format!("{text:?}")).collect();
        let mut message = format!("found {}, expected one of {}", Value { node }, all.join(", "));
        if let Some(near) = found.and_then(|found| nearest(found, texts())) {
            message.push_str(&format!("; did you mean {near:?}?"));
        }
        self.problem(Some(key), message);
        None
    }

    /// One of an enum's choices by its text. Missing or wrong: a problem, and the first choice comes back.
    pub fn required_choice<T: Choice>(&mut self, key: &str) -> T {
        if !self.has(key) {
            let all: Vec<String> = T::ALL.iter().map(|(text, _)| format!("{text:?}")).collect();
            self.problem(Some(key), format!("missing, expected one of {}", all.join(", ")));
        }
        self.choice(key, T::ALL[0].1)
    }

    /// Reads the table under `key`; `None` when there is none.
    pub fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
        let node = self.find(key)?;
        if !matches!(node.data, Data::Table(_)) {
            self.problem(Some(key), format!("found {}, expected a table", Value { node }));
            return None;
        }
        Some(self.read_child(Some(node), node.place.clone(), join(&self.path, key), read))
    }

    /// Reads the table under `key`; when there is none, an empty one, so that defaults apply and required
    /// keys are reported.
    pub fn table_or_empty<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_>) -> T) -> T {
        let node = self.find(key);
        if let Some(node) = node.filter(|node| !matches!(node.data, Data::Table(_))) {
            self.problem(Some(key), format!("found {}, expected a table", Value { node }));
            // Its missing keys would only repeat that it is not a table.
            let silent = RefCell::new(Vec::new());
            let mut table = Table::new(None, node.place.clone(), join(&self.path, key), &silent);
            return read(&mut table);
        }
        let place = node.map_or_else(|| self.place.clone(), |node| node.place.clone());
        self.read_child(node, place, join(&self.path, key), read)
    }

    /// Reads each table of the array under `key`, written as `[[key]]` or inline; none when it is absent.
    pub fn tables<T>(&mut self, key: &str, mut read: impl FnMut(&mut Table<'_>) -> T) -> Vec<T> {
        let Some(node) = self.find(key) else { return Vec::new() };
        let Data::Array(items) = &node.data else {
            self.problem(Some(key), format!("found {}, expected an array of tables", Value { node }));
            return Vec::new();
        };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", join(&self.path, key));
            if matches!(item.data, Data::Table(_)) {
                values.push(self.read_child(Some(item), item.place.clone(), path, &mut read));
            } else {
                let message = format!("found {}, expected a table", Value { node: item });
                self.report(&item.place, &path, message);
            }
        }
        values
    }

    /// Reads each table inside the table under `key` (`[bases.byol]`, `[bases.simclr]`) with its name, in
    /// file order; none when it is absent.
    pub fn named_tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&str, &mut Table<'_>) -> T,
    ) -> Vec<(String, T)> {
        self.table(key, |parent| {
            let mut values = Vec::new();
            for name in parent.keys() {
                if let Some(value) = parent.table(&name, |child| read(&name, child)) {
                    values.push((name, value));
                }
            }
            values
        })
        .unwrap_or_default()
    }

    /// Reads the whole TOML file whose path stands under `key`, as [`Document::load`] does; `None` when
    /// there is no such key or the file cannot be loaded, which is then reported. Its problems come
    /// together with this document's.
    pub fn file<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_>) -> T) -> Option<T> {
        let path: PathBuf = self.optional(key)?;
        if let Err(error) = std::fs::metadata(&path) {
            self.problem(Some(key), format!("{} cannot be read: {error}", path.display()));
            return None;
        }
        // Behind everything that this document itself can have: no document is made of as many files.
        let first_order = self.place.origin.order + 1_000_000;
        match Document::load_after(&path, &[], first_order) {
            Ok(document) => Some(document.read_into(self.problems, read)),
            Err(problems) => {
                self.problems.borrow_mut().extend(problems.iter().cloned());
                None
            }
        }
    }

    /// Whether the table holds `key`. Doesn't count as asking for it.
    pub fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.entry(key).is_some())
    }

    /// All keys, in file order. Doesn't count as asking for them.
    pub fn keys(&self) -> Vec<String> {
        match self.node.map(|node| &node.data) {
            Some(Data::Table(entries)) => entries.iter().map(|(key, _)| key.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value under `key` as it stands, for readers that learn only at run time what to expect.
    pub fn value(&mut self, key: &str) -> Option<Value<'a>> {
        self.find(key).map(|node| Value { node })
    }

    /// TOML path of the table; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reports something that the caller found wrong, at the place of `key` where it is given, else of the
    /// table.
    pub fn problem(&mut self, key: Option<&str>, message: impl Display) {
        let place = key.and_then(|key| self.node?.entry(key)).map_or(&self.place, |node| &node.place);
        let path = key.map_or_else(|| self.path.clone(), |key| join(&self.path, key));
        self.report(place, &path, message);
    }

    /// Keys that are not asked for are no problem in this table: its reader could not tell what they mean
    /// (because the
    /// `id` that says so is wrong, for example).
    pub fn accept_any_key(&mut self) {
        self.accepts_any = true;
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(mut self) {
        if self.accepts_any {
            return;
        }
        for key in self.keys() {
            if self.asked.contains(&key) {
                continue;
            }
            let message = match nearest(&key, self.asked.iter().map(String::as_str)) {
                Some(near) => format!("unknown key, did you mean `{near}`?"),
                None if self.asked.is_empty() => "unknown key, expected none here".to_string(),
                None => format!("unknown key, expected one of {}", self.asked.join(", ")),
            };
            self.problem(Some(&key), message);
        }
    }

    fn find(&mut self, key: &str) -> Option<&'a Node> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_string());
        }
        self.node?.entry(key)
    }

    fn convert<T: FromValue>(&mut self, key: &str, node: &Node) -> Option<T> {
        T::from_value(Value { node })
            .map_err(|wrong| {
                let path = format!("{}{}", join(&self.path, key), wrong.path);
                self.report(&wrong.place, &path, wrong.message);
            })
            .ok()
    }

    fn read_child<T>(
        &self,
        node: Option<&Node>,
        place: Place,
        path: String,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let mut child = Table::new(node, place, path, self.problems);
        let value = read(&mut child);
        child.finish();
        value
    }

    fn report(&self, place: &Place, path: &str, message: impl Display) {
        self.problems.borrow_mut().push(Problem::at(place, path, message));
    }
}

/// Numbers that can be checked against a range.
pub trait Number: FromValue + Default + PartialOrd + Copy + Display {}
impl<T: FromValue + Default + PartialOrd + Copy + Display> Number for T {}

fn range_text<T: Number>(range: &impl RangeBounds<T>) -> String {
    let what = T::expected();
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => format!("{what} from {low} to {high}"),
        (Bound::Included(low), Bound::Excluded(high)) => format!("{what} from {low} to below {high}"),
        (Bound::Excluded(low), Bound::Included(high)) => format!("{what} above {low}, at most {high}"),
        (Bound::Excluded(low), Bound::Excluded(high)) => format!("{what} above {low} and below {high}"),
        (Bound::Included(low), Bound::Unbounded) => format!("{what} of at least {low}"),
        (Bound::Excluded(low), Bound::Unbounded) => format!("{what} above {low}"),
        (Bound::Unbounded, Bound::Included(high)) => format!("{what} of at most {high}"),
        (Bound::Unbounded, Bound::Excluded(high)) => format!("{what} below {high}"),
        (Bound::Unbounded, Bound::Unbounded) => what,
    }
}
