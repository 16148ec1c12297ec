//! What an evaluation found, as a table for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::accuracy::Accuracy;
use super::features::Features;
use super::logistic::Fit;

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
