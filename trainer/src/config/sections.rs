//! The sections of a run's configuration on data, target, probe, diagnostics and checkpoints.

use std::sync::Arc;

use diptych_config::{Choice, Table, choices};
use diptych_pipeline::{Order, Source, SourceConfig, SourceError, Split, WithoutLabels};

use super::optimization::Interval;
use crate::method::BatchStatistics;

choices! {
    /// What an image that can't be read does to the run.
    pub enum Unreadable {
        /// Ends it.
        Error = "error",
        /// Is left out, counted, and named in the run's log.
        Skip = "skip",
    }
}

choices! {
    /// Whether labels are used: by the probe, and by losses that read them.
    pub enum Labels {
        /// Where the data has classes.
        Auto = "auto",
        /// Never.
        None = "none",
    }
}

/// `[data]`: the images.
#[derive(Clone, Debug, PartialEq)]
pub struct DataConfig {
    /// Where they are, and how they are stored.
    pub source: SourceConfig,
    /// What images that can't be read do.
    pub reading: ReadingConfig,
    /// Whether labels are used.
    pub labels: Labels,
}

/// The keys of `[data]`, of a run and of an evaluation, on images that can't be read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadingConfig {
    /// What an unreadable image does.
    pub unreadable: Unreadable,
    /// With `skip`: the share of images, 0 to 1, above which the run ends after all.
    pub unreadable_limit: f64,
    /// Larger images count as unreadable.
    pub maximum_pixels: u64,
}

impl ReadingConfig {
    pub(super) fn read(table: &mut Table<'_>) -> ReadingConfig {
        ReadingConfig {
            unreadable: table.choice("unreadable", Unreadable::Error),
            unreadable_limit: table.or_in("unreadable_limit", 0.01, 0.0..=1.0),
            maximum_pixels: table.or_in("maximum_pixels", 100_000_000, 1..),
        }
    }

    pub(super) fn insert(&self, table: &mut toml::Table) {
        table.insert("unreadable".into(), self.unreadable.text().into());
        table.insert("unreadable_limit".into(), self.unreadable_limit.into());
        table.insert("maximum_pixels".into(), (self.maximum_pixels as i64).into());
    }

    /// As the loader wants it.
    pub fn policy(&self) -> diptych_pipeline::Unreadable {
        match self.unreadable {
            Unreadable::Error => diptych_pipeline::Unreadable::Error,
            Unreadable::Skip => diptych_pipeline::Unreadable::Skip { limit_fraction: self.unreadable_limit },
        }
    }
}

impl DataConfig {
    pub(super) fn read(table: &mut Table<'_>) -> DataConfig {
        DataConfig {
            source: SourceConfig::read(table),
            reading: ReadingConfig::read(table),
            labels: table.choice("labels", Labels::Auto),
        }
    }

    /// Opens the source, without labels where none are to be used.
    ///
    /// # Errors
    /// There are no images as the keys say.
    pub fn open(&self) -> Result<Arc<dyn Source>, SourceError> {
        let source = self.source.open(Split::Train)?;
        Ok(match self.labels {
            Labels::Auto => source,
            Labels::None => Arc::new(WithoutLabels(source)),
        })
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = self.source.to_toml();
        self.reading.insert(&mut table);
        table.insert("labels".into(), self.labels.text().into());
        table
    }
}

/// `[loader]`: how batches come.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Samples per batch; a step is over `optimizer.micro_batches` of them.
    pub batch_size: u32,
    /// Threads that decode and augment; 0 for one per core.
    pub workers: usize,
    /// Batches that may lie ready.
    pub queue_batches: usize,
    /// For data in shards: samples that are shuffled among each other, shards being taken in random order; 0 to shuffle
    /// all samples, whatever they are stored in.
    pub shuffle_buffer: usize,
}

impl LoaderConfig {
    pub(super) fn read(table: &mut Table<'_>) -> LoaderConfig {
        LoaderConfig {
            batch_size: table.or_in("batch_size", 256, 2..=1_000_000),
            workers: table.or_in("workers", 0, 0..=1024),
            queue_batches: table.or_in("queue_batches", 4, 1..=1024),
            shuffle_buffer: table.or("shuffle_buffer", 0),
        }
    }

