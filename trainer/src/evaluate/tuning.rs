//! Fine-tuning: the network and a classifier on top of it, trained together by SGD on freshly drawn views.
//!
//! Every training begins from the run's weights and a classifier of zeros.

use serde_json::{Map, Value, json};
use tch::{Kind, Reduction, Tensor};

use super::choice::{Trial, TrialResult, best, setting};
use super::linear_sgd::diverged;
use super::network::Network;
use super::selection::Selection;
use super::{Context, features};
use crate::config::{Interval, ScheduleConfig, TrainingConfig};
use crate::optimizer::{Optimizer, Parameter, Sgd};
use crate::schedule::learning_rate;
use crate::step::seed_networks;
use crate::{Error, Result};

/// One training.
#[derive(Clone, Copy)]
pub(super) struct Recipe<'a> {
    /// Of which protocol, for its draws and for messages.
    pub protocol: &'static str,
    pub training: &'a TrainingConfig,
    /// Before scaling and schedule.
    pub learning_rate: f64,
    /// Not for biases and norm parameters.
    pub weight_decay: f64,
    pub length: Interval,
}

/// A fine-tuned network with its classifier.
pub(super) struct Tuned {
    network: Network,
    /// [classes, features]
    weight: Tensor,
    /// [classes]
    bias: Tensor,
    /// Training images that could not be read.
    pub skipped: usize,
}

impl Recipe<'_> {
    fn setting(&self) -> Map<String, Value> {
        let (name, length) = match self.length {
            Interval::Steps(steps) => ("steps", json!(steps)),
            Interval::Epochs(epochs) => ("epochs", json!(epochs as u64)),
        };
        let rate = ("learning_rate", json!(self.learning_rate));
        setting([rate, ("weight_decay", json!(self.weight_decay)), (name, length)])
    }

    /// Trains on `images`. `None` when the weights did not stay finite.
    pub fn train(&self, context: &Context<'_>, images: &Selection) -> Result<Option<Tuned>> {
        let training = self.training;
        if images.labels().len() < 2 {
            let message = format!(
                "[{}]: found one training image, expected two or more; enlarge the part that is trained on",
                self.protocol
            );
            return Err(Error::Unfit(message));
        }
        let mut network = context.run.network()?;
        let options = (Kind::Float, context.run.device);
        let weight = Tensor::f_zeros([context.classes, network.width], options)?.set_requires_grad(true);
        let bias = Tensor::f_zeros([context.classes], options)?.set_requires_grad(true);
        let variables = network.variables()?.into_iter().filter(|variable| variable.trainable);
        let mut parameters: Vec<Parameter> =
            variables.map(|variable| Parameter::new(variable, 1.0)).collect();
        for (name, tensor, decays) in [("weight", &weight, true), ("bias", &bias, false)] {
            let tensor = tensor.shallow_clone();
            parameters.push(Parameter {
                name: format!("classifier.{name}"),
                tensor,
                decays,
                multiplier: 1.0,
            });
        }
        let mut optimizer = Sgd::new(parameters, self.weight_decay, training.momentum, true);

        let reading = context.training_views(training);
        let batches = (images.labels().len() as u64 / u64::from(training.batch_size)).max(1);
        let steps = self.length.steps(batches as f64).max(1);
        let seed = context.seed(training, self.protocol);
        let (mut feed, batches_per_epoch) =
            reading.feed(images.shared(), Some((seed, steps.div_ceil(batches))))?;
        debug_assert_eq!(batches, batches_per_epoch);
        let peak = self.learning_rate * training.scaling.factor(f64::from(training.batch_size));
        let schedule = ScheduleConfig::of(training.decay);
        for (step, batch) in (0..steps).zip(feed.by_ref()) {
            reading.check_stop()?;
            let batch = batch?;
            // Batch statistics need two samples.
            let Some(labels) = batch.labels.filter(|_| batch.samples > 1) else { continue };
            seed_networks(seed, step, 0);
            let features = network.forward(&batch.views[0], true)?;
            let logits = features.f_linear(&weight, Some(&bias))?;
            let loss = logits.f_cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0)?;
            loss.f_backward()?;
            optimizer.step(learning_rate(&schedule, peak, 0, steps, step))?;
            optimizer.zero_gradients()?;
        }
        let skipped = feed.finish()?.skipped.len();
        let finite = tch::no_grad(|| weight.f_isfinite()?.f_all()?.f_int64_value(&[]))? != 0;
        Ok(finite.then_some(Tuned { network, weight, bias, skipped }))
    }
}

impl Tuned {
    /// Logits (float [samples, classes]) and features of the images.
    pub fn scores(
        &mut self,
        context: &Context<'_>,
        images: &Selection,
    ) -> Result<(Tensor, features::Features)> {
        let features = features::extract(&mut self.network, images.shared(), &context.judged_views())?;
        let scores = tch::no_grad(|| features.values.f_linear(&self.weight, Some(&self.bias)))?;
        Ok((scores, features))
    }
}

/// What a grid came to.
pub(super) struct Searched {
    pub trials: Vec<Trial>,
    /// Of `trials`.
    pub chosen: usize,
    pub tuned: Tuned,
}

/// Trains every recipe on `fit`, and answers the best on `choice`; a single recipe without a choice.
pub(super) fn search(
    context: &Context<'_>,
    recipes: &[Recipe<'_>],
    fit: &Selection,
    choice: Option<&Selection>,
) -> Result<Searched> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut kept: Option<Tuned> = None;
    for recipe in recipes {
        let mut tuned = recipe.train(context, fit)?;
        let result = match (&mut tuned, choice) {
            (None, _) => Some(TrialResult::Diverged),
            (Some(_), None) => None,
            (Some(tuned), Some(choice)) => {
                let (scores, held_out) = tuned.scores(context, choice)?;
                Some(TrialResult::of(context.config.metric, &scores, &held_out.labels))
            }
        };
        trials.push(Trial { setting: recipe.setting(), result });
        let is_best = match result {
            None => true,
            Some(_) => best(&trials) == Some(trials.len() - 1),
        };
        if is_best {
            kept = tuned;
        }
    }
    let protocol = recipes.first().map_or("", |recipe| recipe.protocol);
    let tuned = kept.ok_or_else(|| diverged(protocol))?;
    let chosen = best(&trials).unwrap_or(0);
    Ok(Searched { trials, chosen, tuned })
}
