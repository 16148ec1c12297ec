//! Optimizers: from gradients to steps. They change parameters in place and keep their state by the parameters' names.
//!
//! Parameters are grouped by what a step does to them (multiplier of the learning rate, decay or none); a step is one call of
//! the native shim per group. Biases and the parameters of norms take no weight decay, as in BYOL's and SimCLR's code.

mod adamw;
mod lars;
mod sgd;

use tch::Tensor;

pub use adamw::AdamW;
pub use lars::Lars;
pub use sgd::Sgd;

use crate::Result;
use crate::config::{OptimizerConfig, OptimizerKind};
use crate::method::Variable;
use crate::native::foreach;

/// Steps parameters along their gradients.
pub trait Optimizer: Send {
    /// One step. Parameters without a gradient stay as they are, and so does their state.
    fn step(&mut self, learning_rate: f64) -> Result<()>;

    /// Drops the gradients.
    fn zero_gradients(&mut self) -> Result<()>;

    /// What a checkpoint must hold, always in the same order. The tensors share the optimizer's storage: writing into them in
    /// place restores it.
    fn state(&self) -> Vec<(String, Tensor)>;
}

/// One trained variable.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in checkpoints.
    pub name: String,
    /// Shares the network's storage.
    pub tensor: Tensor,
    /// Whether weight decay applies (and, in LARS, the trust ratio).
    pub decays: bool,
    /// Multiplies the learning rate.
    pub multiplier: f64,
}

impl Parameter {
    /// A variable with the usual exclusions: biases and norm parameters don't decay.
    pub fn new(variable: Variable, multiplier: f64) -> Parameter {
        let decays = !variable.bias && !variable.norm;
        Parameter { name: variable.name, tensor: variable.tensor, decays, multiplier }
    }
}

/// The optimizer that a configuration names.
pub fn build(config: &OptimizerConfig, parameters: Vec<Parameter>) -> Box<dyn Optimizer> {
    let decay = config.weight_decay;
    match config.kind {
        OptimizerKind::Lars => {
            Box::new(Lars::new(parameters, decay, config.momentum, config.trust_coefficient, {
                if config.rate_in_momentum { lars::Order::SimClr } else { lars::Order::Byol }
            }))
        }
        OptimizerKind::Sgd => Box::new(Sgd::new(parameters, decay, config.momentum, config.nesterov)),
        OptimizerKind::AdamW => Box::new(AdamW::new(parameters, decay, config.betas, config.epsilon)),
    }
}

/// Parameters that a step treats alike, each with the same number of state tensors.
struct Group<const STATES: usize> {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    /// By kind of state, then as `parameters`; zeros at the start.
    states: [Vec<Tensor>; STATES],
    decays: bool,
    multiplier: f64,
}

/// In the order of their first parameter.
fn group<const STATES: usize>(parameters: Vec<Parameter>) -> Vec<Group<STATES>> {
    let mut groups: Vec<Group<STATES>> = Vec::new();
    for Parameter { name, tensor, decays, multiplier } in parameters {
        let fits = |group: &Group<STATES>| group.decays == decays && group.multiplier == multiplier;
        let place = groups.iter().position(fits).unwrap_or_else(|| {
            let states = std::array::from_fn(|_| Vec::new());
            groups.push(Group { names: Vec::new(), parameters: Vec::new(), states, decays, multiplier });
            groups.len() - 1
        });
        let group = &mut groups[place];
        for state in &mut group.states {
            state.push(tensor.detach().zeros_like());
        }
        group.names.push(name);
        group.parameters.push(tensor);
    }
    groups
}

fn clear<const STATES: usize>(groups: &[Group<STATES>]) -> Result<()> {
    groups.iter().try_for_each(|group| foreach::clear_gradients(&group.parameters))
}

/// The groups' state as `kind.parameter`.
fn named<const STATES: usize>(groups: &[Group<STATES>], kinds: [&str; STATES]) -> Vec<(String, Tensor)> {
    let mut state = Vec::new();
    for group in groups {
        for (kind, tensors) in kinds.iter().zip(&group.states) {
            for (name, tensor) in group.names.iter().zip(tensors) {
                state.push((format!("{kind}.{name}"), tensor.shallow_clone()));
            }
        }
    }
    state
}

#[cfg(test)]
mod testing {
    use std::collections::HashMap;

    use super::*;

    /// A file of `tests/reference`.
    pub fn reference(file: &str) -> HashMap<String, Tensor> {
        let path = format!("{}/../tests/reference/{file}", env!("CARGO_MANIFEST_DIR"));
        Tensor::read_safetensors(path).unwrap().into_iter().collect()
    }

    pub fn parameter(name: &str, values: &Tensor, decays: bool) -> Parameter {
        let tensor = values.copy().set_requires_grad(true);
        Parameter { name: name.into(), tensor, decays, multiplier: 1.0 }
    }

