//! Gaussian blur with a standard deviation drawn for each image.
//!
//! A separable kernel of `kernel_pixels` taps, `w(i) = exp(-i^2 / 2 sigma^2)`, normalised over its taps:
//! rows first, then columns. Beyond the edges BYOL's code takes zeros (its convolution pads with "SAME"), so that borders
//! darken; torchvision reflects.

use diptych_sdk::{Augmentation, Choice, Error, ImageMut, InPlace, Parameters, Plan, PlanarF32};
use diptych_sdk::{RandomStream, Scratch, Size};

/// What TOML may say.
#[derive(Parameters)]
pub struct GaussianBlurParameters {
    /// Width and height of the kernel; odd. A tenth of the image's side is usual: 23 for 224, 13 for 128, 9 for 96.
    #[parameter(default = 23, minimum = 1, maximum = 511, unit = "pixels")]
    kernel_pixels: u32,
    /// Standard deviation, drawn uniformly for each image.
    #[parameter(default = [0.1, 2.0], minimum = 0.001, maximum = 100, unit = "pixels")]
    sigma: [f64; 2],
    /// What lies beyond the edges: `zero`, as in BYOL's code, or `reflect` (without repeating the edge), as in torchvision.
    #[parameter(default = Padding::Zero)]
    padding: Padding,
}

/// What lies beyond the edges.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Black; the kernel is not renormalised.
    Zero,
    /// The image mirrored at its outermost pixels' centres.
    Reflect,
}

/// See the module.
pub struct GaussianBlur {
    parameters: GaussianBlurParameters,
    sigma: f64,
}

impl Augmentation for GaussianBlur {
    const ID: &'static str = "gaussian_blur";
    const DOC: &'static str = "Blurs with a Gaussian whose standard deviation is drawn for each image.";
    type Access = InPlace<PlanarF32>;
    type Parameters = GaussianBlurParameters;

    fn new(parameters: GaussianBlurParameters) -> Result<Self, Error> {
        let kernel = parameters.kernel_pixels;
        if kernel.is_multiple_of(2) {
            return Err(Error::new(format_args!(
                "kernel_pixels is {kernel}, expected an odd number: the kernel has a middle; use {}",
                kernel + 1
            )));
        }
        Ok(GaussianBlur { parameters, sigma: 0.0 })
    }

    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        let [low, high] = self.parameters.sigma;
        self.sigma = random.uniform(low, high);
        let radius = self.parameters.kernel_pixels as usize / 2;
        let (width, height) = (input.width as usize, input.height as usize);
        Ok(Plan::keep(input)
            .with_scratch::<f32>(radius + 1)
            .with_scratch::<f32>(width + 2 * radius)
            .with_scratch::<f32>(width * height))
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, mut scratch: Scratch<'_>) -> Result<(), Error> {
        let radius = self.parameters.kernel_pixels as usize / 2;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let weights = half_kernel(self.sigma, scratch.take(radius + 1));
        let padded = &mut scratch.take(width + 2 * radius)[..width + 2 * (weights.len() - 1)];
        let rows = scratch.take(width * height);
        let padding = self.parameters.padding;
        for channel in 0..3 {
            for (y, blurred) in rows.chunks_exact_mut(width).enumerate() {
                pad(image.as_image().row(channel, y as u32), padding, padded);
                blur_row(padded, weights, blurred);
            }
            for y in 0..height {
                blur_column(rows, y, weights, padding, image.row_mut(channel, y as u32));
            }
        }
        Ok(())
    }

    fn describe_draws(&self) -> String {
        format!("sigma {:.2}", self.sigma)
    }
}

