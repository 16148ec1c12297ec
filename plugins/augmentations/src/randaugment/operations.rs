//! The operations, and what a magnitude of 0 to 10 is to each.
//!
//! | operation | amount at magnitude m |
//! |---|---|
//! | `rotate` | 3 m degrees, either way |
//! | `posterize` | keeps int(0.4 m) bits |
//! | `solarize` | inverts from int(25.6 m) on |
//! | `solarize_add` | adds int(11 m) to samples below 128 |
//! | `color`, `contrast`, `brightness`, `sharpness` | factor 0.1 + 0.18 m |
//! | `shear_x`, `shear_y` | 0.03 m, either way |
//! | `translate_x`, `translate_y` | 0.045 m of the side, either way |

use std::fmt;

use diptych_sdk::{ImageMut, Rgb8};

use super::color;
use super::warp::{self, Interpolation, Matrix};

/// An entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    /// In the list without operations on colours alone.
    Identity,
}

impl Kind {
    /// The whole list.
    pub const ALL: [Kind; 15] = [
        Kind::AutoContrast,
        Kind::Equalize,
        Kind::Invert,
        Kind::Rotate,
        Kind::Posterize,
        Kind::Solarize,
        Kind::SolarizeAdd,
        Kind::Color,
        Kind::Contrast,
        Kind::Brightness,
        Kind::Sharpness,
        Kind::ShearX,
        Kind::ShearY,
        Kind::TranslateX,
        Kind::TranslateY,
    ];
}

/// The list of `color = false`.
pub const COLOR_FREE: [Kind; 8] = [
    Kind::AutoContrast,
    Kind::Identity,
    Kind::Rotate,
    Kind::Sharpness,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
];

/// An operation with its amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    Identity,
    AutoContrast,
    Equalize,
    Invert,
    /// Keeps so many bits.
    Posterize(u32),
    /// Inverts samples from here on; 256 inverts none.
    Solarize(u32),
    /// Added to samples below 128.
    SolarizeAdd(u32),
    Color(f32),
    Contrast(f32),
    Brightness(f32),
    Sharpness(f32),
    /// Degrees, anticlockwise.
    Rotate(f64, Interpolation),
    /// Columns that a row moves by, per row.
    ShearX(f64, Interpolation),
    /// Rows that a column moves by, per column.
    ShearY(f64, Interpolation),
    /// Part of the width, to the left.
    TranslateX(f64, Interpolation),
    /// Part of the height, upwards.
    TranslateY(f64, Interpolation),
}

impl Operation {
    /// `kind` with the amount that `magnitude`, 0 to 10, stands for; `sign` is 1 or -1.
    pub fn new(kind: Kind, magnitude: f64, sign: f64, interpolation: Interpolation) -> Operation {
        let level = magnitude / 10.0;
        let factor = (level * 1.8 + 0.1) as f32;
        match kind {
            Kind::Identity => Operation::Identity,
            Kind::AutoContrast => Operation::AutoContrast,
            Kind::Equalize => Operation::Equalize,
            Kind::Invert => Operation::Invert,
            Kind::Posterize => Operation::Posterize((level * 4.0) as u32),
            Kind::Solarize => Operation::Solarize((level * 256.0) as u32),
            Kind::SolarizeAdd => Operation::SolarizeAdd((level * 110.0) as u32),
            Kind::Color => Operation::Color(factor),
            Kind::Contrast => Operation::Contrast(factor),
            Kind::Brightness => Operation::Brightness(factor),
            Kind::Sharpness => Operation::Sharpness(factor),
            Kind::Rotate => Operation::Rotate(sign * level * 30.0, interpolation),
            Kind::ShearX => Operation::ShearX(sign * level * 0.3, interpolation),
            Kind::ShearY => Operation::ShearY(sign * level * 0.3, interpolation),
            Kind::TranslateX => Operation::TranslateX(sign * level * 0.45, interpolation),
            Kind::TranslateY => Operation::TranslateY(sign * level * 0.45, interpolation),
        }
    }

