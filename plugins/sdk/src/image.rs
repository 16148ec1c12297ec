//! Safe views over the pixels that the host lends for a call.
//!
//! Invariant: a view exists only over memory whose format, alignment and strides were checked, so that every row
//! it gives is a valid slice and rows of different y or channel never overlap.

use std::marker::PhantomData;
use std::slice;

use diptych_abi as abi;

use crate::{Error, Region, Size};

/// A pixel format: [`Rgb8`] or [`PlanarF32`].
pub trait Pixels: sealed::Sealed + Send + 'static {
    /// The boundary's number for it.
    #[doc(hidden)]
    const FORMAT: abi::PixelFormat;
    /// Bytes from one pixel of a row to the next.
    #[doc(hidden)]
    const PIXEL_BYTES: usize;
    /// Number of planes.
    #[doc(hidden)]
    const PLANES: usize;
    /// Alignment of a sample in bytes.
    #[doc(hidden)]
    const ALIGNMENT: usize;
}

/// 8-bit interleaved RGB; a pixel is a `[u8; 3]`.
pub struct Rgb8;

/// Three planes (red, green, blue) of 32-bit floats in [0, 1].
pub struct PlanarF32;

impl Pixels for Rgb8 {
    const FORMAT: abi::PixelFormat = abi::PIXELS_RGB8;
    const PIXEL_BYTES: usize = 3;
    const PLANES: usize = 1;
    const ALIGNMENT: usize = 1;
}

impl Pixels for PlanarF32 {
    const FORMAT: abi::PixelFormat = abi::PIXELS_PLANAR_F32;
    const PIXEL_BYTES: usize = 4;
    const PLANES: usize = 3;
    const ALIGNMENT: usize = 4;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Rgb8 {}
    impl Sealed for super::PlanarF32 {}
}

/// Pixels that may be read.
pub struct Image<'a, P> {
    raw: abi::Image,
    lifetime: PhantomData<(&'a [u8], P)>,
}

/// Pixels that may be read and written.
pub struct ImageMut<'a, P> {
    raw: abi::Image,
    lifetime: PhantomData<(&'a mut [u8], P)>,
}

// SAFETY: a view is a shared borrow of plain bytes.
unsafe impl<P: Pixels> Send for Image<'_, P> {}
// SAFETY: as above.
unsafe impl<P: Pixels> Sync for Image<'_, P> {}
// SAFETY: a mutable view is a unique borrow of plain bytes.
unsafe impl<P: Pixels> Send for ImageMut<'_, P> {}
// SAFETY: through `&ImageMut` pixels can only be read.
unsafe impl<P: Pixels> Sync for ImageMut<'_, P> {}

fn check<P: Pixels>(raw: &abi::Image) -> Result<(), Error> {
    let row_bytes = raw.region.width as usize * P::PIXEL_BYTES;
    let plane_bytes = raw.row_stride.checked_mul(raw.region.height as usize);
    let well_formed = raw.format == P::FORMAT
        && !raw.data.is_null()
        && (raw.data as usize).is_multiple_of(P::ALIGNMENT)
        && raw.row_stride.is_multiple_of(P::ALIGNMENT)
        && raw.plane_stride.is_multiple_of(P::ALIGNMENT)
        && raw.row_stride >= row_bytes
        && (P::PLANES == 1 || plane_bytes.is_some_and(|bytes| raw.plane_stride >= bytes));
    if well_formed {
        Ok(())
    } else {
        Err(Error::new(
            "the host passed an image whose format, alignment or strides are not the announced ones",
        ))
    }
}

/// First byte of row `y` in `plane`.
fn row_start<P: Pixels>(raw: &abi::Image, plane: usize, y: u32) -> *mut u8 {
    assert!(y < raw.region.height, "row {y} of an image of {} rows", raw.region.height);
    assert!(plane < P::PLANES, "channel {plane} of an image of {} planes", P::PLANES);
    // SAFETY: rows and planes below their counts lie within the memory that the creator of the view vouched for.
    unsafe { raw.data.add(plane * raw.plane_stride + y as usize * raw.row_stride) }
}

impl<P: Pixels> Image<'_, P> {
    /// # Safety
    /// `raw` describes memory that is readable and not written for `'a`, or [`check`] refuses it.
    pub(crate) unsafe fn borrow(raw: &abi::Image) -> Result<Self, Error> {
        check::<P>(raw)?;
        Ok(Image { raw: *raw, lifetime: PhantomData })
    }

    /// Columns of the pixels at hand.
    pub fn width(&self) -> u32 {
        self.raw.region.width
    }

    /// Rows of the pixels at hand.
    pub fn height(&self) -> u32 {
        self.raw.region.height
    }

    /// Size of the pixels at hand.
    pub fn size(&self) -> Size {
        Size { width: self.width(), height: self.height() }
    }

    /// Which rectangle of the planned input these pixels are: at least the region that `plan` asked
    /// for. Rows and columns of the view count from its corner.
    pub fn region(&self) -> Region {
        self.raw.region
    }
}

