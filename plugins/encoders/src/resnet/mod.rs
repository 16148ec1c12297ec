//! Residual networks (He et al. 2016a, "Deep Residual Learning for Image Recognition") with torchvision's names and shapes of
//! variables, and what the literature on BYOL varies in them.
//!
//! | | blocks per stage | block | features |
//! |---|---|---|---|
//! | ResNet-18 | 2, 2, 2, 2 | two 3x3 | 512 |
//! | ResNet-34 | 3, 4, 6, 3 | two 3x3 | 512 |
//! | ResNet-50 | 3, 4, 6, 3 | 1x1, 3x3, 1x1 to four times the channels | 2048 |
//! | ResNet-101 | 3, 4, 23, 3 | as ResNet-50 | 2048 |
//! | ResNet-152 | 3, 8, 36, 3 | as ResNet-50 | 2048 |
//! | ResNet-200 | 3, 24, 36, 3 | as ResNet-50 | 2048 |
//!
//! Differences by parameter: the stem for small images (SimCLR's on CIFAR-10), a width that multiplies all channels
//! (BYOL's and SimCLR's "2x"), the order of a block's layers (`block.rs`), its norm (`../norm.rs`), where a network without norm
//! starts (`../initialize.rs`), and whether two networks see different channels.

mod block;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use diptych_sdk::{Choice, Parameters};
use diptych_sdk_tensor::layers::Conv2d;
use diptych_sdk_tensor::{Encoder, Error, Outputs, Variables};
use tch::{Kind, Tensor};

use crate::initialize::Initialization;
use crate::norm::{GROUPS, Mode, Norm, NormKind};
use block::{Block, BlockShape, Kind as BlockKind, Version};

/// What TOML can say.
#[derive(Parameters)]
pub struct ResNetParameters {
    /// First layers: `imagenet` has a 7x7 convolution of stride 2 and a max-pool, so that stages see a quarter of the
    /// resolution; `small` has a 3x3 convolution of stride 1 alone, for images of about 32 pixels.
    #[parameter(default = Stem::ImageNet)]
    stem: Stem,
    /// Multiplies the number of channels of every layer. In steps of 1/8, so that all are multiples of 8.
    #[parameter(default = 1.0, minimum = 0.125, maximum = 8.0)]
    width: f64,
    /// Order of a block's layers: `v1.5` normalises after each convolution and has a bottleneck's stride in its 3x3 convolution;
    /// `v2` normalises before (He et al. 2016b, "Identity Mappings in Deep Residual Networks"), and once more, as `norm`, before
    /// the features are averaged.
    #[parameter(default = Version::V1)]
    version: Version,
    /// What normalises: `batch_norm`; `group_norm`, 16 groups, with weight standardisation in every convolution; `none`,
    /// which keeps each norm's trained scale and shift alone (Richemond et al. 2020, "BYOL works even without batch statistics").
    #[parameter(default = NormKind::BatchNorm)]
    norm: NormKind,
    /// Where a network with `norm = "none"` starts: `he` is scales of 1 and shifts of 0; `batch_statistics` is scales and shifts
    /// that do on a fixed batch of noise what batch norms would, after Richemond et al. 2020, who measure on images.
    #[parameter(default = Initialization::He)]
    initialization: Initialization,
    /// Whether the last norm of each block starts with a scale of 0, so that blocks start as identities (Goyal et al. 2017).
    /// BYOL's code starts at 1. Not for `v2`, whose blocks end in a convolution.
    #[parameter(default = false)]
    zero_init_residual: bool,
    /// The channels that a network sees: `3` is one network on all; `1+2` is two side by side, `group1` on the first channel and
    /// `group2` on the other two, whose features follow each other (CMC, of L and ab; Tian et al. 2020). Each has the channels and
    /// features that `width` says.
    #[parameter(default = ChannelGroups::All)]
    channel_groups: ChannelGroups,
}

/// Which channels are seen together.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelGroups {
    /// All three.
    #[choice("3")]
    All,
    /// The first, and the other two.
    #[choice("1+2")]
    FirstAndOthers,
}

impl ChannelGroups {
    /// Number of channels of each group.
    fn sizes(self) -> &'static [i64] {
        match self {
            ChannelGroups::All => &[3],
            ChannelGroups::FirstAndOthers => &[1, 2],
        }
    }
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
    /// What a block consists of.
    const BLOCK: BlockKind;
}

