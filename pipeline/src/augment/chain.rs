//! One worker's instances of one view's operators, and how a sample goes through them.
//!
//! Lifecycle per sample: `plan` asks every operator in order (no pixels exist yet), then the sample is
//! decoded, then `apply` runs those that the coin chose. Pixels are converted between bytes and float
//! planes only where an operator wants the other form than they are in, so that a row of float operators
//! rounds once, at its end.

use diptych_host::{
    Augmentation, Image, ImageMut, InstanceError, PixelFormat, Plan, RandomStream, Region, Scratch, Size,
};

use super::convert::{to_bytes, to_planes};
use crate::decode::DecodedImage;
use crate::random;

/// Largest view that is allocated: 2^27 pixels, 1.5 GB as floats. What plans more is a mistake.
const MAXIMUM_PIXELS: u64 = 1 << 27;

/// What went wrong in which operator.
#[derive(Clone, Debug)]
pub(crate) struct ChainError {
    pub operator: String,
    pub message: String,
}

/// What random draws of a view are keyed by, but for the operator's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ViewKey {
    pub seed: u64,
    pub epoch: u64,
    pub sample: u64,
    pub view: u32,
}

/// One operator of a view.
pub(crate) struct Step {
    pub name: String,
    /// `None`: always.
    pub probability: Option<f64>,
    pub augmentation: Augmentation,
    /// What was planned for the current sample; `None` when the coin left the operator out.
    plan: Option<Plan>,
}

impl Step {
    pub fn new(name: String, probability: Option<f64>, augmentation: Augmentation) -> Step {
        Step { name, probability, augmentation, plan: None }
    }

    fn error(&self, message: impl ToString) -> ChainError {
        ChainError { operator: self.name.clone(), message: message.to_string() }
    }

    /// Tosses the coin, plans, and says the size that comes out.
    fn plan(&mut self, input: Size, key: ViewKey) -> Result<Size, ChainError> {
        let mut random =
            RandomStream::new(random::key(key.seed, key.epoch, key.sample, key.view, &self.name));
        // Draw 0 is the coin's, whether or not there is one.
        let applied = random.bernoulli(self.probability.unwrap_or(1.0));
        self.plan = None;
        if !applied {
            return Ok(input);
        }
        let plan = self.augmentation.plan(input, &mut random).map_err(|error| self.error(error))?;
        let Size { width, height } = plan.output;
        if u64::from(width) * u64::from(height) > MAXIMUM_PIXELS {
            return Err(self.error(format!(
                "planned an output of {width}x{height} pixels, expected at most {MAXIMUM_PIXELS} pixels"
            )));
        }
        self.plan = Some(plan);
        Ok(plan.output)
    }

    fn resizes(&self) -> bool {
        self.plan.is_some() && !self.augmentation.in_place()
    }
}

/// Memory between operators, shared by the chains of one worker and kept from sample to sample. The current
/// pixels are in the first of a pair, the second is free.
#[derive(Default)]
pub(crate) struct Buffers {
    bytes: [Vec<u8>; 2],
    planes: [Vec<f32>; 2],
    scratch: Scratch,
}

/// Where a view's pixels are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Decoded,
    Bytes,
    Planes,
    Slot,
}

/// The operators of one view.
pub(crate) struct Chain {
    pub name: String,
    pub steps: Vec<Step>,
}

impl Chain {
    /// Plans all operators for one sample of `input` pixels and says the view's size.
    pub fn plan(&mut self, input: Size, key: ViewKey) -> Result<Size, ChainError> {
        self.steps.iter_mut().try_fold(input, |size, step| step.plan(size, key))
    }

    /// What of an image of `input` pixels the planned operators will read: less than the whole where the first of them
    /// says so, unless it works in place.
    pub fn reads(&self, input: Size) -> Region {
        let first =
            self.steps.iter().find_map(|step| step.plan.map(|plan| (step.augmentation.in_place(), plan)));
        match first {
            Some((false, plan)) => plan.region,
            _ => whole(input),
        }
    }

    /// Does what was planned to `decoded`, which has the planned size and at least the region that the
    /// chain [reads](Self::reads), and writes the view to `slot`.
    pub fn apply(
        &mut self,
        decoded: &DecodedImage,
        buffers: &mut Buffers,
        slot: &mut [u8],
    ) -> Result<(), ChainError> {
        let last_resizing = self.steps.iter().rposition(Step::resizes).unwrap_or(0);
        let mut view = View { decoded, buffers, slot, place: Place::Decoded, size: decoded.size() };
        for (index, step) in self.steps.iter_mut().enumerate() {
            let Some(plan) = step.plan else { continue };
            // From the last change of size on, bytes need no other home than the slot.
            view.apply(&mut step.augmentation, plan, index >= last_resizing)
                .map_err(|error| step.error(error))?;
        }
        view.finish();
        Ok(())
    }

    /// What each operator drew for the current sample; `None` for one that was left out.
    pub fn describe_draws(&mut self) -> Vec<(String, Option<String>)> {
        let describe = |step: &mut Step| {
            (step.name.clone(), step.plan.is_some().then(|| step.augmentation.describe_draws()))
        };
        self.steps.iter_mut().map(describe).collect()
    }
}

/// A view on its way from the decoded image to its slot.
struct View<'a> {
    decoded: &'a DecodedImage,
    buffers: &'a mut Buffers,
    slot: &'a mut [u8],
    place: Place,
    size: Size,
}

