//! Centre crop: a square from the middle, as evaluation protocols take it after [`crate::resize`].
//!
//! The odd pixel of an uneven margin stays left and above (the offset is half the margin, rounded up), as in the
//! TensorFlow code that BYOL and SimCLR evaluate with.

use diptych_sdk::{Augmentation, Error, Images, IntoOutput, Parameters, Plan, RandomStream};
use diptych_sdk::{Region, Rgb8, Scratch, Size};

/// What TOML may say.
#[derive(Parameters)]
pub struct CenterCropParameters {
    /// Width and height of the crop. An image that is smaller in either is an error.
    #[parameter(default = 224, minimum = 1, maximum = 16384, unit = "pixels")]
    size_pixels: u32,
}

/// See the module.
pub struct CenterCrop {
    size_pixels: u32,
    region: Region,
}

impl Augmentation for CenterCrop {
    const ID: &'static str = "center_crop";
    const DOC: &'static str = "Takes a square from the middle of the image.";
    type Access = IntoOutput<Rgb8>;
    type Parameters = CenterCropParameters;

    fn new(parameters: CenterCropParameters) -> Result<Self, Error> {
        Ok(CenterCrop { size_pixels: parameters.size_pixels, region: Region::default() })
    }

    fn plan(&mut self, input: Size, _: &mut RandomStream) -> Result<Plan, Error> {
        let side = self.size_pixels;
        if input.width < side || input.height < side {
            return Err(Error::new(format_args!(
                "the image has {}x{} pixels, expected at least {side}x{side}; put a resize before the crop",
                input.width, input.height
            )));
        }
        let (x, y) = ((input.width - side).div_ceil(2), (input.height - side).div_ceil(2));
        self.region = Region { x, y, width: side, height: side };
        Ok(Plan::crop(self.region, Size { width: side, height: side }))
    }

    fn apply(&mut self, images: Images<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
        let Images { input, mut output } = images;
        let (left, top) = (self.region.x - input.region().x, self.region.y - input.region().y);
        for y in 0..self.region.height {
            let row = &input.row(top + y)[left as usize..][..self.region.width as usize];
            output.row_mut(y).copy_from_slice(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changed, random_rgb8, refused, rgb8, stream};

    fn crop(size_pixels: u32) -> CenterCrop {
        CenterCrop::new(CenterCropParameters { size_pixels }).unwrap()
    }

    #[test]
    fn takes_the_middle_and_leaves_the_odd_pixel_on_the_left() {
        let pixels: Vec<[u8; 3]> = (0..20).map(|i| [i, i, i]).collect();
        let mut image = rgb8(5, 4, &pixels);
        changed(&mut crop(2), &mut image, 0);
        assert_eq!(image.pixels(), [[7; 3], [8; 3], [12; 3], [13; 3]]);
    }

    #[test]
    fn a_crop_of_the_images_own_size_is_the_image() {
        let mut image = random_rgb8(6, 6, 1);
        let original = image.pixels();
        changed(&mut crop(6), &mut image, 0);
        assert_eq!(image.pixels(), original);
    }

    #[test]
    fn a_smaller_image_is_refused_with_both_sizes() {
        let message = refused(crop(224).plan(Size { width: 300, height: 200 }, &mut stream(0)));
        assert!(message.contains("300x200") && message.contains("224x224"), "{message}");
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_rgb8(9, 9, 3), random_rgb8(9, 9, 3));
        changed(&mut crop(4), &mut one, 1);
        changed(&mut crop(4), &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }

    #[test]
    fn agrees_with_the_image_crate() {
        let mut image = random_rgb8(13, 9, 4);
        let other = image::RgbImage::from_raw(13, 9, image.pixels().into_flattened()).unwrap();
        changed(&mut crop(7), &mut image, 0);
        let expected = image::imageops::crop_imm(&other, 3, 1, 7, 7).to_image();
        assert_eq!(image.pixels().into_flattened(), expected.into_raw());
    }
}
