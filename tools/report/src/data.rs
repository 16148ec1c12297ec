//! What a report is made of: plain data, gathered by whoever ran the study.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// A kind of accuracy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Key of [`Run::scores`].
    pub id: String,
    /// As people call it.
    pub label: String,
}

/// What became of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Trained and evaluated.
    Finished,
    /// Ended by its policy on the way, and evaluated as it was.
    StoppedEarly,
    /// At work.
    Running,
    /// Stopped on the way; can be continued.
    Interrupted,
    /// Ended with an error.
    Failed,
    /// Not begun.
    #[default]
    Planned,
}

impl State {
    /// As tables write it.
    pub fn text(self) -> &'static str {
        match self {
            State::Finished => "finished",
            State::StoppedEarly => "stopped early",
            State::Running => "running",
            State::Interrupted => "interrupted",
            State::Failed => "failed",
            State::Planned => "not begun",
        }
    }

    /// Whether there are accuracies.
    pub fn is_result(self) -> bool {
        matches!(self, State::Finished | State::StoppedEarly)
    }
}

/// How healthy the representation was at a run's last logged step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Spread over the sphere.
    Healthy,
    /// The loss fell, and so did the spread.
    Collapsing,
    /// All images are one point, or lie on one line.
    Collapsed,
}

impl Verdict {
    /// As run folders and tables write it.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Collapsing => "collapsing",
            Verdict::Collapsed => "collapsed",
        }
    }

    /// The verdict that a run folder wrote so.
    pub fn of_text(text: &str) -> Option<Verdict> {
        [Verdict::Healthy, Verdict::Collapsing, Verdict::Collapsed]
            .into_iter()
            .find(|known| known.text() == text)
    }
}

/// How many of an arm's runs have a verdict other than healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// Which.
    pub verdict: Verdict,
    /// That many runs.
    pub count: usize,
    /// Of those whose verdict is known.
    pub of: usize,
}

impl Unhealthy {
    /// `collapsed`, or where the seeds differ `1 of 3 collapsed`.
    pub fn text(self) -> String {
        let Unhealthy { verdict, count, of } = self;
        if count == of { verdict.text().into() } else { format!("{count} of {of} {}", verdict.text()) }
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

    /// What went wrong with an arm's representation, the worst first; `None` where all runs that are known are healthy.
    pub fn unhealthy(&self, method: &str, variant: &str) -> Option<Unhealthy> {
        let verdicts: Vec<Verdict> = self.of_arm(method, variant).filter_map(|run| run.verdict).collect();
        [Verdict::Collapsed, Verdict::Collapsing].into_iter().find_map(|verdict| {
            let count = verdicts.iter().filter(|known| **known == verdict).count();
            (count > 0).then_some(Unhealthy { verdict, count, of: verdicts.len() })
        })
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

    /// Published accuracy in percent.
    pub fn reference_percent(&self, method: &str, variant: &str) -> Option<f64> {
        let values = &self.reference.as_ref()?.values;
        values
            .iter()
            .find(|value| value.method == method && value.variant == variant)
            .map(|value| value.percent)
    }

    /// Published drop from the baseline in points: positive for a loss.
    pub fn reference_drop(&self, method: &str, variant: &str) -> Option<f64> {
        Some(self.reference_percent(method, &self.baseline)? - self.reference_percent(method, variant)?)
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

    #[test]
    fn every_verdict_is_read_as_it_is_written() {
        for verdict in [Verdict::Healthy, Verdict::Collapsing, Verdict::Collapsed] {
            assert_eq!(Verdict::of_text(verdict.text()), Some(verdict));
        }
        assert_eq!(Verdict::of_text("odd"), None);
    }
}