impl View<'_> {
    fn apply(&mut self, operator: &mut Augmentation, plan: Plan, to_slot: bool) -> Result<(), InstanceError> {
        let whole = whole(self.size);
        match (operator.reads(), operator.writes(), operator.in_place()) {
            (PixelFormat::Rgb8, _, true) => {
                self.bring_to_bytes(to_slot);
                let pixels = match self.place {
                    Place::Slot => &mut *self.slot,
                    _ => &mut self.buffers.bytes[0],
                };
                operator.apply_in_place(&mut ImageMut::rgb8(self.size, pixels), &mut self.buffers.scratch)
            }
            (PixelFormat::PlanarF32, _, true) => {
                self.bring_to_planes(whole);
                let mut image = ImageMut::planar_f32(self.size, &mut self.buffers.planes[0]);
                operator.apply_in_place(&mut image, &mut self.buffers.scratch)
            }
            (PixelFormat::Rgb8, PixelFormat::Rgb8, false) => {
                self.bring_to_readable_bytes();
                let [current, free] = &mut self.buffers.bytes;
                let output = if to_slot { &mut *self.slot } else { grown(free, length(plan.output)) };
                operator.apply_into(
                    &readable_bytes(self.place, self.decoded, current, whole),
                    &mut ImageMut::rgb8(plan.output, output),
                    &mut self.buffers.scratch,
                )?;
                self.buffers.bytes.swap(0, 1);
                self.place = if to_slot { Place::Slot } else { Place::Bytes };
                self.size = plan.output;
                Ok(())
            }
            (PixelFormat::Rgb8, PixelFormat::PlanarF32, false) => {
                self.bring_to_readable_bytes();
                operator.apply_into(
                    &readable_bytes(self.place, self.decoded, &self.buffers.bytes[0], whole),
                    &mut ImageMut::planar_f32(
                        plan.output,
                        grown(&mut self.buffers.planes[0], length(plan.output)),
                    ),
                    &mut self.buffers.scratch,
                )?;
                self.place = Place::Planes;
                self.size = plan.output;
                Ok(())
            }
            (PixelFormat::PlanarF32, _, false) => {
                let region = if self.place == Place::Planes { whole } else { plan.region };
                self.bring_to_planes(region);
                let [current, free] = &mut self.buffers.planes;
                operator.apply_into(
                    &Image::planar_f32(region, current),
                    &mut ImageMut::planar_f32(plan.output, grown(free, length(plan.output))),
                    &mut self.buffers.scratch,
                )?;
                self.buffers.planes.swap(0, 1);
                self.size = plan.output;
                Ok(())
            }
        }
    }

    /// Makes the view bytes, or leaves it in the decoded image. Bytes are in the slot only after the last change of size,
    /// so that they are never there before one.
    fn bring_to_readable_bytes(&mut self) {
        if self.place == Place::Planes {
            self.bring_to_bytes(false);
        }
    }

    /// Makes the view bytes that may be written: in the slot, or in the first buffer.
    fn bring_to_bytes(&mut self, to_slot: bool) {
        if matches!(self.place, Place::Bytes | Place::Slot) {
            return;
        }
        let length = length(self.size);
        let target = if to_slot { &mut *self.slot } else { grown(&mut self.buffers.bytes[0], length) };
        if self.place == Place::Decoded {
            target.copy_from_slice(&self.decoded.pixels);
        } else {
            to_bytes(&self.buffers.planes[0][..length], target);
        }
        self.place = if to_slot { Place::Slot } else { Place::Bytes };
    }

    /// Makes the `region` of the view float planes, in the first buffer. Planes stay as they are.
    fn bring_to_planes(&mut self, region: Region) {
        let (held, pixels) = match self.place {
            Place::Planes => return,
            Place::Decoded => (self.decoded.region, &*self.decoded.pixels),
            Place::Slot => (whole(self.size), &*self.slot),
            Place::Bytes => (whole(self.size), &*self.buffers.bytes[0]),
        };
        let length = length(Size { width: region.width, height: region.height });
        let inside = Region { x: region.x - held.x, y: region.y - held.y, ..region };
        let held = Size { width: held.width, height: held.height };
        to_planes(pixels, held, inside, grown(&mut self.buffers.planes[0], length));
        self.place = Place::Planes;
    }

    /// Writes the view to the slot, if it is not there.
    fn finish(self) {
        let length = length(self.size);
        match self.place {
            Place::Slot => {}
            Place::Planes => to_bytes(&self.buffers.planes[0][..length], self.slot),
            Place::Bytes => self.slot.copy_from_slice(&self.buffers.bytes[0][..length]),
            Place::Decoded => self.slot.copy_from_slice(&self.decoded.pixels),
        }
    }
}

/// The view's bytes, which are in the first buffer, `bytes`, or still in the decoded image.
fn readable_bytes<'a>(place: Place, decoded: &'a DecodedImage, bytes: &'a [u8], whole: Region) -> Image<'a> {
    let (region, pixels) = match place {
        Place::Decoded => (decoded.region, &*decoded.pixels),
        _ => (whole, bytes),
    };
    Image::rgb8(region, pixels, 3 * region.width as usize)
}

fn whole(size: Size) -> Region {
    Region { x: 0, y: 0, width: size.width, height: size.height }
}

/// Number of samples (bytes or floats) of an image.
fn length(size: Size) -> usize {
    3 * size.width as usize * size.height as usize
}

/// The first `length` values of a buffer that only ever grows.
fn grown<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
    &mut buffer[..length]
}
