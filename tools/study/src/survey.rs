//! Where the runs of a study stand, told without running any.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use crate::claim;
use crate::config::StudyConfig;
use crate::folder::Folder;
use crate::kept::Kept;
use crate::plan::{PlannedRun, plan, run_folder};
use crate::resolve::{Resolved, ResolvedStudy, Resolver};
use crate::standing::{Standing, Wanted};

/// The runs of a study as a plan. Displayed, it is a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order in which they run.
    pub runs: Vec<(PlannedRun, Resolved, Standing)>,
    /// What should be known before they run, in sentences.
    pub notes: Vec<String>,
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
pub fn plan_of(study: &Path, out: &Path, resolver: &mut dyn Resolver) -> Result<Plan> {
    let study = StudyConfig::load(study)?;
    let runs = plan(&study);
    let resolved = ResolvedStudy::of(study, runs, resolver)?;
    let (fingerprints, notes) = (resolved.fingerprints(), resolved.twins());
    let holders = claim::holders(out);
    let runs = resolved.runs.into_iter().map(|(run, known)| {
        let wanted = Wanted {
            fingerprint: fingerprints.get(&run.id).map(|text| &**text),
            protocol: &resolved.protocol,
            control: resolved.study.wants_control(&run),
        };
        let folder = Folder::new(run_folder(out, &run.id));
        let standing = wanted.standing(&folder, holders.get(&run.id));
        (run, known, standing)
    });
    Ok(Plan { runs: runs.collect(), notes })
}

/// Where the study stands that was begun in `out`.
///
/// # Errors
/// No study was begun there.
pub fn status(out: &Path) -> Result<Status> {
    let kept = Kept::read(out)?;
    let runs = plan(&kept.study);
    let standings = standings(&kept, &runs, out);
    Ok(Status { runs: runs.into_iter().zip(standings).collect() })
}

/// Where the runs of the study stand, in their order.
pub fn standings(kept: &Kept, runs: &[PlannedRun], out: &Path) -> Vec<Standing> {
    stand(runs, out, |run| kept.wanted(run))
}

/// The same of the runs alone: what an encoder reached counts before its control is there.
pub fn standings_of_results(kept: &Kept, runs: &[PlannedRun], out: &Path) -> Vec<Standing> {
    stand(runs, out, |run| Wanted { control: false, ..kept.wanted(run) })
}

fn stand<'a>(runs: &[PlannedRun], out: &Path, wanted: impl Fn(&PlannedRun) -> Wanted<'a>) -> Vec<Standing> {
    let holders = claim::holders(out);
    let standing =
        |run: &PlannedRun| wanted(run).standing(&Folder::new(run_folder(out, &run.id)), holders.get(&run.id));
    runs.iter().map(standing).collect()
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["run", "base", "variant", "seed", "steps", "fingerprint", "state"].map(String::from);
        let rows = self.runs.iter().map(|(run, resolved, standing)| {
            let fingerprint = match resolved.missing_data {
                None => &*resolved.fingerprint,
                Some(_) => "no data",
            };
            [
                run.id.clone(),
                run.base.clone(),
                run.variant.clone(),
                run.seed.to_string(),
                resolved.length.clone(),
                fingerprint.to_string(),
                standing.text().to_string(),
            ]
        });
        write_table(formatter, &std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        write_summary(formatter, self.runs.iter().map(|(_, _, standing)| standing))?;
        self.notes.iter().try_for_each(|note| write!(formatter, "\nnote: {note}"))
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
    let texts = ["finished", "stopped early", "running", "interrupted", "failed", "not begun"];
    let count = |text: &str| standings.clone().filter(|standing| standing.text() == text).count();
    let counts = texts.map(|text| (count(text), text));
    let known: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    write!(formatter, "{} runs: {}", standings.clone().count(), known.join(", "))
}