    /// Whether it needs the image as it was while it writes.
    pub fn wants_copy(&self) -> bool {
        matches!(
            self,
            Operation::Sharpness(_)
                | Operation::Rotate(..)
                | Operation::ShearX(..)
                | Operation::ShearY(..)
                | Operation::TranslateX(..)
                | Operation::TranslateY(..)
        )
    }

    /// Changes `image`; `copy` has its size if the operation [wants one](Self::wants_copy).
    pub fn apply(&self, image: &mut ImageMut<'_, Rgb8>, copy: &mut [[u8; 3]]) {
        let (width, height) = (f64::from(image.width()), f64::from(image.height()));
        match *self {
            Operation::Identity => {}
            Operation::AutoContrast => color::auto_contrast(image),
            Operation::Equalize => color::equalize(image),
            Operation::Invert => color::look_up(image, |sample| 255 - sample),
            Operation::Posterize(bits) => {
                // No bit of 8 is kept when the shift takes all of them out.
                let mask = (0xff_u32 << (8 - bits)) as u8;
                color::look_up(image, |sample| sample & mask);
            }
            Operation::Solarize(threshold) => {
                color::look_up(
                    image,
                    |sample| {
                        if u32::from(sample) < threshold { sample } else { 255 - sample }
                    },
                )
            }
            Operation::SolarizeAdd(add) => color::look_up(image, |sample| {
                if sample < 128 { (u32::from(sample) + add).min(255) as u8 } else { sample }
            }),
            Operation::Color(factor) => color::saturate(image, factor),
            Operation::Contrast(factor) => color::contrast(image, factor),
            Operation::Brightness(factor) => color::brighten(image, factor),
            Operation::Sharpness(factor) => color::sharpen(image, factor, copy),
            Operation::Rotate(degrees, by) => {
                // Pillow copies the image then; a bicubic warp would too, but for its rounding.
                if degrees != 0.0 {
                    warp::warp(image, copy, &Matrix::rotation(degrees, width, height), by);
                }
            }
            Operation::ShearX(factor, by) => {
                warp::warp(image, copy, &Matrix([1.0, factor, 0.0, 0.0, 1.0, 0.0]), by);
            }
            Operation::ShearY(factor, by) => {
                warp::warp(image, copy, &Matrix([1.0, 0.0, 0.0, factor, 1.0, 0.0]), by);
            }
            Operation::TranslateX(part, by) => {
                warp::warp(image, copy, &Matrix([1.0, 0.0, part * width, 0.0, 1.0, 0.0]), by);
            }
            Operation::TranslateY(part, by) => {
                warp::warp(image, copy, &Matrix([1.0, 0.0, 0.0, 0.0, 1.0, part * height]), by);
            }
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Identity => write!(formatter, "identity"),
            Operation::AutoContrast => write!(formatter, "auto_contrast"),
            Operation::Equalize => write!(formatter, "equalize"),
            Operation::Invert => write!(formatter, "invert"),
            Operation::Posterize(bits) => write!(formatter, "posterize {bits} bits"),
            Operation::Solarize(threshold) => write!(formatter, "solarize from {threshold}"),
            Operation::SolarizeAdd(add) => write!(formatter, "solarize_add {add}"),
            Operation::Color(factor) => write!(formatter, "color x{factor:.2}"),
            Operation::Contrast(factor) => write!(formatter, "contrast x{factor:.2}"),
            Operation::Brightness(factor) => write!(formatter, "brightness x{factor:.2}"),
            Operation::Sharpness(factor) => write!(formatter, "sharpness x{factor:.2}"),
            Operation::Rotate(degrees, _) => write!(formatter, "rotate {degrees:+.1} degrees"),
            Operation::ShearX(factor, _) => write!(formatter, "shear_x {factor:+.2}"),
            Operation::ShearY(factor, _) => write!(formatter, "shear_y {factor:+.2}"),
            Operation::TranslateX(part, _) => write!(formatter, "translate_x {part:+.2}"),
            Operation::TranslateY(part, _) => write!(formatter, "translate_y {part:+.2}"),
        }
    }
}