    /// As the loader wants it.
    pub fn order(&self) -> Order {
        match self.shuffle_buffer {
            0 => Order::Shuffled,
            buffer => Order::ShardShuffled { buffer },
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        toml::Table::from_iter([
            ("batch_size".to_owned(), i64::from(self.batch_size).into()),
            ("workers".to_owned(), (self.workers as i64).into()),
            ("queue_batches".to_owned(), (self.queue_batches as i64).into()),
            ("shuffle_buffer".to_owned(), (self.shuffle_buffer as i64).into()),
        ])
    }
}

choices! {
    /// The channels that an encoder sees.
    pub enum ColorSpace {
        /// Red, green and blue in [0, 1].
        Rgb = "rgb",
        /// L in [0, 100], a and b of CIE 1976 under D65; sRGB has a in [-86.2, 98.2] and b in [-107.9, 94.5].
        Lab = "lab",
        /// Y in [0, 1], Db and Dr in [-1.333, 1.333], of SECAM.
        YDbDr = "ydbdr",
    }
}

/// `[input]`: what becomes of pixels on the device: their colour space, and normalisation per channel, in its units.
#[derive(Clone, Debug, PartialEq)]
pub struct InputConfig {
    /// What the pixels are converted to first.
    pub color_space: ColorSpace,
    /// Subtracted.
    pub mean: [f64; 3],
    /// Divided by.
    pub std: [f64; 3],
}

impl InputConfig {
    pub(super) fn read(table: &mut Table<'_>) -> InputConfig {
        let color_space = table.choice("color_space", ColorSpace::Rgb);
        let (usual_mean, usual_std) = color_space.usual();
        let mean: [f64; 3] = table.or("mean", usual_mean);
        let std: [f64; 3] = table.or("std", usual_std);
        if mean.iter().any(|mean| !mean.is_finite()) {
            table.problem(Some("mean"), format!("found {mean:?}, expected three finite numbers"));
        }
        if std.iter().any(|std| !std.is_finite() || *std <= 0.0) {
            table.problem(Some("std"), format!("found {std:?}, expected three finite numbers above 0"));
        }
        InputConfig { color_space, mean, std }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::from_iter([
            ("mean".to_owned(), self.mean.to_vec().into()),
            ("std".to_owned(), self.std.to_vec().into()),
        ]);
        // Only where it is another, so that a run from before there was the key keeps its fingerprint.
        if self.color_space != ColorSpace::Rgb {
            table.insert("color_space".into(), self.color_space.text().into());
        }
        table
    }
}

impl ColorSpace {
    /// Mean and deviation where a configuration has none: ImageNet's in RGB; in the others those of CMC's code, which map what sRGB
    /// can have to about [-1, 1].
    fn usual(self) -> ([f64; 3], [f64; 3]) {
        match self {
            ColorSpace::Rgb => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ColorSpace::Lab => ([50.0, 6.025, -6.6895], [50.0, 92.208, 101.1675]),
            ColorSpace::YDbDr => ([0.457, -0.082, -0.052], [0.5, 1.331, 1.333]),
        }
    }
}

choices! {
    /// Where target projections come from.
    pub enum TargetKind {
        /// A moving average of the online network.
        Ema = "ema",
        /// The online network, gradient stopped.
        StopGradient = "stop_gradient",
        /// The online network, with gradient.
        None = "none",
        /// A network of its own that stays as it was drawn.
        Fixed = "fixed",
    }
}

choices! {
    /// How the average's momentum goes.
    pub enum MomentumSchedule {
        /// From `momentum` to 1 along half a cosine.
        Cosine = "cosine",
        /// Stays.
        Constant = "constant",
    }
}

choices! {
    /// Where the target network starts.
    pub enum InitialWeights {
        /// From draws of its own, as BYOL.
        Independent = "independent",
        /// From the online network's.
        Shared = "shared",
    }
}

/// `[target]`
#[derive(Clone, Debug, PartialEq)]
pub struct TargetConfig {
    /// Where target projections come from.
    pub kind: TargetKind,
    /// tau at the first step; for `ema`.
    pub momentum: f64,
    /// How it goes on; for `ema`.
    pub momentum_schedule: MomentumSchedule,
    /// Where the network starts; for `ema` and `fixed`.
    pub initial_weights: InitialWeights,
    /// What its batch norms normalise by; for `ema` and `fixed`.
    pub batch_statistics: BatchStatistics,
}

impl TargetConfig {
    pub(super) fn read(table: &mut Table<'_>) -> TargetConfig {
        TargetConfig {
            kind: table.choice("kind", TargetKind::None),
            momentum: table.or_in("momentum", 0.99, 0.0..=1.0),
            momentum_schedule: table.choice("momentum_schedule", MomentumSchedule::Cosine),
            initial_weights: table.choice("initial_weights", InitialWeights::Independent),
            batch_statistics: table.choice("batch_statistics", BatchStatistics::Own),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::from_iter([("kind".to_owned(), self.kind.text().into())]);
        if self.kind == TargetKind::Ema {
            table.insert("momentum".into(), self.momentum.into());
            table.insert("momentum_schedule".into(), self.momentum_schedule.text().into());
        }
        if matches!(self.kind, TargetKind::Ema | TargetKind::Fixed) {
            table.insert("initial_weights".into(), self.initial_weights.text().into());
            table.insert("batch_statistics".into(), self.batch_statistics.text().into());
        }
        table
    }
}

/// `[probe]`: the linear probe that rides along.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeConfig {
    /// Whether it does, where the data has labels.
    pub enabled: bool,
    /// Of its own AdamW.
    pub learning_rate: f64,
}

impl ProbeConfig {
    pub(super) fn read(table: &mut Table<'_>) -> ProbeConfig {
        ProbeConfig {
            enabled: table.or("enabled", true),
            learning_rate: table.or_in("learning_rate", 3e-3, 0.0..),
        }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        toml::Table::from_iter([
            ("enabled".to_owned(), self.enabled.into()),
            ("learning_rate".to_owned(), self.learning_rate.into()),
        ])
    }
}

choices! {
    /// Whether a run that has collapsed goes on.
    pub enum StopCollapsed {
        /// To its last step.
        Never = "never",
        /// Until it has been `collapsed` for a while.
        Collapsed = "collapsed",
    }
}

/// `[diagnostics]`: whether a run that has collapsed ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagnosticsConfig {
    /// When it does; `None` for never.
    pub patience: Option<Patience>,
}

