//! Consistency of class probabilities (Mean Teacher, Tarvainen and Valpola 2017, section 2; the authors' code).
//!
//! With l the online predictions and l' the target projections as logits, [batch N, classes K], for every ordered pair of different
//! views (i, j)
//!
//! ```text
//! loss = ramp(step) mean over (i, j) of 1/(N K) sum | softmax(l_i) - softmax(l'_j) |^2
//! ramp = exp(-5 (1 - t)^2),    t = step / (ramp_up_fraction * steps), at most 1
//! ```
//!
//! Beside `supervised` on the same logits and with an `ema` target it is Mean Teacher; the paper weighs it by 100. Targets carry
//! no gradient, whatever the run's target is.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::{Kind, Tensor};

use crate::pairs::pairs;

/// What TOML can say.
#[derive(Parameters)]
pub struct SoftmaxConsistencyParameters {
    /// Share of the run during which the loss gains weight; 0 for its whole weight from the start.
    #[parameter(default = 0.0, minimum = 0.0, maximum = 1.0)]
    ramp_up_fraction: f64,
}

/// The loss; without state.
pub struct SoftmaxConsistency {
    ramp_up_fraction: f64,
}

impl Loss for SoftmaxConsistency {
    const ID: &'static str = "softmax_consistency";
    const DOC: &'static str = "Squared distance between the class probabilities of each view and those that the target gives every \
        other (Mean Teacher's consistency); projections are logits.\n\n\
        Figure: `agreement`, how often online and target network answer the same class.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = SoftmaxConsistencyParameters;

    fn new(parameters: Self::Parameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(SoftmaxConsistency { ramp_up_fraction: parameters.ramp_up_fraction })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = &inputs.views;
        let (mut distances, mut agreements) = (Vec::new(), Vec::new());
        for (online, target) in pairs(views.len(), views.len()) {
            let online = views[online].online_prediction.f_softmax(-1, None::<Kind>)?;
            let target = views[target].target_projection.f_detach()?.f_softmax(-1, None::<Kind>)?;
            distances.push(online.f_sub(&target)?.f_square()?.f_mean(None)?);
            agreements.push(online.f_argmax(1, false)?.f_eq_tensor(&target.f_argmax(1, false)?)?);
        }
        let ramp = self.ramp(inputs.step, inputs.step_count);
        let loss = Tensor::f_stack(&distances, 0)?.f_mean(None)?.f_mul_scalar(ramp)?;
        let agreement = Tensor::f_stack(&agreements, 0)?.f_to_kind(Kind::Float)?.f_mean(None)?;
        Ok(LossOutput { loss, figures: vec![("agreement", agreement)] })
    }
}

impl SoftmaxConsistency {
    fn ramp(&self, step: u64, step_count: u64) -> f64 {
        let length = self.ramp_up_fraction * step_count as f64;
        let missing = if (step as f64) < length { 1.0 - step as f64 / length } else { 0.0 };
        (-5.0 * missing * missing).exp()
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn build(ramp_up_fraction: f64) -> SoftmaxConsistency {
        let parameters = SoftmaxConsistencyParameters { ramp_up_fraction };
        build_loss::<SoftmaxConsistency>(parameters, Dimensions::default(), 0).unwrap().0
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Probabilities: halves against (3/4, 1/4), and the same in the other direction.
        let (even, odd) = (rows(&[0.0, 0.0]), rows(&[3f64.ln(), 0.0]));
        let output = run_loss(&mut build(0.0), &[[&even, &even], [&odd, &odd]]).unwrap();
        assert!((output.loss.double_value(&[]) - 1.0 / 16.0).abs() < 1e-12);
        assert_eq!(figure(&output, "agreement"), 1.0);
    }

    #[test]
    fn the_ramp_rises_from_almost_nothing_to_1() {
        let loss = build(0.5);
        for (step, expected) in [(0, (-5f64).exp()), (25, (-1.25f64).exp()), (50, 1.0), (99, 1.0)] {
            assert!((loss.ramp(step, 100) - expected).abs() < 1e-12, "step {step}");
        }
        assert_eq!(build(0.0).ramp(0, 100), 1.0);
    }

    #[test]
    fn adding_to_all_logits_of_a_sample_changes_nothing() {
        tch::manual_seed(23);
        let (first, second) = (random([4, 3]), random([4, 3]));
        let moved = &first + Tensor::from_slice(&[1.0, -2.0, 5.0, 0.0]).view([4, 1]);
        let run = |view: &Tensor| {
            run_loss(&mut build(0.0), &[[view, view], [&second, &second]]).unwrap().loss.double_value(&[])
        };
        assert!((run(&first) - run(&moved)).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences_and_stops_at_the_target() {
        tch::manual_seed(24);
        let (point, second, target) = (random([3, 4]), random([3, 4]), random([3, 4]));
        let error = gradient_error(&point, |first| {
            run_loss(&mut build(0.0), &[[first, &target], [&second, &target]]).unwrap().loss
        });
        assert!(error < 1e-8, "{error}");
        let target = target.set_requires_grad(true);
        let online = point.copy().set_requires_grad(true);
        run_loss(&mut build(0.0), &[[&online, &target], [&second, &target]]).unwrap().loss.backward();
        assert!(online.grad().defined() && !target.grad().defined());
    }

    #[test]
    fn agrees_with_the_formulation_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let views = [
            [&first, reference.get("first_target")],
            [reference.get("second"), reference.get("second_target")],
        ];
        let found = run_loss(&mut build(0.0), &views).unwrap().loss;
        reference.assert_agrees("softmax_consistency", &found, &first, 1e-10);
    }
}
