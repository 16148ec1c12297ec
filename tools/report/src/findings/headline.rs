//! The one thing to take away, and the levels behind it.

use super::{Contrast, Findings, Reader, interval_text, quoted};
use crate::data::{Method, Variant};
use crate::statistics::{Direction, Sample};
use crate::text::{join, number, percent, points, seeds};

/// What a method loses in a variant.
pub(super) struct Cost<'a> {
    pub method: &'a Method,
    pub variant: &'a Variant,
    pub drop: Sample,
}

impl Cost<'_> {
    pub fn mean(&self) -> f64 {
        self.drop.mean().unwrap_or(0.0)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn headline(&self, findings: &mut Findings) {
        let contrasts = self.contrasts();
        if let Some(contrast) = self.clearest(&contrasts) {
            findings.headline = self.contrast_sentence(contrast);
            findings.levels = self.levels_sentence(contrast);
        } else if contrasts.is_empty() {
            findings.headline = self.headline_of_one_method();
        } else {
            let n = contrasts.iter().map(|contrast| contrast.difference.n()).max().unwrap_or(0);
            let equal = |contrast: &Contrast<'_>| contrast.difference.direction() == Direction::Equal;
            findings.headline = if contrasts.iter().all(equal) {
                format!("The methods lose exactly the same {} in every variant.", self.what)
            } else {
                format!(
                    "No difference between the methods shows: in no variant do all {} agree on which one loses more {}.",
                    seeds(n),
                    self.what
                )
            };
        }
    }

    fn contrast_sentence(&self, contrast: &Contrast<'_>) -> String {
        let Contrast { variant, more, less, difference } = contrast;
        let drop = |method: &Method| {
            self.drop(method, &variant.id).of_the_seeds_of(difference).mean().unwrap_or(0.0)
        };
        let (of_more, of_less) = (drop(more), drop(less));
        let both_gain = of_more < 0.0;
        let of_less = if of_less < 0.0 {
            format!("{} gains {}", less.label, number(-of_less))
        } else {
            format!("{} {}", less.label, number(of_less))
        };
        let of_more = if both_gain {
            format!("{} gains {}", more.label, points(-of_more))
        } else {
            format!("{} loses {}", more.label, points(of_more))
        };
        let apart = points(contrast.mean());
        let agree = format!("{} {} in each", more.label, if both_gain { "gains less" } else { "loses more" });
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
        format!("With {}, {of_more} of {} and {of_less}{basis}.", quoted(variant), self.what)
    }

    fn levels_sentence(&self, contrast: &Contrast<'_>) -> Option<String> {
        let Contrast { variant, more, less, difference } = contrast;
        let baseline = &*self.study.baseline;
        let of = |method: &Method, variant: &str| self.level(method, variant).of_the_seeds_of(difference);
        let ahead = |variant: &str| of(less, variant).paired_minus(&of(more, variant)).direction();
        let mean = |method: &Method, variant: &str| of(method, variant).mean().map(percent);
        let (less_before, more_before) = (mean(less, baseline)?, mean(more, baseline)?);
        let (less_after, more_after) = (mean(less, &variant.id)?, mean(more, &variant.id)?);
        let in_seeds = if difference.n() > 1 { ", in every seed" } else { "" };
        let (less, more) = (&less.label, &more.label);
        Some(match (ahead(baseline), ahead(&variant.id)) {
            (Direction::Below, Direction::Above) => format!(
                "The ranking crosses over{in_seeds}: {less} is behind at the baseline ({less_before} against {more_before}) and ahead there ({less_after} against {more_after})."
            ),
            (Direction::Above, Direction::Above) => format!(
                "{less} is ahead in both{in_seeds}: {less_before} against {more_before} at the baseline, {less_after} against {more_after} there."
            ),
            (Direction::Below, Direction::Below) => format!(
                "{more} is ahead in both{in_seeds}: {more_before} against {less_before} at the baseline, {more_after} against {less_after} there."
            ),
            (before, after) => {
                let who = |direction| match direction {
                    Direction::Above => format!("{less} is ahead"),
                    Direction::Below => format!("{more} is ahead"),
                    Direction::Equal => "they are equal".to_string(),
                    Direction::Mixed | Direction::Absent => "the seeds do not agree on which is ahead".into(),
                };
                format!(
                    "Levels: {less} goes from {less_before} to {less_after}, {more} from {more_before} to {more_after}; at the baseline {}, with {} {}.",
                    who(before),
                    quoted(variant),
                    who(after)
                )
            }
        })
    }

    fn headline_of_one_method(&self) -> String {
        let costs = self.costs();
        let Some(n) = costs.iter().map(|cost| cost.drop.n()).max() else {
            let done = self.study.runs.iter().filter(|run| run.state.is_result()).count();
            return format!(
                "Nothing can be compared with the baseline yet: {done} of {} runs have finished.",
                self.study.runs.len()
            );
        };
        let Some(most) = self.surest(&costs) else {
            let seeds =
                if n == 1 { "the one seed".to_string() } else { format!("every one of {}", seeds(n)) };
            return format!("No variant costs {} in {seeds}.", self.what);
        };
        let (low, high) = most.drop.range().unwrap_or_default();
        let spread = match (most.drop.n(), most.drop.interval()) {
            (1, _) => "one seed, so no spread is known".to_string(),
            (n, None) => format!("mean of {}, {} to {}", seeds(n), number(low), number(high)),
            (n, Some(interval)) => format!("mean of {}, {}", seeds(n), interval_text(interval)),
        };
        format!("{}: {} of {} ({spread}).", self.who_loses_most(most, &costs), points(most.mean()), self.what)
    }

    /// Every method in every variant that has a drop.
    pub(super) fn costs(&self) -> Vec<Cost<'a>> {
        let arms = self.compared().flat_map(|variant| self.study.methods.iter().map(move |of| (variant, of)));
        arms.map(|(variant, method)| Cost { method, variant, drop: self.drop(method, &variant.id) })
            .filter(|cost| cost.drop.n() > 0)
            .collect()
    }

    /// The largest loss that every seed shows.
    pub(super) fn surest<'b>(&self, costs: &'b [Cost<'a>]) -> Option<&'b Cost<'a>> {
        let sure = costs.iter().filter(|cost| cost.drop.direction() == Direction::Above);
        sure.max_by(|left, right| left.mean().total_cmp(&right.mean()))
    }

    /// That `most` costs its method more than the others of `costs` do, as far as their seeds say so.
    fn who_loses_most(&self, most: &Cost<'_>, costs: &[Cost<'_>]) -> String {
        let apart = |cost: &Cost<'_>| most.drop.paired_minus(&cost.drop).direction();
        // Itself is among those that cost the same.
        let (same, others): (Vec<&Cost<'_>>, Vec<&Cost<'_>>) = costs
            .iter()
            .filter(|cost| cost.method.id == most.method.id)
            .partition(|cost| apart(cost) == Direction::Equal);
        let names = join(&same.iter().map(|cost| quoted(cost.variant)).collect::<Vec<_>>());
        let method = &most.method.label;
        match () {
            () if others.iter().all(|cost| apart(cost) == Direction::Above) => {
                format!("{method} loses most with {names}")
            }
            () if others.iter().all(|cost| cost.mean() <= most.mean()) => {
                format!("{method} loses most on average with {names}")
            }
            () => format!("Of what {method} loses by under every seed, {names} costs most on average"),
        }
    }
}
