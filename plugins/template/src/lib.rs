//! The smallest Diptych plugin: one operator with one parameter.

use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, Parameters, Rgb8, Scratch};

/// What TOML can say: `{ id = "posterize", bits = 3 }`.
#[derive(Parameters)]
pub struct PosterizeParameters {
    /// How many of the eight bits of each sample are kept, from the highest.
    #[parameter(default = 4, minimum = 1, maximum = 8, unit = "bits")]
    bits: u32,
}

/// Sets the low bits of every sample to zero.
pub struct Posterize {
    mask: u8,
}

impl Augmentation for Posterize {
    const ID: &'static str = "posterize";
    const DOC: &'static str = "Keeps the highest bits of every sample. The operator `Posterize` of AutoAugment \
                               (Cubuk et al. 2019) and of Pillow.";
    type Access = InPlace<Rgb8>;
    type Parameters = PosterizeParameters;

    fn new(parameters: PosterizeParameters) -> Result<Self, Error> {
        Ok(Posterize { mask: u8::MAX << (8 - parameters.bits) })
    }

    fn apply(&mut self, mut image: ImageMut<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
        image.for_each_pixel(|pixel| *pixel = pixel.map(|sample| sample & self.mask));
        Ok(())
    }
}

diptych_sdk::export_plugin! { augmentations: [Posterize] }

#[cfg(test)]
mod tests {
    use diptych_sdk::testing::{OwnedImage, run};
    use diptych_sdk::{RandomStream, Size};

    use super::*;

    #[test]
    fn keeps_the_highest_bits() {
        let mut operator = Posterize::new(PosterizeParameters { bits: 3 }).unwrap();
        let image = OwnedImage::<Rgb8>::from_fn(Size { width: 2, height: 1 }, |x, _| {
            [[0, 31, 32], [100, 200, 255]][x as usize]
        });
        let mut result = run(&mut operator, &image, &mut RandomStream::new([1, 2])).unwrap();
        assert_eq!(result.pixels(), [[0, 0, 32], [96, 192, 224]]);
    }
}
