//! Grayscale: every channel becomes `0.2989 R + 0.5870 G + 0.1140 B`.
//!
//! As in BYOL's code and in torchvision (`rgb_to_grayscale`).

use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, PlanarF32, Scratch};
use multiversion::multiversion;

use crate::color::{clip, luma, map_pixels};

/// See the module.
pub struct Grayscale;

impl Augmentation for Grayscale {
    const ID: &'static str = "grayscale";
    const DOC: &'static str =
        "Replaces colours by their luma, `0.2989 R + 0.5870 G + 0.1140 B`, in all three channels.";
    type Access = InPlace<PlanarF32>;
    type Parameters = ();

    fn new((): ()) -> Result<Self, Error> {
        Ok(Grayscale)
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        for y in 0..image.height() {
            let [red, green, blue] = image.rows_mut(y);
            gray_row(red, green, blue);
        }
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn gray_row(red: &mut [f32], green: &mut [f32], blue: &mut [f32]) {
    map_pixels([red, green, blue], |red, green, blue| {
        // The weights' sum is 0.9999: nothing to clip but what an earlier operator overshot.
        let gray = clip(luma(red, green, blue));
        (gray, gray, gray)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, byol_images, changed, planar, random_planar, torchvision_image};

    #[test]
    fn weighs_the_channels_as_computed_by_hand() {
        let mut image = planar(2, 1, &[[1.0, 0.5, 0.25], [0.0, 1.0, 0.0]]);
        changed(&mut Grayscale, &mut image, 0);
        let first = 0.2989 + 0.5 * 0.5870 + 0.25 * 0.1140;
        assert_close(&image.pixels(), &[[first; 3], [0.587; 3]], 1e-6);
    }

    #[test]
    fn what_is_gray_stays_but_for_the_weights_sum() {
        let mut image = planar(3, 1, &[[0.0; 3], [0.4; 3], [1.0; 3]]);
        changed(&mut Grayscale, &mut image, 0);
        assert_close(&image.pixels(), &[[0.0; 3], [0.4; 3], [1.0; 3]], 1.1e-4);
    }

    #[test]
    fn agrees_with_the_byol_authors_code() {
        for (input, reference) in byol_images("grayscale") {
            let mut image = input;
            changed(&mut Grayscale, &mut image, 0);
            assert_close(&image.pixels(), &reference, 1e-5);
        }
    }

    #[test]
    fn agrees_with_torchvision() {
        let (mut image, expected) = torchvision_image("grayscale");
        changed(&mut Grayscale, &mut image, 0);
        assert_close(&image.pixels(), &expected, 1e-5);
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_planar(7, 5, 3), random_planar(7, 5, 3));
        changed(&mut Grayscale, &mut one, 1);
        changed(&mut Grayscale, &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }
}
