//! Decoding: the bytes of one image file to 8-bit interleaved RGB, upright.
//!
//! What is fixed here, because a study depends on it:
//! - EXIF orientation is applied (JPEG, PNG, WebP; TIFF by its own tag), so that pixels are as a person sees them.
//! - Gray is replicated to three channels, palettes are expanded, alpha is dropped, not composited (as Pillow's
//!   `convert("RGB")`), 16-bit samples keep their high byte (as Pillow's readers of 16-bit RGB).
//! - CMYK and YCCK JPEGs become `R = (255 - C)(255 - K) / 255`, rounded, without a colour profile. Their ink is taken
//!   to be stored inverted, as Adobe does and as Pillow assumes.
//! - An animation gives its first frame.
//! - A file that ends early or whose data breaks its format's rules is an error, never a half-gray image.
//!
//! Of a JPEG, only the region that the views need is decoded, with the same pixels as in the whole image; what is damaged
//! below it then goes unnoticed. The other formats are decoded whole.

mod jpeg;
mod lossless;
mod orientation;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};

use diptych_abi::{Region, Size};

use orientation::Orientation;

/// The file formats that can be decoded, told apart by their first bytes, never by a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Baseline and progressive JPEG with Huffman coding.
    Jpeg,
    /// PNG, and the still image of an APNG.
    Png,
    /// Lossy and lossless WebP.
    WebP,
    /// Windows bitmaps.
    Bmp,
    /// TIFF of either byte order, first page.
    Tiff,
}

impl std::fmt::Display for Format {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
        })
    }
}

/// What the caller allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    /// An image with more pixels (width times height) is refused before any of it is decoded.
    pub maximum_pixels: u64,
}

impl Default for DecodeOptions {
    /// 100 million pixels: 300 MB decoded.
    fn default() -> Self {
        DecodeOptions { maximum_pixels: 100_000_000 }
    }
}

/// A decoded image, or the region of one that was asked for. Reusing one for many files reuses its memory.
#[derive(Clone, Debug, Default)]
pub struct DecodedImage {
    /// Columns of the whole image.
    pub width: u32,
    /// Rows of the whole image.
    pub height: u32,
    /// What `pixels` are of the image.
    pub region: Region,
    /// `3 * region.width * region.height` bytes: row by row, red, green, blue.
    pub pixels: Vec<u8>,
    /// What a decoder writes when a conversion or a rotation has to follow.
    scratch: Vec<u8>,
    jpeg: diptych_jpeg::Decoder,
}

impl DecodedImage {
    /// Width and height of the whole image in pixels.
    pub fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }
}

/// Why a file gave no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first bytes are no known format's.
    #[error("not an image: found {found}, expected the first bytes of a JPEG, PNG, WebP, BMP or TIFF file")]
    UnknownFormat {
        /// The first bytes in hexadecimal, or "an empty file".
        found: String,
    },
    /// The header gives a width or height of 0.
    #[error("{format} image of {width}x{height} pixels has no pixels")]
    Empty {
        /// The file's format.
        format: Format,
        /// Columns, as the header says.
        width: u32,
        /// Rows, as the header says.
        height: u32,
    },
    /// More pixels than [`DecodeOptions::maximum_pixels`].
    #[error(
        "{format} image of {width}x{height} pixels is larger than the {maximum} pixels allowed; \
         raise maximum_pixels or resize the file"
    )]
    TooManyPixels {
        /// The file's format.
        format: Format,
        /// Columns, as stored (before orientation).
        width: u32,
        /// Rows, as stored (before orientation).
        height: u32,
        /// The limit.
        maximum: u64,
    },
    /// The file ends before its image does.
    #[error("{format} file ends early: {bytes} bytes, and the image goes on after them")]
    Truncated {
        /// The file's format.
        format: Format,
        /// The file's length.
        bytes: usize,
    },
    /// The file breaks its format's rules.
    #[error("damaged {format} file: {reason}")]
    Corrupt {
        /// The file's format.
        format: Format,
        /// What the decoder stumbled over.
        reason: String,
    },
    /// The file may be right, but is of a kind that is not decoded.
    #[error("{format} file of an unsupported kind: {reason}")]
    Unsupported {
        /// The file's format.
        format: Format,
        /// What is not supported, and what is.
        reason: String,
    },
}

