//! Instances of encoders. Tensors stay what they are at the boundary, `at::Tensor` pointers: the host links no libtorch.

use std::ffi::c_void;
use std::ptr::NonNull;

use diptych_abi::{
    BorrowedTensor, EncoderInstance, ErrorSink, OutputSink, OwnedTensor, Status, Str, TensorContext,
    VariableVisitor,
};

use crate::call::{Callback, InstanceError, Line, text_lossy};
use crate::component::{Component, Factory};
use crate::instance::{create, function};
use crate::parameters::Parameters;

/// A network of a plugin.
pub struct Encoder {
    line: Line,
    instance: NonNull<EncoderInstance>,
    visit_variables: VisitFunction,
    forward: ForwardFunction,
}

pub(crate) type VisitFunction =
    unsafe extern "C" fn(*mut c_void, *const VariableVisitor, *const ErrorSink) -> Status;
type ForwardFunction =
    unsafe extern "C" fn(*mut c_void, BorrowedTensor, u32, *const OutputSink, *const ErrorSink) -> Status;

// SAFETY: the boundary allows an instance to move between threads between calls; `&mut self` keeps calls apart.
unsafe impl Send for Encoder {}

/// Shows what a `visit` function of an instance shows to `visit`.
///
/// # Safety
/// `function` belongs to the instance whose `state` this is, and `line` to the same instance.
pub(crate) unsafe fn visit<F: FnMut(&str, BorrowedTensor, u32)>(
    line: &mut Line,
    function: VisitFunction,
    state: *mut c_void,
    visit: F,
) -> Result<(), InstanceError> {
    unsafe extern "C" fn receive<F: FnMut(&str, BorrowedTensor, u32)>(
        context: *mut c_void,
        name: Str,
        tensor: BorrowedTensor,
        flags: u32,
    ) {
        // SAFETY: the plugin passes back the context, and a name that is readable, during the call that was given them.
        unsafe { Callback::<F>::run(context, |visit| visit(&text_lossy(name), tensor, flags)) };
    }
    let mut callback = Callback::new(visit);
    let visitor = VariableVisitor { context: callback.context(), visit: Some(receive::<F>) };
    // SAFETY: the caller vouches for function and state; visitor and sink live through the call.
    let result = line.call(|errors| unsafe { function(state, &visitor, errors) });
    drop(callback.finish());
    result
}

impl Component {
    /// An instance of this encoder, its weights drawn under `seed` and placed on `device` (`cpu`, `cuda:0`).
    ///
    /// # Errors
    /// The component refuses the parameters or the device, breaks the boundary's rules, or the program has
    /// no libtorch.
    ///
    /// # Panics
    /// When this is not an encoder, or the parameters are another component's.
    pub fn create_encoder(
        &self,
        parameters: &Parameters,
        seed: u64,
        device: &str,
    ) -> Result<Encoder, InstanceError> {
        let Factory::Encoder(factory) = self.inner().factory else {
            panic!("{self:?} is not an encoder");
        };
        let context = TensorContext::new(seed, Str::new(device));
        let mut line = Line::new(self);
        let instance: NonNull<EncoderInstance> =
            create(&mut line, parameters, |values, count, slot, errors| {
                let create = factory.create.expect("checked when the library was loaded");
                // SAFETY: context, values, slot and sink live through the call.
                unsafe { create(self.inner().index, &context, values, count, slot, errors) }
            })?;
        // SAFETY: `create` checked that the instance is there in full.
        let header = unsafe { instance.as_ref() };
        let checked = function(&line, "destroy", header.destroy).and_then(|_| {
            let visit = function(&line, "visit_variables", header.visit_variables)?;
            Ok((visit, function(&line, "forward", header.forward)?))
        });
        match checked {
            Ok((visit_variables, forward)) => Ok(Encoder { line, instance, visit_variables, forward }),
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

impl Encoder {
    /// The component that this is an instance of.
    pub fn component(&self) -> &Component {
        self.line.component()
    }

    fn header(&self) -> &EncoderInstance {
        // SAFETY: the instance is alive until `drop`.
        unsafe { self.instance.as_ref() }
    }

    /// Width of the output `pooled`.
    pub fn feature_count(&self) -> u32 {
        self.header().feature_count
    }

    /// Shows every variable with its name and its `VARIABLE_` flags, always in the same order. The tensor is borrowed
    /// for the callback; a reference to its storage may be kept.
    ///
    /// # Errors
    /// The component fails or panics.
    pub fn visit_variables(
        &mut self,
        visit: impl FnMut(&str, BorrowedTensor, u32),
    ) -> Result<(), InstanceError> {
        let (function, state) = (self.visit_variables, self.header().state);
        // SAFETY: function and state are this instance's.
        unsafe { self::visit(&mut self.line, function, state, visit) }
    }

    /// Runs the network on `images` (float [batch, 3, rows, columns]) and gives its named outputs, which the caller owns.
    ///
    /// # Errors
    /// The component fails or panics. What it gave out before that is not freed.
    ///
    /// # Safety
    /// `images` is a live `at::Tensor*` of the libtorch that the registry was loaded for.
    pub unsafe fn forward(
        &mut self,
        images: BorrowedTensor,
        training: bool,
    ) -> Result<Vec<(String, OwnedTensor)>, InstanceError> {
        unsafe extern "C" fn receive(context: *mut c_void, name: Str, tensor: OwnedTensor) {
            // SAFETY: the plugin passes back the context, and a name that is readable, during the call that was given them.
            unsafe {
                Callback::<Vec<(String, OwnedTensor)>>::run(context, |outputs| {
                    outputs.push((text_lossy(name), tensor));
                });
            }
        }
        let mut callback = Callback::new(Vec::new());
        let sink = OutputSink { context: callback.context(), output: Some(receive) };
        let (function, state) = (self.forward, self.header().state);
        // SAFETY: a checked function with its own state; the caller lends the tensor; sinks live through the call.
        self.line.call(|errors| unsafe { function(state, images, u32::from(training), &sink, errors) })?;
        let outputs: Vec<(String, OwnedTensor)> = callback.finish();
        if !outputs.iter().any(|(name, tensor)| name == "pooled" && !tensor.is_null()) {
            return Err(self.line.misbehaved("forward gave no output \"pooled\""));
        }
        Ok(outputs)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some(destroy) = self.header().destroy {
            // SAFETY: the instance is alive, and not used after this.
            unsafe { destroy(self.instance.as_ptr()) };
        }
    }
}
