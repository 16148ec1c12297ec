//! Sources: where samples and their bytes come from.
//!
//! A source is opened once, knows its samples in a fixed order, and is then only read, by many workers at
//! once.
//!
//! A sample's *name* is its path within the data set without the suffix, `n01440764/n01440764_10026`; its id is the
//! hash of that name. So the same images have the same ids, and with them the same views, whatever they are stored in.

mod config;
mod files;
mod folder;
mod labels;
mod list;
mod names;
mod parquet;
mod pattern;
mod raw;
mod tar;
mod unlabelled;

pub use config::{Format, SourceConfig};
pub use folder::FolderSource;
pub use labels::MultiLabels;
pub use list::{ListFields, ListSource};
pub use parquet::{ParquetFields, ParquetSource};
pub use raw::{RawSource, Split};
pub use tar::{TarSource, packed};
pub use unlabelled::WithoutLabels;

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use diptych_host::Size;

use crate::error::ReadError;

/// What is known of a sample without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleInfo {
    /// Stable id: random draws are keyed by it, so that they survive a move of the data set and files that
    /// are added to it.
    pub id: u64,
    /// Index of its class among [`Source::classes`]; `None` without labels.
    pub label: Option<i64>,
}

/// The content of one sample. Reading many samples into one reuses its memory.
#[derive(Debug, Default)]
pub struct SampleData {
    /// What `bytes` are.
    pub form: Form,
    /// An image file, or pixels.
    pub bytes: Vec<u8>,
}

/// How a source hands out an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// The bytes of an image file.
    #[default]
    Encoded,
    /// Pixels, upright: row by row, red, green, blue.
    Rgb8(Size),
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
    fn sample(&self, index: usize) -> SampleInfo;

    /// The name that the id of sample `index` is the hash of: bytes, as paths are. Where two samples have the same name up
    /// to the suffix, more follows that tells them apart.
    fn name(&self, index: usize) -> Vec<u8>;

    /// Where sample `index` lies, for messages and logs: its file, or the file that holds it and its place there.
    fn path(&self, index: usize) -> PathBuf;

    /// Replaces the content of `data` by that of sample `index`. An error is this sample's alone.
    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError>;

    /// Names of the classes in the order of the labels; `None` without labels.
    fn classes(&self) -> Option<&[String]>;

    /// The classes of samples that may have several each, or none; `None` where each has one, or nothing is known. Such a
    /// source has no [`classes`](Self::classes) and no labels otherwise: whoever knows of one class a sample takes it for
    /// unlabelled.
    fn multi_labels(&self) -> Option<&MultiLabels> {
        None
    }

    /// Changes when samples are added, removed, renamed or change size: two runs on sources of one identity
    /// saw the same files. 16 hexadecimal digits.
    fn identity(&self) -> String;

    /// One line on what it holds, for logs.
    fn summary(&self) -> String;

    /// Runs of samples that are stored together, so that reading one makes its neighbours cheap; all samples in their
    /// order. Empty where every sample is a file of its own.
    fn shards(&self) -> Vec<Range<usize>> {
        Vec::new()
    }
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
    /// A file, a folder or a pattern that doesn't hold what it should.
    #[error("{path}: found {found}, expected {expected}; {remedy}")]
    Unfit {
        /// Where.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
        /// What to do.
        remedy: String,
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

/// Why a folder could not be listed.
fn unlisted(error: walkdir::Error) -> SourceError {
    let path = error.path().map(PathBuf::from).unwrap_or_default();
    SourceError::Unreadable { path, error: error.into() }
}