macro_rules! depths {
    ($($depth:ident, $network:ident: $id:literal, $doc:literal, $blocks:expr, $block:ident;)*) => {$(
        #[doc = concat!("Shape of ", $id, ".")]
        pub struct $depth;

        impl Depth for $depth {
            const ID: &'static str = $id;
            const DOC: &'static str = concat!(
                $doc, ", with torchvision's names of variables.\n\nOutputs: `pooled`, `stage1` to `stage4`."
            );
            const BLOCKS: [usize; 4] = $blocks;
            const BLOCK: BlockKind = BlockKind::$block;
        }

        #[doc = concat!("The network ", $id, ".")]
        pub type $network = ResNet<$depth>;
    )*};
}
depths! {
    Depth18, ResNet18: "resnet18", "ResNet-18, 512 features", [2, 2, 2, 2], Basic;
    Depth34, ResNet34: "resnet34", "ResNet-34, 512 features", [3, 4, 6, 3], Basic;
    Depth50, ResNet50: "resnet50", "ResNet-50, 2048 features", [3, 4, 6, 3], Bottleneck;
    Depth101, ResNet101: "resnet101", "ResNet-101, 2048 features", [3, 4, 23, 3], Bottleneck;
    Depth152, ResNet152: "resnet152", "ResNet-152, 2048 features", [3, 8, 36, 3], Bottleneck;
    Depth200, ResNet200: "resnet200", "ResNet-200, 2048 features", [3, 24, 36, 3], Bottleneck;
}

/// A residual network, or several side by side.
pub struct ResNet<D> {
    trunks: Vec<Trunk<D>>,
}

/// One network on some channels.
struct Trunk<D> {
    channels: i64,
    conv1: Conv2d,
    /// After the first convolution; none in v2, whose blocks begin with one.
    bn1: Option<Norm>,
    max_pool: bool,
    stages: Vec<Vec<Block>>,
    /// After the last block of v2.
    norm: Option<Norm>,
    features: i64,
    depth: PhantomData<D>,
}

impl<D: Depth> Encoder for ResNet<D> {
    const ID: &'static str = D::ID;
    const DOC: &'static str = D::DOC;
    type Parameters = ResNetParameters;

    fn new(parameters: ResNetParameters, variables: &mut Variables) -> Result<Self, Error> {
        parameters.check()?;
        let side = if parameters.stem == Stem::ImageNet { 64 } else { 32 };
        let build = |variables: &mut Variables| ResNet::build(&parameters, variables);
        parameters.initialization.build(variables, side, build, ResNet::run)
    }

    fn feature_count(&self) -> u32 {
        self.trunks.iter().map(|trunk| trunk.features as u32).sum()
    }

    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Outputs, Error> {
        self.run(images, if training { Mode::Training } else { Mode::Evaluation })
    }
}

impl ResNetParameters {
    /// Refuses what would be without effect.
    fn check(&self) -> Result<(), Error> {
        self.initialization.check(self.norm)?;
        if self.zero_init_residual && self.version == Version::V2 {
            return Err(Error::new(
                "zero_init_residual = true with version = \"v2\", whose blocks end in a convolution and have no last norm; \
                 remove it or set version = \"v1.5\"",
            ));
        }
        let base = self.base();
        if self.norm == NormKind::GroupNorm && base % GROUPS != 0 {
            return Err(Error::new(format_args!(
                "width = {} gives {base} channels to the first layer, expected a multiple of the {} groups of \
                 norm = \"group_norm\"; choose a multiple of {}",
                self.width,
                GROUPS,
                GROUPS as f64 / 64.0
            )));
        }
        if base % 8 != 0 || base as f64 != 64.0 * self.width {
            // libtorch's oneDNN writes beyond the gradient of a 1x1 convolution with other numbers of channels.
            return Err(Error::new(format_args!(
                "width is {}, expected a multiple of 0.125, such as {}",
                self.width,
                (8.0 * self.width).round().max(1.0) / 8.0
            )));
        }
        Ok(())
    }

    /// Channels of the first layer.
    fn base(&self) -> i64 {
        (64.0 * self.width).round() as i64
    }
}

