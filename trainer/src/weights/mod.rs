//! An encoder's weights in and out, as safetensors under the encoder's own names (torchvision's, timm's): what a run starts from
//! and what it is trained for.

mod export;
mod import;

pub use export::{Exported, ExportedNetwork, export};
pub use import::Weights;
