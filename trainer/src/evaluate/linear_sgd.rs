//! The protocol `[linear_sgd]`: a linear classifier on frozen features of freshly drawn views, by SGD (the ImageNet protocol of
//! SimCLR and BYOL).
//!
//! The classifiers of all learning rates are trained side by side on the same features: an image is read once per epoch. The
//! one that is best on the images of the choice is judged as it is.

use serde_json::json;
use tch::{Device, Kind, Reduction, Tensor};

use super::choice::{Trial, TrialResult, best, setting};
use super::network::Network;
use super::selection::Selection;
use super::{Context, features};
use crate::config::{LinearSgdConfig, ScheduleConfig};
use crate::optimizer::{Optimizer, Parameter, Sgd};
use crate::schedule::learning_rate;
use crate::{Error, Result};

/// Classifiers from zero weights, each with a learning rate of its own.
pub(super) struct SideBySide {
    /// Weight [classes, features] and bias [classes] of each.
    classifiers: Vec<(Tensor, Tensor)>,
    optimizer: Sgd,
}

impl SideBySide {
    pub fn new(
        width: i64,
        classes: i64,
        learning_rates: &[f64],
        momentum: f64,
        weight_decay: f64,
        device: Device,
    ) -> Result<SideBySide> {
        let options = (Kind::Float, device);
        let (mut classifiers, mut parameters) = (Vec::new(), Vec::new());
        for (index, learning_rate) in learning_rates.iter().enumerate() {
            let weight = Tensor::f_zeros([classes, width], options)?.set_requires_grad(true);
            let bias = Tensor::f_zeros([classes], options)?.set_requires_grad(true);
            for (name, tensor, decays) in [("weight", &weight, true), ("bias", &bias, false)] {
                let tensor = tensor.shallow_clone();
                let name = format!("{index}.{name}");
                parameters.push(Parameter { name, tensor, decays, multiplier: *learning_rate });
            }
            classifiers.push((weight, bias));
        }
        Ok(SideBySide { classifiers, optimizer: Sgd::new(parameters, weight_decay, momentum, true) })
    }

    /// One step of all; `factor` times their learning rates. Float features [batch, width], int64 labels [batch].
    pub fn step(&mut self, features: &Tensor, labels: &Tensor, factor: f64) -> Result<()> {
        let mut total: Option<Tensor> = None;
        for (weight, bias) in &self.classifiers {
            let logits = features.f_linear(weight, Some(bias))?;
            // Of a sum each term has the gradient of its own classifier alone.
            let loss = logits.f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0)?;
            total = Some(match total {
                Some(total) => total.f_add(&loss)?,
                None => loss,
            });
        }
        if let Some(total) = total {
            total.f_backward()?;
        }
        self.optimizer.step(factor)?;
        self.optimizer.zero_gradients()
    }

    /// Logits of one of them, float [samples, classes].
    pub fn scores(&self, index: usize, features: &Tensor) -> Result<Tensor> {
        let (weight, bias) = &self.classifiers[index];
        Ok(tch::no_grad(|| features.f_linear(weight, Some(bias)))?)
    }
}

/// What was trained.
pub(super) struct Trained {
    classifiers: SideBySide,
    pub trials: Vec<Trial>,
    /// Of `trials`.
    pub chosen: usize,
    /// Training images that could not be read.
    pub skipped: usize,
}

