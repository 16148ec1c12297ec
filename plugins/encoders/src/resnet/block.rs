//! Residual blocks: x + F(x), where F is two or three convolutions and x is projected where its shape differs.
//!
//! - v1.5 (torchvision): relu(x + F(x)), F = conv, norm, relu, ..., conv, norm; a projection is a convolution and a norm.
//! - v2 (He et al. 2016b, as in BYOL's code and timm's `resnetv2`): x + F(x), F = norm, relu, conv, ..., norm, relu, conv. A
//!   projection is a convolution alone, and takes x after the block's first norm and ReLU.

use diptych_sdk::Choice;
use diptych_sdk_tensor::layers::Conv2d;
use diptych_sdk_tensor::{Error, Variables};
use tch::Tensor;

use crate::norm::{Mode, Norm, NormKind};

/// Order of a block's layers.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Norms follow convolutions.
    #[choice("v1.5")]
    V1,
    /// Norms precede convolutions.
    V2,
}

/// The convolutions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Two 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 to four times the channels.
    Bottleneck,
}

/// Channels, stride and layers of one block.
pub(super) struct BlockShape {
    pub kind: Kind,
    pub version: Version,
    pub norm: NormKind,
    pub inputs: i64,
    pub inner: i64,
    pub stride: i64,
    /// Where the scale of the last norm starts.
    pub last_scale: f64,
}

impl BlockShape {
    pub(super) fn outputs(&self) -> i64 {
        match self.kind {
            Kind::Basic => self.inner,
            Kind::Bottleneck => 4 * self.inner,
        }
    }

    /// Channels, kernel and stride of each convolution.
    fn convolutions(&self) -> Vec<([i64; 2], i64, i64)> {
        let BlockShape { inputs, inner, stride, .. } = *self;
        match self.kind {
            Kind::Basic => vec![([inputs, inner], 3, stride), ([inner, inner], 3, 1)],
            Kind::Bottleneck => {
                vec![([inputs, inner], 1, 1), ([inner, inner], 3, stride), ([inner, 4 * inner], 1, 1)]
            }
        }
    }
}

/// One block.
pub(super) struct Block {
    version: Version,
    residual: Vec<(Conv2d, Norm)>,
    projection: Option<(Conv2d, Option<Norm>)>,
}

impl Block {
    pub(super) fn new(variables: &mut Variables, shape: &BlockShape) -> Result<Self, Error> {
        let norm = shape.norm;
        let layers = shape.convolutions();
        let count = layers.len();
        let mut residual = Vec::new();
        for (number, (channels, kernel, stride)) in (1..).zip(layers) {
            let (conv_name, norm_name) = (format!("conv{number}"), format!("bn{number}"));
            residual.push(match shape.version {
                Version::V1 => {
                    let scale = if number == count { shape.last_scale } else { 1.0 };
                    let conv = norm.convolution(variables, &conv_name, channels, kernel, stride)?;
                    (conv, Norm::new(variables, &norm_name, norm, channels[1], scale)?)
                }
                Version::V2 => {
                    let before = Norm::new(variables, &norm_name, norm, channels[0], 1.0)?;
                    (norm.convolution(variables, &conv_name, channels, kernel, stride)?, before)
                }
            });
        }
        let outputs = shape.outputs();
        let projection = (shape.stride != 1 || shape.inputs != outputs).then(|| {
            variables.within("downsample", |variables| {
                let conv = norm.convolution(variables, "0", [shape.inputs, outputs], 1, shape.stride)?;
                let after = match shape.version {
                    Version::V1 => Some(Norm::new(variables, "1", norm, outputs, 1.0)?),
                    Version::V2 => None,
                };
                Ok((conv, after))
            })
        });
        Ok(Block { version: shape.version, residual, projection: projection.transpose()? })
    }

    pub(super) fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        match self.version {
            Version::V1 => self.forward_v1(input, mode),
            Version::V2 => self.forward_v2(input, mode),
        }
    }

    fn forward_v1(&self, input: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        let mut x = input.shallow_clone();
        for (index, (conv, norm)) in self.residual.iter().enumerate() {
            x = norm.forward(&conv.forward(&x)?, mode)?;
            if index + 1 < self.residual.len() {
                x = x.f_relu_()?;
            }
        }
        Ok(x.f_add_(&self.skipped(input, input, mode)?)?.f_relu_()?)
    }

    fn forward_v2(&self, input: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        let mut x = input.shallow_clone();
        let mut skipped = None;
        for (conv, norm) in &self.residual {
            let activated = norm.forward(&x, mode)?.f_relu_()?;
            if skipped.is_none() {
                skipped = Some(self.skipped(input, &activated, mode)?);
            }
            x = conv.forward(&activated)?;
        }
        Ok(match skipped {
            Some(skipped) => x.f_add_(&skipped)?,
            None => x,
        })
    }

    /// `input`, or the projection of `projected` where the block changes its shape.
    fn skipped(&self, input: &Tensor, projected: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        Ok(match &self.projection {
            None => input.shallow_clone(),
            Some((conv, None)) => conv.forward(projected)?,
            Some((conv, Some(norm))) => norm.forward(&conv.forward(projected)?, mode)?,
        })
    }
}
