//! Augmentation sets: which operators each view goes through, as TOML says.

use std::ops::RangeInclusive;

use diptych_config::Table;
use diptych_host::{InstanceError, Parameters, Registry, Size, read_parameters};

use super::chain::{Chain, ChainError, Step, ViewKey};
use crate::error::Error;

/// The views of a sample.
///
/// ```toml
/// [[views]]
/// name = "first"                      # optional: view1, view2, ...
/// operators = [
///     { id = "random_resized_crop", size_pixels = 224 },
///     { id = "grayscale", probability = 0.2 },
///     { id = "gaussian_blur", name = "second_blur", probability = 0.1 },
/// ]
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ViewSet {
    /// At least one.
    pub views: Vec<View>,
}

/// One view: operators in the order in which they are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// For messages and reports.
    pub name: String,
    /// May be empty: the decoded image itself.
    pub operators: Vec<Operator>,
}

/// One operator of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Unique in its view; the component's id when TOML gives none. Its random draws are keyed by it.
    pub name: String,
    /// Chance of being applied to a sample, 0 to 1; `None` for components that are always applied.
    pub probability: Option<f64>,
    /// The component and its parameters.
    pub parameters: Parameters,
}

const PROBABILITIES: RangeInclusive<f64> = 0.0..=1.0;

impl ViewSet {
    /// Reads the table `[augmentations]` of a configuration: `views` itself or the file `set` that holds
    /// them, then what changes them: `only` and `remove`, lists of names of operators to keep or to leave out, and the arrays
    /// of operators `replace` (each with the `operator` whose place it takes) and `add` (each with the one that it comes
    /// `after`). A name is meant in every view, `view.name` in one.
    pub fn read(table: &mut Table<'_>, registry: &Registry) -> ViewSet {
        let in_file = table.file("set", |file| Self::read_views(file, registry));
        let mut set = match in_file {
            Some(set) => {
                if table.has("views") {
                    table.problem(Some("views"), "stands beside `set`, expected one of the two");
                }
                // Asked for, so that it is not reported as unknown too.
                table.value("views");
                set
            }
            None if table.has("set") => {
                table.value("views");
                ViewSet { views: Vec::new() }
            }
            None if table.has("views") => Self::read_views(table, registry),
            None => {
                table.value("views");
                table.problem(None, "names no views, expected `set` (a file) or `views`");
                ViewSet { views: Vec::new() }
            }
        };
        set.read_edits(table, registry);
        set
    }

    /// Reads the array `views` of a table.
    pub fn read_views(table: &mut Table<'_>, registry: &Registry) -> ViewSet {
        let mut number = 0;
        let views = table.tables("views", |view| {
            number += 1;
            View::read(view, number, registry)
        });
        if views.is_empty() {
            table.problem(Some("views"), "found none, expected at least one view");
        }
        ViewSet { views }
    }

    /// The set as TOML that [`read`](Self::read) reads back: every name, probability and parameter,
    /// defaults included.
    pub fn to_toml(&self) -> toml::Table {
        let views = self.views.iter().map(|view| {
            let operators = view.operators.iter().map(|operator| toml::Value::Table(operator.to_toml()));
            let mut table = toml::Table::new();
            table.insert("name".into(), view.name.clone().into());
            table.insert("operators".into(), toml::Value::Array(operators.collect()));
            toml::Value::Table(table)
        });
        let mut table = toml::Table::new();
        table.insert("views".into(), toml::Value::Array(views.collect()));
        table
    }

    /// The sizes that the views of an image of `input` pixels have, under draws like any other.
    ///
    /// # Errors
    /// An operator can't be made, or can't be applied to such an image.
    pub fn sizes(&self, input: Size) -> Result<Vec<Size>, Error> {
        let (mut chains, mut sizes) = (self.chains()?, Vec::new());
        plan_all(&mut chains, input, (0, 0, 0), &mut sizes)
            .map_err(|(chain, error)| Error::operator(&chains[chain].name, error, None))?;
        Ok(sizes)
    }

    /// Instances of all operators, for one worker.
    pub(crate) fn chains(&self) -> Result<Vec<Chain>, InstanceError> {
        self.views.iter().map(View::chain).collect()
    }
}

/// Plans all views of one sample (seed, epoch, sample id) and writes their sizes. The error names the chain
/// by its index.
pub(crate) fn plan_all(
    chains: &mut [Chain],
    input: Size,
    (seed, epoch, sample): (u64, u64, u64),
    sizes: &mut Vec<Size>,
) -> Result<(), (usize, ChainError)> {
    sizes.clear();
    for (index, chain) in chains.iter_mut().enumerate() {
        let key = ViewKey { seed, epoch, sample, view: index as u32 };
        sizes.push(chain.plan(input, key).map_err(|error| (index, error))?);
    }
    Ok(())
}

impl View {
    fn read(table: &mut Table<'_>, number: usize, registry: &Registry) -> View {
        let name = table.or("name", format!("view{number}"));
        let mut names: Vec<String> = Vec::new();
        let operators = table.tables("operators", |table| {
            let operator = Operator::read(table, registry);
            if let Some(operator) = &operator {
                if names.contains(&operator.name) {
                    let message = format!(
                        "a second operator is called `{}` in this view; give each a `name` of its own",
                        operator.name
                    );
                    table.problem(None, message);
                }
                names.push(operator.name.clone());
            }
            operator
        });
        View { name, operators: operators.into_iter().flatten().collect() }
    }

    fn chain(&self) -> Result<Chain, InstanceError> {
        let step = |operator: &Operator| {
            let augmentation = operator.parameters.component().create_augmentation(&operator.parameters)?;
            Ok(Step::new(operator.name.clone(), operator.probability, augmentation))
        };
        Ok(Chain {
            name: self.name.clone(),
            steps: self.operators.iter().map(step).collect::<Result<_, _>>()?,
        })
    }
}

impl Operator {
    /// `None` when the component is unknown, which is then reported.
    pub(super) fn read(table: &mut Table<'_>, registry: &Registry) -> Option<Operator> {
        let has_id = table.has("id");
        let id: String = table.required("id");
        let component = match registry.augmentation(&id) {
            Ok(component) => component,
            Err(error) => {
                // A missing id is reported as such.
                if has_id && !id.is_empty() {
                    table.problem(Some("id"), error);
                }
                // What every operator has is checked all the same; the other keys are unknown with their meaning.
                let _: Option<String> = table.optional("name");
                let _: Option<f64> = table.optional_in("probability", PROBABILITIES);
                table.accept_any_key();
                return None;
            }
        };
        let name = table.or("name", id.clone());
        let probability = if component.takes_probability() {
            Some(table.or_in("probability", 1.0, PROBABILITIES))
        } else {
            if table.value("probability").is_some() {
                let message = format!("`{id}` is always applied, expected no probability");
                table.problem(Some("probability"), message);
            }
            None
        };
        let parameters = read_parameters(component, table);
        Some(Operator { name, probability, parameters })
    }

    fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("id".into(), self.parameters.component().id().into());
        table.insert("name".into(), self.name.clone().into());
        if let Some(probability) = self.probability {
            table.insert("probability".into(), probability.into());
        }
        self.parameters.to_toml(&mut table);
        table
    }
}
