//! What an optimizer step does to a method: the networks by the configured optimizer, the probe by one of its own.

use tch::{Device, Kind, Tensor};

use crate::Result;
use crate::config::RunConfig;
use crate::method::{Method, Variable};
use crate::native::foreach;
use crate::optimizer::{self, AdamW, Optimizer, Parameter};

/// The optimizers of a run.
pub(crate) struct Update {
    networks: Box<dyn Optimizer>,
    /// Of a predictor whose learning rate is constant, at that rate.
    predictor: Option<(Box<dyn Optimizer>, f64)>,
    clip: Option<Clip>,
    probe: Option<AdamW>,
    probe_learning_rate: f64,
}

/// Bounds the norm of all gradients of the networks together.
struct Clip {
    parameters: Vec<Tensor>,
    maximum: f64,
    /// Of the last step, before it was bounded: a float scalar on their device.
    norm: Tensor,
}

impl Update {
    /// For the trainable variables of `method`, its losses' included; the predictor's take their multiplier.
    pub(crate) fn new(config: &RunConfig, method: &mut Method) -> Result<Update> {
        let probe = method.probe.as_ref().map(|probe| {
            let parameters = probe.variables().into_iter();
            let parameters =
                parameters.map(|variable| Parameter::new(variable.prefixed("probe"), 1.0)).collect();
            AdamW::new(parameters, 0.0, [0.9, 0.999], 1e-8)
        });
        let parameters = parameters(method, &Rules::of(config))?;
        let clip = (config.optimizer.clip_norm > 0.0).then(|| {
            let tensors: Vec<Tensor> =
                parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
            let device = tensors.first().map_or(Device::Cpu, Tensor::device);
            let norm = Tensor::zeros([], (Kind::Float, device));
            Clip { parameters: tensors, maximum: config.optimizer.clip_norm, norm }
        });
        let (apart, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|parameter| {
            config.predictor.has_constant_learning_rate() && parameter.name.starts_with("predictor.")
        });
        let predictor = (!apart.is_empty()).then(|| {
            let rate = config.optimizer.scaled_learning_rate(config.loader.batch_size);
            (optimizer::build(&config.optimizer, apart), rate)
        });
        Ok(Update {
            networks: optimizer::build(&config.optimizer, parameters),
            predictor,
            clip,
            probe,
            probe_learning_rate: config.probe.learning_rate,
        })
    }

    /// Steps everything along its gradient, and drops the gradients.
    pub(crate) fn step(&mut self, learning_rate: f64) -> Result<()> {
        if let Some(clip) = &self.clip {
            foreach::clip_gradients(&clip.parameters, clip.maximum, &clip.norm)?;
        }
        self.networks.step(learning_rate)?;
        self.networks.zero_gradients()?;
        if let Some((predictor, rate)) = &mut self.predictor {
            predictor.step(*rate)?;
            predictor.zero_gradients()?;
        }
        if let Some(probe) = &mut self.probe {
            probe.step(self.probe_learning_rate)?;
            probe.zero_gradients()?;
        }
        Ok(())
    }

    /// Norm of all gradients of the last step before it was clipped; none where nothing is.
    pub(crate) fn gradient_norm(&self) -> Option<&Tensor> {
        self.clip.as_ref().map(|clip| &clip.norm)
    }

    /// What a checkpoint must hold; writing into the tensors restores it.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        let mut state = self.networks.state();
        if let Some((predictor, _)) = &self.predictor {
            let apart = predictor.state().into_iter();
            state.extend(apart.map(|(name, tensor)| (format!("constant.{name}"), tensor)));
        }
        if let Some(probe) = &self.probe {
            state.extend(probe.state().into_iter().map(|(name, tensor)| (format!("probe.{name}"), tensor)));
        }
        state
    }
}

/// What tells parameters apart.
struct Rules {
    predictor_multiplier: f64,
    bias_multiplier: f64,
    adapt_all: bool,
}

impl Rules {
    fn of(config: &RunConfig) -> Rules {
        Rules {
            predictor_multiplier: config.predictor.learning_rate_multiplier(),
            bias_multiplier: config.optimizer.bias_multiplier,
            adapt_all: config.optimizer.adapt_all,
        }
    }
}

/// The trainable variables of the networks and the losses.
fn parameters(method: &mut Method, rules: &Rules) -> Result<Vec<Parameter>> {
    let mut variables = method.networks.variables()?;
    variables.extend(method.loss_variables()?);
    let parameter = |variable: Variable| {
        let of_predictor = variable.name.starts_with("predictor.");
        let small = variable.bias || variable.norm;
        let multiplier = if of_predictor { rules.predictor_multiplier } else { 1.0 }
            * if small { rules.bias_multiplier } else { 1.0 };
        let parameter = Parameter::new(variable, multiplier);
        Parameter { decays: parameter.decays || rules.adapt_all, ..parameter }
    };
    Ok(variables.into_iter().filter(|variable| variable.trainable).map(parameter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Loss, LossInputs, LossValue, WeightedLoss, testing};

    const USUAL: Rules = Rules { predictor_multiplier: 1.0, bias_multiplier: 1.0, adapt_all: false };

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
        let of_loss: Vec<(String, bool)> = parameters(&mut method, &USUAL)
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
    fn biases_and_norms_have_a_rate_of_their_own_and_decay_on_request_only() {
        let mut method = Method { networks: testing::byol(), losses: Vec::new(), probe: None };
        let rules = Rules { bias_multiplier: 0.5, adapt_all: true, ..USUAL };
        for parameter in parameters(&mut method, &rules).unwrap() {
            let small = parameter.name.ends_with("bias") || parameter.name.contains("norm");
            assert_eq!(parameter.multiplier, if small { 0.5 } else { 1.0 }, "{}", parameter.name);
            assert!(parameter.decays, "{}", parameter.name);
        }
        let usual = parameters(&mut method, &USUAL).unwrap();
        assert!(
            usual.iter().any(|parameter| parameter.name == "projector.norm1.weight" && !parameter.decays)
        );
    }

    #[test]
    fn only_the_predictor_is_multiplied_and_the_target_is_not_stepped() {
        let mut method = Method { networks: testing::byol(), losses: Vec::new(), probe: None };
        let parameters = parameters(&mut method, &Rules { predictor_multiplier: 10.0, ..USUAL }).unwrap();
        for parameter in &parameters {
            let expected = if parameter.name.starts_with("predictor.") { 10.0 } else { 1.0 };
            assert_eq!(parameter.multiplier, expected, "{}", parameter.name);
            assert!(!parameter.name.starts_with("target."), "{}", parameter.name);
        }
        assert!(parameters.iter().any(|parameter| parameter.name == "predictor.linear1.weight"));
        assert!(parameters.iter().any(|parameter| parameter.name == "encoder.weight"));
    }
}
