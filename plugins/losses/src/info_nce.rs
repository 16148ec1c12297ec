//! InfoNCE against target keys (van den Oord et al. 2018), as MoCo uses it (He et al. 2020, eq. 1 and algorithm 1).
//!
//! With q the online prediction of a view and k the target projection of another, both of unit length, for every sample i
//!
//! ```text
//! loss_i = -log( exp(q_i k_i / temperature) / (exp(q_i k_i / temperature) + sum over negatives k' of exp(q_i k' / temperature)) )
//! ```
//!
//! averaged over the batch and summed over the pairs of views. q and k are [batch N, dimensions]. The negatives are the
//! `queue_size` newest keys of earlier steps (MoCo v1, v2), or with `queue_size` 0 the other samples' keys (MoCo v3). MoCo v1 and
//! v2 take the first view as the query only; v3 is symmetric, and multiplies the loss by 2 temperature, which `weight` can say.
//! Guessing gives log(1 + negatives) per pair.
//!
//! The queue starts from random directions, as in MoCo's code; the keys of a step enter it when its loss is computed, the
//! oldest leave. Queue and the place of its oldest key are in checkpoints.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{
    Dimensions, Error, Initial, Loss, LossInputs, LossOutput, LossView, Role, Variables,
};
use tch::{Device, Kind, Tensor};

use crate::normalize::l2_normalize;
use crate::pairs::pairs;

/// What TOML can say.
#[derive(Parameters)]
pub struct InfoNceParameters {
    /// Divides the cosines. MoCo: 0.07 (v1), 0.2 (v2), 1 (v3 with ResNet-50).
    #[parameter(default = 0.07, minimum = 0.001, maximum = 100.0)]
    temperature: f64,
    /// Keys of earlier steps that are negatives; 0 takes the other samples' keys instead. MoCo v1 and v2: 65536.
    #[parameter(default = 65536, minimum = 0, maximum = 16777216, unit = "keys")]
    queue_size: i64,
    /// Whether every view is a query, as MoCo v3; without it only the first view is.
    #[parameter(default = false)]
    symmetric: bool,
}

/// The loss with its queue.
pub struct InfoNce {
    temperature: f64,
    symmetric: bool,
    queue: Option<Queue>,
}

/// The newest keys, in a ring.
struct Queue {
    /// [keys, dimensions], rows of unit length.
    keys: Tensor,
    /// Int64 scalar: the row that is written next. A tensor, so that no device has to be waited for.
    next: Tensor,
}

impl Loss for InfoNce {
    const ID: &'static str = "info_nce";
    const DOC: &'static str = "Cross-entropy of finding a sample's target projection among a queue of earlier ones, or among the \
        batch's, by cosine over temperature (MoCo).\n\n\
        Figures: `positive_similarity`, the mean cosine of query and key of a sample; `contrastive_accuracy`, how often it \
        is above that of every negative.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = InfoNceParameters;

    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error> {
        let InfoNceParameters { temperature, queue_size, symmetric } = parameters;
        let queue = match queue_size {
            0 => None,
            size => Some(Queue::new(state, size, dimensions.projection)?),
        };
        Ok(InfoNce { temperature, symmetric, queue })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = inputs.views.len();
        let normalize = |select: fn(&LossView) -> &Tensor| {
            inputs.views.iter().map(|view| l2_normalize(select(view))).collect::<Result<Vec<_>, _>>()
        };
        let queries = normalize(|view| &view.online_prediction)?;
        let keys = normalize(|view| &view.target_projection)?;
        let batch = keys[0].size()[0];
        if batch < 2 && self.queue.is_none() {
            return Err(Error::new(format_args!(
                "found a batch of {batch} sample and no queue, expected at least 2 samples or queue_size above 0: without \
                 negatives there is nothing to tell apart"
            )));
        }
        // The queue changes in place below, while its values here are still needed for the gradient.
        let queue = self.queue.as_ref().map(|queue| queue.keys.f_detach_copy()).transpose()?;
        let (mut losses, mut cosines, mut hits) = (Vec::new(), Vec::new(), Vec::new());
        for (online, target) in pairs(if self.symmetric { views } else { 1 }, views) {
            let (query, key) = (&queries[online], &keys[target]);
            let positive = query.f_mul(key)?.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?;
            let negatives = match &queue {
                Some(queue) => query.f_mm(&queue.f_to_kind(query.kind())?.f_transpose(0, 1)?)?,
                None => {
                    let same_sample = Tensor::f_eye(batch, (Kind::Bool, query.device()))?;
                    query.f_mm(&key.f_transpose(0, 1)?)?.f_masked_fill(&same_sample, f64::NEG_INFINITY)?
                }
            };
            let normaliser = negatives.f_div_scalar(self.temperature)?.f_logsumexp([1].as_slice(), false)?;
            let logit = positive.f_div_scalar(self.temperature)?;
            losses.push(logit.f_logaddexp(&normaliser)?.f_sub(&logit)?.f_mean(None)?);
            tch::no_grad(|| {
                hits.push(positive.f_gt_tensor(&negatives.f_amax([1].as_slice(), false)?)?);
                cosines.push(positive.detach());
                Ok::<_, Error>(())
            })?;
        }
        if let Some(queue) = &mut self.queue {
            let from = if self.symmetric { 0 } else { 1 };
            queue.push(&Tensor::f_cat(&keys[from..], 0)?)?;
        }
        let loss = Tensor::f_stack(&losses, 0)?.f_sum(None)?;
        let positive_similarity = Tensor::f_stack(&cosines, 0)?.f_mean(None)?;
        let contrastive_accuracy = Tensor::f_stack(&hits, 0)?.f_to_kind(Kind::Float)?.f_mean(None)?;
        let figures = vec![
            ("positive_similarity", positive_similarity),
            ("contrastive_accuracy", contrastive_accuracy),
        ];
        Ok(LossOutput { loss, figures })
    }
}

