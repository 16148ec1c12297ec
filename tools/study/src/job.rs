//! What is done to one run by the worker that has its claim, in processes of its own: train, evaluate, and where it is wanted its
//! control, the evaluation of the untrained encoder.

use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use anyhow::Result;

use crate::child::{Ended, Order};
use crate::claim::Claim;
use crate::folder::{Failure, Folder, Weights};
use crate::plan::{PlannedRun, run_folder};
use crate::progress::{Line, Progress};
use crate::runner::{Outcome, Runner};
use crate::slots::Slot;
use crate::standing::Wanted;

/// As the trainer refuses a folder of another run.
const REFUSAL: &str = "holds a run with another configuration";

/// One run in its slot.
pub struct Job<'a> {
    runner: &'a Runner<'a>,
    run: &'a PlannedRun,
    slot: &'a Slot,
    claim: &'a Claim<'a>,
    line: &'a Line,
    progress: &'a Progress,
    folder: Folder,
    wanted: Wanted<'a>,
}

impl<'a> Job<'a> {
    pub fn new(
        runner: &'a Runner<'a>,
        run: &'a PlannedRun,
        slot: &'a Slot,
        claim: &'a Claim<'a>,
        line: &'a Line,
        progress: &'a Progress,
    ) -> Job<'a> {
        let folder = Folder::new(run_folder(runner.out, &run.id));
        Job { runner, run, slot, claim, line, progress, folder, wanted: runner.kept.wanted(run) }
    }

    /// Trains and evaluates, and notes what goes wrong.
    pub fn perform(&self) -> Result<Outcome> {
        self.folder.forget_failures()?;
        let outcome = self.train_and_evaluate()?;
        // What is in the folder is somebody else's.
        if self.claim.is_lost() {
            return Ok(Outcome::Elsewhere);
        }
        if let Outcome::Failed(error) = &outcome {
            self.note_failure(error, Weights::Trained);
        }
        Ok(outcome)
    }

    fn train_and_evaluate(&self) -> Result<Outcome> {
        match self.child(&self.train())? {
            Ended::Well => {}
            Ended::Stopped => return Ok(Outcome::Interrupted),
            Ended::Badly(message) => return Ok(Outcome::Failed(self.with_remedy(message))),
        }
        if let Some(found) = self.folder.run().filter(|found| !self.wanted.is_of(found)) {
            return Ok(Outcome::Failed(format!(
                "the run has the fingerprint {}, expected {}: its configuration or its data changed while the study ran; start the study again",
                found["fingerprint"],
                self.wanted.fingerprint.unwrap_or("another")
            )));
        }
        if !self.wanted.is_evaluated(&self.folder, Weights::Trained) {
            match self.evaluate(Weights::Trained)? {
                Ended::Well => {}
                Ended::Stopped => return Ok(Outcome::Interrupted),
                Ended::Badly(message) => {
                    return Ok(Outcome::Failed(format!("the evaluation failed: {message}")));
                }
            }
        }
        if self.wanted.wants_control_of(&self.folder) {
            match self.evaluate(Weights::Random)? {
                Ended::Well => {}
                Ended::Stopped => return Ok(Outcome::Interrupted),
                Ended::Badly(message) => {
                    let id = &self.run.id;
                    self.progress.say(&format!("{id}: the untrained encoder was not evaluated: {message}"));
                    self.note_failure(&message, Weights::Random);
                }
            }
        }
        let standing = self.wanted.standing(&self.folder, None);
        Ok(match standing.is_result() {
            true => Outcome::Done,
            false => Outcome::Failed(format!(
                "its processes ended without an error, and {} says: {} {}",
                self.folder.path.display(),
                standing.text(),
                standing.detail()
            )),
        })
    }

    fn child(&self, arguments: &[OsString]) -> Result<Ended> {
        let order = || match (self.claim.is_lost(), self.runner.stopped()) {
            (true, _) => Order::Die,
            (false, true) => Order::Stop,
            (false, false) => Order::GoOn,
        };
        self.runner.children.run(arguments, self.claim.file(), order)
    }

    fn train(&self) -> Vec<OsString> {
        let mut train = Vec::new();
        let (config, out) = (&self.run.config, &self.folder.path);
        add(&mut train, [&"train", config, &"--out", out, &"--resume", &"--quiet"]);
        // Sums over another number of threads round otherwise: a run keeps the number that it began with.
        let begun = self.folder.run().and_then(|run| run["threads"].as_u64()).filter(|threads| *threads > 0);
        let here = self.runner.threads;
        let threads = begun.unwrap_or(here as u64);
        // First, so that the study's own overrides win.
        add_sets(&mut train, &[format!("threads={threads}"), format!("loader.workers={here}")]);
        add_sets(&mut train, &self.run.sets);
        if let Some(device) = self.slot {
            add_sets(&mut train, &[format!("device={device}")]);
        }
        train
    }

    fn evaluate(&self, weights: Weights) -> Result<Ended> {
        self.line.show(|| "evaluating".into());
        let mut evaluate = Vec::new();
        add(&mut evaluate, [&"evaluate", &self.folder.path, &self.runner.kept.study.evaluation]);
        add_sets(&mut evaluate, &[format!("loader.workers={}", self.runner.threads)]);
        if let Some(device) = self.slot {
            add(&mut evaluate, [&"--device", device]);
        }
        if weights == Weights::Random {
            add(&mut evaluate, [&"--random-init"]);
        }
        self.child(&evaluate)
    }

    /// For the report, and for other workers. Where it cannot be written down, as on a full disk, it is still known to this one.
    fn note_failure(&self, error: &str, weights: Weights) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let failure = Failure {
            fingerprint: self.wanted.fingerprint.unwrap_or_default().into(),
            error: error.into(),
            at: now.as_millis().to_string(),
        };
        if let Err(error) = self.folder.note_failure(&failure, weights) {
            self.progress.say(&format!("{}: its failure cannot be noted: {error:#}", self.run.id));
        }
    }

    /// The trainer does not know what a study can do.
    fn with_remedy(&self, message: String) -> String {
        if !message.contains(REFUSAL) {
            return message;
        }
        let folder = self.folder.path.display();
        format!(
            "{message}\nremove {folder} to run it anew, restore the configuration, or choose another folder with --out"
        )
    }
}

/// Words as the system has them: a path need not be text.
fn add<const N: usize>(arguments: &mut Vec<OsString>, words: [&dyn AsRef<OsStr>; N]) {
    arguments.extend(words.map(|word| word.as_ref().to_owned()));
}

fn add_sets(arguments: &mut Vec<OsString>, sets: &[String]) {
    for set in sets {
        add(arguments, [&"--set", set]);
    }
}
