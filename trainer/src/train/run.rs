//! The steps of a run.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use diptych_config::Choice;
use diptych_pipeline::{Cursor, Loader, Source};
use tch::{Device, Tensor};

use super::{Summary, TrainOptions};
use crate::checkpoint::{self, Checkpoints, State};
use crate::config::{InitialWeights, MomentumSchedule, RunConfig, TargetKind};
use crate::diagnostics::{Diagnostics, Spread, Verdict, neighbour_accuracy};
use crate::method::{Method, StepOutputs};
use crate::metrics::{self, MetricsWriter, Record};
use crate::prefetch::{DeviceBatch, Feed, memory};
use crate::progress::Progress;
use crate::run_folder::{RunFolder, RunReport};
use crate::step::{self, Passage};
use crate::update::Update;
use crate::views::ViewsFile;
use crate::weights::Weights;
use crate::{Error, Result, compose, schedule};

/// How the steps of a run ended.
pub(super) enum Ended {
    /// All are done.
    Done,
    /// It had collapsed for as long as its policy allows.
    Collapsed,
    /// The stop flag was raised.
    Stopped,
}

/// A run in the making.
pub(super) struct Run<'a> {
    config: &'a RunConfig,
    method: Method,
    update: Update,
    feed: Feed,
    metrics: MetricsWriter,
    progress: Progress,
    checkpoints: Checkpoints,
    effective: toml::Table,
    state: State,
    plan: Plan,
    clock: Clock,
    last: Option<Record>,
    /// Of the data, where it has labels.
    classes: Option<i64>,
    /// On the weights that the run starts from.
    note: Option<String>,
    views: ViewsFile,
}

/// Lengths in optimizer steps.
struct Plan {
    steps: u64,
    warmup: u64,
    checkpoint_every: u64,
    batches_per_epoch: u64,
    learning_rate: f64,
}

/// Where the time since the last logged step went.
struct Clock {
    began: Instant,
    seconds_before: f64,
    line: Instant,
    images: usize,
    all_images: usize,
}

