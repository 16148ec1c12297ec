//! Residual networks (He et al. 2015) as in torchvision, whose names and shapes of variables they have: batch norm after every
//! convolution, the stride of a bottleneck in its 3x3 convolution ("v1.5").
//!
//! | | blocks per stage | block | features |
//! |---|---|---|---|
//! | ResNet-18 | 2, 2, 2, 2 | two 3x3 | 512 |
//! | ResNet-34 | 3, 4, 6, 3 | two 3x3 | 512 |
//! | ResNet-50 | 3, 4, 6, 3 | 1x1, 3x3, 1x1 to four times the channels | 2048 |
//!
//! Differences by parameter: the stem for small images (SimCLR's on CIFAR-10), and a width that multiplies all channels
//! (BYOL's and SimCLR's "2x").

use std::marker::PhantomData;

use diptych_sdk::{Choice, Parameters};
use diptych_sdk_tensor::layers::{BatchNorm, Conv2d};
use diptych_sdk_tensor::{Encoder, Error, Outputs, Variables};
use tch::{Kind, Tensor};

/// What TOML can say.
#[derive(Parameters)]
pub struct ResNetParameters {
    /// First layers: `imagenet` has a 7x7 convolution of stride 2 and a max-pool, so that stages see a quarter of the
    /// resolution; `small` has a 3x3 convolution of stride 1 alone, for images of about 32 pixels.
    #[parameter(default = Stem::ImageNet)]
    stem: Stem,
    /// Multiplies the number of channels of every layer.
    #[parameter(default = 1.0, minimum = 0.0625, maximum = 8.0)]
    width: f64,
    /// Whether the last batch norm of each block starts with a scale of 0, so that blocks start as identities (Goyal et al. 2017).
    /// BYOL's code starts at 1.
    #[parameter(default = false)]
    zero_init_residual: bool,
}

/// The first layers.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7x7, stride 2, then a 3x3 max-pool of stride 2.
    #[choice("imagenet")]
    ImageNet,
    /// 3x3, stride 1.
    Small,
}

/// What tells the networks apart.
pub trait Depth: Send + 'static {
    /// TOML's id.
    const ID: &'static str;
    /// Documentation.
    const DOC: &'static str;
    /// Blocks in each of the four stages.
    const BLOCKS: [usize; 4];
    /// Whether blocks are bottlenecks.
    const BOTTLENECK: bool;
}

macro_rules! depths {
    ($($depth:ident, $network:ident: $id:literal, $doc:literal, $blocks:expr, $bottleneck:expr;)*) => {$(
        #[doc = concat!("Shape of ", $id, ".")]
        pub struct $depth;

        impl Depth for $depth {
            const ID: &'static str = $id;
            const DOC: &'static str = concat!(
                $doc, ", with torchvision's names of variables.\n\nOutputs: `pooled`, `stage1` to `stage4`."
            );
            const BLOCKS: [usize; 4] = $blocks;
            const BOTTLENECK: bool = $bottleneck;
        }

        #[doc = concat!("The network ", $id, ".")]
        pub type $network = ResNet<$depth>;
    )*};
}
depths! {
    Depth18, ResNet18: "resnet18", "ResNet-18, 512 features", [2, 2, 2, 2], false;
    Depth34, ResNet34: "resnet34", "ResNet-34, 512 features", [3, 4, 6, 3], false;
    Depth50, ResNet50: "resnet50", "ResNet-50 (v1.5), 2048 features", [3, 4, 6, 3], true;
}

/// A residual network.
pub struct ResNet<D> {
    conv1: Conv2d,
    bn1: BatchNorm,
    max_pool: bool,
    stages: Vec<Vec<Block>>,
    features: i64,
    depth: PhantomData<D>,
}

impl<D: Depth> Encoder for ResNet<D> {
    const ID: &'static str = D::ID;
    const DOC: &'static str = D::DOC;
    type Parameters = ResNetParameters;

    fn new(parameters: ResNetParameters, variables: &mut Variables) -> Result<Self, Error> {
        let base = (64.0 * parameters.width).round() as i64;
        let (kernel, stride) = match parameters.stem {
            Stem::ImageNet => (7, 2),
            Stem::Small => (3, 1),
        };
        let conv1 = Conv2d::new(variables, "conv1", [3, base], kernel, stride, kernel / 2)?;
        let bn1 = BatchNorm::new(variables, "bn1", base, 1.0)?;
        let mut inputs = base;
        let mut stages = Vec::new();
        for (stage, blocks) in D::BLOCKS.into_iter().enumerate() {
            let inner = base << stage;
            let built = variables.within(&format!("layer{}", stage + 1), |variables| {
                let mut built = Vec::new();
                for block in 0..blocks {
                    let shape = BlockShape {
                        inputs,
                        inner,
                        outputs: if D::BOTTLENECK { 4 * inner } else { inner },
                        stride: if stage > 0 && block == 0 { 2 } else { 1 },
                        last_scale: if parameters.zero_init_residual { 0.0 } else { 1.0 },
                    };
                    inputs = shape.outputs;
                    built.push(variables.within(&block.to_string(), |variables| {
                        Block::new(variables, &shape, D::BOTTLENECK)
                    })?);
                }
                Ok(built)
            })?;
            stages.push(built);
        }
        let max_pool = parameters.stem == Stem::ImageNet;
        Ok(ResNet { conv1, bn1, max_pool, stages, features: inputs, depth: PhantomData })
    }

