//! Named variables of networks: what checkpoints hold, optimizers update and the target averages.

use tch::Tensor;

/// One parameter or buffer.
#[derive(Debug)]
pub struct Variable {
    /// Name within its component (`layer1.0.conv1.weight`).
    pub name: String,
    /// Shares its storage with the network: writing into it in place changes the network.
    pub tensor: Tensor,
    /// The optimizer updates it; false for a buffer.
    pub trainable: bool,
    /// It is a bias.
    pub bias: bool,
    /// It belongs to a normalisation layer.
    pub norm: bool,
}

impl Variable {
    /// The same variable under `prefix.name`.
    pub fn prefixed(self, prefix: &str) -> Variable {
        Variable { name: format!("{prefix}.{}", self.name), ..self }
    }
}

/// Copies every variable of `from` into the one of `to` with the same place; both come from networks of one shape.
pub(crate) fn copy_all(from: &[Variable], to: &mut [Variable]) {
    tch::no_grad(|| {
        for (from, to) in from.iter().zip(to) {
            debug_assert_eq!(from.name, to.name);
            to.tensor.copy_(&from.tensor);
        }
    });
}
