//! Stochastic gradient descent with momentum (Polyak 1964; Nesterov 1983), in PyTorch's form.
//!
//! With g the gradient, w the parameter, lambda the decay, mu the momentum:
//!
//! ```text
//! u = g + lambda w
//! v = mu v + u
//! w = w - rate v                   Nesterov: w = w - rate (u + mu v)
//! ```

use tch::Tensor;

use super::{Group, Optimizer, Parameter, clear, group, named};
use crate::Result;
use crate::native::foreach;

/// The optimizer.
pub struct Sgd {
    groups: Vec<Group<1>>,
    decay: f64,
    momentum: f64,
    nesterov: bool,
}

impl Sgd {
    /// A momentum of 0 is plain gradient descent.
    pub fn new(parameters: Vec<Parameter>, decay: f64, momentum: f64, nesterov: bool) -> Self {
        Sgd { groups: group(parameters), decay, momentum, nesterov }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, learning_rate: f64) -> Result<()> {
        for group in &self.groups {
            let decay = if group.decays { self.decay } else { 0.0 };
            let rate = learning_rate * group.multiplier;
            foreach::sgd(&group.parameters, &group.states[0], rate, self.momentum, decay, self.nesterov)?;
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
    use super::super::testing::{check_against_pytorch, give_gradient, parameter};
    use super::*;

    #[test]
    fn steps_are_pytorchs() {
        check_against_pytorch("sgd", |parameters| Sgd::new(parameters, 0.0, 0.0, false));
        check_against_pytorch("sgd_momentum", |parameters| Sgd::new(parameters, 0.01, 0.9, false));
        check_against_pytorch("sgd_nesterov", |parameters| Sgd::new(parameters, 0.01, 0.9, true));
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        let parameter = parameter("w", &Tensor::from_slice(&[1f32]), true);
        let weight = parameter.tensor.shallow_clone();
        let mut optimizer = Sgd::new(vec![parameter], 0.5, 0.5, false);
        // u = 2 + 0.5, v = 2.5, w = 1 - 0.25; u = 2 + 0.375, v = 1.25 + 2.375, w = 0.75 - 0.3625.
        for expected in [0.75, 0.3875] {
            give_gradient(&weight, &Tensor::from_slice(&[2f32]));
            optimizer.step(0.1).unwrap();
            optimizer.zero_gradients().unwrap();
            assert!((weight.double_value(&[0]) - expected).abs() < 1e-6, "{weight}");
        }
    }
}
