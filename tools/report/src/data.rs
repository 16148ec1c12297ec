//! What a report is made of: plain data, gathered by whoever ran the study.

mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use state::{State, Unhealthy, Verdict};

use crate::text::seeds;

/// A study's results. Everything in the report is a function of this.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// Short name, for files and provenance.
    pub name: String,
    /// What the page is called.
    pub title: String,
    /// What is compared, in the order in which it is shown; each keeps one colour everywhere.
    pub methods: Vec<Method>,
    /// What each method was put through, in the order in which it is shown.
    pub variants: Vec<Variant>,
    /// Id of the variant that drops are measured from.
    pub baseline: String,
    /// Seeds that were planned.
    pub seeds: Vec<u64>,
    /// Accuracies, the first of which the sentences and charts are about.
    pub metrics: Vec<Metric>,
    /// Every planned run, whatever became of it.
    pub runs: Vec<Run>,
    /// Accuracy of guessing, as a fraction of 1.
    pub chance: Option<f64>,
    /// Evaluations of encoders with the random weights that runs start from.
    pub random_encoders: Vec<RandomEncoder>,
    /// Published numbers to show beside the study's own.
    pub reference: Option<Reference>,
    /// Views of the same images in each variant.
    pub sheets: Vec<Sheet>,
    /// In what the resolved configurations of the arms differ.
    pub differences: Vec<ArmDifference>,
    /// Further facts on where the numbers come from: label and text.
    pub provenance: Vec<(String, String)>,
    /// What did not go as it should (an arm without pictures, say), one sentence each.
    pub remarks: Vec<String>,
}

/// One of the things compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// As in the study file.
    pub id: String,
    /// As people call it.
    pub label: String,
}

/// One arm of every method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// As in the study file.
    pub id: String,
    /// As people call it.
    pub label: String,
    /// What it changes, as overrides.
    pub sets: Vec<String>,
}

/// A way to judge an encoder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Key of [`Run::scores`].
    pub id: String,
    /// As people call it.
    pub label: String,
    /// What its numbers are.
    pub measure: Measure,
}

impl Metric {
    /// `linear probe accuracy`
    pub fn what(&self) -> String {
        format!("{} {}", self.label, self.measure.text())
    }
}

/// What is measured of a classifier, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of images whose best-scored class is right.
    #[default]
    Top1,
    /// Of images with several classes each.
    MeanAveragePrecision,
}

impl Measure {
    /// Its key in an evaluation, and its part of a column's name.
    pub fn id(self) -> &'static str {
        match self {
            Measure::Top1 => "top1",
            Measure::MeanAveragePrecision => "mean_average_precision",
        }
    }

    /// In sentences.
    pub fn text(self) -> &'static str {
        match self {
            Measure::Top1 => "accuracy",
            Measure::MeanAveragePrecision => "mean average precision",
        }
    }

    /// Beside an axis.
    pub fn axis(self) -> &'static str {
        match self {
            Measure::Top1 => "top-1 accuracy",
            Measure::MeanAveragePrecision => "mean average precision",
        }
    }

    /// As a heading.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Top1 => "Accuracy",
            Measure::MeanAveragePrecision => "Mean average precision",
        }
    }
}

/// One run: a method in a variant under a seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Id of its method.
    pub method: String,
    /// Id of its variant.
    pub variant: String,
    /// Key of its random draws.
    pub seed: u64,
    /// What became of it.
    pub state: State,
    /// Why it failed.
    pub error: Option<String>,
    /// Why and where its policy ended it: `collapsed, step 400 of 1200`.
    pub stopped: Option<String>,
    /// Whether its representation collapsed, where that is known.
    pub verdict: Option<Verdict>,
    /// Of its resolved configuration.
    pub fingerprint: Option<String>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// RFC 3339.
    pub started: Option<String>,
    /// RFC 3339.
    pub ended: Option<String>,
    /// Accuracies by metric, as fractions of 1; only of those that are results.
    pub scores: BTreeMap<String, f64>,
    /// What it looked like on the way.
    pub curves: Vec<Curve>,
}

