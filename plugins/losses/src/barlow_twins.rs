//! Redundancy reduction (Barlow Twins, Zbontar et al. 2021, eq. 1 and 2; the authors' code).
//!
//! With z and z' the online projections of two views, [batch N, dimensions], each component standardised over the batch, and
//! their cross-correlation C = z^T z' / N, [dimensions, dimensions],
//!
//! ```text
//! loss = sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2
//! ```
//!
//! summed over the unordered pairs of views: two views make one. The first versions of the code multiplied it by a scale, which
//! the loss's `weight` can say.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::Tensor;

use crate::normalize::standardize;

/// What TOML can say.
#[derive(Parameters)]
pub struct BarlowTwinsParameters {
    /// Weight of the components' correlations with each other. The paper: 0.005; the code: 0.0051.
    #[parameter(default = 0.0051, minimum = 0.0, maximum = 1000.0)]
    lambda: f64,
}

/// The loss; without state.
pub struct BarlowTwins {
    lambda: f64,
}

impl Loss for BarlowTwins {
    const ID: &'static str = "barlow_twins";
    const DOC: &'static str = "Brings the cross-correlation of two views' projections to the identity: equal components, different \
        components uncorrelated (Barlow Twins).\n\n\
        Figures: `invariance`, the sum over the diagonal; `redundancy`, the one beside it, before lambda.";
    const READS_TARGET: bool = false;
    const READS_PREDICTION: bool = false;
    type Parameters = BarlowTwinsParameters;

    fn new(parameters: Self::Parameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(BarlowTwins { lambda: parameters.lambda })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = &inputs.views;
        let standard =
            views.iter().map(|view| standardize(&view.online_projection)).collect::<Result<Vec<_>, _>>()?;
        let batch = standard[0].size()[0];
        let (mut invariances, mut redundancies) = (Vec::new(), Vec::new());
        for (index, first) in standard.iter().enumerate() {
            for second in &standard[index + 1..] {
                let correlation = first.f_transpose(0, 1)?.f_mm(second)?.f_div_scalar(batch as f64)?;
                let diagonal = correlation.f_diagonal(0, 0, 1)?;
                invariances.push(diagonal.f_sub_scalar(1.0)?.f_square()?.f_sum(None)?);
                // All less the diagonal: no second matrix of that size is held for the gradient.
                let squares = correlation.f_square()?.f_sum(None)?;
                redundancies.push(squares.f_sub(&diagonal.f_square()?.f_sum(None)?)?);
            }
        }
        let invariance = Tensor::f_stack(&invariances, 0)?.f_sum(None)?;
        let redundancy = Tensor::f_stack(&redundancies, 0)?.f_sum(None)?;
        let loss = invariance.f_add(&redundancy.f_mul_scalar(self.lambda)?)?;
        let figures = vec![("invariance", invariance.detach()), ("redundancy", redundancy.detach())];
        Ok(LossOutput { loss, figures })
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn run(lambda: f64, views: &[&Tensor]) -> LossOutput {
        let parameters = BarlowTwinsParameters { lambda };
        let mut loss = build_loss::<BarlowTwins>(parameters, Dimensions::default(), 0).unwrap().0;
        let views: Vec<[&Tensor; 2]> = views.iter().map(|view| [*view, *view]).collect();
        run_loss(&mut loss, &views).unwrap()
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Standardised, the first view's columns are (-1, 1, -1, 1) and (-1, -1, 1, 1); the second's (-1, 1, -1, 1) twice.
        let first = rows(&[0.0, 5.0, 2.0, 5.0, 0.0, 7.0, 2.0, 7.0]);
        let second = rows(&[1.0, 10.0, 3.0, 30.0, 1.0, 10.0, 3.0, 30.0]);
        let output = run(0.1, &[&first, &second]);
        // C = [[1, 1], [0, 0]].
        assert!((figure(&output, "invariance") - 1.0).abs() < 1e-4);
        assert!((figure(&output, "redundancy") - 1.0).abs() < 1e-4);
        assert!((output.loss.double_value(&[]) - 1.1).abs() < 1e-4);
    }

    #[test]
    fn scale_and_shift_of_a_component_change_nothing() {
        tch::manual_seed(8);
        let (first, second) = (random([16, 3]), random([16, 3]));
        let moved = &first * Tensor::from_slice(&[3.0, 0.5, 10.0]) + 7.0;
        let difference = run(0.1, &[&first, &second]).loss - run(0.1, &[&moved, &second]).loss;
        assert!(difference.double_value(&[]).abs() < 1e-3);
    }

    #[test]
    fn three_views_are_three_pairs() {
        tch::manual_seed(9);
        let views = [(); 3].map(|()| random([8, 3]));
        let pair = |i: usize, j: usize| run(0.1, &[&views[i], &views[j]]).loss.double_value(&[]);
        let all = run(0.1, &[&views[0], &views[1], &views[2]]).loss.double_value(&[]);
        assert!((all - pair(0, 1) - pair(0, 2) - pair(1, 2)).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(10);
        let (point, second) = (random([5, 3]), random([5, 3]));
        let error = gradient_error(&point, |first| run(0.1, &[first, &second]).loss);
        assert!(error < 1e-7, "{error}");
    }

    #[test]
    fn agrees_with_the_formulation_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let output = run(0.0051, &[&first, reference.get("second")]);
        reference.assert_agrees("barlow_twins", &output.loss, &first, 1e-10);
    }
}
