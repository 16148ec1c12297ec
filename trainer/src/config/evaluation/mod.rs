//! The configuration of an evaluation: the images, what is judged, and a table for each protocol.

mod features;
mod grid;
mod training;

#[cfg(test)]
mod tests;

use diptych_config::{Choice, Document, Problems, Table, choices};
use diptych_host::Registry;
use diptych_pipeline::{SourceConfig, ViewSet};

pub use features::{KnnConfig, LinearConfig};
pub use training::{FineTuneConfig, LinearSgdConfig, SemiSupervisedConfig, TrainingConfig};

use super::sections::ReadingConfig;

choices! {
    /// Whose weights are judged.
    pub enum NetworkRole {
        /// The network that the optimizer steps.
        Online = "online",
        /// Its moving average, of a run whose target is `ema`.
        Target = "target",
    }
}

choices! {
    /// Which of a network's vectors are features.
    pub enum Layer {
        /// y, the encoder's.
        Embedding = "embedding",
        /// z, the projector's.
        Projection = "projection",
    }
}

choices! {
    /// What the best of a grid is best in.
    pub enum Metric {
        /// Top-1 accuracy.
        Top1 = "top1",
        /// Top-1 accuracy averaged over classes.
        MeanPerClass = "mean_per_class",
    }
}

/// What to evaluate on, and how.
#[derive(Clone)]
pub struct EvaluationConfig {
    /// Whose weights.
    pub network: NetworkRole,
    /// Which features.
    pub layer: Layer,
    /// What the best of a grid is best in.
    pub metric: Metric,
    /// Labelled images that classifiers are fitted on.
    pub train: SourceConfig,
    /// Labelled images that the best of a grid is chosen on; without them, a held-out part of `train`.
    pub validation: Option<SourceConfig>,
    /// Labelled images that classifiers are judged on.
    pub test: SourceConfig,
    /// What images that can't be read do.
    pub reading: ReadingConfig,
    /// Samples per pass of the encoder.
    pub batch_size: u32,
    /// Threads that decode; 0 for one per core.
    pub workers: usize,
    /// One view: of every image that is judged, and of those that features are taken of once.
    pub views: ViewSet,
    /// `[linear]`
    pub linear: Option<LinearConfig>,
    /// `[knn]`
    pub knn: Option<KnnConfig>,
    /// `[linear_sgd]`
    pub linear_sgd: Option<LinearSgdConfig>,
    /// `[semi_supervised]`
    pub semi_supervised: Option<SemiSupervisedConfig>,
    /// `[fine_tune]`
    pub fine_tune: Option<FineTuneConfig>,
}

/// Training images that a choice is made on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOut {
    /// How many.
    pub size: HeldOutSize,
    /// Key of their draw, and of the protocol's other draws.
    pub seed: u64,
}

/// How many training images are held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeldOutSize {
    /// So many.
    Images(u64),
    /// This share of all.
    Fraction(f64),
}

impl EvaluationConfig {
    /// Reads and checks a whole configuration; every problem in it is reported.
    pub fn read(document: &Document, registry: &Registry) -> Result<EvaluationConfig, Problems> {
        document.read(|table| {
            let network = table.choice("network", NetworkRole::Online);
            let layer = table.choice("layer", Layer::Embedding);
            let metric = table.choice("metric", Metric::Top1);
            let (sources, validation, reading) = table.table_or_empty("data", |table| {
                let sources = ["train", "test"].map(|key| SourceConfig::read_at(table, key));
                let validation = table.has("validation").then(|| SourceConfig::read_at(table, "validation"));
                // Asked for, so that it is known as a key even where it is absent.
                table.value("validation");
                (sources, validation, ReadingConfig::read(table))
            });
            let [train, test] = sources;
            let (batch_size, workers) = table.table_or_empty("loader", |table| {
                (table.or_in("batch_size", 256, 1..=1_000_000), table.or_in("workers", 0, 0..=1024))
            });
            let views = table.table_or_empty("augmentations", |table| read_view(table, registry));
            let config = EvaluationConfig {
                network,
                layer,
                metric,
                train,
                validation,
                test,
                reading,
                batch_size,
                workers,
                views,
                linear: table.table("linear", LinearConfig::read),
                knn: table.table("knn", KnnConfig::read),
                linear_sgd: table.table("linear_sgd", |table| LinearSgdConfig::read(table, registry)),
                semi_supervised: table
                    .table("semi_supervised", |table| SemiSupervisedConfig::read(table, registry)),
                fine_tune: table.table("fine_tune", |table| FineTuneConfig::read(table, registry)),
            };
            if config.protocols().is_empty() {
                table.problem(
                    None,
                    "names no protocol, expected one or more of [linear], [knn], [linear_sgd], [semi_supervised], [fine_tune]",
                );
            }
            config
        })
    }

