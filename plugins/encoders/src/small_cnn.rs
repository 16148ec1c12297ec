//! Four convolutions for small images, fast enough for demonstrations on a CPU.
//!
//! With w the parameter `width`: 5x5 stride 2 to w channels, 3x3 stride 2 to 2w, 3x3 to 4w, 3x3 stride 2 to 4w, each with
//! norm (`norm.rs`) and ReLU; then the mean over the image, [batch, 4w]. A 32-pixel image ends as 4x4.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::layers::Conv2d;
use diptych_sdk_tensor::{Encoder, Error, Outputs, Variables};
use tch::{Kind, Tensor};

use crate::initialize::Initialization;
use crate::norm::{GROUPS, Mode, Norm, NormKind};

/// What TOML can say.
#[derive(Parameters)]
pub struct SmallCnnParameters {
    /// Channels of the first convolution; there are four times as many features.
    #[parameter(default = 16, minimum = 1, maximum = 1024, unit = "channels")]
    width: u32,
    /// What normalises: `batch_norm`; `group_norm`, 16 groups, with weight standardisation in every convolution; `none`, which keeps
    /// each norm's trained scale and shift alone.
    #[parameter(default = NormKind::BatchNorm)]
    norm: NormKind,
    /// Where a network with `norm = "none"` starts: `he` is scales of 1 and shifts of 0; `batch_statistics` is scales and shifts
    /// that do on a fixed batch of noise what batch norms would.
    #[parameter(default = Initialization::He)]
    initialization: Initialization,
}

/// The network.
pub struct SmallCnn {
    stages: [(Conv2d, Norm); 4],
    features: u32,
}

impl Encoder for SmallCnn {
    const ID: &'static str = "small_cnn";
    const DOC: &'static str =
        "Four convolutions, for small images on a CPU.\n\nOutputs: `pooled`, `stage1` to `stage4`.";
    type Parameters = SmallCnnParameters;

    fn new(parameters: SmallCnnParameters, variables: &mut Variables) -> Result<Self, Error> {
        parameters.initialization.check(parameters.norm)?;
        let width = i64::from(parameters.width);
        if parameters.norm == NormKind::GroupNorm && width % GROUPS != 0 {
            return Err(Error::new(format_args!(
                "width is {width}, expected a multiple of the {GROUPS} groups of norm = \"group_norm\""
            )));
        }
        let build = |variables: &mut Variables| SmallCnn::build(&parameters, variables);
        parameters.initialization.build(variables, 32, build, SmallCnn::run)
    }

    fn feature_count(&self) -> u32 {
        self.features
    }

    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error> {
        self.run(images, if training { Mode::Training } else { Mode::Evaluation })
    }
}

impl SmallCnn {
    fn build(parameters: &SmallCnnParameters, variables: &mut Variables) -> Result<Self, Error> {
        let (width, norm) = (i64::from(parameters.width), parameters.norm);
        let mut stage = |number: u32, channels: [i64; 2], kernel: i64, stride: i64| {
            let conv = norm.convolution(variables, &format!("conv{number}"), channels, kernel, stride)?;
            Ok::<_, Error>((conv, Norm::new(variables, &format!("bn{number}"), norm, channels[1], 1.0)?))
        };
        let stages = [
            stage(1, [3, width], 5, 2)?,
            stage(2, [width, 2 * width], 3, 2)?,
            stage(3, [2 * width, 4 * width], 3, 1)?,
            stage(4, [4 * width, 4 * width], 3, 2)?,
        ];
        Ok(SmallCnn { stages, features: 4 * parameters.width })
    }

