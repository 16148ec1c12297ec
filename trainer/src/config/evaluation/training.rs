//! The protocols that train on fresh views of the images: `[linear_sgd]`, `[semi_supervised]` and `[fine_tune]`.
//!
//! All of them step by SGD with Nesterov's momentum. Each setting of the grid is trained, and the best on held-out images
//! is judged.

use diptych_config::{Choice, Table};
use diptych_host::Registry;
use diptych_pipeline::ViewSet;

use super::super::optimization::{Decay, Scaling};
use super::{HeldOut, grid, read_view};

/// What the three have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingConfig {
    /// Samples per step.
    pub batch_size: u32,
    /// To choose from; one of everything is no choice.
    pub learning_rates: Vec<f64>,
    /// How they follow the batch size.
    pub scaling: Scaling,
    /// How they end.
    pub decay: Decay,
    /// Of SGD.
    pub momentum: f64,
    /// What the choice is made on where there are no validation images.
    pub held_out: HeldOut,
    /// One view, drawn anew in every epoch.
    pub views: ViewSet,
}

/// `[linear_sgd]`: a linear classifier on the frozen features of augmented views, as on ImageNet.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearSgdConfig {
    /// Batches, learning rates and views.
    pub training: TrainingConfig,
    /// Passes over the training images.
    pub epochs: u64,
    /// Not for the biases.
    pub weight_decay: f64,
}

/// `[semi_supervised]`: everything is fine-tuned on a part of the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct SemiSupervisedConfig {
    /// Batches, learning rates and views.
    pub training: TrainingConfig,
    /// Shares of each class's training images; a result for each.
    pub fractions: Vec<f64>,
    /// Passes over the part to choose from.
    pub epochs: Vec<u64>,
    /// Not for biases and norm parameters.
    pub weight_decay: f64,
}

/// `[fine_tune]`: everything is fine-tuned on all labels.
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuneConfig {
    /// Batches, learning rates and views.
    pub training: TrainingConfig,
    /// Optimizer steps.
    pub steps: u64,
    /// To choose from; not for biases and norm parameters.
    pub weight_decays: Vec<f64>,
}

impl TrainingConfig {
    fn read(
        table: &mut Table<'_>,
        registry: &Registry,
        batch_size: u32,
        learning_rates: &[f64],
    ) -> TrainingConfig {
        TrainingConfig {
            batch_size: table.or_in("batch_size", batch_size, 2..=1_000_000),
            learning_rates: grid::read(table, "learning_rates", learning_rates, false),
            scaling: table.choice("scaling", Scaling::None),
            decay: table.choice("decay", Decay::Cosine),
            momentum: table.or_in("momentum", 0.9, f64::MIN_POSITIVE..1.0),
            held_out: HeldOut::read(table),
            views: table.table_or_empty("augmentations", |table| read_view(table, registry)),
        }
    }

    fn insert(&self, table: &mut toml::Table) {
        table.insert("batch_size".into(), i64::from(self.batch_size).into());
        table.insert("learning_rates".into(), self.learning_rates.clone().into());
        table.insert("scaling".into(), self.scaling.text().into());
        table.insert("decay".into(), self.decay.text().into());
        table.insert("momentum".into(), self.momentum.into());
        self.held_out.insert(table);
        table.insert("augmentations".into(), self.views.to_toml().into());
    }
}

impl LinearSgdConfig {
    pub(super) fn read(table: &mut Table<'_>, registry: &Registry) -> LinearSgdConfig {
        LinearSgdConfig {
            training: TrainingConfig::read(table, registry, 1024, &[0.4, 0.3, 0.2, 0.1, 0.05]),
            epochs: table.or_in("epochs", 80, 1..=100_000),
            weight_decay: table.or_in("weight_decay", 0.0, 0.0..),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("epochs".into(), (self.epochs as i64).into());
        table.insert("weight_decay".into(), self.weight_decay.into());
        self.training.insert(&mut table);
        table
    }
}

impl SemiSupervisedConfig {
    pub(super) fn read(table: &mut Table<'_>, registry: &Registry) -> SemiSupervisedConfig {
        let training = TrainingConfig::read(table, registry, 1024, &[0.005, 0.01, 0.02, 0.05, 0.1]);
        let fractions: Vec<f64> = table.or("fractions", vec![0.01, 0.1]);
        let repeated = fractions.iter().enumerate().any(|(index, value)| fractions[..index].contains(value));
        if fractions.is_empty() || repeated || fractions.iter().any(|share| !(*share > 0.0 && *share < 1.0)) {
            let message = format!("found {fractions:?}, expected different numbers between 0 and 1");
            table.problem(Some("fractions"), message);
        }
        let epochs: Vec<u64> = table.or("epochs", vec![30, 50]);
        if epochs.is_empty() || epochs.contains(&0) {
            table.problem(Some("epochs"), format!("found {epochs:?}, expected one or more numbers from 1"));
        }
        let weight_decay = table.or_in("weight_decay", 0.0, 0.0..);
        SemiSupervisedConfig { training, fractions, epochs, weight_decay }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("fractions".into(), self.fractions.clone().into());
        let epochs: Vec<i64> = self.epochs.iter().map(|epochs| *epochs as i64).collect();
        table.insert("epochs".into(), epochs.into());
        table.insert("weight_decay".into(), self.weight_decay.into());
        self.training.insert(&mut table);
        table
    }
}

impl FineTuneConfig {
    pub(super) fn read(table: &mut Table<'_>, registry: &Registry) -> FineTuneConfig {
        FineTuneConfig {
            training: TrainingConfig::read(table, registry, 256, &[0.01]),
            steps: table.or_in("steps", 20_000, 1..=1_000_000_000),
            weight_decays: grid::read(table, "weight_decays", &[0.0], true),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("steps".into(), (self.steps as i64).into());
        table.insert("weight_decays".into(), self.weight_decays.clone().into());
        self.training.insert(&mut table);
        table
    }
}
