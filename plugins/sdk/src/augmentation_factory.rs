//! The boundary's `augmentation/1` factory over everything that implements [`Augmentation`].

use std::ffi::c_void;

use diptych_abi as abi;
use diptych_abi::{
    AugmentationFactory, AugmentationInstance, ErrorSink, ParameterValue, RandomStream, Status, Str,
};

use crate::augmentation::{Access, Augmentation};
use crate::boundary::{self, Cell, Component, ComponentList};
use crate::{Error, Pixels, Scratch, Size};

/// Makes an instance of one augmentation from its values.
pub type Create = unsafe fn(*const ParameterValue, usize) -> Result<AugmentationInstance, Error>;

/// The list entry of augmentation `A`.
pub const fn augmentation<A: Augmentation>() -> Component<Create> {
    let mut flags = 0;
    if <A::Access as Access>::Pixels::FORMAT == abi::PIXELS_PLANAR_F32 {
        flags |= abi::AUGMENTATION_PLANAR_F32;
    }
    if <A::Access as Access>::Output::FORMAT != <A::Access as Access>::Pixels::FORMAT {
        assert!(
            <A::Access as Access>::Output::FORMAT == abi::PIXELS_PLANAR_F32,
            "an operator that reads floats writes floats: bytes in between would round twice"
        );
        flags |= abi::AUGMENTATION_WRITES_PLANAR_F32;
    }
    if A::Access::IN_PLACE {
        flags |= abi::AUGMENTATION_IN_PLACE;
    }
    if A::TAKES_PROBABILITY {
        flags |= abi::AUGMENTATION_TAKES_PROBABILITY;
    }
    Component { descriptor: boundary::descriptor::<A::Parameters>(A::ID, A::DOC, flags), create: create::<A> }
}

/// The factory over the components of `L`.
pub const fn augmentation_factory<L: ComponentList<Create = Create>>() -> AugmentationFactory {
    AugmentationFactory {
        struct_size: size_of::<AugmentationFactory>() as u32,
        count: Some(boundary::count::<L>),
        describe: Some(boundary::describe::<L>),
        create: Some(create_component::<L>),
    }
}

unsafe extern "C" fn create_component<L: ComponentList<Create = Create>>(
    index: u32,
    values: *const ParameterValue,
    value_count: usize,
    instance: *mut *mut AugmentationInstance,
    errors: *const ErrorSink,
) -> Status {
    // SAFETY: slot, sink and values are the host's for this call.
    unsafe { boundary::hand_out(instance, errors, || boundary::creator::<L>(index)?(values, value_count)) }
}

/// An operator, and how much scratch memory its last plan asked for.
struct Operator<A> {
    operator: A,
    scratch_bytes: usize,
}

unsafe fn create<A: Augmentation>(
    values: *const ParameterValue,
    count: usize,
) -> Result<AugmentationInstance, Error> {
    // SAFETY: the values are the host's for this call.
    let operator = A::new(unsafe { boundary::read_parameters(values, count) }?)?;
    Ok(AugmentationInstance {
        struct_size: size_of::<AugmentationInstance>() as u32,
        state: Cell::allocate(Operator { operator, scratch_bytes: 0 }),
        plan: Some(plan::<A>),
        apply: Some(apply::<A>),
        describe_draws: Some(describe_draws::<A>),
        destroy: Some(destroy::<A>),
    })
}

unsafe extern "C" fn plan<A: Augmentation>(
    state: *mut c_void,
    input: Size,
    random: *mut RandomStream,
    plan: *mut abi::Plan,
    errors: *const ErrorSink,
) -> Status {
    let run = |state: &mut Operator<A>| {
        // SAFETY: stream and plan are the host's for this call, and nobody else's.
        let (random, answer) = unsafe { (&mut *random, &mut *plan) };
        let plan = state.operator.plan(input, random)?;
        answer.output = plan.output;
        answer.region = plan.region;
        answer.scratch_bytes = plan.scratch_bytes;
        state.scratch_bytes = plan.scratch_bytes;
        Ok(())
    };
    // SAFETY: the state is the one of `create::<A>`; the host calls an instance from one place at a time.
    unsafe { boundary::call(state, errors, run) }
}

unsafe extern "C" fn apply<A: Augmentation>(
    state: *mut c_void,
    input: *const abi::Image,
    output: *const abi::Image,
    scratch: *mut u8,
    errors: *const ErrorSink,
) -> Status {
    let run = |state: &mut Operator<A>| {
        // SAFETY: the host lends the images and the scratch memory that was planned for this call.
        let (images, scratch) = unsafe {
            (<A::Access as Access>::images(&*input, &*output)?, Scratch::borrow(scratch, state.scratch_bytes))
        };
        state.operator.apply(images, scratch)
    };
    // SAFETY: as in `plan`.
    unsafe { boundary::call(state, errors, run) }
}

unsafe extern "C" fn describe_draws<A: Augmentation>(
    state: *mut c_void,
    context: *mut c_void,
    describe: Option<unsafe extern "C" fn(context: *mut c_void, text: Str)>,
) -> Status {
    let run = |state: &mut Operator<A>| {
        let text = state.operator.describe_draws();
        if let Some(describe) = describe {
            // SAFETY: the host's function with its own context and a text that lives through the call.
            unsafe { describe(context, Str::new(&text)) };
        }
        Ok(())
    };
    // SAFETY: as in `plan`.
    unsafe { boundary::call(state, std::ptr::null(), run) }
}

unsafe extern "C" fn destroy<A: Augmentation>(instance: *mut AugmentationInstance) {
    // SAFETY: the instance was made by `create::<A>`, and the host gives it back.
    unsafe { boundary::release::<Operator<A>, _>((*instance).state, instance) };
}
