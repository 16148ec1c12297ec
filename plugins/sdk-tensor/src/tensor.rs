//! Tensors as they cross the boundary.

use diptych_sdk::__private::abi::{BorrowedTensor, OwnedTensor, TensorContext, VariableVisitor};
use diptych_sdk::__private::abi::{Str, VARIABLE_BIAS, VARIABLE_NORM, VARIABLE_TRAINABLE};
use diptych_sdk::Error;
use tch::{Device, Tensor};

use crate::{Dimensions, Variables};

/// A handle on a tensor that the host lends: same storage, same autograd history.
///
/// # Safety
/// `pointer` is null or a valid `at::Tensor*` for this call.
pub(crate) unsafe fn borrow(pointer: BorrowedTensor, what: &str) -> Result<Tensor, Error> {
    if pointer.is_null() {
        return Err(Error::new(format_args!("the host passed no tensor as {what}")));
    }
    // SAFETY: the caller vouches for the pointer; the copy has its own reference count.
    Ok(unsafe { Tensor::clone_from_ptr(pointer.cast()) })
}

/// Lends `tensor` for a call that it outlives.
pub(crate) fn lend(tensor: &Tensor) -> BorrowedTensor {
    tensor.as_ptr().cast_mut().cast()
}

/// Gives `tensor` away: the receiver deletes it through libtorch.
pub(crate) fn give(tensor: Tensor) -> OwnedTensor {
    let pointer = tensor.as_ptr().cast_mut().cast();
    std::mem::forget(tensor);
    pointer
}

/// The builder that `context` asks for.
///
/// # Safety
/// `context` is null or what the host passed to the running `create`.
pub(crate) unsafe fn variables(context: *const TensorContext) -> Result<Variables, Error> {
    // SAFETY: the caller vouches for the context and the text in it.
    let context =
        unsafe { context.as_ref() }.ok_or_else(|| Error::new("the host passed no tensor context"))?;
    // SAFETY: as above.
    let device = unsafe { context.device.as_str() }.unwrap_or("a device that is not UTF-8");
    Ok(Variables::new(context.seed, parse_device(device)?))
}

/// What a loss is made for.
///
/// # Safety
/// `context` is null or what the host passed to the running `create`.
pub(crate) unsafe fn dimensions(context: *const TensorContext) -> Result<Dimensions, Error> {
    // SAFETY: the caller vouches for the context.
    let context = unsafe { context.as_ref() }
        .filter(|context| context.struct_size as usize >= size_of::<TensorContext>())
        .ok_or_else(|| Error::new("the host passed no dimensions, as version 1.1 of the boundary does"))?;
    Ok(Dimensions {
        embedding: i64::from(context.embedding_width),
        projection: i64::from(context.projection_width),
        classes: i64::from(context.class_count),
    })
}

fn parse_device(text: &str) -> Result<Device, Error> {
    match text.split_once(':') {
        None if text == "cpu" => Some(Device::Cpu),
        None if text == "cuda" => Some(Device::Cuda(0)),
        Some(("cuda", index)) => index.parse().ok().map(Device::Cuda),
        _ => None,
    }
    .ok_or_else(|| Error::new(format_args!("found device \"{text}\", expected cpu, cuda or cuda:N")))
}

/// Shows every variable to the host.
///
/// # Safety
/// `visitor` is the host's for this call.
pub(crate) unsafe fn show(variables: &Variables, visitor: *const VariableVisitor) -> Result<(), Error> {
    // SAFETY: the caller vouches for the visitor.
    let visitor = unsafe { visitor.as_ref() };
    let Some((context, visit)) = visitor.and_then(|visitor| Some((visitor.context, visitor.visit?))) else {
        return Err(Error::new("the host passed no visitor"));
    };
    for variable in variables.iter() {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = flag(variable.trainable(), VARIABLE_TRAINABLE)
            | flag(variable.is_bias(), VARIABLE_BIAS)
            | flag(variable.is_norm(), VARIABLE_NORM);
        // SAFETY: the host's function with its own context; name and tensor outlive the call.
        unsafe { visit(context, Str::new(&variable.name), lend(&variable.tensor), flags) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_pytorch_writes_them() {
        assert_eq!(parse_device("cpu").unwrap(), Device::Cpu);
        assert_eq!(parse_device("cuda").unwrap(), Device::Cuda(0));
        assert_eq!(parse_device("cuda:3").unwrap(), Device::Cuda(3));
        let message = parse_device("gpu").unwrap_err().to_string();
        assert_eq!(message, "found device \"gpu\", expected cpu, cuda or cuda:N");
    }
}