    fn run(&self, images: &Tensor, mode: Mode) -> Result<Outputs, Error> {
        let mut x = images.shallow_clone();
        let mut maps = Vec::with_capacity(4);
        for ((conv, norm), name) in self.stages.iter().zip(["stage1", "stage2", "stage3", "stage4"]) {
            x = norm.forward(&conv.forward(&x)?, mode)?.f_relu_()?;
            maps.push((name, x.shallow_clone()));
        }
        Ok(Outputs { pooled: x.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?, maps })
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::build_encoder;
    use tch::{Device, IndexOp};

    use super::*;

    #[test]
    fn shapes_follow_the_width() {
        let (mut network, _) = build_encoder::<SmallCnn>(
            SmallCnnParameters { width: 3, ..SmallCnnParameters::defaults().unwrap() },
            0,
        )
        .unwrap();
        assert_eq!(network.feature_count(), 12);
        let images = Tensor::zeros([2, 3, 32, 24], (Kind::Float, Device::Cpu));
        let outputs = network.forward(&images, false).unwrap();
        assert_eq!(outputs.pooled.size(), [2, 12]);
        let maps: Vec<(&str, Vec<i64>)> =
            outputs.maps.iter().map(|(name, map)| (*name, map.size())).collect();
        assert_eq!(
            maps,
            [
                ("stage1", vec![2, 3, 16, 12]),
                ("stage2", vec![2, 6, 8, 6]),
                ("stage3", vec![2, 12, 8, 6]),
                ("stage4", vec![2, 12, 4, 3]),
            ]
        );
    }

    #[test]
    fn computes_what_its_formula_says_for_one_bright_pixel() {
        // All weights 1, evaluation mode of fresh norms (which divide by sqrt(1 + 1e-5)), one channel per layer: the centre
        // pixel of a 32-pixel image lies in 9 windows of stage 1, and so on; the mean counts each path from it.
        let (mut network, variables) = build_encoder::<SmallCnn>(
            SmallCnnParameters { width: 1, ..SmallCnnParameters::defaults().unwrap() },
            0,
        )
        .unwrap();
        tch::no_grad(|| {
            for variable in variables.iter().filter(|variable| variable.name.starts_with("conv")) {
                let _ = variable.tensor.shallow_clone().fill_(1.0);
            }
        });
        let images = Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu));
        let _ = images.i((0, 0, 16, 16)).fill_(1.0);
        let outputs = network.forward(&images, false).unwrap();
        // Along one axis: pixel 16 lies in the 5-windows of positions 7, 8, 9 of stage 1; those in the 3-windows (stride 2) of
        // positions 4 (7, 8, 9) and 5 (9), and 3 has none but 7: (7) -> 3 * 1 = 1; so stage 2 holds 3: 1, 4: 3, 5: 1.
        // Stage 3 sums neighbours: 2: 1, 3: 4, 4: 5, 5: 4, 6: 1. Stage 4 (stride 2): 1: 1 + 4 = 5, 2: 4 + 5 + 4 = 13, 3: 4 + 1 = 5.
        // The sum over one axis is 23, over both 23^2; channels multiply by 1, 2 and 4 inputs; 16 positions are averaged.
        let norm = (1.0f64 + 1e-5).sqrt().powi(4);
        let expected = 23.0 * 23.0 * 1.0 * 2.0 * 4.0 / 16.0 / norm;
        assert!((outputs.pooled.double_value(&[0, 0]) / expected - 1.0).abs() < 1e-5, "{}", outputs.pooled);
    }

    #[test]
    fn the_same_seed_gives_the_same_weights_and_another_one_others() {
        let weights = |seed| {
            let (_, variables) =
                build_encoder::<SmallCnn>(SmallCnnParameters::defaults().unwrap(), seed).unwrap();
            let all: Vec<Tensor> = variables.iter().map(|variable| variable.tensor.view(-1)).collect();
            Tensor::cat(&all.iter().map(|tensor| tensor.to_kind(Kind::Float)).collect::<Vec<_>>(), 0)
        };
        assert!(weights(1).equal(&weights(1)));
        assert!(!weights(1).equal(&weights(2)));
    }

    #[test]
    fn without_batch_norm_a_sample_knows_no_other() {
        for norm in [NormKind::GroupNorm, NormKind::None] {
            let parameters = SmallCnnParameters { norm, ..SmallCnnParameters::defaults().unwrap() };
            let (mut network, variables) = build_encoder::<SmallCnn>(parameters, 0).unwrap();
            assert!(variables.iter().all(|variable| !variable.name.contains("running")));
            let images = Tensor::randn([3, 3, 32, 32], (Kind::Float, Device::Cpu));
            let all = network.forward(&images, true).unwrap().pooled;
            let alone = network.forward(&images.narrow(0, 1, 1), true).unwrap().pooled;
            assert!(alone.allclose(&all.narrow(0, 1, 1), 1e-4, 1e-5, false), "{norm:?}");
        }
    }

    #[test]
    fn batch_statistics_start_as_a_batch_norm_does_on_noise() {
        let with = |norm, initialization| {
            let parameters =
                SmallCnnParameters { norm, initialization, ..SmallCnnParameters::defaults().unwrap() };
            let (mut network, _) = build_encoder::<SmallCnn>(parameters, 3).unwrap();
            network.forward(&crate::initialize::noise(32).unwrap(), true).unwrap().pooled
        };
        let normed = with(NormKind::BatchNorm, Initialization::He);
        assert!(with(NormKind::None, Initialization::BatchStatistics).allclose(&normed, 1e-3, 1e-4, false));
        assert!(!with(NormKind::None, Initialization::He).allclose(&normed, 1e-1, 1e-1, false));
    }
}
