//! What a view's embedding gives away, linearly: one file per quantity, all answered in the same form.

use super::images::ImageBatch;
use super::networks::Networks;
use crate::Result;
use tch::Tensor;

/// How well one quantity can be read off frozen embeddings, on images that no probe was fitted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortcut {
    /// `colour histogram`, `crop position, x`.
    pub quantity: String,
    /// What the figures are.
    pub measure: Measure,
    /// Which views it was read off, in words.
    pub views: String,
    /// Rows that the probes were fitted on.
    pub fitted_on: usize,
    /// Rows that they were judged on.
    pub judged_on: usize,
    /// Of the checkpoint's encoder.
    pub trained: f64,
    /// Of the encoder that the run started from.
    pub untrained: f64,
}

/// What a shortcut's figure is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Share of the variance that a ridge regression explains: 1 is all, 0 none.
    R2,
    /// Share of right answers of a logistic regression.
    Accuracy {
        /// What guessing gets.
        chance: f64,
    },
}

/// Embeddings of the same views by both encoders, row by row.
#[derive(Default)]
pub(super) struct Embeddings {
    trained: Vec<Tensor>,
    untrained: Vec<Tensor>,
}

impl Embeddings {
    /// Adds those of a batch.
    pub fn add(&mut self, networks: &mut Networks, batch: &ImageBatch) -> Result<()> {
        self.trained.push(networks.trained.forward(&batch.images)?.embedding);
        self.untrained.push(networks.untrained.forward(&batch.images)?.embedding);
        Ok(())
    }

    /// Float [rows, width]: of the trained encoder, and of the other.
    pub fn tables(&self) -> Result<[Tensor; 2]> {
        Ok([Tensor::f_cat(&self.trained, 0)?, Tensor::f_cat(&self.untrained, 0)?])
    }
}
