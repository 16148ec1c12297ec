//! What a run's folder says: `run.json`, `evaluation.json`, `metrics.jsonl`, `config.toml`, and `failure.json`, by which a study
//! notes what went wrong. Its control, the untrained encoder's evaluation, has files of its own.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes of `metrics.jsonl` that the last line is looked for in first; a run with many figures has longer lines.
const LAST_LINE: u64 = 8192;

/// What went wrong with a run, and when: a run that fails again fails at another time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Of the run as it was then; once its configuration is another one, this says nothing of it.
    pub fingerprint: String,
    pub error: String,
    /// Milliseconds of the Unix clock, or as `run.json` says it.
    pub at: String,
}

/// A run's folder, which may not exist yet.
#[derive(Clone, Debug)]
pub struct Folder {
    pub path: PathBuf,
}

/// Of which weights: accuracies, and what went wrong on the way to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    /// Those that the run ended with.
    Trained,
    /// Those that it started from.
    Random,
}

impl Weights {
    fn file(self) -> &'static str {
        match self {
            Weights::Trained => "evaluation.json",
            Weights::Random => "evaluation_random_init.json",
        }
    }

    fn failure_file(self) -> &'static str {
        match self {
            Weights::Trained => "failure.json",
            Weights::Random => "failure_random_init.json",
        }
    }
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder { path }
    }

    /// `run.json`, if there is a whole one.
    pub fn run(&self) -> Option<Value> {
        json_file(&self.path.join("run.json"))
    }

    /// What went wrong with the run of this fingerprint, or with its control, where that was the last thing that became of it. Of a
    /// run that failed while its study was killed, the run itself says it.
    pub fn failure(&self, fingerprint: &str, weights: Weights) -> Option<Failure> {
        let noted: Option<Failure> = json_file(&self.path.join(weights.failure_file()));
        let own = || {
            let is_own = |run: &Value| weights == Weights::Trained && run["state"] == "failed";
            let run = self.run().filter(is_own)?;
            let text = |key: &str| run[key].as_str().map(String::from);
            Some(Failure {
                fingerprint: text("fingerprint")?,
                error: text("error").unwrap_or_else(|| "no reason is known".into()),
                at: text("ended").unwrap_or_default(),
            })
        };
        let is_of = |failure: &Failure| failure.fingerprint == fingerprint;
        noted.filter(is_of).or_else(|| own().filter(is_of))
    }

    /// Notes what went wrong.
    pub fn note_failure(&self, failure: &Failure, weights: Weights) -> Result<()> {
        fs::create_dir_all(&self.path).with_context(|| format!("cannot create {}", self.path.display()))?;
        let text = serde_json::to_string_pretty(failure)?;
        Ok(diptych_report::replace(&self.path.join(weights.failure_file()), format!("{text}\n").as_bytes())?)
    }

    /// Forgets what went wrong, before the run is tried again.
    pub fn forget_failures(&self) -> Result<()> {
        for weights in [Weights::Trained, Weights::Random] {
            let path = self.path.join(weights.failure_file());
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The evaluation of the run as it now is; one of another fingerprint, or of weights of another step, does not count.
    pub fn evaluation(&self, weights: Weights) -> Option<Value> {
        let evaluation: Value = json_file(&self.path.join(weights.file()))?;
        let run = self.run()?;
        let step = match weights {
            Weights::Trained => run["step"].as_u64()?,
            Weights::Random => 0,
        };
        let fingerprint = run["fingerprint"].as_str()?;
        let is_current =
            evaluation["fingerprint"] == *fingerprint && evaluation["step"].as_u64() == Some(step);
        is_current.then_some(evaluation)
    }

    /// The resolved configuration.
    pub fn config(&self) -> Option<toml::Table> {
        fs::read_to_string(self.path.join("config.toml")).ok()?.parse().ok()
    }

    /// Steps that it trains for, as far as `run`, its `run.json`, or the configuration say it.
    pub fn planned_steps(&self, run: &Value) -> Option<u64> {
        let noted = run["steps"].as_u64().filter(|steps| *steps > 0);
        noted.or_else(|| u64::try_from(self.config()?.get("schedule")?.get("steps")?.as_integer()?).ok())
    }

    /// All lines of `metrics.jsonl` that are whole, of each what `L` has.
    pub fn metrics<L: serde::de::DeserializeOwned>(&self) -> Vec<L> {
        let text = fs::read_to_string(self.path.join("metrics.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last whole line of `metrics.jsonl`, without reading the others.
    pub fn last_metrics(&self) -> Option<Value> {
        let mut file = fs::File::open(self.path.join("metrics.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        let mut window = LAST_LINE;
        loop {
            file.seek(SeekFrom::Start(length.saturating_sub(window))).ok()?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes);
            let found: Option<Value> = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
            // What a cut leaves of a line may be a number, which is JSON too.
            if let Some(line) = found.filter(Value::is_object) {
                return Some(line);
            }
            if window >= length {
                return None;
            }
            window *= 8;
        }
    }
}

/// Whether all is trained that a run in this state will be.
pub fn is_trained(run: &Value) -> bool {
    run["state"] == "finished" || is_stopped_early(run)
}

/// Whether the run's policy ended it because it had collapsed.
pub fn is_stopped_early(run: &Value) -> bool {
    run["state"] == "stopped_early"
}

fn json_file<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_line_is_found_however_long_it_is() {
        let out = tempfile::tempdir().unwrap();
        let folder = Folder::new(out.path().to_path_buf());
        assert_eq!(folder.last_metrics(), None);
        let line = |step: u64| {
            let figures: Vec<String> = (0..5000).map(|index| format!("\"loss/{index}\":0.5")).collect();
            format!("{{\"step\":{step},{}}}\n", figures.join(","))
        };
        let path = out.path().join("metrics.jsonl");
        fs::write(&path, line(1) + &line(2) + &line(3)[..9000]).unwrap();
        assert_eq!(folder.last_metrics().unwrap()["step"], 2);
        fs::write(&path, &line(1)[..9000]).unwrap();
        assert_eq!(folder.last_metrics(), None);
    }
}