    /// The tables of the protocols that are asked for, by name.
    pub fn protocols(&self) -> Vec<(&'static str, toml::Table)> {
        let tables = [
            ("linear", self.linear.as_ref().map(LinearConfig::to_toml)),
            ("knn", self.knn.as_ref().map(KnnConfig::to_toml)),
            ("linear_sgd", self.linear_sgd.as_ref().map(LinearSgdConfig::to_toml)),
            ("semi_supervised", self.semi_supervised.as_ref().map(SemiSupervisedConfig::to_toml)),
            ("fine_tune", self.fine_tune.as_ref().map(FineTuneConfig::to_toml)),
        ];
        tables.into_iter().filter_map(|(name, table)| Some((name, table?))).collect()
    }

    /// The resolved configuration.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("network".into(), self.network.text().into());
        table.insert("layer".into(), self.layer.text().into());
        table.insert("metric".into(), self.metric.text().into());
        let sources = [
            ("train", Some(&self.train)),
            ("validation", self.validation.as_ref()),
            ("test", Some(&self.test)),
        ];
        let mut data = toml::Table::new();
        for (key, source) in sources {
            if let Some(source) = source {
                data.insert(key.into(), source.to_toml().into());
            }
        }
        self.reading.insert(&mut data);
        table.insert("data".into(), data.into());
        let mut loader = toml::Table::new();
        loader.insert("batch_size".into(), i64::from(self.batch_size).into());
        loader.insert("workers".into(), (self.workers as i64).into());
        table.insert("loader".into(), loader.into());
        table.insert("augmentations".into(), self.views.to_toml().into());
        for (name, protocol) in self.protocols() {
            table.insert(name.into(), protocol.into());
        }
        table
    }
}

/// A set of one view.
fn read_view(table: &mut Table<'_>, registry: &Registry) -> ViewSet {
    let views = ViewSet::read(table, registry);
    if views.views.len() > 1 {
        table.problem(None, format!("found {} views, expected one", views.views.len()));
    }
    views
}

impl HeldOut {
    fn read(table: &mut Table<'_>) -> HeldOut {
        let fraction = table.optional_in("held_out_fraction", 0.0001..=0.9);
        let images = table.optional_in("held_out_images", 1_u64..);
        if fraction.is_some() && images.is_some() {
            table.problem(Some("held_out_images"), "found beside held_out_fraction, expected one of the two");
        }
        let size = images.map_or(HeldOutSize::Fraction(fraction.unwrap_or(0.1)), HeldOutSize::Images);
        HeldOut { size, seed: table.or_in("seed", 0, 0..=i64::MAX as u64) }
    }

    fn insert(&self, table: &mut toml::Table) {
        match self.size {
            HeldOutSize::Images(images) => table.insert("held_out_images".into(), (images as i64).into()),
            HeldOutSize::Fraction(fraction) => table.insert("held_out_fraction".into(), fraction.into()),
        };
        table.insert("seed".into(), (self.seed as i64).into());
    }

    /// How many of `samples`.
    pub fn count(&self, samples: usize) -> usize {
        match self.size {
            HeldOutSize::Images(images) => usize::try_from(images).unwrap_or(usize::MAX),
            HeldOutSize::Fraction(fraction) => (samples as f64 * fraction).round() as usize,
        }
    }
}
