//! The class of a sample by its nearest neighbours in the batch.

use tch::{Kind, Tensor};

use super::normalised;

/// Neighbours that vote, where the batch has as many.
const NEIGHBOURS: i64 = 20;
/// Divides the cosines that votes are weighed by, as in the evaluation by nearest neighbours.
const TEMPERATURE: f64 = 0.07;

/// Share of samples, 0 to 1, whose class wins the vote of the nearest other samples: `first` [batch, features] against `second`,
/// embeddings of two views in the same order, under `labels` (int64 [batch], of 0 to below `classes`). Guessing gives what the
/// largest class has.
pub fn neighbour_accuracy(first: &Tensor, second: &Tensor, labels: &Tensor, classes: i64) -> f64 {
    tch::no_grad(|| {
        let cosines = normalised(first).matmul(&normalised(second).tr());
        let batch = cosines.size()[0];
        let itself = Tensor::eye(batch, (Kind::Bool, cosines.device()));
        let others = cosines.masked_fill(&itself, f64::NEG_INFINITY);
        let (nearest, places) = others.topk(NEIGHBOURS.min(batch - 1), 1, true, true);
        // Up to a factor, which keeps the weights from overflowing.
        let weights = ((nearest - 1.0) / TEMPERATURE).exp();
        let voters = labels.index_select(0, &places.flatten(0, -1)).view_as(&places);
        let votes = Tensor::zeros([batch, classes], (Kind::Double, cosines.device()));
        let votes = votes.scatter_add(1, &voters, &weights);
        votes.argmax(1, false).eq_tensor(labels).mean(Kind::Double).double_value(&[])
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn two_clusters_are_told_apart_and_a_sample_does_not_vote_for_itself() {
        // Along two axes, three samples each; the third of the second class lies with the first.
        let rows = [[1.0f32, 0.0], [1.0, 0.1], [0.9, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 0.05]];
        let points = Tensor::from_slice(rows.as_flattened()).view([6, 2]);
        let labels = Tensor::from_slice(&[0i64, 0, 0, 1, 1, 1]);
        // The stray one is outvoted by its neighbours, and would win if it voted for itself.
        assert!((neighbour_accuracy(&points, &points, &labels, 2) - 5.0 / 6.0).abs() < 1e-9);
    }

    #[test]
    fn embeddings_that_say_nothing_are_at_chance() {
        let points = Tensor::ones([40, 3], (Kind::Float, Device::Cpu));
        let labels = Tensor::arange(40, (Kind::Int64, Device::Cpu)).remainder(4);
        let accuracy = neighbour_accuracy(&points, &points, &labels, 4);
        assert!(accuracy < 0.5, "{accuracy}");
    }
}
