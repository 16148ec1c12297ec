//! AdamW: Adam with decoupled weight decay (Kingma and Ba 2015; Loshchilov and Hutter 2019), in PyTorch's form.
//!
//! With g the gradient, w the parameter, lambda the decay, at step k from 1:
//!
//! ```text
//! w = w - rate lambda w
//! m = beta1 m + (1 - beta1) g,     v = beta2 v + (1 - beta2) g^2
//! w = w - rate (m / (1 - beta1^k)) / (sqrt(v / (1 - beta2^k)) + epsilon)
//! ```

use tch::{Kind, Tensor};

use super::{Group, Optimizer, Parameter, clear, group, named};
use crate::Result;
use crate::native::foreach;

/// The optimizer.
pub struct AdamW {
    groups: Vec<Group<2>>,
    /// Steps done: a float scalar on the parameters' device, so that no step waits for that device.
    step: Tensor,
    decay: f64,
    betas: [f64; 2],
    epsilon: f64,
}

impl AdamW {
    /// All parameters are on one device.
    pub fn new(parameters: Vec<Parameter>, decay: f64, betas: [f64; 2], epsilon: f64) -> Self {
        let device = parameters.first().map_or(tch::Device::Cpu, |parameter| parameter.tensor.device());
        let step = Tensor::zeros([], (Kind::Float, device));
        AdamW { groups: group(parameters), step, decay, betas, epsilon }
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, learning_rate: f64) -> Result<()> {
        let _ = self.step.f_add_scalar_(1.0)?;
        for group in &self.groups {
            let [first, second] = &group.states;
            let decay = if group.decays { self.decay } else { 0.0 };
            let rate = learning_rate * group.multiplier;
            foreach::adamw(
                &group.parameters,
                first,
                second,
                &self.step,
                rate,
                self.betas,
                decay,
                self.epsilon,
            )?;
        }
        Ok(())
    }

    fn zero_gradients(&mut self) -> Result<()> {
        clear(&self.groups)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = vec![("step".to_owned(), self.step.shallow_clone())];
        state.extend(named(&self.groups, ["first_moment", "second_moment"]));
        state
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check_against_pytorch, give_gradient, parameter};
    use super::*;

    #[test]
    fn steps_are_pytorchs() {
        check_against_pytorch("adamw", |parameters| AdamW::new(parameters, 0.1, [0.9, 0.999], 1e-8));
    }

    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate_whatever_the_gradient() {
        let parameter = parameter("w", &Tensor::from_slice(&[1f32, 1.0]), false);
        let weight = parameter.tensor.shallow_clone();
        let mut optimizer = AdamW::new(vec![parameter], 0.1, [0.9, 0.999], 1e-8);
        give_gradient(&weight, &Tensor::from_slice(&[1000f32, -0.001]));
        optimizer.step(0.01).unwrap();
        assert!((weight.double_value(&[0]) - 0.99).abs() < 1e-6);
        assert!((weight.double_value(&[1]) - 1.01).abs() < 1e-6);
    }
}
