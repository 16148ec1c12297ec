//! Studies: every method with every variant under every seed, as paired runs, and what came out of them.
//!
//! Lifecycle: read the study file, resolve and plan the runs, run each in processes of its own, then gather their folders and
//! write tables, charts and the page. Nothing is kept in between but the study's folder, so the same call goes on after any
//! interruption, and any number of them share the work. No libtorch here: training and evaluating are the `diptych`
//! binary's, and so is reading configurations, by a [`Resolver`].

mod child;
mod claim;
mod config;
mod differences;
mod folder;
mod frame;
mod gather;
mod kept;
pub mod live;
mod markdown;
mod metrics;
mod plan;
mod progress;
mod resolve;
mod runner;
mod screen;
mod sheets;
mod slots;
mod standing;
mod survey;
mod table;
mod tables;
mod variants;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

pub use config::{Base, StudyConfig};
pub use plan::{PlannedRun, plan};
pub use progress::is_live;
pub use resolve::{Resolved, Resolver};
pub use slots::SlotOptions;
pub use standing::Standing;
pub use survey::{Plan, Status, plan_of, status};
pub use variants::{Combine, Variant};

use claim::Claims;
use folder::{Failure, Folder};
use kept::Kept;
use resolve::ResolvedStudy;
use runner::{Outcome, Outcomes, Runner};

/// What a report consists of.
const REPORT_FILES: [&str; 14] = [
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

/// Claimed by whoever writes `study.json` and the report, which is quickly done.
const REPORT: &str = "report";

/// What a study is run with.
#[derive(Clone, Debug)]
pub struct StudyOptions {
    /// The study file.
    pub study: PathBuf,
    /// The study's folder; created if it is new.
    pub out: PathBuf,
    /// Where runs run, and how many at a time.
    pub slots: SlotOptions,
    /// Ids of the runs to run, and no report; none for all runs, and the report.
    pub only: Vec<String>,
    /// Try failed runs again.
    pub retry_failed: bool,
    /// Wait for the runs of other workers, and take them over should their worker die.
    pub waits: bool,
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
    /// Runs that were asked for.
    pub planned: usize,
    /// Those that are trained and evaluated, whenever and by whomever.
    pub finished: usize,
    /// Those of them that this worker had no part in.
    pub skipped: usize,
    /// Those that other workers are at.
    pub elsewhere: usize,
    /// Name and error of those that failed.
    pub failed: Vec<(String, String)>,
    /// The stop flag ended it.
    pub interrupted: bool,
    /// Where the report went of the study as it was before it was changed.
    pub set_aside: Option<PathBuf>,
    /// The page, if it was written.
    pub report: Option<PathBuf>,
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
            write!(formatter, ", {} of them before or elsewhere", self.skipped)?;
        }
        if self.elsewhere > 0 {
            write!(formatter, "; {} are at work elsewhere", self.elsewhere)?;
        }
        for (name, error) in &self.failed {
            write!(formatter, "\nfailed: {name}: {}", error.replace('\n', "\n  "))?;
        }
        if self.interrupted {
            write!(formatter, "\ninterrupted: the same command goes on from here")?;
        } else if !self.failed.is_empty() {
            write!(formatter, "\n--retry-failed tries the failed runs again, from their last checkpoint")?;
        }
        if let Some(folder) = &self.set_aside {
            let folder = folder.display();
            write!(
                formatter,
                "\nthe study has changed since it was last run: its former report is now in {folder}"
            )?;
        }
        match &self.report {
            Some(report) => write!(formatter, "\nreport: {}", report.display()),
            None => Ok(()),
        }
    }
}