impl Queue {
    fn new(state: &mut Variables, size: i64, dimensions: i64) -> Result<Queue, Error> {
        let initial = Initial::Normal { deviation: 1.0 };
        let mut keys = state.make("queue", Role::Buffer, initial, &[size, dimensions])?;
        keys.f_copy_(&l2_normalize(&keys)?)?;
        let zero = Tensor::f_zeros([], (Kind::Int64, Device::Cpu))?;
        Ok(Queue { keys, next: state.make_from("queue_next", Role::Buffer, zero)? })
    }

    /// Replaces the oldest keys by `keys` [any number, dimensions]; of more than it holds, the last stay.
    fn push(&mut self, keys: &Tensor) -> Result<(), Error> {
        tch::no_grad(|| {
            let size = self.keys.size()[0];
            let count = keys.size()[0].min(size);
            let newest = keys.f_narrow(0, keys.size()[0] - count, count)?.f_to_kind(self.keys.kind())?;
            let places = Tensor::f_arange(count, (Kind::Int64, self.keys.device()))?
                .f_add(&self.next)?
                .f_remainder(size)?;
            let _ = self.keys.f_index_copy_(0, &places, &newest)?;
            let next = self.next.f_add_scalar(count)?.f_remainder(size)?;
            self.next.f_copy_(&next)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn build(temperature: f64, queue_size: i64, symmetric: bool, width: i64) -> (InfoNce, Variables) {
        let parameters = InfoNceParameters { temperature, queue_size, symmetric };
        let dimensions = Dimensions { projection: width, ..Dimensions::default() };
        build_loss::<InfoNce>(parameters, dimensions, 0).unwrap()
    }

    /// Copies `values` into the queue.
    fn fill(loss: &mut InfoNce, values: &Tensor) {
        loss.queue.as_mut().unwrap().keys.copy_(&values.to_kind(Kind::Float));
    }

    fn queue(loss: &InfoNce) -> Vec<f32> {
        Vec::try_from(loss.queue.as_ref().unwrap().keys.view(-1)).unwrap()
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        let (query, key) = (rows(&[2.0, 0.0, 0.0, 1.0]), rows(&[3.0, 0.0, 1.0, 0.0]));
        let mut loss = build(0.5, 2, false, 2).0;
        fill(&mut loss, &rows(&[0.0, 1.0, -1.0, 0.0]));
        let output = run_loss(&mut loss, &[[&query, &query], [&key, &key]]).unwrap();
        // Sample 1: positive 1, negatives 0 and -1; sample 2: positive 0, negatives 1 and 0.
        let (e2, one) = (2f64.exp(), 1.0);
        let expected = (((e2 + 1.0 + (-2f64).exp()) / e2).ln() + ((one + e2 + 1.0) / one).ln()) / 2.0;
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-7);
        assert!((figure(&output, "positive_similarity") - 0.5).abs() < 1e-7);
        assert_eq!(figure(&output, "contrastive_accuracy"), 0.5);
    }

    #[test]
    fn without_a_queue_the_other_samples_keys_are_the_negatives() {
        let view = Tensor::ones([5, 3], (Kind::Double, Device::Cpu));
        let output = run_loss(&mut build(0.2, 0, true, 3).0, &[[&view, &view], [&view, &view]]).unwrap();
        // Guessing among 5, in both directions.
        assert!((output.loss.double_value(&[]) - 2.0 * 5f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn keys_enter_after_the_loss_and_push_the_oldest_out() {
        let mut loss = build(0.5, 3, false, 2).0;
        fill(&mut loss, &rows(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
        let up = rows(&[0.0, 1.0, 0.0, 1.0]);
        let first = run_loss(&mut loss, &[[&up, &up], [&up, &up]]).unwrap();
        let e2 = 2f64.exp();
        assert!(
            (first.loss.double_value(&[]) - ((e2 + 3.0) / e2).ln()).abs() < 1e-6,
            "none is in the queue yet"
        );
        assert_eq!(queue(&loss), [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
        let left = rows(&[-1.0, 0.0, 0.0, -1.0]);
        run_loss(&mut loss, &[[&up, &up], [&left, &left]]).unwrap();
        assert_eq!(queue(&loss), [0.0, -1.0, 0.0, 1.0, -1.0, 0.0], "around the end");
        let many = rows(&[1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0]);
        run_loss(&mut loss, &[[&many, &many], [&many, &many]]).unwrap();
        assert_eq!(queue(&loss), [0.0, -1.0, -1.0, 0.0, 0.0, 1.0], "the last three of four");
    }

    #[test]
    fn a_loss_with_restored_state_goes_on_as_the_one_it_was_taken_from() {
        tch::manual_seed(6);
        let batches = [(); 4].map(|()| (random([4, 5]), random([4, 5])));
        let step = |loss: &mut InfoNce, (query, key): &(Tensor, Tensor)| {
            run_loss(loss, &[[query, query], [key, key]]).unwrap().loss.double_value(&[])
        };
        let (mut straight, state) = build(0.2, 6, false, 5);
        for batch in &batches[..3] {
            step(&mut straight, batch);
        }
        let (mut resumed, fresh) = build(0.2, 6, false, 5);
        assert_eq!(state.iter().map(|variable| &*variable.name).collect::<Vec<_>>(), ["queue", "queue_next"]);
        for (from, to) in state.iter().zip(fresh.iter()) {
            assert!(!from.trainable());
            to.tensor.shallow_clone().copy_(&from.tensor);
        }
        assert_eq!(step(&mut straight, &batches[3]), step(&mut resumed, &batches[3]));
        assert_eq!(queue(&straight), queue(&resumed));
        assert_ne!(step(&mut build(0.2, 6, false, 5).0, &batches[3]), step(&mut straight, &batches[3]));
    }

    #[test]
    fn the_same_seed_starts_the_same_queue_of_unit_vectors() {
        assert_eq!(queue(&build(0.2, 6, false, 5).0), queue(&build(0.2, 6, false, 5).0));
        for key in queue(&build(0.2, 6, false, 5).0).chunks(5) {
            assert!((key.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(7);
        let (point, key) = (random([3, 4]), random([3, 4]));
        for queue_size in [0, 5] {
            let error = gradient_error(&point, |query| {
                let mut loss = build(0.3, queue_size, true, 4).0;
                run_loss(&mut loss, &[[query, &key], [&key, &key]]).unwrap().loss
            });
            assert!(error < 1e-7, "queue of {queue_size}: {error}");
        }
    }

    #[test]
    fn agrees_with_mocos_formulation_in_pytorch() {
        let reference = Reference::load();
        let run = |mut loss: InfoNce, first: &Tensor| {
            let views = [
                [first, reference.get("first_target")],
                [reference.get("second"), reference.get("second_target")],
            ];
            run_loss(&mut loss, &views).unwrap().loss
        };
        let mut queued = build(0.2, 8, false, 5).0;
        fill(&mut queued, reference.get("queue"));
        let first = reference.first();
        reference.assert_agrees("info_nce.queue", &run(queued, &first), &first, 1e-10);
        let first = reference.first();
        let found = run(build(0.2, 0, true, 5).0, &first);
        reference.assert_agrees("info_nce.batch", &found, &first, 1e-10);
    }

    #[test]
    fn a_batch_without_negatives_is_an_error() {
        let view = rows(&[1.0, 0.0]);
        let error = run_loss(&mut build(0.1, 0, false, 2).0, &[[&view, &view], [&view, &view]]).unwrap_err();
        assert!(error.to_string().starts_with("found a batch of 1 sample and no queue"), "{error}");
        run_loss(&mut build(0.1, 4, false, 2).0, &[[&view, &view], [&view, &view]]).unwrap();
    }
}
