//! What is wrong with a configuration, and where.

use std::fmt;

use crate::node::Place;

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named, or the override (`--set a.b=c`).
    pub file: String,
    /// Line in the file, from 1; `None` where the problem belongs to no line.
    pub line: Option<usize>,
    /// TOML path (`augmentations.views[0].operators[2].probability`); empty for the file as a whole.
    pub path: String,
    /// What was found and what was expected.
    pub message: String,
    /// Files sort in the order in which a reader meets them: the named file, what it extends, overrides.
    order: usize,
}

impl Problem {
    /// A problem with a whole file, or with anything that has a name but no lines.
    pub fn with_file(file: impl Into<String>, message: impl fmt::Display) -> Problem {
        Problem { file: file.into(), line: None, path: String::new(), message: message.to_string(), order: 0 }
    }

    pub(crate) fn at(place: &Place, path: &str, message: impl fmt::Display) -> Problem {
        Problem {
            file: place.origin.name.clone(),
            line: place.line,
            path: path.to_string(),
            message: message.to_string(),
            order: place.origin.order,
        }
    }

    fn sort_key(&self) -> (usize, usize) {
        (self.order, self.line.unwrap_or(usize::MAX))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path)?;
        }
        write!(formatter, ": {}", self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok(value)` when `problems` is empty, else the problems sorted by file and line.
    pub fn unless_empty<T>(value: T, mut problems: Vec<Problem>) -> Result<T, Problems> {
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort_by_key(Problem::sort_key);
        problems.dedup();
        Err(Problems(problems))
    }

    /// The problems, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
