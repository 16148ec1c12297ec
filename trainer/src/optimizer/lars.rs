//! LARS: layer-wise adaptive rate scaling (You, Gitman and Ginsburg 2017), in the two orders that the papers' code has.
//!
//! With g the gradient, w the parameter, lambda the decay, eta the trust coefficient, mu the momentum:
//!
//! ```text
//! u = g + lambda w
//! u = u eta |w| / |u|              (times 1 where |w| or |u| is 0)
//! BYOL:    v = mu v + u            w = w - rate v
//! SimCLR:  v = mu v + rate u       w = w - v
//! ```
//!
//! Biases and norm parameters take neither decay nor trust ratio. The orders differ while the learning rate changes.

use tch::Tensor;

use super::{Group, Optimizer, Parameter, clear, group, named};
use crate::Result;
use crate::native::foreach::{self, LarsSettings};

/// Where the learning rate is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// After the momentum.
    Byol,
    /// Inside the momentum.
    SimClr,
}

/// The optimizer.
pub struct Lars {
    groups: Vec<Group<1>>,
    decay: f64,
    momentum: f64,
    eta: f64,
    order: Order,
}

impl Lars {
    /// `eta` is the trust coefficient, 1e-3 in both papers.
    pub fn new(parameters: Vec<Parameter>, decay: f64, momentum: f64, eta: f64, order: Order) -> Self {
        Lars { groups: group(parameters), decay, momentum, eta, order }
    }
}

impl Optimizer for Lars {
    fn step(&mut self, learning_rate: f64) -> Result<()> {
        for group in &self.groups {
            let settings = LarsSettings {
                momentum: self.momentum,
                decay: self.decay,
                eta: self.eta,
                adapt: group.decays,
                rate_inside: self.order == Order::SimClr,
            };
            foreach::lars(&group.parameters, &group.states[0], learning_rate * group.multiplier, settings)?;
        }
        Ok(())
    }

    fn zero_gradients(&mut self) -> Result<()> {
        clear(&self.groups)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        named(&self.groups, ["momentum"])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{difference, give_gradient, parameter, reference};
    use super::*;

    #[test]
    fn four_steps_are_those_of_the_authors_code() {
        let reference = reference("byol_reference.safetensors");
        let config = Vec::<f64>::try_from(&reference["lars.config"]).unwrap();
        let [rate, decay, momentum, eta] = config[..] else { panic!("{config:?}") };
        let names =
            ["batchnorm/offset", "batchnorm/scale", "conv/w", "linear/b", "linear/w", "zero_linear/w"];
        let parameters: Vec<Parameter> = names
            .iter()
            .map(|name| {
                let excluded = name.starts_with("batchnorm/") || name.ends_with("/b");
                parameter(name, &reference[&format!("lars.param0.{name}")], !excluded)
            })
            .collect();
        let weights: Vec<Tensor> =
            parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
        let mut optimizer = Lars::new(parameters, decay, momentum, eta, Order::Byol);
        for step in 0..4 {
            for (name, weight) in names.iter().zip(&weights) {
                give_gradient(weight, &reference[&format!("lars.grad{step}.{name}")]);
            }
            optimizer.step(rate).unwrap();
            optimizer.zero_gradients().unwrap();
            for (name, weight) in names.iter().zip(&weights) {
                let expected = &reference[&format!("lars.param{}.{name}", step + 1)];
                let error = difference(weight, expected);
                assert!(error < 2e-6, "step {step}, {name}: {error}");
            }
        }
    }

    /// Two steps on w = [3, 4] (norm 5) with gradients of norm 1, no decay, eta 0.1, momentum 0.5, rates 1 and 0.1.
    fn two_steps(order: Order) -> [f32; 2] {
        let parameter = parameter("w", &Tensor::from_slice(&[3f32, 4.0]), true);
        let weight = parameter.tensor.shallow_clone();
        let mut optimizer = Lars::new(vec![parameter], 0.0, 0.5, 0.1, order);
        for rate in [1.0, 0.1] {
            give_gradient(&weight, &Tensor::from_slice(&[1f32, 0.0]));
            optimizer.step(rate).unwrap();
            optimizer.zero_gradients().unwrap();
        }
        Vec::try_from(weight.detach()).unwrap().try_into().unwrap()
    }

    #[test]
    fn the_orders_differ_when_the_learning_rate_changes() {
        // First step: u = 0.1 * 5 = 0.5, w = [2.5, 4]; |w| = sqrt(22.25) = 4.716991, u = 0.4716991.
        // BYOL: v = 0.25 + 0.4716991, w = 2.5 - 0.07216991. SimCLR: v = 0.25 + 0.04716991, w = 2.5 - v.
        for (order, expected) in [(Order::Byol, 2.427_83), (Order::SimClr, 2.202_83)] {
            let [x, y] = two_steps(order);
            assert!((x - expected).abs() < 1e-6 && y == 4.0, "{order:?}: {x} {y}");
        }
    }
}