/// Runs what is not done yet, and writes the report with what there is.
///
/// A run that fails is part of the outcome; an error concerns the study as a whole: its files, its data, its folder.
pub fn run(options: &StudyOptions, resolver: &mut dyn Resolver) -> Result<StudyOutcome> {
    let StudyOptions { out, stop, .. } = options;
    let resolved = resolved(options, resolver)?;
    if let Some(why) = resolved.missing_data() {
        bail!("{why}");
    }
    let mut runs: Vec<PlannedRun> = resolved.runs.iter().map(|(run, _)| run.clone()).collect();
    select(&mut runs, &options.only)?;
    let kept = Kept::of(&resolved);
    // Messages name the folder as it is.
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    let claims = Claims::of(out)?;
    let set_aside = begin(&kept, &claims, out)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut slots = slots::slots(&options.slots, &resolved.study, cores);
    slots.truncate(runs.len());
    let runner = Runner {
        kept: &kept,
        out,
        children: child::Children {
            executable: options.executable.clone(),
            plugin_path: options.plugin_path.clone(),
        },
        claims: &claims,
        slots: &slots,
        threads: (cores / slots.len()).max(1),
        retried: if options.retry_failed { failures(&kept, &runs, out) } else { BTreeMap::new() },
        waits: options.waits,
        stop,
    };
    let progress = progress::Progress::new(&runs, out, stop);
    progress.say(&head(&resolved, runs.len(), &runner));
    kept.remarks.iter().for_each(|remark| progress.say(&format!("note: {remark}")));
    let done = AtomicBool::new(false);
    let outcomes = std::thread::scope(|scope| {
        scope.spawn(|| claims.keep_alive(&done));
        let outcomes = runner.run(&runs, &progress);
        done.store(true, Ordering::SeqCst);
        outcomes
    });
    progress.finish();
    let outcomes = outcomes?;
    let report = match options.only.is_empty() {
        true => Some(write(&kept, out, &options.plugin_path)?.report),
        false => None,
    };
    let interrupted = stop.load(Ordering::SeqCst);
    Ok(StudyOutcome { interrupted, set_aside, report, ..outcome(runs.len(), &outcomes) })
}

/// Writes the report of what there is, and runs nothing.
pub fn report(options: &StudyOptions, resolver: &mut dyn Resolver) -> Result<StudyOutcome> {
    let resolved = resolved(options, resolver)?;
    if let Some(why) = resolved.missing_data() {
        bail!("{why}\n`diptych study report {}` needs no data", options.out.display());
    }
    if !options.out.is_dir() {
        bail!(
            "{} is no folder of a study; run the study first, or name its folder with --out",
            options.out.display()
        );
    }
    let kept = Kept::of(&resolved);
    let set_aside = begin(&kept, &Claims::of(&options.out)?, &options.out)?;
    Ok(StudyOutcome { set_aside, ..again(&kept, &options.out, &options.plugin_path)? })
}

/// As [`report`], of the study that was begun in `out`, without its file.
pub fn report_of_folder(out: &Path, plugin_path: &[PathBuf]) -> Result<StudyOutcome> {
    again(&Kept::read(out)?, out, plugin_path)
}

fn resolved(options: &StudyOptions, resolver: &mut dyn Resolver) -> Result<ResolvedStudy> {
    let study = StudyConfig::load(&options.study)?;
    let runs = plan(&study);
    ResolvedStudy::of(study, runs, resolver)
}

/// Leaves the runs that are asked for.
fn select(runs: &mut Vec<PlannedRun>, only: &[String]) -> Result<()> {
    for id in only {
        let known = runs.iter().map(|run| &*run.id);
        if !known.clone().any(|known| known == id) {
            let near = diptych_config::nearest(id, known);
            let near = near.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
            bail!("--only: found {id:?}, expected a run as `diptych study plan` lists them{near}");
        }
    }
    runs.retain(|run| only.is_empty() || only.contains(&run.id));
    Ok(())
}

