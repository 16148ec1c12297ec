//! From coefficients to pixels, one row of MCUs after the other.
//!
//! Of each component, the samples of the current row of MCUs within the window are kept, with one row more above, for
//! upsampling that looks up and for the row of pixels that waited for this one, and one below, for the image's last row.

use std::ops::Range;

use crate::header::{Colour, Frame};
use crate::huffman::Block;
use crate::kernels::{Kernels, Level, Portable};
use crate::region::{Upsampling, Window};

/// Columns left and right of the samples: for the neighbours of the image's first and last, and so that vectors may be
/// read past the end.
const MARGIN: usize = 64;

/// The samples of one component.
#[derive(Clone, Copy, Debug)]
struct Plane {
    /// Of the row above the current row of MCUs.
    start: usize,
    stride: usize,
    /// Rows of samples per MCU.
    rows: usize,
    /// The component's size in samples.
    width: usize,
    height: usize,
    /// Column of the first sample kept.
    left: usize,
    /// Pixels per sample.
    across: usize,
    down: usize,
    upsampling: Upsampling,
}

impl Plane {
    /// Where the row starts that is `row` rows of samples below the one above the current MCUs.
    fn row(&self, row: usize) -> usize {
        self.start + row * self.stride + MARGIN
    }
}

/// One block of an MCU: which component's, and where its samples go for the window's first MCU.
#[derive(Clone, Copy, Debug)]
struct Target {
    component: usize,
    start: usize,
    /// Columns from one MCU to the next.
    step: usize,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renderer {
    window: Option<Window>,
    colour: Option<Colour>,
    image_height: usize,
    mcu_height: usize,
    last_row: usize,
    planes: Vec<Plane>,
    targets: Vec<Target>,
    quantization: [QuantizationTable; 4],
    blocks: Vec<Block>,
    samples: Vec<u8>,
    /// A row of each component at full resolution.
    lines: [Vec<u8>; 4],
    sums: Vec<i16>,
}

#[derive(Clone, Copy, Debug)]
struct QuantizationTable([i16; 64]);

impl Default for QuantizationTable {
    fn default() -> Self {
        QuantizationTable([0; 64])
    }
}

impl Renderer {
    /// Prepares for an image.
    pub(crate) fn begin(
        &mut self,
        frame: &Frame,
        window: Window,
        quantization: &[[i16; 64]; 4],
        colour: Colour,
    ) {
        self.planes.clear();
        self.targets.clear();
        let mut start = 0;
        for (index, component) in frame.components().iter().enumerate() {
            let stride = 8 * component.across * window.columns.len() + 2 * MARGIN;
            let plane = Plane {
                start,
                stride,
                rows: 8 * component.down,
                width: component.width,
                height: component.height,
                left: 8 * component.across * window.columns.start,
                across: frame.across / component.across,
                down: frame.down / component.down,
                upsampling: Upsampling::of(component, frame),
            };
            for (row, column) in
                (0..component.down).flat_map(|row| (0..component.across).map(move |column| (row, column)))
            {
                let start = plane.row(1 + 8 * row) + 8 * column;
                self.targets.push(Target { component: index, start, step: 8 * component.across });
            }
            start += (plane.rows + 2) * stride;
            self.planes.push(plane);
        }
        if self.samples.len() < start {
            self.samples.resize(start, 0);
        }
        // Upsampled in whole samples: up to four pixels more at each end.
        let line = window.region.width as usize + 2 * MARGIN;
        for line_of in &mut self.lines {
            if line_of.len() < line {
                line_of.resize(line, 0);
            }
        }
        if self.sums.len() < line {
            self.sums.resize(line, 0);
        }
        self.blocks.resize(self.targets.len().max(self.blocks.len()), [0; 64]);
        self.quantization = quantization.map(QuantizationTable);
        self.image_height = frame.height;
        self.mcu_height = 8 * frame.down;
        self.last_row = frame.mcus_down - 1;
        self.window = Some(window);
        self.colour = Some(colour);
    }

    pub(crate) fn window(&self) -> &Window {
        self.window.as_ref().expect("an image was begun")
    }

    /// Memory for the coefficients of an MCU of `count` blocks, in the order of the frame's components.
    #[inline(always)]
    pub(crate) fn blocks(&mut self, count: usize) -> &mut [Block] {
        &mut self.blocks[..count]
    }

    /// Makes samples of the blocks, which are those of the window's MCU `column`.
    #[inline(always)]
    pub(crate) fn transform<K: Kernels>(&mut self, kernels: K, column: usize) {
        let count = self.targets.len();
        for first in (0..count).step_by(2) {
            // An odd one is done twice, to the same place.
            let pair = [first, (first + 1).min(count - 1)];
            let targets = pair.map(|index| self.targets[index]);
            kernels.idct_pair(
                pair.map(|index| &self.blocks[index]),
                targets.map(|target| &self.quantization[target.component].0),
                &mut self.samples,
                targets.map(|target| {
                    (target.start + column * target.step, self.planes[target.component].stride)
                }),
            );
        }
    }

