//! The linear probe that rides along: a classifier on detached embeddings of the first view, for monitoring only.
//!
//! It never changes what is learned: its input carries no gradient and its optimizer is its own.

use tch::{Device, Kind, Reduction, Tensor};

use super::variable::Variable;
use crate::Result;

/// A linear classifier, starting from 0.
pub struct Probe {
    weight: Tensor,
    bias: Tensor,
    /// Right answers since the last reading, kept on the device.
    right: Tensor,
    seen: i64,
}

impl Probe {
    /// From `features` to `classes`.
    pub fn new(features: i64, classes: i64, device: Device) -> Result<Probe> {
        let options = (Kind::Float, device);
        Ok(Probe {
            weight: Tensor::f_zeros([classes, features], options)?.set_requires_grad(true),
            bias: Tensor::f_zeros([classes], options)?.set_requires_grad(true),
            right: Tensor::f_zeros([], (Kind::Int64, device))?,
            seen: 0,
        })
    }

    /// Cross-entropy of `embedding` (float [batch, features]; its gradient is stopped here) under `labels`
    /// (int64 [batch]), as a scalar.
    pub fn loss(&mut self, embedding: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let logits = embedding.detach().f_linear(&self.weight, Some(&self.bias))?;
        tch::no_grad(|| self.right += logits.argmax(1, false).eq_tensor(labels).sum(Kind::Int64));
        self.seen += labels.size()[0];
        Ok(logits.f_cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0)?)
    }

    /// Share of right answers since the last call; none when there were no answers.
    pub fn take_accuracy(&mut self) -> Option<f64> {
        let accuracy = (self.seen > 0).then(|| self.right.int64_value(&[]) as f64 / self.seen as f64);
        let _ = self.right.zero_();
        self.seen = 0;
        accuracy
    }

    /// Right answers, and answers, since the last [`Probe::take_accuracy`]: part of a checkpoint.
    pub fn counts(&self) -> (i64, i64) {
        (self.right.int64_value(&[]), self.seen)
    }

    /// Goes on from [`Probe::counts`] of a checkpoint.
    pub fn set_counts(&mut self, right: i64, seen: i64) {
        let _ = self.right.fill_(right);
        self.seen = seen;
    }

    /// `weight` and `bias`.
    pub fn variables(&self) -> Vec<Variable> {
        [("weight", &self.weight, false), ("bias", &self.bias, true)]
            .map(|(name, tensor, bias)| Variable {
                name: name.into(),
                tensor: tensor.shallow_clone(),
                trainable: true,
                bias,
                norm: false,
            })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_gradient_reaches_the_embedding() {
        let embedding = Tensor::randn([4, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let mut probe = Probe::new(3, 2, Device::Cpu).unwrap();
        let loss = probe.loss(&embedding, &Tensor::from_slice(&[0i64, 1, 0, 1])).unwrap();
        loss.backward();
        assert!(!embedding.grad().defined());
        assert!(probe.variables()[0].tensor.grad().defined());
    }

    #[test]
    fn before_learning_the_loss_is_that_of_chance() {
        let embedding = Tensor::randn([8, 3], (Kind::Float, Device::Cpu));
        let mut probe = Probe::new(3, 5, Device::Cpu).unwrap();
        let labels = Tensor::from_slice(&[0i64, 1, 2, 3, 4, 0, 1, 2]);
        let loss = probe.loss(&embedding, &labels).unwrap().double_value(&[]);
        assert!((loss - 5f64.ln()).abs() < 1e-6);
        // All logits are equal, so the first class is answered: two of eight.
        assert_eq!(probe.take_accuracy(), Some(0.25));
        assert_eq!(probe.take_accuracy(), None);
    }
}
