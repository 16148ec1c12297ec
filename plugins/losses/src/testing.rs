//! What the losses' tests share: small batches, and PyTorch's values.

use std::collections::HashMap;

use diptych_sdk_tensor::LossOutput;
use tch::{Device, Kind, Tensor};

/// Doubles drawn from libtorch's generator, which `tch::manual_seed` sets.
pub fn random(shape: [i64; 2]) -> Tensor {
    Tensor::randn(shape, (Kind::Double, Device::Cpu))
}

/// [batch, 2] from its numbers.
pub fn rows(values: &[f64]) -> Tensor {
    Tensor::from_slice(values).view([-1, 2])
}

/// The named figure of an answer.
pub fn figure(output: &LossOutput, name: &str) -> f64 {
    let figure = output.figures.iter().find(|(found, _)| *found == name);
    figure.unwrap_or_else(|| panic!("no figure {name}")).1.double_value(&[])
}

/// What `tests/reference/losses_reference.py` recorded.
pub struct Reference(HashMap<String, Tensor>);

impl Reference {
    pub fn load() -> Reference {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/losses_reference.safetensors");
        Reference(Tensor::read_safetensors(path).unwrap().into_iter().collect())
    }

    pub fn get(&self, name: &str) -> &Tensor {
        &self.0[name]
    }

    /// `first` of the inputs, to be differentiated.
    pub fn first(&self) -> Tensor {
        self.get("first").copy().set_requires_grad(true)
    }

    /// Holds `loss` and its gradient in `variable` against the recorded `case`.
    pub fn assert_agrees(&self, case: &str, loss: &Tensor, variable: &Tensor, tolerance: f64) {
        let expected = self.get(&format!("{case}.loss")).double_value(&[0]);
        assert!((loss.double_value(&[]) - expected).abs() < tolerance, "{case}: {loss} {expected}");
        loss.backward();
        let gradient = self.get(&format!("{case}.gradient"));
        let error = (variable.grad() - gradient).abs().max().double_value(&[]);
        assert!(error < tolerance, "{case}: gradient off by {error}");
    }
}
