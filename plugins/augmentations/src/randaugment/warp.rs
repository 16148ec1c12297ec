//! Affine warps with Pillow's arithmetic: double precision, cut to a byte.
//!
//! A pixel's centre is where its coordinates end in a half. What an output pixel shows is read around the place that the matrix
//! sends its centre to; the neighbours of a pixel at the edge are the edge itself, and a place outside of the image has `FILL`.
//! The cubic is the one through -1 (Catmull and Rom's is through -0.5).

use diptych_sdk::{ImageMut, Rgb8};

/// ImageNet's mean colour.
pub const FILL: [u8; 3] = [124, 116, 104];

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Of 2x2 pixels.
    Bilinear,
    /// Of 4x4 pixels.
    Bicubic,
}

/// (x, y) becomes (a x + b y + c, d x + e y + f).
pub struct Matrix(pub [f64; 6]);

impl Matrix {
    /// Turns what is seen by `degrees` anticlockwise around the middle of the image.
    pub fn rotation(degrees: f64, width: f64, height: f64) -> Matrix {
        // Pillow rounds to 15 digits.
        let round = |value: f64| (value * 1e15).round() / 1e15;
        let angle = -degrees.rem_euclid(360.0).to_radians();
        let (cosine, sine) = (round(angle.cos()), round(angle.sin()));
        let (x, y) = (width / 2.0, height / 2.0);
        Matrix([cosine, sine, -cosine * x - sine * y + x, -sine, cosine, sine * x - cosine * y + y])
    }

    fn apply(&self, x: f64, y: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * x + b * y + c, d * x + e * y + f)
    }
}

/// Fills `copy` with the pixels of `image`, of which it has as many.
pub fn copy_pixels(image: &ImageMut<'_, Rgb8>, copy: &mut [[u8; 3]]) {
    let image = image.as_image();
    for (y, row) in (0..).zip(copy.chunks_exact_mut(image.width() as usize)) {
        row.copy_from_slice(image.row(y));
    }
}

/// Warps `image` by `matrix`, which leads from output to input; `copy` has the image's size.
pub fn warp(
    image: &mut ImageMut<'_, Rgb8>,
    copy: &mut [[u8; 3]],
    matrix: &Matrix,
    interpolation: Interpolation,
) {
    copy_pixels(image, copy);
    let source = Source { pixels: copy, width: image.width() as usize, height: image.height() as usize };
    for y in 0..image.height() {
        for (x, pixel) in image.row_mut(y).iter_mut().enumerate() {
            let (x, y) = matrix.apply(x as f64 + 0.5, f64::from(y) + 0.5);
            *pixel = match interpolation {
                _ if !source.contains(x, y) => FILL,
                Interpolation::Bilinear => source.mix(x, y, 0, |[a, b], part| a + (b - a) * part),
                Interpolation::Bicubic => source.mix(x, y, 1, cubic),
            };
        }
    }
}

/// Between the second and the third of four values.
fn cubic([a, b, c, d]: [f64; 4], part: f64) -> f64 {
    let (first, second, third) = (c - a, 2.0 * (a - b) + c - d, -a + b - c + d);
    b + part * (first + part * (second + part * third))
}

/// What is read.
struct Source<'a> {
    /// Row by row.
    pixels: &'a [[u8; 3]],
    width: usize,
    height: usize,
}

impl Source<'_> {
    fn contains(&self, x: f64, y: f64) -> bool {
        (0.0..self.width as f64).contains(&x) && (0.0..self.height as f64).contains(&y)
    }

    /// The value at (x, y) from N x N pixels, of which `before` lie left of and above the nearest four: `between` gives the value
    /// at a part of the way from one of N values to the next, of each row, and then of the rows.
    fn mix<const N: usize>(
        &self,
        x: f64,
        y: f64,
        before: isize,
        between: impl Fn([f64; N], f64) -> f64,
    ) -> [u8; 3] {
        let (x, y) = (x - 0.5, y - 0.5);
        let places = |at: f64, count: usize| -> [usize; N] {
            let first = at.floor() as isize - before;
            std::array::from_fn(|tap| (first + tap as isize).clamp(0, count as isize - 1) as usize)
        };
        let (columns, rows) = (places(x, self.width), places(y, self.height));
        let (across, down) = (x - x.floor(), y - y.floor());
        std::array::from_fn(|channel| {
            let rows = rows.map(|row| {
                let row = &self.pixels[row * self.width..][..self.width];
                between(columns.map(|column| f64::from(row[column][channel])), across)
            });
            between(rows, down) as u8
        })
    }
}
