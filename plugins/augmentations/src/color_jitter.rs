//! Colour jitter: brightness, contrast, saturation and hue, changed by random amounts in random order.
//!
//! Samples are clipped to [0, 1] after each change. Where codes differ, the first way is BYOL's and the
//! default:
//! - brightness adds a shift from U[-b, b], or multiplies by 1 + that shift (SimCLR v2, torchvision);
//! - contrast scales by U[1 - c, 1 + c] around each channel's mean, or around the mean of the gray image
//!   (torchvision);
//! - saturation scales S of HSV by U[1 - s, 1 + s], or blends with the gray image by that factor (torchvision);
//! - hue adds a shift from U[-h, h] turns to H of HSV, in all codes.

use diptych_sdk::{Augmentation, Choice, Error, ImageMut, InPlace, Parameters, Plan, PlanarF32};
use diptych_sdk::{RandomStream, Scratch, Size};
use multiversion::multiversion;

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
        self.change(&mut image);
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

impl ColorJitter {
    /// Does what was drawn.
    fn change(&self, image: &mut ImageMut<'_, PlanarF32>) {
        let changes = self.draws.order.map(|change| self.row_change(change));
        match self.draws.order.iter().position(|&change| change == Change::Contrast) {
            Some(contrast) if self.parameters.contrast > 0.0 => {
                let (before, after) = changes.split_at(contrast);
                let mut sums = [0.0; 3];
                for y in 0..image.height() {
                    let [red, green, blue] = image.rows_mut(y);
                    change_row(red, green, blue, before);
                    add_sums(red, green, blue, &mut sums);
                }
                let count = f64::from(image.width()) * f64::from(image.height());
                let scaling = self.scaling(sums.map(|sum| (sum / count) as f32));
                for y in 0..image.height() {
                    let [red, green, blue] = image.rows_mut(y);
                    change_row(red, green, blue, &[scaling]);
                    change_row(red, green, blue, after);
                }
            }
            _ => {
                for y in 0..image.height() {
                    let [red, green, blue] = image.rows_mut(y);
                    change_row(red, green, blue, &changes);
                }
            }
        }
    }

    /// What `change` does to a row. Contrast does nothing here: it has to know the whole image first.
    fn row_change(&self, change: Change) -> RowChange {
        let ColorJitter { parameters, draws } = self;
        match change {
            Change::Brightness if parameters.brightness > 0.0 => match parameters.brightness_mode {
                BrightnessMode::Additive => RowChange::Brightness { factor: 1.0, shift: draws.brightness },
                BrightnessMode::Multiplicative => {
                    RowChange::Brightness { factor: larger(1.0 + draws.brightness, 0.0), shift: 0.0 }
                }
            },
            Change::Saturation if parameters.saturation > 0.0 => match parameters.saturation_mode {
                SaturationMode::Hsv => RowChange::HsvSaturation { factor: draws.saturation },
                SaturationMode::Blend => RowChange::BlendSaturation { factor: draws.saturation },
            },
            Change::Hue if parameters.hue > 0.0 => RowChange::Hue { shift: HueShift::new(draws.hue) },
            // Strength 0. Going through HSV by nothing would still round.
            _ => RowChange::Nothing,
        }
    }

    /// Contrast, given the channels' means.
    fn scaling(&self, means: [f32; 3]) -> RowChange {
        let means = match self.parameters.contrast_mode {
            ContrastMode::ChannelMean => means,
            // The mean of the luma is the luma of the means.
            ContrastMode::GrayMean => [luma(means[0], means[1], means[2]); 3],
        };
        RowChange::Contrast { factor: self.draws.contrast, means }
    }
}

/// A change with its amounts. An image goes through all changes row by row, so that a row comes from far memory
/// once, or twice when contrast needs the means.
#[derive(Clone, Copy, Debug)]
enum RowChange {
    Nothing,
    Brightness { factor: f32, shift: f32 },
    Contrast { factor: f32, means: [f32; 3] },
    HsvSaturation { factor: f32 },
    BlendSaturation { factor: f32 },
    Hue { shift: HueShift },
}

