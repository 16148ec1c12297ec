//! Resize: the whole image to a given short side (keeping its aspect ratio), or to a square.
//!
//! Evaluation protocols resize the short side to 256 before a centre crop of 224. The long side is
//! `floor(size * long / short)`, as in torchvision.

use diptych_sdk::{Augmentation, Choice, Error, Images, IntoOutput, Parameters, Plan, RandomStream};
use diptych_sdk::{Region, Rgb8, Scratch, Size};

use crate::resample::{Interpolation, Resampler};

/// What TOML may say.
#[derive(Parameters)]
pub struct ResizeParameters {
    /// The short side, or both sides, of the output.
    #[parameter(default = 256, minimum = 1, maximum = 16384, unit = "pixels")]
    size_pixels: u32,
    /// What `size_pixels` sets: the `short_side`, the aspect ratio being kept, or `exact`, width and height.
    #[parameter(default = Fit::ShortSide)]
    fit: Fit,
    /// How values between pixels are found: `bicubic` or `bilinear`.
    #[parameter(default = Interpolation::Bicubic)]
    interpolation: Interpolation,
    /// Whether shrinking averages over all pixels it covers, as Pillow and torchvision do.
    #[parameter(default = true)]
    antialias: bool,
}

/// What `size_pixels` sets.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The shorter of width and height.
    ShortSide,
    /// Both width and height.
    Exact,
}

/// Longest output side: a ribbon of an image, one pixel high, must not ask for unbounded memory.
const LONGEST: u64 = 1 << 16;

/// See the module.
pub struct Resize {
    parameters: ResizeParameters,
    resampler: Resampler,
    region: Region,
}

impl Augmentation for Resize {
    const ID: &'static str = "resize";
    const DOC: &'static str = "Resizes the whole image, to a short side or to a square.";
    type Access = IntoOutput<Rgb8>;
    type Parameters = ResizeParameters;

    fn new(parameters: ResizeParameters) -> Result<Self, Error> {
        let resampler = Resampler::new(parameters.interpolation, parameters.antialias);
        Ok(Resize { parameters, resampler, region: Region::default() })
    }

    fn plan(&mut self, input: Size, _: &mut RandomStream) -> Result<Plan, Error> {
        let output = output_size(input, self.parameters.size_pixels, self.parameters.fit)?;
        let plan = Plan { output, ..Plan::keep(input) };
        self.region = plan.region;
        Ok(plan)
    }

    fn apply(&mut self, images: Images<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
        let Images { input, mut output } = images;
        self.resampler.resize(&input, self.region, &mut output)
    }
}

