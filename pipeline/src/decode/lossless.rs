//! PNG, WebP, BMP and TIFF, through the `image` crate's decoders.

use std::io::Cursor;

use diptych_abi::Size;
use image::codecs::{bmp::BmpDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use image::error::{ImageError, LimitErrorKind};
use image::{ColorType, ImageDecoder, Limits};

use super::orientation::Orientation;
use super::{DecodeError, DecodeOptions, Format, bytes_of, check_size};

type Reader<'a> = Cursor<&'a [u8]>;

/// A decoder that has read the header.
enum Opened<'a> {
    Png(Box<PngDecoder<Reader<'a>>>),
    WebP(Box<WebPDecoder<Reader<'a>>>),
    Bmp(Box<BmpDecoder<Reader<'a>>>),
    Tiff(Box<TiffDecoder<Reader<'a>>>),
}

/// Calls `$body` with the decoder inside, whichever it is.
macro_rules! with {
    ($opened:expr, $decoder:ident => $body:expr) => {
        match $opened {
            Opened::Png($decoder) => $body,
            Opened::WebP($decoder) => $body,
            Opened::Bmp($decoder) => $body,
            Opened::Tiff($decoder) => $body,
        }
    };
}

fn open(format: Format, bytes: &[u8]) -> Result<Opened<'_>, DecodeError> {
    // A WebP container says its length; without this, what is missing at its end might be metadata and go unnoticed.
    if format == Format::WebP
        && let Some(&length) = bytes[4..].first_chunk::<4>()
        && u64::from(u32::from_le_bytes(length)) + 8 > bytes.len() as u64
    {
        return Err(DecodeError::Truncated { format, bytes: bytes.len() });
    }
    let reader = Cursor::new(bytes);
    let opened = match format {
        Format::Png => PngDecoder::new(reader).map(|decoder| Opened::Png(Box::new(decoder))),
        Format::WebP => WebPDecoder::new(reader).map(|decoder| Opened::WebP(Box::new(decoder))),
        Format::Bmp => BmpDecoder::new(reader).map(|decoder| Opened::Bmp(Box::new(decoder))),
        Format::Tiff => TiffDecoder::new(reader).map(|decoder| Opened::Tiff(Box::new(decoder))),
        Format::Jpeg => unreachable!("JPEG has its own decoder"),
    };
    opened.map_err(|error| from_image(format, bytes.len(), error))
}

fn stored_size(opened: &Opened<'_>) -> Size {
    let (width, height) = with!(opened, decoder => decoder.dimensions());
    Size { width, height }
}

/// Damaged metadata does not make pixels unreadable: the image then counts as upright.
fn orientation(opened: &mut Opened<'_>) -> Orientation {
    with!(opened, decoder => decoder.orientation())
        .map_or(Orientation::Upright, |found| Orientation::from_tag(found.to_exif()))
}

/// The stored size, and how to turn it.
pub(super) fn header(format: Format, bytes: &[u8]) -> Result<(Size, Orientation), DecodeError> {
    let mut opened = open(format, bytes)?;
    Ok((stored_size(&opened), orientation(&mut opened)))
}

/// Decodes into `pixels` (RGB, as stored), by way of `scratch` when the file's samples are something else.
pub(super) fn decode(
    format: Format,
    bytes: &[u8],
    options: &DecodeOptions,
    pixels: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
) -> Result<(Size, Orientation), DecodeError> {
    let mut opened = open(format, bytes)?;
    let size = stored_size(&opened);
    check_size(format, size, options)?;
    let orientation = orientation(&mut opened);
    let color = with!(&opened, decoder => decoder.color_type());
    let reason = |error| from_image(format, bytes.len(), error);

    let mut limits = Limits::no_limits();
    // Decoders may want a few working copies of at most 16 bytes per pixel; more is a header that lies.
    limits.max_alloc = Some((bytes_of(size, 64) as u64).max(16 << 20));
    with!(&mut opened, decoder => decoder.set_limits(limits)).map_err(reason)?;

    let channels = usize::from(color.channel_count());
    pixels.resize(bytes_of(size, 3), 0);
    match color {
        ColorType::Rgb8 => with!(opened, decoder => decoder.read_image(pixels)).map_err(reason)?,
        ColorType::L8 | ColorType::La8 | ColorType::Rgba8 => {
            scratch.resize(bytes_of(size, channels), 0);
            with!(opened, decoder => decoder.read_image(scratch)).map_err(reason)?;
            to_rgb(scratch, channels, 1, 0, pixels);
        }
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => {
            scratch.resize(bytes_of(size, 2 * channels), 0);
            with!(opened, decoder => decoder.read_image(scratch)).map_err(reason)?;
            // The decoders write samples in the machine's byte order.
            let high_byte = if cfg!(target_endian = "little") { 1 } else { 0 };
            to_rgb(scratch, channels, 2, high_byte, pixels);
        }
        other => {
            return Err(DecodeError::Unsupported {
                format,
                reason: format!("samples of type {other:?}, expected 8 or 16 bits"),
            });
        }
    }
    Ok((size, orientation))
}

/// Takes byte `offset` of each sample of `sample_bytes`: gray (1 or 2 channels) is replicated, alpha (the second of 2
/// or the fourth of 4) left out.
fn to_rgb(samples: &[u8], channels: usize, sample_bytes: usize, offset: usize, rgb: &mut [u8]) {
    let (green, blue) = if channels < 3 { (0, 0) } else { (sample_bytes, 2 * sample_bytes) };
    for (pixel, sample) in rgb.chunks_exact_mut(3).zip(samples.chunks_exact(channels * sample_bytes)) {
        pixel[0] = sample[offset];
        pixel[1] = sample[offset + green];
        pixel[2] = sample[offset + blue];
    }
}

fn from_image(format: Format, bytes: usize, error: ImageError) -> DecodeError {
    match error {
        ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => {
            DecodeError::Truncated { format, bytes }
        }
        ImageError::Unsupported(what) => DecodeError::Unsupported { format, reason: what.to_string() },
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            DecodeError::Corrupt {
                format,
                reason: "decoding wants more memory than its size explains".into(),
            }
        }
        other => DecodeError::Corrupt { format, reason: other.to_string() },
    }
}
