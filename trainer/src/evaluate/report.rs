//! What an evaluation found, as a table for people and as JSON.

use std::fmt;

use serde_json::{Value, json};
use tch::{Kind, Tensor};

use super::features::Features;
use super::logistic::Fit;

/// Accuracies of one classifier, as fractions of 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Accuracy {
    /// The best-scored class is right.
    pub top1: f64,
    /// The right class is among the five best-scored ones; only with more than five classes.
    pub top5: Option<f64>,
    /// Top-1 among the test samples of each class; none for a class without any.
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

    fn to_json(&self) -> serde_json::Map<String, Value> {
        let mut map = serde_json::Map::new();
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

/// Everything that an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Of the run.
    pub fingerprint: String,
    /// The encoder had the weights that the run started from.
    pub random_init: bool,
    /// Optimizer steps that the encoder was trained for.
    pub step: u64,
    /// The resolved configuration of the evaluation.
    pub protocol: toml::Table,
    /// What the classifiers were fitted on.
    pub train: EvaluatedSet,
    /// What they were judged on.
    pub test: EvaluatedSet,
    /// Their names, in the order of the labels.
    pub classes: Vec<String>,
    /// What was found.
    pub judgement: Judgement,
}

/// The images of one side.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedSet {
    /// Images that were used.
    pub samples: i64,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
    /// The source's own hash.
    pub identity: String,
}

impl EvaluatedSet {
    pub(super) fn of(features: &Features, identity: String) -> EvaluatedSet {
        EvaluatedSet { samples: features.values.size()[0], skipped: features.skipped, identity }
    }
}

/// The accuracies of both classifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Of the logistic regression.
    pub linear: Accuracy,
    /// Its penalty, given or chosen.
    pub lambda: f64,
    /// How its fit ended.
    pub fit: Fit,
    /// Of the nearest neighbours.
    pub knn: Accuracy,
    /// Neighbours asked for.
    pub k: i64,
    /// Of their weights.
    pub temperature: f64,
}

impl Evaluation {
    /// As `evaluation.json` holds it.
    pub fn to_json(&self) -> Value {
        let Judgement { linear, lambda, fit, knn, k, temperature } = &self.judgement;
        let mut linear = linear.to_json();
        linear.insert("lambda".into(), (*lambda).into());
        linear.insert("iterations".into(), fit.iterations.into());
        linear.insert("gradient".into(), fit.gradient.into());
        linear.insert("converged".into(), fit.converged.into());
        let mut knn = knn.to_json();
        knn.insert("k".into(), (*k).into());
        knn.insert("temperature".into(), (*temperature).into());
        json!({
            "fingerprint": self.fingerprint,
            "random_init": self.random_init,
            "step": self.step,
            "protocol": self.protocol,
            "train_samples": self.train.samples,
            "train_skipped": self.train.skipped,
            "train_identity": self.train.identity,
            "test_samples": self.test.samples,
            "test_skipped": self.test.skipped,
            "test_identity": self.test.identity,
            "classes": self.classes,
            "linear": linear,
            "knn": knn,
        })
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent =
            |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1} %", value * 100.0));
        let encoder = if self.random_init { "randomly initialised encoder" } else { "frozen encoder" };
        writeln!(
            formatter,
            "{encoder}, {} training and {} test images, {} classes\n",
            self.train.samples,
            self.test.samples,
            self.classes.len()
        )?;
        for (name, set) in [("training", &self.train), ("test", &self.test)] {
            if set.skipped > 0 {
                writeln!(formatter, "{} {name} images could not be read and were left out", set.skipped)?;
            }
        }
        let found = &self.judgement;
        if !found.fit.converged {
            writeln!(
                formatter,
                "the logistic regression stopped after {} iterations before it converged (gradient {:.1e}); a larger linear.l2 helps",
                found.fit.iterations, found.fit.gradient
            )?;
        }
        let linear = format!("linear (L2 {:.0e})", found.lambda);
        let knn = format!("kNN (k = {}, temperature {})", found.k, found.temperature);
        let width = linear.len().max(knn.len());
        writeln!(formatter, "{:width$}  {:>8}  {:>8}  {:>14}", "", "top-1", "top-5", "mean per class")?;
        for (name, accuracy) in [(linear, &found.linear), (knn, &found.knn)] {
            let (top1, top5) = (percent(Some(accuracy.top1)), percent(accuracy.top5));
            let mean = percent(Some(accuracy.mean_per_class()));
            writeln!(formatter, "{name:width$}  {top1:>8}  {top5:>8}  {mean:>14}")?;
        }
        // A thousand classes are for the JSON file.
        if self.classes.len() > 30 {
            return Ok(());
        }
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        writeln!(formatter, "\n{:width$}  {:>8}  {:>8}", "class", "linear", "kNN")?;
        for ((class, linear), knn) in
            self.classes.iter().zip(&found.linear.per_class).zip(&found.knn.per_class)
        {
            writeln!(formatter, "{class:width$}  {:>8}  {:>8}", percent(*linear), percent(*knn))?;
        }
        Ok(())
    }
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
    fn top5_looks_at_the_five_best() {
        let scores = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].repeat(2)).view([2, 6]);
        let accuracy = Accuracy::of(&scores, &Tensor::from_slice(&[1i64, 0]), 6);
        assert_eq!(accuracy.top5, Some(0.5));
        assert_eq!(accuracy.top1, 0.0);
    }

    #[test]
    fn the_table_and_the_json_show_both_classifiers() {
        let accuracy = Accuracy { top1: 0.5, top5: None, per_class: vec![Some(0.5), None] };
        let evaluation = Evaluation {
            fingerprint: "0123456789abcdef".into(),
            random_init: false,
            step: 30,
            protocol: toml::Table::new(),
            train: EvaluatedSet { samples: 10, skipped: 0, identity: "00".into() },
            test: EvaluatedSet { samples: 4, skipped: 1, identity: "11".into() },
            classes: vec!["dots".into(), "stripes".into()],
            judgement: Judgement {
                linear: accuracy.clone(),
                lambda: 1e-4,
                fit: Fit { iterations: 500, gradient: 0.25, converged: false },
                knn: accuracy,
                k: 20,
                temperature: 0.07,
            },
        };
        let table = evaluation.to_string();
        assert!(table.contains("linear (L2 1e-4)"), "{table}");
        assert!(table.lines().any(|line| line.starts_with("stripes") && line.ends_with("-")), "{table}");
        assert!(table.contains("1 test images could not be read"), "{table}");
        assert!(table.contains("after 500 iterations before it converged"), "{table}");
        let json = evaluation.to_json();
        assert_eq!(json["linear"]["lambda"], 1e-4);
        assert_eq!(json["knn"]["per_class"][0], 0.5);
        assert!(json["knn"]["top5"].is_null());
    }
}
