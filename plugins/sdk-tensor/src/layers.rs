//! Layers: convolution, norms and linear, with PyTorch's names, shapes and defaults.

use diptych_sdk::Error;
use tch::{Kind, Tensor};

use crate::{Initial, Role, Variables};

/// A convolution without bias; `weight` [outputs, inputs, kernel, kernel].
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    stride: i64,
    padding: i64,
    standardized: bool,
}

impl Conv2d {
    /// Makes `name.weight`, drawn as torchvision's networks draw it (He et al. 2015, "fan out"): normal with
    /// deviation sqrt(2 / (outputs kernel^2)). `padding` pixels of zeros lie around the input.
    pub fn new(
        variables: &mut Variables,
        name: &str,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        stride: i64,
        padding: i64,
    ) -> Result<Self, Error> {
        let initial = Initial::Normal { deviation: (2.0 / (outputs * kernel * kernel) as f64).sqrt() };
        let weight = variables.within(name, |variables| {
            variables.make("weight", Role::Weight, initial, &[outputs, inputs, kernel, kernel])
        })?;
        Ok(Conv2d { weight, stride, padding, standardized: false })
    }

    /// The same convolution with weight standardisation (Qiao et al. 2019, "Micro-Batch Training with Batch-Channel
    /// Normalization and Weight Standardization"): it computes with (w - mean) / sqrt(variance + 1e-10), mean and biased
    /// variance over the inputs and the kernel of each output channel. The epsilon is that of Big Transfer's code.
    #[must_use]
    pub fn standardized(self) -> Self {
        Conv2d { standardized: true, ..self }
    }

    /// [batch, inputs, rows, columns] to [batch, outputs, rows', columns'].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let bias: Option<&Tensor> = None;
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let weight =
            if self.standardized { standardized(&self.weight)? } else { self.weight.shallow_clone() };
        Ok(input.f_conv2d(&weight, bias, stride, padding, [1, 1], 1)?)
    }
}

fn standardized(weight: &Tensor) -> Result<Tensor, Error> {
    let (variance, mean) = weight.f_var_mean_dim([1, 2, 3].as_slice(), false, true)?;
    Ok(weight.f_sub(&mean)?.f_mul(&variance.f_add_scalar(1e-10)?.f_rsqrt()?)?)
}

/// Batch norm over all axes but the second (Ioffe and Szegedy 2015); epsilon 1e-5, and running statistics that keep 0.9 of their
/// past at each step (PyTorch's momentum 0.1), as torchvision and BYOL have it.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
}

impl BatchNorm {
    /// Makes `name.{weight, bias, running_mean, running_var, num_batches_tracked}`; `scale` is where the weight starts.
    pub fn new(variables: &mut Variables, name: &str, channels: i64, scale: f64) -> Result<Self, Error> {
        variables.within(name, |variables| {
            let mut make =
                |name, role, value| variables.make(name, role, Initial::Constant(value), &[channels]);
            Ok(BatchNorm {
                weight: make("weight", Role::NormScale, scale)?,
                bias: make("bias", Role::NormShift, 0.0)?,
                running_mean: make("running_mean", Role::NormBuffer, 0.0)?,
                running_var: make("running_var", Role::NormBuffer, 1.0)?,
                batches: variables.make_from(
                    "num_batches_tracked",
                    Role::NormBuffer,
                    Tensor::f_zeros([], (Kind::Int64, tch::Device::Cpu))?,
                )?,
            })
        })
    }

    /// [batch, channels, ...] to the same shape: normalised by the batch's statistics, which also move the running ones, when
    /// `training`; else by the running ones.
    pub fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, Error> {
        if training {
            let _ = tch::no_grad(|| self.batches.shallow_clone().f_add_scalar_(1))?;
        }
        Ok(input.f_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            training,
            0.1,
            1e-5,
            true,
        )?)
    }
}

/// Group norm (Wu and He 2018): mean and variance over a sample's positions and a group of neighbouring channels; epsilon 1e-5.
/// It knows no batch, so that training and evaluation are the same.
#[derive(Debug)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
}

