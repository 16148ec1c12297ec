//! One sample on its way: read, decoded, shrunk, encoded.

use std::mem;

use diptych_pipeline::decode::{self, DecodeOptions, DecodedImage};
use diptych_pipeline::{Form, ReadError, SampleData, Size, Source};

use crate::encode::{self, Encoded, Encoding};
use crate::options::Format;
use crate::shrink::Shrinker;

/// Why a sample has no place in a set.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its format cannot hold it.
    #[error("{0}")]
    Encode(String),
}

/// Reads and decodes samples, and keeps its memory from one to the next.
#[derive(Default)]
pub(crate) struct Reader {
    /// As the source gave it; of an image that came as pixels, what was there before.
    data: SampleData,
    decoded: DecodedImage,
}

impl Reader {
    /// Reads sample `index`; answers the format of its file, `None` for pixels.
    pub fn read(
        &mut self,
        source: &dyn Source,
        index: usize,
        options: &DecodeOptions,
    ) -> Result<Option<decode::Format>, ReadError> {
        source.read(index, &mut self.data)?;
        match self.data.form {
            Form::Encoded => {
                decode::decode(&self.data.bytes, options, &mut self.decoded)?;
                Ok(decode::format_of(&self.data.bytes))
            }
            Form::Rgb8(Size { width, height }) => {
                (self.decoded.width, self.decoded.height) = (width, height);
                mem::swap(&mut self.decoded.pixels, &mut self.data.bytes);
                Ok(None)
            }
        }
    }

    /// What the source handed out: the file, or the pixels.
    pub fn bytes(&self) -> &[u8] {
        if self.data.form == Form::Encoded { &self.data.bytes } else { self.pixels() }
    }

    /// Of the upright image.
    pub fn size(&self) -> Size {
        self.decoded.size()
    }

    /// Row by row, red, green, blue.
    pub fn pixels(&self) -> &[u8] {
        &self.decoded.pixels
    }
}

/// Makes members of shards, and keeps its memory from one to the next.
pub(crate) struct Packer {
    format: Format,
    short_side: Option<u32>,
    options: DecodeOptions,
    reader: Reader,
    shrinker: Shrinker,
}

impl Packer {
    pub fn new(format: Format, short_side: Option<u32>, options: DecodeOptions) -> Packer {
        Packer { format, short_side, options, reader: Reader::default(), shrinker: Shrinker::default() }
    }

    /// Sample `index` as it is stored. It is decoded in any case, so that what was packed can be read.
    pub fn pack(&mut self, source: &dyn Source, index: usize) -> Result<Encoded, Fault> {
        let stored = self.reader.read(source, index, &self.options)?;
        let (pixels, size) = (self.reader.pixels(), self.reader.size());
        let shrunk = self.short_side.and_then(|short_side| self.shrinker.shrink(pixels, size, short_side));
        let encoding = match (self.format, stored) {
            (Format::Keep { .. }, Some(stored)) if shrunk.is_none() => {
                return Ok(Encoded { suffix: encode::suffix(stored), bytes: self.reader.bytes().to_vec() });
            }
            (Format::Keep { quality }, Some(decode::Format::Jpeg)) => Encoding::Jpeg { quality },
            (Format::Keep { .. }, Some(_)) => Encoding::WebPLossless,
            (Format::Keep { .. }, None) | (Format::Raw, _) => Encoding::Ppm,
            (Format::Jpeg { quality }, _) => Encoding::Jpeg { quality },
            (Format::WebP { quality }, _) => Encoding::WebP { quality },
            (Format::WebPLossless, _) => Encoding::WebPLossless,
        };
        let (pixels, size) = shrunk.unwrap_or((pixels, size));
        encode::encode(encoding, pixels, size).map_err(Fault::Encode)
    }
}