impl<'a> Image<'a, Rgb8> {
    /// Row `y`, from the top.
    pub fn row(&self, y: u32) -> &'a [[u8; 3]] {
        let start = row_start::<Rgb8>(&self.raw, 0, y);
        // SAFETY: the row lies in memory that is readable for 'a; [u8; 3] has alignment 1.
        unsafe { slice::from_raw_parts(start.cast(), self.raw.region.width as usize) }
    }

    /// All bytes as one slice when rows follow each other without gaps.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        let row_bytes = self.raw.region.width as usize * 3;
        // SAFETY: without gaps all rows are one readable range.
        (self.raw.row_stride == row_bytes).then(|| unsafe {
            slice::from_raw_parts(self.raw.data, row_bytes * self.raw.region.height as usize)
        })
    }
}

impl<'a> Image<'a, PlanarF32> {
    /// Row `y`, from the top, of `channel` (0 red, 1 green, 2 blue).
    pub fn row(&self, channel: usize, y: u32) -> &'a [f32] {
        let start = row_start::<PlanarF32>(&self.raw, channel, y);
        // SAFETY: the row lies in memory that is readable for 'a; its alignment was checked.
        unsafe { slice::from_raw_parts(start.cast(), self.raw.region.width as usize) }
    }

    /// Row `y` of red, green and blue.
    pub fn rows(&self, y: u32) -> [&'a [f32]; 3] {
        [self.row(0, y), self.row(1, y), self.row(2, y)]
    }
}

impl<P: Pixels> ImageMut<'_, P> {
    /// # Safety
    /// `raw` describes memory that is readable, writable and not otherwise used for `'a`, or [`check`] refuses it.
    pub(crate) unsafe fn borrow(raw: &abi::Image) -> Result<Self, Error> {
        check::<P>(raw)?;
        Ok(ImageMut { raw: *raw, lifetime: PhantomData })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.raw.region.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.raw.region.height
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        Size { width: self.width(), height: self.height() }
    }

    /// The same pixels, for reading.
    pub fn as_image(&self) -> Image<'_, P> {
        Image { raw: self.raw, lifetime: PhantomData }
    }
}

impl ImageMut<'_, Rgb8> {
    /// Row `y`, from the top.
    pub fn row_mut(&mut self, y: u32) -> &mut [[u8; 3]] {
        let start = row_start::<Rgb8>(&self.raw, 0, y);
        // SAFETY: the row lies in memory borrowed uniquely through `self`; [u8; 3] has alignment 1.
        unsafe { slice::from_raw_parts_mut(start.cast(), self.raw.region.width as usize) }
    }

    /// All bytes as one slice when rows follow each other without gaps.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let row_bytes = self.raw.region.width as usize * 3;
        // SAFETY: without gaps all rows are one range, borrowed uniquely through `self`.
        (self.raw.row_stride == row_bytes).then(|| unsafe {
            slice::from_raw_parts_mut(self.raw.data, row_bytes * self.raw.region.height as usize)
        })
    }

    /// Calls `change` with every pixel, row by row.
    pub fn for_each_pixel(&mut self, mut change: impl FnMut(&mut [u8; 3])) {
        for y in 0..self.height() {
            self.row_mut(y).iter_mut().for_each(&mut change);
        }
    }
}

impl ImageMut<'_, PlanarF32> {
    /// Row `y`, from the top, of `channel` (0 red, 1 green, 2 blue).
    pub fn row_mut(&mut self, channel: usize, y: u32) -> &mut [f32] {
        let start = row_start::<PlanarF32>(&self.raw, channel, y);
        // SAFETY: the row lies in memory borrowed uniquely through `self`; its alignment was checked.
        unsafe { slice::from_raw_parts_mut(start.cast(), self.raw.region.width as usize) }
    }

    /// Row `y` of red, green and blue.
    pub fn rows_mut(&mut self, y: u32) -> [&mut [f32]; 3] {
        let width = self.raw.region.width as usize;
        [0, 1, 2].map(|channel| {
            let start = row_start::<PlanarF32>(&self.raw, channel, y);
            // SAFETY: as in `row_mut`; planes don't overlap (`check`), so neither do the three rows.
            unsafe { slice::from_raw_parts_mut(start.cast(), width) }
        })
    }

    /// Red, green and blue as one slice each when rows follow each other without gaps.
    pub fn planes_mut(&mut self) -> Option<[&mut [f32]; 3]> {
        let samples = self.raw.region.width as usize * self.raw.region.height as usize;
        (self.raw.row_stride == 4 * self.raw.region.width as usize).then(|| {
            [0, 1, 2].map(|channel| {
                let start = row_start::<PlanarF32>(&self.raw, channel, 0);
                // SAFETY: without gaps a plane's rows are one range, borrowed uniquely through `self`; planes don't
                // overlap (`check`).
                unsafe { slice::from_raw_parts_mut(start.cast(), samples) }
            })
        })
    }

    /// Replaces every pixel (red, green, blue) by what `change` makes of it, row by row.
    pub fn for_each_pixel(&mut self, mut change: impl FnMut([f32; 3]) -> [f32; 3]) {
        for y in 0..self.height() {
            let [red, green, blue] = self.rows_mut(y);
            for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
                [*red, *green, *blue] = change([*red, *green, *blue]);
            }
        }
    }
}