impl<'a> Run<'a> {
    pub(super) fn prepare(
        config: &'a RunConfig,
        device: Device,
        source: Arc<dyn Source>,
        checkpoints: Checkpoints,
        effective: toml::Table,
        out: &Path,
        options: TrainOptions,
    ) -> Result<Run<'a>> {
        let classes = source.classes().map(<[String]>::len);
        // A checkpoint has other weights, and the file may be gone.
        let weights = config.weights.as_ref().filter(|_| checkpoints.latest().is_none());
        let weights = weights.map(Weights::read).transpose()?;
        let mut method = compose::method(config, classes, weights.as_ref(), device)?;
        let note = match &weights {
            Some(weights) => Some(note(config, weights, &mut method)?),
            None => None,
        };
        let update = Update::new(config, &mut method)?;
        let state = match checkpoints.latest() {
            Some(latest) => {
                let state = State::read(&latest)?;
                checkpoint::restore(&latest.join("model.safetensors"), &mut named(&mut method)?)?;
                checkpoint::restore(&latest.join("optimizer.safetensors"), &mut update.state())?;
                if let Some(probe) = &mut method.probe {
                    probe.set_counts(state.probe_right, state.probe_seen);
                }
                state
            }
            None => State::default(),
        };
        let loader = start_loader(config, source, &state, device)?;
        let batches_per_epoch = loader.batches_per_epoch();
        let steps_per_epoch = config.steps_per_epoch(batches_per_epoch);
        let plan = Plan {
            steps: config.schedule.length.steps(steps_per_epoch).max(1),
            warmup: config.schedule.warmup.steps(steps_per_epoch),
            checkpoint_every: config.checkpoint.every.steps(steps_per_epoch).max(1),
            batches_per_epoch,
            learning_rate: config.optimizer.scaled_learning_rate(config.loader.batch_size),
        };
        Ok(Run {
            config,
            method,
            update,
            feed: Feed::start(loader, &config.input, device)?,
            metrics: MetricsWriter::open(out, state.step)?,
            progress: Progress::new(state.step, plan.steps, options.quiet),
            checkpoints,
            effective,
            clock: Clock {
                began: Instant::now(),
                seconds_before: state.seconds,
                line: Instant::now(),
                images: 0,
                all_images: 0,
            },
            state,
            plan,
            last: None,
            classes: classes.map(|classes| classes as i64),
            note,
            views: ViewsFile::of_run(out),
        })
    }

    /// Steps until the end, and leaves a checkpoint of it.
    pub(super) fn steps(&mut self, folder: &mut RunFolder, stop: &AtomicBool) -> Result<Ended> {
        let Plan { steps, batches_per_epoch, .. } = self.plan;
        folder.log(&format!(
            "from step {} to {steps}, {batches_per_epoch} batches per epoch",
            self.state.step
        ))?;
        if let Some(note) = self.note.take() {
            folder.log(&note)?;
            self.progress.say(&note);
        }
        if self.plan.warmup >= steps {
            let message = format!(
                "the warm-up of {} steps is as long as the run of {steps}: the learning rate never reaches its top",
                self.plan.warmup
            );
            folder.log(&message)?;
            self.progress.say(&message);
        }
        let ended = loop {
            if self.state.step >= steps {
                break Ended::Done;
            }
            if self.has_collapsed_for_good() {
                break Ended::Collapsed;
            }
            if stop.load(Ordering::Relaxed) {
                break Ended::Stopped;
            }
            self.step(folder)?;
            if self.state.step.is_multiple_of(self.plan.checkpoint_every) && self.state.step < steps {
                self.write_checkpoint()?;
            }
        };
        self.write_checkpoint()?;
        self.progress.finish();
        Ok(ended)
    }

    fn has_collapsed_for_good(&self) -> bool {
        let Some(patience) = self.config.diagnostics.patience else { return false };
        self.state.collapsed_since.is_some_and(|since| self.state.step - since >= patience.steps)
    }

    fn next_batch(&mut self, folder: &mut RunFolder) -> Result<DeviceBatch> {
        let Some(batch) = self.feed.next() else {
            return Err(Error::Unfit("the data ended before the run did".into()));
        };
        let batch = batch?;
        for skipped in &batch.skipped {
            folder.log(&format!("skipped {skipped}"))?;
            self.progress.say(&format!("skipped {skipped}"));
        }
        (self.state.epoch, self.state.batch) = (batch.epoch, batch.index + 1);
        if self.state.batch == self.plan.batches_per_epoch {
            (self.state.epoch, self.state.batch) = (batch.epoch + 1, 0);
        }
        self.clock.images += batch.samples;
        self.clock.all_images += batch.samples;
        Ok(batch)
    }

    /// Forward and backward pass on a micro-batch, which adds its share to the gradients.
    fn accumulate(&mut self, micro_batch: u32, folder: &mut RunFolder) -> Result<StepOutputs> {
        let batch = self.next_batch(folder)?;
        self.views.note(&batch.views, &self.config.input)?;
        let passage = Passage {
            seed: self.config.seed,
            step: self.state.step,
            steps: self.plan.steps,
            micro_batch,
            micro_batches: self.config.optimizer.micro_batches,
        };
        step::accumulate(&mut self.method, &batch.views, batch.labels.as_ref(), passage)
    }

    /// One optimizer step. Of several micro-batches the last one's outputs are logged, with the mean of their losses.
    fn step(&mut self, folder: &mut RunFolder) -> Result<()> {
        let Plan { steps, warmup, learning_rate, .. } = self.plan;
        let step = self.state.step;
        let mut outputs = self.accumulate(0, folder)?;
        for done in 1..self.config.optimizer.micro_batches {
            let earlier = outputs.loss.detach();
            outputs = self.accumulate(done, folder)?;
            let mean = tch::no_grad(|| earlier.f_lerp(&outputs.loss, 1.0 / f64::from(done + 1)))?;
            outputs.loss = mean;
        }
        let rate = schedule::learning_rate(&self.config.schedule, learning_rate, warmup, steps, step);
        let momentum = self.target_momentum(step);
        step::finish(&mut self.method, &mut self.update, rate, momentum)?;

        self.state.step += 1;
        self.progress.step(self.state.step);
        if self.state.first_loss.is_none() {
            self.state.first_loss = Some(self.finite(&outputs.loss)?);
            // The outputs are of the weights before this step.
            self.state.untrained_neighbour_accuracy = self.neighbour_accuracy(&outputs);
        }
        let step = self.state.step;
        let is_logged = step.is_multiple_of(self.config.log_every_steps) || step == steps;
        let patience = self.config.diagnostics.patience;
        let counts = patience.is_some_and(|patience| step.is_multiple_of(patience.every_steps));
        if is_logged || counts {
            let loss = self.finite(&outputs.loss)?;
            let diagnostics = Diagnostics::of(&self.method.networks, &outputs.views)?;
            let verdict = self.judge(&diagnostics.projection, loss, folder)?;
            if counts {
                let since = self.state.collapsed_since.unwrap_or(step);
                self.state.collapsed_since = (verdict == Verdict::Collapsed).then_some(since);
            }
            if is_logged {
                self.log_step(&outputs, loss, &diagnostics, rate, momentum)?;
            }
        }
        Ok(())
    }

    /// The verdict on the step that was just done; a new one is told.
    fn judge(&mut self, spread: &Spread, loss: f64, folder: &mut RunFolder) -> Result<Verdict> {
        let verdict = Verdict::of(spread, self.state.first_loss.unwrap_or(loss), loss);
        if verdict != self.state.verdict {
            self.state.verdict = verdict;
            let message = format!(
                "{} at step {}: the loss is {loss:.4}, z-std {:.3}, the effective rank {:.1} of {}",
                verdict.text(),
                self.state.step,
                spread.std,
                spread.effective_rank,
                spread.rank_limit
            );
            folder.log(&message)?;
            self.progress.say(&message);
        }
        Ok(verdict)
    }

    fn target_momentum(&self, step: u64) -> Option<f64> {
        let target = &self.config.target;
        (target.kind == TargetKind::Ema).then(|| match target.momentum_schedule {
            MomentumSchedule::Cosine => schedule::target_momentum(target.momentum, step, self.plan.steps),
            MomentumSchedule::Constant => target.momentum,
        })
    }

    fn neighbour_accuracy(&self, outputs: &StepOutputs) -> Option<f64> {
        let (labels, classes) = (outputs.labels.as_ref()?, self.classes?);
        let [first, second, ..] = &outputs.views[..] else { return None };
        Some(neighbour_accuracy(&first.embedding, &second.embedding, labels, classes))
    }

    fn finite(&self, loss: &Tensor) -> Result<f64> {
        let loss = loss.f_double_value(&[])?;
        if loss.is_finite() { Ok(loss) } else { Err(self.not_finite(format!("the loss is {loss}"))) }
    }

    /// Of the step that was just done.
    fn not_finite(&self, what: String) -> Error {
        Error::NotFinite { step: self.state.step - 1, what }
    }

    fn log_step(
        &mut self,
        outputs: &StepOutputs,
        loss: f64,
        diagnostics: &Diagnostics,
        learning_rate: f64,
        momentum: Option<f64>,
    ) -> Result<()> {
        let mut record = Record { step: self.state.step, ..Record::default() };
        let batches = self.state.step * u64::from(self.config.optimizer.micro_batches);
        record.push(metrics::EPOCH, batches as f64 / self.plan.batches_per_epoch as f64);
        record.push(metrics::LOSS, loss);
        record.push(metrics::LEARNING_RATE, learning_rate);
        if let Some(norm) = self.update.gradient_norm() {
            record.push(metrics::GRADIENT_NORM, norm.f_double_value(&[])?);
        }
        if let Some(momentum) = momentum {
            record.push(metrics::TARGET_MOMENTUM, momentum);
        }
        let elapsed = self.clock.line.elapsed().as_secs_f64().max(1e-9);
        let flow = self.feed.take_flow();
        record.push(metrics::IMAGES_PER_SECOND, self.clock.images as f64 / elapsed);
        record.push(metrics::WAIT_FRACTION, (flow.waited.as_secs_f64() / elapsed).min(1.0));
        record.push(metrics::QUEUE_BATCHES, flow.ready_batches);
        record.push(metrics::LOADER_WAIT_FRACTION, flow.full_fraction);
        (self.clock.line, self.clock.images) = (Instant::now(), 0);
        diagnostics.record(&mut record);
        record.push(metrics::COLLAPSING, self.state.verdict.number());
        if let Some(accuracy) = self.neighbour_accuracy(outputs) {
            record.push(metrics::NEIGHBOUR_ACCURACY, accuracy);
            if let Some(untrained) = self.state.untrained_neighbour_accuracy {
                record.push(metrics::UNTRAINED_NEIGHBOUR_ACCURACY, untrained);
            }
        }
        for (name, figure) in &outputs.figures {
            record.push(name.clone(), figure.f_double_value(&[])?);
        }
        if let (Some(probe), Some(probe_loss)) = (&mut self.method.probe, &outputs.probe_loss) {
            record.push(metrics::PROBE_LOSS, probe_loss.f_double_value(&[])?);
            if let Some(accuracy) = probe.take_accuracy() {
                record.push(metrics::PROBE_ACCURACY, accuracy);
            }
        }
        self.metrics.write(&record)?;
        self.progress.record(&record);
        self.last = Some(record);
        Ok(())
    }

    fn write_checkpoint(&mut self) -> Result<()> {
        self.state.seconds = self.seconds();
        if let Some(probe) = &self.method.probe {
            (self.state.probe_right, self.state.probe_seen) = probe.counts();
        }
        let model = named(&mut self.method)?;
        // A checkpoint of such weights would take the place of a good one.
        for (name, tensor) in &model {
            if !all_finite(tensor)? {
                return Err(self.not_finite(format!("{name} is not finite")));
            }
        }
        self.checkpoints.write(&self.state, &model, &self.update.state(), &self.effective)
    }

    fn seconds(&self) -> f64 {
        self.clock.seconds_before + self.clock.began.elapsed().as_secs_f64()
    }

    pub(super) fn fill(&self, report: &mut RunReport) {
        report.verdict = self.state.verdict;
        report.step = self.state.step;
        report.steps = self.plan.steps;
        report.seconds = self.seconds();
        let here = self.clock.began.elapsed().as_secs_f64().max(1e-9);
        report.images_per_second = self.clock.all_images as f64 / here;
    }

    /// Waits for the picture of the views, stops the loader, and logs what each of its stages did.
    pub(super) fn close(self, folder: &mut RunFolder) -> Result<()> {
        if let Err(error) = self.views.finish() {
            folder.log(&format!("no picture of the views: {error}"))?;
        }
        let counters = self.feed.finish()?.counters;
        counters.to_string().lines().try_for_each(|line| folder.log(line))
    }

    pub(super) fn summary(&self, fingerprint: String) -> Summary {
        Summary {
            step: self.state.step,
            steps: self.plan.steps,
            seconds: self.seconds(),
            last: self.last.clone(),
            fingerprint,
        }
    }
}

/// Every variable under its checkpoint name.
fn named(method: &mut Method) -> Result<Vec<(String, Tensor)>> {
    Ok(method.variables()?.into_iter().map(|variable| (variable.name, variable.tensor)).collect())
}

/// What the networks took over from a file.
fn note(config: &RunConfig, weights: &Weights, method: &mut Method) -> Result<String> {
    let mut note = weights.note(&method.networks.online.encoder.variables()?);
    let target = &config.target;
    if matches!(target.kind, TargetKind::Ema | TargetKind::Fixed)
        && target.initial_weights == InitialWeights::Independent
    {
        note.push_str(
            "; the target's starts from draws of its own, as target.initial_weights = \"independent\" says",
        );
    }
    Ok(note)
}

fn all_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? != 0)
}

fn start_loader(
    config: &RunConfig,
    source: Arc<dyn Source>,
    state: &State,
    device: Device,
) -> Result<Loader> {
    let options = config.loader_options(Cursor { epoch: state.epoch, batch: state.batch });
    Ok(Loader::start(source, &config.views, options, memory(device))?)
}
