//! Evaluation of a run: each protocol of the configuration gives sections of the result.
//!
//! On frozen features: logistic regression by L-BFGS, weighted nearest neighbours, and a linear classifier by SGD on augmented
//! views. With everything fine-tuned: on a part of the labels, or on all. Nothing is fitted or chosen on the test images.

mod accuracy;
mod average_precision;
mod choice;
mod compare;
pub(crate) mod features;
pub mod knn;
pub mod lbfgs;
mod linear;
mod linear_sgd;
pub mod logistic;
mod measured;
pub(crate) mod network;
mod protocols;
mod report;
mod selection;
mod split;
#[cfg(test)]
mod testing;
mod tuning;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use diptych_host::Registry;
use diptych_pipeline::{Source, Split, random};

use crate::config::{EvaluationConfig, TrainingConfig};
use crate::device::DeviceName;
use crate::{Error, Result, contain, files};

pub use accuracy::Accuracy;
pub use average_precision::AveragePrecision;
pub use choice::{Trial, TrialResult};
pub use compare::{ComparedRun, Comparison, compare};
pub use measured::Measured;
pub use report::{EvaluatedSet, Evaluation, Roles, Section};

use features::{Features, Reading};
use network::{JudgedRun, Network, Wanted};
use selection::Selection;

/// How an evaluation is done, beyond its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluationOptions {
    /// The encoder keeps the weights that the run started from: what the others are compared with. The result goes to
    /// `evaluation_random_init.json`.
    pub random_init: bool,
    /// Instead of the run's own device.
    pub device: Option<DeviceName>,
}

/// What every protocol needs.
struct Context<'a> {
    /// The run's folder.
    folder: &'a Path,
    run: &'a JudgedRun,
    config: &'a EvaluationConfig,
    classes: i64,
    stop: &'a AtomicBool,
}

/// The images of an evaluation.
struct Images {
    train: Selection,
    validation: Option<Selection>,
    test: Selection,
}

/// Evaluates the run in the folder `run`, and writes `evaluation.json` there. Raising `stop` ends it with an error.
pub fn evaluate(
    run: &Path,
    config: &EvaluationConfig,
    registry: &Registry,
    options: EvaluationOptions,
    stop: &AtomicBool,
) -> Result<Evaluation> {
    let wanted = Wanted { role: config.network, layer: config.layer, random_init: options.random_init };
    let judged = JudgedRun::open(run, registry, wanted, options.device)?;
    contain("the evaluation", || {
        let evaluation = judge(run, &judged, config, stop)?;
        let name = if options.random_init { "evaluation_random_init.json" } else { "evaluation.json" };
        files::replace(&run.join(name), format!("{:#}\n", evaluation.to_json()))?;
        Ok(evaluation)
    })
}

fn judge(folder: &Path, run: &JudgedRun, config: &EvaluationConfig, stop: &AtomicBool) -> Result<Evaluation> {
    let mut network = run.network()?;
    let images = Images::open(config)?;
    let classes = images.train.classes().unwrap_or_default().to_vec();
    let context = Context { folder, run, config, classes: classes.len() as i64, stop };
    if images.train.has_several() {
        refuse_one_class_protocols(config)?;
    }
    let mut sections = Vec::new();
    let mut train_skipped = 0;
    if config.linear.is_some() || config.knn.is_some() || config.linear_sgd.is_some() {
        let test = context.features(&mut network, &images.test)?;
        if config.linear.is_some() || config.knn.is_some() {
            let taken = protocols::take(&context, &mut network, &images)?;
            train_skipped = taken.train.skipped;
            if let Some(linear) = &config.linear {
                sections.push(protocols::linear(&context, linear, &images, &taken, &test)?);
            }
            if let Some(knn) = &config.knn {
                sections.extend(protocols::knn(&context, knn, &images, &taken, &test));
            }
        }
        if let Some(linear_sgd) = &config.linear_sgd {
            sections.push(protocols::linear_sgd(&context, &mut network, linear_sgd, &images, &test)?);
        }
    }
    if let Some(semi_supervised) = &config.semi_supervised {
        sections.extend(protocols::semi_supervised(&context, semi_supervised, &images)?);
    }
    if let Some(fine_tune) = &config.fine_tune {
        sections.push(protocols::fine_tune(&context, fine_tune, &images)?);
    }
    let judged = sections.first().map(|section| section.roles.test.clone());
    Ok(Evaluation {
        fingerprint: run.fingerprint.clone(),
        random_init: run.wanted.random_init,
        step: run.step,
        network: run.wanted.role,
        layer: run.wanted.layer,
        features: network.width,
        protocol: config.to_toml(),
        train: EvaluatedSet::of(&images.train, "train", train_skipped),
        test: judged.unwrap_or_else(|| EvaluatedSet::of(&images.test, "test", 0)),
        classes,
        sections,
    })
}

/// Only `[linear]` knows of samples with several classes.
fn refuse_one_class_protocols(config: &EvaluationConfig) -> Result<()> {
    let others: Vec<String> = config
        .protocols()
        .into_iter()
        .filter_map(|(name, _)| (name != "linear").then(|| format!("[{name}]")))
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::Unfit(format!(
        "found images of several classes each, expected one for {}; only [linear] judges several, so leave the others out",
        others.join(", ")
    )))
}

impl Images {
    fn open(config: &EvaluationConfig) -> Result<Images> {
        let train = Selection::open(&config.train, Split::Train)?;
        let test = train.open_beside(&config.test, Split::Test, "test")?;
        let validation = match &config.validation {
            Some(validation) => Some(train.open_beside(validation, Split::Validation, "validation")?),
            None => None,
        };
        Ok(Images { train, validation, test })
    }
}

impl Context<'_> {
    /// How images that are judged, or whose features are taken once, are seen.
    fn judged_views(&self) -> Reading<'_> {
        Reading {
            views: &self.config.views,
            batch_size: self.config.batch_size as usize,
            workers: self.config.workers,
            reading: &self.config.reading,
            input: &self.run.config.input,
            device: self.run.device,
            stop: self.stop,
        }
    }

    /// Features of images, and labels as [`Measured::of`] takes them.
    fn features(&self, network: &mut Network, images: &Selection) -> Result<Features> {
        let mut features = features::extract(network, images.shared(), &self.judged_views())?;
        if images.has_several() {
            features.labels = images.targets(&features.rows).f_to_device(self.run.device)?;
        }
        Ok(features)
    }

    /// How images that are trained on are seen.
    fn training_views<'a>(&'a self, training: &'a TrainingConfig) -> Reading<'a> {
        let batch_size = training.batch_size as usize;
        Reading { views: &training.views, batch_size, ..self.judged_views() }
    }

    /// Key of a protocol's order and views.
    fn seed(&self, training: &TrainingConfig, protocol: &str) -> u64 {
        random::seed(training.held_out.seed, &format!("evaluation/{protocol}"))
    }
}
