//! The arithmetic after entropy decoding, in portable form: inverse DCT, upsampling, colour.
//!
//! Whoever decodes must round as libjpeg does to get its bits. The inverse DCT is the one of Loeffler, Ligtenberg and
//! Moschytz in 13-bit fixed point, first down the columns, with 2 bits kept between the passes, then along the rows.

use std::num::Wrapping;

use crate::huffman::Block;

/// Which form of the kernels runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(crate::avx2::Avx2),
}

impl Default for Level {
    /// The fastest that this machine runs.
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = crate::avx2::Avx2::detect() {
            return Level::Avx2(avx2);
        }
        Level::Portable
    }
}

/// Lines may be longer than the pixels asked for, and are then read beyond them.
pub(crate) trait Kernels: Copy {
    /// Dequantizes and transforms two blocks of coefficients, and writes their samples to where each starts, its rows a
    /// stride apart.
    fn idct_pair(
        self,
        blocks: [&Block; 2],
        quantization: [&[i16; 64]; 2],
        samples: &mut [u8],
        targets: [(usize, usize); 2],
    );

    /// Doubles a row across: `near` has one sample more at each end than are doubled.
    #[inline(always)]
    fn triangle_across(self, near: &[u8], out: &mut [u8]) {
        for (pair, near) in out.chunks_exact_mut(2).zip(near.windows(3)) {
            let [left, here, right] = [near[0], near[1], near[2]].map(u16::from);
            pair[0] = ((3 * here + left + 1) >> 2) as u8;
            pair[1] = ((3 * here + right + 2) >> 2) as u8;
        }
    }

    /// A row between `near` and `next`.
    #[inline(always)]
    fn triangle_down(self, near: &[u8], next: &[u8], bias: u16, out: &mut [u8]) {
        for ((out, near), next) in out.iter_mut().zip(near).zip(next) {
            *out = ((3 * u16::from(*near) + u16::from(*next) + bias) >> 2) as u8;
        }
    }

    /// A row between `near` and `next`, doubled across; they have one sample more at each end than are doubled, as
    /// has `sums`, working memory.
    #[inline(always)]
    fn triangle(self, near: &[u8], next: &[u8], sums: &mut [i16], out: &mut [u8]) {
        for ((sum, near), next) in sums.iter_mut().zip(near).zip(next) {
            *sum = 3 * i16::from(*near) + i16::from(*next);
        }
        let (left, here, right) = (&sums[..], &sums[1..], &sums[2..]);
        for (((pair, left), here), right) in out.chunks_exact_mut(2).zip(left).zip(here).zip(right) {
            pair[0] = ((3 * here + left + 8) >> 4) as u8;
            pair[1] = ((3 * here + right + 7) >> 4) as u8;
        }
    }

    /// Gray to RGB.
    #[inline(always)]
    fn gray(self, gray: &[u8], pixels: &mut [u8]) {
        for (pixel, &gray) in pixels.chunks_exact_mut(3).zip(gray) {
            pixel.fill(gray);
        }
    }

    /// Planes to RGB.
    #[inline(always)]
    fn interleave(self, red: &[u8], green: &[u8], blue: &[u8], pixels: &mut [u8]) {
        for (((pixel, red), green), blue) in pixels.chunks_exact_mut(3).zip(red).zip(green).zip(blue) {
            pixel.copy_from_slice(&[*red, *green, *blue]);
        }
    }

    /// JFIF's YCbCr to RGB.
    #[inline(always)]
    fn ycc(self, y: &[u8], cb: &[u8], cr: &[u8], pixels: &mut [u8]) {
        for (((pixel, y), cb), cr) in pixels.chunks_exact_mut(3).zip(y).zip(cb).zip(cr) {
            pixel.copy_from_slice(&rgb(*y, *cb, *cr));
        }
    }
}

