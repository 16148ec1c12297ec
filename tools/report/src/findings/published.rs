//! The study against the published numbers: which of their directions show here too. Levels are not compared, for the data
//! are others.

use super::{Findings, Reader, quoted};
use crate::data::Variant;
use crate::text::{join, percent};

impl Reader<'_> {
    /// Adds what of the published directions shows here too, and what does not.
    pub(super) fn against_published(&self, findings: &mut Findings) {
        if self.study.reference.is_none() {
            return;
        }
        self.who_loses_more(findings);
        self.order_at_the_baseline(findings);
        self.order_of_variants(findings);
    }

    fn who_loses_more(&self, findings: &mut Findings) {
        for (left, right) in self.pairs() {
            let (mut agree, mut other) = (Vec::new(), Vec::new());
            for variant in self.compared() {
                let published =
                    [left, right].map(|method| self.study.reference_drop(&method.id, &variant.id));
                let [Some(of_left), Some(of_right)] = published else { continue };
                let ours = self.drop(left, &variant.id).paired_minus(&self.drop(right, &variant.id));
                if ours.n() == 0 || of_left == of_right {
                    continue;
                }
                let same = ours.common_sign() == if of_left > of_right { 1 } else { -1 };
                let (more, less) = if of_left > of_right { (left, right) } else { (right, left) };
                let claim = (more.label.clone(), less.label.clone());
                if same {
                    agree.push((variant, claim))
                } else {
                    other.push((variant, claim, ours.common_sign()))
                }
            }
            if let Some((_, (more, less))) = agree.first() {
                let names = |wanted: &String| -> Vec<String> {
                    agree
                        .iter()
                        .filter(|(_, (more, _))| more == wanted)
                        .map(|(variant, _)| quoted(variant))
                        .collect()
                };
                findings.holds.push(format!(
                    "{more} loses more than {less} with {}, as published.",
                    join(&names(more))
                ));
                if !names(less).is_empty() {
                    let variants = join(&names(less));
                    findings
                        .holds
                        .push(format!("{less} loses more than {more} with {variants}, as published."));
                }
            }
            for (variant, (more, less), sign) in other {
                let here =
                    if sign == 0 { "here the seeds disagree" } else { "here it is the other way round" };
                findings.does_not_hold.push(format!(
                    "Published: {more} loses more than {less} with {}; {here}.",
                    quoted(variant)
                ));
            }
        }
    }

    fn order_at_the_baseline(&self, findings: &mut Findings) {
        let baseline = &*self.study.baseline;
        for (left, right) in self.pairs() {
            let published = [left, right].map(|method| self.study.reference_percent(&method.id, baseline));
            let [Some(of_left), Some(of_right)] = published else { continue };
            if of_left == of_right {
                continue;
            }
            let (first, second) = if of_left > of_right { (left, right) } else { (right, left) };
            let (ours_first, ours_second) = (self.level(first, baseline), self.level(second, baseline));
            let (Some(mean_first), Some(mean_second)) = (ours_first.mean(), ours_second.mean()) else {
                continue;
            };
            let levels =
                format!("{} {}, {} {}", first.label, percent(mean_first), second.label, percent(mean_second));
            if ours_first.paired_minus(&ours_second).common_sign() == 1 {
                findings.holds.push(format!(
                    "{} is ahead of {} at the baseline, as published ({levels}).",
                    first.label, second.label
                ));
            } else {
                findings.does_not_hold.push(format!(
                    "Published: {} ahead of {} at the baseline; not here ({levels}).",
                    first.label, second.label
                ));
            }
        }
    }

    /// Of each method, neighbours in the published order of its variants against the same two here.
    fn order_of_variants(&self, findings: &mut Findings) {
        for method in &self.study.methods {
            let published = |variant: &Variant| self.study.reference_drop(&method.id, &variant.id);
            let mut order: Vec<(f64, &Variant)> = self
                .compared()
                .filter(|variant| self.drop(method, &variant.id).n() > 0)
                .filter_map(|variant| Some((published(variant)?, variant)))
                .collect();
            order.sort_by(|left, right| left.0.total_cmp(&right.0));
            let mut all_hold = order.len() > 1;
            for pair in order.windows(2).filter(|pair| pair[0].0 < pair[1].0) {
                let [(_, milder), (_, harder)] = [pair[0], pair[1]];
                let ours = self.drop(method, &harder.id).paired_minus(&self.drop(method, &milder.id));
                let here = match ours.common_sign() {
                    1 => continue,
                    -1 => "here it is the other way round",
                    _ => "here the seeds disagree",
                };
                all_hold = false;
                findings.does_not_hold.push(format!(
                    "Published: {} loses more with {} than with {}; {here}.",
                    method.label,
                    quoted(harder),
                    quoted(milder)
                ));
            }
            if all_hold {
                let names: Vec<String> = order.iter().map(|(_, variant)| quoted(variant)).collect();
                let label = &method.label;
                findings.holds.push(format!(
                    "{label}'s drops stand in the published order: {}, the largest.",
                    names.join(", ")
                ));
            }
        }
    }
}
