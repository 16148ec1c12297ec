//! Colour jitter: brightness, contrast, saturation and hue, changed by random amounts in random order.
//!
//! Samples are clipped to [0, 1] after each change. Where codes differ, the first way is BYOL's and the
//! default:
//! - brightness adds a shift from U[-b, b], or multiplies by 1 + that shift (SimCLR v2, torchvision);
//! - contrast scales by U[1 - c, 1 + c] around each channel's mean, or around the mean of the gray image
//!   (torchvision);
//! - saturation scales S of HSV by U[1 - s, 1 + s], or blends with the gray image by that factor (torchvision);
//! - hue adds a shift from U[-h, h] turns to H of HSV, in all codes.

use diptych_sdk::{Augmentation, Choice, Error, Image, ImageMut, InPlace, Parameters, Plan, PlanarF32};
use diptych_sdk::{RandomStream, Scratch, Size};

use crate::color::{clip, larger, luma, map_pixels, smaller};

/// What TOML may say.
#[derive(Parameters)]
pub struct ColorJitterParameters {
    /// Largest shift of brightness, b. 0 leaves brightness alone.
    #[parameter(default = 0.4, minimum = 0, maximum = 1)]
    brightness: f64,
    /// Largest change of the contrast's factor, c; factors below 0 count as 0. 0 leaves contrast alone.
    #[parameter(default = 0.4, minimum = 0, maximum = 10)]
    contrast: f64,
    /// Largest change of the saturation's factor, s; factors below 0 count as 0. 0 leaves saturation alone.
    #[parameter(default = 0.2, minimum = 0, maximum = 10)]
    saturation: f64,
    /// Largest shift of hue, h. 0 leaves hue alone.
    #[parameter(default = 0.1, minimum = 0, maximum = 0.5, unit = "turns")]
    hue: f64,
    /// `additive`: x + shift, as in BYOL's code. `multiplicative`: x (1 + shift), as in SimCLR's second version and torchvision.
    #[parameter(default = BrightnessMode::Additive)]
    brightness_mode: BrightnessMode,
    /// What contrast scales around: each channel's own mean (`channel_mean`, BYOL's code), or the mean of the gray
    /// image (`gray_mean`, torchvision).
    #[parameter(default = ContrastMode::ChannelMean)]
    contrast_mode: ContrastMode,
    /// `hsv` scales the saturation of HSV, as in BYOL's code. `blend` mixes with the gray image, as in torchvision.
    #[parameter(default = SaturationMode::Hsv)]
    saturation_mode: SaturationMode,
}

/// How brightness changes.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrightnessMode {
    /// x + shift.
    Additive,
    /// x (1 + shift).
    Multiplicative,
}

/// What contrast scales around.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContrastMode {
    /// Each channel's mean.
    ChannelMean,
    /// The mean luma.
    GrayMean,
}

/// How saturation changes.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaturationMode {
    /// S of HSV times the factor.
    Hsv,
    /// gray + factor (x - gray).
    Blend,
}

/// One of the four changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

/// What one `plan` drew.
struct Draws {
    /// Added, or added to the factor 1.
    brightness: f32,
    /// Factor, at least 0.
    contrast: f32,
    /// Factor, at least 0.
    saturation: f32,
    /// Turns.
    hue: f32,
    order: [Change; 4],
}

/// See the module.
pub struct ColorJitter {
    parameters: ColorJitterParameters,
    draws: Draws,
}

impl Augmentation for ColorJitter {
    const ID: &'static str = "color_jitter";
    const DOC: &'static str =
        "Changes brightness, contrast, saturation and hue by random amounts, in random order.";
    type Access = InPlace<PlanarF32>;
    type Parameters = ColorJitterParameters;

    fn new(parameters: ColorJitterParameters) -> Result<Self, Error> {
        let order = [Change::Brightness, Change::Contrast, Change::Saturation, Change::Hue];
        let draws = Draws { brightness: 0.0, contrast: 1.0, saturation: 1.0, hue: 0.0, order };
        Ok(ColorJitter { parameters, draws })
    }

    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        let mut shift = |strength: f64| random.uniform(-strength, strength) as f32;
        let brightness = shift(self.parameters.brightness);
        let contrast = (1.0 + shift(self.parameters.contrast)).max(0.0);
        let saturation = (1.0 + shift(self.parameters.saturation)).max(0.0);
        let hue = shift(self.parameters.hue);
        let mut order = [Change::Brightness, Change::Contrast, Change::Saturation, Change::Hue];
        // Fisher and Yates: each of the 24 orders is equally likely.
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last as u64 + 1) as usize);
        }
        self.draws = Draws { brightness, contrast, saturation, hue, order };
        Ok(Plan::keep(input))
    }

    fn apply(&mut self, mut image: ImageMut<'_, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        let ColorJitter { parameters, draws } = self;
        for change in draws.order {
            match change {
                Change::Brightness if parameters.brightness > 0.0 => {
                    change_brightness(&mut image, draws.brightness, parameters.brightness_mode);
                }
                Change::Contrast if parameters.contrast > 0.0 => {
                    change_contrast(&mut image, draws.contrast, parameters.contrast_mode);
                }
                Change::Saturation if parameters.saturation > 0.0 => {
                    change_saturation(&mut image, draws.saturation, parameters.saturation_mode);
                }
                Change::Hue if parameters.hue > 0.0 => change_hue(&mut image, draws.hue),
                // Strength 0. Going through HSV by nothing would still round.
                _ => {}
            }
        }
        Ok(())
    }

    fn describe_draws(&self) -> String {
        let Draws { brightness, contrast, saturation, hue, order } = &self.draws;
        let texts = order.map(|change| match change {
            Change::Brightness => format!("brightness {brightness:+.2}"),
            Change::Contrast => format!("contrast x{contrast:.2}"),
            Change::Saturation => format!("saturation x{saturation:.2}"),
            Change::Hue => format!("hue {hue:+.2} turns"),
        });
        texts.join(", ")
    }
}