/// Trains on `images`, and chooses on `choice` where there is more than one learning rate.
pub(super) fn train(
    context: &Context<'_>,
    network: &mut Network,
    config: &LinearSgdConfig,
    images: &Selection,
    choice: Option<&Selection>,
) -> Result<Trained> {
    let training = &config.training;
    let reading = context.training_views(training);
    let drawn = (context.seed(training, "linear_sgd"), config.epochs);
    let (mut feed, batches_per_epoch) = reading.feed(images.shared(), Some(drawn))?;
    let steps = config.epochs * batches_per_epoch;
    let device = context.run.device;
    let mut classifiers = SideBySide::new(
        network.width,
        context.classes,
        &training.learning_rates,
        training.momentum,
        config.weight_decay,
        device,
    )?;
    let schedule = ScheduleConfig::of(training.decay);
    for (step, batch) in (0..).zip(feed.by_ref()) {
        reading.check_stop()?;
        let batch = batch?;
        // A batch of unreadable images alone teaches nothing.
        let Some(labels) = batch.labels.filter(|_| batch.samples > 0) else { continue };
        let features = tch::no_grad(|| network.forward(&batch.views[0], false))?;
        let factor =
            learning_rate(&schedule, training.scaling.factor(f64::from(training.batch_size)), 0, steps, step);
        classifiers.step(&features, &labels, factor)?;
    }
    let skipped = feed.finish()?.skipped.len();
    let held_out = match choice {
        Some(choice) => Some(features::extract(network, choice.shared(), &context.judged_views())?),
        None => None,
    };
    let mut trials = Vec::new();
    for (index, learning_rate) in training.learning_rates.iter().enumerate() {
        let result = match &held_out {
            Some(held_out) => {
                let scores = classifiers.scores(index, &held_out.values)?;
                Some(TrialResult::of(context.config.metric, &scores, &held_out.labels))
            }
            None => None,
        };
        trials.push(Trial { setting: setting([("learning_rate", json!(learning_rate))]), result });
    }
    let chosen = match held_out {
        Some(_) => best(&trials).ok_or_else(|| diverged("linear_sgd"))?,
        None => 0,
    };
    Ok(Trained { classifiers, trials, chosen, skipped })
}

impl Trained {
    /// Logits of the chosen classifier.
    pub fn scores(&self, features: &Tensor) -> Result<Tensor> {
        self.classifiers.scores(self.chosen, features)
    }
}

/// Every setting of a protocol's grid came to weights that are not finite.
pub(super) fn diverged(protocol: &str) -> Error {
    Error::Unfit(format!(
        "[{protocol}]: found no setting of its grid that ended with finite weights; lower {protocol}.learning_rates"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::accuracy::Accuracy;
    use crate::evaluate::testing::{blobs, shuffled};

    fn trained(values: &Tensor, labels: &Tensor, rates: &[f64], steps: u64) -> SideBySide {
        let classes = labels.max().int64_value(&[]) + 1;
        let mut classifiers =
            SideBySide::new(values.size()[1], classes, rates, 0.9, 0.0, Device::Cpu).unwrap();
        for step in 0..steps {
            let factor =
                learning_rate(&ScheduleConfig::of(crate::config::Decay::Cosine), 1.0, 0, steps, step);
            classifiers.step(values, labels, factor).unwrap();
        }
        classifiers
    }

    fn accuracy(classifiers: &SideBySide, index: usize, values: &Tensor, labels: &Tensor) -> f64 {
        Accuracy::of(&classifiers.scores(index, values).unwrap(), labels, 5).top1
    }

    #[test]
    fn separable_features_are_all_told_apart_and_shuffled_labels_are_left_to_chance() {
        let (values, labels) = blobs(5, 40, 8, 0);
        let (test_values, test_labels) = blobs(5, 40, 8, 1);
        let right = trained(&values, &labels, &[0.4, 0.05], 100);
        for index in 0..2 {
            assert_eq!(accuracy(&right, index, &test_values, &test_labels), 1.0);
        }
        let wrong = trained(&values, &shuffled(&labels, 2), &[0.4], 100);
        let chance = accuracy(&wrong, 0, &test_values, &test_labels);
        assert!(chance <= 0.45, "{chance}, expected about 0.2");
    }

    #[test]
    fn side_by_side_each_classifier_is_the_one_that_it_would_be_alone() {
        let (values, labels) = blobs(5, 10, 8, 3);
        let both = trained(&values, &labels, &[0.4, 0.05], 7);
        for (index, rate) in [(0, 0.4), (1, 0.05)] {
            let alone = trained(&values, &labels, &[rate], 7);
            assert_eq!(both.scores(index, &values).unwrap(), alone.scores(0, &values).unwrap());
        }
        assert_ne!(both.scores(0, &values).unwrap(), both.scores(1, &values).unwrap());
    }
}