/// Applies `changes` in their order to one row of each channel.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn change_row(red: &mut [f32], green: &mut [f32], blue: &mut [f32], changes: &[RowChange]) {
    for change in changes {
        let rows = [&mut *red, &mut *green, &mut *blue];
        match *change {
            RowChange::Nothing => {}
            RowChange::Brightness { factor, shift } => {
                for row in rows {
                    row.iter_mut().for_each(|sample| *sample = clip(*sample * factor + shift));
                }
            }
            RowChange::Contrast { factor, means } => {
                for (row, mean) in rows.into_iter().zip(means) {
                    row.iter_mut().for_each(|sample| *sample = clip((*sample - mean) * factor + mean));
                }
            }
            RowChange::HsvSaturation { factor } => {
                if factor <= 1.0 {
                    map_pixels(rows, |red, green, blue| lower_hsv_saturation(red, green, blue, factor));
                } else {
                    map_pixels(rows, |red, green, blue| raise_hsv_saturation(red, green, blue, factor));
                }
            }
            RowChange::BlendSaturation { factor } => map_pixels(rows, |red, green, blue| {
                let gray = luma(red, green, blue);
                let change = |sample: f32| clip(gray + (sample - gray) * factor);
                (change(red), change(green), change(blue))
            }),
            RowChange::Hue { shift } => {
                map_pixels(rows, |red, green, blue| shift.apply(red, green, blue));
            }
        }
    }
}

/// Adds each row's sum to its channel's. Within a row eight interleaved float sums, which SIMD can hold, rows among each
/// other in double precision.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn add_sums(red: &[f32], green: &[f32], blue: &[f32], sums: &mut [f64; 3]) {
    const LANES: usize = 8;
    for (sum, row) in sums.iter_mut().zip([red, green, blue]) {
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

/// With V the largest sample and S = range / V, S' = min(factor S, 1) moves every sample towards or away from V by
/// S' / S = min(factor, V / range); hue stays.
#[inline(always)]
fn raise_hsv_saturation(red: f32, green: f32, blue: f32, factor: f32) -> (f32, f32, f32) {
    let value = larger(larger(red, green), blue);
    let range = value - smaller(smaller(red, green), blue);
    let most = if range > 0.0 { value / range } else { factor };
    let ratio = smaller(factor, most);
    let change = |sample: f32| value - (value - sample) * ratio;
    (change(red), change(green), change(blue))
}

/// As [`raise_hsv_saturation`], of factors up to 1, which are always the smaller of the two.
#[inline(always)]
fn lower_hsv_saturation(red: f32, green: f32, blue: f32, factor: f32) -> (f32, f32, f32) {
    let value = larger(larger(red, green), blue);
    let change = |sample: f32| value - (value - sample) * factor;
    (change(red), change(green), change(blue))
}

/// A shift of hue, in sixths of a turn.
///
/// With V the largest sample, m the smallest and range = V - m, hue is, by which channel is the largest, `(g - b) / range`,
/// `2 + (b - r) / range` or `4 + (r - g) / range`, and each channel of HSV's inverse is m plus the range times a function of hue
/// clamped to [0, 1]: `|h - 3| - 1` for red, `2 - |h - 2|` for green, `2 - |h - 4|` for blue.
///
/// The inverse multiplies by the range what the hue divided by it: everything is done in units of `1 / range`, without a
/// division, and gray, which has no hue, has no range either.
#[derive(Clone, Copy, Debug)]
struct HueShift {
    /// Shifted hue of a pure red, green and blue, in [1, 7): so the others have [0, 8], and one subtraction brings it to [0, 6].
    sectors: [f32; 3],
}

impl HueShift {
    fn new(turns: f32) -> HueShift {
        HueShift { sectors: [0.0, 2.0, 4.0].map(|sector| (6.0 * turns + sector - 1.0).rem_euclid(6.0) + 1.0) }
    }

    #[inline(always)]
    fn apply(self, red: f32, green: f32, blue: f32) -> (f32, f32, f32) {
        let (largest, smallest) = (larger(larger(red, green), blue), smaller(smaller(red, green), blue));
        let range = largest - smallest;
        let (within, sector) =
            if green == largest { (blue - red, self.sectors[1]) } else { (red - green, self.sectors[2]) };
        let (within, sector) =
            if red == largest { (green - blue, self.sectors[0]) } else { (within, sector) };
        let hue = within + sector * range;
        // A negative float is, by its bits, larger than any positive one.
        let hue = f32::from_bits(hue.to_bits().min((hue - 6.0 * range).to_bits()));
        let channel = |part: f32| smallest + smaller(larger(part, 0.0), range);
        let two = 2.0 * range;
        (
            channel((hue - 3.0 * range).abs() - range),
            channel(two - (hue - two).abs()),
            channel(two - (hue - 4.0 * range).abs()),
        )
    }
}

#[cfg(test)]
mod tests;
