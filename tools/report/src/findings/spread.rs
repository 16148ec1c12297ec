//! What the seeds allow to be said, and what they do not.

use super::{Findings, Reader, confidence};
use crate::statistics::interval;
use crate::text::{number, seeds};

impl Reader<'_> {
    /// How many seeds there are, what an interval is, and how far it can be trusted.
    pub(super) fn note_the_seeds(&self, findings: &mut Findings) {
        let count = self.study.seeds.len();
        findings.notes.push(match count {
            1 => "One seed: no spread is known, and small differences mean nothing.".to_string(),
            _ => format!(
                "Ranges are over {}, paired: all arms of a seed share images, crops and initial weights. No significance is claimed.",
                seeds(count)
            ),
        });
        if count < interval::LEAST_SEEDS {
            if count > 1 {
                findings.notes.push(format!(
                    "There are no intervals: they need at least {} paired seeds, and n = {count}.",
                    interval::LEAST_SEEDS
                ));
            }
            return;
        }
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

    /// The headline's difference with Student's interval.
    fn headline_by_student(&self) -> Option<String> {
        let contrasts = self.contrasts();
        let contrast = self.clearest(&contrasts)?;
        let half = contrast.difference.student_half_width()?;
        Some(format!(
            "{} loses {}\u{a0}\u{b1}\u{a0}{} points more than {} with {}",
            contrast.more.label,
            number(contrast.mean()),
            number(half),
            contrast.less.label,
            super::quoted(contrast.variant)
        ))
    }
}

/// Seeds from which on a bootstrap's interval holds the mean about as often as it says.
const FEW: usize = 10;
