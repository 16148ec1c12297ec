//! Where a run of a study stands, by its folder and its claim.

use serde_json::Value;

use crate::claim::Holder;
use crate::folder::{Failure, Folder, Weights, is_stopped_early, is_trained};
use crate::resolve::same_protocol;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Trained and evaluated.
    Finished,
    /// Ended by its policy because it had collapsed, at this step, and evaluated.
    StoppedEarly(String),
    /// At work, how far it is, and where.
    Running(String),
    /// Stopped on the way, and how far it came.
    Interrupted(String),
    /// Ended with this error.
    Failed(String),
    /// Not begun.
    Planned,
}

impl Standing {
    /// As tables write it.
    pub fn text(&self) -> &'static str {
        match self {
            Standing::Finished => "finished",
            Standing::StoppedEarly(_) => "stopped early",
            Standing::Running(_) => "running",
            Standing::Interrupted(_) => "interrupted",
            Standing::Failed(_) => "failed",
            Standing::Planned => "not begun",
        }
    }

    /// The first line of an error is enough for a table.
    pub fn detail(&self) -> &str {
        match self {
            Standing::Running(text) | Standing::Interrupted(text) | Standing::StoppedEarly(text) => text,
            Standing::Failed(error) => error.lines().next().unwrap_or_default(),
            Standing::Finished | Standing::Planned => "",
        }
    }

    /// Whether it counts in the results.
    pub fn is_result(&self) -> bool {
        matches!(self, Standing::Finished | Standing::StoppedEarly(_))
    }
}

/// What a study asks of a run.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Its fingerprint; `None` where it is not known, and any will do.
    pub fingerprint: Option<&'a str>,
    /// The resolved evaluation.
    pub protocol: &'a Value,
    /// Whether its control is wanted too, the evaluation of the untrained encoder.
    pub control: bool,
}

impl Wanted<'_> {
    /// Whether the folder has an evaluation that counts for the run as it is now.
    pub fn is_evaluated(&self, folder: &Folder, weights: Weights) -> bool {
        folder.evaluation(weights).is_some_and(|known| same_protocol(&known["protocol"], self.protocol))
    }

    /// Whether the run's control is still to be done.
    pub fn wants_control_of(&self, folder: &Folder) -> bool {
        self.control && !self.is_evaluated(folder, Weights::Random)
    }

    /// What went wrong with the run, or with its control.
    pub fn failure(&self, folder: &Folder, weights: Weights) -> Option<Failure> {
        match self.fingerprint {
            Some(fingerprint) => folder.failure(fingerprint, weights),
            None => folder.failure(folder.run()?["fingerprint"].as_str()?, weights),
        }
    }

    /// Whether the folder's `run.json` is that of the run.
    pub fn is_of(&self, run: &Value) -> bool {
        self.fingerprint.is_none_or(|wanted| run["fingerprint"] == *wanted)
    }

    /// Where the run stands.
    pub fn standing(&self, folder: &Folder, holder: Option<&Holder>) -> Standing {
        let run = folder.run().unwrap_or_default();
        if let Some(holder) = holder {
            return Standing::Running(format!("{} on {}", progress(folder, &run), holder.host));
        }
        if let Some(failure) = self.failure(folder, Weights::Trained) {
            return Standing::Failed(failure.error);
        }
        if run.is_null() {
            return Standing::Planned;
        }
        if !self.is_of(&run) {
            return Standing::Failed(
                "its folder holds a run that this study, as it now is, did not ask for; run the study again to see in what they differ"
                    .into(),
            );
        }
        match is_trained(&run) {
            true if !self.is_evaluated(folder, Weights::Trained) => {
                Standing::Interrupted("trained, not evaluated".into())
            }
            // A run is whole without a control that failed.
            true if self.wants_control_of(folder) && self.failure(folder, Weights::Random).is_none() => {
                Standing::Interrupted("evaluated, the untrained encoder not yet".into())
            }
            true if is_stopped_early(&run) => Standing::StoppedEarly(stopped(&run)),
            true => Standing::Finished,
            false => Standing::Interrupted(progress(folder, &run)),
        }
    }
}

/// `collapsed, step 400 of 1200`
fn stopped(run: &Value) -> String {
    format!("collapsed, step {} of {}", run["step"], run["steps"])
}

/// `step 400 of 1200`
fn progress(folder: &Folder, run: &Value) -> String {
    let last = folder.last_metrics().and_then(|line| line["step"].as_u64());
    let step = last.max(run["step"].as_u64()).unwrap_or(0);
    match folder.planned_steps(run) {
        Some(steps) => format!("step {step} of {steps}"),
        None => format!("step {step}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_that_was_written_down_is_the_same_when_it_is_read() {
        for k in 0..1000 {
            let protocol = serde_json::json!({ "temperature": f64::from(k) / 999.0 });
            let read: Value = serde_json::from_str(&protocol.to_string()).unwrap();
            assert!(same_protocol(&read, &protocol), "{protocol}");
        }
    }
}
