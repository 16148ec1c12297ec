//! What the method asks of an encoder and of a loss. Plugins answer it in `native/plugin.rs`.

use tch::Tensor;

use super::ViewOutputs;
use super::variable::Variable;
use crate::Result;

/// A network from images to one vector per image.
pub trait Encoder: Send {
    /// Width of the embedding.
    fn feature_count(&self) -> i64;
    /// Parameters and buffers, always in the same order.
    fn variables(&mut self) -> Result<Vec<Variable>>;
    /// Float images [batch, 3, rows, columns] to embeddings [batch, features].
    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Tensor>;
}

/// A loss over all views of a batch.
pub trait Loss: Send {
    /// What a checkpoint must hold, and of it what the optimizer steps; empty for most losses.
    fn state(&mut self) -> Result<Vec<Variable>>;
    /// The scalar, and named figures (scalars too).
    fn forward(&mut self, inputs: &LossInputs<'_>) -> Result<LossValue>;
}

/// What a loss sees in one step.
pub struct LossInputs<'a> {
    /// At least two.
    pub views: &'a [ViewOutputs],
    /// Int64 [batch], where the data has them.
    pub labels: Option<&'a Tensor>,
    /// The optimizer step, from 0.
    pub step: u64,
    /// Planned optimizer steps.
    pub steps: u64,
}

/// What a loss answers.
pub struct LossValue {
    /// Float scalar, connected to its inputs by autograd.
    pub loss: Tensor,
    /// Name and scalar.
    pub figures: Vec<(String, Tensor)>,
}
