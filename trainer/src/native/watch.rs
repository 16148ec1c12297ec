//! `native/watch.cpp`: how much memory tensors take.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Result;

unsafe extern "C" {
    fn diptych_peak_bytes(work: extern "C" fn(*mut c_void), context: *mut c_void) -> i64;
}

/// What crosses into C++ and back.
struct Context<'a> {
    work: &'a mut dyn FnMut() -> Result<()>,
    outcome: std::thread::Result<Result<()>>,
}

/// The most bytes of tensors that `work` held at once, of those that it made.
pub(crate) fn peak_bytes(mut work: impl FnMut() -> Result<()>) -> Result<usize> {
    extern "C" fn run(context: *mut c_void) {
        // SAFETY: the pointer that is given below, which nobody else uses during the call.
        let context = unsafe { &mut *context.cast::<Context<'_>>() };
        // No panic crosses C++.
        context.outcome = catch_unwind(AssertUnwindSafe(|| (context.work)()));
    }
    let mut context = Context { work: &mut work, outcome: Ok(Ok(())) };
    // SAFETY: `run` takes this very pointer, does not unwind, and the context outlives the call.
    let peak = unsafe { diptych_peak_bytes(run, (&raw mut context).cast()) };
    match context.outcome {
        Ok(outcome) => outcome.map(|()| usize::try_from(peak).unwrap_or(0)),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn what_lives_at_once_is_counted_and_what_was_freed_before_is_not() {
        let floats = |count: i64| Tensor::f_zeros([count], (Kind::Float, Device::Cpu));
        let peak = peak_bytes(|| {
            drop(floats(1 << 16)?);
            let (_one, _other) = (floats(1 << 15)?, floats(3 << 14)?);
            Ok(())
        });
        assert_eq!(peak.unwrap(), 4 * ((1 << 15) + (3 << 14)));
    }

    #[test]
    fn an_error_of_the_work_is_the_answer() {
        let failed = peak_bytes(|| Err(crate::Error::Unfit("so".into())));
        assert_eq!(failed.unwrap_err().to_string(), "so");
    }
}
