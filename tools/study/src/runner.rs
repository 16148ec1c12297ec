//! Runs the planned runs, as many at a time as there are slots, each as a [`Job`].
//!
//! Invariants: who does something to a run has its claim, so that of all workers of a folder one does; what became of a run is
//! read off its folder, never remembered. A folder that holds another configuration is left to `diptych train --resume`, which
//! refuses it by the names of its keys.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use diptych_report::text::{duration, percent};

use crate::child::Children;
use crate::claim::{Claim, Claims, Holder};
use crate::folder::{Failure, Folder, Weights};
use crate::job::Job;
use crate::kept::Kept;
use crate::metrics;
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
                Err(error) => return lock(queue).end(error, progress),
            };
            let line = progress.begin(&run.id);
            let began = Instant::now();
            let outcome = Job::new(self, &run, slot, &claim, &line, progress).perform();
            drop(claim);
            match outcome {
                Ok(Outcome::Elsewhere) => {
                    progress.say(&format!("{}: taken over by another worker", run.id));
                    lock(queue).give_up(run);
                }
                Ok(outcome) => {
                    let what = self.tell(&run, &outcome, began.elapsed());
                    lock(queue).settle(&run, outcome, Some(line), &what, progress);
                }
                Err(error) => return lock(queue).end(error, progress),
            }
        }
    }

    /// Settles what there is nothing to do for, and finds a run that nobody is at.
    fn next(&self, queue: &mut Queue, progress: &Progress) -> Result<Next<'_>> {
        if self.stopped() {
            for run in std::mem::take(&mut queue.waiting) {
                let outcome = self.settled(&run).unwrap_or(Outcome::Interrupted);
                queue.outcomes.insert(run.id, outcome);
            }
        }
        // One look at the folder tells of most runs; to claim each of them would take a look for each.
        // Where the look fails, claiming tells why.
        let holders = self.claims.holders().unwrap_or_default();
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
                        self.kept.require_current(self.out)?;
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

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// What became of the run, if there is nothing to do for it.
    fn settled(&self, run: &PlannedRun) -> Option<Outcome> {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let wanted = self.kept.wanted(run);
        let failures = [Weights::Trained, Weights::Random].map(|weights| wanted.failure(&folder, weights));
        if failures.iter().flatten().any(|failure| self.retried.get(&run.id) == Some(failure)) {
            return None;
        }
        match failures {
            [Some(failure), _] => Some(Outcome::Failed(failure.error)),
            [None, _] => wanted.standing(&folder, None).is_result().then_some(Outcome::Skipped),
        }
    }

    /// `linear probe 61.3 %`: what the report is about.
    fn accuracy(&self, folder: &Folder) -> Option<String> {
        let metric = metrics::of(&self.kept.protocol).into_iter().next()?;
        let (_, score) = metrics::score(&folder.evaluation(Weights::Trained)?, &metric)?;
        Some(format!("{} {}", metric.label, percent(score * 100.0)))
    }

    fn tell(&self, run: &PlannedRun, outcome: &Outcome, took: Duration) -> String {
        let (folder, wanted) = (Folder::new(run_folder(self.out, &run.id)), self.kept.wanted(run));
        let mut accuracy = self.accuracy(&folder).unwrap_or_else(|| "evaluated".into());
        if let Standing::StoppedEarly(how) = wanted.standing(&folder, None) {
            accuracy = format!("{how}, {accuracy}");
        }
        match outcome {
            Outcome::Done => format!("{accuracy}, {}", duration(took.as_secs_f64())),
            Outcome::Skipped => match wanted.failure(&folder, Weights::Random) {
                Some(failure) => format!("{accuracy}, without the untrained encoder: {}", failure.error),
                None => format!("{accuracy}, done before or elsewhere"),
            },
            Outcome::Interrupted => "interrupted, can be continued".into(),
            Outcome::Elsewhere => "at work elsewhere".into(),
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

    /// A run that another worker took over is looked at again: that one may die too.
    fn give_up(&mut self, run: PlannedRun) {
        if self.fatal.is_none() {
            self.waiting.push_back(run);
        }
    }

    /// Leaves the other slots the runs that they are at, and no more; that may take long, so what is wrong is said now.
    fn end(&mut self, error: anyhow::Error, progress: &Progress) {
        if self.fatal.is_none() {
            progress
                .say(&format!("error: {error:#}\nno further run begins; those at work go on to their end"));
        }
        self.waiting.clear();
        self.fatal.get_or_insert(error);
    }

    /// Says once of each worker that it is waited for.
    fn tell_of(&mut self, held: Vec<Holder>, progress: &Progress) {
        for holder in held {
            if !self.told_of.contains(&holder) {
                progress.say(&format!("waiting for runs of {holder}"));
                self.told_of.push(holder);
            }
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    // What a thread that panicked left is still a list of outcomes.
    queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