impl GroupNorm {
    /// Makes `name.{weight, bias}`; `scale` is where the weight starts.
    ///
    /// # Errors
    /// `groups` doesn't divide `channels`.
    pub fn new(
        variables: &mut Variables,
        name: &str,
        channels: i64,
        groups: i64,
        scale: f64,
    ) -> Result<Self, Error> {
        if groups < 1 || channels % groups != 0 {
            return Err(Error::new(format_args!(
                "{name} has {channels} channels, expected a multiple of the {groups} groups of its norm"
            )));
        }
        variables.within(name, |variables| {
            let mut make =
                |name, role, value| variables.make(name, role, Initial::Constant(value), &[channels]);
            let (weight, bias) =
                (make("weight", Role::NormScale, scale)?, make("bias", Role::NormShift, 0.0)?);
            Ok(GroupNorm { weight, bias, groups })
        })
    }

    /// [batch, channels, ...] to the same shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        Ok(input.f_group_norm(self.groups, Some(&self.weight), Some(&self.bias), 1e-5, true)?)
    }
}

/// Layer norm over the last axis (Ba et al. 2016).
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Makes `name.{weight, bias}`, which start at 1 and 0. PyTorch's default for `epsilon` is 1e-5, vision transformers have 1e-6.
    pub fn new(variables: &mut Variables, name: &str, channels: i64, epsilon: f64) -> Result<Self, Error> {
        variables.within(name, |variables| {
            let mut make =
                |name, role, value| variables.make(name, role, Initial::Constant(value), &[channels]);
            let (weight, bias) = (make("weight", Role::NormScale, 1.0)?, make("bias", Role::NormShift, 0.0)?);
            Ok(LayerNorm { weight, bias, epsilon })
        })
    }

    /// [..., channels] to the same shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        let channels = self.weight.size();
        Ok(input.f_layer_norm(channels, Some(&self.weight), Some(&self.bias), self.epsilon, true)?)
    }
}

