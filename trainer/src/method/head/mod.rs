//! Projector and predictor: multilayer perceptrons on vectors.
//!
//! Every hidden layer is Linear, norm, ReLU; the output layer is Linear and, by option, a batch norm. BYOL: one
//! hidden layer of 4096 with bias and batch norm, an output of 256 without. Weights are drawn as in BYOL's own code (Haiku's default): normal
//! with deviation 1 / sqrt(inputs), truncated at two deviations; biases are 0, scales 1.
//!
//! With `prototypes` the head ends as DINO's: the output, of unit length, is multiplied with that many prototypes of unit length,
//! so that it answers cosines. Prototypes are part of the head, not of a loss, because an `ema` target then has its own
//! average of them as of every other weight.
//!
//! With `groups` it is that many such heads side by side: each sees an equal part of the input, and their outputs are concatenated.

mod config;
mod norm;
#[cfg(test)]
mod tests;

use diptych_abi::RandomStream;
use tch::{Device, Kind, Tensor};

pub use config::{Activation, HeadConfig, HiddenNorm, Initialization, OutputNorm};
use norm::Norm;

use super::variable::Variable;
use crate::{Error, Result};

enum Layer {
    Linear(Linear),
    Norm(Norm),
    Activation(Activation),
    /// Cosines with the rows of [prototypes, inputs]. Their length does not count, so that they stay of unit length however the
    /// optimizer moves them (weight normalisation with its scale fixed at 1).
    Prototypes(Tensor),
}

struct Linear {
    /// [outputs, inputs].
    weight: Tensor,
    /// [outputs].
    bias: Option<Tensor>,
    /// Whether it computes with (w - mean) / sqrt(variance + 1e-10), mean and variance over each output's inputs (Qiao et al. 2019), as
    /// an encoder's convolutions before a group norm.
    standardized: bool,
}

/// A projector or predictor.
pub struct Head {
    /// Of each group.
    groups: Vec<Perceptron>,
}

/// The layers of one group.
struct Perceptron {
    layers: Vec<Layer>,
    /// With `initialization = "batch_statistics"`.
    start: Option<Start>,
}

/// Whether the first batch has set the hidden layers.
struct Start {
    /// Int64 scalar, 0 or 1: a variable, so that a run that is resumed does not start anew.
    done: Tensor,
    /// What `done` was when it was last read, which waits for its device.
    known: bool,
}

impl Head {
    /// Draws a head on `inputs` features under `seed`, on the CPU, and moves it to `device`.
    ///
    /// # Errors
    /// `inputs` have no equal parts for the groups.
    pub fn new(config: &HeadConfig, inputs: i64, seed: u64, device: Device) -> Result<Head> {
        let mut stream = RandomStream::new([seed as u32, (seed >> 32) as u32]);
        let count = i64::from(config.groups.unwrap_or(1));
        if inputs % count != 0 {
            return Err(Error::Unfit(format!(
                "a head with groups = {count} is given {inputs} features, expected a multiple; choose another number of groups, \
                 or an encoder with other features"
            )));
        }
        let group = |_| Perceptron::new(config, inputs / count, &mut stream, device);
        Ok(Head { groups: (0..count).map(group).collect::<Result<_>>()? })
    }

    /// [batch, inputs] to [batch, outputs]; `training` normalises by the batch's statistics and moves the running ones.
    pub fn forward(&mut self, input: &Tensor, training: bool) -> Result<Tensor> {
        if let [alone] = &mut self.groups[..] {
            return alone.forward(input, training);
        }
        let parts = input.f_chunk(self.groups.len() as i64, 1)?;
        let outputs = self.groups.iter_mut().zip(&parts).map(|(group, part)| group.forward(part, training));
        Ok(Tensor::f_cat(&outputs.collect::<Result<Vec<_>>>()?, 1)?)
    }

    /// All variables, always in the same order: `linear1.weight`, `norm1.running_mean`, ...; of several groups
    /// `group1.linear1.weight` and so on.
    pub fn variables(&self) -> Vec<Variable> {
        if let [alone] = &self.groups[..] {
            return alone.variables();
        }
        let named = (1..).zip(&self.groups).flat_map(|(number, group)| {
            let prefix = format!("group{number}");
            group.variables().into_iter().map(move |variable| variable.prefixed(&prefix))
        });
        named.collect()
    }
}

