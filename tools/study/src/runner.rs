//! Runs the planned runs, as many at a time as there are slots, each in processes of its own: train, evaluate, and for the
//! baseline of the first base evaluate the untrained encoder too.
//!
//! Invariants: who does something to a run has its claim, so that of all workers of a folder one does; what became of a run is
//! read off its folder, never remembered. A folder that holds another configuration is left to `diptych train --resume`, which
//! refuses it by the names of its keys.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use diptych_report::text::{duration, percent};

use crate::child::{Children, Ended};
use crate::claim::{self, Claim, Claims, Holder};
use crate::folder::{Failure, Folder, Weights};
use crate::kept::Kept;
use crate::plan::{PlannedRun, run_folder};
use crate::progress::{Line, Progress};
use crate::slots::Slot;
use crate::standing::Standing;

/// How often runs of other workers are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How a run came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Trained and evaluated by this worker.
    Done,
    /// Trained and evaluated before, or by another worker.
    Skipped,
    /// Stopped on the way, or never begun because the study was stopped.
    Interrupted,
    /// At work by another worker, who was not waited for.
    Elsewhere,
    /// Ended with this error, now or before.
    Failed(String),
}

/// Outcomes by run id.
pub type Outcomes = BTreeMap<String, Outcome>;

/// What running needs to know.
pub struct Runner<'a> {
    pub kept: &'a Kept,
    pub out: &'a Path,
    pub children: Children,
    pub claims: &'a Claims,
    pub slots: &'a [Slot],
    /// libtorch's threads, and the loader's workers, of each run that begins.
    pub threads: usize,
    /// Failures to try again: those that were known when this worker began.
    pub retried: BTreeMap<String, Failure>,
    /// Whether to wait for runs of other workers, and take them over should they die.
    pub waits: bool,
    pub stop: &'a AtomicBool,
}

struct Queue {
    waiting: VecDeque<PlannedRun>,
    outcomes: Outcomes,
    /// What ended the whole study.
    fatal: Option<anyhow::Error>,
    told_of: Vec<Holder>,
}

/// What a slot does next.
enum Next<'a> {
    Run(PlannedRun, Claim<'a>),
    /// All that is left is at work elsewhere.
    Wait,
    End,
}

