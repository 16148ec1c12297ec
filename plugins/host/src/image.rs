//! Pixels that the host lends to an operator, and the scratch memory that goes with them.

use std::marker::PhantomData;

use diptych_abi as abi;
use diptych_abi::{Region, Size};

/// How pixels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// 8-bit interleaved RGB.
    Rgb8,
    /// Three planes of 32-bit floats in [0, 1].
    PlanarF32,
}

impl PixelFormat {
    /// The boundary's number for it.
    pub(crate) fn number(self) -> abi::PixelFormat {
        match self {
            PixelFormat::Rgb8 => abi::PIXELS_RGB8,
            PixelFormat::PlanarF32 => abi::PIXELS_PLANAR_F32,
        }
    }

    /// Bytes of a pixel, all planes together.
    pub fn bytes_per_pixel(self) -> usize {
        match self {
            PixelFormat::Rgb8 => 3,
            PixelFormat::PlanarF32 => 12,
        }
    }
}

/// Pixels lent for reading.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    pub(crate) raw: abi::Image,
    lifetime: PhantomData<&'a [u8]>,
}

/// Pixels lent for writing.
pub struct ImageMut<'a> {
    pub(crate) raw: abi::Image,
    lifetime: PhantomData<&'a mut [u8]>,
}

fn whole(size: Size) -> Region {
    Region { x: 0, y: 0, width: size.width, height: size.height }
}

fn rgb8(data: *mut u8, length: usize, region: Region, row_stride: usize) -> abi::Image {
    let row_bytes = 3 * region.width as usize;
    let needed = (region.height as usize).saturating_sub(1) * row_stride + row_bytes;
    assert!(
        row_stride >= row_bytes && length >= needed,
        "{length} bytes for {region:?}, stride {row_stride}"
    );
    abi::Image {
        struct_size: size_of::<abi::Image>() as u32,
        format: abi::PIXELS_RGB8,
        region,
        data,
        row_stride,
        plane_stride: 0,
    }
}

fn planar_f32(data: *mut f32, length: usize, region: Region) -> abi::Image {
    let plane = region.width as usize * region.height as usize;
    assert!(length >= 3 * plane, "{length} floats for three planes of {region:?}");
    abi::Image {
        struct_size: size_of::<abi::Image>() as u32,
        format: abi::PIXELS_PLANAR_F32,
        region,
        data: data.cast(),
        row_stride: 4 * region.width as usize,
        plane_stride: 4 * plane,
    }
}

impl<'a> Image<'a> {
    /// Interleaved bytes: `region` of a planned input, rows `row_stride` bytes apart.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn rgb8(region: Region, bytes: &'a [u8], row_stride: usize) -> Self {
        let raw = rgb8(bytes.as_ptr().cast_mut(), bytes.len(), region, row_stride);
        Image { raw, lifetime: PhantomData }
    }

    /// Three planes that follow each other without gaps: `region` of a planned input.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn planar_f32(region: Region, samples: &'a [f32]) -> Self {
        let raw = planar_f32(samples.as_ptr().cast_mut(), samples.len(), region);
        Image { raw, lifetime: PhantomData }
    }
}

impl<'a> ImageMut<'a> {
    /// Interleaved bytes of an image of `size`, rows following each other without gaps.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn rgb8(size: Size, bytes: &'a mut [u8]) -> Self {
        let raw = rgb8(bytes.as_mut_ptr(), bytes.len(), whole(size), 3 * size.width as usize);
        ImageMut { raw, lifetime: PhantomData }
    }

    /// Three planes of an image of `size`, following each other without gaps.
    ///
    /// # Panics
    /// When the slice is too short.
    pub fn planar_f32(size: Size, samples: &'a mut [f32]) -> Self {
        let raw = planar_f32(samples.as_mut_ptr(), samples.len(), whole(size));
        ImageMut { raw, lifetime: PhantomData }
    }
}

/// Unit of memory that aligns scratch as the boundary promises.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// Scratch memory of one worker, kept between calls and grown when a plan asks for more.
#[derive(Default)]
pub struct Scratch {
    memory: Vec<Line>,
}

impl Scratch {
    /// No memory yet.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// At least `bytes` initialised bytes, aligned to 64.
    pub(crate) fn at_least(&mut self, bytes: usize) -> *mut u8 {
        let lines = bytes.div_ceil(64);
        if self.memory.len() < lines {
            self.memory.resize(lines, Line([0; 64]));
        }
        self.memory.as_mut_ptr().cast()
    }
}
