//! Images that cannot be read: an error, or skipped and counted.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, ReadError};

/// What happens to images that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unreadable {
    /// The run ends with an error.
    Error,
    /// The image is skipped, counted and listed.
    ///
    /// In shuffled order another image takes its slot: draws below the number of images, from a stream keyed
    /// by (seed, epoch, id of the skipped sample), until one can be read. So batches keep their size and
    /// don't depend on the number of workers; the substitute may come twice in an epoch. In sequential
    /// order, which is for evaluation, the sample is left out and its batch is smaller.
    Skip {
        /// Fraction of all images, 0 to 1; the run ends with an error when more are skipped.
        limit_fraction: f64,
    },
}

/// One skipped image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// The skipped images so far, by index.
pub(super) struct SkipLog {
    samples: usize,
    limit_fraction: f64,
    skipped: Mutex<BTreeMap<usize, Skipped>>,
}

impl SkipLog {
    pub fn new(samples: usize, limit_fraction: f64) -> SkipLog {
        SkipLog { samples, limit_fraction, skipped: Mutex::default() }
    }

    /// Notes that sample `index` at `path` was skipped; an error when it was one too many.
    pub fn note(&self, index: usize, path: PathBuf, reason: ReadError) -> Result<(), Error> {
        // A panic elsewhere leaves the map whole.
        let mut skipped = self.skipped.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.entry(index).or_insert_with(|| Skipped { path: path.clone(), reason: reason.to_string() });
        if skipped.len() as f64 > self.limit_fraction * self.samples as f64 {
            return Err(Error::TooManySkipped {
                skipped: skipped.len(),
                samples: self.samples,
                limit: self.limit_fraction,
                path,
                reason,
            });
        }
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn list(&self) -> Vec<Skipped> {
        self.skipped.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
