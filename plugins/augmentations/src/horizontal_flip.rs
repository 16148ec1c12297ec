//! Horizontal flip: left becomes right. How often is the `probability` that TOML gives (0.5 in every recipe).

use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, PlanarF32, Scratch};
use multiversion::multiversion;

/// See the module.
pub struct HorizontalFlip;

impl Augmentation for HorizontalFlip {
    const ID: &'static str = "horizontal_flip";
    const DOC: &'static str =
        "Mirrors left and right; give it `probability = 0.5`, without it every image is mirrored.";
    type Access = InPlace<PlanarF32>;
    type Parameters = ();

    fn new((): ()) -> Result<Self, Error> {
        Ok(HorizontalFlip)
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        for y in 0..image.height() {
            image.rows_mut(y).into_iter().for_each(reverse);
        }
        Ok(())
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn reverse(row: &mut [f32]) {
    row.reverse();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changed, planar, random_planar};

    #[test]
    fn mirrors_columns_and_keeps_rows_and_channels() {
        let mut image = planar(
            3,
            2,
            &[
                [0.0, 0.1, 0.2],
                [0.3, 0.4, 0.5],
                [0.6, 0.7, 0.8],
                [0.9, 0.8, 0.7],
                [0.6, 0.5, 0.4],
                [0.3, 0.2, 0.1],
            ],
        );
        changed(&mut HorizontalFlip, &mut image, 0);
        let mirrored = [
            [0.6, 0.7, 0.8],
            [0.3, 0.4, 0.5],
            [0.0, 0.1, 0.2],
            [0.3, 0.2, 0.1],
            [0.6, 0.5, 0.4],
            [0.9, 0.8, 0.7],
        ];
        assert_eq!(image.pixels(), mirrored);
    }

    #[test]
    fn twice_is_the_image_itself() {
        for width in [1, 2, 7, 8, 33] {
            let mut image = random_planar(width, 5, 11);
            let original = image.pixels();
            changed(&mut HorizontalFlip, &mut image, 0);
            changed(&mut HorizontalFlip, &mut image, 0);
            assert_eq!(image.pixels(), original);
        }
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_planar(7, 5, 3), random_planar(7, 5, 3));
        changed(&mut HorizontalFlip, &mut one, 1);
        changed(&mut HorizontalFlip, &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }

    #[test]
    fn agrees_with_the_image_crate() {
        let mut image = random_planar(13, 6, 4);
        let other = image::Rgb32FImage::from_raw(13, 6, image.pixels().into_flattened()).unwrap();
        changed(&mut HorizontalFlip, &mut image, 0);
        assert_eq!(image.pixels().into_flattened(), image::imageops::flip_horizontal(&other).into_raw());
    }
}
