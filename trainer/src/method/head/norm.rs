//! What a head normalises with.

use tch::{Device, Kind, Tensor};

use super::config::{HiddenNorm, OutputNorm};
use super::{buffer, trainable};
use crate::Result;
use crate::method::variable::Variable;

/// Groups of a group norm, as encoders have them.
pub(super) const GROUPS: i64 = 16;

/// What is added to a variance, by every norm here.
pub(super) const EPSILON: f64 = 1e-5;

/// A norm over vectors.
pub(super) enum Norm {
    Batch(BatchNorm),
    Group(GroupNorm),
}

/// Decay 0.9, as BYOL.
pub(super) struct BatchNorm {
    scale: Option<Tensor>,
    shift: Option<Tensor>,
    running_mean: Tensor,
    running_var: Tensor,
}

/// Of each vector by itself; with one group a layer norm.
pub(super) struct GroupNorm {
    groups: i64,
    scale: Tensor,
    shift: Tensor,
}

impl Norm {
    /// What follows a hidden layer of `width`; none without a norm.
    pub(super) fn hidden(norm: HiddenNorm, width: i64, device: Device) -> Result<Option<Norm>> {
        Ok(match norm {
            HiddenNorm::BatchNorm => Some(Norm::Batch(BatchNorm::new(width, true, true, device)?)),
            HiddenNorm::GroupNorm => Some(Norm::Group(GroupNorm::new(width, GROUPS, device)?)),
            HiddenNorm::LayerNorm => Some(Norm::Group(GroupNorm::new(width, 1, device)?)),
            HiddenNorm::None => None,
        })
    }

    /// What follows the output layer; none without a norm.
    pub(super) fn output(norm: OutputNorm, width: i64, device: Device) -> Result<Option<Norm>> {
        let (scale, shift) = match norm {
            OutputNorm::None => return Ok(None),
            OutputNorm::BatchNorm => (true, true),
            OutputNorm::BatchNormWithoutShift => (true, false),
            OutputNorm::BatchNormWithoutAffine => (false, false),
        };
        Ok(Some(Norm::Batch(BatchNorm::new(width, scale, shift, device)?)))
    }

    /// [batch, width] to the same shape.
    pub(super) fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        match self {
            Norm::Batch(norm) => norm.forward(x, training),
            Norm::Group(norm) => {
                let (scale, shift) = (Some(&norm.scale), Some(&norm.shift));
                Ok(x.f_group_norm(norm.groups, scale, shift, EPSILON, true)?)
            }
        }
    }

    /// Variables `place.*`, always in the same order.
    pub(super) fn variables(&self, place: &str) -> Vec<Variable> {
        let scale = |scale| trainable(format!("{place}.weight"), scale, false, true);
        let shift = |shift| trainable(format!("{place}.bias"), shift, true, true);
        match self {
            Norm::Batch(norm) => {
                let mut variables: Vec<_> = norm.scale.iter().map(scale).collect();
                variables.extend(norm.shift.iter().map(shift));
                variables.push(buffer(format!("{place}.running_mean"), &norm.running_mean));
                variables.push(buffer(format!("{place}.running_var"), &norm.running_var));
                variables
            }
            Norm::Group(norm) => vec![scale(&norm.scale), shift(&norm.shift)],
        }
    }
}

impl BatchNorm {
    fn new(width: i64, scale: bool, shift: bool, device: Device) -> Result<BatchNorm> {
        Ok(BatchNorm {
            scale: if scale { Some(constant(1.0, width, device)?.set_requires_grad(true)) } else { None },
            shift: if shift { Some(constant(0.0, width, device)?.set_requires_grad(true)) } else { None },
            running_mean: constant(0.0, width, device)?,
            running_var: constant(1.0, width, device)?,
        })
    }

    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        const MOMENTUM: f64 = 0.1;
        let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
        let (scale, shift) = (self.scale.as_ref(), self.shift.as_ref());
        Ok(x.f_batch_norm(scale, shift, mean, var, training, MOMENTUM, EPSILON, true)?)
    }
}

impl GroupNorm {
    fn new(width: i64, groups: i64, device: Device) -> Result<GroupNorm> {
        Ok(GroupNorm {
            groups,
            scale: constant(1.0, width, device)?.set_requires_grad(true),
            shift: constant(0.0, width, device)?.set_requires_grad(true),
        })
    }
}

fn constant(value: f64, width: i64, device: Device) -> Result<Tensor> {
    Ok(Tensor::f_full([width], value, (Kind::Float, device))?)
}