impl Runner<'_> {
    /// Runs what is not done. A run that fails is an outcome; an error concerns the study as a whole.
    pub fn run(&self, runs: &[PlannedRun], progress: &Progress) -> Result<Outcomes> {
        let queue = Mutex::new(Queue {
            waiting: runs.iter().cloned().collect(),
            outcomes: Outcomes::new(),
            fatal: None,
            told_of: Vec::new(),
        });
        std::thread::scope(|scope| {
            for slot in self.slots {
                scope.spawn(|| self.work(slot, &queue, progress));
            }
        });
        let queue = queue.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        match queue.fatal {
            Some(error) => Err(error),
            None => Ok(queue.outcomes),
        }
    }

    fn work(&self, slot: &Slot, queue: &Mutex<Queue>, progress: &Progress) {
        loop {
            let next = self.next(&mut lock(queue), progress);
            let (run, claim) = match next {
                Ok(Next::Run(run, claim)) => (run, claim),
                Ok(Next::Wait) => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Ok(Next::End) => return,
                Err(error) => return lock(queue).end(error),
            };
            let line = progress.begin(&run.id);
            let began = Instant::now();
            let outcome = self.perform(&run, slot, &claim, &line, progress);
            drop(claim);
            match outcome {
                Ok(outcome) => {
                    let what = self.tell(&run, &outcome, began.elapsed());
                    lock(queue).settle(&run, outcome, Some(line), &what, progress);
                }
                Err(error) => return lock(queue).end(error),
            }
        }
    }

    /// Settles what there is nothing to do for, and finds a run that nobody is at.
    fn next(&self, queue: &mut Queue, progress: &Progress) -> Result<Next<'_>> {
        if self.stopped() {
            for run in std::mem::take(&mut queue.waiting) {
                queue.outcomes.insert(run.id, Outcome::Interrupted);
            }
        }
        // One look at the folder tells of most runs; to claim each of them would take a look for each.
        let holders = claim::holders(self.out);
        let mut held: Vec<Holder> = Vec::new();
        let mut place = 0;
        while let Some(run) = queue.waiting.get(place).cloned() {
            if let Some(holder) = holders.get(&run.id) {
                held.push(holder.clone());
                place += 1;
                continue;
            }
            let mut settled = self.settled(&run);
            if settled.is_none() {
                match self.claims.take(&run.id)? {
                    Ok(claim) => {
                        // Whoever had the claim until now may have done it.
                        settled = self.settled(&run);
                        if settled.is_none() {
                            queue.waiting.remove(place);
                            return Ok(Next::Run(run, claim));
                        }
                    }
                    Err(holder) => held.push(holder),
                }
            }
            match settled {
                Some(outcome) => {
                    queue.waiting.remove(place);
                    let what = self.tell(&run, &outcome, Duration::ZERO);
                    queue.settle(&run, outcome, None, &what, progress);
                }
                None => place += 1,
            }
        }
        if queue.waiting.is_empty() {
            return Ok(Next::End);
        }
        if !self.waits {
            for run in std::mem::take(&mut queue.waiting) {
                queue.outcomes.insert(run.id, Outcome::Elsewhere);
            }
            return Ok(Next::End);
        }
        queue.tell_of(held, progress);
        Ok(Next::Wait)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// What became of the run, if there is nothing to do for it.
    fn settled(&self, run: &PlannedRun) -> Option<Outcome> {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let wanted = self.kept.wanted(&run.id);
        let failure = wanted.fingerprint.and_then(|fingerprint| folder.failure(fingerprint));
        if let Some(failure) = failure.filter(|failure| self.retried.get(&run.id) != Some(failure)) {
            return Some(Outcome::Failed(failure.error));
        }
        let has_control = || !self.kept.wants_random(run) || wanted.is_evaluated(&folder, Weights::Random);
        (wanted.standing(&folder, None).is_result() && has_control()).then_some(Outcome::Skipped)
    }

    /// Trains and evaluates, and notes what goes wrong.
    fn perform(
        &self,
        run: &PlannedRun,
        slot: &Slot,
        claim: &Claim<'_>,
        line: &Line,
        progress: &Progress,
    ) -> Result<Outcome> {
        let folder = Folder::new(run_folder(self.out, &run.id));
        folder.forget_failure()?;
        let outcome = self.train_and_evaluate(run, slot, claim, line, progress)?;
        if claim.is_lost() {
            return Ok(Outcome::Elsewhere);
        }
        if let (Outcome::Failed(error), Some(fingerprint)) = (&outcome, self.kept.wanted(&run.id).fingerprint)
        {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            folder.note_failure(&Failure {
                fingerprint: fingerprint.into(),
                error: error.clone(),
                at: now.as_millis().to_string(),
            })?;
        }
        Ok(outcome)
    }

    fn train_and_evaluate(
        &self,
        run: &PlannedRun,
        slot: &Slot,
        claim: &Claim<'_>,
        line: &Line,
        progress: &Progress,
    ) -> Result<Outcome> {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let wanted = self.kept.wanted(&run.id);
        let child = |arguments: &[String]| {
            self.children.run(arguments, claim.file(), || self.stopped() || claim.is_lost())
        };
        match child(&self.train(run, &folder, slot))? {
            Ended::Well => {}
            Ended::Stopped => return Ok(Outcome::Interrupted),
            Ended::Badly(message) => return Ok(Outcome::Failed(with_remedy(message, &folder))),
        }
        if let Some(found) = folder.run().filter(|found| !wanted.is_of(found)) {
            return Ok(Outcome::Failed(format!(
                "the run has the fingerprint {}, expected {}: its configuration or its data changed while the study ran; start the study again",
                found["fingerprint"],
                wanted.fingerprint.unwrap_or("another")
            )));
        }
        for weights in [Weights::Trained, Weights::Random] {
            if weights == Weights::Random && !self.kept.wants_random(run)
                || wanted.is_evaluated(&folder, weights)
            {
                continue;
            }
            line.show(|| "evaluating".into());
            match (child(&self.evaluate(&folder, slot, weights))?, weights) {
                (Ended::Well, _) => {}
                (Ended::Stopped, _) => return Ok(Outcome::Interrupted),
                (Ended::Badly(message), Weights::Trained) => {
                    return Ok(Outcome::Failed(format!("the evaluation failed: {message}")));
                }
                // The run itself is whole without its control.
                (Ended::Badly(message), Weights::Random) => {
                    progress.say(&format!("{}: the untrained encoder was not evaluated: {message}", run.id));
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn train(&self, run: &PlannedRun, folder: &Folder, slot: &Slot) -> Vec<String> {
        let mut train = strings(["train", &run.config.to_string_lossy()]);
        train.extend(strings(["--out", &folder.path.to_string_lossy(), "--resume", "--quiet"]));
        // Sums over another number of threads round otherwise: a run keeps the number that it began with.
        let begun = folder.run().and_then(|run| run["threads"].as_u64()).filter(|threads| *threads > 0);
        let threads = begun.unwrap_or(self.threads as u64);
        // First, so that the study's own overrides win.
        add_sets(&mut train, &[format!("threads={threads}"), format!("loader.workers={}", self.threads)]);
        add_sets(&mut train, &run.sets);
        if let Some(device) = slot {
            add_sets(&mut train, &[format!("device={device}")]);
        }
        train
    }

    fn evaluate(&self, folder: &Folder, slot: &Slot, weights: Weights) -> Vec<String> {
        let evaluation = self.kept.study.evaluation.to_string_lossy();
        let mut evaluate = strings(["evaluate", &folder.path.to_string_lossy(), &evaluation]);
        add_sets(&mut evaluate, &[format!("loader.workers={}", self.threads)]);
        if let Some(device) = slot {
            evaluate.extend(strings(["--device", device]));
        }
        if weights == Weights::Random {
            evaluate.push("--random-init".into());
        }
        evaluate
    }

    fn tell(&self, run: &PlannedRun, outcome: &Outcome, took: Duration) -> String {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let accuracy = folder.evaluation(Weights::Trained).and_then(|known| known["linear"]["top1"].as_f64());
        let mut accuracy =
            accuracy.map_or(String::new(), |top1| format!("linear probe {}", percent(top1 * 100.0)));
        if let Standing::StoppedEarly(how) = self.kept.wanted(&run.id).standing(&folder, None) {
            accuracy = format!("{how}, {accuracy}");
        }
        match outcome {
            Outcome::Done => format!("{accuracy}, {}", duration(took.as_secs_f64())),
            Outcome::Skipped => format!("{accuracy}, done before or elsewhere"),
            Outcome::Interrupted => "interrupted, can be continued".into(),
            Outcome::Elsewhere => "taken over by another worker".into(),
            Outcome::Failed(error) if took.is_zero() => format!("failed before: {error}"),
            Outcome::Failed(error) => format!("failed: {error}"),
        }
    }
}

impl Queue {
    fn settle(
        &mut self,
        run: &PlannedRun,
        outcome: Outcome,
        line: Option<Line>,
        what: &str,
        progress: &Progress,
    ) {
        self.outcomes.insert(run.id.clone(), outcome);
        let worked = self.outcomes.values().filter(|outcome| **outcome == Outcome::Done).count();
        progress.end(line, &run.id, what, self.outcomes.len(), worked);
    }

    /// Leaves the other slots the runs that they are at, and no more.
    fn end(&mut self, error: anyhow::Error) {
        self.waiting.clear();
        self.fatal.get_or_insert(error);
    }

    /// Says once of each worker that it is waited for.
    fn tell_of(&mut self, held: Vec<Holder>, progress: &Progress) {
        for holder in held {
            if !self.told_of.contains(&holder) {
                progress.say(&format!("waiting for runs of process {} on {}", holder.pid, holder.host));
                self.told_of.push(holder);
            }
        }
    }
}

/// A folder with another configuration is refused by the trainer, who does not know what a study can do.
fn with_remedy(message: String, folder: &Folder) -> String {
    let folder = folder.path.display();
    if message.contains("configuration") {
        format!(
            "{message}\nremove {folder} to run it anew, restore the configuration, or choose another folder with --out"
        )
    } else {
        message
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // What a thread that panicked left is still a list of outcomes.
    queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(String::from).to_vec()
}

fn add_sets(arguments: &mut Vec<String>, sets: &[String]) {
    for set in sets {
        arguments.extend(strings(["--set", set]));
    }
}
