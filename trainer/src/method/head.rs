//! Projector and predictor: multilayer perceptrons on vectors.
//!
//! Every hidden layer is Linear, batch norm, ReLU; the output layer is Linear and, by option, a batch norm. BYOL: one
//! hidden layer of 4096 with bias, an output of 256 without. Weights are drawn as in BYOL's own code (Haiku's default): normal
//! with deviation 1 / sqrt(inputs), truncated at two deviations; biases are 0, scales 1.
//!
//! With `prototypes` the head ends as DINO's: the output, of unit length, is multiplied with that many prototypes of unit length,
//! so that it answers cosines. Prototypes are part of the head, not of a loss, because an `ema` target then has its own
//! average of them as of every other weight.

use diptych_abi::RandomStream;
use diptych_config::{Choice, Table, choices};
use tch::{Device, Kind, Tensor};

use super::variable::Variable;
use crate::Result;

choices! {
    /// Normalisation of hidden layers.
    pub enum HiddenNorm {
        /// Batch norm with scale and shift.
        BatchNorm = "batch_norm",
        /// No normalisation.
        None = "none",
    }
}

choices! {
    /// What follows the norm of hidden layers.
    pub enum Activation {
        /// max(x, 0).
        Relu = "relu",
        /// x times the normal distribution function of x, as DINO.
        Gelu = "gelu",
    }
}

choices! {
    /// Normalisation of the output.
    pub enum OutputNorm {
        /// No normalisation, as BYOL.
        None = "none",
        /// Batch norm with scale and shift.
        BatchNorm = "batch_norm",
        /// Batch norm without scale and shift.
        BatchNormWithoutAffine = "batch_norm_without_affine",
        /// Batch norm with scale but without shift, as SimCLR.
        BatchNormWithoutShift = "batch_norm_without_shift",
    }
}

/// The shape of a head; the section `[projector]` or `[predictor]`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadConfig {
    /// Width of each hidden layer; empty for a linear head.
    pub hidden: Vec<u32>,
    /// Width of the output.
    pub output: u32,
    /// Normalisation of hidden layers.
    pub norm: HiddenNorm,
    /// Whether hidden layers have a bias before their norm.
    pub hidden_bias: bool,
    /// Whether the output layer has a bias.
    pub output_bias: bool,
    /// Normalisation of the output.
    pub output_norm: OutputNorm,
    /// What follows the norm of hidden layers.
    pub activation: Activation,
    /// Number of prototypes that the output is compared with; none for the output itself.
    pub prototypes: Option<u32>,
}

impl HeadConfig {
    /// Reads the section.
    pub fn read(table: &mut Table<'_>) -> HeadConfig {
        let hidden: Vec<u32> = table.or("hidden", vec![4096]);
        if hidden.contains(&0) {
            table.problem(Some("hidden"), "found a layer of width 0, expected widths from 1");
        }
        HeadConfig {
            hidden,
            output: table.or_in("output", 256, 1..=65536),
            norm: table.choice("norm", HiddenNorm::BatchNorm),
            hidden_bias: table.or("hidden_bias", true),
            output_bias: table.or("output_bias", false),
            output_norm: table.choice("output_norm", OutputNorm::None),
            activation: table.choice("activation", Activation::Relu),
            prototypes: table.optional_in("prototypes", 1..=1_000_000),
        }
    }

    /// Width of what comes out.
    pub fn width(&self) -> u32 {
        self.prototypes.unwrap_or(self.output)
    }

    /// The section, complete.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        let hidden: Vec<toml::Value> = self.hidden.iter().map(|width| i64::from(*width).into()).collect();
        table.insert("hidden".into(), hidden.into());
        table.insert("output".into(), i64::from(self.output).into());
        table.insert("norm".into(), self.norm.text().into());
        table.insert("hidden_bias".into(), self.hidden_bias.into());
        table.insert("output_bias".into(), self.output_bias.into());
        table.insert("output_norm".into(), self.output_norm.text().into());
        table.insert("activation".into(), self.activation.text().into());
        if let Some(prototypes) = self.prototypes {
            table.insert("prototypes".into(), i64::from(prototypes).into());
        }
        table
    }
}

enum Layer {
    /// Weight [outputs, inputs], bias [outputs].
    Linear {
        weight: Tensor,
        bias: Option<Tensor>,
    },
    Norm(BatchNorm),
    Activation(Activation),
    /// Cosines with the rows of [prototypes, inputs]. Their length does not count, so that they stay of unit length however the
    /// optimizer moves them (weight normalisation with its scale fixed at 1).
    Prototypes(Tensor),
}

/// Batch norm over vectors; decay 0.9, epsilon 1e-5, as BYOL.
struct BatchNorm {
    scale: Option<Tensor>,
    shift: Option<Tensor>,
    running_mean: Tensor,
    running_var: Tensor,
}

/// A projector or predictor.
pub struct Head {
    layers: Vec<Layer>,
}

