//! The protocol `[linear]`: logistic regression on frozen features, its penalty chosen on validation images or on held-out
//! training images, then fitted on all of them (Kornblith et al. 2019; the transfer protocol of SimCLR and BYOL). The last fit begins
//! where the chosen one ended, so that it is no further from its optimum than what was chosen.
//!
//! Test features come in after the last fit.

use serde_json::json;
use tch::{Kind, Tensor};

use super::choice::{Trial, TrialResult, best, setting};
use super::features::Features;
use super::logistic::{Fit, LinearClassifier};
use super::split;
use crate::Result;
use crate::config::{LinearConfig, Metric};

/// A classifier that was chosen and fitted.
pub(super) struct Fitted {
    classifier: LinearClassifier,
    scaling: Option<Scaling>,
    pub lambda: f64,
    pub trials: Vec<Trial>,
    /// Of `trials`.
    pub chosen: usize,
}

/// Labelled features, [samples, features], and labels as [`Measured::of`](super::measured::Measured::of) takes them.
pub(super) struct Labelled {
    values: Tensor,
    labels: Tensor,
}

impl Labelled {
    pub fn of(features: &Features) -> Labelled {
        Labelled { values: features.values.to_kind(Kind::Double), labels: features.labels.shallow_clone() }
    }

    fn rows(&self, rows: &[usize]) -> Labelled {
        let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        let rows = Tensor::from_slice(&rows).to_device(self.values.device());
        Labelled { values: self.values.index_select(0, &rows), labels: self.labels.index_select(0, &rows) }
    }

    fn and(&self, other: &Labelled) -> Labelled {
        Labelled {
            values: Tensor::cat(&[&self.values, &other.values], 0),
            labels: Tensor::cat(&[&self.labels, &other.labels], 0),
        }
    }
}

/// Chooses and fits.
pub(super) fn fit(
    config: &LinearConfig,
    metric: Metric,
    classes: i64,
    train: &Labelled,
    validation: Option<&Labelled>,
) -> Result<Fitted> {
    let Choice { trials, chosen, classifier } = choose(config, metric, classes, train, validation)?;
    let lambda = trials[chosen].setting["lambda"].as_f64().unwrap_or_default();
    let all = match validation {
        Some(validation) => &train.and(validation),
        None => train,
    };
    let scaling = Scaling::of(config, &all.values);
    let values = apply(&scaling, &all.values);
    let classifier = LinearClassifier::fit(&values, &all.labels, classes, lambda, classifier.as_ref());
    Ok(Fitted { classifier, scaling, lambda, trials, chosen })
}

impl Fitted {
    /// Logits, double [samples, classes], of float features.
    pub fn scores(&self, features: &Tensor) -> Tensor {
        self.classifier.scores(&apply(&self.scaling, &features.to_kind(Kind::Double)))
    }

    pub fn fit(&self) -> Fit {
        self.classifier.fit
    }
}

/// The penalties that were tried.
struct Choice {
    trials: Vec<Trial>,
    /// Of `trials`.
    chosen: usize,
    /// Of the chosen one; none where there was nothing to choose.
    classifier: Option<LinearClassifier>,
}

