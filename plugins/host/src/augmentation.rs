//! Instances of augmentations.

use std::ffi::c_void;
use std::ptr::NonNull;

use diptych_abi as abi;
use diptych_abi::{AugmentationInstance, RandomStream, Region, Size, Str};

use crate::call::{Callback, Failure, InstanceError, Line, text_lossy};
use crate::component::{Component, Factory};
use crate::image::{Image, ImageMut, PixelFormat, Scratch};
use crate::instance::{create, function};
use crate::parameters::Parameters;

/// Longest side of a planned output, in pixels.
const LONGEST_SIDE: u32 = 1 << 16;
/// Most scratch memory that a plan can ask for, in bytes.
const MOST_SCRATCH: usize = 1 << 30;

/// One worker's instance of an operator. Calls allocate nothing unless they fail.
pub struct Augmentation {
    line: Line,
    instance: NonNull<AugmentationInstance>,
    plan: PlanFunction,
    apply: ApplyFunction,
    /// What the last plan was for, and what it answered.
    planned: Option<(Size, Plan)>,
}

type PlanFunction = unsafe extern "C" fn(
    *mut c_void,
    Size,
    *mut RandomStream,
    *mut abi::Plan,
    *const abi::ErrorSink,
) -> abi::Status;
type ApplyFunction = unsafe extern "C" fn(
    *mut c_void,
    *const abi::Image,
    *const abi::Image,
    *mut u8,
    *const abi::ErrorSink,
) -> abi::Status;

// SAFETY: the boundary allows an instance to move between threads between calls; `&mut self` keeps calls apart.
unsafe impl Send for Augmentation {}

/// What `apply` will read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Size of the output.
    pub output: Size,
    /// What will be read of the input; within it and not empty.
    pub region: Region,
    /// Bytes of scratch memory.
    pub scratch_bytes: usize,
}

impl Component {
    /// An instance of this augmentation.
    ///
    /// # Errors
    /// The component refuses the parameters, or breaks the boundary's rules.
    ///
    /// # Panics
    /// When this is not an augmentation, or the parameters are another component's.
    pub fn create_augmentation(&self, parameters: &Parameters) -> Result<Augmentation, InstanceError> {
        let Factory::Augmentation(factory) = self.inner().factory else {
            panic!("{self:?} is not an augmentation");
        };
        let mut line = Line::new(self);
        let instance: NonNull<AugmentationInstance> =
            create(&mut line, parameters, |values, count, slot, errors| {
                let create = factory.create.expect("checked when the library was loaded");
                // SAFETY: values, slot and sink live through the call.
                unsafe { create(self.inner().index, values, count, slot, errors) }
            })?;
        // SAFETY: `create` checked that the instance is there in full.
        let header = unsafe { instance.as_ref() };
        let checked = function(&line, "destroy", header.destroy).and_then(|_| {
            Ok((function(&line, "plan", header.plan)?, function(&line, "apply", header.apply)?))
        });
        match checked {
            Ok((plan, apply)) => Ok(Augmentation { line, instance, plan, apply, planned: None }),
            Err(error) => {
                if let Some(destroy) = header.destroy {
                    // SAFETY: the instance is the library's own, and is given back unused.
                    unsafe { destroy(instance.as_ptr()) };
                }
                Err(error)
            }
        }
    }
}

impl Augmentation {
    /// The component that this is an instance of.
    pub fn component(&self) -> &Component {
        self.line.component()
    }

    /// The pixels that it reads.
    pub fn reads(&self) -> PixelFormat {
        self.format(abi::AUGMENTATION_PLANAR_F32)
    }

    /// The pixels that it writes.
    pub fn writes(&self) -> PixelFormat {
        self.format(abi::AUGMENTATION_PLANAR_F32 | abi::AUGMENTATION_WRITES_PLANAR_F32)
    }

    /// Floats where the component has one of the flags.
    fn format(&self, planar: u32) -> PixelFormat {
        if self.component().flags() & planar != 0 { PixelFormat::PlanarF32 } else { PixelFormat::Rgb8 }
    }

    /// Whether it writes its output over its input.
    pub fn in_place(&self) -> bool {
        self.component().flags() & abi::AUGMENTATION_IN_PLACE != 0
    }

    fn state(&self) -> *mut c_void {
        // SAFETY: the instance is alive until `drop`.
        unsafe { self.instance.as_ref() }.state
    }

    /// Draws what it will do to an image of `input` pixels.
    ///
    /// # Errors
    /// The component fails, panics, or answers a plan that makes no sense for the input.
    pub fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, InstanceError> {
        self.planned = None;
        let whole = Region { x: 0, y: 0, width: input.width, height: input.height };
        let mut answer = abi::Plan {
            struct_size: size_of::<abi::Plan>() as u32,
            output: input,
            region: whole,
            scratch_bytes: 0,
        };
        let (function, state) = (self.plan, self.state());
        // SAFETY: a checked function with its own state; stream, plan and sink live through the call.
        self.line.call(|errors| unsafe { function(state, input, random, &mut answer, errors) })?;
        let plan = Plan { output: answer.output, region: answer.region, scratch_bytes: answer.scratch_bytes };
        if let Some(what) = self.objection(input, whole, &plan) {
            return Err(self.line.error(Failure::Misbehaved(what)));
        }
        self.planned = Some((input, plan));
        Ok(plan)
    }

