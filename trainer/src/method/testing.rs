//! Tiny networks for tests.

use tch::{Device, Kind, Tensor};

use super::head::{Activation, Head, HeadConfig, HiddenNorm, Initialization, OutputNorm};
use super::*;

/// Floats on the CPU.
pub const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

/// A linear map of the flattened image.
struct Flat {
    weight: Tensor,
}

impl Flat {
    fn boxed(seed: i64) -> Box<dyn Encoder> {
        let weight = (Tensor::arange(5 * 12, CPU) * (0.37 + seed as f64)).sin().view([5, 12]);
        Box::new(Flat { weight: weight.set_requires_grad(true) })
    }
}

impl Encoder for Flat {
    fn feature_count(&self) -> i64 {
        5
    }

    fn variables(&mut self) -> Result<Vec<Variable>> {
        let tensor = self.weight.shallow_clone();
        Ok(vec![Variable { name: "weight".into(), tensor, trainable: true, bias: false, norm: false }])
    }

    fn forward(&mut self, images: &Tensor, _training: bool) -> Result<Tensor> {
        Ok(images.flatten(1, -1).matmul(&self.weight.tr()))
    }
}

pub fn head() -> HeadConfig {
    HeadConfig {
        hidden: vec![8],
        output: 4,
        norm: HiddenNorm::BatchNorm,
        hidden_bias: true,
        output_bias: false,
        output_norm: OutputNorm::None,
        activation: Activation::Relu,
        initialization: Initialization::Drawn,
        prototypes: None,
        groups: None,
    }
}

pub fn branch(seed: u64) -> Branch {
    Branch { encoder: Flat::boxed(seed as i64), projector: Head::new(&head(), 5, seed, Device::Cpu).unwrap() }
}

pub fn networks(
    target: impl FnOnce(&mut Branch) -> Target,
    predictor: bool,
    views: ForwardViews,
) -> Networks {
    let mut online = branch(1);
    let target = target(&mut online);
    let predictor = match predictor {
        true => Predictor::Mlp(Head::new(&head(), 4, 3, Device::Cpu).unwrap()),
        false => Predictor::None,
    };
    Networks { online, predictor, target, views, passing: Passing::default(), patches: None }
}

pub fn ema(online: &mut Branch) -> Target {
    average(online, false, BatchStatistics::Own)
}

pub fn average(online: &mut Branch, shared: bool, statistics: BatchStatistics) -> Target {
    Target::Network(Average::new(branch(2), online, shared, statistics).unwrap())
}

/// Networks with everything that there can be.
pub fn byol() -> Networks {
    networks(ema, true, ForwardViews::Separate)
}
