//! Writes what a study's folder has beside its runs: `study.json` and the report. One worker does at a time, by a claim of its own,
//! so that whoever is last sees what all have done.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use diptych_report::State;

use crate::claim::{Claim, Claims};
use crate::kept::Kept;
use crate::outcome::StudyOutcome;
use crate::plan::{PlannedRun, plan};
use crate::{gather, markdown, progress, sheets, tables};

/// What a report consists of.
pub const REPORT_FILES: [&str; 14] = [
    "report.html",
    "charts.svg",
    "charts.png",
    "curves.svg",
    "curves.png",
    "results.csv",
    "results.parquet",
    "times.csv",
    "times.parquet",
    "differences.csv",
    "differences.parquet",
    "curves.csv",
    "curves.parquet",
    "results.md",
];

/// The claim, which is held for as long as it takes to write.
const REPORT: &str = "report";

/// What writing needs to know.
pub struct Reporter<'a> {
    pub kept: &'a Kept,
    pub out: &'a Path,
    pub claims: &'a Claims,
    pub plugin_path: &'a [PathBuf],
    /// Raised, it ends the waiting for another worker that writes.
    pub stop: &'a AtomicBool,
}

/// What was written.
pub struct Written {
    pub report: PathBuf,
    runs: Vec<(PlannedRun, diptych_report::Run)>,
}

impl Reporter<'_> {
    /// Notes the study in its folder; answers where the report of the former one went. Refuses the study where workers are at
    /// another one.
    pub fn begin(&self) -> Result<Option<PathBuf>> {
        let Some(_claim) = self.claim()? else {
            bail!("stopped before the study began: another worker was writing into {}", self.out.display());
        };
        let is_other = Kept::read(self.out).is_ok_and(|earlier| !earlier.asks_the_same(self.kept));
        let mut at_work = self.claims.holders()?;
        at_work.remove(REPORT);
        if let (true, Some((run, holder))) = (is_other, at_work.first_key_value()) {
            bail!(
                "the study has changed since {holder} began {run} in {}; wait for its end, or choose another folder with --out",
                self.out.display()
            );
        }
        self.kept.begin(self.out)
    }

    /// Writes the report, by the folders of the runs alone; `None` where another worker writes and the stop flag is raised.
    pub fn write(&self) -> Result<Option<Written>> {
        let Some(_claim) = self.claim()? else { return Ok(None) };
        self.kept.require_current(self.out)?;
        let runs = plan(&self.kept.study);
        let mut report = gather::gather(self.kept, &runs, self.out);
        sheets::add(&mut report, self.kept, &runs, self.out, self.plugin_path);
        tables::write(&report, self.out)?;
        diptych_report::replace(&self.out.join("results.md"), markdown::markdown(&report).as_bytes())?;
        let page = diptych_report::write(&report, self.out)?;
        Ok(Some(Written { report: page, runs: runs.into_iter().zip(report.runs).collect() }))
    }

    /// Writes the report of runs that others ran.
    pub fn again(&self) -> Result<StudyOutcome> {
        let Some(Written { report, runs }) = self.write()? else {
            bail!("stopped: another worker was writing the report in {}", self.out.display());
        };
        let count = |is_so: fn(State) -> bool| runs.iter().filter(|(_, run)| is_so(run.state)).count();
        let failed = runs.iter().filter(|(_, run)| run.state == State::Failed);
        Ok(StudyOutcome {
            planned: runs.len(),
            finished: count(State::is_result),
            skipped: 0,
            elsewhere: count(|state| state == State::Running),
            failed: failed
                .map(|(run, found)| (run.id.clone(), found.error.clone().unwrap_or_default()))
                .collect(),
            interrupted: false,
            set_aside: None,
            report: Some(report),
        })
    }

    fn claim(&self) -> Result<Option<Claim<'_>>> {
        self.claims.wait_for(REPORT, self.stop, progress::say)
    }
}
