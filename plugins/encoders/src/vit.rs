//! Vision transformers (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; ViT-S after Touvron et al. 2021) with timm's
//! names, shapes and initial draws.
//!
//! | | channels | heads | blocks |
//! |---|---|---|---|
//! | ViT-S | 384 | 6 | 12 |
//! | ViT-B | 768 | 12 | 12 |
//!
//! The image is cut into patches, each of which a linear layer makes a token of; a class token comes first, and the position embedding
//! is added. Each block is x + attention(norm1(x)), then x + mlp(norm2(x)), the MLP four times as wide with GELU; norms are layer
//! norms with epsilon 1e-6. There is neither dropout nor stochastic depth.
//!
//! Images of another size than `image_size` get the position embedding interpolated (bicubic, antialiased), as timm does with
//! `dynamic_img_size`. The class token and the position embedding are shown as biases, so that they go without weight decay,
//! as in timm.

use std::marker::PhantomData;

use diptych_sdk::{Choice, Parameters};
use diptych_sdk_tensor::layers::{LayerNorm, Linear};
use diptych_sdk_tensor::{Encoder, Error, Initial, Outputs, Role, Variables};
use tch::{Kind, Tensor};

const BLOCKS: usize = 12;
const NORM_EPSILON: f64 = 1e-6;
const DEVIATION: f64 = 0.02;

/// What TOML can say.
#[derive(Parameters)]
pub struct VitParameters {
    /// Side of a patch. Images must have sides that are multiples of it.
    #[parameter(default = 16, minimum = 1, maximum = 64, unit = "pixels")]
    patch_size: u32,
    /// Side of the images that the position embedding is for, a multiple of `patch_size`. Images of another size get it
    /// interpolated.
    #[parameter(default = 224, minimum = 1, maximum = 4096, unit = "pixels")]
    image_size: u32,
    /// What the features are, after the final norm: the class token, or the average of the patches' tokens.
    #[parameter(default = Pooling::ClassToken)]
    pooling: Pooling,
}

/// What the features are.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The class token.
    ClassToken,
    /// The average of the patches' tokens.
    MeanPatches,
}

/// What tells the networks apart.
pub trait Size: Send + 'static {
    /// TOML's id.
    const ID: &'static str;
    /// Documentation.
    const DOC: &'static str;
    /// Width of a token.
    const CHANNELS: i64;
    /// Heads of an attention.
    const HEADS: i64;
}

macro_rules! sizes {
    ($($size:ident, $network:ident: $id:literal, $name:literal, $channels:literal, $heads:literal;)*) => {$(
        #[doc = concat!("Shape of ", $id, ".")]
        pub struct $size;

        impl Size for $size {
            const ID: &'static str = $id;
            const DOC: &'static str = concat!(
                "The vision transformer ", $name, ", ", stringify!($channels), " features, with timm's names of variables.\n\n\
                 Outputs: `pooled`, and `patches`, the patches' tokens after the final norm in their places. \
                 At 224 pixels a side with patches of 16 it is timm's `", $id, "_patch16_224`."
            );
            const CHANNELS: i64 = $channels;
            const HEADS: i64 = $heads;
        }

        #[doc = concat!("The network ", $id, ".")]
        pub type $network = Vit<$size>;
    )*};
}
sizes! {
    Small, VitSmall: "vit_small", "ViT-S", 384, 6;
    Base, VitBase: "vit_base", "ViT-B", 768, 12;
}

/// A vision transformer.
pub struct Vit<S> {
    class_token: Tensor,
    /// [1, 1 + grid^2, channels]
    position: Tensor,
    patches: PatchEmbedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    /// Patches along a side of `image_size`.
    grid: i64,
    pooling: Pooling,
    size: PhantomData<S>,
}

impl<S: Size> Encoder for Vit<S> {
    const ID: &'static str = S::ID;
    const DOC: &'static str = S::DOC;
    type Parameters = VitParameters;

    fn new(parameters: VitParameters, variables: &mut Variables) -> Result<Self, Error> {
        let VitParameters { patch_size, image_size, pooling } = parameters;
        if image_size % patch_size != 0 {
            return Err(Error::new(format_args!(
                "found image_size = {image_size}, expected a multiple of patch_size = {patch_size}, such as {}",
                (image_size / patch_size).max(1) * patch_size
            )));
        }
        let (channels, grid) = (S::CHANNELS, i64::from(image_size / patch_size));
        let token = Initial::Normal { deviation: 1e-6 };
        let class_token = variables.make("cls_token", Role::Bias, token, &[1, 1, channels])?;
        let embedding = Initial::Normal { deviation: DEVIATION };
        let position = variables.make("pos_embed", Role::Bias, embedding, &[1, 1 + grid * grid, channels])?;
        let patches = PatchEmbedding::new(variables, patch_size.into(), channels)?;
        let blocks = variables.within("blocks", |variables| {
            let block = |number: usize| {
                variables.within(&number.to_string(), |variables| Block::new(variables, channels, S::HEADS))
            };
            (0..BLOCKS).map(block).collect::<Result<Vec<_>, _>>()
        })?;
        let norm = LayerNorm::new(variables, "norm", channels, NORM_EPSILON)?;
        Ok(Vit { class_token, position, patches, blocks, norm, grid, pooling, size: PhantomData })
    }

