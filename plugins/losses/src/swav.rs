//! Swapped assignments to prototypes (SwAV, Caron et al. 2020, eq. 1 to 4; the authors' code).
//!
//! With z the online projections, of unit length, [batch N, dimensions], and C the K prototypes, of unit length and trained,
//! each of the first `global_views` views t gets soft assignments q_t [N, K] from its scores z_t C^T, and every other view v
//! predicts them:
//!
//! ```text
//! loss = mean over pairs (t, v), t != v, of -1/N sum_i sum_k q_t,ik log softmax_k(z_v C^T / temperature)_ik
//! q    = diag(a) exp(scores / epsilon) diag(b), by Sinkhorn and Knopp: rows (samples) sum to 1, columns (prototypes) to N / K
//! ```
//!
//! Assignments carry no gradient. Without `global_views` small crops would be assigned too. A small batch is assigned
//! together with the `queue_size` newest projections of earlier steps, view by view, once so many have come by; they enter from the
//! share `queue_start_fraction` of the run on, the paper's 15 epochs. Prototypes are brought to unit length before each pass, and are
//! not trained during the first `frozen_prototype_steps`.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Initial, Loss, LossInputs, LossOutput, Role, Variables};
use tch::{Kind, Tensor};

use crate::normalize::l2_normalize;
use crate::pairs::{pairs, targets};
use crate::soft_targets::{cross_entropy, entropy};

/// What TOML can say.
#[derive(Parameters)]
pub struct SwavParameters {
    /// Number of prototypes.
    #[parameter(default = 3000, minimum = 2, maximum = 1000000)]
    prototypes: i64,
    /// Divides the scores of predictions.
    #[parameter(default = 0.1, minimum = 0.001, maximum = 100.0)]
    temperature: f64,
    /// Divides the scores that are assigned: smaller makes assignments harder.
    #[parameter(default = 0.05, minimum = 0.001, maximum = 100.0)]
    epsilon: f64,
    /// Rounds of Sinkhorn and Knopp's algorithm.
    #[parameter(default = 3, minimum = 1, maximum = 1000)]
    sinkhorn_iterations: u32,
    /// The first views, which are assigned and predicted by every other.
    #[parameter(default = 2, minimum = 1, maximum = 1000, unit = "views")]
    global_views: u32,
    /// Projections of earlier steps that are assigned beside the batch; 0 for none. SwAV with batches of 256: 3840.
    #[parameter(default = 0, minimum = 0, maximum = 16777216, unit = "projections")]
    queue_size: i64,
    /// Share of the run before the queue begins to fill.
    #[parameter(default = 0.0, minimum = 0.0, maximum = 1.0)]
    queue_start_fraction: f64,
    /// Steps during which prototypes are not trained. SwAV: 313 with batches of 4096, 5005 with 256.
    #[parameter(default = 0, minimum = 0, unit = "steps")]
    frozen_prototype_steps: u64,
}

/// The loss with its prototypes and its queue.
pub struct Swav {
    parameters: SwavParameters,
    /// [prototypes, dimensions]
    prototypes: Tensor,
    /// [global views, keys, dimensions], the newest first.
    queue: Option<Tensor>,
}