impl Perceptron {
    fn new(
        config: &HeadConfig,
        inputs: i64,
        stream: &mut RandomStream,
        device: Device,
    ) -> Result<Perceptron> {
        let mut layers = Vec::new();
        let mut width = inputs;
        for hidden in &config.hidden {
            let outputs = i64::from(*hidden);
            let standardized = config.norm == HiddenNorm::GroupNorm;
            let linear = Linear::new([width, outputs], config.hidden_bias, stream, device)?;
            layers.push(Layer::Linear(Linear { standardized, ..linear }));
            layers.extend(Norm::hidden(config.norm, outputs, device)?.map(Layer::Norm));
            layers.push(Layer::Activation(config.activation));
            width = outputs;
        }
        let outputs = i64::from(config.output);
        layers.push(Layer::Linear(Linear::new([width, outputs], config.output_bias, stream, device)?));
        layers.extend(Norm::output(config.output_norm, outputs, device)?.map(Layer::Norm));
        if let Some(prototypes) = config.prototypes {
            layers.push(Layer::Prototypes(weight(outputs, i64::from(prototypes), stream, device)?));
        }
        let start = match config.initialization {
            Initialization::Drawn => None,
            Initialization::BatchStatistics => {
                Some(Start { done: Tensor::f_zeros([], (Kind::Int64, device))?, known: false })
            }
        };
        Ok(Perceptron { layers, start })
    }

    fn forward(&mut self, input: &Tensor, training: bool) -> Result<Tensor> {
        if training {
            self.start_from(input)?;
        }
        let mut x = input.shallow_clone();
        for layer in &self.layers {
            x = layer.forward(&x, training)?;
        }
        Ok(x)
    }

    /// With `initialization = "batch_statistics"`, and before anything was learned: every hidden layer gets the weight w / sqrt(v +
    /// 1e-5) and the bias (b - m) / sqrt(v + 1e-5), mean m and variance v of its outputs over the batch `input`, each after those
    /// before it have theirs.
    fn start_from(&mut self, input: &Tensor) -> Result<()> {
        let Some(start) = self.start.as_mut().filter(|start| !start.known) else { return Ok(()) };
        start.known = true;
        if start.done.int64_value(&[]) == 1 {
            return Ok(());
        }
        if input.size()[0] < 2 {
            let message = "initialization = \"batch_statistics\" found a first batch of 1 sample, expected at least 2: one has no variance";
            return Err(Error::Unfit(message.into()));
        }
        let _no_gradient = tch::no_grad_guard();
        let _ = start.done.f_fill_(1)?;
        let mut x = input.detach();
        for (layer, next) in self.layers.iter().zip(&self.layers[1..]) {
            if let (Layer::Linear(linear), Layer::Activation(_)) = (layer, next) {
                linear.standardize_outputs(&x)?;
            }
            x = layer.forward(&x, true)?;
        }
        Ok(())
    }

    fn variables(&self) -> Vec<Variable> {
        let mut variables = Vec::new();
        let (mut linear, mut norms) = (0, 0);
        for layer in &self.layers {
            match layer {
                Layer::Linear(layer) => {
                    linear += 1;
                    let place = format!("linear{linear}");
                    variables.push(trainable(format!("{place}.weight"), &layer.weight, false, false));
                    let bias = layer.bias.iter();
                    variables.extend(bias.map(|b| trainable(format!("{place}.bias"), b, true, false)));
                }
                Layer::Norm(norm) => {
                    norms += 1;
                    variables.extend(norm.variables(&format!("norm{norms}")));
                }
                Layer::Prototypes(weight) => {
                    variables.push(trainable("prototypes.weight".into(), weight, false, false));
                }
                Layer::Activation(_) => {}
            }
        }
        variables.extend(self.start.iter().map(|start| buffer("started".into(), &start.done)));
        variables
    }
}

