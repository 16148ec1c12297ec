//! What ablations do to an augmentation set: operators are left out, kept alone, replaced or added.
//!
//! A name stands for the operators called so in every view, `view.name` for the one of that view. What the others draw
//! stays as it was, for draws are keyed by the names of operators.

use diptych_config::{Table, nearest};
use diptych_host::Registry;

use super::view_set::{Operator, View, ViewSet};

/// A name that no operator of a set has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no operator is called `{name}`{}; there are {}", hint(.nearest), .known.join(", "))]
pub struct UnknownOperator {
    /// The name.
    pub name: String,
    /// The most similar one that exists.
    pub nearest: Option<String>,
    /// All that exist.
    pub known: Vec<String>,
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |nearest| format!(", did you mean `{nearest}`?"))
}

/// Why an operator cannot be put into a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is nothing to replace, or to follow.
    #[error(transparent)]
    Unknown(#[from] UnknownOperator),
    /// Draws are keyed by names, so that two operators of a view cannot share one.
    #[error("view `{view}` already has an operator called `{name}`; give the new one a `name` of its own")]
    Taken {
        /// The view.
        view: String,
        /// The name.
        name: String,
    },
}

impl ViewSet {
    /// Reads `only`, `remove`, `replace` and `add`, and applies them in this order. Names cannot be checked against a set that
    /// could not be read.
    pub(super) fn read_edits(&mut self, table: &mut Table<'_>, registry: &Registry) {
        let was_read = !self.views.is_empty();
        let only = table.optional::<Vec<String>>("only").filter(|_| was_read);
        if let Some(Err(error)) = only.map(|names| self.only(&names)) {
            table.problem(Some("only"), error);
        }
        let remove = table.optional::<Vec<String>>("remove").filter(|_| was_read);
        if let Some(Err(error)) = remove.map(|names| self.remove(&names)) {
            table.problem(Some("remove"), error);
        }
        table.tables("replace", |table| {
            let name: String = table.required("operator");
            if let (Some(new), true) = (Operator::read(table, registry), was_read && !name.is_empty())
                && let Err(error) = self.replace(&name, &new)
            {
                table.problem(Some("operator"), error);
            }
        });
        table.tables("add", |table| {
            let name: String = table.required("after");
            if let (Some(new), true) = (Operator::read(table, registry), was_read && !name.is_empty())
                && let Err(error) = self.add(&name, &new)
            {
                table.problem(Some("after"), error);
            }
        });
    }

    /// Takes the operators called `names` out. What the others draw stays as it was.
    pub fn remove(&mut self, names: &[String]) -> Result<(), UnknownOperator> {
        self.check_names(names)?;
        self.retain(|view, operator| !names.iter().any(|name| is_called(name, view, operator)));
        Ok(())
    }

    /// Keeps only the operators called `names`.
    pub fn only(&mut self, names: &[String]) -> Result<(), UnknownOperator> {
        self.check_names(names)?;
        self.retain(|view, operator| names.iter().any(|name| is_called(name, view, operator)));
        Ok(())
    }

    /// Puts `new` where the operators called `name` are.
    pub fn replace(&mut self, name: &str, new: &Operator) -> Result<(), EditError> {
        self.put(name, new, |operators, place| operators[place] = new.clone())
    }

    /// Puts `new` behind the operators called `after`.
    pub fn add(&mut self, after: &str, new: &Operator) -> Result<(), EditError> {
        self.put(after, new, |operators, place| operators.insert(place + 1, new.clone()))
    }

    fn put(
        &mut self,
        name: &str,
        new: &Operator,
        put: impl Fn(&mut Vec<Operator>, usize),
    ) -> Result<(), EditError> {
        self.check_names(&[name.to_string()])?;
        for view in &mut self.views {
            let called = |operator: &Operator| is_called(name, &view.name, operator);
            let Some(place) = view.operators.iter().position(called) else { continue };
            put(&mut view.operators, place);
            if view.operators.iter().filter(|operator| operator.name == new.name).count() > 1 {
                return Err(EditError::Taken { view: view.name.clone(), name: new.name.clone() });
            }
        }
        Ok(())
    }

    fn retain(&mut self, keep: impl Fn(&str, &Operator) -> bool) {
        for View { name, operators } in &mut self.views {
            operators.retain(|operator| keep(name, operator));
        }
    }

    fn check_names(&self, names: &[String]) -> Result<(), UnknownOperator> {
        let operators =
            || self.views.iter().flat_map(|view| view.operators.iter().map(move |operator| (view, operator)));
        let exists =
            |name: &String| operators().any(|(view, operator)| is_called(name, &view.name, operator));
        let Some(name) = names.iter().find(|name| !exists(name)) else { return Ok(()) };
        let mut known: Vec<&str> = Vec::new();
        for (_, operator) in operators() {
            if !known.contains(&operator.name.as_str()) {
                known.push(&operator.name);
            }
        }
        Err(UnknownOperator {
            name: name.clone(),
            nearest: nearest(name, known.iter().copied()).map(str::to_string),
            known: known.iter().map(|name| name.to_string()).collect(),
        })
    }
}

/// By its name, or by its view's and its name.
fn is_called(name: &str, view: &str, operator: &Operator) -> bool {
    let in_view = || name.strip_prefix(view)?.strip_prefix('.');
    name == operator.name || in_view() == Some(&*operator.name)
}