/// Tries all penalties, from the strongest to the weakest, each beginning where the one before ended.
fn choose(
    config: &LinearConfig,
    metric: Metric,
    classes: i64,
    train: &Labelled,
    validation: Option<&Labelled>,
) -> Result<Choice> {
    let mut penalties = config.l2.clone();
    penalties.sort_by(|a, b| b.total_cmp(a));
    let trial = |lambda: f64, result| Trial { setting: setting([("lambda", json!(lambda))]), result };
    if let [only] = penalties[..] {
        return Ok(Choice { trials: vec![trial(only, None)], chosen: 0, classifier: None });
    }
    let (fit, held_out) = match validation {
        Some(validation) => (train, validation),
        None => {
            let samples = train.labels.size()[0] as usize;
            let held_out = config.held_out;
            let (fit, held_out) = split::hold_out(samples, held_out.count(samples), held_out.seed)?;
            (&train.rows(&fit), &train.rows(&held_out))
        }
    };
    let scaling = Scaling::of(config, &fit.values);
    let (fit_values, held_out_values) = (apply(&scaling, &fit.values), apply(&scaling, &held_out.values));
    let mut trials = Vec::with_capacity(penalties.len());
    let (mut last, mut chosen_classifier): (Option<LinearClassifier>, _) = (None, None);
    for lambda in penalties {
        let classifier = LinearClassifier::fit(&fit_values, &fit.labels, classes, lambda, last.as_ref());
        let scores = classifier.scores(&held_out_values);
        trials.push(trial(lambda, Some(TrialResult::of(metric, &scores, &held_out.labels))));
        if best(&trials) == Some(trials.len() - 1) {
            chosen_classifier = Some(classifier.shallow_clone());
        }
        last = Some(classifier);
    }
    Ok(Choice { chosen: best(&trials).unwrap_or(0), trials, classifier: chosen_classifier })
}

/// Mean and deviation of each feature; a constant one becomes 0.
struct Scaling {
    mean: Tensor,
    deviation: Tensor,
}

impl Scaling {
    /// By the images that are fitted on alone; none when the configuration wants none.
    fn of(config: &LinearConfig, values: &Tensor) -> Option<Scaling> {
        config.standardize.then(|| Scaling {
            mean: values.mean_dim(0, true, Kind::Double),
            deviation: values.std_dim(0, false, true).clamp_min(1e-8),
        })
    }
}

