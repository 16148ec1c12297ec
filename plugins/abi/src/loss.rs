//! Losses: from the projections and predictions of all views to one scalar.

use core::ffi::c_void;

use crate::{
    BorrowedTensor, ComponentDescriptor, ErrorSink, FigureSink, OwnedTensor, ParameterValue, Status,
    TensorContext, VariableVisitor,
};

/// Descriptor flag: the loss reads `target_projection`; without it the trainer may leave the target network out.
pub const LOSS_READS_TARGET: u32 = 1 << 0;
/// Descriptor flag: the loss reads `online_prediction`; without it a configured predictor is an error.
pub const LOSS_READS_PREDICTION: u32 = 1 << 1;
/// Descriptor flag, since version 1.1: the loss reads `labels`; with it data without labels is an error.
pub const LOSS_READS_LABELS: u32 = 1 << 2;

/// What the networks made of one view: float tensors [batch, dimensions], rows in the same order in every view. Views are an
/// array, so this struct never grows; what came later stands beside it in [`LossInputs`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LossView {
    /// z of the online network, with gradient.
    pub online_projection: BorrowedTensor,
    /// q of the online network, with gradient; without a predictor the online projection itself.
    pub online_prediction: BorrowedTensor,
    /// z of the target network (detached for `ema` and `stop_gradient`; the online projection itself for
    /// `none`).
    pub target_projection: BorrowedTensor,
}

/// Everything a loss sees in one step.
#[repr(C)]
pub struct LossInputs {
    /// `sizeof(LossInputs)` of the host.
    pub struct_size: u32,
    /// Number of views, at least 2.
    pub view_count: u32,
    /// First of the views.
    pub views: *const LossView,
    /// Index of the optimizer step, from 0.
    pub step: u64,
    /// Planned number of optimizer steps.
    pub step_count: u64,
    /// Since version 1.1: first of the `view_count` embeddings y of the online network, float [batch, features], with gradient.
    pub online_embeddings: *const BorrowedTensor,
    /// Since version 1.1: int64 [batch], each below the context's `class_count`; null when the data has no labels.
    pub labels: BorrowedTensor,
}

/// A loss. Created by [`LossFactory::create`], released by `destroy`.
#[repr(C)]
pub struct LossInstance {
    /// `sizeof(LossInstance)` of the plugin.
    pub struct_size: u32,
    /// The plugin's own.
    pub state: *mut c_void,
    /// Shows the state that a checkpoint must hold (a queue, a memory bank); shows nothing when there is none. What is flagged
    /// trainable is stepped by the run's optimizer, as the networks' variables are.
    pub visit_state: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            visitor: *const VariableVisitor,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Computes the loss: a float scalar tensor, connected to its inputs by autograd, written to `loss` and owned by the
    /// host; and its figures.
    pub forward: Option<
        unsafe extern "C" fn(
            state: *mut c_void,
            inputs: *const LossInputs,
            loss: *mut OwnedTensor,
            figures: *const FigureSink,
            errors: *const ErrorSink,
        ) -> Status,
    >,
    /// Releases the instance and its state; it is not used again. Must not fail.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut LossInstance)>,
}

/// The losses of a library: answer to `get_factory("loss/1")`.
#[repr(C)]
pub struct LossFactory {
    /// `sizeof(LossFactory)` of the plugin.
    pub struct_size: u32,
    /// Number of components.
    pub count: Option<unsafe extern "C" fn() -> u32>,
    /// Component `index` (below `count`); lives as long as the library.
    pub describe: Option<unsafe extern "C" fn(index: u32) -> *const ComponentDescriptor>,
    /// Creates an instance of component `index`, as for encoders; the context's seed is for random state.
    pub create: Option<
        unsafe extern "C" fn(
            index: u32,
            context: *const TensorContext,
            values: *const ParameterValue,
            value_count: usize,
            instance: *mut *mut LossInstance,
            errors: *const ErrorSink,
        ) -> Status,
    >,
}

// SAFETY: an immutable static of function pointers.
unsafe impl Sync for LossFactory {}
