//! For the unit tests of operators: owned images, and running an operator as the host would.

use diptych_abi as abi;

use crate::augmentation::{Access, Augmentation, Plan};
use crate::{Error, Image, ImageMut, Pixels, PlanarF32, RandomStream, Region, Rgb8, Scratch, Size};

/// A 64-byte unit, so that buffers are aligned as the host's are.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// An image that owns its pixels.
pub struct OwnedImage<P> {
    region: Region,
    memory: Vec<Line>,
    format: std::marker::PhantomData<P>,
}

impl<P: Pixels> OwnedImage<P> {
    /// A black image.
    pub fn new(size: Size) -> Self {
        let bytes = size.width as usize * size.height as usize * P::PIXEL_BYTES * P::PLANES;
        OwnedImage {
            region: Region { x: 0, y: 0, width: size.width, height: size.height },
            memory: vec![Line([0; 64]); bytes.div_ceil(64).max(1)],
            format: std::marker::PhantomData,
        }
    }

    fn raw(&mut self) -> abi::Image {
        let row_stride = self.region.width as usize * P::PIXEL_BYTES;
        abi::Image {
            struct_size: size_of::<abi::Image>() as u32,
            format: P::FORMAT,
            region: self.region,
            data: self.memory.as_mut_ptr().cast(),
            row_stride,
            plane_stride: if P::PLANES == 1 { 0 } else { row_stride * self.region.height as usize },
        }
    }

    /// Width and height.
    pub fn size(&self) -> Size {
        Size { width: self.region.width, height: self.region.height }
    }

    /// The pixels, for reading.
    pub fn view(&mut self) -> Image<'_, P> {
        // SAFETY: the raw image describes this buffer, borrowed for the view's life.
        unsafe { Image::borrow(&self.raw()) }.expect("an owned image is well-formed")
    }

    /// The pixels, for writing.
    pub fn view_mut(&mut self) -> ImageMut<'_, P> {
        // SAFETY: the raw image describes this buffer, borrowed uniquely for the view's life.
        unsafe { ImageMut::borrow(&self.raw()) }.expect("an owned image is well-formed")
    }

    /// The rectangle `region` of this image, as an operator that asked for it would be given it.
    fn cut(&self, region: Region) -> OwnedImage<P> {
        let mut source =
            OwnedImage::<P> { region: self.region, memory: self.memory.clone(), format: self.format };
        let mut cut = OwnedImage::<P>::new(Size { width: region.width, height: region.height });
        cut.region = region;
        let (from, to) = (source.raw(), cut.raw());
        for plane in 0..P::PLANES {
            for y in 0..region.height as usize {
                let start = plane * from.plane_stride
                    + (region.y as usize + y) * from.row_stride
                    + region.x as usize * P::PIXEL_BYTES;
                // SAFETY: the region lies within the source (`apply` checks it) and the copy's rows have its width.
                unsafe {
                    from.data.add(start).copy_to_nonoverlapping(
                        to.data.add(plane * to.plane_stride + y * to.row_stride),
                        to.row_stride,
                    );
                }
            }
        }
        cut
    }
}

impl OwnedImage<Rgb8> {
    /// An image whose pixel (x, y) is `pixel(x, y)`.
    pub fn from_fn(size: Size, mut pixel: impl FnMut(u32, u32) -> [u8; 3]) -> Self {
        let mut image = Self::new(size);
        for y in 0..size.height {
            for (x, target) in image.view_mut().row_mut(y).iter_mut().enumerate() {
                *target = pixel(x as u32, y);
            }
        }
        image
    }

    /// All pixels, row by row.
    pub fn pixels(&mut self) -> Vec<[u8; 3]> {
        let view = self.view();
        (0..view.height()).flat_map(|y| view.row(y).to_vec()).collect()
    }
}

impl OwnedImage<PlanarF32> {
    /// An image whose pixel (x, y) is `pixel(x, y)`.
    pub fn from_fn(size: Size, mut pixel: impl FnMut(u32, u32) -> [f32; 3]) -> Self {
        let mut image = Self::new(size);
        for y in 0..size.height {
            let mut view = image.view_mut();
            let [red, green, blue] = view.rows_mut(y);
            for (x, ((red, green), blue)) in red.iter_mut().zip(green).zip(blue).enumerate() {
                [*red, *green, *blue] = pixel(x as u32, y);
            }
        }
        image
    }

    /// All pixels, row by row.
    pub fn pixels(&mut self) -> Vec<[f32; 3]> {
        let view = self.view();
        let row = |y| {
            let [red, green, blue] = view.rows(y);
            (0..red.len()).map(move |x| [red[x], green[x], blue[x]])
        };
        (0..view.height()).flat_map(row).collect()
    }
}

/// The pixel format that an operator reads.
pub type PixelsOf<A> = <<A as Augmentation>::Access as Access>::Pixels;
/// The pixel format that an operator writes.
pub type OutputOf<A> = <<A as Augmentation>::Access as Access>::Output;

/// Plans and applies `operator` to `image` with draws from `random`, through the same views as the host.
/// The output begins filled with a pattern, so that a pixel left unwritten shows.
///
/// # Errors
/// What the operator answers, or that its plan contradicts the boundary.
pub fn run<A: Augmentation>(
    operator: &mut A,
    image: &OwnedImage<PixelsOf<A>>,
    random: &mut RandomStream,
) -> Result<OwnedImage<OutputOf<A>>, Error> {
    let size = image.size();
    let Plan { output, region, scratch_bytes } = operator.plan(size, random)?;
    let inside = u64::from(region.x) + u64::from(region.width) <= u64::from(size.width)
        && u64::from(region.y) + u64::from(region.height) <= u64::from(size.height);
    if !inside || region.width == 0 || region.height == 0 {
        return Err(Error::new(format_args!("the plan reads {region:?} of an image of {size:?}")));
    }
    let mut input = image.cut(region);
    let mut scratch = vec![Line([0xa5; 64]); scratch_bytes.div_ceil(64)];
    // SAFETY: the scratch memory lives through the call, is initialised and aligned to 64 bytes.
    let scratch = unsafe { Scratch::borrow(scratch.as_mut_ptr().cast(), scratch_bytes) };
    if <A::Access as Access>::IN_PLACE {
        if output != size || region.width != size.width || region.height != size.height {
            return Err(Error::new("an operator in place plans another size or region than its input's"));
        }
        let raw = input.raw();
        // SAFETY: one buffer as input and output, lent for the call.
        operator.apply(unsafe { <A::Access as Access>::images(&raw, &raw) }?, scratch)?;
        // In place, both formats are one.
        return Ok(OwnedImage { region: input.region, memory: input.memory, format: Default::default() });
    }
    let mut result = OwnedImage::new(output);
    result.memory.fill(Line([0xa5; 64]));
    // SAFETY: two separate buffers, lent for the call.
    operator.apply(unsafe { <A::Access as Access>::images(&input.raw(), &result.raw()) }?, scratch)?;
    Ok(result)
}