impl Head {
    /// Draws a head on `inputs` features under `seed`, on the CPU, and moves it to `device`.
    pub fn new(config: &HeadConfig, inputs: i64, seed: u64, device: Device) -> Result<Head> {
        let mut stream = RandomStream::new([seed as u32, (seed >> 32) as u32]);
        let mut layers = Vec::new();
        let mut width = inputs;
        for hidden in &config.hidden {
            let outputs = i64::from(*hidden);
            layers.push(linear(width, outputs, config.hidden_bias, &mut stream, device)?);
            if config.norm == HiddenNorm::BatchNorm {
                layers.push(Layer::Norm(BatchNorm::new(outputs, true, true, device)?));
            }
            layers.push(Layer::Activation(config.activation));
            width = outputs;
        }
        let outputs = i64::from(config.output);
        layers.push(linear(width, outputs, config.output_bias, &mut stream, device)?);
        let norm = match config.output_norm {
            OutputNorm::None => None,
            OutputNorm::BatchNorm => Some((true, true)),
            OutputNorm::BatchNormWithoutShift => Some((true, false)),
            OutputNorm::BatchNormWithoutAffine => Some((false, false)),
        };
        if let Some((scale, shift)) = norm {
            layers.push(Layer::Norm(BatchNorm::new(outputs, scale, shift, device)?));
        }
        if let Some(prototypes) = config.prototypes {
            layers.push(Layer::Prototypes(weight(outputs, i64::from(prototypes), &mut stream, device)?));
        }
        Ok(Head { layers })
    }

    /// [batch, inputs] to [batch, outputs]; `training` normalises by the batch's statistics and moves the running ones.
    pub fn forward(&mut self, input: &Tensor, training: bool) -> Result<Tensor> {
        let mut x = input.shallow_clone();
        for layer in &self.layers {
            x = match layer {
                Layer::Linear { weight, bias } => x.f_linear(weight, bias.as_ref())?,
                Layer::Norm(norm) => norm.forward(&x, training)?,
                Layer::Activation(Activation::Relu) => x.f_relu()?,
                Layer::Activation(Activation::Gelu) => x.f_gelu("none")?,
                Layer::Prototypes(prototypes) => unit(&x)?.f_linear(&unit(prototypes)?, None::<&Tensor>)?,
            };
        }
        Ok(x)
    }

    /// All variables, always in the same order: `linear1.weight`, `norm1.running_mean`, ...
    pub fn variables(&self) -> Vec<Variable> {
        let mut variables = Vec::new();
        let (mut linear, mut norms) = (0, 0);
        for layer in &self.layers {
            match layer {
                Layer::Linear { weight, bias } => {
                    linear += 1;
                    let place = format!("linear{linear}");
                    variables.push(trainable(format!("{place}.weight"), weight, false, false));
                    variables.extend(bias.iter().map(|b| trainable(format!("{place}.bias"), b, true, false)));
                }
                Layer::Norm(norm) => {
                    norms += 1;
                    let place = format!("norm{norms}");
                    let scale =
                        norm.scale.iter().map(|s| trainable(format!("{place}.weight"), s, false, true));
                    let shift = norm.shift.iter().map(|b| trainable(format!("{place}.bias"), b, true, true));
                    variables.extend(scale.chain(shift));
                    variables.push(buffer(format!("{place}.running_mean"), &norm.running_mean));
                    variables.push(buffer(format!("{place}.running_var"), &norm.running_var));
                }
                Layer::Prototypes(weight) => {
                    variables.push(trainable("prototypes.weight".into(), weight, false, false));
                }
                Layer::Activation(_) => {}
            }
        }
        variables
    }
}

impl BatchNorm {
    fn new(width: i64, scale: bool, shift: bool, device: Device) -> Result<BatchNorm> {
        let options = (Kind::Float, device);
        let ones = || Tensor::f_ones([width], options);
        let zeros = || Tensor::f_zeros([width], options);
        Ok(BatchNorm {
            scale: if scale { Some(ones()?.set_requires_grad(true)) } else { None },
            shift: if shift { Some(zeros()?.set_requires_grad(true)) } else { None },
            running_mean: zeros()?,
            running_var: ones()?,
        })
    }

    fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        const MOMENTUM: f64 = 0.1;
        const EPSILON: f64 = 1e-5;
        let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
        let (scale, shift) = (self.scale.as_ref(), self.shift.as_ref());
        Ok(x.f_batch_norm(scale, shift, mean, var, training, MOMENTUM, EPSILON, true)?)
    }
}

