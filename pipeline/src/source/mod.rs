//! Sources: where samples and their bytes come from.
//!
//! A source is opened once, knows its samples in a fixed order, and is then only read, by many workers at
//! once.

mod folder;

pub use folder::FolderSource;

use std::io;
use std::path::{Path, PathBuf};

/// What is known of a sample without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo<'a> {
    /// Stable id: random draws are keyed by it, so that they survive a move of the data set and files that
    /// are added to it.
    pub id: u64,
    /// For messages and logs.
    pub path: &'a Path,
    /// Index of its class among [`Source::classes`]; `None` without labels.
    pub label: Option<i64>,
}

/// Samples, by index from 0.
pub trait Source: Send + Sync {
    /// Number of samples, at least 1.
    fn len(&self) -> usize;

    /// Whether there are no samples; never true for a source that opened.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sample `index`, below [`len`](Self::len).
    fn sample(&self, index: usize) -> SampleInfo<'_>;

    /// Replaces the content of `bytes` by the encoded image of sample `index`.
    fn read(&self, index: usize, bytes: &mut Vec<u8>) -> io::Result<()>;

    /// Names of the classes in the order of the labels; `None` without labels.
    fn classes(&self) -> Option<&[String]>;

    /// Changes when samples are added, removed, renamed or change size: two runs on sources of one identity
    /// saw the same files. 16 hexadecimal digits.
    fn identity(&self) -> String;

    /// One line on what it holds, for logs.
    fn summary(&self) -> String;
}

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The folder, or something in it, could not be listed.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// What could not be read.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file stands where a folder was expected.
    #[error("{0} is a file, expected a folder of images (one folder per class, or all images in one)")]
    NotAFolder(PathBuf),
    /// Nothing in the folder is an image.
    #[error(
        "no images in {path}: found {found}; expected JPEG, PNG, WebP, BMP or TIFF files, \
         in one folder per class or all in one"
    )]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// What is in it instead.
        found: String,
    },
    /// Images both directly in the folder and in folders under it.
    #[error(
        "{path} is neither labelled nor flat: found {direct} images directly in it (such as {example}) and {nested} \
         in folders under it; move the former into folders of their classes, or all into one folder"
    )]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// Number of images directly in it.
        direct: usize,
        /// One of them.
        example: String,
        /// Number of images in folders under it.
        nested: usize,
    },
}
