//! What to keep in mind when reading the numbers.

use super::{Findings, Reader, quoted};
use crate::data::{Method, State};
use crate::statistics::{Direction, random_level};
use crate::text::{join, percent, points};

impl Reader<'_> {
    pub(super) fn notes(&self, findings: &mut Findings) {
        let baseline = &*self.study.baseline;
        for (left, right) in self.pairs() {
            let apart = self.level(left, baseline).paired_minus(&self.level(right, baseline));
            let (high, low) = match apart.direction() {
                Direction::Above => (left, right),
                Direction::Below => (right, left),
                _ => continue,
            };
            if let Some(mean) = apart.mean().map(f64::abs).filter(|mean| *mean >= 5.0) {
                findings.notes.push(format!(
                    "{} starts {} above {} and so has more to lose: compare levels, not drops alone.",
                    high.label,
                    points(mean),
                    low.label
                ));
            }
        }
        let gains = self.compared().any(|variant| {
            let drop = |method: &Method| self.drop(method, &variant.id).mean();
            self.study.methods.iter().any(|method| drop(method).is_some_and(|mean| mean < 0.0))
        });
        if gains {
            findings.notes.push(format!("Where {} rises, the rise counts as a negative loss.", self.what));
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
                "The lowest mean is {arm}, {}; {}.",
                percent(mean),
                floors.join(", ")
            ));
        }
    }
}
