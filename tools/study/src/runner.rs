//! Runs the planned runs, several at a time, each in processes of its own: train, evaluate, and for the baseline of the
//! first base evaluate the untrained encoder too.
//!
//! Invariant: whether a folder already holds a run is asked of `diptych train --resume` itself, which compares resolved
//! configurations and data. So no result of another configuration can slip in, and a changed one is refused by the names
//! of its keys.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use diptych_report::text::{duration, percent};
use serde_json::Value;

use crate::child::{Children, Ended};
use crate::config::StudyConfig;
use crate::folder::{Folder, Weights};
use crate::plan::{PlannedRun, run_folder};
use crate::progress::{Line, Progress};

/// How a run came out.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Trained and evaluated now.
    Done,
    /// Trained and evaluated before.
    Skipped,
    /// Stopped on the way, or never begun because the study was stopped.
    Interrupted,
    /// Ended with this error.
    Failed(String),
}

/// Outcomes by run id.
pub type Outcomes = BTreeMap<String, Outcome>;

/// What became of all runs.
pub struct Ran {
    pub outcomes: Outcomes,
    /// Whether one untrained encoder stands for all arms.
    pub encoders_agree: bool,
}

/// What the binary said of the configurations before any run began.
struct Checked {
    /// The resolved evaluation.
    protocol: Value,
    encoders_agree: bool,
}

/// What running needs to know.
pub struct Runner<'a> {
    pub study: &'a StudyConfig,
    pub out: &'a Path,
    pub children: Children,
    pub jobs: usize,
    /// libtorch's threads, and the loader's workers, of each run.
    pub threads: usize,
}

struct Queue {
    waiting: VecDeque<PlannedRun>,
    outcomes: Outcomes,
}

