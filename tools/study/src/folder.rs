//! What a run's folder says: `run.json`, `evaluation.json`, `metrics.jsonl`, `config.toml`, and the note `study.json` of
//! what the study asked for.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use crate::plan::PlannedRun;

/// A run's folder, which may not exist yet.
#[derive(Clone, Debug)]
pub struct Folder {
    pub path: PathBuf,
}

/// Accuracies with which weights.
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
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder { path }
    }

    /// `run.json`, if there is a whole one.
    pub fn run(&self) -> Option<Value> {
        json_file(&self.path.join("run.json"))
    }

    /// Text under `key` of `run.json`.
    pub fn run_text(&self, key: &str) -> Option<String> {
        Some(self.run()?[key].as_str()?.to_string())
    }

    pub fn is_finished(&self) -> bool {
        self.run_text("state").as_deref() == Some("finished")
    }

    /// The evaluation of the run as it now is; one of another fingerprint, or of weights of another step, does not count.
    pub fn evaluation(&self, weights: Weights) -> Option<Value> {
        let evaluation = json_file(&self.path.join(weights.file()))?;
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

    /// All lines of `metrics.jsonl` that are whole.
    pub fn metrics(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join("metrics.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last whole line of `metrics.jsonl`, without reading the others.
    pub fn last_metrics(&self) -> Option<Value> {
        let mut file = fs::File::open(self.path.join("metrics.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(8192))).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// Notes what the study asked for, once the folder is known to hold just that.
    pub fn note(&self, run: &PlannedRun) -> Result<()> {
        Ok(diptych_report::replace(
            &self.path.join("study.json"),
            format!("{:#}\n", note_of(run)).as_bytes(),
        )?)
    }

    /// Whether the folder holds what the study asks for now, as far as can be told without resolving configurations.
    pub fn is_noted(&self, run: &PlannedRun) -> bool {
        json_file(&self.path.join("study.json")).is_some_and(|note| note == note_of(run))
    }
}

fn note_of(run: &PlannedRun) -> Value {
    json!({
        "base": run.base,
        "variant": run.variant,
        "seed": run.seed,
        "config": run.config.to_string_lossy(),
        "sets": run.sets,
    })
}

fn json_file(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}
