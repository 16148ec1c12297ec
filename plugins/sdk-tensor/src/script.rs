//! TorchScript modules: networks that Python saved with `torch.jit.script(..).save(..)`, run without Python.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};

use diptych_sdk::Error;
use tch::{Device, Tensor};

use crate::tensor::lend;

/// A loaded module. Each load has weights of its own.
#[derive(Debug)]
pub struct ScriptModule {
    module: NonNull<c_void>,
    /// The mode that it was last put into.
    training: Option<bool>,
}

/// A parameter or buffer of a module.
#[derive(Debug)]
pub struct ScriptVariable {
    /// Full name, dots between its parts.
    pub name: String,
    /// Shares its storage with the module.
    pub tensor: Tensor,
    /// Whether it is a parameter; otherwise a buffer.
    pub parameter: bool,
}

type Visit = unsafe extern "C" fn(*mut c_void, *const c_char, usize, *mut c_void, bool);

unsafe extern "C" {
    fn diptych_script_load(
        path: *const c_char,
        device: *const c_char,
        module: *mut *mut c_void,
    ) -> *const c_char;
    fn diptych_script_free(module: *mut c_void);
    fn diptych_script_visit(module: *mut c_void, context: *mut c_void, visit: Visit) -> *const c_char;
    fn diptych_script_train(module: *mut c_void, training: bool) -> *const c_char;
    fn diptych_script_forward(
        module: *mut c_void,
        input: *mut c_void,
        output: *mut *mut c_void,
    ) -> *const c_char;
}

// SAFETY: a module is bound to no thread; `&mut self` keeps calls that change it apart.
unsafe impl Send for ScriptModule {}

impl ScriptModule {
    /// Reads the file at `path`, its variables on `device`.
    ///
    /// # Errors
    /// The file can't be read, or holds no module.
    pub fn load(path: &Path, device: Device) -> Result<Self, Error> {
        let zero = |_| Error::new(format_args!("the path {} holds a zero", path.display()));
        let file = CString::new(path.as_os_str().as_encoded_bytes()).map_err(zero)?;
        let device = match device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        };
        let device = CString::new(device).expect("a device's name has no zero");
        let mut module = ptr::null_mut();
        // SAFETY: two C strings and a slot, valid for the call.
        check(unsafe { diptych_script_load(file.as_ptr(), device.as_ptr(), &mut module) })?;
        let module = NonNull::new(module).ok_or_else(|| Error::new("libtorch gave no module"))?;
        Ok(ScriptModule { module, training: None })
    }

    /// All parameters, then all buffers, in the module's order.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn variables(&self) -> Result<Vec<ScriptVariable>, Error> {
        unsafe extern "C" fn keep(
            list: *mut c_void,
            name: *const c_char,
            length: usize,
            tensor: *mut c_void,
            parameter: bool,
        ) {
            // SAFETY: the list is the one passed below; name and tensor are readable for this callback, and the copy of the
            // tensor has its own reference count.
            unsafe {
                let name = std::slice::from_raw_parts(name.cast::<u8>(), length);
                (*list.cast::<Vec<ScriptVariable>>()).push(ScriptVariable {
                    name: String::from_utf8_lossy(name).into_owned(),
                    tensor: Tensor::clone_from_ptr(tensor.cast()),
                    parameter,
                });
            }
        }
        let mut list = Vec::<ScriptVariable>::new();
        // SAFETY: the module lives; the list outlives the call, which is the only one to use it.
        check(unsafe { diptych_script_visit(self.module.as_ptr(), (&raw mut list).cast(), keep) })?;
        Ok(list)
    }

    /// What the method `forward` makes of `input`, after `train(training)`. Operations run one by one as in eager PyTorch, without
    /// TorchScript's own optimisations, so that the same input always gives the same bits.
    ///
    /// # Errors
    /// The module has no such method, it fails, or its answer is no tensor.
    pub fn forward(&mut self, input: &Tensor, training: bool) -> Result<Tensor, Error> {
        if self.training != Some(training) {
            // SAFETY: the module lives.
            check(unsafe { diptych_script_train(self.module.as_ptr(), training) })?;
            self.training = Some(training);
        }
        let mut output = ptr::null_mut();
        // SAFETY: module and input live through the call.
        check(unsafe { diptych_script_forward(self.module.as_ptr(), lend(input), &mut output) })?;
        if output.is_null() {
            return Err(Error::new("libtorch gave no output"));
        }
        // SAFETY: made with C++ `new` for us alone.
        Ok(unsafe { Tensor::from_ptr(output.cast()) })
    }
}

impl Drop for ScriptModule {
    fn drop(&mut self) {
        // SAFETY: the module lives and is not used after this.
        unsafe { diptych_script_free(self.module.as_ptr()) };
    }
}

/// The error of a call, if there was one.
fn check(message: *const c_char) -> Result<(), Error> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a C string that lives until the next call on this thread.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy();
    Err(Error::new(reason(&text)))
}

/// The line of libtorch's report that says what happened: the last one below a traceback of TorchScript, else the first.
fn reason(text: &str) -> String {
    let text = text.split("\nException raised from").next().unwrap_or_default();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = if text.contains("Traceback of TorchScript") { lines.next_back() } else { lines.next() };
    line.unwrap_or("libtorch gave no reason").trim_start_matches("RuntimeError: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_what_happened_is_found() {
        let traced = "The following operation failed in the TorchScript interpreter.\n\
             Traceback of TorchScript, serialized code (most recent call last):\n  File \"a\", line 1\n\
             RuntimeError: shapes differ\nException raised from x at y.cpp:1";
        assert_eq!(reason(traced), "shapes differ");
        assert_eq!(reason("not a file\nException raised from x"), "not a file");
        assert_eq!(reason(""), "libtorch gave no reason");
    }
}
