//! The two steps for AVX2.
//!
//! The only file with `unsafe`: for calling functions that want these instructions, which an [`Avx2`] proves are there, and
//! for loads and stores of vectors from and to arrays.

#![allow(unsafe_code)]

use std::arch::x86_64::*;

use crate::portable::{self, Columns};
use crate::{GROUP, ROW_BITS, SCALE, WEIGHT_BITS};

/// Proof that the machine has AVX2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Avx2> {
        is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// As [`portable::weigh_rows`].
    pub fn weigh_rows<'a>(self, source: impl Fn(usize) -> &'a [u8], weights: &[i16], row: &mut [i16]) {
        if row.len() < 16 {
            return portable::weigh_rows(source, weights, row);
        }
        let source_of = |tap: usize| source_or_any(&source, tap, weights[tap]);
        // SAFETY: `self` exists on machines only that have AVX2.
        unsafe {
            match *weights {
                [a, b] => weigh_row_pairs([(source_of(0), source_of(1), a, b)], row),
                [a, b, c, d] => weigh_row_pairs(
                    [(source_of(0), source_of(1), a, b), (source_of(2), source_of(3), c, d)],
                    row,
                ),
                _ => weigh_many_rows(&source, weights, row),
            }
        }
    }

    /// As [`portable::weigh_columns`].
    pub fn weigh_columns(self, row: &[i16], columns: &Columns, out: [&mut [f32]; 3]) {
        // SAFETY: `self` exists on machines only that have AVX2.
        unsafe {
            match columns.tap_pairs {
                1 => weigh_columns::<1>(row, columns, out),
                2 => weigh_columns::<2>(row, columns, out),
                _ => weigh_columns::<0>(row, columns, out),
            }
        }
    }
}

/// Row `tap`, or any row where the weight is 0, as there may be none so far below.
#[inline(always)]
fn source_or_any<'a>(source: &impl Fn(usize) -> &'a [u8], tap: usize, weight: i16) -> &'a [u8] {
    source(if weight == 0 { 0 } else { tap })
}

