//! The images: a texture in two colours, turned, scaled, warped, unevenly lit, with noise.
//!
//! Lengths are in texture units: 32 to the image's shorter side, so that a larger image shows the same texture
//! with more pixels. The class is in the luma alone: the background is always dark, the foreground always bright,
//! and their hues are any.

use std::f64::consts::TAU;
use std::ops::RangeInclusive;

use diptych_abi::RandomStream;
use image::{Rgb, RgbImage};

use crate::options::ImageSize;

/// Texture units to the shorter side of an image.
const UNITS: f64 = 32.0;
/// Luma of ITU-R BT.601, as in JPEG.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];
const BACKGROUND_LUMA: RangeInclusive<f64> = 0.2..=0.35;
const FOREGROUND_LUMA: RangeInclusive<f64> = 0.65..=0.8;
/// Standard deviation of the noise on every channel, of a range of 1.
const NOISE: f64 = 0.03;

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Texture {
    /// Stripes of period 9.
    WideStripes,
    /// Stripes of period 4.5.
    FineStripes,
    /// A checkerboard of period 10.
    Checker,
    /// Discs of period 10.
    Dots,
    /// Discs of period 5.
    FineDots,
    /// Rings of period 11.
    Rings,
    /// Lines both ways of period 8.
    Grid,
    /// Upright crosses of period 10.
    Crosses,
}

impl Texture {
    /// Every class; its place here is its number.
    pub const ALL: [Texture; 8] = [
        Texture::WideStripes,
        Texture::FineStripes,
        Texture::Checker,
        Texture::Dots,
        Texture::FineDots,
        Texture::Rings,
        Texture::Grid,
        Texture::Crosses,
    ];

    /// The class's folder.
    pub fn name(self) -> &'static str {
        match self {
            Texture::WideStripes => "wide_stripes",
            Texture::FineStripes => "fine_stripes",
            Texture::Checker => "checker",
            Texture::Dots => "dots",
            Texture::FineDots => "fine_dots",
            Texture::Rings => "rings",
            Texture::Grid => "grid",
            Texture::Crosses => "crosses",
        }
    }

    /// The length after which the texture repeats, in texture units.
    fn period(self) -> f64 {
        match self {
            Texture::WideStripes => 9.0,
            Texture::FineStripes => 4.5,
            Texture::Checker | Texture::Dots | Texture::Crosses => 10.0,
            Texture::FineDots => 5.0,
            Texture::Rings => 11.0,
            Texture::Grid => 8.0,
        }
    }

    /// Whether the texture's own coordinates, in texture units, fall on its foreground.
    fn is_foreground(self, u: f64, v: f64) -> bool {
        let a = (u / self.period()).rem_euclid(1.0) - 0.5;
        let b = (v / self.period()).rem_euclid(1.0) - 0.5;
        let radius = a.hypot(b);
        let arm = |across: f64, along: f64| across.abs() < 0.12 && along.abs() < 0.4;
        match self {
            Texture::WideStripes | Texture::FineStripes => a.abs() < 0.25,
            Texture::Checker => (a > 0.0) == (b > 0.0),
            Texture::Dots => radius < 0.32,
            Texture::FineDots => radius < 0.3,
            Texture::Rings => 0.24 < radius && radius < 0.45,
            Texture::Grid => a.abs() < 0.13 || b.abs() < 0.13,
            Texture::Crosses => arm(a, b) || arm(b, a),
        }
    }
}

/// One image of a class.
pub(crate) fn draw(texture: Texture, size: ImageSize, random: &mut RandomStream) -> RgbImage {
    let background = colour(BACKGROUND_LUMA, random);
    let foreground = colour(FOREGROUND_LUMA, random);
    let placement = Placement::draw(random);
    let light = Light::draw(random);
    let unit = UNITS / f64::from(size.width.min(size.height));
    let middle = (f64::from(size.width) * unit / 2.0, f64::from(size.height) * unit / 2.0);
    RgbImage::from_fn(size.width, size.height, |column, row| {
        let (x, y) = ((f64::from(column) + 0.5) * unit, (f64::from(row) + 0.5) * unit);
        let (u, v) = placement.place(x, y);
        let colour = if texture.is_foreground(u, v) { foreground } else { background };
        let light = light.at(x - middle.0, y - middle.1);
        Rgb(colour.map(|value| {
            let value = value * light + NOISE * normal(random);
            (value.clamp(0.0, 1.0) * 255.0).round() as u8
        }))
    })
}

/// Uniform over the RGB colours of such a luma.
fn colour(luma: RangeInclusive<f64>, random: &mut RandomStream) -> [f64; 3] {
    loop {
        let colour = [random.unit(), random.unit(), random.unit()];
        if luma.contains(&luma_of(colour)) {
            return colour;
        }
    }
}

fn luma_of(colour: [f64; 3]) -> f64 {
    colour.iter().zip(LUMA).map(|(value, weight)| value * weight).sum()
}

