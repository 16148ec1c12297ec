//! JPEG, through diptych-jpeg straight into the caller's pixels: only the region asked for.

use diptych_abi::{Region, Size};
use diptych_jpeg::{Decoder, Error, Header};

use super::orientation::Orientation;
use super::{DecodeError, DecodeOptions, Format, check_size};

/// The stored size, and how to turn it.
pub(super) fn header(bytes: &[u8]) -> Result<(Size, Orientation), DecodeError> {
    let header = Header::read(bytes).map_err(|error| from_decoder(error, bytes.len()))?;
    Ok((header.size, header.exif.map_or(Orientation::Upright, Orientation::from_exif)))
}

/// Decodes `region` of the upright image into `pixels` (RGB, as stored). Answers the stored size and how to turn it.
pub(super) fn decode(
    bytes: &[u8],
    options: &DecodeOptions,
    region: Option<Region>,
    decoder: &mut Decoder,
    pixels: &mut Vec<u8>,
) -> Result<(Size, Orientation), DecodeError> {
    let (size, orientation) = header(bytes)?;
    check_size(Format::Jpeg, size, options)?;
    let stored = region.map(|region| orientation.stored_region(size, region));
    decoder.decode(bytes, stored, pixels).map_err(|error| from_decoder(error, bytes.len()))?;
    Ok((size, orientation))
}

fn from_decoder(error: Error, bytes: usize) -> DecodeError {
    let format = Format::Jpeg;
    match error {
        Error::Truncated => DecodeError::Truncated { format, bytes },
        Error::Corrupt(reason) => DecodeError::Corrupt { format, reason },
        Error::Unsupported(reason) => DecodeError::Unsupported { format, reason },
    }
}