/// A linear layer with freshly drawn weights.
fn linear(
    inputs: i64,
    outputs: i64,
    with_bias: bool,
    stream: &mut RandomStream,
    device: Device,
) -> Result<Layer> {
    let weight = weight(inputs, outputs, stream, device)?;
    let bias = if with_bias {
        Some(Tensor::f_zeros([outputs], (Kind::Float, device))?.set_requires_grad(true))
    } else {
        None
    };
    Ok(Layer::Linear { weight, bias })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HeadConfig {
        HeadConfig {
            hidden: vec![16],
            output: 4,
            norm: HiddenNorm::BatchNorm,
            hidden_bias: true,
            output_bias: false,
            output_norm: OutputNorm::None,
            activation: Activation::Relu,
            prototypes: None,
        }
    }

    fn names(head: &Head) -> Vec<String> {
        head.variables().into_iter().map(|variable| variable.name).collect()
    }

    #[test]
    fn byols_head_has_its_variables() {
        let head = Head::new(&config(), 8, 0, Device::Cpu).unwrap();
        assert_eq!(
            names(&head),
            [
                "linear1.weight",
                "linear1.bias",
                "norm1.weight",
                "norm1.bias",
                "norm1.running_mean",
                "norm1.running_var",
                "linear2.weight"
            ]
        );
    }

    #[test]
    fn an_output_norm_without_affine_standardises_the_batch() {
        let config = HeadConfig { output_norm: OutputNorm::BatchNormWithoutAffine, ..config() };
        let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
        let output = head.forward(&Tensor::randn([32, 8], (Kind::Float, Device::Cpu)), true).unwrap();
        assert_eq!(output.size(), [32, 4]);
        let mean = output.mean_dim(0, false, Kind::Float).abs().max().double_value(&[]);
        let deviation = (output.std_dim(0, false, false) - 1.0).abs().max().double_value(&[]);
        assert!(mean < 1e-5 && deviation < 1e-3, "mean {mean}, deviation off by {deviation}");
        assert!(!names(&head).contains(&"norm2.weight".to_owned()));
    }

    #[test]
    fn an_output_norm_without_shift_keeps_its_scale() {
        let config = HeadConfig { output_norm: OutputNorm::BatchNormWithoutShift, ..config() };
        let head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
        assert!(names(&head).contains(&"norm2.weight".to_owned()));
        assert!(!names(&head).contains(&"norm2.bias".to_owned()));
    }

    #[test]
    fn prototypes_answer_cosines_whatever_their_length() {
        let config = HeadConfig { prototypes: Some(7), activation: Activation::Gelu, ..config() };
        assert_eq!(config.width(), 7);
        let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
        assert_eq!(names(&head).last().unwrap(), "prototypes.weight");
        let input = Tensor::randn([32, 8], (Kind::Float, Device::Cpu));
        let cosines = head.forward(&input, true).unwrap();
        assert_eq!(cosines.size(), [32, 7]);
        assert!(cosines.abs().max().double_value(&[]) <= 1.0 + 1e-6);
        let mut prototypes = head.variables().pop().unwrap().tensor;
        tch::no_grad(|| prototypes.copy_(&(&prototypes * 3.0)));
        assert!(head.forward(&input, true).unwrap().allclose(&cosines, 1e-4, 1e-5, false));
    }

    #[test]
    fn gelu_is_smooth_where_relu_is_0() {
        let x = Tensor::from_slice(&[-1f32, 2.0]).view([1, 2]);
        let run = |activation| {
            let mut head = Head { layers: vec![Layer::Activation(activation)] };
            Vec::<f32>::try_from(head.forward(&x, true).unwrap().view(-1)).unwrap()
        };
        assert_eq!(run(Activation::Relu), [0.0, 2.0]);
        // x times the normal distribution function: 0.158655 at -1, 0.977250 at 2.
        let gelu = run(Activation::Gelu);
        assert!((gelu[0] + 0.158655).abs() < 1e-5 && (gelu[1] - 1.9545).abs() < 1e-5, "{gelu:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
        let weights = |seed| {
            let head = Head::new(&config(), 8, seed, Device::Cpu).unwrap();
            Vec::<f32>::try_from(head.variables()[0].tensor.flatten(0, -1)).unwrap()
        };
        assert_eq!(weights(5), weights(5));
        assert_ne!(weights(5), weights(6));
    }

    #[test]
    fn truncated_draws_have_the_known_deviation_and_no_tail() {
        let draws = truncated_normal(&mut RandomStream::new([1, 2]), 100_000, 0.5);
        let mean = draws.iter().map(|x| f64::from(*x)).sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        // A standard normal truncated at 2 has variance 0.7737.
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance / 0.25 - 0.7737).abs() < 0.01, "{variance}");
        assert!(draws.iter().all(|x| x.abs() <= 1.0));
    }

    #[test]
    fn evaluation_normalises_by_running_statistics() {
        let mut head = Head::new(&config(), 8, 1, Device::Cpu).unwrap();
        let one = Tensor::ones([1, 8], (Kind::Float, Device::Cpu));
        let alone = head.forward(&one, false).unwrap();
        let both = head.forward(&Tensor::cat(&[&one, &(-&one)], 0), false).unwrap();
        assert!(alone.allclose(&both.narrow(0, 0, 1), 1e-5, 1e-6, false));
    }
}