fn change_brightness(image: &mut ImageMut<'_, PlanarF32>, shift: f32, mode: BrightnessMode) {
    let (factor, shift) = match mode {
        BrightnessMode::Additive => (1.0, shift),
        BrightnessMode::Multiplicative => (larger(1.0 + shift, 0.0), 0.0),
    };
    for y in 0..image.height() {
        for row in image.rows_mut(y) {
            row.iter_mut().for_each(|sample| *sample = clip(*sample * factor + shift));
        }
    }
}

fn change_contrast(image: &mut ImageMut<'_, PlanarF32>, factor: f32, mode: ContrastMode) {
    let mut means = channel_means(&image.as_image());
    if mode == ContrastMode::GrayMean {
        // The mean of the luma is the luma of the means.
        means = [luma(means[0], means[1], means[2]); 3];
    }
    for y in 0..image.height() {
        for (row, mean) in image.rows_mut(y).into_iter().zip(means) {
            row.iter_mut().for_each(|sample| *sample = clip((*sample - mean) * factor + mean));
        }
    }
}

/// Means over all pixels. Rows are summed in eight interleaved float sums, which SIMD can hold, rows among
/// each other in double precision.
fn channel_means(image: &Image<'_, PlanarF32>) -> [f32; 3] {
    const LANES: usize = 8;
    let mut sums = [0.0_f64; 3];
    for y in 0..image.height() {
        for (sum, row) in sums.iter_mut().zip(image.rows(y)) {
            let (chunks, rest) = row.as_chunks::<LANES>();
            let mut lanes = [0.0_f32; LANES];
            for chunk in chunks {
                for (lane, sample) in lanes.iter_mut().zip(chunk) {
                    *lane += sample;
                }
            }
            *sum += f64::from(lanes.iter().sum::<f32>() + rest.iter().sum::<f32>());
        }
    }
    let count = f64::from(image.width()) * f64::from(image.height());
    sums.map(|sum| (sum / count) as f32)
}

fn change_saturation(image: &mut ImageMut<'_, PlanarF32>, factor: f32, mode: SaturationMode) {
    for y in 0..image.height() {
        let rows = image.rows_mut(y);
        match mode {
            SaturationMode::Hsv => map_pixels(rows, |red, green, blue| {
                // With V the largest sample and S = range / V, S' = min(factor S, 1) moves every sample towards or
                // away from V by S' / S = min(factor, V / range); hue stays.
                let value = larger(larger(red, green), blue);
                let range = value - smaller(smaller(red, green), blue);
                let most = if range > 0.0 { value / range } else { factor };
                let ratio = smaller(factor, most);
                let change = |sample: f32| value - (value - sample) * ratio;
                (change(red), change(green), change(blue))
            }),
            SaturationMode::Blend => map_pixels(rows, |red, green, blue| {
                let gray = luma(red, green, blue);
                let change = |sample: f32| clip(gray + (sample - gray) * factor);
                (change(red), change(green), change(blue))
            }),
        }
    }
}

/// Without branches: hue in sixths of a turn is found by selection among the three sectors, and each channel of
/// HSV's inverse is `V - range clamp(min(k, 4 - k), 0, 1)` with `k = (n + 6 H) mod 6` and n = 5, 3, 1 for red, green,
/// blue.
fn change_hue(image: &mut ImageMut<'_, PlanarF32>, turns: f32) {
    let shift = 6.0 * turns.rem_euclid(1.0);
    for y in 0..image.height() {
        map_pixels(image.rows_mut(y), |red, green, blue| {
            let value = larger(larger(red, green), blue);
            let range = value - smaller(smaller(red, green), blue);
            // Gray has no hue; any will do, as its range is 0.
            let scale = if range > 0.0 { 1.0 / range } else { 0.0 };
            let from_red = (green - blue) * scale;
            let from_green = (blue - red) * scale + 2.0;
            let from_blue = (red - green) * scale + 4.0;
            let other = if green == value { from_green } else { from_blue };
            // In [-1, 5] + [0, 6].
            let sixths = (if red == value { from_red } else { other }) + shift;
            let sixths = if sixths < 0.0 { sixths + 6.0 } else { sixths };
            let sixths = if sixths >= 6.0 { sixths - 6.0 } else { sixths };
            let channel = |n: f32| {
                let k = n + sixths;
                let k = if k >= 6.0 { k - 6.0 } else { k };
                value - range * clip(smaller(k, 4.0 - k))
            };
            (channel(5.0), channel(3.0), channel(1.0))
        });
    }
}

#[cfg(test)]
mod tests;
