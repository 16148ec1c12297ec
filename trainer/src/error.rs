//! What can go wrong in training and evaluation.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use diptych_config::Problems;

/// Why a run, a resume or an evaluation could not go on. Every message says what was found and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration holds problems; all of them are listed.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// The configuration is readable but asks for something that the data, the device or the run folder can't give.
    #[error("{0}")]
    Unfit(String),
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk is full.
    #[error(
        "no space left on the disk of {}: free some space or choose another folder with --out, \
         then continue with --resume", path.display()
    )]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// A file was readable but holds something else than this version writes.
    #[error("{}: {message}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// The folder holds a run already.
    #[error("{0}")]
    RunExists(String),
    /// The folder holds a run of another configuration.
    #[error(
        "{} holds a run with another configuration; choose another folder with --out, or take back what differs:\n{}",
        folder.display(), differences.join("\n")
    )]
    OtherConfiguration {
        /// The run's folder.
        folder: PathBuf,
        /// One line per differing key.
        differences: Vec<String>,
    },
    /// The loss or a weight is not a number any more.
    #[error(
        "{what} at step {step}: lower optimizer.learning_rate or lengthen the warm-up; the last checkpoint before it is kept, if there is one"
    )]
    NotFinite {
        /// The optimizer step, from 0.
        step: u64,
        /// `the loss is NaN`, `encoder.conv1.weight is not finite`.
        what: String,
    },
    /// A plugin's component is unknown or failed.
    #[error("{0}")]
    Plugin(String),
    /// The images can't be found.
    #[error(transparent)]
    Source(#[from] diptych_pipeline::SourceError),
    /// The pipeline ended with an error.
    #[error(transparent)]
    Pipeline(#[from] diptych_pipeline::Error),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(String),
    /// A mistake of ours, not of the caller's.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

/// Shorthand for this crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Runs `work` such that its panic (an operation of libtorch that was not asked whether it can fail) is an error like another.
pub(crate) fn contain<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::panicked(what, panic.as_ref())))
}

impl Error {
    /// Wraps an error of the file system; a full disk gets its own message.
    pub(crate) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::DiskFull { path: path.to_path_buf() }
            }
            _ => Error::File { action, path: path.to_path_buf(), source },
        }
    }

    /// A panic that was caught: `what` panicked.
    pub(crate) fn panicked(what: &str, panic: &(dyn std::any::Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let line = message.lines().next().unwrap_or_default();
        Error::Internal(format!("{what} panicked: {line}"))
    }

    pub(crate) fn damaged(path: &Path, message: impl std::fmt::Display) -> Self {
        Error::Damaged { path: path.to_path_buf(), message: message.to_string() }
    }
}

impl From<diptych_host::InstanceError> for Error {
    /// Leaves out the stack that libtorch's exceptions bring.
    fn from(error: diptych_host::InstanceError) -> Self {
        let text = error.to_string();
        let message = text.split("\nException raised from").next().unwrap_or_default();
        Error::Plugin(message.to_owned())
    }
}

impl From<diptych_host::UnknownComponent> for Error {
    fn from(error: diptych_host::UnknownComponent) -> Self {
        Error::Plugin(error.to_string())
    }
}

impl From<tch::TchError> for Error {
    /// Keeps the first line; the rest is libtorch's own stack.
    fn from(error: tch::TchError) -> Self {
        let text = match &error {
            tch::TchError::Torch(text) => text.clone(),
            other => other.to_string(),
        };
        let line = text.lines().next().unwrap_or_default().trim_end_matches('.');
        if line.contains("out of memory") {
            return Error::Torch(format!("{line}; lower loader.batch_size or the size of the views"));
        }
        Error::Torch(line.to_owned())
    }
}
