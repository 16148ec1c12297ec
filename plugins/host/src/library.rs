//! Opening one shared library: what it must export, and all that is refused about it.
//!
//! Lifecycle: mapped with every symbol resolved (`RTLD_NOW`) and none exposed to other libraries (`RTLD_LOCAL`); its
//! version is read before any other field; `open` is called once per process; the library is never unloaded, so what it
//! hands out is `'static`.

use std::collections::HashSet;
use std::ffi::{CStr, c_void};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use diptych_abi as abi;
use diptych_abi::{HostInfo, PluginEntry, Str};
use dlopen2::raw::Library;

use crate::call::with_sink;
use crate::component::{Factory, Kind, LibraryInfo};

/// Why a library can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LibraryError {
    /// The system's loader refuses the file.
    #[error("{path}: can't be loaded: {reason}; every .so file in a plugin folder must be a plugin")]
    NotLoadable {
        /// The file.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// A library, but no plugin.
    #[error(
        "{path}: is no Diptych plugin, for it exports no `diptych_plugin_entry`; move it out of the plugin folder"
    )]
    NoEntry {
        /// The file.
        path: PathBuf,
    },
    /// Built for another version of the boundary.
    #[error(
        "{path}: was built for version {found} of the plugin boundary, this program has version {expected}; {remedy}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// `major.minor` of the plugin.
        found: String,
        /// `major.minor` of the host.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Built for another libtorch.
    #[error(
        "{path}: was built for libtorch {found}, this program has libtorch {expected}; rebuild the plugin with {expected}"
    )]
    Torch {
        /// The file.
        path: PathBuf,
        /// The plugin's.
        found: String,
        /// The program's.
        expected: String,
    },
    /// Its `open` failed.
    #[error("{path}: refuses to start: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// Something in it contradicts the boundary.
    #[error("{path}: breaks the rules of the plugin boundary: {what}; report it to the plugin's author")]
    Misbehaved {
        /// The file.
        path: PathBuf,
        /// What.
        what: String,
    },
}

/// A library whose entry and factories are in order.
pub(crate) struct Opened {
    pub info: LibraryInfo,
    pub factories: Vec<Factory>,
}

/// Entries whose `open` succeeded, by address.
static STARTED: Mutex<Option<HashSet<usize>>> = Mutex::new(None);

/// What `open` is told; it may keep the pointer.
static HOST: HostInfo = HostInfo {
    struct_size: size_of::<HostInfo>() as u32,
    abi_major: abi::ABI_MAJOR,
    abi_minor: abi::ABI_MINOR,
    version: Str::new(env!("CARGO_PKG_VERSION")),
};

/// Opens the library at the absolute `path`. With a `torch_version`, a library for another one is refused.
pub(crate) fn open(path: &Path, torch_version: Option<&str>) -> Result<Opened, LibraryError> {
    let entry = map(path)?;
    // SAFETY: `map` returns the library's exported static, which lives as long as the process; the version comes
    // first in every version of it.
    let (major, minor) = unsafe { ((*entry).abi_major, (*entry).abi_minor) };
    if major != abi::ABI_MAJOR || minor > abi::ABI_MINOR {
        return Err(LibraryError::Version {
            path: path.to_owned(),
            found: format!("{major}.{minor}"),
            expected: format!("{}.{}", abi::ABI_MAJOR, abi::ABI_MINOR),
            remedy: if (major, minor) > (abi::ABI_MAJOR, abi::ABI_MINOR) {
                "update Diptych, or rebuild the plugin with this version's SDK"
            } else {
                "rebuild the plugin with this version's SDK"
            },
        });
    }
    let misbehaved = |what: &str| LibraryError::Misbehaved { path: path.to_owned(), what: what.to_owned() };
    // SAFETY: the version is ours, so `struct_size` is where we know it.
    if (unsafe { (*entry).struct_size } as usize) < size_of::<PluginEntry>() {
        return Err(misbehaved("the struct_size of diptych_plugin_entry is too small for its version"));
    }
    // SAFETY: version and size say that the whole struct is there; it is immutable and never unloaded.
    let entry: &'static PluginEntry = unsafe { &*entry };
    let start = entry.open.ok_or_else(|| misbehaved("open is null"))?;
    let get_factory = entry.get_factory.ok_or_else(|| misbehaved("get_factory is null"))?;
    // SAFETY: the boundary promises text that lives as long as the library.
    let texts = unsafe { (entry.name.as_str(), entry.version.as_str()) };
    let (Some(name), Some(version)) = texts else {
        return Err(misbehaved("name or version is not valid UTF-8"));
    };
    let plugin_torch = (!entry.torch_abi.is_null()).then(|| {
        // SAFETY: the boundary promises a zero-terminated text that lives as long as the library.
        unsafe { CStr::from_ptr(entry.torch_abi) }.to_string_lossy().into_owned()
    });
    if let (Some(found), Some(expected)) = (&plugin_torch, torch_version)
        && found != expected
    {
        return Err(LibraryError::Torch {
            path: path.to_owned(),
            found: found.clone(),
            expected: expected.to_owned(),
        });
    }
    start_once(path, entry, start)?;
    let mut factories = Vec::new();
    for kind in Kind::ALL {
        let name = match kind {
            Kind::Augmentation => abi::KIND_AUGMENTATION,
            Kind::Encoder => abi::KIND_ENCODER,
            Kind::Loss => abi::KIND_LOSS,
        };
        // SAFETY: a checked function pointer and a zero-terminated text.
        let factory = unsafe { get_factory(name.as_ptr()) };
        if !factory.is_null() {
            // SAFETY: the boundary promises the kind's factory, alive as long as the library.
            factories.push(unsafe { check_factory(kind, factory) }.map_err(|what| misbehaved(&what))?);
        }
    }
    if factories.is_empty() {
        return Err(misbehaved("it has no component of any kind that this version knows"));
    }
    let info = LibraryInfo {
        name: name.to_owned(),
        version: version.to_owned(),
        path: path.to_owned(),
        torch_version: plugin_torch,
        calls: Mutex::new(()),
    };
    Ok(Opened { info, factories })
}

