//! JPEG to 8-bit RGB, the whole image or a region of it, bit for bit as libjpeg-turbo decodes it by default.
//!
//! "By default" is what Pillow and OpenCV run: the accurate integer inverse DCT, triangle-filter ("fancy") upsampling of
//! chroma that is halved, replication of chroma that is sampled otherwise. A region's pixels are those of the whole image.
//! Entropy-coded data has no index: it is read from the top to the last row needed, but blocks outside of the region are only
//! skipped over, which costs a fraction, and the stages after them see the region alone.
//!
//! Sequential and progressive Huffman coding of 8-bit samples, 1, 3 or 4 components, any sampling without fractions. Damage
//! that is noticed is an error, never a half-gray image.
//!
//! The hot loops exist twice, in portable form and for AVX2 (`avx2.rs`, the only file with `unsafe`), chosen when a
//! [`Decoder`] is made; a test holds them together.

#![deny(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bits;
mod header;
mod huffman;
mod kernels;
mod region;
mod render;
mod scans;
mod sequential;
#[cfg(test)]
mod tests;

use diptych_abi::Region;

pub use header::Header;
use header::{EOI, Segment, State};
use kernels::Level;
use region::Window;
use render::Renderer;

/// Why a file gave no pixels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file ends before its image does.
    #[error("the file ends early")]
    Truncated,
    /// The file breaks the format's rules.
    #[error("{0}")]
    Corrupt(String),
    /// The file may be right, but is of a kind that is not decoded.
    #[error("{0}")]
    Unsupported(String),
}

fn corrupt(reason: impl Into<String>) -> Error {
    Error::Corrupt(reason.into())
}

/// Tables and working memory, kept from file to file: nothing is allocated once they have grown.
#[derive(Clone, Default)]
pub struct Decoder {
    level: Level,
    state: State,
    /// The entropy-coded data of one scan, or of what lies between restart markers.
    stream: Vec<u8>,
    /// All coefficients of an image whose scans don't hold whole pixels each.
    coefficients: Vec<i16>,
    renderer: Renderer,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Decoder").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder for this machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder in portable code, whatever the machine.
    pub fn portable() -> Self {
        Decoder { level: Level::Portable, ..Self::default() }
    }

    /// Decodes `region` (the whole image for `None`) of the stored image into `out`, whose memory is reused: row by row,
    /// red, green, blue; gray is replicated, ink (taken to be stored inverted, as Adobe does) is multiplied: `C * K / 255`.
    ///
    /// # Errors
    /// The file is damaged or of an unsupported kind; `out` then holds nothing to be used. Damage below the region goes
    /// unnoticed, but a file without its end marker does not.
    ///
    /// # Panics
    /// When `region` is empty or not within the image, whose size [`Header::read`] tells.
    pub fn decode(&mut self, bytes: &[u8], region: Option<Region>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.state.reset();
        let first = self.state.next_scan(bytes, 2)?;
        let (scan, at) = first.ok_or_else(|| corrupt("end marker before any image data"))?;
        let frame = self.state.frame.ok_or_else(|| corrupt("no frame header"))?;
        let window = Window::new(&frame, region);
        out.resize(3 * window.region.width as usize * window.region.height as usize, 0);
        if frame.progressive || scan.components().len() < frame.components().len() {
            let shape = scans::read(
                &mut self.state,
                frame,
                (scan, at),
                bytes,
                &mut self.stream,
                &mut self.coefficients,
            )?;
            self.renderer.begin(&shape.frame, window, &shape.quantization, self.state.colour(&shape.frame));
            scans::render(&shape, &self.coefficients, &mut self.renderer, self.level, out);
            return Ok(());
        }
        let mut quantization = [[0; 64]; 4];
        for (table, component) in quantization.iter_mut().zip(frame.components()) {
            *table = self.state.quantization(component)?;
        }
        self.renderer.begin(&frame, window, &quantization, self.state.colour(&frame));
        let last = sequential::decode(
            &self.state,
            &frame,
            &scan,
            (bytes, at),
            &mut self.stream,
            &mut self.renderer,
            self.level,
            out,
        )?;
        find_end(bytes, last)
    }
}

/// Follows the segments from `at` on to the end marker.
fn find_end(bytes: &[u8], at: usize) -> Result<(), Error> {
    let mut at = at;
    loop {
        let segment = Segment::after(bytes, at)?;
        if segment.marker == EOI {
            return Ok(());
        }
        at = segment.next;
    }
}
