//! `study.json`: the study of a folder as it was last run, so that the folder alone can be asked how it stands, and so that a
//! study that has changed since does not take the place of what was found before.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::REPORT_FILES;
use crate::config::StudyConfig;
use crate::folder::Folder;
use crate::plan::{PlannedRun, plan, run_folder};
use crate::resolve::{ResolvedStudy, same_protocol};
use crate::standing::Wanted;

const STUDY: &str = "study.json";
/// Holds what was found by the study before it was changed, in numbered folders.
const EARLIER: &str = "earlier";

/// What the folder keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// As its file said it.
    pub study: StudyConfig,
    /// Of the runs, by id.
    pub fingerprints: BTreeMap<String, String>,
    /// The resolved evaluation.
    pub protocol: Value,
    /// For the report.
    pub remarks: Vec<String>,
}

impl Kept {
    pub fn of(resolved: &ResolvedStudy) -> Kept {
        let mut remarks = resolved.twins();
        if resolved.study.random_init && !resolved.encoders_agree() {
            remarks.push(format!(
                "The arms have different encoders: the untrained one is that of {} with “{}”.",
                resolved.study.bases[0].label,
                resolved.study.baseline_label()
            ));
        }
        Kept {
            study: resolved.study.clone(),
            fingerprints: resolved.fingerprints(),
            protocol: resolved.protocol.clone(),
            remarks,
        }
    }

    /// Of the study that was begun in `out`.
    pub fn read(out: &Path) -> Result<Kept> {
        let path = out.join(STUDY);
        if !path.is_file() {
            bail!(
                "{} is no folder of a study: it has no {STUDY}; run the study first, or name another folder",
                out.display()
            );
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is damaged, or of another version of diptych; give the study's file again with --out {}",
                path.display(),
                out.display()
            )
        })
    }

    /// What the study asks of the run.
    pub fn wanted(&self, id: &str) -> Wanted<'_> {
        Wanted { fingerprint: self.fingerprints.get(id).map(|text| &**text), protocol: &self.protocol }
    }

    /// One untrained encoder of a seed stands for all arms; where theirs differ, a remark says whose it is.
    pub fn wants_random(&self, run: &PlannedRun) -> bool {
        let study = &self.study;
        study.random_init && run.base == study.bases[0].id && run.variant == study.baseline
    }

    /// Whether both give the same report, but for its words.
    pub fn asks_the_same(&self, other: &Kept) -> bool {
        self.fingerprints == other.fingerprints && same_protocol(&self.protocol, &other.protocol)
    }

    /// Writes it down. What an earlier study of the folder found, and this one will not show, is moved out of the way first;
    /// answers where to.
    pub fn begin(&self, out: &Path) -> Result<Option<PathBuf>> {
        let earlier = match Kept::read(out) {
            Ok(earlier) if self.replaces_results_of(&earlier, out) => Some(set_aside(out)?),
            _ => None,
        };
        let text = serde_json::to_string_pretty(self)?;
        diptych_report::replace(&out.join(STUDY), format!("{text}\n").as_bytes())?;
        Ok(earlier)
    }

    /// Whether a report of this study would lack a result that one of `earlier` has.
    fn replaces_results_of(&self, earlier: &Kept, out: &Path) -> bool {
        let is_same = |id: &str| {
            same_protocol(&self.protocol, &earlier.protocol)
                && self.fingerprints.get(id) == earlier.fingerprints.get(id)
        };
        let changed = plan(&earlier.study).into_iter().filter(|run| !is_same(&run.id));
        changed
            .map(|run| earlier.wanted(&run.id).standing(&Folder::new(run_folder(out, &run.id)), None))
            .any(|standing| standing.is_result())
    }
}

/// Moves the report into a folder of its own.
fn set_aside(out: &Path) -> Result<PathBuf> {
    let mut number = 1;
    let folder = loop {
        let folder = out.join(EARLIER).join(number.to_string());
        if !folder.exists() {
            break folder;
        }
        number += 1;
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for name in REPORT_FILES.into_iter().chain([STUDY]) {
        let path = out.join(name);
        if path.exists() {
            fs::rename(&path, folder.join(name))
                .with_context(|| format!("cannot move {}", path.display()))?;
        }
    }
    Ok(folder)
}
