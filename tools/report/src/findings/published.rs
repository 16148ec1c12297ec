//! The study against the published numbers: which of their directions show here too. Levels are not compared, for the data
//! are others.

use super::{Findings, Reader, quoted};
use crate::data::{Method, Variant};
use crate::statistics::{Direction, ROUNDING};
use crate::text::{join, percent};

impl Reader<'_> {
    /// Adds what of the published directions shows here too, and what does not.
    pub(super) fn against_published(&self, findings: &mut Findings) {
        self.who_loses_more(findings);
        self.order_at_the_baseline(findings);
        for method in &self.study.methods {
            self.order_of_variants(method, findings);
        }
    }

    fn who_loses_more(&self, findings: &mut Findings) {
        for (more, less) in self.pairs().into_iter().flat_map(|(left, right)| [(left, right), (right, left)])
        {
            let mut agree = Vec::new();
            for variant in self.compared() {
                let published = |method: &Method| self.study.published_drop(&method.id, &variant.id);
                let Some((of_more, of_less)) = published(more).zip(published(less)) else { continue };
                if of_more - of_less < ROUNDING {
                    continue;
                }
                let ours = self.drop(more, &variant.id).paired_minus(&self.drop(less, &variant.id));
                match here(ours.direction()) {
                    Here::AsPublished => agree.push(quoted(variant)),
                    Here::Unknown => {}
                    Here::Contrary(how) => findings.does_not_hold.push(format!(
                        "Published: {} loses more than {} with {}; {how}.",
                        more.label,
                        less.label,
                        quoted(variant)
                    )),
                }
            }
            if !agree.is_empty() {
                findings.holds.push(format!(
                    "{} loses more than {} with {}, as published.",
                    more.label,
                    less.label,
                    join(&agree)
                ));
            }
        }
    }

    fn order_at_the_baseline(&self, findings: &mut Findings) {
        let baseline = &*self.study.baseline;
        let published = |method: &Method| Some(self.study.published(&method.id, baseline)?.percent);
        for (left, right) in self.pairs() {
            let Some((of_left, of_right)) = published(left).zip(published(right)) else { continue };
            if of_left == of_right {
                continue;
            }
            let (first, second) = if of_left > of_right { (left, right) } else { (right, left) };
            let [of_first, of_second] = [first, second].map(|method| self.level(method, baseline));
            let apart = of_first.paired_minus(&of_second);
            let means = [of_first, of_second].map(|level| level.of_the_seeds_of(&apart).mean().map(percent));
            let [Some(ours_first), Some(ours_second)] = means else { continue };
            let levels = format!("{} {ours_first}, {} {ours_second}", first.label, second.label);
            match here(apart.direction()) {
                Here::AsPublished => findings.holds.push(format!(
                    "{} is ahead of {} at the baseline, as published ({levels}).",
                    first.label, second.label
                )),
                Here::Unknown => {}
                Here::Contrary(how) => findings.does_not_hold.push(format!(
                    "Published: {} ahead of {} at the baseline; {how} ({levels}).",
                    first.label, second.label
                )),
            }
        }
    }

    /// Neighbours in the published order of a method's variants, against the same two here. Variants of which the same drop was
    /// published have one place in it.
    fn order_of_variants(&self, method: &Method, findings: &mut Findings) {
        let published = |variant: &Variant| self.study.published_drop(&method.id, &variant.id);
        let mut order: Vec<(f64, &Variant)> = self
            .compared()
            .filter(|variant| self.drop(method, &variant.id).n() > 0)
            .filter_map(|variant| Some((published(variant)?, variant)))
            .collect();
        order.sort_by(|left, right| left.0.total_cmp(&right.0));
        let places: Vec<&[(f64, &Variant)]> =
            order.chunk_by(|left, right| right.0 - left.0 < ROUNDING).collect();
        let mut all_hold = places.len() > 1;
        for pair in places.windows(2) {
            for (_, milder) in pair[0] {
                for (_, harder) in pair[1] {
                    all_hold &= self.costs_more(method, harder, milder, findings);
                }
            }
        }
        if all_hold {
            let place = |place: &&[(f64, &Variant)]| {
                join(&place.iter().map(|(_, variant)| quoted(variant)).collect::<Vec<_>>())
            };
            findings.holds.push(format!(
                "{}'s drops stand in the published order: {}, the largest.",
                method.label,
                places.iter().map(place).collect::<Vec<_>>().join(", ")
            ));
        }
    }

    /// Whether `harder` costs the method more than `milder` in every seed. Where it does not, that is told.
    fn costs_more(
        &self,
        method: &Method,
        harder: &Variant,
        milder: &Variant,
        findings: &mut Findings,
    ) -> bool {
        let ours = self.drop(method, &harder.id).paired_minus(&self.drop(method, &milder.id));
        let shown = here(ours.direction());
        if let Here::Contrary(how) = shown {
            findings.does_not_hold.push(format!(
                "Published: {} loses more with {} than with {}; {how}.",
                method.label,
                quoted(harder),
                quoted(milder)
            ));
        }
        shown == Here::AsPublished
    }
}

/// How the study stands to a published direction.
#[derive(PartialEq)]
enum Here {
    AsPublished,
    /// No seed tells.
    Unknown,
    /// In words.
    Contrary(&'static str),
}

/// By the side of zero of what was published to be above it.
fn here(ours: Direction) -> Here {
    match ours {
        Direction::Above => Here::AsPublished,
        Direction::Absent => Here::Unknown,
        Direction::Equal => Here::Contrary("here the two are equal"),
        Direction::Mixed => Here::Contrary("here the seeds disagree"),
        Direction::Below => Here::Contrary("here it is the other way round"),
    }
}
