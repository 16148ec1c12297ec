//! Horizontal flip: left becomes right. How often is the `probability` that TOML gives (0.5 in every recipe).

use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, Rgb8, Scratch};

/// See the module.
pub struct HorizontalFlip;

impl Augmentation for HorizontalFlip {
    const ID: &'static str = "horizontal_flip";
    const DOC: &'static str =
        "Mirrors left and right; give it `probability = 0.5`, without it every image is mirrored.";
    type Access = InPlace<Rgb8>;
    type Parameters = ();

    fn new((): ()) -> Result<Self, Error> {
        Ok(HorizontalFlip)
    }

    fn apply(&mut self, mut image: ImageMut<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
        for y in 0..image.height() {
            image.row_mut(y).reverse();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changed, random_rgb8, rgb8};

    #[test]
    fn mirrors_columns_and_keeps_rows_and_channels() {
        let mut image =
            rgb8(3, 2, &[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [12, 13, 14], [15, 16, 17]]);
        changed(&mut HorizontalFlip, &mut image, 0);
        let mirrored = [[6, 7, 8], [3, 4, 5], [0, 1, 2], [15, 16, 17], [12, 13, 14], [9, 10, 11]];
        assert_eq!(image.pixels(), mirrored);
    }

    #[test]
    fn twice_is_the_image_itself() {
        for width in [1, 2, 7, 8] {
            let mut image = random_rgb8(width, 5, 11);
            let original = image.pixels();
            changed(&mut HorizontalFlip, &mut image, 0);
            changed(&mut HorizontalFlip, &mut image, 0);
            assert_eq!(image.pixels(), original);
        }
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_rgb8(7, 5, 3), random_rgb8(7, 5, 3));
        changed(&mut HorizontalFlip, &mut one, 1);
        changed(&mut HorizontalFlip, &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }

    #[test]
    fn agrees_with_the_image_crate() {
        let mut image = random_rgb8(13, 6, 4);
        let other = image::RgbImage::from_raw(13, 6, image.pixels().into_flattened()).unwrap();
        changed(&mut HorizontalFlip, &mut image, 0);
        assert_eq!(image.pixels().into_flattened(), image::imageops::flip_horizontal(&other).into_raw());
    }
}
