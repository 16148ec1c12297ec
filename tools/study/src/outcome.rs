//! What became of a study, for whoever ran it.

use std::fmt;
use std::path::PathBuf;

use crate::runner::{Outcome, Outcomes};

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
    /// Of `planned` runs that came out so.
    pub(crate) fn of(planned: usize, outcomes: &Outcomes) -> StudyOutcome {
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
