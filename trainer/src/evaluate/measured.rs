//! What a classifier came to on labelled features: accuracies where each sample has one class, average precisions where samples
//! may have several.

use serde_json::{Map, Value};
use tch::Tensor;

use super::accuracy::Accuracy;
use super::average_precision::AveragePrecision;

/// How well a classifier did.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// Each sample has one class.
    Accuracy(Accuracy),
    /// A sample may have several.
    AveragePrecision(AveragePrecision),
}

impl Measured {
    /// Of `scores` (float [samples, classes]) against `labels`: int64 [samples], or double [samples, classes], 1 for the classes
    /// that a sample has.
    pub(super) fn of(scores: &Tensor, labels: &Tensor, classes: i64) -> Measured {
        if labels.dim() == 2 {
            Measured::AveragePrecision(AveragePrecision::of(scores, labels))
        } else {
            Measured::Accuracy(Accuracy::of(scores, labels, classes))
        }
    }

    /// Top-1 accuracy; none of samples of several classes.
    pub fn top1(&self) -> Option<f64> {
        match self {
            Measured::Accuracy(accuracy) => Some(accuracy.top1),
            Measured::AveragePrecision(_) => None,
        }
    }

    /// Top-5 accuracy, where there is one.
    pub fn top5(&self) -> Option<f64> {
        match self {
            Measured::Accuracy(accuracy) => accuracy.top5,
            Measured::AveragePrecision(_) => None,
        }
    }

    /// Accuracy or average precision of each class; none of a class without samples.
    pub fn per_class(&self) -> &[Option<f64>] {
        match self {
            Measured::Accuracy(accuracy) => &accuracy.per_class,
            Measured::AveragePrecision(precision) => &precision.per_class,
        }
    }

    /// Their mean: mean accuracy per class, or mean average precision.
    pub fn mean_over_classes(&self) -> f64 {
        match self {
            Measured::Accuracy(accuracy) => accuracy.mean_per_class(),
            Measured::AveragePrecision(precision) => precision.mean(),
        }
    }

    pub(super) fn to_json(&self) -> Map<String, Value> {
        match self {
            Measured::Accuracy(accuracy) => accuracy.to_json(),
            Measured::AveragePrecision(precision) => Map::from_iter([
                ("mean_average_precision".to_owned(), precision.mean().into()),
                ("per_class".to_owned(), precision.per_class.clone().into()),
            ]),
        }
    }
}
