//! One run: how far it is, how fast, and how well.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diptych_config::Choice;
use diptych_report::Verdict;
use serde::Serialize;
use serde_json::Value;

use super::curve::{Curve, Point};
use super::tail::{Seen, Tail};
use crate::folder::{Folder, Weights, is_trained};

/// Points of the small curves of a table.
const SMALL: usize = 48;
/// Lines whose speed is looked at: the median of so many does not jump.
const SPEEDS: usize = 9;
/// On a file system without locks, a run that has written nothing for so long counts as ended.
const SILENCE: Duration = Duration::from_secs(120);

diptych_config::choices! {
    /// Where a run stands.
    #[derive(PartialOrd, Ord)]
    pub enum State {
        /// A process writes it.
        Running = "running",
        /// It ended with an error.
        Failed = "failed",
        /// It was stopped, or its process is gone; it can be continued.
        Interrupted = "interrupted",
        /// In a study: all steps are done, and it is not evaluated yet, or its untrained encoder is not.
        Trained = "trained",
        /// There is nothing yet.
        Planned = "not begun",
        /// It ended before its last step because it had collapsed.
        StoppedEarly = "stopped early",
        /// All is done.
        Finished = "finished",
    }
}

fn as_text<S: serde::Serializer>(state: &State, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.text())
}

/// A run at one moment. Numbers are those of the last line of metrics; what that has not, or what is not known, is `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunStatus {
    /// Unique among the runs that are watched, of letters, digits, `_` and `-`.
    pub id: String,
    /// As people call it.
    pub label: String,
    /// Id of the method, in a study.
    pub method: Option<String>,
    /// Where it stands.
    #[serde(serialize_with = "as_text")]
    pub state: State,
    /// What is to be known of that: an error, or that an evaluation is missing.
    pub detail: Option<String>,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub steps: Option<u64>,
    /// Of images a second, the median of the last lines.
    pub images_per_second: Option<f64>,
    /// Weighted sum of the losses.
    pub loss: Option<f64>,
    /// Spread of the online projections, 1 healthy, 0 collapsed.
    pub z_std: Option<f64>,
    /// Of the online projections.
    pub effective_rank: Option<f64>,
    /// By the trainer's diagnostics.
    pub verdict: Option<Verdict>,
    /// Of the linear probe that rides along, 0 to 1.
    pub probe_accuracy: Option<f64>,
    /// Of the evaluation, 0 to 1.
    pub accuracy: Option<f64>,
    /// To the last step, at that speed, while it runs.
    pub seconds_left: Option<f64>,
    /// Seconds of training, once it ended.
    pub seconds: Option<f64>,
    /// When metrics were last written, in seconds since 1970.
    pub last_line: Option<f64>,
    /// The loss over the steps, thinned.
    pub loss_curve: Vec<Point>,
    /// `z_std` over the steps, thinned.
    pub z_std_curve: Vec<Point>,
}

/// A state, and what is to be known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub state: State,
    pub detail: Option<String>,
}

/// Reads one run again and again.
#[derive(Debug)]
pub struct RunReader {
    id: String,
    label: String,
    method: Option<String>,
    folder: Folder,
    tail: Tail,
    seen: Lines,
    behind: bool,
    /// Samples in an optimizer step, once the configuration is there.
    samples_per_step: Option<f64>,
}

/// What is kept of the lines.
#[derive(Debug)]
struct Lines {
    last: Option<Value>,
    speeds: VecDeque<f64>,
    loss: Curve,
    z_std: Curve,
}

impl Lines {
    fn new() -> Lines {
        Lines { last: None, speeds: VecDeque::new(), loss: Curve::new(SMALL), z_std: Curve::new(SMALL) }
    }

    fn see(&mut self, line: Value) {
        let Some(step) = line["step"].as_u64() else { return };
        for (curve, name) in [(&mut self.loss, "loss"), (&mut self.z_std, "z_std")] {
            if let Some(value) = line[name].as_f64() {
                curve.push(step, value);
            }
        }
        if let Some(speed) = line["images_per_second"].as_f64() {
            self.speeds.push_back(speed);
            if self.speeds.len() > SPEEDS {
                self.speeds.pop_front();
            }
        }
        self.last = Some(line);
    }

    fn median_speed(&self) -> Option<f64> {
        let mut speeds: Vec<f64> = self.speeds.iter().copied().collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }
}

