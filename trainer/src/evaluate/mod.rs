//! Evaluation of a run on frozen features: logistic regression by L-BFGS, and weighted nearest neighbours.
//!
//! The encoder runs in evaluation mode on one view of each image, in order. Nothing is chosen on the test images.

mod accuracy;
mod average_precision;
mod features;
pub mod knn;
pub mod lbfgs;
pub mod logistic;
mod report;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diptych_abi::RandomStream;
use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{Source, SourceConfig, Split, random};
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{Checkpoints, State, restore};
use crate::config::{EvaluationConfig, RunConfig};
use crate::device::DeviceName;
use crate::run_folder::Begun;
use crate::weights::Weights;
use crate::{Error, Result, compose, contain, files};

pub use accuracy::Accuracy;
pub use average_precision::AveragePrecision;
use features::Features;
use logistic::LinearClassifier;
pub use report::{EvaluatedSet, Evaluation, Judgement};

/// How an evaluation is done, beyond its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluationOptions {
    /// The encoder keeps the weights that the run started from: what the others are compared with. The result goes to
    /// `evaluation_random_init.json`.
    pub random_init: bool,
    /// Instead of the run's own device.
    pub device: Option<DeviceName>,
}

/// Evaluates the run in the folder `run`, and writes `evaluation.json` there. Raising `stop` ends it with an error.
pub fn evaluate(
    run: &Path,
    config: &EvaluationConfig,
    registry: &Registry,
    options: EvaluationOptions,
    stop: &AtomicBool,
) -> Result<Evaluation> {
    let begun = Begun::require(run)?;
    let run_config = RunConfig::read(&Document::load(&run.join("config.toml"), &[])?, registry)?;
    let device = options.device.unwrap_or(run_config.device).open()?;
    compose::prepare_process(if run_config.threads == 0 { begun.threads } else { run_config.threads });
    contain("the evaluation", || {
        judge_run(run, begun.fingerprint, config, &run_config, options, device, stop)
    })
}

fn judge_run(
    run: &Path,
    fingerprint: String,
    config: &EvaluationConfig,
    run_config: &RunConfig,
    options: EvaluationOptions,
    device: Device,
    stop: &AtomicBool,
) -> Result<Evaluation> {
    let mut encoder = compose::encoder(run_config, "online", device)?;
    let mut step = 0;
    if options.random_init {
        if let Some(weights) = &run_config.weights {
            Weights::read(weights)?.copy_into(&encoder.variables()?)?;
        }
    } else {
        let latest = Checkpoints::of_run(run).require_latest(run)?;
        let variables = encoder.variables()?.into_iter();
        let mut tensors: Vec<_> =
            variables.map(|variable| (format!("encoder.{}", variable.name), variable.tensor)).collect();
        restore(&latest.join("model.safetensors"), &mut tensors)?;
        step = State::read(&latest)?.step;
    }

    let train_source = labelled(&config.train, Split::Train)?;
    let test_source = labelled(&config.test, Split::Test)?;
    let classes = train_source.classes().unwrap_or_default().to_vec();
    let to_train_class = matching(test_source.classes().unwrap_or_default(), &classes)?;
    let (train_identity, test_identity) = (train_source.identity(), test_source.identity());
    let mut take = |source: Arc<dyn Source>| {
        features::extract(encoder.as_mut(), source, config, &run_config.input, device, stop)
    };
    let train = take(train_source)?;
    let test = take(test_source)?;
    let test_labels = Tensor::from_slice(&to_train_class).to_device(device).index_select(0, &test.labels);
    let test = Features { labels: test_labels, ..test };

    let judgement = judge(config, &train, &test, classes.len() as i64);
    let evaluation = Evaluation {
        fingerprint,
        random_init: options.random_init,
        step,
        protocol: config.to_toml(),
        train: EvaluatedSet::of(&train, train_identity),
        test: EvaluatedSet::of(&test, test_identity),
        classes,
        judgement,
    };
    let name = if options.random_init { "evaluation_random_init.json" } else { "evaluation.json" };
    let path = run.join(name);
    let text = format!("{:#}\n", evaluation.to_json());
    files::replace(&path, &text)?;
    Ok(evaluation)
}

fn labelled(config: &SourceConfig, default_split: Split) -> Result<Arc<dyn Source>> {
    let source = config.open(default_split)?;
    if source.classes().is_none() {
        let message = format!(
            "{} has no labels; an evaluation needs them, as from one folder per class",
            config.path.display()
        );
        return Err(Error::Unfit(message));
    }
    Ok(source)
}

/// Index in `train` of each class of `test`.
fn matching(test: &[String], train: &[String]) -> Result<Vec<i64>> {
    let places: HashMap<&str, i64> =
        train.iter().enumerate().map(|(at, name)| (name.as_str(), at as i64)).collect();
    test.iter()
        .map(|name| {
            places.get(name.as_str()).copied().ok_or_else(|| {
                let known = train.join(", ");
                Error::Unfit(format!(
                    "the test images have a class {name:?} that the training images lack ({known})"
                ))
            })
        })
        .collect()
}