/// Weights of the middle tap and of those to one side, normalised over the whole kernel. Taps below 2^-30 are left out:
/// they are below a float's rounding of the sum.
fn half_kernel(sigma: f64, weights: &mut [f32]) -> &[f32] {
    let tap = |distance: usize| (-((distance * distance) as f64) / (2.0 * sigma * sigma)).exp();
    let sum: f64 = 1.0 + 2.0 * (1..weights.len()).map(tap).sum::<f64>();
    let mut count = 0;
    for (distance, weight) in weights.iter_mut().enumerate() {
        *weight = (tap(distance) / sum) as f32;
        if *weight < 1.0 / (1 << 30) as f32 {
            break;
        }
        count += 1;
    }
    &weights[..count]
}

/// Copies `row` to the middle of `padded` and fills both sides.
fn pad(row: &[f32], padding: Padding, padded: &mut [f32]) {
    let radius = (padded.len() - row.len()) / 2;
    padded[radius..radius + row.len()].copy_from_slice(row);
    for side in 0..radius {
        let (left, right) = match padding {
            Padding::Zero => (0.0, 0.0),
            Padding::Reflect => {
                let distance = (radius - side) as isize;
                let after = row.len() as isize + side as isize;
                (row[reflect(-distance, row.len())], row[reflect(after, row.len())])
            }
        };
        padded[side] = left;
        padded[radius + row.len() + side] = right;
    }
}

/// Index in 0..count of the mirror image of `index`.
fn reflect(index: isize, count: usize) -> usize {
    if count == 1 {
        return 0;
    }
    let period = 2 * (count as isize - 1);
    let folded = index.rem_euclid(period);
    folded.min(period - folded) as usize
}

/// Columns that are blurred at once: their sums stay in registers while the taps pass by.
const LANES: usize = 16;

/// `out[x]` = sum over taps of `weights[|i|] * padded[x + radius + i]`.
fn blur_row(padded: &[f32], weights: &[f32], out: &mut [f32]) {
    let radius = weights.len() - 1;
    let mut chunks = out.chunks_exact_mut(LANES);
    let mut x = 0;
    for chunk in &mut chunks {
        let middle = &padded[x + radius..][..LANES];
        let mut sums: [f32; LANES] = std::array::from_fn(|lane| weights[0] * middle[lane]);
        for (distance, &weight) in weights.iter().enumerate().skip(1) {
            let left = &padded[x + radius - distance..][..LANES];
            let right = &padded[x + radius + distance..][..LANES];
            for lane in 0..LANES {
                sums[lane] += weight * (left[lane] + right[lane]);
            }
        }
        chunk.copy_from_slice(&sums);
        x += LANES;
    }
    for (lane, out) in chunks.into_remainder().iter_mut().enumerate() {
        let at = x + lane + radius;
        *out = (1..weights.len()).fold(weights[0] * padded[at], |sum, distance| {
            sum + weights[distance] * (padded[at - distance] + padded[at + distance])
        });
    }
}