impl RunReader {
    pub fn new(id: &str, label: &str, method: Option<&str>, folder: &Path) -> RunReader {
        RunReader {
            id: id.into(),
            label: label.into(),
            method: method.map(String::from),
            folder: Folder::new(folder.to_path_buf()),
            tail: Tail::new(&folder.join("metrics.jsonl")),
            seen: Lines::new(),
            behind: false,
            samples_per_step: None,
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    /// Whether there was more to read than the budget allowed.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Reads what is new, at most `budget` bytes of metrics, and answers the run as it is now. `known` is what a study knows
    /// better than the folder itself.
    pub fn look(&mut self, budget: &mut usize, known: Option<Known>) -> RunStatus {
        let seen = &mut self.seen;
        self.behind = self.tail.read(budget, |what| match what {
            Seen::Anew => *seen = Lines::new(),
            Seen::Line(line) => {
                if let Ok(line) = serde_json::from_slice(line) {
                    seen.see(line);
                }
            }
        });
        let json = self.folder.run().unwrap_or_default();
        let Known { mut state, mut detail } = known.unwrap_or_else(|| self.by_folder(&json));
        if state == State::Interrupted && is_trained(&json) {
            (state, detail) = (State::Trained, None);
        }
        if self.samples_per_step.is_none() {
            self.samples_per_step = self.folder.config().and_then(|config| samples_per_step(&config));
        }
        let nothing = Value::Null;
        let last = self.seen.last.as_ref().unwrap_or(&nothing);
        let number = |name: &str| last[name].as_f64();
        let step = last["step"].as_u64().max(json["step"].as_u64()).unwrap_or(0);
        let steps = json["steps"].as_u64().filter(|steps| *steps > 0);
        let images_per_second = self.seen.median_speed();
        let seconds_left = || {
            let samples = steps?.saturating_sub(step) as f64 * self.samples_per_step?;
            Some(samples / images_per_second.filter(|speed| *speed > 0.0)?)
        };
        RunStatus {
            id: self.id.clone(),
            label: self.label.clone(),
            method: self.method.clone(),
            detail,
            step,
            steps,
            images_per_second,
            loss: number("loss"),
            z_std: number("z_std"),
            effective_rank: number("effective_rank"),
            verdict: number("collapsing").map(verdict),
            probe_accuracy: number("probe_accuracy"),
            accuracy: self
                .folder
                .evaluation(Weights::Trained)
                .and_then(|evaluation| evaluation["linear"]["top1"].as_f64()),
            seconds_left: if state == State::Running { seconds_left() } else { None },
            seconds: json["seconds"].as_f64().filter(|_| state != State::Running),
            last_line: self.changed("metrics.jsonl").and_then(seconds_since_1970),
            loss_curve: self.seen.loss.points(),
            z_std_curve: self.seen.z_std.points(),
            state,
        }
    }

    fn changed(&self, file: &str) -> Option<SystemTime> {
        self.folder.path.join(file).metadata().and_then(|metadata| metadata.modified()).ok()
    }

    /// By the folder alone.
    fn by_folder(&self, json: &Value) -> Known {
        let of = |state| Known { state, detail: None };
        match json["state"].as_str() {
            Some("finished") => of(State::Finished),
            Some("stopped_early") => of(State::StoppedEarly),
            Some("interrupted") => of(State::Interrupted),
            Some("failed") => {
                Known { state: State::Failed, detail: json["error"].as_str().map(String::from) }
            }
            // It runs, or was killed without notice.
            Some(_) if self.is_written() => of(State::Running),
            Some(_) => Known { state: State::Interrupted, detail: Some("its process is gone".into()) },
            None if self.is_written() => of(State::Running),
            None => of(State::Planned),
        }
    }

    /// Whether a process has the folder open for writing.
    fn is_written(&self) -> bool {
        let Ok(log) = File::open(self.folder.path.join("log.txt")) else { return false };
        match log.try_lock_shared() {
            // The lock is given back at once, and a run that begins in this instant tries again.
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => ["metrics.jsonl", "log.txt"].iter().any(|file| {
                let age = self.changed(file).and_then(|changed| changed.elapsed().ok());
                age.is_some_and(|age| age < SILENCE)
            }),
        }
    }
}

fn samples_per_step(config: &toml::Table) -> Option<f64> {
    let batch = config.get("loader")?.get("batch_size")?.as_integer()?;
    let micro = config.get("optimizer").and_then(|table| table.get("micro_batches"));
    let micro = micro.and_then(toml::Value::as_integer).unwrap_or(1);
    Some(batch as f64 * micro as f64)
}

/// As the trainer numbers them.
fn verdict(number: f64) -> Verdict {
    match number {
        number if number >= 2.0 => Verdict::Collapsed,
        number if number >= 1.0 => Verdict::Collapsing,
        _ => Verdict::Healthy,
    }
}

fn seconds_since_1970(time: SystemTime) -> Option<f64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}

#[cfg(test)]
mod tests;