    /// Writes the pixels that the samples of MCU row `row` and those before them determine.
    pub(crate) fn finish_row(&mut self, level: Level, row: usize, out: &mut [u8]) {
        let window = self.window();
        if !window.rows.contains(&row) {
            return;
        }
        let lag = window.lag;
        let (top, bottom) = (window.region.y as usize, (window.region.y + window.region.height) as usize);
        let start = if row == window.rows.start { top } else { row * self.mcu_height - lag };
        let end = if row == self.last_row { self.image_height } else { (row + 1) * self.mcu_height - lag };
        let pixel_rows = start.max(top)..end.min(bottom);
        self.extend_edges(row);
        match level {
            Level::Portable => self.write_rows(Portable, row, pixel_rows, out),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(avx2) => avx2.write_rows(self, row, pixel_rows, out),
        }
        if lag > 0 {
            for plane in &self.planes {
                let last = plane.start + plane.rows * plane.stride;
                self.samples.copy_within(last..last + plane.stride, plane.start);
            }
        }
    }

    /// Repeats the image's outermost samples where upsampling looks beyond them.
    fn extend_edges(&mut self, row: usize) {
        for plane in &self.planes {
            if plane.upsampling.looks_across() {
                let beyond = plane.width - plane.left;
                for row in 1..=plane.rows {
                    let at = plane.row(row);
                    if plane.left == 0 {
                        self.samples[at - 1] = self.samples[at];
                    }
                    if beyond + 2 * MARGIN <= plane.stride {
                        self.samples[at + beyond] = self.samples[at + beyond - 1];
                    }
                }
            }
            if plane.upsampling.looks_down() {
                let whole =
                    |row: usize| plane.start + row * plane.stride..plane.start + (row + 1) * plane.stride;
                if row == 0 {
                    self.samples.copy_within(whole(1), plane.start);
                }
                if row == self.last_row {
                    let last = plane.height - row * plane.rows;
                    self.samples.copy_within(whole(last), whole(last + 1).start);
                }
            }
        }
    }

    /// Upsamples and converts `pixel_rows`, whose samples are those of MCU row `row`.
    #[inline(always)]
    pub(crate) fn write_rows<K: Kernels>(
        &mut self,
        kernels: K,
        row: usize,
        pixel_rows: Range<usize>,
        out: &mut [u8],
    ) {
        let region = self.window().region;
        let colour = self.colour.expect("an image was begun");
        let (left, width) = (region.x as usize, region.width as usize);
        for y in pixel_rows {
            let mut lines: [&[u8]; 4] = [&[]; 4];
            for ((plane, line), upsampled) in self.planes.iter().zip(&mut lines).zip(&mut self.lines) {
                *line = plane.line(kernels, &self.samples, &mut self.sums, upsampled, row, y, left, width);
            }
            let start = 3 * width * (y - region.y as usize);
            let pixels = &mut out[start..start + 3 * width];
            match colour {
                Colour::Gray => kernels.gray(lines[0], pixels),
                Colour::Rgb => kernels.interleave(lines[0], lines[1], lines[2], pixels),
                Colour::YCbCr => kernels.ycc(lines[0], lines[1], lines[2], pixels),
                Colour::Cmyk => {
                    kernels.interleave(lines[0], lines[1], lines[2], pixels);
                    multiply(pixels, lines[3], 0);
                }
                Colour::Ycck => {
                    kernels.ycc(lines[0], lines[1], lines[2], pixels);
                    multiply(pixels, lines[3], 255);
                }
            }
        }
    }
}

impl Plane {
    /// The component's part in the pixels of row `y` from `left` on, at least `width` samples.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "each part of the renderer is borrowed on its own")]
    fn line<'a, K: Kernels>(
        &self,
        kernels: K,
        samples: &'a [u8],
        sums: &mut [i16],
        upsampled: &'a mut [u8],
        row: usize,
        y: usize,
        left: usize,
        width: usize,
    ) -> &'a [u8] {
        // Rows count from the one above the MCUs.
        let nearest = (y / self.down + 1).wrapping_sub(row * self.rows);
        let from = left / self.across;
        let count = (left + width).div_ceil(self.across) - from;
        let samples_of = |row: usize, more: usize| {
            let start = self.row(row) + from - self.left;
            &samples[start - more..start + count + more]
        };
        let next = if y.is_multiple_of(2) { nearest.wrapping_sub(1) } else { nearest + 1 };
        let length = count * self.across;
        match self.upsampling {
            Upsampling::None => {
                let start = self.row(nearest) + left - self.left;
                return &samples[start..start + width + MARGIN / 2];
            }
            Upsampling::TriangleAcross => {
                kernels.triangle_across(samples_of(nearest, 1), &mut upsampled[..length])
            }
            Upsampling::TriangleDown => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                kernels.triangle_down(
                    samples_of(nearest, 0),
                    samples_of(next, 0),
                    bias,
                    &mut upsampled[..length],
                );
            }
            Upsampling::Triangle => {
                let sums = &mut sums[..count + 2];
                kernels.triangle(samples_of(nearest, 1), samples_of(next, 1), sums, &mut upsampled[..length]);
            }
            Upsampling::Replicate => {
                for (copies, &sample) in
                    upsampled[..length].chunks_exact_mut(self.across).zip(samples_of(nearest, 0))
                {
                    copies.fill(sample);
                }
            }
        }
        let start = left % self.across;
        &upsampled[start..start + width + MARGIN / 2]
    }
}

/// Multiplies each colour (exclusive or `negative`) with its pixel's `black`: `colour * black / 255`, rounded.
fn multiply(pixels: &mut [u8], black: &[u8], negative: u8) {
    for (pixel, &black) in pixels.chunks_exact_mut(3).zip(black) {
        for colour in pixel {
            let product = u32::from(*colour ^ negative) * u32::from(black) + 128;
            *colour = ((product + (product >> 8)) >> 8) as u8;
        }
    }
}
