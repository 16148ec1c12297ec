//! The plugin boundary, version 1: the C types that cross between Diptych and a plugin, and nothing else.
//!
//! A plugin is a shared library that exports one static, [`PluginEntry`], under the name
//! [`ENTRY_SYMBOL`]. Everything else is reached from there: the entry hands out one factory per kind
//! of component, a factory describes its components and creates instances of them.
//!
//! Rules that hold for every type on this page:
//!
//! - **Versions.** The host loads a plugin whose `abi_major` equals its own and whose `abi_minor` is
//!   not above its own. A struct that may grow starts with `struct_size`; it only ever grows at its end,
//!   and a reader looks at no field that lies beyond the `struct_size` it was given. A field that came later says since
//!   which version.
//! - **Memory.** Who allocates frees. The host allocates outputs and scratch. Descriptors and every
//!   [`Str`] inside them live as long as the library, which is never unloaded. A pointer passed to a call is valid for
//!   that call only, unless its comment says otherwise.
//! - **Errors.** Calls that can fail return a [`Status`] and say why through the [`ErrorSink`] they were
//!   given. No panic or C++ exception may leave a plugin; an instance that panicked answers
//!   [`STATUS_POISONED`] to every later call.
//! - **Threads.** `open`, `get_factory` and the factories' functions may be called from any thread, one call at a time. An
//!   instance is never called concurrently, but may move between threads between calls.
//! - **Nullability.** Function pointers are `Option`s so that a null can be told; every one of them is
//!   required unless its comment says otherwise. The host checks once, when it loads the library.

#![allow(non_camel_case_types)]

mod augmentation;
mod encoder;
mod loss;
mod parameter;
mod random;

pub use augmentation::*;
pub use encoder::*;
pub use loss::*;
pub use parameter::*;
pub use random::*;

use core::ffi::{c_char, c_void};

/// Major version: a plugin built for another one is refused.
pub const ABI_MAJOR: u16 = 1;
/// Minor version: a plugin built for a higher one is refused.
pub const ABI_MINOR: u16 = 1;
/// The name of the exported static.
pub const ENTRY_SYMBOL: &str = "diptych_plugin_entry";

/// Kind string for [`PluginEntry::get_factory`]: answers an [`AugmentationFactory`].
pub const KIND_AUGMENTATION: &core::ffi::CStr = c"augmentation/1";
/// Kind string for [`PluginEntry::get_factory`]: answers an [`EncoderFactory`].
pub const KIND_ENCODER: &core::ffi::CStr = c"encoder/1";
/// Kind string for [`PluginEntry::get_factory`]: answers a [`LossFactory`].
pub const KIND_LOSS: &core::ffi::CStr = c"loss/1";

/// What a call came to: one of the `STATUS_` constants.
pub type Status = u32;
/// The call did what it says.
pub const STATUS_OK: Status = 0;
/// The call failed; the reason is in the error sink.
pub const STATUS_ERROR: Status = 1;
/// The plugin panicked during this call; the instance is poisoned.
pub const STATUS_PANICKED: Status = 2;
/// The instance panicked during an earlier call and can only be destroyed.
pub const STATUS_POISONED: Status = 3;

/// Borrowed UTF-8 text, not terminated by a zero. `data` may be null when `length` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub length: usize,
}

impl Str {
    /// The empty text.
    pub const EMPTY: Str = Str::new("");

    /// Borrows `text`; the result must not outlive it.
    pub const fn new(text: &str) -> Str {
        Str { data: text.as_ptr(), length: text.len() }
    }

    /// The text itself, or null-safe `None` when it is not valid UTF-8.
    ///
    /// # Safety
    /// `data` must point to `length` readable bytes that stay unchanged for `'a`, or be null with `length` 0.
    pub unsafe fn as_str<'a>(self) -> Option<&'a str> {
        if self.length == 0 {
            return Some("");
        }
        if self.data.is_null() {
            return None;
        }
        // SAFETY: the caller vouches for the range; null was excluded above.
        core::str::from_utf8(unsafe { core::slice::from_raw_parts(self.data, self.length) }).ok()
    }
}

// SAFETY: a Str is a pointer to immutable text; sharing it between threads shares only reads.
unsafe impl Sync for Str {}
// SAFETY: as above.
unsafe impl Send for Str {}

/// Where a failing call says why. Owned by the host, valid for the call it is passed to.
#[repr(C)]
pub struct ErrorSink {
    /// Passed back to `set_error`.
    pub context: *mut c_void,
    /// Copies `length` bytes of UTF-8 at `message`; the last call before the return counts.
    /// May be called only during the call that was given this sink, on its thread.
    pub set_error: Option<unsafe extern "C" fn(context: *mut c_void, message: *const u8, length: usize)>,
}

