//! The choice among the settings of a grid, by images that are neither fitted on nor test images.

use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use super::logistic::{cross_entropy, one_hot};
use super::measured::Measured;
use crate::config::Metric;

/// One setting of a grid, and how it did.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The values of this setting.
    pub setting: Map<String, Value>,
    /// How it did on the images of the choice; none where there was nothing to choose.
    pub result: Option<TrialResult>,
}

/// How a setting did on the images of the choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrialResult {
    /// Its weights are not finite any more.
    Diverged,
    /// It ended well.
    Measured {
        /// By the evaluation's metric, a fraction of 1; of samples of several classes the mean average precision.
        accuracy: f64,
        /// Mean, which decides between equal accuracies.
        cross_entropy: f64,
    },
}

impl TrialResult {
    /// Of `scores` (logits, float [samples, classes]) against `labels`, as [`Measured::of`] takes them.
    pub(super) fn of(metric: Metric, scores: &Tensor, labels: &Tensor) -> TrialResult {
        let classes = scores.size()[1];
        let several = labels.dim() == 2;
        let targets = if several { labels.shallow_clone() } else { one_hot(labels, classes) };
        let cross_entropy = cross_entropy(&scores.to_kind(Kind::Double), &targets, several).double_value(&[]);
        if !cross_entropy.is_finite() {
            return TrialResult::Diverged;
        }
        let accuracy = match Measured::of(scores, labels, classes) {
            Measured::Accuracy(accuracy) if metric == Metric::Top1 => accuracy.top1,
            measured => measured.mean_over_classes(),
        };
        TrialResult::Measured { accuracy, cross_entropy }
    }

    fn is_better_than(self, other: TrialResult) -> bool {
        use TrialResult::{Diverged, Measured};
        match (self, other) {
            (Diverged, _) => false,
            (Measured { .. }, Diverged) => true,
            (
                Measured { accuracy, cross_entropy },
                Measured { accuracy: other_accuracy, cross_entropy: other_entropy },
            ) => accuracy > other_accuracy || accuracy == other_accuracy && cross_entropy < other_entropy,
        }
    }
}

impl Trial {
    pub(super) fn to_json(&self) -> Value {
        let mut map = self.setting.clone();
        match self.result {
            None => {}
            Some(TrialResult::Diverged) => drop(map.insert("diverged".into(), true.into())),
            Some(TrialResult::Measured { accuracy, cross_entropy }) => {
                map.insert("accuracy".into(), json!(accuracy));
                map.insert("cross_entropy".into(), json!(cross_entropy));
            }
        }
        map.into()
    }
}

/// The best trial: the highest accuracy, of equals the lowest cross-entropy, of equals the first. `None` when all diverged.
pub(super) fn best(trials: &[Trial]) -> Option<usize> {
    let mut best: Option<(usize, TrialResult)> = None;
    for (index, trial) in trials.iter().enumerate() {
        if let Some(result) = trial.result
            && result.is_better_than(best.map_or(TrialResult::Diverged, |(_, best)| best))
        {
            best = Some((index, result));
        }
    }
    best.map(|(index, _)| index)
}

/// Named numbers as a trial's setting.
pub(super) fn setting<const N: usize>(values: [(&str, Value); N]) -> Map<String, Value> {
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(result: TrialResult) -> Trial {
        Trial { setting: Map::new(), result: Some(result) }
    }

    fn measured(accuracy: f64, cross_entropy: f64) -> Trial {
        trial(TrialResult::Measured { accuracy, cross_entropy })
    }

    #[test]
    fn accuracy_decides_then_cross_entropy_then_the_order() {
        let trials = [measured(0.5, 1.0), measured(0.7, 3.0), measured(0.7, 2.0), measured(0.7, 2.0)];
        assert_eq!(best(&trials), Some(2));
    }

    #[test]
    fn what_diverged_is_never_chosen() {
        assert_eq!(best(&[trial(TrialResult::Diverged), measured(0.0, 9.0)]), Some(1));
        assert_eq!(best(&[trial(TrialResult::Diverged)]), None);
        let nan = Tensor::from_slice(&[f32::NAN, 0.0]).view([1, 2]);
        let result = TrialResult::of(Metric::Top1, &nan, &Tensor::from_slice(&[0i64]));
        assert_eq!(result, TrialResult::Diverged);
    }

    #[test]
    fn the_metric_is_what_the_choice_is_made_by() {
        // Three of class 0, all right, and one of class 1, wrong.
        let scores = Tensor::from_slice(&[1.0f32, 0.0].repeat(4)).view([4, 2]);
        let labels = Tensor::from_slice(&[0i64, 0, 0, 1]);
        for (metric, expected) in [(Metric::Top1, 0.75), (Metric::MeanPerClass, 0.5)] {
            let TrialResult::Measured { accuracy, .. } = TrialResult::of(metric, &scores, &labels) else {
                panic!("diverged")
            };
            assert_eq!(accuracy, expected);
        }
    }
}
