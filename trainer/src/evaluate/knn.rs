//! Weighted nearest neighbours on frozen features (Wu et al. 2018): the k training features nearest by cosine vote
//! for their class, each with weight exp(cosine / temperature).

use tch::{Kind, Tensor};

/// Test features that are compared at once: bounds the matrix of similarities.
const CHUNK: i64 = 256;

/// Votes per class, float [test samples, classes]. `train` and `test` are float [samples, features], `labels`
/// int64 [train samples]. `k` is cut to the number of training samples.
pub fn scores(
    train: &Tensor,
    labels: &Tensor,
    test: &Tensor,
    classes: i64,
    k: i64,
    temperature: f64,
) -> Tensor {
    tch::no_grad(|| {
        let train = unit_rows(train).tr().contiguous();
        let test = unit_rows(test);
        let k = k.min(labels.size()[0]);
        let chunks: Vec<Tensor> = (0..test.size()[0])
            .step_by(CHUNK as usize)
            .map(|start| {
                let rows = CHUNK.min(test.size()[0] - start);
                let similarities = test.narrow(0, start, rows).matmul(&train);
                let (nearest, indices) = similarities.topk(k, 1, true, true);
                // The largest weight is taken out: it cancels in the ranking, and exp(1 / 0.01) would overflow.
                let weights = ((&nearest - nearest.amax([1], true)) / temperature).exp();
                let votes = labels.index_select(0, &indices.flatten(0, -1)).view([rows, k]);
                Tensor::zeros([rows, classes], (Kind::Float, test.device())).scatter_add(1, &votes, &weights)
            })
            .collect();
        Tensor::cat(&chunks, 0)
    })
}

fn unit_rows(features: &Tensor) -> Tensor {
    let norms = features.square().sum_dim_intlist(1, true, Kind::Float).sqrt().clamp_min(1e-12);
    features / norms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn votes_by_closeness_as_worked_out_by_hand() {
        // One test vector; cosines 1, 0.6, 0.6 and -1. With k = 3 and temperature 0.5 class 1 gets 1, class 0 gets 2 exp(-0.8).
        let train = Tensor::from_slice(&[2.0f32, 0.0, 3.0, 4.0, 3.0, -4.0, -1.0, 0.0]).view([4, 2]);
        let labels = Tensor::from_slice(&[1i64, 0, 0, 0]);
        let test = Tensor::from_slice(&[5.0f32, 0.0]).view([1, 2]);
        let votes = Vec::<f32>::try_from(scores(&train, &labels, &test, 2, 3, 0.5).view([-1])).unwrap();
        assert!((votes[0] - 2.0 * (-0.8f32).exp()).abs() < 1e-5, "{votes:?}");
        assert!((votes[1] - 1.0).abs() < 1e-5, "{votes:?}");
    }

    #[test]
    fn more_neighbours_than_samples_are_all_of_them() {
        let train = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0]).view([2, 2]);
        let labels = Tensor::from_slice(&[0i64, 1]);
        let votes = scores(&train, &labels, &train, 2, 20, 0.07);
        assert_eq!(Vec::<i64>::try_from(votes.argmax(1, false)).unwrap(), [0, 1]);
    }

    #[test]
    fn chunks_meet_without_a_gap() {
        let count = 2 * CHUNK + 3;
        let train = Tensor::eye(count, (Kind::Float, tch::Device::Cpu));
        let labels = Tensor::arange(count, (Kind::Int64, tch::Device::Cpu));
        let votes = scores(&train, &labels, &train, count, 1, 0.07);
        assert_eq!(votes.argmax(1, false), labels);
    }
}
