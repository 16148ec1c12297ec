//! What one worker does to one sample: read, plan, decode, augment.

use std::time::Instant;

use diptych_host::{Region, Size};

use crate::augment::{Buffers, Chain, ViewSet, plan_all};
use crate::counters::Meters;
use crate::decode::{self, DecodeOptions, DecodedImage};
use crate::error::{Error, ReadError};
use crate::source::{Form, SampleData, Source};

/// One worker's instances and buffers; nothing is allocated per sample once the buffers have grown.
pub(crate) struct Worker {
    pub chains: Vec<Chain>,
    /// Sizes of the planned views.
    pub sizes: Vec<Size>,
    /// The planned sample as its source gave it.
    data: SampleData,
    /// Size of the planned sample, as its header says.
    pub input: Size,
    decoded: DecodedImage,
    buffers: Buffers,
    options: DecodeOptions,
}

/// Why a sample has no views.
pub(crate) enum Failure {
    /// The image's own fault: the caller may skip it.
    Unreadable(ReadError),
    /// Everything else ends the run.
    Fatal(Error),
}

impl<E: Into<ReadError>> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::Unreadable(error.into())
    }
}

impl Worker {
    pub fn new(views: &ViewSet, maximum_pixels: u64) -> Result<Worker, Error> {
        Ok(Worker {
            chains: views.chains()?,
            sizes: Vec::new(),
            data: SampleData::default(),
            input: Size::default(),
            decoded: DecodedImage::default(),
            buffers: Buffers::default(),
            options: DecodeOptions { maximum_pixels },
        })
    }

    /// Reads sample `index` and plans its views; their sizes are then in `sizes`.
    pub fn plan(
        &mut self,
        source: &dyn Source,
        index: usize,
        seed: u64,
        epoch: u64,
        meters: &Meters,
    ) -> Result<(), Failure> {
        let start = Instant::now();
        source.read(index, &mut self.data)?;
        meters.read.worked(start);
        self.input = match self.data.form {
            Form::Encoded => decode::probe(&self.data.bytes)?,
            Form::Rgb8(size) => size,
        };
        if self.data.form == Form::Encoded
            && u64::from(self.input.width) * u64::from(self.input.height) > self.options.maximum_pixels
        {
            // Decoding refuses it, with its own message and before it decodes anything.
            decode::decode(&self.data.bytes, &self.options, &mut self.decoded)?;
        }
        let start = Instant::now();
        let id = source.sample(index).id;
        plan_all(&mut self.chains, self.input, (seed, epoch, id), &mut self.sizes).map_err(
            |(chain, error)| {
                let path = source.path(index);
                Failure::Fatal(Error::operator(&self.chains[chain].name, error, Some(&path)))
            },
        )?;
        meters.augment.spent(start);
        Ok(())
    }

    /// Decodes the planned sample, once, and writes each of its views to its slot.
    pub fn render(
        &mut self,
        source: &dyn Source,
        index: usize,
        meters: &Meters,
        slots: &mut [&mut [u8]],
    ) -> Result<(), Failure> {
        let start = Instant::now();
        // Views of one sample overlap: decoding what holds all their regions is cheaper than decoding each.
        let region = self.chains.iter().map(|chain| chain.reads(self.input)).reduce(union);
        let region =
            region.unwrap_or(Region { x: 0, y: 0, width: self.input.width, height: self.input.height });
        match self.data.form {
            Form::Encoded => {
                decode::decode_region(&self.data.bytes, &self.options, region, &mut self.decoded)?;
            }
            Form::Rgb8(size) => {
                (self.decoded.width, self.decoded.height) = (size.width, size.height);
                self.decoded.region = Region { x: 0, y: 0, width: size.width, height: size.height };
                std::mem::swap(&mut self.decoded.pixels, &mut self.data.bytes);
            }
        }
        meters.decode.worked(start);
        let decoded = self.decoded.size();
        if decoded != self.input {
            return Err(ReadError::Header { header: self.input, decoded }.into());
        }
        let start = Instant::now();
        for (chain, slot) in self.chains.iter_mut().zip(slots) {
            chain.apply(&self.decoded, &mut self.buffers, slot).map_err(|error| {
                Failure::Fatal(Error::operator(&chain.name, error, Some(&source.path(index))))
            })?;
        }
        meters.augment.worked(start);
        Ok(())
    }
}

/// The smallest rectangle that holds both.
fn union(one: Region, other: Region) -> Region {
    let (x, y) = (one.x.min(other.x), one.y.min(other.y));
    let right = (one.x + one.width).max(other.x + other.width);
    let bottom = (one.y + one.height).max(other.y + other.height);
    Region { x, y, width: right - x, height: bottom - y }
}
