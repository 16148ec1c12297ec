//! Where the runs of a study stand, told without running any.

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::config::StudyConfig;
use crate::folder::{Folder, Weights};
use crate::plan::{PlannedRun, plan, run_folder};
use crate::{child, kept};

/// What is known of a run's configuration before it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// How long it trains: `1200`, or `300 epochs` where no data are there to count.
    pub length: String,
    /// `None` where no data are there to be part of it.
    pub fingerprint: Option<String>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// Trained and evaluated.
    Finished,
    /// At work, and how far it is.
    Running(String),
    /// Stopped on the way, and how far it came.
    Interrupted(String),
    /// Ended with this error.
    Failed(String),
    /// Not begun.
    Planned,
}

impl Standing {
    fn text(&self) -> &'static str {
        match self {
            Standing::Finished => "finished",
            Standing::Running(_) => "running",
            Standing::Interrupted(_) => "interrupted",
            Standing::Failed(_) => "failed",
            Standing::Planned => "not begun",
        }
    }

    /// The first line of an error is enough for a table.
    fn detail(&self) -> &str {
        match self {
            Standing::Running(text) | Standing::Interrupted(text) => text,
            Standing::Failed(error) => error.lines().next().unwrap_or_default(),
            Standing::Finished | Standing::Planned => "",
        }
    }
}

/// The runs of a study as a plan. Displayed, it is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order in which they run.
    pub runs: Vec<(PlannedRun, Resolved, Standing)>,
}

/// Where the runs of a study's folder stand. Displayed, it is a table with a summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// In the order in which they run.
    pub runs: Vec<(PlannedRun, Standing)>,
}

/// The runs of the study in the file `study`, whose folder is or would be `out`.
///
/// # Errors
/// Everything that is wrong with the study, or else with the configurations of its arms.
pub fn plan_of(
    study: &Path,
    out: &Path,
    mut resolve: impl FnMut(&Path, &[String]) -> Result<Resolved>,
) -> Result<Plan> {
    let study = StudyConfig::load(study)?;
    let mut problems: Vec<String> = Vec::new();
    let mut runs = Vec::new();
    for (run, standing) in standings(&study, out) {
        match resolve(&run.config, &run.sets) {
            Ok(resolved) => runs.push((run, resolved, standing)),
            Err(error) => {
                let message = format!("{error:#}");
                // The seeds of an arm, and the arms of a base, have their problems in common.
                if !problems.contains(&message) {
                    problems.push(message);
                }
            }
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(Plan { runs })
}

/// Where the study stands that was begun in `out`.
///
/// # Errors
/// No study was begun there.
pub fn status(out: &Path) -> Result<Status> {
    let study = kept::study(out)?;
    Ok(Status { runs: standings(&study, out) })
}

fn standings(study: &StudyConfig, out: &Path) -> Vec<(PlannedRun, Standing)> {
    let at_work = child::is_at_work(out);
    let failures = kept::failures(out);
    let of = |run: PlannedRun| {
        let folder = Folder::new(run_folder(out, &run.id));
        let standing = standing(&run, &folder, at_work, failures.get(&run.id));
        (run, standing)
    };
    plan(study).into_iter().map(of).collect()
}

fn standing(run: &PlannedRun, folder: &Folder, at_work: bool, failure: Option<&String>) -> Standing {
    let json = folder.run().unwrap_or_default();
    let is_result =
        json["state"] == "finished" && folder.is_noted(run) && folder.evaluation(Weights::Trained).is_some();
    let error = failure.cloned().or_else(|| {
        (json["state"] == "failed")
            .then(|| json["error"].as_str().unwrap_or("no reason is known").to_string())
    });
    match (json["state"].as_str(), error) {
        // Who was killed without notice left this word behind.
        (Some("running"), _) if at_work => Standing::Running(progress(folder, &json)),
        (_, Some(error)) => Standing::Failed(error),
        (Some("finished"), None) if is_result => Standing::Finished,
        (Some("finished"), None) => Standing::Interrupted("trained, not evaluated".into()),
        (Some(_), None) => Standing::Interrupted(progress(folder, &json)),
        (None, None) => Standing::Planned,
    }
}

/// `step 400 of 1200`
fn progress(folder: &Folder, json: &Value) -> String {
    let last = folder.last_metrics().and_then(|line| line["step"].as_u64());
    let step = last.max(json["step"].as_u64()).unwrap_or(0);
    match json["steps"].as_u64().filter(|steps| *steps > 0) {
        Some(steps) => format!("step {step} of {steps}"),
        None => format!("step {step}"),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["run", "base", "variant", "seed", "steps", "fingerprint", "state"].map(String::from);
        let rows = self.runs.iter().map(|(run, resolved, standing)| {
            [
                run.id.clone(),
                run.base.clone(),
                run.variant.clone(),
                run.seed.to_string(),
                resolved.length.clone(),
                resolved.fingerprint.clone().unwrap_or("no data".into()),
                standing.text().to_string(),
            ]
        });
        write_table(formatter, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        write_summary(formatter, self.runs.iter().map(|(_, _, standing)| standing))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["run", "state", ""].map(String::from);
        let rows = self
            .runs
            .iter()
            .map(|(run, standing)| [run.id.clone(), standing.text().into(), standing.detail().into()]);
        write_table(formatter, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        write_summary(formatter, self.runs.iter().map(|(_, standing)| standing))
    }
}

fn write_table<const N: usize>(formatter: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(formatter, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// `24 runs: 3 finished, 21 not begun`
fn write_summary<'a>(
    formatter: &mut fmt::Formatter<'_>,
    standings: impl Iterator<Item = &'a Standing> + Clone,
) -> fmt::Result {
    let texts = ["finished", "running", "interrupted", "failed", "not begun"];
    let count = |text: &str| standings.clone().filter(|standing| standing.text() == text).count();
    let counts = texts.map(|text| (count(text), text));
    let known: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    write!(formatter, "{} runs: {}", standings.clone().count(), known.join(", "))
}
