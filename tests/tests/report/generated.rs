//! Folders of studies that nobody ran: configurations resolved as a run resolves them, with made-up results.

use std::fs;
use std::path::Path;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_study::{PlannedRun, StudyConfig, plan};
use diptych_tests::built_plugin;
use diptych_trainer::RunConfig;
use serde_json::json;

/// Lines of metrics that every run has.
const LINES: u64 = 60;

/// What a made-up run came to.
pub struct MadeUp {
    /// Of the linear probe, as a fraction of 1.
    pub accuracy: f64,
    pub collapsed: bool,
}

/// Writes `study.json`, and the folders of all runs, of the study `file` below `out`, on the images in `data`.
pub fn write(file: &Path, out: &Path, data: &Path, result: impl Fn(&PlannedRun) -> MadeUp) {
    let libraries = ["diptych-augmentations", "diptych-encoders", "diptych-losses"].map(built_plugin);
    let registry = Registry::load_folders(&libraries, Some(diptych_trainer::TORCH_VERSION)).unwrap();
    let study = StudyConfig::load(file).unwrap();
    fs::create_dir_all(out).unwrap();
    let kept = json!({ "study": study, "fingerprints": {}, "protocol": protocol(), "remarks": [] });
    fs::write(out.join("study.json"), kept.to_string()).unwrap();
    for run in plan(&study) {
        let folder = out.join("runs").join(&run.id);
        fs::create_dir_all(&folder).unwrap();
        let mut sets = run.sets.clone();
        sets.push(format!("data.path={}", data.display()));
        let config = RunConfig::read(&Document::load(&run.config, &sets).unwrap(), &registry).unwrap();
        fs::write(folder.join("config.toml"), toml::to_string(&config.to_toml()).unwrap()).unwrap();
        write_results(&folder, &run, &result(&run));
    }
}

/// By what the made-up encoders were judged.
fn protocol() -> serde_json::Value {
    json!({ "linear": {}, "knn": { "k": [20] } })
}

fn write_results(folder: &Path, run: &PlannedRun, result: &MadeUp) {
    let MadeUp { accuracy, collapsed } = *result;
    let fingerprint =
        format!("{:016x}", run.id.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)));
    let write =
        |name: &str, value: serde_json::Value| fs::write(folder.join(name), value.to_string()).unwrap();
    write(
        "run.json",
        json!({
            "state": "finished", "fingerprint": fingerprint, "verdict": if collapsed { "collapsed" } else { "healthy" },
            "step": 1200, "steps": 1200, "started": "2026-01-01T12:00:00Z", "ended": "2026-01-01T12:01:00Z",
            "version": "0.1.0", "torch_version": "2.11.0", "device": "cpu", "threads": 1, "seconds": 60.0,
            "images_per_second": 1000.0, "plugins": ["diptych-losses 0.1.0"], "machine": "a machine, 2 cores",
        }),
    );
    let top1 = json!({ "top1": accuracy });
    write(
        "evaluation.json",
        json!({
            "fingerprint": fingerprint, "step": 1200, "protocol": protocol(), "classes": ["a", "b", "c", "d"], "linear": top1, "knn": top1,
            "train_samples": 96, "test_samples": 48,
        }),
    );
    let line = |line: u64| {
        let share = line as f64 / LINES as f64;
        let spread = if collapsed { 1.0 - share } else { 0.9 + 0.05 * accuracy };
        json!({
            "step": line * 1200 / LINES, "loss": 2.0 - share - 0.2 * accuracy, "z_std": spread,
            "effective_rank": 1.0 + 40.0 * spread, "probe_accuracy": 0.25 + (accuracy - 0.25) * share,
            "learning_rate": 0.001,
        })
    };
    let lines: Vec<String> = (1..=LINES).map(|index| line(index).to_string()).collect();
    fs::write(folder.join("metrics.jsonl"), lines.join("\n") + "\n").unwrap();
}
