//! The configuration of an evaluation on frozen features.

use diptych_config::{Document, Problems, Table};
use diptych_host::Registry;
use diptych_pipeline::{SourceConfig, ViewSet};

use super::sections::ReadingConfig;

/// What to evaluate on, and how.
#[derive(Clone)]
pub struct EvaluationConfig {
    /// Labelled images that classifiers are fitted on.
    pub train: SourceConfig,
    /// Labelled images that they are judged on.
    pub test: SourceConfig,
    /// What images that can't be read do.
    pub reading: ReadingConfig,
    /// Samples per pass of the encoder.
    pub batch_size: u32,
    /// Threads that decode; 0 for one per core.
    pub workers: usize,
    /// One view.
    pub views: ViewSet,
    /// `[linear]`
    pub linear: LinearConfig,
    /// `[knn]`
    pub knn: KnnConfig,
}

/// `[linear]`: logistic regression.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearConfig {
    /// Each feature is brought to mean 0 and deviation 1 over the training images.
    pub standardize: bool,
    /// Penalties to choose from; one is no choice.
    pub l2: Vec<f64>,
    /// Share of the training images that the choice is made on; the chosen one is then fitted on all.
    pub held_out_fraction: f64,
    /// Key of the draw of the held-out images.
    pub seed: u64,
}

/// `[knn]`: weighted nearest neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct KnnConfig {
    /// Neighbours.
    pub k: u32,
    /// Of the weights exp(cosine / temperature).
    pub temperature: f64,
}

impl EvaluationConfig {
    /// Reads and checks a whole configuration; every problem in it is reported.
    pub fn read(document: &Document, registry: &Registry) -> Result<EvaluationConfig, Problems> {
        document.read(|table| {
            let ([train, test], reading) = table.table_or_empty("data", |table| {
                let sources = ["train", "test"].map(|key| SourceConfig::read_at(table, key));
                (sources, ReadingConfig::read(table))
            });
            let (batch_size, workers) = table.table_or_empty("loader", |table| {
                (table.or_in("batch_size", 256, 1..=1_000_000), table.or_in("workers", 0, 0..=1024))
            });
            let views = table.table_or_empty("augmentations", |table| {
                let views = ViewSet::read(table, registry);
                if views.views.len() > 1 {
                    table.problem(None, format!("found {} views, expected one", views.views.len()));
                }
                views
            });
            let linear = table.table_or_empty("linear", LinearConfig::read);
            let knn = table.table_or_empty("knn", KnnConfig::read);
            EvaluationConfig { train, test, reading, batch_size, workers, views, linear, knn }
        })
    }

    /// The resolved configuration.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        let data = [("train", &self.train), ("test", &self.test)];
        let data = data.map(|(key, source)| (key.to_owned(), toml::Value::from(source.to_toml())));
        let mut data = toml::Table::from_iter(data);
        self.reading.insert(&mut data);
        table.insert("data".into(), data.into());
        let mut loader = toml::Table::new();
        loader.insert("batch_size".into(), i64::from(self.batch_size).into());
        loader.insert("workers".into(), (self.workers as i64).into());
        table.insert("loader".into(), loader.into());
        table.insert("augmentations".into(), self.views.to_toml().into());
        table.insert("linear".into(), self.linear.to_toml().into());
        table.insert("knn".into(), self.knn.to_toml().into());
        table
    }
}

impl LinearConfig {
    fn read(table: &mut Table<'_>) -> LinearConfig {
        let l2: Vec<f64> = table.or("l2", vec![1e-4]);
        if l2.is_empty() || l2.iter().any(|l2| *l2 < 0.0 || !l2.is_finite()) {
            table.problem(Some("l2"), format!("found {l2:?}, expected one or more numbers from 0"));
        }
        LinearConfig {
            standardize: table.or("standardize", true),
            l2,
            held_out_fraction: table.or_in("held_out_fraction", 0.1, 0.01..=0.9),
            seed: table.or_in("seed", 0, 0..=i64::MAX as u64),
        }
    }

    pub(crate) fn to_toml(&self) -> toml::Table {
        toml::Table::from_iter([
            ("standardize".to_owned(), self.standardize.into()),
            ("l2".to_owned(), self.l2.clone().into()),
            ("held_out_fraction".to_owned(), self.held_out_fraction.into()),
            ("seed".to_owned(), toml::Value::Integer(self.seed as i64)),
        ])
    }
}

impl KnnConfig {
    fn read(table: &mut Table<'_>) -> KnnConfig {
        KnnConfig {
            k: table.or_in("k", 20, 1..=100_000),
            temperature: table.or_in("temperature", 0.07, 0.001..),
        }
    }

    pub(crate) fn to_toml(&self) -> toml::Table {
        toml::Table::from_iter([
            ("k".to_owned(), toml::Value::from(i64::from(self.k))),
            ("temperature".to_owned(), self.temperature.into()),
        ])
    }
}
