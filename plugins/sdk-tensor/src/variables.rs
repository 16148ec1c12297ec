//! Named variables of a component: how they are drawn, and what checkpoints, optimizers and averages see of them.
//!
//! Invariant: a variable's initial values depend on the seed, its name and its shape alone. They come from the boundary's
//! counter-based generator, not from libtorch's global one, so that components built on other threads change
//! nothing; they are drawn on the CPU and then moved, so that the device changes nothing.

use std::f64::consts::TAU;

use diptych_sdk::__private::abi::philox4x32;
use diptych_sdk::{Error, RandomStream};
use tch::{Device, Kind, Tensor};

/// What a variable is to the optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained: the weight of a convolution or a linear layer.
    Weight,
    /// Trained: the bias of a convolution or a linear layer; commonly without weight decay.
    Bias,
    /// Trained: the scale of a normalisation; commonly without weight decay.
    NormScale,
    /// Trained: the shift of a normalisation, which is both a bias and part of a norm.
    NormShift,
    /// Not trained, but part of a checkpoint.
    Buffer,
    /// A buffer of a normalisation: its running statistics.
    NormBuffer,
}

/// A variable's initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// The same number everywhere.
    Constant(f64),
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Uniform in [-bound, bound).
    Uniform {
        /// Half the width.
        bound: f64,
    },
}

/// One parameter or buffer.
#[derive(Debug)]
pub struct Variable {
    /// Full name, dots between its parts (`layer1.0.conv1.weight`).
    pub name: String,
    /// Shares its storage with the tensor that the layer computes with.
    pub tensor: Tensor,
    /// What it is to the optimizer.
    pub role: Role,
}

impl Variable {
    /// Whether the optimizer updates it.
    pub fn trainable(&self) -> bool {
        !matches!(self.role, Role::Buffer | Role::NormBuffer)
    }

    /// Whether it is a bias (a norm's shift is one).
    pub fn is_bias(&self) -> bool {
        matches!(self.role, Role::Bias | Role::NormShift)
    }

    /// Whether it belongs to a normalisation.
    pub fn is_norm(&self) -> bool {
        matches!(self.role, Role::NormScale | Role::NormShift | Role::NormBuffer)
    }
}

/// Makes and keeps the variables of one component.
///
/// ```
/// # use diptych_sdk_tensor::{Error, Variables, layers::Linear};
/// # fn build(variables: &mut Variables) -> Result<Linear, Error> {
/// // Makes `head.fc.weight` and `head.fc.bias`.
/// variables.within("head", |variables| Linear::new(variables, "fc", 64, 10, true))
/// # }
/// ```
#[derive(Debug)]
pub struct Variables {
    seed: u64,
    device: Device,
    prefix: String,
    list: Vec<Variable>,
}

impl Variables {
    /// None yet; initial values are drawn under `seed` and moved to `device`.
    pub fn new(seed: u64, device: Device) -> Self {
        Variables { seed, device, prefix: String::new(), list: Vec::new() }
    }

    /// None yet, drawn under the same seed and kept on the CPU: for values that are computed there before they are moved, so
    /// that the device changes nothing.
    pub fn twin_on_cpu(&self) -> Variables {
        let prefix = self.prefix.clone();
        Variables { seed: self.seed, device: Device::Cpu, prefix, list: Vec::new() }
    }

    /// Takes over the values of `from`, which has the same variables in the same order.
    ///
    /// # Errors
    /// It has others.
    pub fn copy_values(&self, from: &Variables) -> Result<(), Error> {
        let names = |variables: &Variables| -> Vec<String> {
            variables.iter().map(|variable| variable.name.clone()).collect()
        };
        if names(self) != names(from) {
            return Err(Error::new("values can only be copied between variables of the same names"));
        }
        tch::no_grad(|| {
            for (to, from) in self.list.iter().zip(&from.list) {
                to.tensor.shallow_clone().f_copy_(&from.tensor)?;
            }
            Ok(())
        })
    }

    /// Where the variables live.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The variables in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.list.iter()
    }

    /// Runs `build` with `name.` in front of the names of all variables it makes.
    pub fn within<T>(
        &mut self,
        name: &str,
        build: impl FnOnce(&mut Variables) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outer = self.prefix.len();
        self.prefix.push_str(name);
        self.prefix.push('.');
        let built = build(self);
        self.prefix.truncate(outer);
        built
    }

    /// Makes a float variable of `shape`; one that is trained has its gradient recorded. The answer shares its storage.
    ///
    /// # Errors
    /// A name that is taken already.
    pub fn make(&mut self, name: &str, role: Role, initial: Initial, shape: &[i64]) -> Result<Tensor, Error> {
        let name = self.full_name(name)?;
        let count = shape.iter().product::<i64>() as usize;
        let stream = || stream(self.seed, &name);
        let values = match initial {
            Initial::Constant(value) => Tensor::f_full(shape, value, (Kind::Float, Device::Cpu))?,
            Initial::Normal { deviation } => {
                Tensor::f_from_slice(&normal(stream(), deviation, count))?.f_reshape(shape)?
            }
            Initial::Uniform { bound } => {
                let mut stream = stream();
                let values: Vec<f32> = (0..count).map(|_| stream.uniform(-bound, bound) as f32).collect();
                Tensor::f_from_slice(&values)?.f_reshape(shape)?
            }
        };
        self.add(name, role, values)
    }

    /// Makes a variable that starts as `values`, of any kind and on any device.
    ///
    /// # Errors
    /// A name that is taken already.
    pub fn make_from(&mut self, name: &str, role: Role, values: Tensor) -> Result<Tensor, Error> {
        let name = self.full_name(name)?;
        self.add(name, role, values)
    }

    fn full_name(&self, name: &str) -> Result<String, Error> {
        let name = format!("{}{name}", self.prefix);
        if self.list.iter().any(|variable| variable.name == name) {
            return Err(Error::new(format_args!("two variables are named {name}")));
        }
        Ok(name)
    }

    fn add(&mut self, name: String, role: Role, values: Tensor) -> Result<Tensor, Error> {
        let mut variable = Variable { name, tensor: values.f_to_device(self.device)?, role };
        if variable.trainable() {
            let _ = variable.tensor.f_requires_grad_(true)?;
        }
        let handle = variable.tensor.shallow_clone();
        self.list.push(variable);
        Ok(handle)
    }
}

