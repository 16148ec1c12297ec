//! The two steps in portable code, and how the second one's weights lie in memory.

use crate::taps::Taps;
use crate::{GROUP, ROW_BITS, SCALE, WEIGHT_BITS};

/// Samples behind a row that the second step may read.
pub const READ_BEYOND: usize = 16;

/// The columns' taps, laid out for two pixels at a time: for each pair of pixels and each pair of taps, four times the two
/// weights of one pixel, then of the other. Pixels are filled up to whole groups.
#[derive(Debug, Default)]
pub struct Columns {
    /// Number of pixels that count.
    width: usize,
    /// Sample, in the row, at which each pixel's taps start.
    pub starts: Vec<usize>,
    /// The largest of them.
    pub furthest_start: usize,
    /// Pairs of taps per pixel.
    pub tap_pairs: usize,
    pub weights: Vec<[i16; 16]>,
}

impl Columns {
    pub fn set(&mut self, taps: &Taps) {
        self.width = taps.len();
        self.tap_pairs = taps.count() / 2;
        self.starts.clear();
        self.weights.clear();
        let filled_up = self.width.next_multiple_of(GROUP);
        let at = |pixel: usize| taps.at(pixel.min(self.width - 1));
        self.starts.extend((0..filled_up).map(|pixel| 3 * at(pixel).0));
        self.furthest_start = self.starts.iter().copied().max().unwrap_or(0);
        for pixel in (0..filled_up).step_by(2) {
            let (one, other) = (at(pixel).1, at(pixel + 1).1);
            for (one, other) in one.as_chunks::<2>().0.iter().zip(other.as_chunks::<2>().0) {
                let mut entry = [0; 16];
                let (first, second) = entry.split_at_mut(8);
                first.as_chunks_mut::<2>().0.fill(*one);
                second.as_chunks_mut::<2>().0.fill(*other);
                self.weights.push(entry);
            }
        }
    }

    /// Weight of tap `tap` of pixel `pixel`.
    fn weight(&self, pixel: usize, tap: usize) -> i16 {
        self.weights[pixel / 2 * self.tap_pairs + tap / 2][pixel % 2 * 8 + tap % 2]
    }
}

/// The first step: `row` becomes the sum of the source's rows, each times its weight.
pub fn weigh_rows<'a>(source: impl Fn(usize) -> &'a [u8], weights: &[i16], row: &mut [i16]) {
    // Sums of a few samples at a time, which SIMD can hold.
    for (samples, from) in row.chunks_mut(16).zip((0..).step_by(16)) {
        let mut sums = [1 << (WEIGHT_BITS - ROW_BITS - 1); 16];
        for (tap, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0) {
            let bytes = &source(tap)[from..][..samples.len()];
            for (sum, &byte) in sums.iter_mut().zip(bytes) {
                *sum += i32::from(weight) * i32::from(byte);
            }
        }
        for (sample, sum) in samples.iter_mut().zip(sums) {
            let rounded: i32 = sum >> (WEIGHT_BITS - ROW_BITS);
            *sample = rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        }
    }
}

/// The second step: each pixel of a row of the output, a channel each, becomes the sum of the row's pixels, each times its
/// weight.
pub fn weigh_columns(row: &[i16], columns: &Columns, out: [&mut [f32]; 3]) {
    for (channel, out) in out.into_iter().enumerate() {
        for (pixel, (out, start)) in out.iter_mut().zip(&columns.starts).enumerate() {
            let taps = (0..2 * columns.tap_pairs).map(|tap| {
                // A tap beyond the row weighs nothing.
                let sample = row.get(start + 3 * tap + channel).copied().unwrap_or(0);
                i32::from(columns.weight(pixel, tap)) * i32::from(sample)
            });
            *out = (taps.sum::<i32>() as f32 * SCALE).clamp(0.0, 1.0);
        }
    }
}
