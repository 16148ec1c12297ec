//! All containment of panics and errors between a plugin and the host: nothing else in the SDK, in `sdk-tensor` or in a
//! plugin catches a panic or writes an error sink.
//!
//! Invariant: no function here lets a panic out. A panic during a call becomes [`abi::STATUS_PANICKED`] with the panic's
//! message and place, and poisons the instance: every later call answers [`abi::STATUS_POISONED`] without running
//! any of the plugin's code, until `destroy`.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{self, AssertUnwindSafe};
use std::ptr;

use diptych_abi as abi;
use diptych_abi::{
    ComponentDescriptor, ErrorSink, HostInfo, ParameterDescriptor, ParameterValue, PluginEntry, Status, Str,
};

use crate::{Error, Parameters};

#[cfg(panic = "abort")]
compile_error!(
    "a Diptych plugin can't be built with panic = \"abort\": its panics must be caught before they reach the host; \
     remove `panic` from the profile in Cargo.toml"
);

thread_local! {
    /// Whether a guarded call runs on this thread, and what its panic said.
    static GUARDED: RefCell<Guarded> = const { RefCell::new(Guarded { depth: 0, panic: None }) };
}

struct Guarded {
    depth: i32,
    panic: Option<String>,
}

/// Keeps panics of guarded calls off the terminal and notes where they happened; others are printed as before.
/// A plugin has its own copy of the standard library, so this hook sees only the plugin's own panics.
fn install_panic_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let noted = GUARDED.try_with(|guarded| {
            let mut guarded = guarded.borrow_mut();
            if guarded.depth > 0 {
                let place = info.location().map(|location| format!(" at {location}")).unwrap_or_default();
                guarded.panic = Some(format!("{}{place}", payload_text(info.payload())));
            }
            guarded.depth > 0
        });
        if noted != Ok(true) {
            previous(info);
        }
    }));
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "a panic without a message"
    }
}

/// Runs `call`; a panic becomes its message.
fn contain<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // An instance may be destroyed while its thread ends and thread-locals are gone: then nothing is noted.
    let change = |by: i32| {
        let _ = GUARDED.try_with(|guarded| guarded.borrow_mut().depth += by);
    };
    change(1);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    change(-1);
    result.map_err(|payload| {
        let noted = GUARDED.try_with(|guarded| guarded.borrow_mut().panic.take());
        let message = noted.ok().flatten().unwrap_or_else(|| payload_text(&*payload).to_owned());
        // Dropping a payload may panic again; leaking a few bytes of a failed run may not.
        std::mem::forget(payload);
        message
    })
}

/// Writes `message` into the host's sink.
///
/// # Safety
/// `errors` is null or the sink of the running call.
unsafe fn report(errors: *const ErrorSink, message: &str) {
    // SAFETY: the caller vouches for the sink.
    if let Some(sink) = unsafe { errors.as_ref() }
        && let Some(set_error) = sink.set_error
    {
        // SAFETY: the host's function, with its own context and a range that lives through the call.
        unsafe { set_error(sink.context, message.as_ptr(), message.len()) };
    }
}

/// Runs `call` and turns what comes out of it, a panic included, into a status and a message.
///
/// # Safety
/// `errors` is null or the sink of the running call.
pub unsafe fn guard(errors: *const ErrorSink, call: impl FnOnce() -> Result<(), Error>) -> Status {
    let (status, message) = match contain(|| call().map_err(|error| error.to_string())) {
        Ok(Ok(())) => return abi::STATUS_OK,
        Ok(Err(message)) => (abi::STATUS_ERROR, message),
        Err(message) => (abi::STATUS_PANICKED, message),
    };
    // SAFETY: the caller vouches for the sink.
    unsafe { report(errors, &message) };
    status
}

/// An instance's state, behind the `state` pointer of its header.
pub struct Cell<T> {
    state: T,
    /// Message of the panic that poisoned it.
    panic: Option<String>,
}

impl<T> Cell<T> {
    /// Moves `state` behind a pointer that [`call`] and [`release`] understand.
    pub fn allocate(state: T) -> *mut c_void {
        Box::into_raw(Box::new(Cell { state, panic: None })).cast()
    }
}

/// Runs one of an instance's functions, contained; a panic poisons the instance.
///
/// # Safety
/// `state` comes from [`Cell::allocate`] with the same `T`, is not released and not used by another call; `errors` is null or
/// the sink of the running call.
pub unsafe fn call<T>(
    state: *mut c_void,
    errors: *const ErrorSink,
    function: impl FnOnce(&mut T) -> Result<(), Error>,
) -> Status {
    // SAFETY: the caller vouches for the pointer and that the call is the only one.
    let cell = unsafe { &mut *state.cast::<Cell<T>>() };
    if let Some(message) = &cell.panic {
        // SAFETY: the caller vouches for the sink.
        unsafe { report(errors, &format!("an earlier call panicked: {message}")) };
        return abi::STATUS_POISONED;
    }
    let state = &mut cell.state;
    let (status, message) = match contain(|| function(state).map_err(|error| error.to_string())) {
        Ok(Ok(())) => return abi::STATUS_OK,
        Ok(Err(message)) => (abi::STATUS_ERROR, message),
        Err(message) => {
            cell.panic = Some(message.clone());
            (abi::STATUS_PANICKED, message)
        }
    };
    // SAFETY: the caller vouches for the sink.
    unsafe { report(errors, &message) };
    status
}