/// The stream of one variable: keyed by the seed and the name, so that a layer more or less changes no other layer's draws.
fn stream(seed: u64, name: &str) -> RandomStream {
    // FNV-1a.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let block = philox4x32([hash as u32, (hash >> 32) as u32, 0, 0], [seed as u32, (seed >> 32) as u32]);
    RandomStream::new([block[0], block[1]])
}

/// Normal draws in pairs, after Box and Muller.
fn normal(mut stream: RandomStream, deviation: f64, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 - [0, 1) is never 0.
        let radius = deviation * (-2.0 * (1.0 - stream.unit()).ln()).sqrt();
        let (sine, cosine) = (TAU * stream.unit()).sin_cos();
        values.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    values.truncate(count);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, name: &str, initial: Initial) -> Vec<f32> {
        let mut variables = Variables::new(seed, Device::Cpu);
        let tensor = variables.make(name, Role::Buffer, initial, &[100, 100]).unwrap();
        Vec::try_from(tensor.view(-1)).unwrap()
    }

    #[test]
    fn values_depend_on_seed_and_name_and_on_nothing_else() {
        let initial = Initial::Normal { deviation: 1.0 };
        assert_eq!(drawn(1, "a", initial), drawn(1, "a", initial));
        assert_ne!(drawn(1, "a", initial), drawn(2, "a", initial));
        assert_ne!(drawn(1, "a", initial), drawn(1, "b", initial));
        tch::manual_seed(5);
        assert_eq!(drawn(1, "a", initial), drawn(1, "a", initial));
    }

    #[test]
    fn draws_have_the_asked_mean_and_deviation() {
        for (initial, deviation) in
            [(Initial::Normal { deviation: 0.5 }, 0.5), (Initial::Uniform { bound: 3.0 }, 3.0 / 3f64.sqrt())]
        {
            let values = Tensor::from_slice(&drawn(3, "weight", initial));
            let (mean, found) = (values.mean(Kind::Double), values.std(true));
            // 10,000 draws: five standard errors.
            assert!(mean.double_value(&[]).abs() < 0.05 * deviation);
            assert!((found.double_value(&[]) / deviation - 1.0).abs() < 0.04);
        }
        let bounded = drawn(3, "weight", Initial::Uniform { bound: 3.0 });
        assert!(bounded.iter().all(|value| (-3.0..3.0).contains(value)));
    }

    #[test]
    fn names_are_nested_and_unique() {
        let mut variables = Variables::new(0, Device::Cpu);
        let made = variables.within("layer1", |variables| {
            let _ = variables.within("0", |variables| {
                variables.make("weight", Role::Weight, Initial::Constant(1.0), &[2])
            })?;
            let _ = variables.make("bias", Role::Bias, Initial::Constant(0.0), &[2])?;
            variables.make("bias", Role::Bias, Initial::Constant(0.0), &[2])
        });
        assert_eq!(made.unwrap_err().to_string(), "two variables are named layer1.bias");
        let names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["layer1.0.weight", "layer1.bias"]);
    }

    #[test]
    fn a_twin_draws_the_same_values_and_hands_over_changed_ones() {
        let initial = Initial::Normal { deviation: 1.0 };
        let mut variables = Variables::new(3, Device::Cpu);
        let own = variables.make("w", Role::Weight, initial, &[4]).unwrap();
        let mut twin = variables.twin_on_cpu();
        let weight = twin.make("w", Role::Weight, initial, &[4]).unwrap();
        assert!(own.equal(&weight));
        tch::no_grad(|| drop(weight.shallow_clone().fill_(2.0)));
        variables.copy_values(&twin).unwrap();
        assert_eq!(Vec::<f32>::try_from(&own).unwrap(), [2.0; 4]);
        assert!(variables.copy_values(&variables.twin_on_cpu()).is_err());
    }

    #[test]
    fn only_what_is_trained_records_gradients() {
        let mut variables = Variables::new(0, Device::Cpu);
        let weight = variables.make("w", Role::Weight, Initial::Constant(1.0), &[2]).unwrap();
        let buffer = variables.make("b", Role::NormBuffer, Initial::Constant(1.0), &[2]).unwrap();
        assert!(weight.requires_grad() && !buffer.requires_grad());
    }
}