/// A figure over the steps of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Name of the figure (`loss`).
    pub name: String,
    /// Step and value, steps rising; values may be anything finite.
    pub points: Vec<(f64, f64)>,
}

/// Accuracies of an encoder that was not trained.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RandomEncoder {
    /// That its weights were drawn under.
    pub seed: u64,
    /// Accuracies by metric, as fractions of 1.
    pub scores: BTreeMap<String, f64>,
}

/// Published numbers, of another data set and scale as a rule: to compare directions with, not levels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Who measured what.
    pub source: String,
    /// One number per method and variant that it has.
    pub values: Vec<ReferenceValue>,
}

/// A published accuracy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferenceValue {
    /// Id of the method.
    pub method: String,
    /// Id of the variant.
    pub variant: String,
    /// In percent.
    pub percent: f64,
    /// Where it was not measured beside the variant that drops are measured from: the baseline of its own, in percent.
    pub baseline: Option<f64>,
}

/// Pictures of the views that some arms make.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// Method and variant of every arm whose encoder saw just these views, in the order of the study; at least one.
    pub arms: Vec<(String, String)>,
    /// An image file.
    pub image: Vec<u8>,
    /// Of the file: `image/webp`.
    pub media_type: String,
    /// Width of the picture as it should be shown, in pixels.
    pub width: u32,
    /// Height of it.
    pub height: u32,
    /// What it shows, in words.
    pub description: String,
}

/// In what one arm's resolved configuration differs from another's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmDifference {
    /// The arm it is compared with, in words.
    pub left: String,
    /// The arm, in words.
    pub right: String,
    /// TOML path, value on the left, value on the right; empty where the two are the same.
    pub keys: Vec<(String, String, String)>,
}

impl Study {
    /// The label of a method; its id when it has none.
    pub fn method_label<'a>(&'a self, id: &'a str) -> &'a str {
        self.methods.iter().find(|method| method.id == id).map_or(id, |method| &method.label)
    }

    /// The label of a variant; its id when it has none.
    pub fn variant_label<'a>(&'a self, id: &'a str) -> &'a str {
        self.variants.iter().find(|variant| variant.id == id).map_or(id, |variant| &variant.label)
    }

    /// Every two methods, of which the first stands first.
    pub fn pairs(&self) -> Vec<(&Method, &Method)> {
        let after = |index: usize| self.methods[index + 1..].iter();
        let pairs = self.methods.iter().enumerate();
        pairs.flat_map(|(index, first)| after(index).map(move |second| (first, second))).collect()
    }

    /// The metric that sentences and charts are about.
    pub fn main_metric(&self) -> Option<&Metric> {
        self.metrics.first()
    }

    /// How many seeds are behind the numbers, in words: `3 seeds`, or while runs are missing `1 to 2 of 3 seeds`.
    pub fn seeds_behind(&self) -> String {
        let arms =
            self.methods.iter().flat_map(|method| self.variants.iter().map(move |variant| (method, variant)));
        let finished = arms.map(|(method, variant)| {
            self.of_arm(&method.id, &variant.id).filter(|run| run.state.is_result()).count()
        });
        let counts: Vec<usize> = finished.collect();
        let all = seeds(self.seeds.len());
        match (counts.iter().min(), counts.iter().max()) {
            (Some(least), _) if *least == self.seeds.len() => all,
            (Some(least), Some(most)) if least == most => format!("{least} of {all}"),
            (Some(least), Some(most)) => format!("{least} to {most} of {all}"),
            _ => all,
        }
    }

    /// How many runs of an arm were stopped early: `stopped early`, or `2 of 3 stopped early`; `None` for none.
    pub fn stopped_early(&self, method: &str, variant: &str) -> Option<String> {
        let results = self.of_arm(method, variant).filter(|run| run.state.is_result());
        let (early, whole): (Vec<&Run>, Vec<&Run>) =
            results.partition(|run| run.state == State::StoppedEarly);
        match (early.len(), whole.len()) {
            (0, _) => None,
            (_, 0) => Some("stopped early".into()),
            (early, whole) => Some(format!("{early} of {} stopped early", early + whole)),
        }
    }