fn apply(scaling: &Option<Scaling>, values: &Tensor) -> Tensor {
    match scaling {
        Some(Scaling { mean, deviation }) => (values - mean) / deviation,
        None => values.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::config::{HeldOut, HeldOutSize};
    use crate::evaluate::accuracy::Accuracy;
    use crate::evaluate::testing::{blobs, shuffled};

    fn config(l2: &[f64]) -> LinearConfig {
        let held_out = HeldOut { size: HeldOutSize::Fraction(0.25), seed: 0 };
        LinearConfig { standardize: true, l2: l2.to_vec(), held_out }
    }

    fn labelled(values: Tensor, labels: Tensor) -> Labelled {
        Labelled { values: values.to_kind(Kind::Double), labels }
    }

    fn accuracy(fitted: &Fitted, test: &Labelled, classes: i64) -> f64 {
        Accuracy::of(&fitted.scores(&test.values), &test.labels, classes).top1
    }

    #[test]
    fn standardising_uses_the_images_that_are_fitted_on_alone() {
        let train = Tensor::from_slice(&[1.0f64, 5.0, 3.0, 5.0]).view([2, 2]);
        let test = Tensor::from_slice(&[4.0f64, 5.0]).view([1, 2]);
        let scaling = Scaling::of(&config(&[1.0]), &train);
        assert_eq!(Vec::<f64>::try_from(apply(&scaling, &train).view([-1])).unwrap(), [-1.0, 0.0, 1.0, 0.0]);
        assert_eq!(Vec::<f64>::try_from(apply(&scaling, &test).view([-1])).unwrap(), [2.0, 0.0]);
    }

    #[test]
    fn separable_features_are_told_apart_and_shuffled_labels_are_not() {
        let (values, labels) = blobs(4, 60, 8, 0);
        let (test_values, test_labels) = blobs(4, 60, 8, 1);
        let test = labelled(test_values, test_labels);
        let train = labelled(values, labels);
        let right = fit(&config(&[1e-4, 1e-2, 1.0]), Metric::Top1, 4, &train, None).unwrap();
        assert_eq!(accuracy(&right, &test, 4), 1.0);
        let mixed = labelled(train.values.shallow_clone(), shuffled(&train.labels, 5));
        let wrong = fit(&config(&[1e-4, 1e-2, 1.0]), Metric::Top1, 4, &mixed, None).unwrap();
        let chance = accuracy(&wrong, &test, 4);
        assert!((0.0..=0.5).contains(&chance), "{chance}, expected about 0.25");
    }

    /// Weak features that a strong penalty suits, with noise that a weak one learns by heart.
    fn noisy(samples: i64, seed: u64, flip: bool) -> Labelled {
        let (values, labels) = blobs(2, samples / 2, 40, seed);
        let noise = crate::evaluate::testing::normal(&[samples, 40], seed + 100);
        let labels = if flip { 1 - labels } else { labels };
        labelled(values * 0.1 + noise, labels)
    }

    #[test]
    fn the_choice_is_made_on_held_out_images_and_no_test_image_has_a_part_in_it() {
        let l2 = [1e-6, 1e-3, 1e-1, 10.0];
        let (train, validation) = (noisy(60, 0, false), noisy(60, 1, false));
        // On these the best penalty is another: whatever was learned is wrong, the more so the better it was learned.
        let test = noisy(60, 2, true);
        let fitted = fit(&config(&l2), Metric::Top1, 2, &train, Some(&validation)).unwrap();
        let accuracies = |set: &Labelled| -> Vec<f64> {
            let scaling = Scaling::of(&config(&l2), &train.values);
            let values = apply(&scaling, &train.values);
            let of = |trial: &Trial| {
                let lambda = trial.setting["lambda"].as_f64().unwrap();
                let classifier = LinearClassifier::fit(&values, &train.labels, 2, lambda, None);
                Accuracy::of(&classifier.scores(&apply(&scaling, &set.values)), &set.labels, 2).top1
            };
            fitted.trials.iter().map(of).collect()
        };
        let (on_validation, on_test) = (accuracies(&validation), accuracies(&test));
        let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        assert_eq!(on_validation[fitted.chosen], highest(&on_validation), "{on_validation:?}");
        // The case tells a leak: the test images would have chosen otherwise.
        assert!(on_test[fitted.chosen] < highest(&on_test), "{on_test:?}");
        for (trial, expected) in fitted.trials.iter().zip(&on_validation) {
            let Some(TrialResult::Measured { accuracy, .. }) = trial.result else { panic!("{trial:?}") };
            assert!((accuracy - expected).abs() < 0.04, "{trial:?}, {expected}");
        }
    }

    #[test]
    fn the_chosen_penalty_is_fitted_again_on_training_and_validation_images() {
        let (train, validation) = (noisy(40, 0, false), noisy(40, 1, false));
        let fitted = fit(&config(&[1e-2, 1.0]), Metric::Top1, 2, &train, Some(&validation)).unwrap();
        let both = fit(&config(&[fitted.lambda]), Metric::Top1, 2, &train.and(&validation), None).unwrap();
        let probe = Tensor::eye(40, (Kind::Double, Device::Cpu));
        assert!(fitted.scores(&probe).allclose(&both.scores(&probe), 1e-3, 1e-4, false));
    }

    #[test]
    fn the_last_fit_begins_where_the_chosen_one_ended() {
        let sets = [0, 1].map(|seed| blobs(4, 30, 8, seed));
        let [train, validation] = sets.map(|(values, labels)| labelled(values, labels));
        // Of classes that are far apart the weakest penalty fits best, and it is a long way there from nothing.
        let l2 = [1e-8, 1e-7, 1e-6, 1e-5];
        let fitted = fit(&config(&l2), Metric::Top1, 4, &train, Some(&validation)).unwrap();
        let cold = fit(&config(&[1e-8]), Metric::Top1, 4, &train.and(&validation), None).unwrap();
        assert_eq!(fitted.lambda, 1e-8);
        assert!(2 * fitted.fit().iterations < cold.fit().iterations, "{:?}, {:?}", fitted.fit(), cold.fit());
    }
}