impl Layer {
    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        Ok(match self {
            Layer::Linear(linear) => linear.forward(x)?,
            Layer::Norm(norm) => norm.forward(x, training)?,
            Layer::Activation(Activation::Relu) => x.f_relu()?,
            Layer::Activation(Activation::Gelu) => x.f_gelu("none")?,
            Layer::Prototypes(prototypes) => unit(x)?.f_linear(&unit(prototypes)?, None::<&Tensor>)?,
        })
    }
}

impl Linear {
    /// A layer with freshly drawn weights.
    fn new(
        [inputs, outputs]: [i64; 2],
        with_bias: bool,
        stream: &mut RandomStream,
        device: Device,
    ) -> Result<Linear> {
        let weight = weight(inputs, outputs, stream, device)?;
        let bias = if with_bias {
            Some(Tensor::f_zeros([outputs], (Kind::Float, device))?.set_requires_grad(true))
        } else {
            None
        };
        Ok(Linear { weight, bias, standardized: false })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !self.standardized {
            return Ok(x.f_linear(&self.weight, self.bias.as_ref())?);
        }
        let (variance, mean) = self.weight.f_var_mean_dim([1].as_slice(), false, true)?;
        let weight = self.weight.f_sub(&mean)?.f_mul(&variance.f_add_scalar(1e-10)?.f_rsqrt()?)?;
        Ok(x.f_linear(&weight, self.bias.as_ref())?)
    }

    /// Gives every output mean 0 and variance 1 over the inputs `x` [batch, inputs].
    fn standardize_outputs(&self, x: &Tensor) -> Result<()> {
        let (variance, mean) = self.forward(x)?.f_var_mean_dim([0].as_slice(), false, false)?;
        let scale = variance.f_add_scalar(norm::EPSILON)?.f_rsqrt()?;
        let _ = self.weight.shallow_clone().f_mul_(&scale.f_unsqueeze(1)?)?;
        if let Some(bias) = &self.bias {
            bias.shallow_clone().f_copy_(&bias.f_sub(&mean)?.f_mul(&scale)?)?;
        }
        Ok(())
    }
}

/// A freshly drawn weight [outputs, inputs].
fn weight(inputs: i64, outputs: i64, stream: &mut RandomStream, device: Device) -> Result<Tensor> {
    let deviation = 1.0 / (inputs as f64).sqrt();
    let draws = truncated_normal(stream, (inputs * outputs) as usize, deviation);
    let weight = Tensor::f_from_slice(&draws)?.view([outputs, inputs]).f_to_device(device)?;
    Ok(weight.set_requires_grad(true))
}

/// Rows of unit length; a row of zeros stays one, with a finite gradient.
fn unit(x: &Tensor) -> Result<Tensor> {
    let square = x.f_square()?.f_sum_dim_intlist([-1].as_slice(), true, None::<Kind>)?;
    Ok(x.f_mul(&square.f_clamp_min(1e-12)?.f_rsqrt()?)?)
}

/// `count` draws from a normal distribution that is drawn again beyond two deviations (Box-Muller, both values used).
pub(crate) fn truncated_normal(stream: &mut RandomStream, count: usize, deviation: f64) -> Vec<f32> {
    const UNIT: f64 = 1.0 / (1u64 << 32) as f64;
    let mut draws = Vec::with_capacity(count + 1);
    while draws.len() < count {
        let bits = stream.next_u64();
        // In (0, 1], so that its logarithm is finite.
        let radius = (-2.0 * (((bits >> 32) + 1) as f64 * UNIT).ln()).sqrt();
        let (sine, cosine) = ((bits & 0xffff_ffff) as f64 * UNIT * std::f64::consts::TAU).sin_cos();
        for normal in [radius * cosine, radius * sine] {
            if normal.abs() <= 2.0 {
                draws.push((normal * deviation) as f32);
            }
        }
    }
    draws.truncate(count);
    draws
}

fn trainable(name: String, tensor: &Tensor, bias: bool, norm: bool) -> Variable {
    Variable { name, tensor: tensor.shallow_clone(), trainable: true, bias, norm }
}

fn buffer(name: String, tensor: &Tensor) -> Variable {
    Variable { name, tensor: tensor.shallow_clone(), trainable: false, bias: false, norm: true }
}
