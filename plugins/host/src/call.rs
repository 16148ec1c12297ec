//! Calling into a library: error sinks, statuses, poisoning and callbacks.
//!
//! Invariant: after a call in which the plugin panicked, an instance is never called again but to be destroyed; a
//! panic of the host's own callback doesn't cross the plugin but goes on after the call.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};

use diptych_abi as abi;
use diptych_abi::{ErrorSink, Status, Str};

use crate::component::{Component, Kind};

/// Longest error text that a plugin can give, in bytes; the rest is cut.
const LONGEST_MESSAGE: usize = 16 * 1024;

/// What went wrong in a call to a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {id:?} of {library} {failure}")]
pub struct InstanceError {
    /// Kind of the component.
    pub kind: Kind,
    /// Id of the component.
    pub id: String,
    /// Library that it comes from, with version and path.
    pub library: String,
    /// What happened.
    pub failure: Failure,
}

/// How a call to a component failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The component says why.
    #[error("failed: {0}")]
    Failed(String),
    /// The component panicked; the text is the panic's.
    #[error("panicked: {0}; this is an error in the plugin, report it to its author")]
    Panicked(String),
    /// The component panicked in an earlier call and is not called any more; the text is that panic's.
    #[error("is unusable since it panicked in an earlier call: {0}")]
    Poisoned(String),
    /// The component broke the rules of the boundary.
    #[error("breaks the rules of the plugin boundary: {0}; report it to the plugin's author")]
    Misbehaved(String),
    /// A file that a parameter names is missing or was changed; the component was not called.
    #[error("was not made: {0}")]
    File(String),
    /// The component needs another libtorch than this program has.
    #[error("was built for libtorch {0}, and this program runs without libtorch")]
    NoTorch(String),
}

/// Collects what a plugin writes into its error sink. Allocates only when there is an error.
#[derive(Default)]
struct Message(Vec<u8>);

unsafe extern "C" fn set_error(context: *mut c_void, message: *const u8, length: usize) {
    if context.is_null() {
        return;
    }
    // SAFETY: the context is the `Message` of `with_sink`, alive during the call that was given the sink.
    let text = unsafe { &mut (*context.cast::<Message>()).0 };
    text.clear();
    if !message.is_null() {
        // SAFETY: the plugin vouches for the range.
        text.extend_from_slice(unsafe { std::slice::from_raw_parts(message, length.min(LONGEST_MESSAGE)) });
    }
}

/// Runs `call` with a sink and gives its status with what was written.
pub(crate) fn with_sink(call: impl FnOnce(*const ErrorSink) -> Status) -> (Status, String) {
    let mut message = Message::default();
    let sink = ErrorSink { context: (&raw mut message).cast(), set_error: Some(set_error) };
    let status = call(&sink);
    let text = if message.0.is_empty() && status != abi::STATUS_OK {
        "it gives no reason".to_owned()
    } else {
        String::from_utf8_lossy(&message.0).into_owned()
    };
    (status, text)
}

/// One instance's line to its component: names it in errors and remembers its panic.
pub(crate) struct Line {
    component: Component,
    panic: Option<String>,
}

impl Line {
    pub fn new(component: &Component) -> Line {
        Line { component: component.clone(), panic: None }
    }

    pub fn component(&self) -> &Component {
        &self.component
    }

    pub fn error(&self, failure: Failure) -> InstanceError {
        InstanceError {
            kind: self.component.kind(),
            id: self.component.id().to_owned(),
            library: self.component.library().to_string(),
            failure,
        }
    }

    pub fn misbehaved(&self, what: impl Into<String>) -> InstanceError {
        self.error(Failure::Misbehaved(what.into()))
    }

    /// Calls into the library, unless an earlier call panicked.
    pub fn call(&mut self, call: impl FnOnce(*const ErrorSink) -> Status) -> Result<(), InstanceError> {
        if let Some(message) = &self.panic {
            return Err(self.error(Failure::Poisoned(message.clone())));
        }
        let (status, message) = with_sink(call);
        let failure = match status {
            abi::STATUS_OK => return Ok(()),
            abi::STATUS_ERROR => Failure::Failed(message),
            abi::STATUS_PANICKED => {
                self.panic = Some(message.clone());
                Failure::Panicked(message)
            }
            abi::STATUS_POISONED => {
                self.panic = Some(message.clone());
                Failure::Poisoned(message)
            }
            other => Failure::Misbehaved(format!("it answered the unknown status {other}")),
        };
        Err(self.error(failure))
    }

    /// Whether the instance may still be called.
    pub fn is_usable(&self) -> bool {
        self.panic.is_none()
    }
}

/// The text of a plugin, with what is not UTF-8 replaced.
///
/// # Safety
/// `text` is readable during the call.
pub(crate) unsafe fn text_lossy(text: Str) -> String {
    if text.length == 0 || text.data.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for the range.
    String::from_utf8_lossy(unsafe { std::slice::from_raw_parts(text.data, text.length) }).into_owned()
}

/// A closure of the host behind the `context` pointer of a callback.
pub(crate) struct Callback<F> {
    function: F,
    panic: Option<Box<dyn Any + Send>>,
}

impl<F> Callback<F> {
    pub fn new(function: F) -> Callback<F> {
        Callback { function, panic: None }
    }

    pub fn context(&mut self) -> *mut c_void {
        (&raw mut *self).cast()
    }

    /// Runs `call` on the closure behind `context`; after a panic it is not run again.
    ///
    /// # Safety
    /// `context` comes from [`Callback::context`] of a callback of this type that lives through the call.
    pub unsafe fn run(context: *mut c_void, call: impl FnOnce(&mut F)) {
        // SAFETY: the caller vouches for the context; an instance is not called concurrently.
        let callback = unsafe { &mut *context.cast::<Callback<F>>() };
        if callback.panic.is_some() {
            return;
        }
        let function = &mut callback.function;
        callback.panic = panic::catch_unwind(AssertUnwindSafe(|| call(function))).err();
    }

    /// What was behind the pointer, once the plugin has returned; goes on with a panic of the closure.
    pub fn finish(self) -> F {
        if let Some(payload) = self.panic {
            panic::resume_unwind(payload);
        }
        self.function
    }
}