/// The format that a file's first bytes (12 are enough) say it has.
pub fn format_of(first_bytes: &[u8]) -> Option<Format> {
    match first_bytes {
        [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Format::Bmp),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Format::Tiff),
        _ => None,
    }
}

/// The size that [`decode`] would give, after orientation, from the header alone.
pub fn probe(bytes: &[u8]) -> Result<Size, DecodeError> {
    let format = known_format(bytes)?;
    let (size, orientation) = contain(format, || match format {
        Format::Jpeg => jpeg::header(bytes),
        _ => lossless::header(format, bytes),
    })?;
    Ok(orientation.size_after(size))
}

/// Decodes `bytes` into `out`, reusing its memory. On an error `out` holds no image to be used.
pub fn decode(bytes: &[u8], options: &DecodeOptions, out: &mut DecodedImage) -> Result<(), DecodeError> {
    decode_any(bytes, options, None, out)
}

/// Decodes at least `region` of the upright image, whose size [`probe`] tells, as [`decode`] decodes all of it;
/// `out.region` says what it became.
///
/// # Errors
/// As [`decode`]; and a region that is empty or not within the image counts as damage of the file.
pub fn decode_region(
    bytes: &[u8],
    options: &DecodeOptions,
    region: Region,
    out: &mut DecodedImage,
) -> Result<(), DecodeError> {
    decode_any(bytes, options, Some(region), out)
}

fn decode_any(
    bytes: &[u8],
    options: &DecodeOptions,
    region: Option<Region>,
    out: &mut DecodedImage,
) -> Result<(), DecodeError> {
    let format = known_format(bytes)?;
    let (size, orientation) = contain(format, || match format {
        Format::Jpeg => jpeg::decode(bytes, options, region, &mut out.jpeg, &mut out.pixels),
        _ => lossless::decode(format, bytes, options, &mut out.pixels, &mut out.scratch),
    })?;
    let upright = orientation.size_after(size);
    let whole = Region { x: 0, y: 0, width: upright.width, height: upright.height };
    out.region = region.filter(|_| format == Format::Jpeg).unwrap_or(whole);
    (out.width, out.height) = (upright.width, upright.height);
    if orientation != Orientation::Upright {
        let upright = Size { width: out.region.width, height: out.region.height };
        // Turning back and forth swaps the same axes.
        orientation.apply(orientation.size_after(upright), &out.pixels, &mut out.scratch);
        std::mem::swap(&mut out.pixels, &mut out.scratch);
    }
    Ok(())
}

fn known_format(bytes: &[u8]) -> Result<Format, DecodeError> {
    format_of(bytes).ok_or_else(|| {
        let start = &bytes[..bytes.len().min(8)];
        let found = start.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        DecodeError::UnknownFormat { found: if found.is_empty() { "an empty file".into() } else { found } }
    })
}

/// Runs a decoder of somebody else's such that its panic, too, is only this file's error: one hostile
/// file must not end a run of days.
fn contain<T>(format: Format, decoder: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    catch_unwind(AssertUnwindSafe(decoder)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| text.to_string())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".into());
        Err(DecodeError::Corrupt { format, reason: format!("the decoder panicked: {message}") })
    })
}

/// Refuses sizes without pixels and with more than allowed.
fn check_size(format: Format, size: Size, options: &DecodeOptions) -> Result<(), DecodeError> {
    let Size { width, height } = size;
    if width == 0 || height == 0 {
        return Err(DecodeError::Empty { format, width, height });
    }
    if u64::from(width) * u64::from(height) > options.maximum_pixels {
        return Err(DecodeError::TooManyPixels { format, width, height, maximum: options.maximum_pixels });
    }
    Ok(())
}

/// Bytes of an interleaved 8-bit image of `channels`. A size that passed [`check_size`] may still overflow a small
/// machine's address space, hence the saturation: the allocation then fails as it should.
fn bytes_of(size: Size, channels: usize) -> usize {
    (size.width as usize).saturating_mul(size.height as usize).saturating_mul(channels)
}
