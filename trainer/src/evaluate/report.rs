//! What an evaluation found, as a table for people and as JSON.
//!
//! Every section says what its numbers were measured on, so that it can stand alone and be compared.

use std::fmt;

use diptych_config::Choice;
use diptych_pipeline::Source;
use serde_json::{Map, Value, json};

use super::choice::Trial;
use super::features::Features;
use super::measured::Measured;
use super::selection::Selection;
use crate::config::{Layer, NetworkRole};

/// Everything that an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Of the run.
    pub fingerprint: String,
    /// The encoder had the weights that the run started from.
    pub random_init: bool,
    /// Optimizer steps that the encoder was trained for.
    pub step: u64,
    /// Whose weights.
    pub network: NetworkRole,
    /// Which features.
    pub layer: Layer,
    /// Width of the features.
    pub features: i64,
    /// The resolved configuration of the evaluation.
    pub protocol: toml::Table,
    /// What the classifiers were fitted on, as far as they share it.
    pub train: EvaluatedSet,
    /// What they were judged on.
    pub test: EvaluatedSet,
    /// Their names, in the order of the labels.
    pub classes: Vec<String>,
    /// What was found, protocol by protocol.
    pub sections: Vec<Section>,
}

/// The images of one role.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedSet {
    /// Which they are: `train`, `held out of train`.
    pub split: String,
    /// Images that were used.
    pub samples: i64,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
    /// The source's own hash.
    pub identity: String,
}

/// The images of a section.
#[derive(Clone, Debug, PartialEq)]
pub struct Roles {
    /// What the judged classifier was fitted on.
    pub fit: Vec<EvaluatedSet>,
    /// What the best of the grid was chosen on.
    pub choice: Option<EvaluatedSet>,
    /// What it was judged on.
    pub test: EvaluatedSet,
    /// Rows and columns of the view that was judged.
    pub view_size: [i64; 2],
}

/// What one protocol found.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// Its key in `evaluation.json`.
    pub name: String,
    /// Its table in the configuration.
    pub protocol: &'static str,
    /// Its row in the table of accuracies.
    pub label: String,
    /// Its column in the table of classes.
    pub heading: String,
    /// Of the test images.
    pub measured: Measured,
    /// What else it says of itself.
    pub figures: Map<String, Value>,
    /// The grid; empty where there is none.
    pub trials: Vec<Trial>,
    /// Place of the chosen one in `trials`.
    pub chosen: usize,
    /// On which images.
    pub roles: Roles,
    /// What the reader should know.
    pub remarks: Vec<String>,
}

impl EvaluatedSet {
    pub(super) fn of(images: &Selection, split: &str, skipped: usize) -> EvaluatedSet {
        let samples = images.len().saturating_sub(skipped) as i64;
        EvaluatedSet { split: split.into(), samples, skipped, identity: images.identity() }
    }

    fn to_json(&self) -> Value {
        json!({
            "split": self.split,
            "samples": self.samples,
            "skipped": self.skipped,
            "identity": self.identity,
        })
    }
}

impl Roles {
    /// Fitted on `fit`, judged by the features `judged` of the images `test`.
    pub(super) fn new(fit: EvaluatedSet, test: &Selection, judged: &Features) -> Roles {
        let test = EvaluatedSet::of(test, "test", judged.skipped);
        Roles { fit: vec![fit], choice: None, test, view_size: judged.size }
    }
}

impl Evaluation {
    /// The section called `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// As `evaluation.json` holds it.
    pub fn to_json(&self) -> Value {
        let mut json = json!({
            "fingerprint": self.fingerprint,
            "random_init": self.random_init,
            "step": self.step,
            "network": self.network.text(),
            "layer": self.layer.text(),
            "features": self.features,
            "protocol": self.protocol,
            "train_samples": self.train.samples,
            "train_skipped": self.train.skipped,
            "train_identity": self.train.identity,
            "test_samples": self.test.samples,
            "test_skipped": self.test.skipped,
            "test_identity": self.test.identity,
            "classes": self.classes,
        });
        for section in &self.sections {
            let mut map = section.measured.to_json();
            map.extend(section.figures.clone());
            if !section.trials.is_empty() {
                map.insert("chosen".into(), section.trials[section.chosen].setting.clone().into());
                map.insert("grid".into(), section.trials.iter().map(Trial::to_json).collect());
            }
            map.insert("measured_on".into(), self.measured_on(section));
            json[&section.name] = map.into();
        }
        json
    }