    fn feature_count(&self) -> u32 {
        S::CHANNELS as u32
    }

    fn forward(&mut self, images: &Tensor, _training: bool) -> Result<Outputs, Error> {
        let patches = self.patches.forward(images)?;
        let (batch, _, rows, columns) = patches.size4()?;
        let tokens = patches.f_flatten(2, 3)?.f_transpose(1, 2)?;
        let class_tokens = self.class_token.f_expand([batch, -1, -1], false)?;
        let mut x = Tensor::f_cat(&[class_tokens, tokens], 1)?.f_add(&self.position_of(rows, columns)?)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let x = self.norm.forward(&x)?;
        let tokens = x.f_narrow(1, 1, rows * columns)?;
        let pooled = match self.pooling {
            Pooling::ClassToken => x.f_select(1, 0)?,
            Pooling::MeanPatches => tokens.f_mean_dim([1].as_slice(), false, None::<Kind>)?,
        };
        let map = tokens.f_transpose(1, 2)?.f_reshape([batch, S::CHANNELS, rows, columns])?;
        Ok(Outputs { pooled, maps: vec![("patches", map)] })
    }
}

impl<S: Size> Vit<S> {
    /// The position embedding for `rows` by `columns` patches, [1, 1 + rows columns, channels].
    fn position_of(&self, rows: i64, columns: i64) -> Result<Tensor, Error> {
        let grid = self.grid;
        if [rows, columns] == [grid, grid] {
            return Ok(self.position.shallow_clone());
        }
        let class_token = self.position.f_narrow(1, 0, 1)?;
        let patches = self.position.f_narrow(1, 1, grid * grid)?;
        let map = patches.f_reshape([1, grid, grid, S::CHANNELS])?.f_permute([0, 3, 1, 2])?;
        let map = map.f_internal_upsample_bicubic2d_aa([rows, columns], false, None, None)?;
        let patches = map.f_flatten(2, 3)?.f_transpose(1, 2)?;
        Ok(Tensor::f_cat(&[class_token, patches], 1)?)
    }
}

/// A convolution whose kernel and stride are a patch: `patch_embed.proj`.
struct PatchEmbedding {
    weight: Tensor,
    bias: Tensor,
    patch: i64,
}

impl PatchEmbedding {
    /// Drawn as PyTorch draws a convolution: uniform within 1 / sqrt(inputs).
    fn new(variables: &mut Variables, patch: i64, channels: i64) -> Result<Self, Error> {
        let initial = Initial::Uniform { bound: 1.0 / ((3 * patch * patch) as f64).sqrt() };
        variables.within("patch_embed.proj", |variables| {
            let weight = variables.make("weight", Role::Weight, initial, &[channels, 3, patch, patch])?;
            Ok(PatchEmbedding {
                weight,
                bias: variables.make("bias", Role::Bias, initial, &[channels])?,
                patch,
            })
        })
    }

    /// [batch, 3, height, width] to [batch, channels, rows, columns].
    fn forward(&self, images: &Tensor) -> Result<Tensor, Error> {
        let (_, _, height, width) = images.size4()?;
        let patch = self.patch;
        if height % patch != 0 || width % patch != 0 || height * width == 0 {
            return Err(Error::new(format_args!(
                "found images of {width}x{height} pixels, expected sides that are multiples of patch_size = {patch}; \
                 change the size of the views or patch_size"
            )));
        }
        Ok(images.f_conv2d(&self.weight, Some(&self.bias), [patch; 2], [0, 0], [1, 1], 1)?)
    }
}

/// x + attention(norm1(x)), then x + mlp(norm2(x)).
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    projection: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: i64,
}

impl Block {
    fn new(variables: &mut Variables, channels: i64, heads: i64) -> Result<Self, Error> {
        let linear = |variables: &mut Variables, name: &str, inputs: i64, outputs: i64| {
            let weight = Initial::Normal { deviation: DEVIATION };
            Linear::drawn(variables, name, [inputs, outputs], weight, Some(Initial::Constant(0.0)))
        };
        Ok(Block {
            norm1: LayerNorm::new(variables, "norm1", channels, NORM_EPSILON)?,
            qkv: linear(variables, "attn.qkv", channels, 3 * channels)?,
            projection: linear(variables, "attn.proj", channels, channels)?,
            norm2: LayerNorm::new(variables, "norm2", channels, NORM_EPSILON)?,
            fc1: linear(variables, "mlp.fc1", channels, 4 * channels)?,
            fc2: linear(variables, "mlp.fc2", 4 * channels, channels)?,
            heads,
        })
    }