/// Refuses a file that was cut short, as by an interrupted copy: the system's loader would map it, and end the process with a
/// signal at the first page that isn't there.
fn check_complete(path: &Path) -> Result<(), LibraryError> {
    let not_loadable = |reason: String| LibraryError::NotLoadable { path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|error| not_loadable(error.to_string()))?;
    let length = file.metadata().map_err(|error| not_loadable(error.to_string()))?.len();
    let mut header = [0; 64];
    // What is no ELF file of 64 bits, low bytes first, the loader refuses or knows better.
    if file.read_exact_at(&mut header, 0).is_err() || !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(());
    }
    // The section headers come last: e_shoff, e_shentsize, e_shnum.
    let start = u64::from_le_bytes(header[40..48].try_into().expect("eight bytes"));
    let field = |at: usize| u64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    let end = start.saturating_add(field(58) * field(60));
    if end <= length {
        return Ok(());
    }
    Err(not_loadable(format!(
        "the file ends early, after {length} of at least {end} bytes; copy or build it again"
    )))
}

/// Maps the library for the rest of the process and finds its entry.
fn map(path: &Path) -> Result<*const PluginEntry, LibraryError> {
    check_complete(path)?;
    let library =
        Library::open_with_flags(path, Some(libc::RTLD_NOW | libc::RTLD_LOCAL)).map_err(|error| {
            let reason = match error {
                dlopen2::Error::OpeningLibraryError(cause) => cause.to_string(),
                other => other.to_string(),
            };
            LibraryError::NotLoadable { path: path.to_owned(), reason }
        })?;
    // SAFETY: the symbol is the address of a static; a pointer to it is what it is read as.
    let entry = unsafe { library.symbol::<*const PluginEntry>(abi::ENTRY_SYMBOL) };
    match entry {
        Ok(entry) => {
            // Never unloaded: descriptors, functions and thread-locals of the library stay in use.
            std::mem::forget(library);
            Ok(entry)
        }
        Err(_) => Err(LibraryError::NoEntry { path: path.to_owned() }),
    }
}

type Open = unsafe extern "C" fn(*const HostInfo, *const abi::ErrorSink) -> abi::Status;

fn start_once(path: &Path, entry: &'static PluginEntry, start: Open) -> Result<(), LibraryError> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let started = started.get_or_insert_default();
    let address = std::ptr::from_ref(entry) as usize;
    if started.contains(&address) {
        return Ok(());
    }
    // SAFETY: a checked function pointer; the host's info is a static, the sink lives through the call.
    let (status, reason) = with_sink(|errors| unsafe { start(&HOST, errors) });
    if status != abi::STATUS_OK {
        return Err(LibraryError::Open { path: path.to_owned(), reason });
    }
    started.insert(address);
    Ok(())
}

/// Checks a factory's size and functions, once.
///
/// # Safety
/// `factory` points to the factory of `kind` and lives as long as the process.
unsafe fn check_factory(kind: Kind, factory: *const c_void) -> Result<Factory, String> {
    macro_rules! check {
        ($factory:ident) => {{
            let factory = factory.cast::<abi::$factory>();
            // SAFETY: every factory starts with its size.
            if (unsafe { (*factory).struct_size } as usize) < size_of::<abi::$factory>() {
                return Err(format!("the struct_size of the {kind} factory is too small"));
            }
            // SAFETY: the size says that the whole struct is there.
            let factory: &'static abi::$factory = unsafe { &*factory };
            let functions = [
                ("count", factory.count.is_none()),
                ("describe", factory.describe.is_none()),
                ("create", factory.create.is_none()),
            ];
            for (name, is_null) in functions {
                if is_null {
                    return Err(format!("{name} of the {kind} factory is null"));
                }
            }
            factory
        }};
    }
    Ok(match kind {
        Kind::Augmentation => Factory::Augmentation(check!(AugmentationFactory)),
        Kind::Encoder => Factory::Encoder(check!(EncoderFactory)),
        Kind::Loss => Factory::Loss(check!(LossFactory)),
    })
}