impl Loss for Swav {
    const ID: &'static str = "swav";
    const DOC: &'static str = "Each view predicts the balanced assignment of the others to trained prototypes (SwAV). The first \
        `global_views` views are assigned; small crops only predict.\n\n\
        Figure: `target_entropy`, of an assignment; log(prototypes) when it says nothing.";
    const READS_TARGET: bool = false;
    const READS_PREDICTION: bool = false;
    type Parameters = SwavParameters;

    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error> {
        let width = dimensions.projection;
        let initial = Initial::Uniform { bound: 1.0 / (width as f64).sqrt() };
        let prototypes = state.make("prototypes", Role::Weight, initial, &[parameters.prototypes, width])?;
        let queue = match parameters.queue_size {
            0 => None,
            size => {
                let shape = [i64::from(parameters.global_views), size, width];
                Some(state.make("queue", Role::Buffer, Initial::Constant(0.0), &shape)?)
            }
        };
        Ok(Swav { parameters, prototypes, queue })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = inputs.views.len();
        let targets = targets(self.parameters.global_views, views)?;
        let frozen = inputs.step < self.parameters.frozen_prototype_steps;
        tch::no_grad(|| {
            let unit = l2_normalize(&self.prototypes)?;
            self.prototypes.f_copy_(&unit)?;
            Ok::<_, Error>(())
        })?;
        let projections = inputs
            .views
            .iter()
            .map(|view| l2_normalize(&view.online_projection))
            .collect::<Result<Vec<_>, _>>()?;
        let prototypes = if frozen { self.prototypes.detach() } else { self.prototypes.shallow_clone() };
        let columns = prototypes.f_to_kind(projections[0].kind())?.f_transpose(0, 1)?;
        let scores = projections.iter().map(|z| z.f_mm(&columns)).collect::<Result<Vec<_>, _>>()?;
        let assignments = tch::no_grad(|| {
            (0..targets)
                .map(|view| self.assign(view, &scores[view], &projections[view], &columns, inputs))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let losses = pairs(views, targets)
            .map(|(view, target)| {
                cross_entropy(&assignments[target], &scores[view], self.parameters.temperature)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let loss = Tensor::f_stack(&losses, 0)?.f_mean(None)?;
        Ok(LossOutput { loss, figures: vec![("target_entropy", entropy(&assignments)?)] })
    }
}

impl Swav {
    /// Assignments of a view's `scores` [batch, prototypes], beside those of its queue; its projections then enter the queue.
    fn assign(
        &mut self,
        view: usize,
        scores: &Tensor,
        projections: &Tensor,
        columns: &Tensor,
        inputs: &LossInputs,
    ) -> Result<Tensor, Error> {
        let SwavParameters { epsilon, sinkhorn_iterations, queue_start_fraction, .. } = self.parameters;
        let batch = scores.size()[0];
        let start = (queue_start_fraction * inputs.step_count as f64).ceil() as u64;
        let Some(queue) = self.queue.as_ref().filter(|_| inputs.step >= start) else {
            return sinkhorn(scores, epsilon, sinkhorn_iterations);
        };
        let mut queue = queue.f_get(view as i64)?;
        let size = queue.size()[0];
        // Every step brings a whole batch, so that its number says how many came.
        let came = (inputs.step - start).saturating_mul(batch as u64);
        let assigned = if came >= size as u64 {
            let queued = queue.f_to_kind(projections.kind())?.f_mm(columns)?;
            let all = Tensor::f_cat(&[scores, &queued], 0)?;
            sinkhorn(&all, epsilon, sinkhorn_iterations)?.f_narrow(0, 0, batch)?
        } else {
            sinkhorn(scores, epsilon, sinkhorn_iterations)?
        };
        let newest =
            Tensor::f_cat(&[&projections.f_to_kind(queue.kind())?, &queue], 0)?.f_narrow(0, 0, size)?;
        queue.f_copy_(&newest)?;
        Ok(assigned)
    }
}

/// Assignments of `scores` [samples, prototypes] such that every sample's sum to 1 and, after enough iterations, every prototype has
/// as much as any other.
fn sinkhorn(scores: &Tensor, epsilon: f64, iterations: u32) -> Result<Tensor, Error> {
    let sum = |q: &Tensor, axis: i64| q.f_sum_dim_intlist([axis].as_slice(), true, None::<Kind>);
    // A common factor changes nothing: the largest exponent becomes 0, so that none overflows.
    let mut q = scores.f_sub(&scores.f_max()?)?.f_div_scalar(epsilon)?.f_exp()?;
    let [samples, prototypes] = [0, 1].map(|axis| q.size()[axis] as f64);
    for _ in 0..iterations {
        // A prototype that every sample underflows on gets nothing, rather than 0 / 0.
        q = q.f_div(&sum(&q, 0)?.f_clamp_min(1e-30)?)?.f_mul_scalar(samples / prototypes)?;
        q = q.f_div(&sum(&q, 1)?.f_clamp_min(1e-30)?)?;
    }
    Ok(q)
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, loss_inputs, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn parameters() -> SwavParameters {
        SwavParameters { prototypes: 4, ..SwavParameters::defaults().unwrap() }
    }

    fn build(parameters: SwavParameters, width: i64) -> (Swav, Variables) {
        let dimensions = Dimensions { projection: width, ..Dimensions::default() };
        build_loss::<Swav>(parameters, dimensions, 0).unwrap()
    }

    fn views(tensors: &[Tensor]) -> Vec<[&Tensor; 2]> {
        tensors.iter().map(|tensor| [tensor, tensor]).collect()
    }

    #[test]
    fn the_defaults_are_the_papers() {
        let found = SwavParameters::defaults().unwrap();
        assert_eq!((found.prototypes, found.temperature, found.epsilon), (3000, 0.1, 0.05));
        assert_eq!((found.sinkhorn_iterations, found.global_views), (3, 2));
    }

    #[test]
    fn assignments_are_balanced_whatever_the_scores() {
        tch::manual_seed(12);
        let q = sinkhorn(&random([12, 4]), 0.5, 500).unwrap();
        let ones = |sums: Tensor, expected: f64| (sums - expected).abs().max().double_value(&[]) < 1e-9;
        assert!(ones(q.sum_dim_intlist([1].as_slice(), false, Kind::Double), 1.0), "{q}");
        assert!(ones(q.sum_dim_intlist([0].as_slice(), false, Kind::Double), 3.0), "{q}");
    }

    #[test]
    fn one_round_of_sinkhorn_matches_a_case_computed_by_hand() {
        // exp: rows (1, 1/2), (1/2, 1/4); columns to 1: (2/3, 2/3), (1/3, 1/3); rows to 1: halves.
        let q = sinkhorn(&rows(&[0.0, -(2f64.ln()), -(2f64.ln()), -(4f64.ln())]), 1.0, 1).unwrap();
        assert!((q - 0.5).abs().max().double_value(&[]) < 1e-12);
        // Scores far below the others underflow, and leave no hole.
        let q = sinkhorn(&rows(&[0.0, -1e4, 0.0, -1e4]), 0.05, 3).unwrap();
        assert_eq!(q.isfinite().all().int64_value(&[]), 1);
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        let (mut loss, _) = build(SwavParameters { prototypes: 2, temperature: 1.0, ..parameters() }, 2);
        tch::no_grad(|| loss.prototypes.copy_(&rows(&[5.0, 0.0, 0.0, 5.0])));
        // Each sample lies on one prototype, so that its assignment is nearly hard: exp(-1 / 0.05) beside 1.
        let view = rows(&[1.0, 0.0, 0.0, 3.0]);
        let output = run_loss(&mut loss, &[[&view, &view], [&view, &view]]).unwrap();
        let expected = (1.0 + (-1f64).exp()).ln();
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-7, "{}", output.loss);
        assert!(figure(&output, "target_entropy") < 1e-6);
        // They were brought to unit length.
        assert!((&loss.prototypes - rows(&[1.0, 0.0, 0.0, 1.0])).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn small_crops_predict_and_are_not_assigned() {
        tch::manual_seed(13);
        let tensors = [(); 3].map(|()| random([6, 5]));
        let run = |which: &[Tensor], global_views| {
            let mut loss = build(SwavParameters { global_views, ..parameters() }, 5).0;
            run_loss(&mut loss, &views(which)).unwrap().loss.double_value(&[])
        };
        let [a, b, c] = &tensors;
        let pair =
            |online: &Tensor, target: &Tensor| run(&[target.shallow_clone(), online.shallow_clone()], 1);
        let expected = (pair(b, a) + pair(c, a) + pair(a, b) + pair(c, b)) / 4.0;
        assert!((run(&tensors, 2) - expected).abs() < 1e-12);
        let mut loss = build(SwavParameters { global_views: 4, ..parameters() }, 5).0;
        let error = run_loss(&mut loss, &views(&tensors)).unwrap_err().to_string();
        assert!(error.contains("found 3 views, expected at least global_views = 4"), "{error}");
    }

    #[test]
    fn prototypes_are_trained_once_they_are_thawed() {
        tch::manual_seed(14);
        let (mut loss, state) = build(SwavParameters { frozen_prototype_steps: 2, ..parameters() }, 5);
        let variable = state.iter().next().unwrap();
        assert!(variable.trainable() && variable.name == "prototypes");
        let tensors = [(); 2].map(|()| random([6, 5]).set_requires_grad(true));
        for (step, trained) in [(1, false), (2, true)] {
            let inputs = LossInputs { step, ..loss_inputs(&views(&tensors)) };
            loss.forward(&inputs).unwrap().loss.backward();
            assert_eq!(variable.tensor.grad().defined(), trained, "step {step}");
        }
        let gradient = tensors[0].grad();
        assert!(gradient.defined());
    }

    #[test]
    fn the_queue_fills_from_its_start_and_is_used_when_it_is_full() {
        tch::manual_seed(15);
        let batches = [(); 5].map(|()| [random([4, 5]), random([4, 5])]);
        let with = SwavParameters { queue_size: 8, queue_start_fraction: 0.01, ..parameters() };
        let ((mut queued, state), (mut plain, _)) = (build(with, 5), build(parameters(), 5));
        for (step, batch) in batches.iter().enumerate() {
            // The second step of 100 starts it; two steps fill it; the fourth is the first to use it.
            let run = |loss: &mut Swav| {
                let inputs = LossInputs { step: step as u64, ..loss_inputs(&views(batch)) };
                loss.forward(&inputs).unwrap().loss.double_value(&[])
            };
            assert_eq!(run(&mut queued) == run(&mut plain), step < 3, "step {step}");
        }
        let queue = &state.iter().find(|variable| variable.name == "queue").unwrap();
        assert!(!queue.trainable());
        let newest = l2_normalize(&batches[4][1]).unwrap().to_kind(Kind::Float);
        assert!(queue.tensor.get(1).narrow(0, 0, 4).equal(&newest));
    }

    #[test]
    fn a_loss_with_restored_state_goes_on_as_the_one_it_was_taken_from() {
        tch::manual_seed(16);
        let batches = [(); 4].map(|()| [random([4, 5]), random([4, 5])]);
        let run = |loss: &mut Swav, step: usize| {
            let inputs = LossInputs { step: step as u64, ..loss_inputs(&views(&batches[step])) };
            loss.forward(&inputs).unwrap().loss.double_value(&[])
        };
        let with = || SwavParameters { queue_size: 6, ..parameters() };
        let (mut straight, state) = build(with(), 5);
        for step in 0..3 {
            run(&mut straight, step);
        }
        let (mut resumed, fresh) = build(with(), 5);
        for (from, to) in state.iter().zip(fresh.iter()) {
            tch::no_grad(|| to.tensor.shallow_clone().copy_(&from.tensor));
        }
        assert_eq!(run(&mut straight, 3), run(&mut resumed, 3));
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(17);
        let (point, second) = (random([3, 5]), random([3, 5]));
        // The first view only predicts: an assignment's dependence on it is not differentiated.
        let error = gradient_error(&point, |first| {
            let mut loss = build(SwavParameters { global_views: 1, ..parameters() }, 5).0;
            run_loss(&mut loss, &[[&second, &second], [first, first]]).unwrap().loss
        });
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn agrees_with_the_authors_formulation_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let with = SwavParameters { queue_size: 8, global_views: 2, ..parameters() };
        let (mut loss, _) = build(with, 5);
        tch::no_grad(|| {
            loss.prototypes.copy_(&reference.get("prototypes").to_kind(Kind::Float));
            let queued = reference.get("queue").to_kind(Kind::Float);
            let mut queue = loss.queue.as_ref().unwrap().shallow_clone();
            queue.copy_(&queued.unsqueeze(0).expand([2, 8, 5], false));
        });
        let [second, third] = ["second", "third"].map(|name| reference.get(name));
        let inputs =
            LossInputs { step: 50, ..loss_inputs(&[[&first, &first], [second, second], [third, third]]) };
        let found = loss.forward(&inputs).unwrap().loss;
        // Prototypes are kept in single precision.
        reference.assert_agrees("swav", &found, &first, 1e-6);
        let error = (loss.prototypes.grad() - reference.get("swav.prototypes_gradient")).abs().max();
        assert!(error.double_value(&[]) < 1e-6, "{error}");
    }
}