    /// Makes `gradient` the parameter's gradient.
    pub fn give_gradient(parameter: &Tensor, gradient: &Tensor) {
        (parameter * gradient).sum(parameter.kind()).backward();
    }

    pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    /// The hash of `torch_reference.py`.
    fn values(variable: u64) -> Tensor {
        let mix = |h: u64| ((h ^ (h >> 16)) * 0x45d9f3b) & 0xffff_ffff;
        let value = |index: u64| {
            let h = mix(mix((index * 2_654_435_761 + variable * 40503 + 12345) & 0xffff_ffff));
            ((h ^ (h >> 16)) as f64 / 2_147_483_648.0 - 1.0) as f32
        };
        Tensor::from_slice(&(0..12).map(value).collect::<Vec<f32>>()).reshape([3, 4])
    }

    /// Four steps of learning rate 0.1 against PyTorch's optimizer of the same settings, stopped in the middle and gone
    /// on with by a new optimizer that was given the first one's state.
    pub fn check_against_pytorch<O: Optimizer>(case: &str, build: impl Fn(Vec<Parameter>) -> O) {
        let reference = reference("torch_reference.safetensors");
        let start = parameter("w", &values(1), true);
        let weight = start.tensor.shallow_clone();
        let mut optimizer = build(vec![start]);
        for step in 0..4 {
            if step == 2 {
                let parameter = Parameter {
                    name: "w".into(),
                    tensor: weight.shallow_clone(),
                    decays: true,
                    multiplier: 1.0,
                };
                let next = build(vec![parameter]);
                for ((name, from), (same, mut to)) in optimizer.state().into_iter().zip(next.state()) {
                    assert_eq!(name, same);
                    tch::no_grad(|| to.copy_(&from));
                }
                optimizer = next;
            }
            give_gradient(&weight, &values(10 + step));
            optimizer.step(0.1).unwrap();
            optimizer.zero_gradients().unwrap();
            let expected = &reference[&format!("optimizer.{case}.{}", step + 1)];
            let error = difference(&weight, expected);
            assert!(error < 1e-6, "{case}, step {step}: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{give_gradient, parameter};
    use super::*;

    fn every_kind(parameters: impl Fn() -> Vec<Parameter>) -> Vec<(Vec<Tensor>, Box<dyn Optimizer>)> {
        let make = |build: &dyn Fn(Vec<Parameter>) -> Box<dyn Optimizer>| {
            let parameters = parameters();
            (parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect(), build(parameters))
        };
        vec![
            make(&|list| Box::new(Lars::new(list, 0.1, 0.9, 1e-3, lars::Order::Byol))),
            make(&|list| Box::new(Sgd::new(list, 0.1, 0.9, false))),
            make(&|list| Box::new(AdamW::new(list, 0.1, [0.9, 0.999], 1e-8))),
        ]
    }

    #[test]
    fn a_multiplier_is_a_learning_rate_of_its_own() {
        let start = Tensor::from_slice(&[1f32, -2.0]);
        let run = |multiplier: f64, rate: f64| -> Vec<Vec<f32>> {
            let list = || vec![Parameter { multiplier, ..parameter("w", &start, true) }];
            let kinds = every_kind(list).into_iter().map(|(weights, mut optimizer)| {
                for _ in 0..3 {
                    give_gradient(&weights[0], &Tensor::from_slice(&[0.5f32, 1.0]));
                    optimizer.step(rate).unwrap();
                    optimizer.zero_gradients().unwrap();
                }
                Vec::try_from(weights[0].detach()).unwrap()
            });
            kinds.collect()
        };
        // Powers of two: the products are exact.
        assert_eq!(run(4.0, 0.0625), run(1.0, 0.25));
        assert_ne!(run(4.0, 0.0625), run(1.0, 0.0625));
    }

    #[test]
    fn a_parameter_without_gradient_stays_and_one_without_decay_moves_by_its_gradient_alone() {
        let start = Tensor::from_slice(&[1f32, -2.0]);
        let list = || vec![parameter("idle", &start, true), parameter("bias", &start, false)];
        for (weights, mut optimizer) in every_kind(list) {
            give_gradient(&weights[1], &Tensor::from_slice(&[0f32, 0.0]));
            optimizer.step(0.1).unwrap();
            for weight in &weights {
                assert!(weight.detach().equal(&start));
            }
        }
    }

    #[test]
    fn state_is_named_after_the_parameters() {
        let start = Tensor::from_slice(&[1f32]);
        let names: Vec<Vec<String>> =
            every_kind(|| vec![parameter("a", &start, true), parameter("b", &start, false)])
                .iter()
                .map(|(_, optimizer)| optimizer.state().into_iter().map(|(name, _)| name).collect())
                .collect();
        assert_eq!(names[0], ["momentum.a", "momentum.b"]);
        assert_eq!(names[1], ["momentum.a", "momentum.b"]);
        assert_eq!(
            names[2],
            ["step", "first_moment.a", "second_moment.a", "first_moment.b", "second_moment.b"]
        );
    }
}
