//! A training run from its first step, or its last checkpoint, to its end.
//!
//! Lifecycle: look at the run's folder and refuse what should not be touched; compose the method; then step until the
//! schedule's end, a collapse that the policy ends, a raised stop flag, or an error. Whatever the end, `run.json` says it.

mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diptych_abi::LOSS_READS_LABELS;
use diptych_host::Registry;
use diptych_pipeline::Source;

use crate::checkpoint::{Checkpoints, State};
use crate::config::{self, LossConfig, RunConfig};
use crate::diagnostics::Verdict;
use crate::metrics::Record;
use crate::run_folder::{self, Begun, RunFolder, RunReport, RunState, build, machine, now};
use crate::{Error, Result, compose, contain};

use run::{Ended, Run};

/// How a run is started, beyond its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct TrainOptions {
    /// Go on from the folder's latest checkpoint; with none, from the start.
    pub resume: bool,
    /// Show nothing on standard error.
    pub quiet: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps are done.
    Finished(Summary),
    /// It had collapsed, and `[diagnostics]` says to end it then; a checkpoint is written.
    StoppedEarly(Summary),
    /// The stop flag was raised; a checkpoint is written.
    Interrupted(Summary),
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub steps: u64,
    /// Seconds of training, over all resumptions.
    pub seconds: f64,
    /// The last logged step.
    pub last: Option<Record>,
    /// Of all that changes the numbers.
    pub fingerprint: String,
}

/// Trains as `config` says, and writes everything into the folder `out`; the log names the plugins
/// of `registry`, which the configuration was read with. When `stop` is raised, the step is
/// finished, a checkpoint written, and the run ends as [`Outcome::Interrupted`].
pub fn train(
    config: &RunConfig,
    registry: &Registry,
    out: &Path,
    options: TrainOptions,
    stop: &AtomicBool,
) -> Result<Outcome> {
    let device = config.device.open()?;
    let source = open_source(config)?;
    let identity = source.identity();
    let fingerprint = config.fingerprint(&identity);
    let effective = config.effective(&identity);
    let checkpoints = Checkpoints::of_run(out);
    let mut folder = RunFolder::open(out)?;
    let earlier = Earlier::find(out, &checkpoints, &effective["plugins"])?;
    if let Some(state) = check_folder(out, earlier.as_ref(), &effective, options.resume)? {
        let begun = earlier.and_then(|earlier| earlier.begun);
        let (step, steps) = (state.step, begun.as_ref().map_or(state.step, |begun| begun.steps));
        let summary = Summary { step, steps, seconds: state.seconds, last: None, fingerprint };
        return Ok(match begun.map(|begun| begun.state) {
            Some(RunState::StoppedEarly) => Outcome::StoppedEarly(summary),
            _ => Outcome::Finished(summary),
        });
    }
    // Sums over several threads round otherwise than over one: a run keeps the number that it began with.
    let threads = match (config.threads, earlier.and_then(|earlier| earlier.begun)) {
        (0, Some(begun)) => begun.threads,
        (threads, _) => threads,
    };
    let threads = compose::prepare_process(threads);

    folder.write_config(&config.to_toml(), &fingerprint)?;
    let mut report = RunReport {
        name: config.name.clone(),
        fingerprint: fingerprint.clone(),
        state: RunState::Running,
        error: None,
        step: 0,
        steps: 0,
        build: build(),
        started: now(),
        ended: None,
        device: config.device.to_string(),
        threads,
        data_identity: identity,
        plugins: config.plugins(),
        machine: machine(),
        seconds: 0.0,
        images_per_second: 0.0,
        verdict: Verdict::Healthy,
    };
    folder.write_report(&report)?;
    folder.log(&format!(
        "diptych {}, libtorch {}, {device:?}",
        env!("CARGO_PKG_VERSION"),
        crate::TORCH_VERSION
    ))?;
    folder.log(&source.summary())?;
    for library in registry.libraries() {
        folder.log(&format!(
            "plugin {} {} from {}",
            library.name,
            library.version,
            library.path.display()
        ))?;
    }
    let outcome = contain("training", || {
        let mut run = Run::prepare(config, device, source, checkpoints, effective, out, options)?;
        // Whoever watches wants to know how many steps there will be.
        run.fill(&mut report);
        folder.write_report(&report)?;
        let ended = run.steps(&mut folder, stop);
        run.fill(&mut report);
        let summary = run.summary(fingerprint);
        let closed = run.close(&mut folder);
        let ended = ended?;
        closed?;
        Ok(match ended {
            Ended::Done => Outcome::Finished(summary),
            Ended::Collapsed => Outcome::StoppedEarly(summary),
            Ended::Stopped => Outcome::Interrupted(summary),
        })
    });
    report.state = match &outcome {
        Ok(Outcome::Finished(_)) => RunState::Finished,
        Ok(Outcome::StoppedEarly(_)) => RunState::StoppedEarly,
        Ok(Outcome::Interrupted(_)) => RunState::Interrupted,
        Err(error) => {
            report.error = Some(error.to_string());
            RunState::Failed
        }
    };
    report.ended = Some(now());
    let written = folder.write_report(&report).and_then(|()| {
        let state = diptych_config::Choice::text(report.state);
        let reason = report.error.as_ref().map_or(String::new(), |error| format!(": {error}"));
        folder.log(&format!("{state} at step {}{reason}", report.step))
    });
    // A run that failed is reported with its own error, not with one of writing it down.
    let outcome = outcome?;
    written?;
    Ok(outcome)
}

