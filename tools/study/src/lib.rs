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
mod job;
mod kept;
pub mod live;
mod markdown;
mod metrics;
mod outcome;
mod plan;
mod progress;
mod reporter;
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
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

pub use config::{Base, StudyConfig};
pub use outcome::StudyOutcome;
pub use plan::{PlannedRun, plan};
pub use progress::is_live;
pub use resolve::{Resolved, Resolver};
pub use slots::SlotOptions;
pub use standing::Standing;
pub use survey::{Plan, Status, plan_of, status};
pub use variants::{Combine, Variant};

use claim::Claims;
use folder::{Failure, Folder, Weights};
use kept::Kept;
use reporter::Reporter;
use resolve::ResolvedStudy;
use runner::Runner;

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

/// Runs what is not done yet, and writes the report with what there is.
///
/// A run that fails is part of the outcome; an error concerns the study as a whole: its files, its data, its folder.
pub fn run(options: &StudyOptions, resolver: &mut dyn Resolver) -> Result<StudyOutcome> {
    let out = &options.out;
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
    claims.while_alive(|| run_claiming(options, &resolved, &runs, &kept, &claims))
}

/// Runs the `runs` of the study, and writes the report.
fn run_claiming(
    options: &StudyOptions,
    resolved: &ResolvedStudy,
    runs: &[PlannedRun],
    kept: &Kept,
    claims: &Claims,
) -> Result<StudyOutcome> {
    let StudyOptions { out, stop, .. } = options;
    let reporter = Reporter { kept, out, claims, plugin_path: &options.plugin_path, stop };
    let set_aside = reporter.begin()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut slots = slots::slots(&options.slots, &resolved.study, cores);
    slots.truncate(runs.len());
    let runner = Runner {
        kept,
        out,
        children: child::Children {
            executable: options.executable.clone(),
            plugin_path: options.plugin_path.clone(),
        },
        claims,
        slots: &slots,
        threads: (cores / slots.len()).max(1),
        retried: if options.retry_failed { failures(kept, runs, out) } else { BTreeMap::new() },
        waits: options.waits,
        stop,
    };
    let progress = progress::Progress::new(runs, out, stop);
    progress.say(&head(resolved, runs.len(), &runner));
    kept.remarks.iter().for_each(|remark| progress.say(&format!("note: {remark}")));
    let outcomes = runner.run(runs, &progress);
    progress.finish();
    let outcomes = outcomes?;
    let report = match options.only.is_empty() {
        true => reporter.write()?.map(|written| written.report),
        false => None,
    };
    let interrupted = stop.load(Ordering::SeqCst);
    Ok(StudyOutcome { interrupted, set_aside, report, ..StudyOutcome::of(runs.len(), &outcomes) })
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
    let claims = Claims::of(&options.out)?;
    let reporter = Reporter {
        kept: &Kept::of(&resolved),
        out: &options.out,
        claims: &claims,
        plugin_path: &options.plugin_path,
        stop: &options.stop,
    };
    claims.while_alive(|| {
        let set_aside = reporter.begin()?;
        Ok(StudyOutcome { set_aside, ..reporter.again()? })
    })
}

/// As [`report`], of the study that was begun in `out`, without its file.
pub fn report_of_folder(out: &Path, plugin_path: &[PathBuf]) -> Result<StudyOutcome> {
    let (kept, claims) = (Kept::read(out)?, Claims::of(out)?);
    let reporter = Reporter { kept: &kept, out, claims: &claims, plugin_path, stop: &AtomicBool::new(false) };
    claims.while_alive(|| reporter.again())
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

fn failures(kept: &Kept, runs: &[PlannedRun], out: &Path) -> BTreeMap<String, Failure> {
    let failure = |run: &PlannedRun| {
        let folder = Folder::new(plan::run_folder(out, &run.id));
        let of = |weights| kept.wanted(run).failure(&folder, weights);
        Some((run.id.clone(), of(Weights::Trained).or_else(|| of(Weights::Random))?))
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