fn judge(config: &EvaluationConfig, train: &Features, test: &Features, classes: i64) -> Judgement {
    let (train_inputs, test_inputs) = if config.linear.standardize {
        standardised(&train.values, &test.values)
    } else {
        (train.values.to_kind(Kind::Double), test.values.to_kind(Kind::Double))
    };
    let lambda = choose_lambda(config, &train_inputs, &train.labels, classes);
    let classifier = LinearClassifier::fit(&train_inputs, &train.labels, classes, lambda, None);
    let linear = Accuracy::of(&classifier.scores(&test_inputs), &test.labels, classes);
    let (k, temperature) = (i64::from(config.knn.k), config.knn.temperature);
    let votes = knn::scores(&train.values, &train.labels, &test.values, classes, k, temperature);
    let knn = Accuracy::of(&votes, &test.labels, classes);
    Judgement { linear, lambda, fit: classifier.fit, knn, k, temperature }
}

/// Both in double precision, by the training features' mean and deviation; a constant feature becomes 0.
fn standardised(train: &Tensor, test: &Tensor) -> (Tensor, Tensor) {
    let train = train.to_kind(Kind::Double);
    let mean = train.mean_dim(0, true, Kind::Double);
    let deviation = train.std_dim(0, false, true).clamp_min(1e-8);
    let apply = |features: &Tensor| (features - &mean) / &deviation;
    (apply(&train), apply(&test.to_kind(Kind::Double)))
}

/// The penalty with the best accuracy on held-out training images; of equals the one with the lowest cross-entropy.
fn choose_lambda(config: &EvaluationConfig, features: &Tensor, labels: &Tensor, classes: i64) -> f64 {
    let linear = &config.linear;
    if let [only] = linear.l2[..] {
        return only;
    }
    let (fit, held_out) = split(labels.size()[0], linear.held_out_fraction, linear.seed, features.device());
    let part = |rows: &Tensor| (features.index_select(0, rows), labels.index_select(0, rows));
    let (fit_features, fit_labels) = part(&fit);
    let (held_features, held_labels) = part(&held_out);
    // From the strongest penalty to the weakest, each beginning where the one before ended.
    let mut penalties = linear.l2.clone();
    penalties.sort_by(|a, b| b.total_cmp(a));
    let mut best = (f64::NEG_INFINITY, f64::INFINITY, penalties[0]);
    let mut last: Option<LinearClassifier> = None;
    for lambda in penalties {
        let classifier = LinearClassifier::fit(&fit_features, &fit_labels, classes, lambda, last.as_ref());
        let right = classifier.scores(&held_features).argmax(1, false).eq_tensor(&held_labels);
        let accuracy = right.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        let entropy = classifier.cross_entropy(&held_features, &held_labels);
        if accuracy > best.0 || (accuracy == best.0 && entropy < best.1) {
            best = (accuracy, entropy, lambda);
        }
        last = Some(classifier);
    }
    best.2
}

/// Rows to fit on and rows to choose on, each at least one, drawn under `seed`.
fn split(samples: i64, fraction: f64, seed: u64, device: Device) -> (Tensor, Tensor) {
    let seed = random::seed(seed, "evaluation/held_out");
    let mut stream = RandomStream::new([seed as u32, (seed >> 32) as u32]);
    let mut rows: Vec<i64> = (0..samples).collect();
    for last in (1..rows.len()).rev() {
        rows.swap(last, stream.below(last as u64 + 1) as usize);
    }
    let held_out =
        ((samples as f64 * fraction).round() as usize).clamp(1, rows.len().saturating_sub(1).max(1));
    let (held_out, fit) = rows.split_at(held_out);
    (Tensor::from_slice(fit).to_device(device), Tensor::from_slice(held_out).to_device(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_held_out_rows_and_the_others_are_all_rows_once() {
        let (fit, held_out) = split(50, 0.2, 3, Device::Cpu);
        assert_eq!((fit.size()[0], held_out.size()[0]), (40, 10));
        let mut all = Vec::<i64>::try_from(Tensor::cat(&[&fit, &held_out], 0)).unwrap();
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        let (again, _) = split(50, 0.2, 3, Device::Cpu);
        assert_eq!(fit, again);
        let (other, _) = split(50, 0.2, 4, Device::Cpu);
        assert_ne!(fit, other);
    }

    #[test]
    fn test_classes_are_matched_by_name_and_a_stranger_is_named() {
        let train = ["ant", "bee", "cat"].map(String::from);
        assert_eq!(matching(&["cat".into(), "ant".into()], &train).unwrap(), [2, 0]);
        let message = matching(&["dog".into()], &train).unwrap_err().to_string();
        assert!(message.contains("\"dog\"") && message.contains("ant, bee, cat"), "{message}");
    }

    #[test]
    fn standardising_uses_the_training_features_alone() {
        let train = Tensor::from_slice(&[1.0f32, 5.0, 3.0, 5.0]).view([2, 2]);
        let test = Tensor::from_slice(&[4.0f32, 5.0]).view([1, 2]);
        let (train, test) = standardised(&train, &test);
        assert_eq!(Vec::<f64>::try_from(train.view([-1])).unwrap(), [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(Vec::<f64>::try_from(test.view([-1])).unwrap(), [2.0, 0.0]);
    }
}
