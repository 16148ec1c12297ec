//! Creating instances of any kind.

use std::ptr::{self, NonNull};
use std::sync::PoisonError;

use diptych_abi::{ErrorSink, ParameterValue, Status};

use crate::call::{Failure, InstanceError, Line};
use crate::parameters::Parameters;

/// An instance's header: its size comes first.
pub(crate) trait Header {
    fn struct_size(&self) -> u32;
}

macro_rules! headers {
    ($($header:ident),*) => {$(
        impl Header for diptych_abi::$header {
            fn struct_size(&self) -> u32 {
                self.struct_size
            }
        }
    )*};
}
headers!(AugmentationInstance, EncoderInstance, LossInstance);

/// Calls a factory's `create` with the values and a slot, and checks what comes out.
pub(crate) fn create<I: Header>(
    line: &mut Line,
    parameters: &Parameters,
    create: impl FnOnce(*const ParameterValue, usize, *mut *mut I, *const ErrorSink) -> Status,
) -> Result<NonNull<I>, InstanceError> {
    let component = line.component().clone();
    assert!(
        parameters.component().kind() == component.kind() && parameters.component().id() == component.id(),
        "parameters of {:?} for {component:?}",
        parameters.component()
    );
    if !component.inner().creatable {
        let version = component.library().torch_version.clone().unwrap_or_default();
        return Err(line.error(Failure::NoTorch(version)));
    }
    parameters.check_files().map_err(|what| line.error(Failure::File(what)))?;
    let values: Vec<ParameterValue> = parameters.iter().map(|(_, value)| value.to_abi()).collect();
    let mut slot: *mut I = ptr::null_mut();
    {
        let _one_at_a_time = component.library().calls.lock().unwrap_or_else(PoisonError::into_inner);
        line.call(|errors| create(values.as_ptr(), values.len(), &mut slot, errors))?;
    }
    let Some(instance) = NonNull::new(slot) else {
        return Err(line.misbehaved("create answered no instance"));
    };
    // SAFETY: the library says that it wrote an instance, which starts with its size.
    if (unsafe { instance.as_ref() }.struct_size() as usize) < size_of::<I>() {
        return Err(line.misbehaved("the struct_size of the instance is too small"));
    }
    Ok(instance)
}

/// A function of an instance that must be there.
pub(crate) fn function<F>(line: &Line, name: &str, function: Option<F>) -> Result<F, InstanceError> {
    function.ok_or_else(|| line.misbehaved(format!("{name} of the instance is null")))
}