    /// All that the numbers of `section` depend on.
    fn measured_on(&self, section: &Section) -> Value {
        let mut map = Map::new();
        map.insert("fingerprint".into(), json!(self.fingerprint));
        map.insert("random_init".into(), json!(self.random_init));
        map.insert("step".into(), json!(self.step));
        map.insert("network".into(), json!(self.network.text()));
        map.insert("layer".into(), json!(self.layer.text()));
        map.insert("features".into(), json!(self.features));
        map.insert("metric".into(), json!(self.protocol.get("metric")));
        map.insert("view_size".into(), json!(section.roles.view_size));
        map.insert("augmentations".into(), json!(self.protocol.get("augmentations")));
        let mut settings = json!(self.protocol.get(section.protocol));
        // Of what has a section for each value, this section's alone.
        for (list, own) in [("k", "k"), ("fractions", "fraction")] {
            if let (Some(settings), Some(value)) = (settings.as_object_mut(), section.figures.get(own)) {
                settings.remove(list);
                settings.insert(own.into(), value.clone());
            }
        }
        map.insert("settings".into(), settings);
        map.insert("fit".into(), section.roles.fit.iter().map(EvaluatedSet::to_json).collect());
        if let Some(choice) = &section.roles.choice {
            map.insert("choice".into(), choice.to_json());
        }
        map.insert("test".into(), section.roles.test.to_json());
        map.into()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent =
            |value: Option<f64>| value.map_or("-".into(), |value| format!("{:.1} %", value * 100.0));
        let encoder = if self.random_init { "randomly initialised encoder" } else { "frozen encoder" };
        let tuned = |section: &Section| matches!(section.protocol, "semi_supervised" | "fine_tune");
        let encoder = if self.sections.iter().all(tuned) { "fine-tuned encoder" } else { encoder };
        let role = if self.network == NetworkRole::Target { " of the target network" } else { "" };
        let layer = if self.layer == Layer::Projection { ", projections" } else { "" };
        writeln!(
            formatter,
            "{encoder}{role}{layer}, {} training and {} test images, {} classes\n",
            self.train.samples,
            self.test.samples,
            self.classes.len()
        )?;
        for (name, set) in [("training", &self.train), ("test", &self.test)] {
            if set.skipped > 0 {
                writeln!(formatter, "{} {name} images could not be read and were left out", set.skipped)?;
            }
        }
        for remark in self.sections.iter().flat_map(|section| &section.remarks) {
            writeln!(formatter, "{remark}")?;
        }
        let width = self.sections.iter().map(|section| section.label.len()).max().unwrap_or(0);
        let several =
            matches!(self.sections.first(), Some(Section { measured: Measured::AveragePrecision(_), .. }));
        if several {
            writeln!(formatter, "{:width$}  {:>22}", "", "mean average precision")?;
        } else {
            writeln!(formatter, "{:width$}  {:>8}  {:>8}  {:>14}", "", "top-1", "top-5", "mean per class")?;
        }
        for Section { label, measured, .. } in &self.sections {
            let mean = percent(Some(measured.mean_over_classes()));
            if several {
                writeln!(formatter, "{label:width$}  {mean:>22}")?;
            } else {
                let (top1, top5) = (percent(measured.top1()), percent(measured.top5()));
                writeln!(formatter, "{label:width$}  {top1:>8}  {top5:>8}  {mean:>14}")?;
            }
        }
        // A thousand classes are for the JSON file.
        if self.classes.len() > 30 {
            return Ok(());
        }
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        write!(formatter, "\n{:width$}", "class")?;
        for section in &self.sections {
            write!(formatter, "  {:>8}", section.heading)?;
        }
        writeln!(formatter)?;
        for (index, class) in self.classes.iter().enumerate() {
            write!(formatter, "{class:width$}")?;
            for section in &self.sections {
                write!(formatter, "  {:>8}", percent(section.measured.per_class()[index]))?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Accuracy;

    fn set(split: &str, samples: i64, skipped: usize) -> EvaluatedSet {
        EvaluatedSet { split: split.into(), samples, skipped, identity: "00".into() }
    }

    fn section(name: &str, label: &str) -> Section {
        Section {
            name: name.into(),
            protocol: "linear",
            label: label.into(),
            heading: name.into(),
            measured: Measured::Accuracy(Accuracy {
                top1: 0.5,
                top5: None,
                per_class: vec![Some(0.5), None],
            }),
            figures: Map::from_iter([("lambda".to_owned(), json!(1e-4))]),
            trials: vec![Trial {
                setting: Map::from_iter([("lambda".to_owned(), json!(1e-4))]),
                result: None,
            }],
            chosen: 0,
            roles: Roles {
                fit: vec![set("train", 10, 0)],
                choice: None,
                test: set("test", 4, 1),
                view_size: [32, 32],
            },
            remarks: vec!["it stopped".into()],
        }
    }

    #[test]
    fn the_table_and_the_json_show_every_section() {
        let protocol: toml::Table = "metric = \"top1\"\n[linear]\nl2 = [1e-4]".parse().unwrap();
        let evaluation = Evaluation {
            fingerprint: "0123456789abcdef".into(),
            random_init: false,
            step: 30,
            network: NetworkRole::Target,
            layer: Layer::Embedding,
            features: 64,
            protocol,
            train: set("train", 10, 0),
            test: set("test", 4, 1),
            classes: vec!["dots".into(), "stripes".into()],
            sections: vec![section("linear", "linear (L2 1e-4)"), section("knn", "kNN")],
        };
        let table = evaluation.to_string();
        assert!(table.contains("linear (L2 1e-4)") && table.contains("of the target network"), "{table}");
        assert!(table.lines().any(|line| line.starts_with("stripes") && line.ends_with("-")), "{table}");
        assert!(table.contains("1 test images could not be read") && table.contains("it stopped"), "{table}");
        let json = evaluation.to_json();
        assert_eq!(json["linear"]["lambda"], 1e-4);
        assert_eq!(json["linear"]["grid"][0]["lambda"], 1e-4);
        assert_eq!(json["knn"]["per_class"][0], 0.5);
        assert!(json["knn"]["top5"].is_null());
        let measured_on = &json["linear"]["measured_on"];
        assert_eq!(measured_on["network"], "target");
        assert_eq!(measured_on["settings"]["l2"][0], 1e-4);
        assert_eq!(measured_on["fit"][0]["samples"], 10);
        assert_eq!(measured_on["test"]["identity"], "00");
        assert_eq!((&measured_on["step"], &measured_on["view_size"][0]), (&json!(30), &json!(32)));
    }
}
