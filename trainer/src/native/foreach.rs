//! `native/foreach.cpp`: one call for all parameters.

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::Result;

unsafe extern "C" {
    fn diptych_adamw(
        parameters: *const *mut C_tensor,
        first: *const *mut C_tensor,
        second: *const *mut C_tensor,
        count: usize,
        step: *mut C_tensor,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        decay: f64,
        epsilon: f64,
    ) -> *const c_char;
    fn diptych_sgd(
        parameters: *const *mut C_tensor,
        velocities: *const *mut C_tensor,
        count: usize,
        learning_rate: f64,
        momentum: f64,
        decay: f64,
        nesterov: bool,
    ) -> *const c_char;
    fn diptych_lars(
        parameters: *const *mut C_tensor,
        velocities: *const *mut C_tensor,
        count: usize,
        learning_rate: f64,
        momentum: f64,
        decay: f64,
        eta: f64,
        adapt: bool,
        rate_inside: bool,
    ) -> *const c_char;
    fn diptych_lerp(
        to: *const *mut C_tensor,
        from: *const *mut C_tensor,
        count: usize,
        weight: f64,
    ) -> *const c_char;
    fn diptych_clip_gradients(
        parameters: *const *mut C_tensor,
        count: usize,
        maximum: f64,
        norm: *mut C_tensor,
    ) -> *const c_char;
    fn diptych_clear_gradients(parameters: *const *mut C_tensor, count: usize) -> *const c_char;
}

/// The shim changes tensors in place as tch does behind shared handles; the pointers are as long-lived as `tensors`.
fn pointers(tensors: &[Tensor]) -> Vec<*mut C_tensor> {
    tensors.iter().map(|tensor| tensor.as_ptr().cast_mut()).collect()
}

/// # Safety
/// `error` is what a function of the shim returned, and it was the last one called on this thread.
unsafe fn check(error: *const c_char) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: a zero-terminated text that lives until the next call.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    Err(TchError::Torch(text).into())
}

/// One step of AdamW over parameters that have a gradient; `step` is the step's number from 1, a float scalar.
#[allow(clippy::too_many_arguments)]
pub(crate) fn adamw(
    parameters: &[Tensor],
    first: &[Tensor],
    second: &[Tensor],
    step: &Tensor,
    learning_rate: f64,
    [beta1, beta2]: [f64; 2],
    decay: f64,
    epsilon: f64,
) -> Result<()> {
    assert!(parameters.len() == first.len() && parameters.len() == second.len());
    let (p, m, v) = (pointers(parameters), pointers(first), pointers(second));
    // SAFETY: arrays of `p.len()` live tensors; C++ exceptions are caught in the shim.
    unsafe {
        let step = step.as_ptr().cast_mut();
        check(diptych_adamw(
            p.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            p.len(),
            step,
            learning_rate,
            beta1,
            beta2,
            decay,
            epsilon,
        ))
    }
}

/// One step of SGD over parameters that have a gradient.
pub(crate) fn sgd(
    parameters: &[Tensor],
    velocities: &[Tensor],
    learning_rate: f64,
    momentum: f64,
    decay: f64,
    nesterov: bool,
) -> Result<()> {
    assert_eq!(parameters.len(), velocities.len());
    let (p, v) = (pointers(parameters), pointers(velocities));
    // SAFETY: arrays of `p.len()` live tensors; C++ exceptions are caught in the shim.
    unsafe { check(diptych_sgd(p.as_ptr(), v.as_ptr(), p.len(), learning_rate, momentum, decay, nesterov)) }
}

/// How LARS treats a group of parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LarsSettings {
    pub momentum: f64,
    pub decay: f64,
    pub eta: f64,
    /// Decay and trust ratio apply.
    pub adapt: bool,
    /// The velocity accumulates what is multiplied by the learning rate already.
    pub rate_inside: bool,
}

/// One step of LARS over parameters that have a gradient.
pub(crate) fn lars(
    parameters: &[Tensor],
    velocities: &[Tensor],
    learning_rate: f64,
    settings: LarsSettings,
) -> Result<()> {
    assert_eq!(parameters.len(), velocities.len());
    let (p, v) = (pointers(parameters), pointers(velocities));
    let LarsSettings { momentum, decay, eta, adapt, rate_inside } = settings;
    // SAFETY: arrays of `p.len()` live tensors; C++ exceptions are caught in the shim.
    unsafe {
        check(diptych_lars(
            p.as_ptr(),
            v.as_ptr(),
            p.len(),
            learning_rate,
            momentum,
            decay,
            eta,
            adapt,
            rate_inside,
        ))
    }
}

