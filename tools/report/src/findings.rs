//! Sentences computed from the data: the headline, what agrees with the published numbers, and what does not.
//!
//! Invariant: a direction is claimed only when every seed shows it; where seeds disagree, the sentence says so.

mod headline;
mod notes;
mod published;
mod spread;
#[cfg(test)]
mod tests;

use crate::data::{Method, Study, Variant};
use crate::statistics::{Direction, Sample, drop, interval, level};
use crate::text::number;

/// What the data say, in sentences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The one thing to take away.
    pub headline: String,
    /// The levels behind it, so that a drop is never read alone.
    pub levels: Option<String>,
    /// What the published numbers show and these data show too.
    pub holds: Vec<String>,
    /// What the published numbers show and these data do not.
    pub does_not_hold: Vec<String>,
    /// What to keep in mind.
    pub notes: Vec<String>,
}

/// Reads the study.
pub fn findings(study: &Study) -> Findings {
    let mut findings = Findings::default();
    if let Some(metric) = study.main_metric() {
        let reader = Reader { study, metric: &metric.id, what: metric.what() };
        reader.headline(&mut findings);
        reader.against_published(&mut findings);
        reader.notes(&mut findings);
    }
    findings.notes.extend(study.remarks.iter().cloned());
    findings
}

struct Reader<'a> {
    study: &'a Study,
    metric: &'a str,
    /// What the metric measures, as sentences call it.
    what: String,
}

/// Two methods in one variant, the one that loses more on average first.
struct Contrast<'a> {
    variant: &'a Variant,
    more: &'a Method,
    less: &'a Method,
    /// Drop of `more` minus drop of `less`, by seed.
    difference: Sample,
}

impl Contrast<'_> {
    fn mean(&self) -> f64 {
        self.difference.mean().unwrap_or(0.0)
    }
}

impl<'a> Reader<'a> {
    fn level(&self, method: &Method, variant: &str) -> Sample {
        level(self.study, self.metric, &method.id, variant)
    }

    fn drop(&self, method: &Method, variant: &str) -> Sample {
        drop(self.study, self.metric, &method.id, variant)
    }

    /// The variants beside the baseline.
    fn compared(&self) -> impl Iterator<Item = &'a Variant> {
        let study = self.study;
        study.variants.iter().filter(|variant| variant.id != study.baseline)
    }

    fn pairs(&self) -> Vec<(&'a Method, &'a Method)> {
        self.study.pairs()
    }

    /// Every pair of methods in every variant for which both have a drop.
    fn contrasts(&self) -> Vec<Contrast<'a>> {
        let mut contrasts = Vec::new();
        for variant in self.compared() {
            for (left, right) in self.pairs() {
                let (of_left, of_right) = (self.drop(left, &variant.id), self.drop(right, &variant.id));
                let difference = of_left.paired_minus(&of_right);
                match difference.mean() {
                    None => {}
                    Some(mean) if mean >= 0.0 => {
                        contrasts.push(Contrast { variant, more: left, less: right, difference });
                    }
                    Some(_) => {
                        let difference = of_right.paired_minus(&of_left);
                        contrasts.push(Contrast { variant, more: right, less: left, difference });
                    }
                }
            }
        }
        contrasts
    }

    /// The largest contrast whose direction every seed shows.
    fn clearest<'b>(&self, contrasts: &'b [Contrast<'a>]) -> Option<&'b Contrast<'a>> {
        let clear = contrasts.iter().filter(|contrast| contrast.difference.direction() == Direction::Above);
        clear.max_by(|left, right| left.mean().total_cmp(&right.mean()))
    }
}

/// `95 % interval 48.7 to 50.1`
fn interval_text((low, high): (f64, f64)) -> String {
    format!("{} interval {} to {}", confidence(), number(low), number(high))
}

/// `95 %`
fn confidence() -> String {
    format!("{:.0}\u{a0}%", interval::CONFIDENCE * 100.0)
}

fn quoted(variant: &Variant) -> String {
    format!("\u{201c}{}\u{201d}", variant.label)
}
