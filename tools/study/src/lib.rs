//! Studies: every method with every variant under every seed, as paired runs, and what came out of them.
//!
//! Lifecycle: read the study file, plan the runs, run each in processes of its own, then gather their folders and write
//! tables, charts and the page. Nothing is kept in between but the runs' folders, so the same call goes on after any
//! interruption. No libtorch here: training and evaluating are the `diptych` binary's.

mod child;
mod config;
mod differences;
mod folder;
mod gather;
mod kept;
mod plan;
mod progress;
mod runner;
mod sheets;
mod survey;
mod tables;
mod variants;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

pub use config::{Base, Reference, StudyConfig};
pub use plan::{PlannedRun, plan};
pub use survey::{Plan, Resolved, Standing, Status, plan_of, status};
pub use variants::{Combine, Variant};

use runner::{Outcome, Outcomes, Ran, Runner};

/// What a study is run with.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The study file.
    pub study: PathBuf,
    /// The study's folder; created if it is new.
    pub out: PathBuf,
    /// Runs at a time, instead of what the file says; 0 for one per core.
    pub jobs: Option<usize>,
    /// Handed on to every run.
    pub plugin_path: Vec<PathBuf>,
    /// The `diptych` binary.
    pub executable: PathBuf,
    /// Raised to end the study: runs at work write a checkpoint and end.
    pub stop: Arc<AtomicBool>,
}

/// What became of a study. Displayed, it is what a person is told at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyOutcome {
    /// Runs that the study consists of.
    pub planned: usize,
    /// Those that are trained and evaluated, now or before.
    pub finished: usize,
    /// Those of them that were so before.
    pub skipped: usize,
    /// Name and error of those that failed.
    pub failed: Vec<(String, String)>,
    /// The stop flag ended it.
    pub interrupted: bool,
    /// The page.
    pub report: PathBuf,
}

impl StudyOutcome {
    /// Whether every run has its result.
    pub fn is_complete(&self) -> bool {
        self.finished == self.planned
    }
}

impl fmt::Display for StudyOutcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {} runs are done", self.finished, self.planned)?;
        if self.skipped > 0 {
            write!(formatter, ", {} of them before", self.skipped)?;
        }
        for (name, error) in &self.failed {
            write!(formatter, "\nfailed: {name}: {}", error.replace('\n', "\n  "))?;
        }
        if self.interrupted {
            write!(formatter, "\ninterrupted: the same command goes on from here")?;
        } else if !self.failed.is_empty() {
            write!(formatter, "\nthe same command tries the failed runs again")?;
        }
        write!(formatter, "\nreport: {}", self.report.display())
    }
}

/// Runs what is not done yet, and writes the report with what there is.
///
/// A run that fails is part of the outcome; an error concerns the study as a whole: its files, its folder.
pub fn run(options: &StudyOptions) -> Result<StudyOutcome> {
    let study = StudyConfig::load(&options.study)?;
    let runs = plan(&study);
    // The lock is handed on as an open file, and messages name the folder as it is.
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = match options.jobs.or(study.jobs) {
        None => (cores / 2).max(1),
        Some(0) => cores,
        Some(jobs) => jobs,
    }
    .min(runs.len());
    let children = child::Children {
        executable: options.executable.clone(),
        plugin_path: options.plugin_path.clone(),
        stop: Arc::clone(&options.stop),
        lock: child::lock(&options.out)?,
    };
    let width = runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
    kept::begin(&study, &options.out)?;
    let progress = progress::Progress::new(runs.len(), width);
    let threads = (cores / jobs).max(1);
    let runner = Runner { study: &study, out: &options.out, children, jobs, threads };
    progress.say(&format!(
        "{}: {} runs ({} x {} x {}), {jobs} at a time with {threads} {} each",
        study.name,
        runs.len(),
        study.bases.len(),
        study.variants.len(),
        diptych_report::text::seeds(study.seeds.len()),
        if threads == 1 { "thread" } else { "threads" }
    ));
    let ran = runner.run(&runs, &progress);
    progress.finish();
    let Ran { outcomes, encoders_agree } = ran?;
    kept::end(&outcomes, &options.out)?;
    let mut remarks = Vec::new();
    if study.random_init && !encoders_agree {
        remarks.push("The arms have different encoders, so no untrained encoder was evaluated.".to_string());
    }
    let written = write(&study, &runs, &outcomes, &options.out, &options.plugin_path, remarks)?;
    Ok(outcome(&outcomes, written, options.stop.load(Ordering::SeqCst)))
}

/// Writes the report of what there is, and runs nothing.
pub fn report(options: &StudyOptions) -> Result<StudyOutcome> {
    let study = StudyConfig::load(&options.study)?;
    let runs = plan(&study);
    if !options.out.is_dir() {
        anyhow::bail!(
            "{} is no folder of a study; run the study first, or name its folder with --out",
            options.out.display()
        );
    }
    again(&study, &runs, &options.out, &options.plugin_path)
}

/// As [`report`], of the study that was begun in `out`, without its file.
pub fn report_of_folder(out: &Path, plugin_path: &[PathBuf]) -> Result<StudyOutcome> {
    let study = kept::study(out)?;
    again(&study, &plan(&study), out, plugin_path)
}

/// The report, by the folders of the runs alone.
fn again(
    study: &StudyConfig,
    runs: &[PlannedRun],
    out: &Path,
    plugin_path: &[PathBuf],
) -> Result<StudyOutcome> {
    let written = write(study, runs, &Outcomes::new(), out, plugin_path, Vec::new())?;
    Ok(outcome(&Outcomes::new(), written, false))
}

struct Written {
    report: PathBuf,
    runs: Vec<diptych_report::Run>,
}

fn write(
    study: &StudyConfig,
    runs: &[PlannedRun],
    outcomes: &Outcomes,
    out: &Path,
    plugin_path: &[PathBuf],
    remarks: Vec<String>,
) -> Result<Written> {
    let mut report = gather::gather(study, runs, outcomes, out);
    report.remarks = remarks;
    sheets::add(&mut report, runs, out, plugin_path);
    diptych_report::replace(&out.join("results.csv"), tables::csv(&report).as_bytes())?;
    diptych_report::replace(&out.join("differences.csv"), tables::differences_csv(&report).as_bytes())?;
    diptych_report::replace(&out.join("results.md"), tables::markdown(&report).as_bytes())?;
    let page = diptych_report::write(&report, out)?;
    Ok(Written { report: page, runs: report.runs })
}

fn outcome(outcomes: &Outcomes, written: Written, interrupted: bool) -> StudyOutcome {
    let state = |wanted: diptych_report::State| written.runs.iter().filter(move |run| run.state == wanted);
    let name = |run: &diptych_report::Run| format!("{}-{}-seed{}", run.method, run.variant, run.seed);
    let failed =
        state(diptych_report::State::Failed).map(|run| (name(run), run.error.clone().unwrap_or_default()));
    StudyOutcome {
        planned: written.runs.len(),
        finished: state(diptych_report::State::Finished).count(),
        skipped: outcomes.values().filter(|outcome| **outcome == Outcome::Skipped).count(),
        failed: failed.collect(),
        interrupted,
        report: written.report,
    }
}
