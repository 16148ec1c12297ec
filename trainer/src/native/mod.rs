//! All of this crate's `unsafe`: tensors that cross the plugin boundary as pointers, batches that are looked at in
//! place, and libtorch's CUDA half, which is loaded when it is asked for.

pub(crate) mod foreach;
mod plugin;
pub(crate) mod watch;

use std::ffi::{CString, c_void};
use std::path::{Path, PathBuf};

use diptych_abi::{BorrowedTensor, OwnedTensor};
use diptych_pipeline::{Allocate, Memory};
use tch::{Device, Kind, Tensor};

use crate::Result;

/// Our own handle on a tensor that a plugin lends for a call: same storage, same autograd history. None for null.
///
/// # Safety
/// `pointer` is null or an `at::Tensor*` that is valid now.
pub(crate) unsafe fn from_borrowed(pointer: BorrowedTensor) -> Option<Tensor> {
    // SAFETY: the caller's promise; the copy keeps its own reference count.
    (!pointer.is_null()).then(|| unsafe { Tensor::clone_from_ptr(pointer.cast()) })
}

/// Takes a tensor that a plugin gives away. None for null.
///
/// # Safety
/// `pointer` is null or an `at::Tensor*` made with C++ `new` that nobody else will delete.
pub(crate) unsafe fn from_owned(pointer: OwnedTensor) -> Option<Tensor> {
    // SAFETY: the caller's promise; the tensor's drop deletes it through libtorch.
    (!pointer.is_null()).then(|| unsafe { Tensor::from_ptr(pointer.cast()) })
}

/// Lends a tensor for the length of a call; the tensor must outlive that call.
pub(crate) fn lend(tensor: &Tensor) -> BorrowedTensor {
    tensor.as_ptr().cast_mut().cast()
}

/// Hands a look at `bytes` ([batch, height, width, 3] pixels, no copy) to `use_view`, as a tensor of 8-bit integers. What
/// `use_view` answers must not share the storage; its tensors come from an operation that copies.
pub(crate) fn with_pixels<T>(
    bytes: &[u8],
    shape: [i64; 4],
    use_view: impl FnOnce(&Tensor) -> Result<T>,
) -> Result<T> {
    assert_eq!(bytes.len() as i64, shape.iter().product::<i64>(), "a view's bytes are its shape");
    // SAFETY: the bytes outlive this call, the length fits the shape, and the tensor is only read and dropped before
    // the bytes are.
    let view = unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[], Kind::Uint8, Device::Cpu) }?;
    use_view(&view)
}

/// Tells the C library's allocator to keep what is freed. A step on the CPU frees and allocates the same activations again and
/// again; giving them back to the kernel each time costs more than a tenth of the step in page faults.
pub(crate) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt only sets numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}

/// Loads libtorch's CUDA half next to the `libtorch_cpu.so` that runs already, once.
pub(crate) fn load_cuda() -> Result<(), String> {
    static LOADED: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
    LOADED.get_or_init(open_cuda_library).clone()
}

fn open_cuda_library() -> Result<(), String> {
    let folder = libtorch_folder().ok_or("libtorch_cpu.so isn't loaded")?;
    let library = folder.join("libtorch_cuda.so");
    if !library.is_file() {
        return Err(format!("{} doesn't exist: this libtorch is one for the CPU only", library.display()));
    }
    let name = CString::new(library.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: a valid C string; the library registers its kernels with libtorch when it is loaded, and stays loaded.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() { Err(last_dl_error()) } else { Ok(()) }
}

fn last_dl_error() -> String {
    // SAFETY: dlerror answers null or a C string that lives until the thread's next dl call.
    unsafe {
        let message = libc::dlerror();
        if message.is_null() {
            "dlopen failed".to_owned()
        } else {
            std::ffi::CStr::from_ptr(message).to_string_lossy().into_owned()
        }
    }
}

/// The folder of the libtorch that this process runs, found by asking which file a function of it lies in.
pub(crate) fn libtorch_folder() -> Option<PathBuf> {
    let mut folder: Option<PathBuf> = None;

    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, folder: *mut c_void) -> i32 {
        // SAFETY: dl_iterate_phdr passes a valid record and the pointer that it was given below.
        let (name, folder) = unsafe { ((*info).dlpi_name, &mut *folder.cast::<Option<PathBuf>>()) };
        if name.is_null() {
            return 0;
        }
        // SAFETY: a C string that lives as long as the library.
        let path = PathBuf::from(unsafe { std::ffi::CStr::from_ptr(name) }.to_string_lossy().into_owned());
        if path.file_name().is_some_and(|name| name == "libtorch_cpu.so") {
            *folder = path.parent().map(Path::to_path_buf);
            return 1;
        }
        0
    }

    // SAFETY: `look` fits the signature and `folder` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut folder).cast()) };
    folder
}

/// Gives batches pinned memory: pages that a GPU copies from directly.
pub(crate) struct PinnedAllocator {
    /// The GPU that will copy.
    pub device: Device,
}

impl Allocate for PinnedAllocator {
    fn allocate(&self, bytes: usize) -> Result<Box<dyn Memory>, String> {
        let allocate = || -> Result<Tensor> {
            let pageable = Tensor::f_empty([bytes as i64], (Kind::Uint8, Device::Cpu))?;
            Ok(pageable.f_pin_memory(self.device)?)
        };
        let tensor = allocate().map_err(|error| format!("cannot pin {bytes} bytes of memory: {error}"))?;
        Ok(Box::new(Pinned { tensor, length: bytes }))
    }
}

/// A tensor of bytes that nobody else holds.
struct Pinned {
    tensor: Tensor,
    length: usize,
}

// SAFETY: the tensor is this value's alone and is only asked for its address, which never changes.
unsafe impl Sync for Pinned {}

impl Memory for Pinned {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the tensor's storage holds `length` bytes at this address as long as the tensor lives, and is written
        // only through `bytes_mut`, which borrows it alone.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` keeps others out.
        unsafe { std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_tensor_is_none() {
        // SAFETY: null is allowed.
        assert!(unsafe { from_borrowed(std::ptr::null_mut()) }.is_none());
        // SAFETY: null is allowed.
        assert!(unsafe { from_owned(std::ptr::null_mut()) }.is_none());
    }

    #[test]
    fn a_borrowed_tensor_shares_its_storage() {
        let mut tensor = Tensor::zeros([2], (Kind::Float, Device::Cpu));
        // SAFETY: `tensor` lives.
        let other = unsafe { from_borrowed(lend(&tensor)) }.unwrap();
        let _ = tensor.fill_(3.0);
        assert_eq!(other.double_value(&[1]), 3.0);
    }

    #[test]
    fn finds_the_folder_of_the_running_libtorch() {
        // Makes sure that libtorch is linked and loaded.
        assert_eq!(Tensor::zeros([1], (Kind::Float, Device::Cpu)).numel(), 1);
        let folder = libtorch_folder().unwrap();
        assert!(folder.join("libtorch_cpu.so").exists(), "{}", folder.display());
    }
}