/// Row `y` of the image whose rows (of `out.len()` samples) are `rows`, blurred along columns.
fn blur_column(rows: &[f32], y: usize, weights: &[f32], padding: Padding, out: &mut [f32]) {
    let width = out.len();
    let height = rows.len() / width;
    let row = |at: isize| {
        let inside = (0..height as isize).contains(&at);
        let at = match padding {
            Padding::Zero if !inside => return None,
            _ => reflect(at, height),
        };
        Some(&rows[at * width..][..width])
    };
    for (out, &sample) in out.iter_mut().zip(&rows[y * width..][..width]) {
        *out = weights[0] * sample;
    }
    for (distance, &weight) in weights.iter().enumerate().skip(1) {
        match (row(y as isize - distance as isize), row(y as isize + distance as isize)) {
            (Some(above), Some(below)) => {
                for ((out, &above), &below) in out.iter_mut().zip(above).zip(below) {
                    *out += weight * (above + below);
                }
            }
            (Some(only), None) | (None, Some(only)) => {
                for (out, &sample) in out.iter_mut().zip(only) {
                    *out += weight * sample;
                }
            }
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, byol_images, changed, planar, random_planar, refused, with_defaults};

    fn blur(kernel_pixels: u32, sigma: f64, padding: Padding) -> GaussianBlur {
        GaussianBlur::new(GaussianBlurParameters { kernel_pixels, sigma: [sigma, sigma], padding }).unwrap()
    }

    #[test]
    fn three_taps_agree_with_a_hand_computation() {
        // exp(-1/2) = 0.60653: taps 0.27407, 0.45186, 0.27407 once normalised.
        let mut image = planar(3, 1, &[[0.0; 3], [1.0; 3], [0.0; 3]]);
        changed(&mut blur(3, 1.0, Padding::Reflect), &mut image, 0);
        // One row reflects into itself: no change along columns. Edges see the middle from both sides.
        assert_close(&image.pixels(), &[[0.54814; 3], [0.45186; 3], [0.54814; 3]], 1e-5);

        let mut image = planar(3, 1, &[[0.0; 3], [1.0; 3], [0.0; 3]]);
        changed(&mut blur(3, 1.0, Padding::Zero), &mut image, 0);
        let (side, middle) = (0.27407 * 0.45186, 0.45186 * 0.45186);
        assert_close(&image.pixels(), &[[side; 3], [middle; 3], [side; 3]], 1e-5);
    }

    #[test]
    fn reflection_keeps_a_flat_image_and_zeros_darken_only_its_border() {
        let flat = vec![[0.25, 0.5, 1.0]; 40 * 36];
        let mut image = planar(40, 36, &flat);
        changed(&mut blur(23, 2.0, Padding::Reflect), &mut image, 0);
        assert_close(&image.pixels(), &flat, 1e-6);
        let mut image = planar(40, 36, &flat);
        changed(&mut blur(23, 2.0, Padding::Zero), &mut image, 0);
        let pixels = image.pixels();
        assert_close(&pixels[18 * 40 + 20..][..1], &flat[..1], 1e-6);
        assert!(pixels[0][2] < 0.4 && pixels[0][2] > 0.25, "corner {:?}", pixels[0]);
    }

    #[test]
    fn an_image_smaller_than_the_kernel_is_blurred_too() {
        for padding in [Padding::Zero, Padding::Reflect] {
            for (width, height) in [(1, 1), (2, 3), (5, 1)] {
                let mut image = random_planar(width, height, 9);
                changed(&mut blur(23, 2.0, padding), &mut image, 0);
                assert!(image.pixels().as_flattened().iter().all(|sample| (0.0..=1.0).contains(sample)));
            }
        }
    }

    #[test]
    fn agrees_with_the_byol_authors_code() {
        for (kernel, sigma) in [(23, 0.1), (23, 1.3), (23, 2.0), (7, 0.8)] {
            for (input, reference) in byol_images(&format!("gaussian_blur.k{kernel}.s{sigma:.1}")) {
                let mut image = input;
                changed(&mut blur(kernel, sigma, Padding::Zero), &mut image, 0);
                assert_close(&image.pixels(), &reference, 1e-5);
            }
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_sigma_within_its_range() {
        let (mut one, mut other) = (with_defaults::<GaussianBlur>(), with_defaults::<GaussianBlur>());
        let size = Size { width: 8, height: 8 };
        let mut distinct = std::collections::BTreeSet::new();
        for seed in 0..100 {
            one.plan(size, &mut RandomStream::new([seed, 1])).unwrap();
            other.plan(size, &mut RandomStream::new([seed, 1])).unwrap();
            assert_eq!(one.sigma, other.sigma);
            assert!((0.1..2.0).contains(&one.sigma));
            distinct.insert(one.sigma.to_bits());
        }
        assert_eq!(distinct.len(), 100);
    }

    #[test]
    fn an_even_kernel_is_refused_with_the_next_odd_one() {
        let parameters =
            GaussianBlurParameters { kernel_pixels: 22, sigma: [1.0, 1.0], padding: Padding::Zero };
        assert!(refused(GaussianBlur::new(parameters)).contains("22, expected an odd number"));
    }
}
