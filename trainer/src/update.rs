//! What an optimizer step does to a method: the networks by the configured optimizer, the probe by one of its own.

use tch::Tensor;

use crate::Result;
use crate::config::RunConfig;
use crate::method::Method;
use crate::optimizer::{self, AdamW, Optimizer, Parameter};

/// The optimizers of a run.
pub(crate) struct Update {
    networks: Box<dyn Optimizer>,
    probe: Option<AdamW>,
    probe_learning_rate: f64,
}

impl Update {
    /// For the trainable variables of `method`, its losses' included; the predictor's take their multiplier.
    pub(crate) fn new(config: &RunConfig, method: &mut Method) -> Result<Update> {
        let multiplier =
            config.predictor.as_ref().map_or(1.0, |predictor| predictor.learning_rate_multiplier);
        let probe = method.probe.as_ref().map(|probe| {
            let parameters = probe.variables().into_iter();
            let parameters =
                parameters.map(|variable| Parameter::new(variable.prefixed("probe"), 1.0)).collect();
            AdamW::new(parameters, 0.0, [0.9, 0.999], 1e-8)
        });
        Ok(Update {
            networks: optimizer::build(&config.optimizer, parameters(method, multiplier)?),
            probe,
            probe_learning_rate: config.probe.learning_rate,
        })
    }

    /// Steps everything along its gradient, and drops the gradients.
    pub(crate) fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.networks.step(learning_rate)?;
        self.networks.zero_gradients()?;
        if let Some(probe) = &mut self.probe {
            probe.step(self.probe_learning_rate)?;
            probe.zero_gradients()?;
        }
        Ok(())
    }

    /// What a checkpoint must hold; writing into the tensors restores it.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.networks.state();
        if let Some(probe) = &self.probe {
            state.extend(probe.state().into_iter().map(|(name, tensor)| (format!("probe.{name}"), tensor)));
        }
        state
    }
}

/// The trainable variables of the networks and the losses.
fn parameters(method: &mut Method, predictor_multiplier: f64) -> Result<Vec<Parameter>> {
    let mut variables = method.networks.variables()?;
    variables.extend(method.loss_variables()?);
    Ok(variables
        .into_iter()
        .filter(|variable| variable.trainable)
        .map(|variable| {
            let of_predictor = variable.name.starts_with("predictor.");
            Parameter::new(variable, if of_predictor { predictor_multiplier } else { 1.0 })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Loss, LossInputs, LossValue, Variable, WeightedLoss, testing};

    /// Has prototypes that are trained, a bias, and a queue that is not.
    struct Prototypes;

    impl Loss for Prototypes {
        fn state(&mut self) -> Result<Vec<Variable>> {
            let variable = |name: &str, trainable, bias| {
                let tensor = Tensor::zeros([2], testing::CPU).set_requires_grad(trainable);
                Variable { name: name.into(), tensor, trainable, bias, norm: false }
            };
            Ok(vec![
                variable("prototypes", true, false),
                variable("bias", true, true),
                variable("queue", false, false),
            ])
        }

        fn forward(&mut self, _: &LossInputs<'_>) -> Result<LossValue> {
            unreachable!("only its variables are looked at")
        }
    }

    #[test]
    fn what_a_loss_trains_is_stepped_under_its_place_and_its_buffers_are_not() {
        let loss = WeightedLoss { id: "a".into(), weight: 1.0, loss: Box::new(Prototypes) };
        let mut method = Method { networks: testing::byol(), losses: vec![loss], probe: None };
        let of_loss: Vec<(String, bool)> = parameters(&mut method, 1.0)
            .unwrap()
            .into_iter()
            .filter(|parameter| parameter.name.starts_with("losses."))
            .map(|parameter| (parameter.name, parameter.decays))
            .collect();
        assert_eq!(of_loss, [("losses.0.prototypes".into(), true), ("losses.0.bias".into(), false)]);
        let saved = method.variables().unwrap();
        assert!(saved.iter().any(|variable| variable.name == "losses.0.queue" && !variable.trainable));
    }

    #[test]
    fn only_the_predictor_is_multiplied_and_the_target_is_not_stepped() {
        let mut method = Method { networks: testing::byol(), losses: Vec::new(), probe: None };
        let parameters = parameters(&mut method, 10.0).unwrap();
        for parameter in &parameters {
            let expected = if parameter.name.starts_with("predictor.") { 10.0 } else { 1.0 };
            assert_eq!(parameter.multiplier, expected, "{}", parameter.name);
            assert!(!parameter.name.starts_with("target."), "{}", parameter.name);
        }
        assert!(parameters.iter().any(|parameter| parameter.name == "predictor.linear1.weight"));
        assert!(parameters.iter().any(|parameter| parameter.name == "encoder.weight"));
    }
}
