//! The protocols on features that are taken once: `[linear]` and `[knn]`.

use diptych_config::{Kind, Table};

use super::{HeldOut, grid};

/// `[linear]`: logistic regression by L-BFGS.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearConfig {
    /// Each feature is brought to mean 0 and deviation 1 over the images that are fitted on.
    pub standardize: bool,
    /// Penalties to choose from; one is no choice.
    pub l2: Vec<f64>,
    /// What the choice is made on where there are no validation images; the chosen one is then fitted on all.
    pub held_out: HeldOut,
}

/// `[knn]`: weighted nearest neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnConfig {
    /// Neighbours, a result for each.
    pub k: Vec<u32>,
    /// Of the weights exp(cosine / temperature).
    pub temperature: f64,
}

impl LinearConfig {
    pub(super) fn read(table: &mut Table<'_>) -> LinearConfig {
        LinearConfig {
            standardize: table.or("standardize", true),
            l2: grid::read(table, "l2", &[1e-4], true),
            held_out: HeldOut::read(table),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("standardize".into(), self.standardize.into());
        table.insert("l2".into(), self.l2.clone().into());
        self.held_out.insert(&mut table);
        table
    }
}

impl KnnConfig {
    pub(super) fn read(table: &mut Table<'_>) -> KnnConfig {
        const RANGE: std::ops::RangeInclusive<u32> = 1..=100_000;
        let is_list = table.value("k").is_some_and(|value| value.kind() == Kind::Array);
        let k = if is_list { table.or("k", vec![20]) } else { vec![table.or_in("k", 20, RANGE)] };
        let repeated = k.iter().enumerate().any(|(index, value)| k[..index].contains(value));
        if k.is_empty() || repeated || k.iter().any(|k| !RANGE.contains(k)) {
            table.problem(Some("k"), format!("found {k:?}, expected different numbers from 1 to 100000"));
        }
        KnnConfig { k, temperature: table.or_in("temperature", 0.07, 0.001..) }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let k: Vec<i64> = self.k.iter().map(|k| i64::from(*k)).collect();
        toml::Table::from_iter([
            ("k".to_owned(), toml::Value::from(k)),
            ("temperature".to_owned(), self.temperature.into()),
        ])
    }
}
