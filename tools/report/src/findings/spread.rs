//! What the seeds allow to be said, and what they do not.

use super::{Findings, Reader, confidence, quoted};
use crate::data::Study;
use crate::statistics::interval;
use crate::text::{join, number, seeds};

/// Seeds from which on a bootstrap's interval holds the mean about as often as it says.
const FEW: usize = 10;

impl Reader<'_> {
    /// How many seeds there are, what an interval is, and how far it can be trusted.
    pub(super) fn note_the_seeds(&self, findings: &mut Findings) {
        let drops = self.costs().into_iter().map(|cost| cost.drop.n());
        let counts: Vec<usize> = drops.collect();
        let Some(most) = counts.iter().copied().max() else { return };
        findings.notes.push(match most {
            1 => "One seed: no spread is known, and small differences mean nothing.".to_string(),
            _ => {
                let least = counts.iter().copied().min().filter(|least| *least < most);
                let least = least.map_or(String::new(), |least| format!("{least} to "));
                format!(
                    "Ranges are over {least}{}, paired{}. No significance is claimed.",
                    seeds(most),
                    shared(self.study)
                )
            }
        });
        // Of those that have an interval.
        let Some(count) = counts.into_iter().filter(|count| *count >= interval::LEAST_SEEDS).min() else {
            if most > 1 {
                findings.notes.push(format!(
                    "There are no intervals: they need at least {} paired seeds, and n = {most}.",
                    interval::LEAST_SEEDS
                ));
            }
            return;
        };
        let mut note = format!(
            "Intervals are {} percentile bootstraps of the mean over paired seeds, of {} resamples under seed {}.",
            confidence(),
            interval::RESAMPLES,
            interval::BOOTSTRAP_SEED
        );
        if count == interval::LEAST_SEEDS {
            note.push_str(" Of three seeds such an interval is no more than the range");
        } else if count < FEW {
            note.push_str(&format!(" Of {} such an interval is too narrow", seeds(count)));
        }
        if count < FEW {
            note.push_str(&match self.headline_by_student() {
                Some(text) => format!(": by Student's t, {text}."),
                None => ".".to_string(),
            });
        }
        findings.notes.push(note);
    }

    /// What the headline tells, with Student's interval.
    fn headline_by_student(&self) -> Option<String> {
        let contrasts = self.contrasts();
        if let Some(contrast) = self.clearest(&contrasts) {
            return Some(format!(
                "{} loses {}\u{a0}\u{b1}\u{a0}{} points more than {} with {}",
                contrast.more.label,
                number(contrast.mean()),
                number(contrast.difference.student_half_width()?),
                contrast.less.label,
                quoted(contrast.variant)
            ));
        }
        let costs = self.costs();
        let most = self.surest(&costs).filter(|_| contrasts.is_empty())?;
        Some(format!(
            "{} loses {}\u{a0}\u{b1}\u{a0}{} points with {}",
            most.method.label,
            number(most.mean()),
            number(most.drop.student_half_width()?),
            quoted(most.variant)
        ))
    }
}

/// What pairs the runs of a seed, as far as no configuration differs in it: `: all arms of a seed share images and crops`.
fn shared(study: &Study) -> String {
    let keys = || study.differences.iter().flat_map(|arm| arm.keys.iter().map(|(key, ..)| &**key));
    let within = |key: &str, section: &str| key.split('.').next() == Some(section);
    let is_of_crops =
        |key: &str| within(key, "augmentations") && (key.contains("crop") || !key.contains(".operators."));
    let things = [
        ("images", keys().any(|key| within(key, "data"))),
        ("crops", keys().any(is_of_crops)),
        ("initial weights", keys().any(|key| within(key, "encoder") || within(key, "input"))),
    ];
    let same: Vec<String> =
        things.into_iter().filter(|(_, differs)| !differs).map(|(thing, _)| thing.to_string()).collect();
    if same.is_empty() { String::new() } else { format!(": all arms of a seed share {}", join(&same)) }
}
