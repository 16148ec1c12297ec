//! JPEG, through zune-jpeg straight into the caller's pixels.
//!
//! zune-jpeg fills what is missing with gray unless it is told to be strict; strict, it also refuses stray bytes
//! between header segments, which every other decoder skips. So headers are read leniently and the image data
//! strictly, and that the file reaches its end marker is checked here. What stays undetected, as in libjpeg: a scan
//! that stops too early in front of an intact end marker.

use diptych_abi::Size;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::orientation::Orientation;
use super::{DecodeError, DecodeOptions, Format, bytes_of, check_size};

/// What the segments before the image data say.
pub(super) struct Header {
    /// As stored, before orientation.
    pub(super) size: Size,
    pub(super) orientation: Orientation,
    components: u8,
    /// Where the entropy-coded data of the first scan begins.
    scan: usize,
}

/// Reads the segments up to the first scan.
pub(super) fn header(bytes: &[u8]) -> Result<Header, DecodeError> {
    let mut frame = None;
    let mut orientation = Orientation::Upright;
    let mut at = 2;
    loop {
        let (marker, body, next) = segment(bytes, at)?;
        match marker {
            // SOF0 to SOF15, without DHT (C4), JPG (C8) and DAC (CC).
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let [_precision, h0, h1, w0, w1, components, ..] = *body else {
                    return Err(corrupt(format!(
                        "frame header of {} bytes, expected at least 6",
                        body.len()
                    )));
                };
                let (width, height) = (u16::from_be_bytes([w0, w1]), u16::from_be_bytes([h0, h1]));
                frame = Some((Size { width: width.into(), height: height.into() }, components));
            }
            0xE1 => {
                if let Some(block) = body.strip_prefix(b"Exif\0\0") {
                    orientation = Orientation::from_exif(block);
                }
            }
            0xDA => {
                let (size, components) =
                    frame.ok_or_else(|| corrupt("image data begins before a frame header".into()))?;
                return Ok(Header { size, orientation, components, scan: next });
            }
            0xD9 => return Err(corrupt("end marker before any image data".into())),
            _ => {}
        }
        at = next;
    }
}

/// Decodes into `pixels` (RGB, as stored). Answers the stored size and how to turn it.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    pixels: &mut Vec<u8>,
) -> Result<(Size, Orientation), DecodeError> {
    let header = header(bytes)?;
    check_size(Format::Jpeg, header.size, options)?;
    check_complete(bytes, header.scan)?;

    if !matches!(header.components, 1 | 3 | 4) {
        let reason = format!("{} components, expected 1 (gray), 3 (colour) or 4 (CMYK)", header.components);
        return Err(DecodeError::Unsupported { format: Format::Jpeg, reason });
    }
    let lenient = DecoderOptions::new_fast()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(false);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), lenient);
    let reason = |error| from_zune(error, bytes.len());
    decoder.decode_headers().map_err(reason)?;
    decoder.set_options(lenient.set_strict_mode(true));
    pixels.resize(bytes_of(header.size, 3), 0);
    decoder.decode_into(pixels).map_err(reason)?;
    Ok((header.size, header.orientation))
}

/// The segment at or after `at`: its marker, its body, and where the next begins. Stray bytes before a marker
/// are skipped, as libjpeg does.
fn segment(bytes: &[u8], at: usize) -> Result<(u8, &[u8], usize), DecodeError> {
    let truncated = || DecodeError::Truncated { format: Format::Jpeg, bytes: bytes.len() };
    let mut at = at;
    let marker = loop {
        at += bytes
            .get(at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0xFF))
            .ok_or_else(truncated)?;
        at += 1;
        match *bytes.get(at).ok_or_else(truncated)? {
            // A stuffed zero or a fill byte is no marker.
            0x00 | 0xFF => {}
            marker => break marker,
        }
    };
    at += 1;
    // Markers without a length: TEM, RST0 to RST7, SOI, EOI.
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Ok((marker, &[], at));
    }
    let length = match bytes.get(at..at + 2) {
        Some(length) => usize::from(u16::from_be_bytes([length[0], length[1]])),
        None => return Err(truncated()),
    };
    if length < 2 {
        return Err(corrupt(format!("segment {marker:02x} with length {length}, expected at least 2")));
    }
    let body = bytes.get(at + 2..at + length).ok_or_else(truncated)?;
    Ok((marker, body, at + length))
}

/// Follows the segments from the first scan's data on to the end marker.
fn check_complete(bytes: &[u8], scan: usize) -> Result<(), DecodeError> {
    let mut at = scan;
    loop {
        let (marker, _, next) = segment(bytes, at)?;
        if marker == 0xD9 {
            return Ok(());
        }
        at = next;
    }
}

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt { format: Format::Jpeg, reason }
}

fn from_zune(error: DecodeErrors, bytes: usize) -> DecodeError {
    match error {
        DecodeErrors::Unsupported(kind) => DecodeError::Unsupported {
            format: Format::Jpeg,
            reason: format!("{kind:?}; baseline and progressive Huffman coding are supported"),
        },
        DecodeErrors::ExhaustedData | DecodeErrors::FormatStatic("Premature end of buffer") => {
            DecodeError::Truncated { format: Format::Jpeg, bytes }
        }
        other => corrupt(other.to_string()),
    }
}