    /// [batch, tokens, channels] to the same shape.
    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let x = x.f_add(&self.attention(&self.norm1.forward(x)?)?)?;
        let hidden = self.fc1.forward(&self.norm2.forward(&x)?)?.f_gelu("none")?;
        Ok(x.f_add(&self.fc2.forward(&hidden)?)?)
    }

    fn attention(&self, x: &Tensor) -> Result<Tensor, Error> {
        let (batch, tokens, channels) = x.size3()?;
        let shape = [batch, tokens, 3, self.heads, channels / self.heads];
        // [query, key, value] of [batch, heads, tokens, channels / heads]
        let parts = self.qkv.forward(x)?.f_reshape(shape)?.f_permute([2, 0, 3, 1, 4])?;
        let [query, key, value] = [parts.f_select(0, 0)?, parts.f_select(0, 1)?, parts.f_select(0, 2)?];
        let mask: Option<&Tensor> = None;
        let mixed =
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, mask, 0.0, false, None, false)?;
        self.projection.forward(&mixed.f_transpose(1, 2)?.f_reshape([batch, tokens, channels])?)
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::build_encoder;

    use super::*;
    use crate::reference::{self, by_name, check, fill, names_hash, values};

    fn build<S: Size>(change: impl FnOnce(&mut VitParameters)) -> Result<(Vit<S>, Variables), Error> {
        let mut parameters = VitParameters::defaults().unwrap();
        change(&mut parameters);
        build_encoder(parameters, 7)
    }

    #[test]
    fn names_shapes_and_order_of_variables_are_timms() {
        fn check<S: Size>() {
            let (_, variables) = build::<S>(|_| ()).unwrap();
            let expected = &reference::read("encoder_reference")[&format!("{}.names", S::ID)];
            assert_eq!(names_hash(&variables), expected.int64_value(&[]), "{}", S::ID);
        }
        check::<Small>();
        check::<Base>();
    }

    #[test]
    fn features_are_timms_also_of_another_size_and_as_the_mean_of_patches() {
        let reference = reference::read("encoder_reference");
        let _guard = tch::no_grad_guard();
        for (pooling, size, name) in [
            (Pooling::ClassToken, [48, 48], "eval"),
            (Pooling::ClassToken, [32, 64], "other_size"),
            (Pooling::MeanPatches, [48, 48], "patches"),
        ] {
            let (mut network, variables) =
                build::<Small>(|parameters| (parameters.image_size, parameters.pooling) = (48, pooling))
                    .unwrap();
            fill(&variables, by_name);
            let images = values(1000, &[4, 3, size[0], size[1]]);
            let outputs = network.forward(&images, false).unwrap();
            check(&outputs.pooled.narrow(1, 0, 64), &reference[&format!("vit_small.{name}")], name);
            assert_eq!(outputs.maps[0].1.size(), [4, 384, size[0] / 16, size[1] / 16]);
        }
    }

    #[test]
    fn the_gradient_reaches_every_variable_and_tokens_have_no_weight_decay() {
        let (mut network, variables) = build::<Small>(|parameters| parameters.image_size = 32).unwrap();
        let pooled = network.forward(&values(3, &[2, 3, 48, 32]), true).unwrap().pooled;
        // Cubes: the sum and the sum of squares of a norm's outputs are constant.
        (&pooled * &pooled * &pooled).sum(Kind::Float).backward();
        for variable in variables.iter() {
            let gradient = variable.tensor.grad();
            assert!(gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0, "{}", variable.name);
            let matrix = variable.name.ends_with("weight") && !variable.is_norm();
            assert_eq!(variable.is_bias() || variable.is_norm(), !matrix, "{}", variable.name);
        }
    }

    #[test]
    fn sizes_that_patches_do_not_divide_are_refused_with_the_remedy() {
        let message = build::<Small>(|parameters| parameters.image_size = 100).err().unwrap().to_string();
        assert_eq!(message, "found image_size = 100, expected a multiple of patch_size = 16, such as 96");
        let (mut network, _) = build::<Small>(|parameters| parameters.image_size = 32).unwrap();
        let message = network.forward(&values(3, &[1, 3, 48, 40]), false).unwrap_err().to_string();
        assert!(message.starts_with("found images of 40x48 pixels, expected sides"), "{message}");
    }
}