/// Notes the study in its folder. Refuses it where workers are at another one.
fn begin(kept: &Kept, claims: &Claims, out: &Path) -> Result<Option<PathBuf>> {
    let claim = claims.wait_for(REPORT)?;
    let is_other = Kept::read(out).is_ok_and(|earlier| !earlier.asks_the_same(kept));
    let mut at_work = claim::holders(out);
    at_work.remove(REPORT);
    if let (true, Some((run, holder))) = (is_other, at_work.first_key_value()) {
        bail!(
            "the study has changed since process {} on {} began {run} in {}; wait for its end, or choose another folder with --out",
            holder.pid,
            holder.host,
            out.display()
        );
    }
    let set_aside = kept.begin(out);
    drop(claim);
    set_aside
}

fn failures(kept: &Kept, runs: &[PlannedRun], out: &Path) -> BTreeMap<String, Failure> {
    let failure = |run: &PlannedRun| {
        let folder = Folder::new(plan::run_folder(out, &run.id));
        Some((run.id.clone(), folder.failure(kept.wanted(&run.id).fingerprint?)?))
    };
    runs.iter().filter_map(failure).collect()
}

fn head(resolved: &ResolvedStudy, runs: usize, runner: &Runner<'_>) -> String {
    let study = &resolved.study;
    let mut devices: Vec<&str> = runner.slots.iter().flatten().map(String::as_str).collect();
    devices.sort_unstable();
    devices.dedup();
    let devices = if devices.is_empty() { String::new() } else { format!(" on {}", devices.join(", ")) };
    format!(
        "{}: {runs} runs of {} x {} x {}, {} at a time{devices} with {} {} each",
        study.name,
        study.bases.len(),
        study.variants.len(),
        diptych_report::text::seeds(study.seeds.len()),
        runner.slots.len(),
        runner.threads,
        if runner.threads == 1 { "thread" } else { "threads" }
    )
}

/// The report, by the folders of the runs alone.
fn again(kept: &Kept, out: &Path, plugin_path: &[PathBuf]) -> Result<StudyOutcome> {
    let written = write(kept, out, plugin_path)?;
    let count = |state| written.runs.iter().filter(|run| run.state == state).count();
    let failed = plan(&kept.study)
        .into_iter()
        .zip(&written.runs)
        .filter(|(_, run)| run.state == diptych_report::State::Failed)
        .map(|(planned, run)| (planned.id, run.error.clone().unwrap_or_default()));
    Ok(StudyOutcome {
        planned: written.runs.len(),
        finished: written.runs.iter().filter(|run| run.state.is_result()).count(),
        skipped: 0,
        elsewhere: count(diptych_report::State::Running),
        failed: failed.collect(),
        interrupted: false,
        set_aside: None,
        report: Some(written.report),
    })
}

struct Written {
    report: PathBuf,
    /// In the order of the plan.
    runs: Vec<diptych_report::Run>,
}

/// One worker at a time: whoever is last sees what all have done.
fn write(kept: &Kept, out: &Path, plugin_path: &[PathBuf]) -> Result<Written> {
    let claims = Claims::of(out)?;
    let _claim = claims.wait_for(REPORT)?;
    let runs = plan(&kept.study);
    let mut report = gather::gather(kept, &runs, out);
    sheets::add(&mut report, kept, &runs, out, plugin_path);
    tables::write(&report, out)?;
    diptych_report::replace(&out.join("results.md"), markdown::markdown(&report).as_bytes())?;
    let page = diptych_report::write(&report, out)?;
    Ok(Written { report: page, runs: report.runs })
}

fn outcome(planned: usize, outcomes: &Outcomes) -> StudyOutcome {
    let count = |wanted: &Outcome| outcomes.values().filter(|outcome| *outcome == wanted).count();
    let failed = outcomes.iter().filter_map(|(id, outcome)| match outcome {
        Outcome::Failed(error) => Some((id.clone(), error.clone())),
        _ => None,
    });
    let (done, skipped) = (count(&Outcome::Done), count(&Outcome::Skipped));
    StudyOutcome {
        planned,
        finished: done + skipped,
        skipped,
        elsewhere: count(&Outcome::Elsewhere),
        failed: failed.collect(),
        interrupted: false,
        set_aside: None,
        report: None,
    }
}
