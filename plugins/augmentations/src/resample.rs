//! Resizing of 8-bit RGB with the semantics of TensorFlow (without antialiasing) or of Pillow (with it), by
//! fast_image_resize.
//!
//! Both put pixel centres at half integers, use Keys' cubic with a = -0.5 for `bicubic`, and drop
//! the weights that fall beyond the edges and renormalise the others. They differ when
//! shrinking: antialiasing stretches the filter by the factor of the reduction.

use diptych_sdk::{Choice, Error, Image, ImageMut, Region, Rgb8};
use fast_image_resize::images::{CroppedImage, Image as Target, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// How values between pixels are found.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// Keys' cubic, a = -0.5, over 4x4 pixels; overshoots at edges.
    Bicubic,
    /// Linear over 2x2 pixels.
    Bilinear,
}

/// A resizer that keeps its working memory from image to image.
pub struct Resampler {
    resizer: Resizer,
    options: ResizeOptions,
    /// The region and the output without gaps between rows, where the host's have gaps.
    packed_input: Vec<u8>,
    packed_output: Vec<u8>,
}

impl Resampler {
    pub fn new(interpolation: Interpolation, antialias: bool) -> Self {
        let filter = match interpolation {
            Interpolation::Bicubic => FilterType::CatmullRom,
            Interpolation::Bilinear => FilterType::Bilinear,
        };
        let algorithm =
            if antialias { ResizeAlg::Convolution(filter) } else { ResizeAlg::Interpolation(filter) };
        Resampler {
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(algorithm).use_alpha(false),
            packed_input: Vec::new(),
            packed_output: Vec::new(),
        }
    }

    /// Resizes `region` (of the planned input, a part of which `input` is) to the whole of `output`. What lies
    /// outside of the region has no influence.
    pub fn resize(
        &mut self,
        input: &Image<'_, Rgb8>,
        region: Region,
        output: &mut ImageMut<'_, Rgb8>,
    ) -> Result<(), Error> {
        let Region { width, height, .. } = region;
        let (left, top) = (region.x - input.region().x, region.y - input.region().y);
        let (source, left, top) = match input.bytes() {
            Some(bytes) => (ImageRef::new(input.width(), input.height(), bytes, PixelType::U8x3)?, left, top),
            None => {
                self.packed_input.clear();
                for y in top..top + height {
                    let row = &input.row(y)[left as usize..][..width as usize];
                    self.packed_input.extend_from_slice(row.as_flattened());
                }
                (ImageRef::new(width, height, &self.packed_input, PixelType::U8x3)?, 0, 0)
            }
        };
        let source = CroppedImage::new(&source, left, top, width, height)?;
        let (columns, rows) = (output.width(), output.height());
        if let Some(bytes) = output.bytes_mut() {
            let mut target = Target::from_slice_u8(columns, rows, bytes, PixelType::U8x3)?;
            self.resizer.resize(&source, &mut target, &self.options)?;
            return Ok(());
        }
        self.packed_output.resize(3 * columns as usize * rows as usize, 0);
        let mut target = Target::from_slice_u8(columns, rows, &mut self.packed_output, PixelType::U8x3)?;
        self.resizer.resize(&source, &mut target, &self.options)?;
        for (y, row) in self.packed_output.chunks_exact(3 * columns as usize).enumerate() {
            output.row_mut(y as u32).as_flattened_mut().copy_from_slice(row);
        }
        Ok(())
    }
}
