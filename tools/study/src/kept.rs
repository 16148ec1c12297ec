//! What a study leaves in its folder, so that the folder alone can be asked how it stands: `study.json`, the study as its
//! file said it, and `failures.json`, the errors of the runs that failed in the last session.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::config::StudyConfig;
use crate::runner::{Outcome, Outcomes};

const STUDY: &str = "study.json";
const FAILURES: &str = "failures.json";

/// Writes the study down, and forgets what failed in an earlier session.
pub fn begin(study: &StudyConfig, out: &Path) -> Result<()> {
    write(out, FAILURES, &BTreeMap::<String, String>::new())?;
    write(out, STUDY, study)
}

/// Writes down what failed.
pub fn end(outcomes: &Outcomes, out: &Path) -> Result<()> {
    let failed = outcomes.iter().filter_map(|(id, outcome)| match outcome {
        Outcome::Failed(message) => Some((id, message)),
        _ => None,
    });
    write(out, FAILURES, &failed.collect::<BTreeMap<_, _>>())
}

/// The study that was begun in `out`.
pub fn study(out: &Path) -> Result<StudyConfig> {
    let path = out.join(STUDY);
    if !path.is_file() {
        bail!(
            "{} is no folder of a study: it has no {STUDY}; run the study first, or name another folder",
            out.display()
        );
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| {
        format!("{} is damaged; give the study's file again with --out {}", path.display(), out.display())
    })
}

/// Errors of the last session by run id; none while one is under way.
pub fn failures(out: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(out.join(FAILURES)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn write(out: &Path, name: &str, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    Ok(diptych_report::replace(&out.join(name), format!("{text}\n").as_bytes())?)
}
