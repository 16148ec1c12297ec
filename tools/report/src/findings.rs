//! Sentences computed from the data: the headline, what agrees with the published numbers, and what does not.
//!
//! Invariant: a direction is claimed only when every seed shows it; where seeds disagree, the sentence says so.

mod published;
mod spread;
#[cfg(test)]
mod tests;

use crate::data::{Method, State, Study, Variant};
use crate::statistics::{Sample, drop, interval, level, random_level};
use crate::text::{join, number, percent, points, seeds};

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
    let Some(metric) = study.main_metric() else { return findings };
    let reader = Reader { study, metric: &metric.id, metric_label: &metric.label };
    reader.headline(&mut findings);
    reader.against_published(&mut findings);
    reader.notes(&mut findings);
    findings
}

struct Reader<'a> {
    study: &'a Study,
    metric: &'a str,
    metric_label: &'a str,
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
        let clear = contrasts.iter().filter(|contrast| contrast.difference.common_sign() != 0);
        clear.max_by(|left, right| left.mean().total_cmp(&right.mean()))
    }

    fn headline(&self, findings: &mut Findings) {
        let contrasts = self.contrasts();
        if let Some(contrast) = self.clearest(&contrasts) {
            findings.headline = self.contrast_sentence(contrast);
            findings.levels = self.levels_sentence(contrast);
        } else if contrasts.is_empty() {
            findings.headline = self.headline_of_one_method();
        } else {
            let n = contrasts.iter().map(|contrast| contrast.difference.n()).max().unwrap_or(0);
            findings.headline = if contrasts.iter().all(|contrast| contrast.mean() == 0.0) {
                format!("The methods lose exactly the same {} accuracy in every variant.", self.metric_label)
            } else {
                format!(
                    "No difference between the methods shows: in every variant the {} disagree on which one loses more {} accuracy.",
                    seeds(n),
                    self.metric_label
                )
            };
        }
    }

    fn contrast_sentence(&self, contrast: &Contrast<'_>) -> String {
        let Contrast { variant, more, less, difference } = contrast;
        let drop = |method: &Method| self.drop(method, &variant.id).mean().unwrap_or(0.0);
        let of_less = drop(less);
        let of_less = if of_less < 0.0 {
            format!("{} gains {}", less.label, number(-of_less))
        } else {
            format!("{} {}", less.label, number(of_less))
        };
        let of_more = drop(more);
        let of_more = if of_more < 0.0 {
            format!("{} gains {}", more.label, points(-of_more))
        } else {
            format!("{} loses {}", more.label, points(of_more))
        };
        let apart = points(difference.mean().unwrap_or(0.0));
        let agree = format!("{} loses more in each", more.label);
        let basis = match (difference.n(), difference.interval()) {
            (1, _) => " (one seed, so no spread is known)".to_string(),
            (n, None) => {
                format!(": a difference of {apart} (mean of {}, too few for an interval; {agree})", seeds(n))
            }
            (n, Some(interval)) => format!(
                ": a difference of {apart} ({}; mean of {}, paired; {agree})",
                interval_text(interval),
                seeds(n)
            ),
        };
        format!(
            "With \u{201c}{}\u{201d}, {of_more} of {} accuracy and {of_less}{basis}.",
            variant.label, self.metric_label
        )
    }

    fn levels_sentence(&self, contrast: &Contrast<'_>) -> Option<String> {
        let Contrast { variant, more, less, .. } = contrast;
        let baseline = &*self.study.baseline;
        let at = |variant: &str| self.level(less, variant).paired_minus(&self.level(more, variant));
        let mean = |method: &Method, variant: &str| self.level(method, variant).mean().map(percent);
        let (less_before, more_before) = (mean(less, baseline)?, mean(more, baseline)?);
        let (less_after, more_after) = (mean(less, &variant.id)?, mean(more, &variant.id)?);
        let (before, after) = (at(baseline).common_sign(), at(&variant.id).common_sign());
        let in_seeds = if contrast.difference.n() > 1 { ", in every seed" } else { "" };
        let (less, more) = (&less.label, &more.label);
        Some(match (before, after) {
            (-1, 1) => format!(
                "The ranking crosses over{in_seeds}: {less} is behind at the baseline ({less_before} against {more_before}) and ahead there ({less_after} against {more_after})."
            ),
            (1, 1) => format!(
                "{less} is ahead in both{in_seeds}: {less_before} against {more_before} at the baseline, {less_after} against {more_after} there."
            ),
            (-1, -1) => format!(
                "{more} is ahead in both{in_seeds}: {more_before} against {less_before} at the baseline, {more_after} against {less_after} there."
            ),
            _ => format!(
                "Levels: {less} goes from {less_before} to {less_after}, {more} from {more_before} to {more_after}; the seeds do not agree on which is ahead."
            ),
        })
    }

    fn headline_of_one_method(&self) -> String {
        let mut drops = Vec::new();
        for variant in self.compared() {
            for method in &self.study.methods {
                let sample = self.drop(method, &variant.id);
                if let Some(mean) = sample.mean() {
                    drops.push((mean, method, variant, sample));
                }
            }
        }
        let Some((mean, method, variant, sample)) =
            drops.into_iter().max_by(|left, right| left.0.total_cmp(&right.0))
        else {
            let done = self.study.runs.iter().filter(|run| run.state.is_result()).count();
            return format!(
                "Nothing can be compared with the baseline yet: {done} of {} runs have finished.",
                self.study.runs.len()
            );
        };
        if sample.common_sign() != 1 {
            return format!(
                "No variant costs {} accuracy in every one of {}.",
                self.metric_label,
                seeds(sample.n())
            );
        }
        let (low, high) = sample.range().unwrap_or((mean, mean));
        let spread = match (sample.n(), sample.interval()) {
            (1, _) => "one seed, so no spread is known".to_string(),
            (n, None) => format!("mean of {}, {} to {}", seeds(n), number(low), number(high)),
            (n, Some(interval)) => format!("mean of {}, {}", seeds(n), interval_text(interval)),
        };
        format!(
            "{} loses most with \u{201c}{}\u{201d}: {} of {} accuracy ({spread}).",
            method.label,
            variant.label,
            points(mean),
            self.metric_label
        )
    }

    fn notes(&self, findings: &mut Findings) {
        let baseline = &*self.study.baseline;
        for (left, right) in self.pairs() {
            let apart = self.level(left, baseline).paired_minus(&self.level(right, baseline));
            if let Some(mean) = apart.mean().filter(|mean| mean.abs() >= 5.0) {
                let (high, low) = if mean > 0.0 { (left, right) } else { (right, left) };
                findings.notes.push(format!(
                    "{} starts {} above {} and so has more to lose: compare levels, not drops alone.",
                    high.label,
                    points(mean.abs()),
                    low.label
                ));
            }
        }
        let gains = self.compared().any(|variant| {
            let drop = |method: &Method| self.drop(method, &variant.id).mean();
            self.study.methods.iter().any(|method| drop(method).is_some_and(|mean| mean < 0.0))
        });
        if gains {
            findings.notes.push("Where accuracy rises, the rise counts as a negative loss.".to_string());
        }
        self.note_what_collapsed(findings);
        self.note_the_floor(findings);
        let (planned, finished) =
            (self.study.runs.len(), self.study.runs.iter().filter(|run| run.state.is_result()).count());
        if finished < planned {
            findings.notes.push(format!(
                "{} of {planned} runs are missing: means and ranges rest on the seeds that are there.",
                planned - finished
            ));
        }
        self.note_the_stopped(findings);
        self.note_the_seeds(findings);
    }

    /// Their accuracies stand in the tables, and are not those of the whole schedule.
    fn note_the_stopped(&self, findings: &mut Findings) {
        let early: Vec<String> = self
            .study
            .runs
            .iter()
            .filter(|run| run.state == State::StoppedEarly)
            .map(|run| {
                format!(
                    "{} with “{}” under seed {} ({})",
                    self.study.method_label(&run.method),
                    self.study.variant_label(&run.variant),
                    run.seed,
                    run.stopped.as_deref().unwrap_or("stopped early")
                )
            })
            .collect();
        if !early.is_empty() {
            findings.notes.push(format!("Stopped early, and judged as they were then: {}.", join(&early)));
        }
    }

    fn note_what_collapsed(&self, findings: &mut Findings) {
        let mut arms = Vec::new();
        for variant in &self.study.variants {
            for method in &self.study.methods {
                let unhealthy = self.study.unhealthy(&method.id, &variant.id);
                arms.extend(
                    unhealthy
                        .map(|found| format!("{} with {} ({})", method.label, quoted(variant), found.text())),
                );
            }
        }
        if !arms.is_empty() {
            findings.notes.push(format!(
                "By the diagnostics of their last steps, these representations are not healthy: {}.",
                join(&arms)
            ));
        }
    }

    fn note_the_floor(&self, findings: &mut Findings) {
        let random = random_level(self.study, self.metric).mean();
        let mut lowest: Option<(f64, String)> = None;
        for method in &self.study.methods {
            for variant in &self.study.variants {
                if let Some(mean) = self.level(method, &variant.id).mean()
                    && lowest.as_ref().is_none_or(|(known, _)| mean < *known)
                {
                    lowest = Some((mean, format!("{} with {}", method.label, quoted(variant))));
                }
            }
        }
        let mut floors = Vec::new();
        floors.extend(random.map(|random| format!("an untrained encoder reaches {}", percent(random))));
        floors.extend(self.study.chance.map(|chance| format!("guessing {}", percent(chance * 100.0))));
        if let (Some((mean, arm)), false) = (lowest, floors.is_empty()) {
            findings.notes.push(format!(
                "The lowest level is {arm}, {}; {}.",
                percent(mean),
                floors.join(", ")
            ));
        }
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
