//! RandAugment (Cubuk et al. 2020): a few operations, drawn from a list with replacement, one after another.
//!
//! As in InfoMin's code (Tian et al. 2020), whose list and ranges are those of EfficientNet: each drawn operation is applied with
//! probability 0.5, with a magnitude from N(10, 0.5) clipped to [0, 10]. Magnitudes become amounts in `operations.rs`; the arithmetic
//! is Pillow's, to the byte. Where a warp finds no pixel the image gets ImageNet's mean colour.

mod color;
mod operations;
#[cfg(test)]
mod tests;
mod warp;

use diptych_sdk::{
    Augmentation, Error, ImageMut, InPlace, Parameters, Plan, RandomStream, Rgb8, Scratch, Size,
};

use operations::{COLOR_FREE, Kind, Operation};
use warp::Interpolation;

/// What TOML may say.
#[derive(Parameters)]
pub struct RandAugmentParameters {
    /// How many operations are drawn for an image; RandAugment's N.
    #[parameter(default = 2, minimum = 0, maximum = 8)]
    operations: u32,
    /// Mean of each operation's magnitude, 10 being the strongest; RandAugment's M.
    #[parameter(default = 10.0, minimum = 0, maximum = 10)]
    magnitude: f64,
    /// Standard deviation of the magnitude, which is then clipped to 0 to 10.
    #[parameter(default = 0.5, minimum = 0, maximum = 10)]
    magnitude_deviation: f64,
    /// Chance of each drawn operation to be applied.
    #[parameter(default = 0.5, minimum = 0, maximum = 1)]
    operation_probability: f64,
    /// Whether operations on colours are in the list. Without them it has `auto_contrast`, `identity`, `rotate`, `sharpness`,
    /// the shears and the translations, as for CMC, whose views are colour channels.
    #[parameter(default = true)]
    color: bool,
}

/// Most operations of an image: so many are drawn, whatever `operations` is.
const MOST: usize = 8;

/// See the module.
pub struct RandAugment {
    parameters: RandAugmentParameters,
    /// None where the coin left an operation out.
    drawn: [Option<Operation>; MOST],
}

impl Augmentation for RandAugment {
    const ID: &'static str = "randaugment";
    const DOC: &'static str = "Applies a few operations, drawn from a list of 15, with Pillow's arithmetic (RandAugment).\n\n\
        The list: `auto_contrast`, `equalize`, `invert`, `rotate` (to 30 degrees), `posterize` (to 4 bits and fewer), `solarize`, \
        `solarize_add` (to 110), `color`, `contrast`, `brightness`, `sharpness` (factors 0.1 to 1.9), `shear_x`, `shear_y` (to 0.3), \
        `translate_x`, `translate_y` (to 0.45 of the side).";
    type Access = InPlace<Rgb8>;
    type Parameters = RandAugmentParameters;

    fn new(parameters: RandAugmentParameters) -> Result<Self, Error> {
        Ok(RandAugment { parameters, drawn: [None; MOST] })
    }

    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        let parameters = &self.parameters;
        let kinds = if parameters.color { &Kind::ALL[..] } else { &COLOR_FREE[..] };
        for drawn in &mut self.drawn {
            let kind = kinds[random.below(kinds.len() as u64) as usize];
            let applied = random.bernoulli(parameters.operation_probability);
            let magnitude = parameters.magnitude + parameters.magnitude_deviation * normal(random);
            let sign = if random.bernoulli(0.5) { -1.0 } else { 1.0 };
            let interpolation =
                if random.bernoulli(0.5) { Interpolation::Bicubic } else { Interpolation::Bilinear };
            *drawn = applied.then(|| Operation::new(kind, magnitude.clamp(0.0, 10.0), sign, interpolation));
        }
        self.drawn[parameters.operations as usize..].fill(None);
        let copied = if self.drawn.iter().flatten().any(Operation::wants_copy) { samples(input) } else { 0 };
        Ok(Plan::keep(input).with_scratch::<u8>(copied))
    }

    fn apply(&mut self, mut image: ImageMut<'_, Rgb8>, mut scratch: Scratch<'_>) -> Result<(), Error> {
        let copied =
            if self.drawn.iter().flatten().any(Operation::wants_copy) { samples(image.size()) } else { 0 };
        let (copy, _) = scratch.take::<u8>(copied).as_chunks_mut::<3>();
        for operation in self.drawn.iter().flatten() {
            operation.apply(&mut image, copy);
        }
        Ok(())
    }

    fn describe_draws(&self) -> String {
        let texts: Vec<String> = self.drawn.iter().flatten().map(ToString::to_string).collect();
        if texts.is_empty() { "nothing".into() } else { texts.join(", ") }
    }
}

fn samples(size: Size) -> usize {
    3 * size.width as usize * size.height as usize
}

/// A draw from N(0, 1), of two uniform ones (Box and Muller 1958).
fn normal(random: &mut RandomStream) -> f64 {
    // In (0, 1], so that its logarithm is finite.
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.unit()).cos()
}
