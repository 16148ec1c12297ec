//! What the author of an augmentation implements.
//!
//! For every sample the host calls `plan`, where the operator draws all it needs, and then `apply`, which does what
//! was drawn. An instance belongs to one worker and is never called concurrently, so it may keep buffers
//! and what it drew in its own fields.

use std::marker::PhantomData;

use diptych_abi as abi;

use crate::{Error, Image, ImageMut, Parameters, Pixels, RandomStream, Region, Scratch, ScratchSample, Size};

/// An operator on one view of one image.
///
/// ```
/// use diptych_sdk::{Augmentation, Error, ImageMut, InPlace, Parameters, Rgb8, Scratch};
///
/// /// Inverts bright samples.
/// #[derive(Parameters)]
/// pub struct InvertParameters {
///     /// Samples from this value on are inverted.
///     #[parameter(default = 128, minimum = 0, maximum = 255)]
///     threshold: u32,
/// }
///
/// pub struct Invert {
///     threshold: u32,
/// }
///
/// impl Augmentation for Invert {
///     const ID: &'static str = "invert";
///     const DOC: &'static str = "Inverts samples above a threshold.";
///     type Access = InPlace<Rgb8>;
///     type Parameters = InvertParameters;
///
///     fn new(parameters: InvertParameters) -> Result<Self, Error> {
///         Ok(Invert { threshold: parameters.threshold })
///     }
///
///     fn apply(&mut self, mut image: ImageMut<'_, Rgb8>, _: Scratch<'_>) -> Result<(), Error> {
///         image.for_each_pixel(|pixel| {
///             for sample in pixel.iter_mut().filter(|sample| u32::from(**sample) >= self.threshold) {
///                 *sample = 255 - *sample;
///             }
///         });
///         Ok(())
///     }
/// }
/// ```
pub trait Augmentation: Sized + Send + 'static {
    /// Stable snake_case id that TOML names.
    const ID: &'static str;
    /// What it computes and after whom, Markdown; the first sentence stands alone in lists.
    const DOC: &'static str;
    /// Whether TOML may give it a `probability`. An operator that sets the view's size says false.
    const TAKES_PROBABILITY: bool = <Self::Access as Access>::IN_PLACE;
    /// How it touches pixels: [`InPlace`] or [`IntoOutput`], of [`crate::Rgb8`] or [`crate::PlanarF32`].
    type Access: Access;
    /// Its parameters; `()` when it has none.
    type Parameters: Parameters;

    /// An instance. Parameters are within their bounds; what they don't allow together is refused here.
    fn new(parameters: Self::Parameters) -> Result<Self, Error>;

    /// Draws what will be done to an image of `input` pixels, and remembers it. All randomness comes from `random`,
    /// so that a sample's views depend on nothing but their key.
    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        let _ = random;
        Ok(Plan::keep(input))
    }

    /// Does what the last `plan` drew: changes the image ([`InPlace`]), or writes every pixel of
    /// the output ([`IntoOutput`]).
    fn apply(
        &mut self,
        images: <Self::Access as Access>::Images<'_>,
        scratch: Scratch<'_>,
    ) -> Result<(), Error>;

    /// What the last `plan` drew, as short text for previews (`sigma 1.32`).
    fn describe_draws(&self) -> String {
        String::new()
    }
}

/// How an operator touches pixels: [`InPlace`] or [`IntoOutput`].
pub trait Access: sealed::Sealed + 'static {
    /// The format of what it reads.
    type Pixels: Pixels;
    /// The format of what it writes.
    type Output: Pixels;
    /// What `apply` is given.
    type Images<'a>;
    /// Whether the output is written over the input.
    const IN_PLACE: bool;

    /// # Safety
    /// The images are what the boundary promises to `apply` of an operator with this access, for `'a`.
    #[doc(hidden)]
    unsafe fn images<'a>(input: &abi::Image, output: &abi::Image) -> Result<Self::Images<'a>, Error>;
}

/// The operator changes the image it is given and keeps its size: `apply` is given an [`ImageMut`].
pub struct InPlace<P>(PhantomData<P>);

/// The operator reads one image and writes another: `apply` is given [`Images`]. It may read bytes and write floats, which
/// spares the host a conversion and the view a rounding.
pub struct IntoOutput<P, Q = P>(PhantomData<(P, Q)>);

/// Input and output of an operator that writes another image than it reads.
pub struct Images<'a, P, Q = P> {
    /// The input, at least the region that `plan` asked for.
    pub input: Image<'a, P>,
    /// The output, of the planned size; its content before is arbitrary.
    pub output: ImageMut<'a, Q>,
}

impl<P: Pixels> Access for InPlace<P> {
    type Pixels = P;
    type Output = P;
    type Images<'a> = ImageMut<'a, P>;
    const IN_PLACE: bool = true;

    unsafe fn images<'a>(input: &abi::Image, output: &abi::Image) -> Result<ImageMut<'a, P>, Error> {
        if input.data != output.data {
            return Err(Error::new("the host passed two images to an operator that works in place"));
        }
        // SAFETY: the caller vouches for the output; the input is the same memory and no view of it is made.
        unsafe { ImageMut::borrow(output) }
    }
}

impl<P: Pixels, Q: Pixels> Access for IntoOutput<P, Q> {
    type Pixels = P;
    type Output = Q;
    type Images<'a> = Images<'a, P, Q>;
    const IN_PLACE: bool = false;

    unsafe fn images<'a>(input: &abi::Image, output: &abi::Image) -> Result<Images<'a, P, Q>, Error> {
        if input.data == output.data {
            return Err(Error::new(
                "the host passed one image as input and output of an operator that needs two",
            ));
        }
        // SAFETY: the caller vouches for both; they don't overlap for an operator that is not in place.
        unsafe { Ok(Images { input: Image::borrow(input)?, output: ImageMut::borrow(output)? }) }
    }
}

mod sealed {
    pub trait Sealed {}
    impl<P> Sealed for super::InPlace<P> {}
    impl<P, Q> Sealed for super::IntoOutput<P, Q> {}
}

/// What `apply` will read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Size that `apply` will write; for an operator in place, the input's.
    pub output: Size,
    /// What `apply` will read of its input, so that the decoder can skip the rest.
    pub region: Region,
    /// Bytes of scratch memory that `apply` wants; see [`Plan::with_scratch`].
    pub scratch_bytes: usize,
}

impl Plan {
    /// Reads the whole input, writes an output of its size, needs no scratch memory.
    pub fn keep(input: Size) -> Self {
        let region = Region { x: 0, y: 0, width: input.width, height: input.height };
        Plan { output: input, region, scratch_bytes: 0 }
    }

    /// Reads `region` of the input and writes `output` pixels.
    pub fn crop(region: Region, output: Size) -> Self {
        Plan { output, region, scratch_bytes: 0 }
    }

    /// Adds scratch memory for one [`Scratch::take`] of `count` samples.
    pub fn with_scratch<T: ScratchSample>(mut self, count: usize) -> Self {
        self.scratch_bytes += Scratch::bytes_for::<T>(count);
        self
    }
}