/// A linear layer; `weight` [outputs, inputs], `bias` [outputs].
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Makes `name.weight` and, when `bias`, `name.bias`, drawn as PyTorch draws them: uniform within 1 / sqrt(inputs).
    pub fn new(
        variables: &mut Variables,
        name: &str,
        inputs: i64,
        outputs: i64,
        bias: bool,
    ) -> Result<Self, Error> {
        let initial = Initial::Uniform { bound: 1.0 / (inputs as f64).sqrt() };
        Linear::drawn(variables, name, [inputs, outputs], initial, bias.then_some(initial))
    }

    /// The same from other draws, with a bias where `bias` says how it starts.
    pub fn drawn(
        variables: &mut Variables,
        name: &str,
        [inputs, outputs]: [i64; 2],
        weight: Initial,
        bias: Option<Initial>,
    ) -> Result<Self, Error> {
        variables.within(name, |variables| {
            let weight = variables.make("weight", Role::Weight, weight, &[outputs, inputs])?;
            let bias = bias.map(|bias| variables.make("bias", Role::Bias, bias, &[outputs])).transpose()?;
            Ok(Linear { weight, bias })
        })
    }

    /// [..., inputs] to [..., outputs].
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, Error> {
        Ok(input.f_linear(&self.weight, self.bias.as_ref())?)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn batch_norm_normalises_by_the_batch_in_training_and_by_running_statistics_else() {
        let mut variables = Variables::new(0, Device::Cpu);
        let norm = BatchNorm::new(&mut variables, "bn", 1, 1.0).unwrap();
        // Mean 2, variance 1 (biased), 4/3 (unbiased).
        let input = Tensor::from_slice(&[1f32, 1.0, 3.0, 3.0]).view([4, 1]);
        let before = norm.forward(&input, false).unwrap();
        assert!((before - &input).abs().max().double_value(&[]) < 1e-4);

        let normalised: Vec<f32> = Vec::try_from(norm.forward(&input, true).unwrap().view(-1)).unwrap();
        for (found, expected) in normalised.iter().zip([-1.0, -1.0, 1.0, 1.0]) {
            assert!((found - expected).abs() < 1e-4, "{normalised:?}");
        }
        // 0.9 of the past: mean 0.1 * 2, variance 0.9 + 0.1 * 4/3.
        let value = |tensor: &Tensor| tensor.double_value(&[0]);
        assert!((value(&norm.running_mean) - 0.2).abs() < 1e-6);
        assert!((value(&norm.running_var) - (0.9 + 0.4 / 3.0)).abs() < 1e-6);
        assert_eq!(norm.batches.int64_value(&[]), 1);
    }

    #[test]
    fn a_standardised_convolution_knows_neither_scale_nor_mean_of_its_weight() {
        let mut variables = Variables::new(0, Device::Cpu);
        let conv = Conv2d::new(&mut variables, "conv", [2, 1], 1, 1, 0).unwrap().standardized();
        let input = Tensor::from_slice(&[10f32, 1.0]).view([1, 2, 1, 1]);
        for weights in [[3f32, 1.0], [700.0, -100.0]] {
            tch::no_grad(|| {
                conv.weight.shallow_clone().copy_(&Tensor::from_slice(&weights).view([1, 2, 1, 1]))
            });
            // Both are 1 and -1 after standardisation.
            assert!((conv.forward(&input).unwrap().double_value(&[0, 0, 0, 0]) - 9.0).abs() < 1e-5);
        }
    }

    #[test]
    fn group_norm_normalises_each_group_of_each_sample() {
        let mut variables = Variables::new(0, Device::Cpu);
        let norm = GroupNorm::new(&mut variables, "norm", 4, 2, 2.0).unwrap();
        let input = Tensor::from_slice(&[1f32, 3.0, 50.0, 90.0, -5.0, 5.0, 0.0, 8.0]).view([2, 4, 1, 1]);
        let found: Vec<f32> = Vec::try_from(norm.forward(&input).unwrap().view(-1)).unwrap();
        for (found, expected) in found.iter().zip([-2.0, 2.0, -2.0, 2.0, -2.0, 2.0, -2.0, 2.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        let message = GroupNorm::new(&mut variables, "odd", 6, 4, 1.0).unwrap_err().to_string();
        assert_eq!(message, "odd has 6 channels, expected a multiple of the 4 groups of its norm");
    }

    #[test]
    fn layer_norm_normalises_the_last_axis() {
        let mut variables = Variables::new(0, Device::Cpu);
        let norm = LayerNorm::new(&mut variables, "norm", 2, 1e-6).unwrap();
        let input = Tensor::from_slice(&[1f32, 3.0, 70.0, 50.0]).view([1, 2, 2]);
        let found: Vec<f32> = Vec::try_from(norm.forward(&input).unwrap().view(-1)).unwrap();
        for (found, expected) in found.iter().zip([-1.0, 1.0, 1.0, -1.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn linear_multiplies_and_adds() {
        let mut variables = Variables::new(0, Device::Cpu);
        let linear = Linear::new(&mut variables, "fc", 2, 1, true).unwrap();
        tch::no_grad(|| {
            linear.weight.shallow_clone().copy_(&Tensor::from_slice(&[2f32, 3.0]).view([1, 2]));
            let _ = linear.bias.as_ref().unwrap().shallow_clone().fill_(0.5);
        });
        let output = linear.forward(&Tensor::from_slice(&[10f32, 100.0]).view([1, 2])).unwrap();
        assert_eq!(output.double_value(&[0, 0]), 320.5);
    }

    #[test]
    fn a_convolution_keeps_the_size_under_padding_and_halves_it_under_stride() {
        let mut variables = Variables::new(0, Device::Cpu);
        let input = Tensor::ones([1, 3, 8, 6], (Kind::Float, Device::Cpu));
        let same = Conv2d::new(&mut variables, "a", [3, 4], 3, 1, 1).unwrap();
        let half = Conv2d::new(&mut variables, "b", [3, 4], 3, 2, 1).unwrap();
        assert_eq!(same.forward(&input).unwrap().size(), [1, 4, 8, 6]);
        assert_eq!(half.forward(&input).unwrap().size(), [1, 4, 4, 3]);
    }
}