fn output_size(input: Size, size_pixels: u32, fit: Fit) -> Result<Size, Error> {
    if fit == Fit::Exact {
        return Ok(Size { width: size_pixels, height: size_pixels });
    }
    let short = u64::from(input.width.min(input.height));
    let long = u64::from(input.width.max(input.height)) * u64::from(size_pixels) / short;
    if long > LONGEST {
        return Err(Error::new(format_args!(
            "the image has {}x{} pixels: with a short side of {size_pixels} its long side would be {long}, expected \
             at most {LONGEST}; use fit = \"exact\" or leave the file out",
            input.width, input.height
        )));
    }
    let long = long as u32;
    Ok(if input.width <= input.height {
        Size { width: size_pixels, height: long }
    } else {
        Size { width: long, height: size_pixels }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{changed, random_rgb8, refused, rgb8, with_defaults};

    fn resize(size_pixels: u32, fit: Fit, interpolation: Interpolation) -> Resize {
        Resize::new(ResizeParameters { size_pixels, fit, interpolation, antialias: true }).unwrap()
    }

    #[test]
    fn sizes_are_torchvisions() {
        let size = |width, height| output_size(Size { width, height }, 256, Fit::ShortSide).unwrap();
        assert_eq!(size(500, 375), Size { width: 341, height: 256 });
        assert_eq!(size(375, 500), Size { width: 256, height: 341 });
        assert_eq!(size(10, 10), Size { width: 256, height: 256 });
        let exact = output_size(Size { width: 5, height: 90 }, 32, Fit::Exact).unwrap();
        assert_eq!(exact, Size { width: 32, height: 32 });
    }

    #[test]
    fn a_ribbon_is_refused_with_its_size() {
        let message = refused(output_size(Size { width: 60_000, height: 1 }, 256, Fit::ShortSide));
        assert!(message.contains("60000x1"), "{message}");
    }

    #[test]
    fn halving_a_gradient_averages_as_computed_by_hand() {
        // Antialiased bilinear at one half weighs 1/8, 3/8, 3/8, 1/8; at an edge 3/7, 3/7, 1/7.
        let mut image = rgb8(4, 1, &[[0; 3], [70; 3], [140; 3], [210; 3]]);
        let mut operator = resize(2, Fit::Exact, Interpolation::Bilinear);
        changed(&mut operator, &mut image, 0);
        assert_eq!(image.pixels(), [[50; 3], [160; 3], [50; 3], [160; 3]]);
    }

    #[test]
    fn a_flat_image_stays_flat() {
        for interpolation in [Interpolation::Bicubic, Interpolation::Bilinear] {
            let mut image = rgb8(30, 20, &[[9, 130, 255]; 600]);
            changed(&mut resize(7, Fit::ShortSide, interpolation), &mut image, 0);
            assert!(image.pixels().iter().all(|pixel| *pixel == [9, 130, 255]));
        }
    }

    #[test]
    fn the_seed_makes_no_difference() {
        let (mut one, mut other) = (random_rgb8(9, 7, 3), random_rgb8(9, 7, 3));
        changed(&mut with_defaults::<Resize>(), &mut one, 1);
        changed(&mut with_defaults::<Resize>(), &mut other, 2);
        assert_eq!(one.pixels(), other.pixels());
    }

    /// Recorded from Pillow 13.0: `Image.resize((4, 4), BICUBIC or BILINEAR)` of this 11x9 image.
    #[test]
    fn agrees_with_pillow() {
        let pixels: Vec<[u8; 3]> = (0..99)
            .map(|i| (i % 11, i / 11))
            .map(|(x, y): (u32, u32)| [x * 37 + y * 11, x * 5 + y * 71, x * x * 3 + y * 29].map(|v| v as u8))
            .collect();
        let cases = [(Interpolation::Bicubic, PILLOW_BICUBIC), (Interpolation::Bilinear, PILLOW_BILINEAR)];
        for (interpolation, expected) in cases {
            let mut image = rgb8(11, 9, &pixels);
            changed(&mut resize(4, Fit::Exact, interpolation), &mut image, 0);
            for (found, expected) in image.pixels().as_flattened().iter().zip(expected.as_flattened()) {
                assert!(
                    found.abs_diff(*expected) <= 1,
                    "{interpolation:?}: found {found}, Pillow has {expected}"
                );
            }
        }
    }

    #[rustfmt::skip]
    const PILLOW_BICUBIC: [[u8; 3]; 16] = [
        [42, 61, 23], [151, 74, 58], [130, 88, 154], [74, 103, 130],
        [66, 148, 85], [172, 162, 126], [132, 178, 170], [99, 111, 96],
        [93, 118, 154], [189, 119, 201], [86, 131, 122], [129, 141, 130],
        [122, 163, 216], [170, 81, 141], [68, 76, 85], [158, 92, 170],
    ];
    #[rustfmt::skip]
    const PILLOW_BILINEAR: [[u8; 3]; 16] = [
        [51, 65, 31], [144, 77, 68], [129, 91, 147], [81, 103, 128],
        [73, 146, 90], [163, 158, 127], [132, 170, 161], [103, 114, 103],
        [99, 120, 156], [175, 118, 185], [94, 129, 130], [129, 137, 132],
        [121, 154, 206], [163, 85, 145], [80, 80, 95], [151, 92, 164],
    ];
}