/// How long a run may be collapsed. Both numbers change when it ends, and so are in its fingerprint; the steps that are logged are
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Steps from the first verdict `collapsed` to the end, with no other verdict between them.
    pub steps: u64,
    /// Steps from one verdict to the next.
    pub every_steps: u64,
}

impl DiagnosticsConfig {
    pub(super) fn read(table: &mut Table<'_>) -> DiagnosticsConfig {
        let stop = table.choice("stop_collapsed", StopCollapsed::Never);
        let steps = table.or_in("patience_steps", 500, 1..);
        let every_steps = table.or_in("every_steps", 50.min(steps), 1..);
        if every_steps > steps {
            table.problem(
                Some("every_steps"),
                format!("found {every_steps}, expected no more than patience_steps = {steps}"),
            );
        }
        // With `never` the other keys may stay where they are: a study's arm goes back to it by one key.
        let patience = (stop == StopCollapsed::Collapsed).then_some(Patience { steps, every_steps });
        DiagnosticsConfig { patience }
    }

    pub(super) fn to_toml(self) -> toml::Table {
        let mut table = toml::Table::new();
        let stop = if self.patience.is_some() { StopCollapsed::Collapsed } else { StopCollapsed::Never };
        table.insert("stop_collapsed".into(), stop.text().into());
        if let Some(Patience { steps, every_steps }) = self.patience {
            table.insert("patience_steps".into(), (steps as i64).into());
            table.insert("every_steps".into(), (every_steps as i64).into());
        }
        table
    }
}

/// `[checkpoint]`: how often. One is written at the end, and when the run is stopped, in any case.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointConfig {
    /// From one to the next.
    pub every: Interval,
}

impl CheckpointConfig {
    pub(super) fn read(table: &mut Table<'_>) -> CheckpointConfig {
        let every = Interval::read(table, "every_steps", "every_epochs").unwrap_or(Interval::Epochs(10.0));
        CheckpointConfig { every }
    }

    pub(super) fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        self.every.insert(&mut table, "every_steps", "every_epochs");
        table
    }
}
