//! Why no batches come.

use std::path::{Path, PathBuf};

use diptych_host::{InstanceError, Size};

use crate::augment::ChainError;
use crate::decode::DecodeError;

/// Why a loader could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options don't fit each other or the data.
    #[error("{0}")]
    Options(String),
    /// An image could not be read, and the options say that this is an error.
    #[error(
        "{path}: {reason}; replace or remove the file, or set data.unreadable = \"skip\"", path = .path.display()
    )]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: ReadError,
    },
    /// More images were skipped than the options allow.
    #[error(
        "{skipped} of {samples} images could not be read, more than the allowed fraction of {limit}; \
         the last was {path}: {reason}; see what else is broken with `diptych data check`, or raise data.unreadable_limit",
        path = .path.display()
    )]
    TooManySkipped {
        /// Number of distinct images skipped.
        skipped: usize,
        /// Number of images in the source.
        samples: usize,
        /// Allowed fraction.
        limit: f64,
        /// The image that was one too many.
        path: PathBuf,
        /// Why.
        reason: ReadError,
    },
    /// An operator failed, or panicked.
    #[error("view {view}, operator {operator}{}: {message}", sample(.path))]
    Operator {
        /// Name of the view.
        view: String,
        /// Name of the operator.
        operator: String,
        /// The image that it worked on.
        path: Option<PathBuf>,
        /// Why.
        message: String,
    },
    /// An operator could not be created.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// Two samples' views don't fit into one batch.
    #[error(
        "view {view} comes out at {} pixels for {path} and at {} for other images, but a batch needs one size; \
         add a random_resized_crop, or a resize and a center_crop",
        text(.found), text(.expected), path = .path.display()
    )]
    Sizes {
        /// Name of the view.
        view: String,
        /// The image that differs.
        path: PathBuf,
        /// Its size in this view.
        found: Size,
        /// The size of the first image.
        expected: Size,
    },
    /// Memory for batches could not be had.
    #[error("no memory for a batch: {0}; lower batch_size or queue_batches")]
    Memory(String),
    /// Threads could not be started.
    #[error("cannot start the loader's threads: {0}")]
    Threads(String),
    /// A bug in the loader.
    #[error("a worker of the loader panicked ({0}); this is a bug in Diptych, please report it")]
    Panicked(String),
}

/// Why one image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its file could not be read.
    #[error("cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// Its bytes are no image that can be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Header and data disagree.
    #[error("its header says {} pixels, but {} come out", text(.header), text(.decoded))]
    Header {
        /// What the header says.
        header: Size,
        /// What the data gives.
        decoded: Size,
    },
    /// The file that holds it has no image at its place.
    #[error("{0}")]
    Stored(String),
}

impl Error {
    pub(crate) fn operator(view: &str, error: ChainError, path: Option<&Path>) -> Error {
        Error::Operator {
            view: view.to_string(),
            operator: error.operator,
            path: path.map(Path::to_path_buf),
            message: error.message,
        }
    }
}

fn text(size: &Size) -> String {
    format!("{}x{}", size.width, size.height)
}

fn sample(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or(String::new(), |path| format!(", on {}", path.display()))
}
