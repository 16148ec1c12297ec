//! What convolutional networks normalise with: batch norm, group norm with weight standardisation, or nothing.
//!
//! Names are batch norm's whatever is chosen (`bn1.weight`, `bn1.bias`); only batch norm has running statistics.

use diptych_sdk::Choice;
use diptych_sdk_tensor::layers::{BatchNorm, Conv2d, GroupNorm};
use diptych_sdk_tensor::{Error, Initial, Role, Variables};
use tch::Tensor;

/// Groups of a group norm, as Richemond et al. 2020.
pub(crate) const GROUPS: i64 = 16;

/// Which norm.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Ioffe and Szegedy 2015.
    BatchNorm,
    /// A trained scale and shift per channel alone.
    None,
    /// Wu and He 2018, and weight standardisation in the convolutions.
    GroupNorm,
}

impl NormKind {
    /// A convolution as this norm wants it, padded so that stride 1 keeps the size.
    pub(crate) fn convolution(
        self,
        variables: &mut Variables,
        name: &str,
        channels: [i64; 2],
        kernel: i64,
        stride: i64,
    ) -> Result<Conv2d, Error> {
        let conv = Conv2d::new(variables, name, channels, kernel, stride, kernel / 2)?;
        Ok(if self == NormKind::GroupNorm { conv.standardized() } else { conv })
    }
}

/// What a pass through the network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Batch statistics, which also move the running ones.
    Training,
    /// Running statistics.
    Evaluation,
    /// As training; scales and shifts without norm become what a batch norm does to this batch.
    Measure,
}

/// A norm of a layer.
pub(crate) enum Norm {
    Batch(BatchNorm),
    Group(GroupNorm),
    Affine(Affine),
}

impl Norm {
    /// Makes the variables `name.*`; `scale` is where the weight starts.
    pub(crate) fn new(
        variables: &mut Variables,
        name: &str,
        kind: NormKind,
        channels: i64,
        scale: f64,
    ) -> Result<Self, Error> {
        Ok(match kind {
            NormKind::BatchNorm => Norm::Batch(BatchNorm::new(variables, name, channels, scale)?),
            NormKind::GroupNorm => Norm::Group(GroupNorm::new(variables, name, channels, GROUPS, scale)?),
            NormKind::None => Norm::Affine(Affine::new(variables, name, channels, scale)?),
        })
    }

    /// [batch, channels, rows, columns] to the same shape.
    pub(crate) fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        match self {
            Norm::Batch(norm) => norm.forward(input, mode != Mode::Evaluation),
            Norm::Group(norm) => norm.forward(input),
            Norm::Affine(affine) => {
                if mode == Mode::Measure {
                    affine.measure(input)?;
                }
                affine.forward(input)
            }
        }
    }
}

/// x weight + bias, per channel.
pub(crate) struct Affine {
    /// [1, channels, 1, 1], the storage of the variable [channels].
    weight: Tensor,
    bias: Tensor,
}

impl Affine {
    fn new(variables: &mut Variables, name: &str, channels: i64, scale: f64) -> Result<Self, Error> {
        variables.within(name, |variables| {
            let mut make =
                |name, role, value| variables.make(name, role, Initial::Constant(value), &[channels]);
            Ok(Affine {
                weight: make("weight", Role::NormScale, scale)?,
                bias: make("bias", Role::NormShift, 0.0)?,
            })
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let [weight, bias] = [&self.weight, &self.bias].map(|tensor| tensor.f_view([1, -1, 1, 1]));
        Ok(input.f_mul(&weight?)?.f_add_(&bias?)?)
    }

    /// Weight and bias become weight / sqrt(variance + 1e-5) and bias - mean weight / sqrt(variance + 1e-5), mean and
    /// variance of `input` per channel: what a batch norm computes on it, as a scale and a shift.
    fn measure(&self, input: &Tensor) -> Result<(), Error> {
        let (variance, mean) = input.f_var_mean_dim([0, 2, 3].as_slice(), false, false)?;
        let weight = self.weight.f_mul(&variance.f_add_scalar(1e-5)?.f_rsqrt()?)?;
        let bias = self.bias.f_sub(&weight.f_mul(&mean)?)?;
        self.weight.shallow_clone().f_copy_(&weight)?;
        self.bias.shallow_clone().f_copy_(&bias)?;
        Ok(())
    }
}
