//! The network whose features are judged: a run's encoder and, where projections are asked for, its projector.

use std::path::{Path, PathBuf};

use diptych_config::{Choice, Document};
use diptych_host::Registry;
use tch::{Device, Tensor};

use crate::checkpoint::{Checkpoints, State, restore};
use crate::config::{InitialWeights, Layer, NetworkRole, RunConfig, TargetKind};
use crate::device::DeviceName;
use crate::method::{Branch, Variable};
use crate::run_folder::Begun;
use crate::{Error, Result, compose};

/// Which features of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub role: NetworkRole,
    pub layer: Layer,
    /// The weights that the run started from instead of the trained ones.
    pub random_init: bool,
}

/// A run that is judged.
pub(crate) struct JudgedRun {
    pub config: RunConfig,
    pub fingerprint: String,
    pub wanted: Wanted,
    /// Optimizer steps that the weights were trained for.
    pub step: u64,
    pub device: Device,
    /// None for the weights that the run started from.
    model: Option<PathBuf>,
}

/// Features of images, in training or evaluation mode.
pub(crate) struct Network {
    branch: Branch,
    layer: Layer,
    /// Width of the features.
    pub width: i64,
}

impl JudgedRun {
    /// Looks for the run in `folder`, and sets up the process for computing. `device` instead of the run's own.
    pub fn open(
        folder: &Path,
        registry: &Registry,
        wanted: Wanted,
        device: Option<DeviceName>,
    ) -> Result<JudgedRun> {
        let begun = Begun::require(folder)?;
        let config = RunConfig::read(&Document::load(&folder.join("config.toml"), &[])?, registry)?;
        if wanted.role == NetworkRole::Target
            && !matches!(config.target.kind, TargetKind::Ema | TargetKind::Fixed)
        {
            let message = format!(
                "{} has no target network (target.kind = {:?}); judge the network \"online\"",
                folder.display(),
                config.target.kind.text()
            );
            return Err(Error::Unfit(message));
        }
        let device = device.unwrap_or(config.device).open()?;
        compose::prepare_process(if config.threads == 0 { begun.threads } else { config.threads });
        let (mut step, mut model) = (0, None);
        if !wanted.random_init {
            let latest = Checkpoints::of_run(folder).require_latest(folder)?;
            step = State::read(&latest)?.step;
            model = Some(latest.join("model.safetensors"));
        }
        Ok(JudgedRun { config, fingerprint: begun.fingerprint, wanted, step, device, model })
    }

    /// The network, with the run's weights each time anew.
    pub fn network(&self) -> Result<Network> {
        let target = self.wanted.role == NetworkRole::Target;
        let shared = self.config.target.initial_weights == InitialWeights::Shared;
        // A target that starts from the online network's weights has none of its own.
        let role = if target && !shared { "target" } else { "online" };
        let branch = if self.model.is_none() && role == "online" {
            compose::starting_branch(&self.config, self.device)?
        } else {
            compose::branch(&self.config, role, self.device)?
        };
        let layer = self.wanted.layer;
        let width = match layer {
            Layer::Embedding => branch.encoder.feature_count(),
            Layer::Projection => i64::from(self.config.projector.width()),
        };
        let mut network = Network { branch, layer, width };
        if let Some(model) = &self.model {
            let prefix = if target { "target." } else { "" };
            let variables = network.variables()?.into_iter();
            let mut tensors: Vec<_> =
                variables.map(|variable| (format!("{prefix}{}", variable.name), variable.tensor)).collect();
            restore(model, &mut tensors)?;
        }
        Ok(network)
    }
}

impl Network {
    /// Float images [batch, 3, rows, columns] to features [batch, width].
    pub fn forward(&mut self, images: &Tensor, training: bool) -> Result<Tensor> {
        let embedding = self.branch.encoder.forward(images, training)?;
        match self.layer {
            Layer::Embedding => Ok(embedding),
            Layer::Projection => self.branch.projector.forward(&embedding, training),
        }
    }

    /// What the features depend on: `encoder.*`, and with projections `projector.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = self.branch.variables()?;
        if self.layer == Layer::Embedding {
            variables.retain(|variable| variable.name.starts_with("encoder."));
        }
        Ok(variables)
    }
}