/// Coefficients in units of 2^-16, each product rounded by itself where libjpeg has a table for it.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((91_881 * cr + HALF) >> 16);
    let green = y + ((-22_554 * cb - 46_802 * cr + HALF) >> 16);
    let blue = y + ((116_130 * cb + HALF) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn idct_pair(
        self,
        blocks: [&Block; 2],
        quantization: [&[i16; 64]; 2],
        samples: &mut [u8],
        targets: [(usize, usize); 2],
    ) {
        for ((block, quantization), (start, stride)) in blocks.into_iter().zip(quantization).zip(targets) {
            idct(block, quantization, &mut samples[start..], stride);
        }
    }
}

fn idct(block: &Block, quantization: &[i16; 64], samples: &mut [u8], stride: usize) {
    let mut columns = [0; 64];
    for x in 0..8 {
        let down = std::array::from_fn(|y| block[8 * y + x].wrapping_mul(quantization[8 * y + x]));
        for (y, value) in transform::<11>(down).into_iter().enumerate() {
            columns[8 * y + x] = value;
        }
    }
    for (y, row) in columns.as_chunks::<8>().0.iter().enumerate() {
        for (sample, value) in samples[y * stride..][..8].iter_mut().zip(transform::<18>(*row)) {
            *sample = (value.clamp(-128, 127) + 128) as u8;
        }
    }
}

/// `round(2^13 * x)`.
const fn fixed(x: f64) -> i32 {
    (x * 8192.0 + 0.5) as i32
}

/// The rotations' factors, as libjpeg names them.
pub(crate) const F0_298: i32 = fixed(0.298_631_336);
pub(crate) const F0_390: i32 = fixed(0.390_180_644);
pub(crate) const F0_541: i32 = fixed(0.541_196_100);
pub(crate) const F0_765: i32 = fixed(0.765_366_865);
pub(crate) const F0_899: i32 = fixed(0.899_976_223);
pub(crate) const F1_175: i32 = fixed(1.175_875_602);
pub(crate) const F1_501: i32 = fixed(1.501_321_110);
pub(crate) const F1_847: i32 = fixed(1.847_759_065);
pub(crate) const F1_961: i32 = fixed(1.961_570_560);
pub(crate) const F2_053: i32 = fixed(2.053_119_869);
pub(crate) const F2_562: i32 = fixed(2.562_915_447);
pub(crate) const F3_072: i32 = fixed(3.072_711_026);

/// One dimension, 8 points, divided by `2^SHIFT` and rounded. Only damaged files have values whose sums wrap or that end
/// outside of 16 bits; these give here what they give in vectors.
#[inline(always)]
fn transform<const SHIFT: u32>(input: [i16; 8]) -> [i16; 8] {
    let add = |a: i16, b: i16| Wrapping(i32::from(a.wrapping_add(b)));
    let subtract = |a: i16, b: i16| Wrapping(i32::from(a.wrapping_sub(b)));
    let (first_sum, first_difference) = (add(input[0], input[4]), subtract(input[0], input[4]));
    let (z3, z4) = (add(input[7], input[3]), add(input[5], input[1]));
    let [_, i1, i2, i3, _, i5, i6, i7] = input.map(|value| Wrapping(i32::from(value)));

    let rotated = (i2 + i6) * Wrapping(F0_541);
    let (even2, even3) = (rotated - i6 * Wrapping(F1_847), rotated + i2 * Wrapping(F0_765));
    let (even0, even1) = (first_sum << 13, first_difference << 13);
    let even = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];

    let z5 = (z3 + z4) * Wrapping(F1_175);
    let (z1, z2) = ((i7 + i1) * Wrapping(-F0_899), (i5 + i3) * Wrapping(-F2_562));
    let (z3, z4) = (z3 * Wrapping(-F1_961) + z5, z4 * Wrapping(-F0_390) + z5);
    let odd = [
        i1 * Wrapping(F1_501) + z1 + z4,
        i3 * Wrapping(F3_072) + z2 + z3,
        i5 * Wrapping(F2_053) + z2 + z4,
        i7 * Wrapping(F0_298) + z1 + z3,
    ];

    let half = Wrapping(1 << (SHIFT - 1));
    let out = |value: Wrapping<i32>| {
        ((value + half) >> SHIFT as usize).0.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    };
    std::array::from_fn(|i| if i < 4 { out(even[i] + odd[i]) } else { out(even[7 - i] - odd[7 - i]) })
}
