//! Instances of losses.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use diptych_abi::{
    BorrowedTensor, ErrorSink, FigureSink, LossInputs, LossInstance, LossView, OwnedTensor, Status, Str,
    TensorContext,
};

use crate::call::{Callback, InstanceError, Line, text_lossy};
use crate::component::{Component, Factory};
use crate::encoder::{VisitFunction, visit};
use crate::instance::{create, function};
use crate::parameters::Parameters;

/// A loss of a plugin.
pub struct Loss {
    line: Line,
    instance: NonNull<LossInstance>,
    visit_state: VisitFunction,
    forward: ForwardFunction,
}

/// What a loss's own variables are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossDimensions {
    /// Width of the embeddings.
    pub embedding: u32,
    /// Width of the projections.
    pub projection: u32,
    /// Classes of the data; 0 without labels.
    pub classes: u32,
}

/// What a loss sees in one step.
#[derive(Clone, Copy)]
pub struct LossBatch<'a> {
    /// At least two.
    pub views: &'a [LossView],
    /// One per view.
    pub online_embeddings: &'a [BorrowedTensor],
    /// Where the data has them.
    pub labels: Option<BorrowedTensor>,
    /// The optimizer step, from 0.
    pub step: u64,
    /// Planned optimizer steps.
    pub step_count: u64,
}

type ForwardFunction = unsafe extern "C" fn(
    *mut c_void,
    *const LossInputs,
    *mut OwnedTensor,
    *const FigureSink,
    *const ErrorSink,
) -> Status;

// SAFETY: the boundary allows an instance to move between threads between calls; `&mut self` keeps calls apart.
unsafe impl Send for Loss {}

impl Component {
    /// An instance of this loss for `dimensions`, its random state drawn under `seed`, on `device` (`cpu`, `cuda:0`).
    ///
    /// # Errors
    /// The component refuses the parameters, breaks the boundary's rules, or the program has no libtorch.
    ///
    /// # Panics
    /// When this is not a loss, or the parameters are another component's.
    pub fn create_loss(
        &self,
        parameters: &Parameters,
        seed: u64,
        device: &str,
        dimensions: LossDimensions,
    ) -> Result<Loss, InstanceError> {
        let Factory::Loss(factory) = self.inner().factory else {
            panic!("{self:?} is not a loss");
        };
        let context = TensorContext {
            embedding_width: dimensions.embedding,
            projection_width: dimensions.projection,
            class_count: dimensions.classes,
            ..TensorContext::new(seed, Str::new(device))
        };
        let mut line = Line::new(self);
        let instance: NonNull<LossInstance> =
            create(&mut line, parameters, |values, count, slot, errors| {
                let create = factory.create.expect("checked when the library was loaded");
                // SAFETY: context, values, slot and sink live through the call.
                unsafe { create(self.inner().index, &context, values, count, slot, errors) }
            })?;
        // SAFETY: `create` checked that the instance is there in full.
        let header = unsafe { instance.as_ref() };
        let checked = function(&line, "destroy", header.destroy).and_then(|_| {
            let visit = function(&line, "visit_state", header.visit_state)?;
            Ok((visit, function(&line, "forward", header.forward)?))
        });
        match checked {
            Ok((visit_state, forward)) => Ok(Loss { line, instance, visit_state, forward }),
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

impl Loss {
    /// The component that this is an instance of.
    pub fn component(&self) -> &Component {
        self.line.component()
    }

    fn header(&self) -> &LossInstance {
        // SAFETY: the instance is alive until `drop`.
        unsafe { self.instance.as_ref() }
    }

    /// Shows the state that a checkpoint must hold.
    ///
    /// # Errors
    /// The component fails or panics.
    pub fn visit_state(&mut self, visit: impl FnMut(&str, BorrowedTensor, u32)) -> Result<(), InstanceError> {
        let (function, state) = (self.visit_state, self.header().state);
        // SAFETY: function and state are this instance's.
        unsafe { self::visit(&mut self.line, function, state, visit) }
    }

    /// Computes the loss of a step; the caller owns the scalar tensor. Each figure is shown to `figure`, its tensor borrowed
    /// for the callback.
    ///
    /// # Errors
    /// The component fails or panics.
    ///
    /// # Panics
    /// When there isn't one embedding per view.
    ///
    /// # Safety
    /// The tensors of `batch` are live `at::Tensor*` of the libtorch that the registry was loaded for.
    pub unsafe fn forward<F: FnMut(&str, BorrowedTensor)>(
        &mut self,
        batch: LossBatch<'_>,
        figure: F,
    ) -> Result<OwnedTensor, InstanceError> {
        unsafe extern "C" fn receive<F: FnMut(&str, BorrowedTensor)>(
            context: *mut c_void,
            name: Str,
            tensor: BorrowedTensor,
        ) {
            // SAFETY: the plugin passes back the context, and a name that is readable, during the call that was given them.
            unsafe { Callback::<F>::run(context, |figure| figure(&text_lossy(name), tensor)) };
        }
        let LossBatch { views, online_embeddings, labels, step, step_count } = batch;
        assert_eq!(views.len(), online_embeddings.len(), "one embedding per view");
        let inputs = LossInputs {
            struct_size: size_of::<LossInputs>() as u32,
            view_count: views.len() as u32,
            views: views.as_ptr(),
            step,
            step_count,
            online_embeddings: online_embeddings.as_ptr(),
            labels: labels.unwrap_or(ptr::null_mut()),
        };
        let mut loss: OwnedTensor = ptr::null_mut();
        let mut callback = Callback::new(figure);
        let figures = FigureSink { context: callback.context(), figure: Some(receive::<F>) };
        let (function, state) = (self.forward, self.header().state);
        // SAFETY: a checked function with its own state; the caller lends the tensors; the rest lives through the call.
        let result =
            self.line.call(|errors| unsafe { function(state, &inputs, &mut loss, &figures, errors) });
        drop(callback.finish());
        result?;
        if loss.is_null() {
            return Err(self.line.misbehaved("forward gave no loss"));
        }
        Ok(loss)
    }
}

impl Drop for Loss {
    fn drop(&mut self) {
        if let Some(destroy) = self.header().destroy {
            // SAFETY: the instance is alive, and not used after this.
            unsafe { destroy(self.instance.as_ptr()) };
        }
    }
}
