//! What can go wrong, each with its remedy.

use std::io;
use std::path::{Path, PathBuf};

/// Why a set could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No split was asked for.
    #[error("no split was asked for: name at least one with its number of images, as in train=4096")]
    NoSplit,
    /// A split that is not `name=count`.
    #[error("split `{text}`: expected a name and a number of images, as in train=4096")]
    SplitText {
        /// What was given.
        text: String,
    },
    /// A split's name that is not a plain folder name.
    #[error("split `{name}`: expected a name of letters, digits, `_` and `-`")]
    SplitName {
        /// What was given.
        name: String,
    },
    /// A split of no or of too many images.
    #[error("split `{name}`: found {count} images, expected 1 to {maximum}")]
    SplitCount {
        /// The split.
        name: String,
        /// What was given.
        count: u64,
        /// Upper bound.
        maximum: u64,
    },
    /// Two splits of one name.
    #[error("split `{name}` is named twice: give each split once")]
    SplitTwice {
        /// The split.
        name: String,
    },
    /// A size that is neither `32` nor `500x375`.
    #[error("size `{text}`: expected pixels as 32 (square) or 500x375 (width x height)")]
    SizeText {
        /// What was given.
        text: String,
    },
    /// A size out of range.
    #[error("size {width}x{height}: expected {minimum} to {maximum} pixels each way")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Lower bound.
        minimum: u32,
        /// Upper bound.
        maximum: u32,
    },
    /// A number of classes out of range.
    #[error("found {classes} classes, expected 2 to {maximum}")]
    Classes {
        /// What was given.
        classes: usize,
        /// Upper bound.
        maximum: usize,
    },
    /// A JPEG quality out of range.
    #[error("found JPEG quality {quality}, expected 1 to 100")]
    Quality {
        /// What was given.
        quality: u8,
    },
    /// A seed that TOML cannot record.
    #[error("found seed {seed}, expected at most {}", i64::MAX)]
    Seed {
        /// What was given.
        seed: u64,
    },
    /// A path that ends in no name, such as `..`.
    #[error("{}: expected a path that ends in the folder's name", path.display())]
    NoName {
        /// What was given.
        path: PathBuf,
    },
    /// The folder's path is a file.
    #[error("{} is a file: choose another folder", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds something that this tool did not make.
    #[error("{} holds other files: choose a new or empty folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds a set of other options.
    #[error("{} holds another set ({differences}): remove that folder, or choose another", folder.display())]
    AnotherSet {
        /// The folder.
        folder: PathBuf,
        /// Option by option, what is there and what was asked for.
        differences: String,
    },
    /// Images were added to the set or removed from it.
    #[error(
        "{}: split `{split}` has {found} images where {wanted} were written: remove that folder, and make it again",
        folder.display()
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The split.
        split: String,
        /// Files there.
        found: u64,
        /// Files written.
        wanted: u64,
    },
    /// A file or folder cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("{} cannot be written: {source}; {remedy}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

impl Error {
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    }

    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_owned();
        move |source| {
            let remedy = match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, ask for fewer or smaller images, or choose a folder on another disk"
                }
                _ => "choose a folder that you may write to",
            };
            Error::Write { path, source, remedy }
        }
    }
}
