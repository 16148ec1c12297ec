//! Resizing of 8-bit RGB into planes of floats in [0, 1], with the semantics of TensorFlow (without antialiasing) or of
//! Pillow (with it).
//!
//! Both put pixel centres at half integers, use Keys' cubic with a = -0.5 for bicubic, drop the weights that fall beyond the
//! edges and renormalise the others. They differ when shrinking: antialiasing stretches the filter by the factor of the
//! reduction.
//!
//! A row of the output is made in two steps that stay in near memory: the source rows that it depends on are weighed into
//! one, whose pixels are then weighed into the output's. Weights have 14 bits after the point and add up to exactly one, the
//! row between the steps 6: together they err by less than 0.15 of 1/255. As all sums are of whole numbers, each form of
//! the two steps, portable or for AVX2 (`avx2.rs`, the only file with `unsafe`), gives the same bits on every machine.

#![deny(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
mod taps;
#[cfg(test)]
mod tests;

use taps::Taps;

/// Bits after the point of a weight.
const WEIGHT_BITS: u32 = 14;
/// Bits after the point of a sample between the two steps. One of 8 bits, overshot by a quarter, leaves room for no more.
const ROW_BITS: u32 = 6;
/// From the second step's sums to [0, 1].
const SCALE: f32 = 1.0 / (255 << (WEIGHT_BITS + ROW_BITS)) as f32;
/// Pixels that the second step makes at once.
const GROUP: usize = 8;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Keys' cubic, a = -0.5, over 4x4 pixels; overshoots at edges.
    Bicubic,
    /// Linear over 2x2 pixels.
    Bilinear,
}

/// Width and height of an image or a plane, each at least 1.
pub type Size = (usize, usize);

/// Which form of the two steps runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
}

/// A resizer that keeps its working memory from image to image.
#[derive(Debug)]
pub struct Resampler {
    filter: Filter,
    antialias: bool,
    level: Level,
    rows: Taps,
    columns: Taps,
    columns_laid_out: portable::Columns,
    /// The weighed row: interleaved, with zeros behind it that vectors may read.
    row: Vec<i16>,
}

impl Resampler {
    /// A resizer for this machine. With `antialias`, shrinking averages over all pixels that it covers.
    pub fn new(filter: Filter, antialias: bool) -> Resampler {
        #[cfg(target_arch = "x86_64")]
        let level = avx2::Avx2::detect().map_or(Level::Portable, Level::Avx2);
        #[cfg(not(target_arch = "x86_64"))]
        let level = Level::Portable;
        Resampler { level, ..Resampler::portable(filter, antialias) }
    }

    /// A resizer in portable code, whatever the machine.
    pub fn portable(filter: Filter, antialias: bool) -> Resampler {
        Resampler {
            filter,
            antialias,
            level: Level::Portable,
            rows: Taps::default(),
            columns: Taps::default(),
            columns_laid_out: portable::Columns::default(),
            row: Vec::new(),
        }
    }

    /// Resizes an image of `input` pixels, of which `source` gives each row (red, green, blue; `3 * width` bytes), to
    /// red, green and blue planes of `output` pixels. What overshoots [0, 1] is clipped.
    ///
    /// # Panics
    /// When a size is 0, or a row or plane is shorter than its size says.
    pub fn resize<'a>(
        &mut self,
        input: Size,
        source: impl Fn(usize) -> &'a [u8],
        output: Size,
        planes: [&mut [f32]; 3],
    ) {
        let (width, height) = output;
        self.columns.set(input.0, width, self.filter, self.antialias);
        self.rows.set(input.1, height, self.filter, self.antialias);
        self.columns_laid_out.set(&self.columns);
        let samples = 3 * input.0;
        self.row.clear();
        self.row.resize(samples + portable::READ_BEYOND, 0);
        let planes = planes.map(|plane| &mut plane[..width * height]);
        let [red, green, blue] = planes.map(|plane| plane.chunks_exact_mut(width));
        for (y, ((red, green), blue)) in red.zip(green).zip(blue).enumerate() {
            let (start, weights) = self.rows.at(y);
            let source = |tap: usize| &source(start + tap)[..samples];
            let row = &mut self.row[..samples];
            match self.level {
                Level::Portable => portable::weigh_rows(source, weights, row),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(avx2) => avx2.weigh_rows(source, weights, row),
            }
            let out = [red, green, blue];
            match self.level {
                Level::Portable => portable::weigh_columns(&self.row, &self.columns_laid_out, out),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2(avx2) => avx2.weigh_columns(&self.row, &self.columns_laid_out, out),
            }
        }
    }
}
