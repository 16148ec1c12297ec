//! Synthetic features for the protocols' tests, from keyed draws.

use diptych_abi::RandomStream;
use diptych_pipeline::random;
use tch::Tensor;

use crate::method::head::truncated_normal;

/// Standard normal values without a tail, float.
pub fn normal(shape: &[i64], seed: u64) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let draws = truncated_normal(&mut RandomStream::new([seed as u32, 17]), count, 1.0);
    Tensor::from_slice(&draws).view(shape)
}

/// Linearly separable features: `each` samples of every class, float [classes * each, width], 3 apart along the class's own
/// axis and within 1 of each other. Labels go round: 0, 1, ..., 0, 1, ...
pub fn blobs(classes: i64, each: i64, width: i64, seed: u64) -> (Tensor, Tensor) {
    let labels: Vec<i64> = (0..classes * each).map(|row| row % classes).collect();
    let labels = Tensor::from_slice(&labels);
    let centres = labels.one_hot(width).to_kind(tch::Kind::Float) * 3.0;
    (centres + normal(&[classes * each, width], seed) * 0.25, labels)
}

/// The same labels in another order.
pub fn shuffled(labels: &Tensor, seed: u32) -> Tensor {
    let mut labels = Vec::<i64>::try_from(labels).unwrap();
    random::shuffle(&mut labels, &mut RandomStream::new([seed, 3]));
    Tensor::from_slice(&labels)
}
