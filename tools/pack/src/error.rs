//! What can go wrong, each with its remedy.

use std::io;
use std::path::{Path, PathBuf};

use crate::sample::Fault;

/// Why a set could not be packed, or a packed set not verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option out of range.
    #[error("found {found}, expected {expected}")]
    Options {
        /// What was given.
        found: String,
        /// What may be.
        expected: String,
    },
    /// The folder's path is a file.
    #[error("{} is a file: choose another folder", path.display())]
    NotAFolder {
        /// The file.
        path: PathBuf,
    },
    /// The folder holds something that was not packed.
    #[error("{} holds other files (such as {example}): choose a new or empty folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// One of the files.
        example: String,
    },
    /// The folder holds a set of other options or of another source.
    #[error("{} holds another set ({differences}): remove that folder, or choose another", folder.display())]
    AnotherSet {
        /// The folder.
        folder: PathBuf,
        /// One by one, what is there and what was asked for.
        differences: String,
    },
    /// The folder has no manifest.
    #[error("{} holds no packed set: found no manifest.json, expected the folder that `diptych pack` wrote", folder.display())]
    NoSet {
        /// The folder.
        folder: PathBuf,
    },
    /// The manifest is none, or a newer program's.
    #[error("{}: found {found}, expected {expected}; {remedy}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Another process writes into the folder.
    #[error("{} is being written by another process: wait for its end, or choose another folder", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// Two samples would have the same members.
    #[error("{} and {} have the same name, {name}: rename one of them", one.display(), other.display())]
    SameName {
        /// The name, without suffix.
        name: String,
        /// A sample of that name.
        one: PathBuf,
        /// Another one.
        other: PathBuf,
    },
    /// An image cannot be read or stored, and the options say that this is an error.
    #[error(
        "{}: {fault}; replace or remove the file, or leave such files out with --skip-unreadable; \
         then the same command goes on", path.display()
    )]
    Unreadable {
        /// The image.
        path: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// Every image was left out.
    #[error("none of the {samples} images can be read, such as {}: {reason}", path.display())]
    NothingReadable {
        /// Number of images.
        samples: usize,
        /// The first one.
        path: PathBuf,
        /// Why it can't be read.
        reason: String,
    },
    /// More shards than their names can number.
    #[error("found more than {maximum} shards, expected fewer: make them larger")]
    TooManyShards {
        /// Upper bound.
        maximum: usize,
    },
    /// A shard that was missing does not come out as it was.
    #[error(
        "{}: written anew, it differs from what it was when the set was begun: the images, or the program, have changed \
         since; remove the folder, and pack the set again", path.display()
    )]
    Changed {
        /// The shard.
        path: PathBuf,
    },
    /// Threads could not be started.
    #[error("cannot start {workers} threads: {reason}; ask for fewer workers")]
    Threads {
        /// How many were asked for.
        workers: usize,
        /// Why.
        reason: String,
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
                    "free some space, and the same command goes on; or choose a folder on another disk"
                }
                _ => "choose a folder that you may write to",
            };
            Error::Write { path, source, remedy }
        }
    }
}