    /// What is wrong with a plan.
    fn objection(&self, input: Size, whole: Region, plan: &Plan) -> Option<String> {
        let Plan { output, region, scratch_bytes } = *plan;
        let end = |start: u32, length: u32| u64::from(start) + u64::from(length);
        let side = |length: u32| (1..=LONGEST_SIDE).contains(&length);
        if self.in_place() && (output != input || region != whole) {
            return Some(format!("it works in place and plans {output:?} from {region:?} of {input:?}"));
        }
        if region.width == 0
            || region.height == 0
            || end(region.x, region.width) > u64::from(input.width)
            || end(region.y, region.height) > u64::from(input.height)
        {
            return Some(format!("it plans to read {region:?} of {input:?}"));
        }
        if !side(output.width) || !side(output.height) {
            return Some(format!(
                "it plans an output of {output:?}, expected 1 to {LONGEST_SIDE} pixels a side"
            ));
        }
        (scratch_bytes > MOST_SCRATCH).then(|| {
            format!("it asks for {scratch_bytes} bytes of scratch memory, expected at most {MOST_SCRATCH}")
        })
    }

    /// Does in place what the last plan drew.
    ///
    /// # Errors
    /// The component fails or panics.
    ///
    /// # Panics
    /// When the operator doesn't work in place, nothing is planned, or the image is not the planned one.
    pub fn apply_in_place(
        &mut self,
        image: &mut ImageMut<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), InstanceError> {
        assert!(self.in_place(), "{:?} does not work in place", self.component());
        self.apply(&image.raw, &image.raw, scratch)
    }

    /// Does what the last plan drew: reads `input`, which holds at least the planned region, and writes every pixel of
    /// `output`.
    ///
    /// # Errors
    /// The component fails or panics.
    ///
    /// # Panics
    /// When the operator works in place, nothing is planned, or an image is not the planned one.
    pub fn apply_into(
        &mut self,
        input: &Image<'_>,
        output: &mut ImageMut<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), InstanceError> {
        assert!(!self.in_place(), "{:?} works in place", self.component());
        self.apply(&input.raw, &output.raw, scratch)
    }

    fn apply(
        &mut self,
        input: &abi::Image,
        output: &abi::Image,
        scratch: &mut Scratch,
    ) -> Result<(), InstanceError> {
        if !self.line.is_usable() {
            return self.line.call(|_| abi::STATUS_OK);
        }
        let (size, plan) = self.planned.take().expect("apply follows a plan");
        let (reads, writes) = (self.reads(), self.writes());
        assert!(
            input.format == reads.number() && output.format == writes.number(),
            "the images are not {reads:?} and {writes:?}"
        );
        assert!(
            holds(&input.region, &plan.region)
                && input.region.x + input.region.width <= size.width
                && input.region.y + input.region.height <= size.height,
            "the input is {:?} of {size:?}, planned was {:?}",
            input.region,
            plan.region
        );
        let written = Size { width: output.region.width, height: output.region.height };
        assert!(written == plan.output, "the output is {written:?}, planned was {:?}", plan.output);
        let memory = scratch.at_least(plan.scratch_bytes);
        let (function, state) = (self.apply, self.state());
        // SAFETY: a checked function with its own state; both images are lent by their views for the call and are what was
        // planned; the scratch memory is as large as planned.
        self.line.call(|errors| unsafe { function(state, input, output, memory, errors) })
    }

    /// What the last plan drew, as short text; empty when the operator says nothing.
    pub fn describe_draws(&mut self) -> String {
        // SAFETY: the instance is alive until `drop`.
        let Some(describe_draws) = unsafe { self.instance.as_ref() }.describe_draws else {
            return String::new();
        };
        let state = self.state();
        let mut callback = Callback::new(String::new());
        let context = callback.context();
        // A text for previews is not worth failing for; a panic shows in the next call.
        // SAFETY: a function of the instance with its own state; the callback lives through the call.
        let _ = self.line.call(|_| unsafe { describe_draws(state, context, Some(receive_text)) });
        callback.finish()
    }
}

unsafe extern "C" fn receive_text(context: *mut c_void, text: Str) {
    // SAFETY: the plugin passes back the context, and a text that is readable, during the call that was given them.
    unsafe { Callback::<String>::run(context, |said| *said = text_lossy(text)) };
}

fn holds(outer: &Region, inner: &Region) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && outer.x + outer.width >= inner.x + inner.width
        && outer.y + outer.height >= inner.y + inner.height
}

impl Drop for Augmentation {
    fn drop(&mut self) {
        // SAFETY: the instance is alive, and not used after this.
        unsafe {
            if let Some(destroy) = self.instance.as_ref().destroy {
                destroy(self.instance.as_ptr());
            }
        }
    }
}
