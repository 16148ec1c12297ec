//! A source whose labels nobody shall see.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::{SampleData, SampleInfo, Source};
use crate::error::ReadError;

/// The samples of another source, without their labels.
pub struct WithoutLabels(pub Arc<dyn Source>);

impl Source for WithoutLabels {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        SampleInfo { label: None, ..self.0.sample(index) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        self.0.name(index)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.0.path(index)
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        self.0.read(index, data)
    }

    fn classes(&self) -> Option<&[String]> {
        None
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn summary(&self) -> String {
        format!("{}; labels unused", self.0.summary())
    }

    fn shards(&self) -> Vec<Range<usize>> {
        self.0.shards()
    }
}