/// Standard normal (Box and Muller 1958).
fn normal(random: &mut RandomStream) -> f64 {
    // 1 - [0, 1) is never 0, so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
    radius * (TAU * random.unit()).cos()
}

/// From the image's coordinates to the texture's.
struct Placement {
    rotation: f64,
    scale: f64,
    offset: [f64; 2],
    warp: [Wave; 2],
}

/// A shift of one coordinate by the sine of the other.
struct Wave {
    length: f64,
    phase: f64,
}

impl Wave {
    fn draw(random: &mut RandomStream) -> Wave {
        Wave { length: random.uniform(4.0, 8.0), phase: random.uniform(0.0, TAU) }
    }

    fn at(&self, position: f64) -> f64 {
        (position / self.length + self.phase).sin()
    }
}

impl Placement {
    fn draw(random: &mut RandomStream) -> Placement {
        Placement {
            rotation: random.uniform(0.0, TAU),
            scale: random.uniform(0.8f64.ln(), 1.25f64.ln()).exp(),
            offset: [random.uniform(0.0, 100.0), random.uniform(0.0, 100.0)],
            warp: [Wave::draw(random), Wave::draw(random)],
        }
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x + self.warp[0].at(y), y + self.warp[1].at(x));
        let (sine, cosine) = self.rotation.sin_cos();
        let u = self.scale * (x * cosine - y * sine) + self.offset[0];
        let v = self.scale * (x * sine + y * cosine) + self.offset[1];
        (u, v)
    }
}

/// Light that grows from one side of the image to the other.
struct Light {
    slope: f64,
    direction: f64,
}

impl Light {
    fn draw(random: &mut RandomStream) -> Light {
        Light { slope: random.uniform(-0.15, 0.15), direction: random.uniform(0.0, TAU) }
    }

    /// The factor at a position from the image's centre.
    fn at(&self, x: f64, y: f64) -> f64 {
        let (sine, cosine) = self.direction.sin_cos();
        1.0 + 2.0 * self.slope * (x * cosine + y * sine) / UNITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_texture_is_foreground_where_its_definition_says() {
        // A quarter of a period from the corner of a cell is (-0.25, -0.25) from its middle; the radius is 0.354.
        let at = |texture: Texture, a: f64, b: f64| {
            texture.is_foreground((a + 0.5) * texture.period(), (b + 0.5) * texture.period())
        };
        let foreground = |a: f64, b: f64| Texture::ALL.map(|texture| at(texture, a, b));
        assert_eq!(foreground(0.01, 0.01), [true, true, true, true, true, false, true, true]);
        assert_eq!(foreground(-0.26, -0.25), [false, false, true, false, false, true, false, false]);
        assert_eq!(foreground(0.31, -0.01), [false, false, false, true, false, true, true, true]);
        assert_eq!(foreground(-0.49, 0.49), [false; 8]);
    }

    #[test]
    fn a_texture_repeats_after_its_period() {
        for texture in Texture::ALL {
            let mut random = RandomStream::new([1, 2]);
            for _ in 0..200 {
                let (u, v) = (random.uniform(-20.0, 20.0), random.uniform(-20.0, 20.0));
                let shifted = texture.is_foreground(u + texture.period(), v - texture.period());
                assert_eq!(texture.is_foreground(u, v), shifted, "{texture:?} at {u}, {v}");
            }
        }
    }

    #[test]
    fn backgrounds_are_dark_and_foregrounds_bright_in_any_hue() {
        let mut random = RandomStream::new([3, 4]);
        for range in [BACKGROUND_LUMA, FOREGROUND_LUMA] {
            let colours: Vec<_> = (0..2000).map(|_| colour(range.clone(), &mut random)).collect();
            assert!(colours.iter().all(|&colour| range.contains(&luma_of(colour))));
            for channel in 0..3 {
                let strongest = colours
                    .iter()
                    .filter(|colour| colour[channel] == colour.iter().copied().fold(0.0, f64::max));
                assert!(strongest.count() > 200, "channel {channel} leads in too few colours");
            }
        }
    }

    #[test]
    fn noise_has_zero_mean_and_unit_deviation() {
        let mut random = RandomStream::new([5, 6]);
        let values: Vec<f64> = (0..40_000).map(|_| normal(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviation =
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
        // Four standard errors.
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((deviation - 1.0).abs() < 0.015, "{deviation}");
    }

    #[test]
    fn a_larger_image_shows_the_same_texture() {
        let draw = |side| {
            let size = ImageSize { width: side, height: side };
            draw(Texture::WideStripes, size, &mut RandomStream::new([7, 8]))
        };
        let (small, large) = (draw(32), draw(160));
        // The pixel in the middle of each block of five lies where the small image's pixel does.
        for (x, y, pixel) in small.enumerate_pixels() {
            let other = large.get_pixel(5 * x + 2, 5 * y + 2);
            for (a, b) in pixel.0.iter().zip(other.0) {
                // Twice the noise's five-sigma, plus rounding.
                assert!(a.abs_diff(b) <= 80, "at {x}, {y}: {pixel:?} and {other:?}");
            }
        }
    }
}