    fn feature_count(&self) -> u32 {
        self.features as u32
    }

    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error> {
        let mut x = self.bn1.forward(&self.conv1.forward(images)?, training)?.f_relu_()?;
        if self.max_pool {
            x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        }
        let mut maps = Vec::with_capacity(4);
        for (stage, name) in self.stages.iter().zip(["stage1", "stage2", "stage3", "stage4"]) {
            for block in stage {
                x = block.forward(&x, training)?;
            }
            maps.push((name, x.shallow_clone()));
        }
        Ok(Outputs { pooled: x.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?, maps })
    }
}

/// Channels and stride of one block.
struct BlockShape {
    inputs: i64,
    inner: i64,
    outputs: i64,
    stride: i64,
    last_scale: f64,
}

/// x + F(x), then ReLU; F is two or three convolutions, x is projected where its shape differs.
struct Block {
    residual: Vec<(Conv2d, BatchNorm)>,
    projection: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    fn new(variables: &mut Variables, shape: &BlockShape, bottleneck: bool) -> Result<Self, Error> {
        let BlockShape { inputs, inner, outputs, stride, .. } = *shape;
        // Channels, kernel, stride.
        let layers = if bottleneck {
            vec![([inputs, inner], 1, 1), ([inner, inner], 3, stride), ([inner, outputs], 1, 1)]
        } else {
            vec![([inputs, inner], 3, stride), ([inner, outputs], 3, 1)]
        };
        let count = layers.len();
        let mut residual = Vec::new();
        for (number, (channels, kernel, stride)) in (1..).zip(layers) {
            let scale = if number == count { shape.last_scale } else { 1.0 };
            let conv =
                Conv2d::new(variables, &format!("conv{number}"), channels, kernel, stride, kernel / 2)?;
            residual.push((conv, BatchNorm::new(variables, &format!("bn{number}"), channels[1], scale)?));
        }
        let projection = (stride != 1 || inputs != outputs).then(|| {
            variables.within("downsample", |variables| {
                let conv = Conv2d::new(variables, "0", [inputs, outputs], 1, stride, 0)?;
                Ok((conv, BatchNorm::new(variables, "1", outputs, 1.0)?))
            })
        });
        Ok(Block { residual, projection: projection.transpose()? })
    }

    fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor, Error> {
        let mut x = input.shallow_clone();
        for (index, (conv, norm)) in self.residual.iter().enumerate() {
            x = norm.forward(&conv.forward(&x)?, training)?;
            if index + 1 < self.residual.len() {
                x = x.f_relu_()?;
            }
        }
        let skipped = match &self.projection {
            Some((conv, norm)) => norm.forward(&conv.forward(input)?, training)?,
            None => input.shallow_clone(),
        };
        Ok(x.f_add_(&skipped)?.f_relu_()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use diptych_sdk_tensor::testing::build_encoder;
    use tch::Device;

    use super::*;

    const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference");

    fn build<D: Depth>(change: impl FnOnce(&mut ResNetParameters)) -> (ResNet<D>, Variables) {
        let mut parameters = ResNetParameters::defaults().unwrap();
        change(&mut parameters);
        build_encoder(parameters, 7).unwrap()
    }

    /// The hash of `torch_reference.py`.
    fn values(variable: u64, shape: &[i64]) -> Tensor {
        let count = shape.iter().product::<i64>() as u64;
        let mix = |h: u64| ((h ^ (h >> 16)) * 0x45d9f3b) & 0xffff_ffff;
        let value = |index: u64| {
            let h = mix(mix((index * 2_654_435_761 + variable * 40503 + 12345) & 0xffff_ffff));
            ((h ^ (h >> 16)) as f64 / 2_147_483_648.0 - 1.0) as f32
        };
        Tensor::from_slice(&(0..count).map(value).collect::<Vec<f32>>()).reshape(shape)
    }

    fn has_torchvisions_variables<D: Depth>() {
        let (_, variables) = build::<D>(|_| ());
        let found: Vec<String> = variables
            .iter()
            .map(|variable| {
                let shape: Vec<String> = variable.tensor.size().iter().map(i64::to_string).collect();
                format!("{} {} {}", D::ID, variable.name, shape.join("x"))
            })
            .collect();
        let list = std::fs::read_to_string(format!("{REFERENCE}/torchvision_resnet.txt")).unwrap();
        let expected: Vec<&str> = list.lines().filter(|line| line.split(' ').next() == Some(D::ID)).collect();
        assert!(expected.len() > 100);
        assert_eq!(found, expected);
    }

    #[test]
    fn names_shapes_and_order_of_variables_are_torchvisions() {
        has_torchvisions_variables::<Depth18>();
        has_torchvisions_variables::<Depth34>();
        has_torchvisions_variables::<Depth50>();
    }

    fn computes_what_torchvision_computes<D: Depth>() {
        let reference = Tensor::read_safetensors(format!("{REFERENCE}/torch_reference.safetensors")).unwrap();
        let reference: HashMap<String, Tensor> = reference.into_iter().collect();
        let (mut network, variables) = build::<D>(|_| ());
        let _guard = tch::no_grad_guard();
        for (index, variable) in variables.iter().enumerate() {
            let shape = variable.tensor.size();
            let numbers = || values(index as u64, &shape);
            let name = &variable.name;
            let start = if shape.len() == 4 {
                numbers() * (6.0 / shape[1..].iter().product::<i64>() as f64).sqrt()
            } else if name.ends_with("weight") || name.ends_with("running_var") {
                1.0 + 0.2 * numbers()
            } else if name.ends_with("num_batches_tracked") {
                continue;
            } else {
                0.2 * numbers()
            };
            variable.tensor.shallow_clone().copy_(&start);
        }
        let images = values(1000, &[4, 3, 40, 36]);
        let check = |found: &Tensor, name: &str| {
            let expected = &reference[&format!("{}.{name}", D::ID)];
            let (error, size) = ((found - expected).abs().max(), expected.abs().max());
            let error = error.double_value(&[]) / size.double_value(&[]);
            assert!(error < 1e-4, "{} {name}: {error}", D::ID);
        };
        check(&network.forward(&images, false).unwrap().pooled.narrow(1, 0, 64), "eval");
        check(&network.forward(&images, true).unwrap().pooled.narrow(1, 0, 64), "train");
        check(&network.bn1_statistics(&variables, "running_mean"), "running_mean");
        check(&network.bn1_statistics(&variables, "running_var"), "running_var");
    }

    impl<D> ResNet<D> {
        fn bn1_statistics(&self, variables: &Variables, which: &str) -> Tensor {
            let name = format!("bn1.{which}");
            variables.iter().find(|variable| variable.name == name).unwrap().tensor.shallow_clone()
        }
    }

    #[test]
    fn features_and_running_statistics_are_torchvisions() {
        computes_what_torchvision_computes::<Depth18>();
        computes_what_torchvision_computes::<Depth34>();
        computes_what_torchvision_computes::<Depth50>();
    }

    fn sizes(outputs: &Outputs) -> Vec<Vec<i64>> {
        outputs.maps.iter().map(|(_, map)| map.size()).collect()
    }

    #[test]
    fn the_small_stem_keeps_the_resolution_and_the_width_multiplies_channels() {
        let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
        let (mut network, _) = build::<Depth18>(|_| ());
        assert_eq!(sizes(&network.forward(&images, false).unwrap())[0], [2, 64, 8, 8]);
        let (mut network, _) = build::<Depth50>(|parameters| {
            parameters.stem = Stem::Small;
            parameters.width = 0.25;
        });
        let outputs = network.forward(&images, false).unwrap();
        assert_eq!(network.feature_count(), 512);
        assert_eq!(outputs.pooled.size(), [2, 512]);
        assert_eq!(sizes(&outputs), [[2, 64, 32, 32], [2, 128, 16, 16], [2, 256, 8, 8], [2, 512, 4, 4]]);
    }

    #[test]
    fn evaluation_leaves_running_statistics_and_training_moves_all_of_them() {
        let (mut network, variables) = build::<Depth18>(|parameters| parameters.width = 0.125);
        let buffers = || -> Vec<Tensor> {
            variables
                .iter()
                .filter(|variable| !variable.trainable())
                .map(|variable| variable.tensor.copy())
                .collect()
        };
        let images = values(3, &[4, 3, 32, 32]);
        let before = buffers();
        network.forward(&images, false).unwrap();
        assert!(before.iter().zip(buffers()).all(|(before, after)| before.equal(&after)));
        network.forward(&images, true).unwrap();
        assert!(before.iter().zip(buffers()).all(|(before, after)| !before.equal(&after)));
    }

    #[test]
    fn the_gradient_reaches_every_trained_variable() {
        let (mut network, variables) = build::<Depth50>(|parameters| parameters.width = 0.125);
        let pooled = network.forward(&values(3, &[4, 3, 32, 32]), true).unwrap().pooled;
        (&pooled * &pooled).sum(Kind::Float).backward();
        for variable in variables.iter().filter(|variable| variable.trainable()) {
            let gradient = variable.tensor.grad();
            assert!(gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0, "{}", variable.name);
        }
    }

    #[test]
    fn blocks_start_as_identities_on_request_only() {
        for zero in [false, true] {
            let (_, variables) = build::<Depth18>(|parameters| parameters.zero_init_residual = zero);
            let scale = |name: &str| {
                let found = variables.iter().find(|variable| variable.name == name);
                found.unwrap().tensor.double_value(&[0])
            };
            assert_eq!(scale("layer2.0.bn2.weight"), if zero { 0.0 } else { 1.0 });
            assert_eq!(scale("layer2.0.bn1.weight"), 1.0);
        }
    }
}
