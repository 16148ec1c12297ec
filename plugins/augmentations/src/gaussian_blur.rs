//! Gaussian blur with a standard deviation drawn for each image.
//!
//! A separable kernel of `kernel_pixels` taps, `w(i) = exp(-i^2 / 2 sigma^2)`, normalised over its taps:
//! rows first, then columns. Beyond the edges BYOL's code takes zeros (its convolution pads with "SAME"), so that borders
//! darken; torchvision reflects.

use diptych_sdk::{Augmentation, Choice, Error, ImageMut, InPlace, Parameters, Plan, PlanarF32};
use diptych_sdk::{RandomStream, Scratch, Size};
use multiversion::multiversion;

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
            .with_scratch::<f32>(width * (height + 2 * radius)))
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, mut scratch: Scratch<'_>) -> Result<(), Error> {
        let most = self.parameters.kernel_pixels as usize / 2;
        let (width, height) = (image.width() as usize, image.height() as usize);
        let weights = half_kernel(self.sigma, scratch.take(most + 1));
        let radius = weights.len() - 1;
        let padded_row = &mut scratch.take(width + 2 * most)[..width + 2 * radius];
        let padded_rows = &mut scratch.take(width * (height + 2 * most))[..width * (height + 2 * radius)];
        for channel in 0..3 {
            let rows = &mut padded_rows[width * radius..];
            for (y, blurred) in rows.chunks_exact_mut(width).take(height).enumerate() {
                padded_row[radius..][..width].copy_from_slice(image.as_image().row(channel, y as u32));
                pad(padded_row, 1, radius, self.parameters.padding);
                weigh(padded_row, radius, 1, weights, blurred);
            }
            pad(padded_rows, width, radius, self.parameters.padding);
            for y in 0..height {
                let middle = (y + radius) * width;
                weigh(padded_rows, middle, width, weights, image.row_mut(channel, y as u32));
            }
        }
        Ok(())
    }

    fn describe_draws(&self) -> String {
        format!("sigma {:.2}", self.sigma)
    }
}

/// What the outermost taps that are left out may weigh together: a thousandth of what a byte resolves.
const NEGLIGIBLE: f64 = 1.0 / (1 << 18) as f64;

/// Weights of the middle tap and of those to one side, normalised over the whole kernel. `weights` has room for all
/// taps; the outermost are left out where they are negligible, so that the work follows sigma.
fn half_kernel(sigma: f64, weights: &mut [f32]) -> &[f32] {
    let tap = |distance: usize| (-((distance * distance) as f64) / (2.0 * sigma * sigma)).exp();
    let sum_to = |count: usize| 1.0 + 2.0 * (1..count).map(tap).sum::<f64>();
    let (mut count, mut left_out) = (weights.len(), 0.0);
    let whole = sum_to(count);
    while count > 1 {
        left_out += 2.0 * tap(count - 1);
        if left_out > NEGLIGIBLE * whole {
            break;
        }
        count -= 1;
    }
    let sum = sum_to(count);
    for (distance, weight) in weights[..count].iter_mut().enumerate() {
        *weight = (tap(distance) / sum) as f32;
    }
    &weights[..count]
}

/// Fills the first and the last `radius` lines of `padded`, each of `length` samples, from those between them.
fn pad(padded: &mut [f32], length: usize, radius: usize, padding: Padding) {
    let count = padded.len() / length - 2 * radius;
    for side in 0..radius {
        let (before, after) = (side, radius + count + side);
        match padding {
            Padding::Zero => [before, after].map(|line| padded[line * length..][..length].fill(0.0)),
            Padding::Reflect => [before, after].map(|line| {
                let inside = radius + reflect(line as isize - radius as isize, count);
                padded.copy_within(inside * length..(inside + 1) * length, line * length);
            }),
        };
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

/// `out[x]` = sum over taps i of `weights[|i|] * source[middle + x + i * stride]`: along a row with a stride of 1, along
/// columns with a row's length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn weigh(source: &[f32], middle: usize, stride: usize, weights: &[f32], out: &mut [f32]) {
    // So many sums at once stay in registers while the taps pass by, and additions don't wait for each other.
    match out.len() {
        64.. => weigh_lanes::<64>(source, middle, stride, weights, out),
        16.. => weigh_lanes::<16>(source, middle, stride, weights, out),
        _ => weigh_lanes::<1>(source, middle, stride, weights, out),
    }
}

/// At least `LANES` samples, so many at a time; the last ones begin among those before.
#[inline(always)]
fn weigh_lanes<const LANES: usize>(
    source: &[f32],
    middle: usize,
    stride: usize,
    weights: &[f32],
    out: &mut [f32],
) {
    let last = out.len() - LANES;
    for at in (0..last).step_by(LANES).chain([last]) {
        let x = middle + at;
        let mut sums = [0.0; LANES];
        for (sum, sample) in sums.iter_mut().zip(&source[x..][..LANES]) {
            *sum = weights[0] * sample;
        }
        for (distance, weight) in weights.iter().enumerate().skip(1) {
            let before = &source[x - distance * stride..][..LANES];
            let after = &source[x + distance * stride..][..LANES];
            for lane in 0..LANES {
                sums[lane] += weight * (before[lane] + after[lane]);
            }
        }
        out[at..at + LANES].copy_from_slice(&sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        assert_close, byol_images, changed, planar, random_planar, refused, torchvision_image, with_defaults,
    };

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
    fn reflection_agrees_with_torchvision() {
        for sigma in [0.1, 0.7, 2.0] {
            let (mut image, expected) = torchvision_image(&format!("gaussian_blur.{sigma:.1}"));
            changed(&mut blur(23, sigma, Padding::Reflect), &mut image, 0);
            assert_close(&image.pixels(), &expected, 1e-5);
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
