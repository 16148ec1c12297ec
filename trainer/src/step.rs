//! One optimizer step: forward and backward over one batch or several micro-batches, then the update of weights and target.
//! Runs and benchmarks do this same one.

use diptych_pipeline::random;
use tch::Tensor;

use crate::Result;
use crate::method::{Method, StepOutputs};
use crate::update::Update;

/// What a batch is passed with.
#[derive(Clone, Copy)]
pub(crate) struct Passage {
    /// Seed of the run.
    pub seed: u64,
    /// The step's number, from 0.
    pub step: u64,
    /// Planned steps.
    pub steps: u64,
    /// Number of the batch within the step, from 0.
    pub micro_batch: u32,
    /// Batches of the step, whose gradients are averaged.
    pub micro_batches: u32,
}

/// Keys what networks draw while they are trained, dropout for one: libtorch's own generator would go on from one batch to the next,
/// and a resumed run would draw otherwise.
pub(crate) fn seed_networks(seed: u64, step: u64, micro_batch: u32) {
    tch::manual_seed(random::seed(seed, &format!("networks/{step}/{micro_batch}")) as i64);
}

/// Passes one batch forward and backward: `views` are float [batch, 3, rows, columns] each, `labels` int64 [batch], where the data
/// has them. Its gradients are added to those of the step's earlier batches.
pub(crate) fn accumulate(
    method: &mut Method,
    views: &[Tensor],
    labels: Option<&Tensor>,
    passage: Passage,
) -> Result<StepOutputs> {
    seed_networks(passage.seed, passage.step, passage.micro_batch);
    let outputs = method.forward(views, labels, passage.step, passage.steps)?;
    let total = match &outputs.probe_loss {
        Some(probe) => outputs.loss.f_add(probe)?,
        None => outputs.loss.shallow_clone(),
    };
    match passage.micro_batches {
        1 => total.f_backward()?,
        count => total.f_mul_scalar(1.0 / f64::from(count))?.f_backward()?,
    }
    Ok(outputs)
}

/// Steps the weights along what was accumulated, then moves an `ema` target, by its tau.
pub(crate) fn finish(
    method: &mut Method,
    update: &mut Update,
    learning_rate: f64,
    target_momentum: Option<f64>,
) -> Result<()> {
    update.step(learning_rate)?;
    match target_momentum {
        Some(momentum) => method.networks.update_target(momentum),
        None => Ok(()),
    }
}