    /// What went wrong with an arm's representation; `None` where all runs that are known are healthy.
    pub fn unhealthy(&self, method: &str, variant: &str) -> Option<Unhealthy> {
        let verdicts: Vec<Verdict> = self.of_arm(method, variant).filter_map(|run| run.verdict).collect();
        Unhealthy::among(&verdicts)
    }

    /// What stands beside an arm's accuracy in tables: `collapsed, 2 of 3 stopped early`; `None` for nothing.
    pub fn condition(&self, method: &str, variant: &str) -> Option<String> {
        let health = self.unhealthy(method, variant).map(Unhealthy::text);
        let both: Vec<String> = health.into_iter().chain(self.stopped_early(method, variant)).collect();
        (!both.is_empty()).then(|| both.join(", "))
    }

    /// The runs of an arm, one per seed.
    pub(crate) fn of_arm<'a>(&'a self, method: &'a str, variant: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| (&*run.method, &*run.variant) == (method, variant))
    }

    /// What was published of an arm.
    pub fn published(&self, method: &str, variant: &str) -> Option<&ReferenceValue> {
        let values = &self.reference.as_ref()?.values;
        values.iter().find(|value| value.method == method && value.variant == variant)
    }

    /// Published drop in points, from the value's own baseline where it has one: positive for a loss.
    pub fn published_drop(&self, method: &str, variant: &str) -> Option<f64> {
        let value = self.published(method, variant)?;
        let shared = || Some(self.published(method, &self.baseline)?.percent);
        Some(value.baseline.or_else(shared)? - value.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn an_unfinished_study_tells_how_many_seeds_are_behind_its_numbers() {
        let mut study = example::study();
        assert_eq!(study.seeds_behind(), "3 seeds");
        study.runs[0].state = State::Failed;
        assert_eq!(study.seeds_behind(), "2 to 3 of 3 seeds");
        study.runs.iter_mut().filter(|run| run.seed > 0).for_each(|run| run.state = State::Planned);
        study.runs[0].state = State::Finished;
        assert_eq!(study.seeds_behind(), "1 of 3 seeds");
    }

    #[test]
    fn a_published_drop_is_taken_from_the_values_own_baseline_where_it_has_one() {
        let mut study = example::study();
        let drop = |study: &Study| (study.published_drop("byol", "crop_only").unwrap() * 10.0).round() / 10.0;
        assert_eq!(drop(&study), 13.1);
        let values = &mut study.reference.as_mut().unwrap().values;
        values.iter_mut().find(|value| value.variant == "crop_only").unwrap().baseline = Some(74.3);
        assert_eq!(drop(&study), 14.9);
        study.reference.as_mut().unwrap().values.retain(|value| value.variant == "crop_only");
        assert_eq!(drop(&study), 14.9, "it needs no other one");
        assert_eq!(study.published_drop("simclr", "crop_only"), None);
    }

    #[test]
    fn an_arm_whose_seeds_differ_in_their_verdict_says_how_many_collapsed() {
        let mut study = example::study();
        let told = |study: &Study| study.unhealthy("byol", "crop_only").map(Unhealthy::text);
        assert_eq!(told(&study), None);
        let arm = |run: &&mut Run| (&*run.method, &*run.variant) == ("byol", "crop_only");
        study.runs.iter_mut().filter(arm).for_each(|run| run.verdict = Some(Verdict::Healthy));
        assert_eq!(told(&study), None);
        study.runs.iter_mut().find(arm).unwrap().verdict = Some(Verdict::Collapsed);
        assert_eq!(told(&study).as_deref(), Some("1 of 3 collapsed"));
        study.runs.iter_mut().filter(arm).for_each(|run| run.verdict = Some(Verdict::Collapsing));
        assert_eq!(told(&study).as_deref(), Some("collapsing"));
    }
}