impl<D: Depth> ResNet<D> {
    fn build(parameters: &ResNetParameters, variables: &mut Variables) -> Result<Self, Error> {
        let trunks = match parameters.channel_groups.sizes() {
            [all] => vec![Trunk::build(parameters, *all, variables)?],
            several => {
                let trunk = |(number, channels): (i32, &i64)| {
                    variables.within(&format!("group{number}"), |variables| {
                        Trunk::build(parameters, *channels, variables)
                    })
                };
                (1..).zip(several).map(trunk).collect::<Result<_, _>>()?
            }
        };
        Ok(ResNet { trunks })
    }

    fn run(&self, images: &Tensor, mode: Mode) -> Result<Outputs, Error> {
        if let [alone] = &self.trunks[..] {
            return alone.run(images, mode);
        }
        let mut first = 0;
        let mut all = Vec::with_capacity(self.trunks.len());
        for trunk in &self.trunks {
            all.push(trunk.run(&images.f_narrow(1, first, trunk.channels)?, mode)?);
            first += trunk.channels;
        }
        let side_by_side = |tensors: Vec<&Tensor>| Tensor::f_cat(&tensors, 1);
        let pooled = side_by_side(all.iter().map(|outputs| &outputs.pooled).collect())?;
        let mut maps = Vec::with_capacity(4);
        for (stage, (name, _)) in all[0].maps.iter().enumerate() {
            maps.push((*name, side_by_side(all.iter().map(|outputs| &outputs.maps[stage].1).collect())?));
        }
        Ok(Outputs { pooled, maps })
    }
}

impl<D: Depth> Trunk<D> {
    fn build(parameters: &ResNetParameters, channels: i64, variables: &mut Variables) -> Result<Self, Error> {
        let (base, norm, version) = (parameters.base(), parameters.norm, parameters.version);
        let (kernel, stride) = match parameters.stem {
            Stem::ImageNet => (7, 2),
            Stem::Small => (3, 1),
        };
        let conv1 = norm.convolution(variables, "conv1", [channels, base], kernel, stride)?;
        let bn1 = match version {
            Version::V1 => Some(Norm::new(variables, "bn1", norm, base, 1.0)?),
            Version::V2 => None,
        };
        let mut inputs = base;
        let mut stages = Vec::new();
        for (stage, blocks) in D::BLOCKS.into_iter().enumerate() {
            let inner = base << stage;
            let built = variables.within(&format!("layer{}", stage + 1), |variables| {
                let mut built = Vec::new();
                for block in 0..blocks {
                    let shape = BlockShape {
                        kind: D::BLOCK,
                        version,
                        norm,
                        inputs,
                        inner,
                        stride: if stage > 0 && block == 0 { 2 } else { 1 },
                        last_scale: if parameters.zero_init_residual { 0.0 } else { 1.0 },
                    };
                    inputs = shape.outputs();
                    built.push(
                        variables.within(&block.to_string(), |variables| Block::new(variables, &shape))?,
                    );
                }
                Ok(built)
            })?;
            stages.push(built);
        }
        let last = match version {
            Version::V1 => None,
            Version::V2 => Some(Norm::new(variables, "norm", norm, inputs, 1.0)?),
        };
        let max_pool = parameters.stem == Stem::ImageNet;
        let depth = PhantomData;
        Ok(Trunk { channels, conv1, bn1, max_pool, stages, norm: last, features: inputs, depth })
    }

    fn run(&self, images: &Tensor, mode: Mode) -> Result<Outputs, Error> {
        let mut x = self.conv1.forward(images)?;
        if let Some(norm) = &self.bn1 {
            x = norm.forward(&x, mode)?.f_relu_()?;
        }
        if self.max_pool {
            x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        }
        let mut maps = Vec::with_capacity(4);
        for (stage, name) in self.stages.iter().zip(["stage1", "stage2", "stage3", "stage4"]) {
            for block in stage {
                x = block.forward(&x, mode)?;
            }
            maps.push((name, x.shallow_clone()));
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x, mode)?.f_relu_()?;
        }
        Ok(Outputs { pooled: x.f_mean_dim([2, 3].as_slice(), false, None::<Kind>)?, maps })
    }
}