/// Drops a state and its instance header; a panic while dropping is swallowed, for `destroy` must not fail.
///
/// # Safety
/// `state` comes from [`Cell::allocate`] with the same `T`, `instance` from [`hand_out`]; neither is used again.
pub unsafe fn release<T, I>(state: *mut c_void, instance: *mut I) {
    // SAFETY: both are boxes that the caller gives back.
    let (cell, header) = unsafe { (Box::from_raw(state.cast::<Cell<T>>()), Box::from_raw(instance)) };
    let _ = contain(move || drop((cell, header)));
}

/// Runs `build` and gives the instance header that it made to the host.
///
/// # Safety
/// `slot` is where the host wants the pointer; `errors` is null or the sink of the running call.
pub unsafe fn hand_out<I>(
    slot: *mut *mut I,
    errors: *const ErrorSink,
    build: impl FnOnce() -> Result<I, Error>,
) -> Status {
    let build = || {
        let instance = Box::into_raw(Box::new(build()?));
        // SAFETY: the caller vouches for the slot.
        unsafe { slot.write(instance) };
        Ok(())
    };
    // SAFETY: the caller vouches for the sink.
    unsafe { guard(errors, build) }
}

/// The values that the host passed to `create`, as the component's parameters.
///
/// # Safety
/// `values` points to `count` values, readable for the call, with readable texts; it may be null when `count` is 0.
pub unsafe fn read_parameters<P: Parameters>(
    values: *const ParameterValue,
    count: usize,
) -> Result<P, Error> {
    if count == 0 || values.is_null() {
        return P::from_values(&[]);
    }
    // SAFETY: the caller vouches for the range.
    P::from_values(unsafe { std::slice::from_raw_parts(values, count) })
}

/// One component of a library: what it says of itself and how it is created. `C` is the kind's creating function.
pub struct Component<C> {
    /// What the factory's `describe` answers.
    pub descriptor: ComponentDescriptor,
    /// Makes an instance.
    pub create: C,
}

/// The components of one kind in one library. `export_plugin!` implements it for a type of its own, so that a factory's
/// functions, which C gives no context, find their list through their type parameter.
pub trait ComponentList: 'static {
    /// The kind's creating function.
    type Create: Copy + 'static;
    /// The components, in the order of the list in `export_plugin!`.
    const COMPONENTS: &'static [Component<Self::Create>];
}

/// The creating function of component `index`.
pub fn creator<L: ComponentList>(index: u32) -> Result<L::Create, Error> {
    let component = L::COMPONENTS.get(index as usize);
    component.map(|component| component.create).ok_or_else(|| {
        Error::new(format_args!("the host asked for component {index} of {}", L::COMPONENTS.len()))
    })
}

/// `count` of any factory.
///
/// # Safety
/// None needed; the boundary's type asks for it.
pub unsafe extern "C" fn count<L: ComponentList>() -> u32 {
    L::COMPONENTS.len() as u32
}

/// `describe` of any factory.
///
/// # Safety
/// None needed; the boundary's type asks for it.
pub unsafe extern "C" fn describe<L: ComponentList>(index: u32) -> *const ComponentDescriptor {
    L::COMPONENTS.get(index as usize).map_or(ptr::null(), |component| &component.descriptor)
}

/// What a component with parameters `P` says of itself.
pub const fn descriptor<P: Parameters>(
    id: &'static str,
    doc: &'static str,
    flags: u32,
) -> ComponentDescriptor {
    ComponentDescriptor {
        struct_size: size_of::<ComponentDescriptor>() as u32,
        flags,
        id: Str::new(id),
        doc: Str::new(doc),
        parameters: if P::DESCRIPTORS.is_empty() {
            ptr::null::<ParameterDescriptor>()
        } else {
            P::DESCRIPTORS.as_ptr()
        },
        parameter_count: P::DESCRIPTORS.len(),
    }
}

unsafe extern "C" fn open(_: *const HostInfo, errors: *const ErrorSink) -> Status {
    let install = || {
        install_panic_hook();
        Ok(())
    };
    // SAFETY: the host passes the sink of this call.
    unsafe { guard(errors, install) }
}

/// The exported static of a plugin.
pub const fn entry(
    name: &'static str,
    version: &'static str,
    torch_abi: Option<&'static CStr>,
    get_factory: unsafe extern "C" fn(*const c_char) -> *const c_void,
) -> PluginEntry {
    PluginEntry {
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        struct_size: size_of::<PluginEntry>() as u32,
        name: Str::new(name),
        version: Str::new(version),
        torch_abi: match torch_abi {
            Some(version) => version.as_ptr(),
            None => ptr::null(),
        },
        open: Some(open),
        get_factory: Some(get_factory),
    }
}

/// Whether the host asked for `wanted`.
///
/// # Safety
/// `kind` is null or a zero-terminated text that is readable for the call.
pub unsafe fn kind_is(kind: *const c_char, wanted: &CStr) -> bool {
    // SAFETY: the caller vouches for the text.
    !kind.is_null() && unsafe { CStr::from_ptr(kind) } == wanted
}