/// What the host tells a library in [`PluginEntry::open`]. Valid for the process's life.
#[repr(C)]
pub struct HostInfo {
    /// `sizeof(HostInfo)` of the host.
    pub struct_size: u32,
    /// The host's [`ABI_MAJOR`].
    pub abi_major: u16,
    /// The host's [`ABI_MINOR`].
    pub abi_minor: u16,
    /// Version of Diptych, for messages.
    pub version: Str,
}

/// The one exported symbol of a plugin.
#[repr(C)]
pub struct PluginEntry {
    /// [`ABI_MAJOR`] of the headers that the plugin was built with. First, so that it can be read
    /// whatever else changes.
    pub abi_major: u16,
    /// [`ABI_MINOR`] likewise.
    pub abi_minor: u16,
    /// `sizeof(PluginEntry)` of the plugin.
    pub struct_size: u32,
    /// Short name of the library, for messages: `diptych-augmentations`.
    pub name: Str,
    /// Version of the library, for messages and for run records.
    pub version: Str,
    /// Zero-terminated version of libtorch that the library was built against, compared to the
    /// host's as an exact string (`2.11.0`); null when no component touches tensors.
    pub torch_abi: *const c_char,
    /// Called once, before anything else but the fields above is used.
    pub open: Option<unsafe extern "C" fn(host: *const HostInfo, errors: *const ErrorSink) -> Status>,
    /// The factory for a `KIND_` string (zero-terminated), or null when the library has no component of that kind.
    /// The result lives as long as the library.
    pub get_factory: Option<unsafe extern "C" fn(kind: *const c_char) -> *const c_void>,
}

// SAFETY: the entry is an immutable static; its pointers refer to immutable statics and functions.
unsafe impl Sync for PluginEntry {}

/// What every component says of itself, whatever its kind.
#[repr(C)]
pub struct ComponentDescriptor {
    /// `sizeof(ComponentDescriptor)` of the plugin.
    pub struct_size: u32,
    /// `FLAG_` bits of the component's kind.
    pub flags: u32,
    /// Stable snake_case id, unique among all loaded components of the kind; what TOML names.
    pub id: Str,
    /// What it computes and after whom, Markdown; the first sentence stands alone in lists.
    pub doc: Str,
    /// First of `parameter_count` parameters, or null.
    pub parameters: *const ParameterDescriptor,
    /// Number of parameters.
    pub parameter_count: usize,
}

// SAFETY: an immutable static with pointers to immutable statics.
unsafe impl Sync for ComponentDescriptor {}
// SAFETY: as above.
unsafe impl Send for ComponentDescriptor {}

/// A borrowed `at::Tensor*`, valid for the call it is passed to. The plugin may read and use it with
/// autograd, and must not free it.
pub type BorrowedTensor = *mut c_void;

/// An owned `at::Tensor*` (allocated with C++ `new`): whoever receives it deletes it through libtorch.
pub type OwnedTensor = *mut c_void;

/// Receives named figures (a loss's positive similarity, for example). Owned by the host, valid for the call.
#[repr(C)]
pub struct FigureSink {
    /// Passed back to `figure`.
    pub context: *mut c_void,
    /// Takes one figure; `tensor` is a borrowed scalar tensor, kept as a tensor so that no device synchronisation
    /// happens until somebody reads it.
    pub figure: Option<unsafe extern "C" fn(context: *mut c_void, name: Str, tensor: BorrowedTensor)>,
}

/// Receives named variables of an encoder, or the named state of a loss. Owned by the host, valid for the call.
#[repr(C)]
pub struct VariableVisitor {
    /// Passed back to `visit`.
    pub context: *mut c_void,
    /// Takes one variable. `tensor` is borrowed for the call; the host may keep its own reference to the
    /// same storage (`at::Tensor`'s copy constructor) and write into it in place between calls.
    pub visit:
        Option<unsafe extern "C" fn(context: *mut c_void, name: Str, tensor: BorrowedTensor, flags: u32)>,
}

/// The optimizer updates it; without this flag it is a buffer.
pub const VARIABLE_TRAINABLE: u32 = 1 << 0;
/// It is a bias.
pub const VARIABLE_BIAS: u32 = 1 << 1;
/// It belongs to a normalisation layer.
pub const VARIABLE_NORM: u32 = 1 << 2;
