//! Accuracy of a classifier: top-1, top-5, and per class.

use serde_json::{Map, Value};
use tch::{Kind, Tensor};

/// Accuracies of one classifier, as fractions of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The best-scored class is right.
    pub top1: f64,
    /// The right class is among the five best-scored ones; only with more than five classes.
    pub top5: Option<f64>,
    /// Top-1 among the samples of each class; none for a class without any.
    pub per_class: Vec<Option<f64>>,
}

impl Accuracy {
    /// Of `scores` (float [samples, classes]) against `labels` (int64 [samples]).
    pub(crate) fn of(scores: &Tensor, labels: &Tensor, classes: i64) -> Accuracy {
        let right = scores.argmax(1, false).eq_tensor(labels).to_kind(Kind::Double);
        let zeros = || Tensor::zeros([classes], (Kind::Double, scores.device()));
        let right_per_class = doubles(&zeros().index_add(0, labels, &right));
        let seen_per_class = doubles(&zeros().index_add(0, labels, &right.ones_like()));
        let per_class = right_per_class.iter().zip(&seen_per_class);
        let top5 = (classes > 5).then(|| {
            let (_, best) = scores.topk(5, 1, true, true);
            let hit = best.eq_tensor(&labels.unsqueeze(1)).any_dim(1, false);
            hit.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
        });
        Accuracy {
            top1: right.mean(Kind::Double).double_value(&[]),
            top5,
            per_class: per_class.map(|(right, seen)| (*seen > 0.0).then(|| right / seen)).collect(),
        }
    }

    /// Mean over classes, which weighs a rare class as much as a frequent one.
    pub fn mean_per_class(&self) -> f64 {
        let known: Vec<f64> = self.per_class.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("top1".into(), self.top1.into());
        map.insert("top5".into(), self.top5.into());
        map.insert("mean_per_class".into(), self.mean_per_class().into());
        map.insert("per_class".into(), self.per_class.clone().into());
        map
    }
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor).expect("a vector of doubles")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracies_are_counted_per_class_and_over_all() {
        // Best-scored classes: 0, 1, 1, 2; labels 0, 0, 1, 2; class 3 has no samples.
        let rows =
            [[9.0f32, 1.0, 0.0, 0.0], [0.0, 9.0, 1.0, 0.0], [1.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0]];
        let scores = Tensor::from_slice(&rows.concat()).view([4, 4]);
        let accuracy = Accuracy::of(&scores, &Tensor::from_slice(&[0i64, 0, 1, 2]), 4);
        assert_eq!(accuracy.top1, 0.75);
        assert_eq!(accuracy.top5, None);
        assert_eq!(accuracy.per_class, [Some(0.5), Some(1.0), Some(1.0), None]);
        assert!((accuracy.mean_per_class() - 2.5 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_rare_class_weighs_as_much_as_a_frequent_one_in_the_mean_per_class() {
        // Three of class 0, all right, and one of class 1, wrong: top-1 3/4, mean of 1 and 0.
        let scores = Tensor::from_slice(&[1.0f32, 0.0].repeat(4)).view([4, 2]);
        let accuracy = Accuracy::of(&scores, &Tensor::from_slice(&[0i64, 0, 0, 1]), 2);
        assert_eq!((accuracy.top1, accuracy.mean_per_class()), (0.75, 0.5));
    }

    #[test]
    fn top5_looks_at_the_five_best() {
        let scores = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].repeat(2)).view([2, 6]);
        let accuracy = Accuracy::of(&scores, &Tensor::from_slice(&[1i64, 0]), 6);
        assert_eq!(accuracy.top5, Some(0.5));
        assert_eq!(accuracy.top1, 0.0);
    }
}