/// # Safety
/// `at` and seven more are within `values`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_i16(values: &[i16], at: usize) -> __m128i {
    // SAFETY: the caller vouches for the 16 bytes that are read; alignment is not asked for.
    unsafe { _mm_loadu_si128(values.as_ptr().add(at).cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_weights(values: &[i16; 16]) -> __m256i {
    // SAFETY: the array has the 32 bytes that are read; alignment is not asked for.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
}

/// 16 bytes as 16-bit numbers.
#[inline]
#[target_feature(enable = "avx2")]
fn load_bytes(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: the array has the 16 bytes that are read; alignment is not asked for.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_i16(values: &mut [i16; 16], vector: __m256i) {
    // SAFETY: the array has the 32 bytes that are written; alignment is not asked for.
    unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_f32(values: &mut [f32; 8], vector: __m256) {
    // SAFETY: the array has the 32 bytes that are written; alignment is not asked for.
    unsafe { _mm256_storeu_ps(values.as_mut_ptr(), vector) }
}

/// Two weights, for `_mm256_madd_epi16`.
#[inline]
#[target_feature(enable = "avx2")]
fn pair(first: i16, second: i16) -> __m256i {
    _mm256_set1_epi32(i32::from(second) << 16 | i32::from(first) & 0xFFFF)
}

/// Adds two rows, each times its weight, to the sums of 16 samples.
#[inline]
#[target_feature(enable = "avx2")]
fn add_pair(sums: [__m256i; 2], first: &[u8; 16], second: &[u8; 16], weights: __m256i) -> [__m256i; 2] {
    let (first, second) = (load_bytes(first), load_bytes(second));
    let low = _mm256_madd_epi16(_mm256_unpacklo_epi16(first, second), weights);
    let high = _mm256_madd_epi16(_mm256_unpackhi_epi16(first, second), weights);
    [_mm256_add_epi32(sums[0], low), _mm256_add_epi32(sums[1], high)]
}

/// Packing undoes what unpacking did to the order.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(sums: [__m256i; 2]) -> __m256i {
    const SHIFT: i32 = (WEIGHT_BITS - ROW_BITS) as i32;
    _mm256_packs_epi32(_mm256_srai_epi32(sums[0], SHIFT), _mm256_srai_epi32(sums[1], SHIFT))
}

#[inline]
#[target_feature(enable = "avx2")]
fn half() -> __m256i {
    _mm256_set1_epi32(1 << (WEIGHT_BITS - ROW_BITS - 1))
}

/// `PAIRS` pairs of rows with their weights; `row` has at least 16 samples.
#[target_feature(enable = "avx2")]
fn weigh_row_pairs<const PAIRS: usize>(pairs: [(&[u8], &[u8], i16, i16); PAIRS], row: &mut [i16]) {
    let length = row.len();
    let pairs = pairs.map(|(first, second, a, b)| (&first[..length], &second[..length], pair(a, b)));
    let mut at = 0;
    loop {
        let mut sums = [half(); 2];
        for (first, second, weights) in &pairs {
            sums = add_pair(sums, sixteen(first, at), sixteen(second, at), *weights);
        }
        let samples: &mut [i16; 16] = (&mut row[at..at + 16]).try_into().expect("16 of them");
        store_i16(samples, finish(sums));
        if at + 16 == length {
            return;
        }
        // The last ones begin among those before.
        at = (at + 16).min(length - 16);
    }
}

/// As many rows as there are weights; `row` has at least 16 samples.
#[target_feature(enable = "avx2")]
fn weigh_many_rows<'a>(source: &impl Fn(usize) -> &'a [u8], weights: &[i16], row: &mut [i16]) {
    // So many vectors stay in registers while the rows pass by.
    const VECTORS: usize = 4;
    let length = row.len();
    let mut at = 0;
    while at < length {
        let starts: [usize; VECTORS] = std::array::from_fn(|vector| (at + 16 * vector).min(length - 16));
        let mut sums = [[half(); 2]; VECTORS];
        for (tap, weights) in weights.as_chunks::<2>().0.iter().enumerate() {
            let first = source_or_any(source, 2 * tap, weights[0]);
            let second = source_or_any(source, 2 * tap + 1, weights[1]);
            let weights = pair(weights[0], weights[1]);
            for (sums, start) in sums.iter_mut().zip(starts) {
                *sums = add_pair(*sums, sixteen(first, start), sixteen(second, start), weights);
            }
        }
        for (sums, start) in sums.into_iter().zip(starts) {
            let samples: &mut [i16; 16] = (&mut row[start..start + 16]).try_into().expect("16 of them");
            store_i16(samples, finish(sums));
        }
        at += 16 * VECTORS;
    }
}

#[inline(always)]
fn sixteen(bytes: &[u8], at: usize) -> &[u8; 16] {
    bytes[at..at + 16].try_into().expect("16 of them")
}

/// A group of pixels at a time.
///
/// # Panics
/// When a pixel's taps reach beyond the row.
#[target_feature(enable = "avx2")]
fn weigh_columns<const PAIRS: usize>(row: &[i16], columns: &Columns, out: [&mut [f32]; 3]) {
    let tap_pairs = if PAIRS == 0 { columns.tap_pairs } else { PAIRS };
    // Of two pixels' samples (r g b r g b - -), the pairs rr gg bb --.
    let shuffle = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -128, -128, -128, -128,
    ));
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let (scale, zero, one) = (_mm256_set1_ps(SCALE), _mm256_setzero_ps(), _mm256_set1_ps(1.0));
    let [red, green, blue] = out;
    let groups = red.chunks_mut(GROUP).zip(green.chunks_mut(GROUP)).zip(blue.chunks_mut(GROUP));
    let starts = columns.starts.as_chunks::<GROUP>().0;
    let weights = columns.weights.chunks_exact(GROUP / 2 * tap_pairs);
    let furthest = columns.furthest_start + 6 * (tap_pairs - 1) + 8;
    assert!(furthest <= row.len(), "found a row of {} samples, expected {furthest}", row.len());
    for ((((red, green), blue), starts), weights) in groups.zip(starts).zip(weights) {
        let mut pixels = [_mm256_setzero_ps(); GROUP / 2];
        for (at, pixels) in pixels.iter_mut().enumerate() {
            let mut sums = _mm256_setzero_si256();
            let starts = [starts[2 * at], starts[2 * at + 1]];
            for (tap, weights) in weights[at * tap_pairs..][..tap_pairs].iter().enumerate() {
                // SAFETY: no start is beyond the furthest one, from which on this many samples are there.
                let halves = starts.map(|start| unsafe { load_i16(row, start + 6 * tap) });
                let both = _mm256_inserti128_si256(_mm256_castsi128_si256(halves[0]), halves[1], 1);
                let products = _mm256_madd_epi16(_mm256_shuffle_epi8(both, shuffle), load_weights(weights));
                sums = _mm256_add_epi32(sums, products);
            }
            *pixels = _mm256_cvtepi32_ps(sums);
        }
        // Each vector has r g b - of an even pixel and of the odd one after it: first even ones meet, r0 r2 r4 r6 r1 r3 r5 r7.
        let [a, b, c, d] = pixels;
        let (red_green_0, blue_0) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        let (red_green_1, blue_1) = (_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
        let channels = [
            _mm256_shuffle_ps(red_green_0, red_green_1, 0b01_00_01_00),
            _mm256_shuffle_ps(red_green_0, red_green_1, 0b11_10_11_10),
            _mm256_shuffle_ps(blue_0, blue_1, 0b01_00_01_00),
        ];
        for (out, channel) in [red, green, blue].into_iter().zip(channels) {
            let scaled = _mm256_mul_ps(_mm256_permutevar8x32_ps(channel, order), scale);
            let clipped = _mm256_min_ps(_mm256_max_ps(scaled, zero), one);
            if let Ok(whole) = out.try_into() {
                store_f32(whole, clipped);
            } else {
                let mut whole = [0.0; GROUP];
                store_f32(&mut whole, clipped);
                out.copy_from_slice(&whole[..out.len()]);
            }
        }
    }
}
