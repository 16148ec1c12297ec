//! Augmentations: operators on one view of one image.
//!
//! For every sample the host calls `plan` on each operator of a view, in order, each with the size that
//! the one before answers; only then it decodes, and calls `apply` in the same order. All random draws
//! happen in `plan`, which is given the operator's own stream; the instance keeps what it drew until the
//! `apply` that follows. An operator that the host's coin left out for a sample gets neither call.

use core::ffi::c_void;

use crate::{ComponentDescriptor, ErrorSink, ParameterValue, RandomStream, Status, Str};

/// How the pixels of an [`Image`] lie in memory: one of the `PIXELS_` constants.
pub type PixelFormat = u32;
/// 8-bit interleaved RGB: pixel (x, y), channel c at `data + y * row_stride + 3 * x + c`.
pub const PIXELS_RGB8: PixelFormat = 0;
/// Planar 32-bit float RGB in [0, 1]: at `data + c * plane_stride + y * row_stride + 4 * x`, aligned to 4 bytes.
pub const PIXELS_PLANAR_F32: PixelFormat = 1;

/// Descriptor flag: the operator works on planar float pixels; without it, on interleaved bytes.
pub const AUGMENTATION_PLANAR_F32: u32 = 1 << 0;
/// Descriptor flag: the output has the input's size and is written over it (`input.data == output.data`).
pub const AUGMENTATION_IN_PLACE: u32 = 1 << 1;
/// Descriptor flag: leaving it out of a chain for one sample makes sense, so TOML may give a `probability`.
/// An operator that sets the size of the view doesn't have it.
pub const AUGMENTATION_TAKES_PROBABILITY: u32 = 1 << 2;
/// Descriptor flag: the output is planar float pixels whatever the input is; not for an operator in place.
pub const AUGMENTATION_WRITES_PLANAR_F32: u32 = 1 << 3;

/// Width and height in pixels.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A rectangle of whole pixels.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Region {
    /// Leftmost column.
    pub x: u32,
    /// Topmost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Pixels, borrowed for a call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Image {
    /// `sizeof(Image)` of the host.
    pub struct_size: u32,
    /// One of the `PIXELS_` constants; always what the descriptor's flags ask for, of the input and of the output.
    pub format: PixelFormat,
    /// The rectangle of the planned input (or output) that these pixels are. For an input it holds
    /// at least the region that `plan` asked for; for an output it is the whole planned size at (0, 0).
    pub region: Region,
    /// First byte of the region's first pixel.
    pub data: *mut u8,
    /// Bytes from one row to the next.
    pub row_stride: usize,
    /// Bytes from one plane to the next; 0 for interleaved pixels.
    pub plane_stride: usize,
}

/// What an operator answers to `plan`. The host fills it in with `output` = input size, `region` = the whole input
/// and `scratch_bytes` = 0 before the call, so that an operator in place needs to write nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// `sizeof(Plan)` of the host.
    pub struct_size: u32,
    /// Size that `apply` will write.
    pub output: Size,
    /// What `apply` will read of its input.
    pub region: Region,
    /// Bytes of scratch memory that `apply` wants, aligned to 64; the host has initialised them, with any content.
    pub scratch_bytes: usize,
}

/// An operator's instance. Created by [`AugmentationFactory::create`], released by `destroy`.
#[repr(C)]
pub struct AugmentationInstance {
    /// `sizeof(AugmentationInstance)` of the plugin.
    pub struct_size: u32,
    /// The plugin's own.
    pub state: *mut c_void,
    /// Draws what the operator will do to an image of `input` pixels and writes its `plan`.
    pub plan: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            input: Size,
            random: *mut RandomStream,
            plan: *mut Plan,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Does what the last `plan` drew. Every pixel of `output` must be written.
    pub apply: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            input: *const Image,
            output: *const Image,
            scratch: *mut u8,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Writes what the last `plan` drew as short text (`sigma 1.32`) through `describe`, for previews. May be null.
    pub describe_draws: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            context: *mut c_void,
            describe: Option<unsafe extern "C" fn(context: *mut c_void, text: Str)>,
        ) -> Status,
    >,
    /// Releases the instance and its state; it is not used again. Must not fail.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut AugmentationInstance)>,
}

/// The augmentations of a library: answer to `get_factory("augmentation/1")`.
#[repr(C)]
pub struct AugmentationFactory {
    /// `sizeof(AugmentationFactory)` of the plugin.
    pub struct_size: u32,
    /// Number of components.
    pub count: Option<unsafe extern "C" fn() -> u32>,
    /// Component `index` (below `count`); lives as long as the library.
    pub describe: Option<unsafe extern "C" fn(index: u32) -> *const ComponentDescriptor>,
    /// Creates an instance of component `index`. `values` holds one value per parameter, in the descriptor's order.
    /// On [`crate::STATUS_OK`] `instance` is written and owned by the host until `destroy`.
    pub create: Option<
        unsafe extern "C" fn(
            index: u32,
            values: *const ParameterValue,
            value_count: usize,
            instance: *mut *mut AugmentationInstance,
            errors: *const ErrorSink,
        ) -> Status,
    >,
}

// SAFETY: an immutable static of function pointers.
unsafe impl Sync for AugmentationFactory {}
