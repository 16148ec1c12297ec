//! Encoders: networks from a batch of images to features.

use core::ffi::c_void;

use crate::{
    BorrowedTensor, ComponentDescriptor, ErrorSink, OwnedTensor, ParameterValue, Status, Str, VariableVisitor,
};

/// What a network or a loss is made for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TensorContext {
    /// `sizeof(TensorContext)` of the host.
    pub struct_size: u32,
    /// Seed of the initial weights. The same seed and parameters give the same weights, bit for bit on a CPU.
    pub seed: u64,
    /// Device as PyTorch writes it: `cpu`, `cuda:0`. Weights are drawn on the CPU and then moved, so
    /// that they do not depend on it.
    pub device: Str,
    /// Since version 1.1, for a loss: width of the embeddings; 0 for an encoder.
    pub embedding_width: u32,
    /// Since version 1.1, for a loss: width of the projections; 0 for an encoder.
    pub projection_width: u32,
    /// Since version 1.1, for a loss: number of classes of the data; 0 for an encoder, and for data without labels.
    pub class_count: u32,
}

impl TensorContext {
    /// For an encoder; `device` must outlive the result.
    pub const fn new(seed: u64, device: Str) -> TensorContext {
        let struct_size = size_of::<TensorContext>() as u32;
        TensorContext { struct_size, seed, device, embedding_width: 0, projection_width: 0, class_count: 0 }
    }
}

/// Receives the named outputs of a forward pass. Owned by the host, valid for the call.
#[repr(C)]
pub struct OutputSink {
    /// Passed back to `output`.
    pub context: *mut c_void,
    /// Takes one output and its ownership. `pooled` ([batch, features]) must come; feature maps by
    /// stage (`stage1`, ... [batch, channels, rows, columns]) may.
    pub output: Option<unsafe extern "C" fn(context: *mut c_void, name: Str, tensor: OwnedTensor)>,
}

/// An encoder. Created by [`EncoderFactory::create`], released by `destroy`.
#[repr(C)]
pub struct EncoderInstance {
    /// `sizeof(EncoderInstance)` of the plugin.
    pub struct_size: u32,
    /// Width of the output `pooled`.
    pub feature_count: u32,
    /// The plugin's own.
    pub state: *mut c_void,
    /// Shows every variable, parameters and buffers, always in the same order and under the same name
    /// (torchvision's or timm's where they have the network).
    pub visit_variables: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            visitor: *const VariableVisitor,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Runs the network on `images`, float [batch, 3, rows, columns], normalised, on the context's device. `training` is 1 or 0
    /// (batch statistics against running ones). Recorded by autograd when the thread's grad mode is on.
    pub forward: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            images: BorrowedTensor,
            training: u32,
            outputs: *const OutputSink,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Releases the instance and its state; it is not used again. Must not fail.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut EncoderInstance)>,
}

/// The encoders of a library: answer to `get_factory("encoder/1")`.
#[repr(C)]
pub struct EncoderFactory {
    /// `sizeof(EncoderFactory)` of the plugin.
    pub struct_size: u32,
    /// Number of components.
    pub count: Option<unsafe extern "C" fn() -> u32>,
    /// Component `index` (below `count`); lives as long as the library.
    pub describe: Option<unsafe extern "C" fn(index: u32) -> *const ComponentDescriptor>,
    /// Creates an instance of component `index`, as for augmentations.
    pub create: Option<
        unsafe extern "C" fn(
            index: u32,
            context: *const TensorContext,
            values: *const ParameterValue,
            value_count: usize,
            instance: *mut *mut EncoderInstance,
            errors: *const ErrorSink,
        ) -> Status,
    >,
}

// SAFETY: an immutable static of function pointers.
unsafe impl Sync for EncoderFactory {}
