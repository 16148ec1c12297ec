//! Scratch memory that the host lends to `apply`.

use std::slice;

/// Alignment of the scratch memory and of every slice taken from it.
const ALIGNMENT: usize = 64;

/// Memory of the host for one `apply`, as large as `plan` asked for. Its content is arbitrary.
pub struct Scratch<'a> {
    rest: &'a mut [u8],
}

/// A number type that scratch memory can hold.
pub trait ScratchSample: sealed::Sealed + Copy + 'static {}

impl ScratchSample for u8 {}
impl ScratchSample for u16 {}
impl ScratchSample for u32 {}
impl ScratchSample for i32 {}
impl ScratchSample for f32 {}

mod sealed {
    /// Implemented for types of at most 64 bytes' alignment for which every bit pattern is a value.
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for i32 {}
    impl Sealed for f32 {}
}

impl<'a> Scratch<'a> {
    /// # Safety
    /// `data` points to `length` initialised bytes, aligned to 64, that nobody else uses for `'a`; it may
    /// be null when `length` is 0.
    pub(crate) unsafe fn borrow(data: *mut u8, length: usize) -> Self {
        if length == 0 || data.is_null() {
            return Scratch { rest: &mut [] };
        }
        // SAFETY: the caller vouches for the range.
        Scratch { rest: unsafe { slice::from_raw_parts_mut(data, length) } }
    }

    pub(crate) fn bytes_for<T: ScratchSample>(count: usize) -> usize {
        (count * size_of::<T>()).next_multiple_of(ALIGNMENT)
    }

    /// The next `count` samples, aligned to 64 bytes, with arbitrary content.
    ///
    /// # Panics
    /// When `plan` asked for less ([`crate::Plan::with_scratch`]); the SDK reports it to the host as this plugin's error.
    pub fn take<T: ScratchSample>(&mut self, count: usize) -> &'a mut [T] {
        let bytes = Self::bytes_for::<T>(count);
        let rest = std::mem::take(&mut self.rest);
        assert!(
            bytes <= rest.len(),
            "`apply` takes {bytes} bytes of scratch memory, {} are left",
            rest.len()
        );
        let (taken, rest) = rest.split_at_mut(bytes);
        self.rest = rest;
        // SAFETY: the range is uniquely borrowed, initialised, aligned to 64 (every take is a multiple of it) and at
        // least `count` samples long; every bit pattern is a valid `T`.
        unsafe { slice::from_raw_parts_mut(taken.as_mut_ptr().cast(), count) }
    }
}
