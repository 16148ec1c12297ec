//! Solarize: samples from a threshold on are inverted, `x >= threshold` becomes `1 - x`.
//!
//! As in BYOL's code; threshold 0.5 is also torchvision's 128 of 255 with samples rounded to 8 bits.

use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, Parameters, PlanarF32, Scratch};
use multiversion::multiversion;

/// What TOML may say.
#[derive(Parameters)]
pub struct SolarizeParameters {
    /// Samples from this value on are inverted.
    #[parameter(default = 0.5, minimum = 0, maximum = 1)]
    threshold: f32,
}

/// See the module.
pub struct Solarize {
    threshold: f32,
}

impl Augmentation for Solarize {
    const ID: &'static str = "solarize";
    const DOC: &'static str = "Inverts samples from a threshold on: `x >= threshold` becomes `1 - x`.";
    type Access = InPlace<PlanarF32>;
    type Parameters = SolarizeParameters;

    fn new(parameters: SolarizeParameters) -> Result<Self, Error> {
        Ok(Solarize { threshold: parameters.threshold })
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        let threshold = self.threshold;
        for y in 0..image.height() {
            for row in image.rows_mut(y) {
                invert_from(threshold, row);
            }
        }
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn invert_from(threshold: f32, row: &mut [f32]) {
    for sample in row {
        // Arithmetic, of which every step is exact: an `if` becomes masked stores, several times slower.
        let bright = f32::from(u8::from(*sample >= threshold));
        *sample = bright + (1.0 - 2.0 * bright) * *sample;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, byol_images, changed, planar, random_planar, torchvision_image, with_defaults,
    };

    #[test]
    fn the_threshold_itself_is_inverted() {
        let mut image = planar(2, 1, &[[0.25, 0.75, 1.0], [0.3, 0.125, 0.0]]);
        changed(&mut Solarize { threshold: 0.25 }, &mut image, 0);
        assert_eq!(image.pixels(), [[0.75, 0.25, 0.0], [0.7, 0.125, 0.0]]);
    }

    #[test]
    fn never_leaves_a_sample_above_both_the_threshold_and_its_inverse() {
        let mut image = random_planar(31, 9, 5);
        changed(&mut Solarize { threshold: 0.5 }, &mut image, 0);
        assert!(image.pixels().as_flattened().iter().all(|&sample| (0.0..=0.5).contains(&sample)));
    }

    #[test]
    fn agrees_with_the_byol_authors_code() {
        for (input, reference) in byol_images("solarize") {
            let mut image = input;
            changed(&mut with_defaults::<Solarize>(), &mut image, 0);
            assert_close(&image.pixels(), &reference, 1e-5);
        }
    }

    #[test]
    fn agrees_with_torchvision() {
        let (mut image, expected) = torchvision_image("solarize");
        changed(&mut with_defaults::<Solarize>(), &mut image, 0);
        assert_close(&image.pixels(), &expected, 1e-5);
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_planar(7, 5, 3), random_planar(7, 5, 3));
        changed(&mut with_defaults::<Solarize>(), &mut one, 1);
        changed(&mut with_defaults::<Solarize>(), &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }
}
