//! The two networks that are probed: of the checkpoint, and as the run started.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::checkpoint::{Checkpoints, State, restore};
use crate::config::RunConfig;
use crate::method::Branch;
use crate::{Result, compose};

/// Both, of one shape.
pub(super) struct Networks {
    /// Of the checkpoint.
    pub trained: Network,
    /// With the weights that the run started from: random ones, unless it was given a file.
    pub untrained: Network,
}

/// An encoder and its projector, which nothing trains any more.
pub(super) struct Network(Branch);

/// Float [batch, width] each.
pub(super) struct Vectors {
    /// y.
    pub embedding: Tensor,
    /// z.
    pub projection: Tensor,
}

impl Networks {
    /// Of the run in the folder `run`. Also answers the checkpoint's step.
    pub fn load(run: &Path, config: &RunConfig, device: Device) -> Result<(Networks, u64)> {
        let latest = Checkpoints::of_run(run).require_latest(run)?;
        let mut trained = compose::branch(config, "online", device)?;
        let variables = trained.variables()?.into_iter();
        let mut tensors: Vec<_> = variables.map(|variable| (variable.name, variable.tensor)).collect();
        restore(&latest.join("model.safetensors"), &mut tensors)?;
        let untrained = Network(compose::starting_branch(config, device)?);
        Ok((Networks { trained: Network(trained), untrained }, State::read(&latest)?.step))
    }
}

impl Network {
    /// Of normalised images, in evaluation mode and without gradient.
    pub fn forward(&mut self, images: &Tensor) -> Result<Vectors> {
        let _no_gradient = tch::no_grad_guard();
        let embedding = self.0.encoder.forward(images, false)?;
        let projection = self.0.projector.forward(&embedding, false)?;
        Ok(Vectors {
            embedding: embedding.f_to_kind(Kind::Float)?,
            projection: projection.f_to_kind(Kind::Float)?,
        })
    }
}
