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
    /// What a checkpoint must hold; empty for most losses.
    fn state(&mut self) -> Result<Vec<Variable>>;
    /// The scalar, and named figures (scalars too).
    fn forward(&mut self, views: &[ViewOutputs], step: u64, steps: u64) -> Result<LossValue>;
}

/// What a loss answers.
pub struct LossValue {
    /// Float scalar, connected to its inputs by autograd.
    pub loss: Tensor,
    /// Name and scalar.
    pub figures: Vec<(String, Tensor)>,
}