impl Runner<'_> {
    /// Checks all configurations, then runs. Only what concerns the whole study is an error; a run that fails is an
    /// outcome.
    pub fn run(&self, runs: &[PlannedRun], progress: &Progress) -> Result<Ran> {
        let Some(checked) = self.check(runs)? else {
            let outcomes = runs.iter().map(|run| (run.id.clone(), Outcome::Interrupted)).collect();
            return Ok(Ran { outcomes, encoders_agree: true });
        };
        let queue = Mutex::new(Queue { waiting: runs.iter().cloned().collect(), outcomes: Outcomes::new() });
        let take = || -> Option<PlannedRun> {
            let mut queue = lock(&queue);
            if self.stopped() {
                for run in std::mem::take(&mut queue.waiting) {
                    queue.outcomes.insert(run.id, Outcome::Interrupted);
                }
            }
            queue.waiting.pop_front()
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(runs.len()) {
                scope.spawn(|| {
                    while let Some(run) = take() {
                        let line = progress.begin(&run.id);
                        let began = Instant::now();
                        let outcome = self
                            .perform(&run, &checked, &line, progress)
                            .unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
                        let mut queue = lock(&queue);
                        let what = self.tell(&run, &outcome, began.elapsed());
                        queue.outcomes.insert(run.id.clone(), outcome);
                        let done = queue.outcomes.len();
                        let worked =
                            queue.outcomes.values().filter(|outcome| **outcome == Outcome::Done).count();
                        progress.end(line, &run.id, &what, done, worked);
                    }
                });
            }
        });
        let outcomes = queue.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()).outcomes;
        Ok(Ran { outcomes, encoders_agree: checked.encoders_agree })
    }

    fn stopped(&self) -> bool {
        self.children.stop.load(Ordering::SeqCst)
    }

    /// Asks the binary to resolve the evaluation and every arm before any time is spent. `None` when stopped.
    fn check(&self, runs: &[PlannedRun]) -> Result<Option<Checked>> {
        let show = strings(["config", "show", &self.study.evaluation.to_string_lossy(), "--evaluation"]);
        let protocol = match self.children.run(&show, || {})? {
            Ended::Well(text) => resolved(&text)?,
            Ended::Stopped => return Ok(None),
            Ended::Badly(message) => bail!("the evaluation cannot be used: {message}"),
        };
        let seed = self.study.seeds[0];
        let mut problems: Vec<String> = Vec::new();
        let mut encoders: Vec<[Option<toml::Value>; 2]> = Vec::new();
        for run in runs.iter().filter(|run| run.seed == seed) {
            let mut show = strings(["config", "show", &run.config.to_string_lossy()]);
            add_sets(&mut show, &run.sets);
            match self.children.run(&show, || {})? {
                Ended::Well(text) => {
                    let mut config = resolved(&text)?;
                    encoders.push(["encoder", "input"].map(|section| config.remove(section)));
                }
                Ended::Stopped => return Ok(None),
                // The arms of a base have its problems in common.
                Ended::Badly(message) if problems.contains(&message) => {}
                Ended::Badly(message) => problems.push(message),
            }
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        let encoders_agree = encoders.windows(2).all(|pair| pair[0] == pair[1]);
        Ok(Some(Checked { protocol: serde_json::to_value(protocol)?, encoders_agree }))
    }

    fn perform(
        &self,
        run: &PlannedRun,
        checked: &Checked,
        line: &Line,
        progress: &Progress,
    ) -> Result<Outcome> {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let was_finished = folder.is_finished();
        let mut train = strings(["train", &run.config.to_string_lossy()]);
        train.extend(strings(["--out", &folder.path.to_string_lossy(), "--resume", "--quiet"]));
        // First, so that the study's own overrides win.
        add_sets(
            &mut train,
            &[format!("threads={}", self.threads), format!("loader.workers={}", self.threads)],
        );
        add_sets(&mut train, &run.sets);
        let mut looked = Instant::now();
        let ended = self.children.run(&train, || {
            if looked.elapsed() > Duration::from_secs(1) {
                looked = Instant::now();
                line.show(|| training(&folder));
            }
        })?;
        match ended {
            Ended::Well(_) => {}
            Ended::Stopped => return Ok(Outcome::Interrupted),
            Ended::Badly(message) => return Ok(Outcome::Failed(self.with_remedy(message, &folder))),
        }
        folder.note(run)?;
        let mut did_something = !was_finished;
        for weights in [Weights::Trained, Weights::Random] {
            if weights == Weights::Random && !self.wants_random(run, checked) {
                continue;
            }
            let known = folder.evaluation(weights);
            let known = known.is_some_and(|known| same_protocol(&known["protocol"], &checked.protocol));
            if known {
                continue;
            }
            did_something = true;
            line.show(|| "evaluating".into());
            let mut evaluate = strings([
                "evaluate",
                &folder.path.to_string_lossy(),
                &self.study.evaluation.to_string_lossy(),
            ]);
            add_sets(&mut evaluate, &[format!("loader.workers={}", self.threads)]);
            if weights == Weights::Random {
                evaluate.push("--random-init".into());
            }
            match (self.children.run(&evaluate, || {})?, weights) {
                (Ended::Well(_), _) => {}
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
        Ok(if did_something { Outcome::Done } else { Outcome::Skipped })
    }

    /// The untrained encoder of a seed is the same for all bases and variants.
    fn wants_random(&self, run: &PlannedRun, checked: &Checked) -> bool {
        self.study.random_init
            && checked.encoders_agree
            && run.base == self.study.bases[0].id
            && run.variant == self.study.baseline
    }

    fn with_remedy(&self, message: String, folder: &Folder) -> String {
        let folder = folder.path.display();
        if message.contains("configuration") {
            format!(
                "{message}\nremove {folder} to run it anew, restore the configuration, or choose another folder with --out"
            )
        } else {
            message
        }
    }

    fn tell(&self, run: &PlannedRun, outcome: &Outcome, took: Duration) -> String {
        let folder = Folder::new(run_folder(self.out, &run.id));
        let accuracy = folder.evaluation(Weights::Trained).and_then(|known| known["linear"]["top1"].as_f64());
        let accuracy =
            accuracy.map_or(String::new(), |top1| format!("linear probe {}", percent(top1 * 100.0)));
        match outcome {
            Outcome::Done => format!("{accuracy}, {}", duration(took.as_secs_f64())),
            Outcome::Skipped => format!("{accuracy}, done before"),
            Outcome::Interrupted => "interrupted, can be continued".into(),
            Outcome::Failed(error) => format!("failed: {error}"),
        }
    }
}

fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    // What a thread that panicked left is still a list of outcomes.
    queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What `diptych config show` printed.
fn resolved(text: &str) -> Result<toml::Table> {
    text.parse().context("`diptych config show` did not print TOML")
}

/// Step and loss of a run at work.
fn training(folder: &Folder) -> String {
    let Some(line) = folder.last_metrics() else { return "starting".into() };
    let step = line["step"].as_u64().unwrap_or(0);
    let steps = folder.run().and_then(|run| run["steps"].as_u64()).filter(|steps| *steps > 0);
    let steps = steps.or_else(|| {
        let config = folder.config()?;
        config.get("schedule")?.get("steps")?.as_integer().and_then(|steps| u64::try_from(steps).ok())
    });
    let of = steps.map_or(String::new(), |steps| format!(" of {steps}"));
    let loss = line["loss"].as_f64().map_or(String::new(), |loss| format!("  loss {loss:.3}"));
    let probe = line["probe_accuracy"].as_f64();
    let probe = probe.map_or(String::new(), |accuracy| format!("  probe {}", percent(accuracy * 100.0)));
    format!("step {step}{of}{loss}{probe}")
}

/// Whether two resolved evaluations give the same numbers; the loader's threads never change them.
fn same_protocol(left: &Value, right: &Value) -> bool {
    let relevant = |protocol: &Value| {
        let mut protocol = protocol.clone();
        if let Some(protocol) = protocol.as_object_mut() {
            protocol.remove("loader");
        }
        protocol
    };
    relevant(left) == relevant(right)
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(String::from).to_vec()
}

fn add_sets(arguments: &mut Vec<String>, sets: &[String]) {
    for set in sets {
        arguments.extend(strings(["--set", set]));
    }
}