fn open_source(config: &RunConfig) -> Result<Arc<dyn Source>> {
    let source = config.data.open()?;
    let (images, batch) = (source.len(), config.loader.batch_size as usize);
    if images < batch {
        return Err(Error::Unfit(format!(
            "{} holds {images} images, fewer than loader.batch_size = {batch}; lower the batch size or give more images",
            config.data.source.path.display()
        )));
    }
    let reads_labels = |loss: &&LossConfig| loss.loss.component.flags() & LOSS_READS_LABELS != 0;
    if let (None, Some(loss)) = (source.classes(), config.losses.iter().find(reads_labels)) {
        return Err(Error::Unfit(format!(
            "the loss {:?} reads labels, and {} has none; give data with labels, as in one folder per class, or use a loss without",
            loss.loss.component.id(),
            config.data.source.path.display()
        )));
    }
    Ok(source)
}

/// What an earlier run left in a folder.
struct Earlier {
    /// Of `run.json`; none when that is missing or damaged.
    begun: Option<Begun>,
    /// The latest checkpoint.
    checkpoint: Option<PathBuf>,
    /// What changed its numbers, as [`RunConfig::effective`].
    effective: toml::Table,
}

impl Earlier {
    /// Without a checkpoint the run begins again, with `plugins` as they are now.
    fn find(out: &Path, checkpoints: &Checkpoints, plugins: &toml::Value) -> Result<Option<Earlier>> {
        let (begun, checkpoint) = (Begun::read(out), checkpoints.latest());
        let effective = match (&checkpoint, &begun) {
            (Some(checkpoint), _) => State::read_config(checkpoint)?,
            (None, Some(begun)) => {
                config::effective(run_folder::read_config(out)?, &begun.data_identity, plugins.clone())
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Earlier { begun, checkpoint, effective }))
    }

    /// It failed before there was anything to keep.
    fn came_to_nothing(&self) -> bool {
        let state = self.begun.as_ref().map(|begun| begun.state);
        self.checkpoint.is_none() && state == Some(RunState::Failed)
    }
}

/// Refuses a folder that holds another run, or this one without `resume`. Answers where a run stands that is over already.
fn check_folder(
    out: &Path,
    earlier: Option<&Earlier>,
    effective: &toml::Table,
    resume: bool,
) -> Result<Option<State>> {
    let Some(earlier) = earlier else {
        let message = format!("{} holds a damaged run; choose another folder with --out", out.display());
        return if out.join("metrics.jsonl").exists() { Err(Error::RunExists(message)) } else { Ok(None) };
    };
    if earlier.came_to_nothing() {
        return Ok(None);
    }
    let differences = diptych_config::differences(&earlier.effective, effective);
    if !differences.is_empty() {
        let line = |(key, old, new)| format!("  {key}: {old} in the run, {new} now");
        let differences = differences.into_iter().map(line).collect();
        return Err(Error::OtherConfiguration { folder: out.to_path_buf(), differences });
    }
    let is_over = earlier.begun.as_ref().is_some_and(Begun::is_over);
    if !resume {
        let what = match is_over {
            true => "finished: there is nothing to do",
            false => "unfinished: continue it with --resume",
        };
        return Err(Error::RunExists(format!(
            "{} holds this very run, {what}, or choose another folder with --out",
            out.display()
        )));
    }
    match &earlier.checkpoint {
        Some(checkpoint) if is_over => Ok(Some(State::read(checkpoint)?)),
        _ => Ok(None),
    }
}