/// to += weight (from - to), for every pair.
pub(crate) fn lerp(to: &[Tensor], from: &[Tensor], weight: f64) -> Result<()> {
    assert_eq!(to.len(), from.len());
    let (to, from) = (pointers(to), pointers(from));
    // SAFETY: arrays of `to.len()` live tensors; C++ exceptions are caught in the shim.
    unsafe { check(diptych_lerp(to.as_ptr(), from.as_ptr(), to.len(), weight)) }
}

/// Scales all gradients by one factor, so that their common norm is at most `maximum`; `norm`, a float scalar on their device,
/// becomes what it was before.
pub(crate) fn clip_gradients(parameters: &[Tensor], maximum: f64, norm: &Tensor) -> Result<()> {
    let p = pointers(parameters);
    // SAFETY: an array of `p.len()` live tensors, and one more; C++ exceptions are caught in the shim.
    unsafe { check(diptych_clip_gradients(p.as_ptr(), p.len(), maximum, norm.as_ptr().cast_mut())) }
}

/// Drops every gradient, so that the next backward pass makes new ones instead of adding to zeros.
pub(crate) fn clear_gradients(parameters: &[Tensor]) -> Result<()> {
    let p = pointers(parameters);
    // SAFETY: an array of `p.len()` live tensors; C++ exceptions are caught in the shim.
    unsafe { check(diptych_clear_gradients(p.as_ptr(), p.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lerp_moves_by_the_weight() {
        let to = [Tensor::from_slice(&[0f32, 10.0]), Tensor::from_slice(&[1f32])];
        let from = [Tensor::from_slice(&[1f32, 20.0]), Tensor::from_slice(&[2f32])];
        lerp(&to, &from, 0.25).unwrap();
        assert_eq!(Vec::<f32>::try_from(&to[0]).unwrap(), [0.25, 12.5]);
        assert_eq!(Vec::<f32>::try_from(&to[1]).unwrap(), [1.25]);
    }

    #[test]
    fn gradients_are_clipped_together_and_small_ones_left_alone() {
        let weights = [[1f32, 1.0], [1.0, 0.0]].map(|row| Tensor::from_slice(&row).set_requires_grad(true));
        let without = Tensor::from_slice(&[5f32]).set_requires_grad(true);
        let all = [weights[0].shallow_clone(), without, weights[1].shallow_clone()];
        let norm = Tensor::zeros([], (tch::Kind::Float, tch::Device::Cpu));
        // Gradients [3, 4] and [0, 12]: together 13.
        let give = || {
            let sums = &weights[0] * Tensor::from_slice(&[3f32, 4.0])
                + &weights[1] * Tensor::from_slice(&[0f32, 12.0]);
            sums.sum(tch::Kind::Float).backward();
        };
        give();
        clip_gradients(&all, 20.0, &norm).unwrap();
        assert_eq!(Vec::<f32>::try_from(weights[1].grad()).unwrap(), [0.0, 12.0]);
        clip_gradients(&all, 6.5, &norm).unwrap();
        assert!((norm.double_value(&[]) - 13.0).abs() < 1e-5);
        let clipped = Vec::<f32>::try_from(weights[0].grad()).unwrap();
        assert!((clipped[0] - 1.5).abs() < 1e-5 && (clipped[1] - 2.0).abs() < 1e-5, "{clipped:?}");
    }

    #[test]
    fn an_exception_of_libtorch_is_an_error() {
        let (to, from) = ([Tensor::from_slice(&[0f32, 1.0])], [Tensor::from_slice(&[1f32, 2.0, 3.0])]);
        let message = lerp(&to, &from, 0.5).unwrap_err().to_string();
        assert!(message.contains("size"), "{message}");
    }

    #[test]
    fn cleared_gradients_are_gone() {
        let parameter = Tensor::from_slice(&[1f32]).set_requires_grad(true);
        (&parameter * 2.0).sum(tch::Kind::Float).backward();
        assert!(parameter.grad().defined());
        clear_gradients(&[parameter.shallow_clone()]).unwrap();
        assert!(!parameter.grad().defined());
    }
}
