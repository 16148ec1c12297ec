//! BYOL's regression loss (Grill et al. 2020, eq. 2; the authors' `regression_loss`).
//!
//! For every ordered pair of different views (i, j), with q the online prediction and z' the target projection,
//!
//! ```text
//! loss = sum over (i, j) of mean over the batch of | q_i/|q_i| - z'_j/|z'_j| |^2,    |a - b|^2 = 2 - 2 cos(a, b)
//! ```
//!
//! q and z' are [batch, dimensions]. Two views make two pairs and a range of 0 (all pairs parallel) to 8 (all opposed);
//! independent directions give 4.

use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::{Kind, Tensor};

use crate::normalize::l2_normalize;

/// The loss; without state.
pub struct ByolRegression;

impl Loss for ByolRegression {
    const ID: &'static str = "byol_regression";
    const DOC: &'static str = "Squared distance between the normalised online prediction of each view and the normalised \
        target projection of every other, summed over the pairs: `2 - 2 cos`, from 0 to 8 for two views (BYOL).\n\n\
        Figure: `positive_similarity`, the mean cosine.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = ();

    fn new((): (), _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(ByolRegression)
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = &inputs.views;
        let normalize = |select: fn(&diptych_sdk_tensor::LossView) -> &Tensor| {
            views.iter().map(|view| l2_normalize(select(view))).collect::<Result<Vec<_>, _>>()
        };
        let predictions = normalize(|view| &view.online_prediction)?;
        let targets = normalize(|view| &view.target_projection)?;
        // The distance from one prediction to all its targets is the one to their sum, but for a constant; the pairs
        // are kept apart so that nearly parallel vectors lose no digits.
        let mut distances = Vec::new();
        for (online, prediction) in predictions.iter().enumerate() {
            for (target, projection) in targets.iter().enumerate() {
                if online != target {
                    let square = prediction.f_sub(projection)?.f_square()?;
                    distances
                        .push(square.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?.f_mean(None)?);
                }
            }
        }
        let loss = Tensor::f_stack(&distances, 0)?.f_sum(None)?;
        let positive_similarity = tch::no_grad(|| {
            // 1 - distance / 2, averaged over the pairs.
            loss.f_mul_scalar(-0.5 / distances.len() as f64)?.f_add_scalar(1.0)
        })?;
        Ok(LossOutput { loss, figures: vec![("positive_similarity", positive_similarity)] })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;

    fn rows(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).view([-1, 2])
    }

    fn loss(views: &[[&Tensor; 2]]) -> Tensor {
        run_loss(&mut build_loss::<ByolRegression>((), Dimensions::default(), 0).unwrap().0, views)
            .unwrap()
            .loss
    }

    /// View i's prediction is compared with the other views' targets, so a pair alone is had by giving the other
    /// direction equal vectors, whose distance is 0.
    fn one_direction(prediction: &Tensor, target: &Tensor) -> Tensor {
        let same = prediction.detach();
        loss(&[[prediction, &same], [&same, target]])
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Lengths don't count. Pair (1, 2): cos = 0.6 and 0, distances 0.8 and 2; pair (2, 1): parallel and opposed, 0 and 4.
        let (first, second_target) = (rows(&[2.0, 0.0, 0.0, 3.0]), rows(&[3.0, 4.0, 7.0, 0.0]));
        let (second, first_target) = (rows(&[1.0, 1.0, 1.0, 0.0]), rows(&[5.0, 5.0, -1.0, 0.0]));
        let output =
            run_loss(&mut ByolRegression, &[[&first, &first_target], [&second, &second_target]]).unwrap();
        assert!((output.loss.double_value(&[]) - ((0.8 + 2.0) / 2.0 + (0.0 + 4.0) / 2.0)).abs() < 1e-12);
        let (name, similarity) = &output.figures[0];
        assert_eq!(*name, "positive_similarity");
        assert!((similarity.double_value(&[]) - (0.6 + 0.0 + 1.0 - 1.0) / 4.0).abs() < 1e-12);
    }

    #[test]
    fn sums_over_all_ordered_pairs_of_three_views() {
        let (right, up, left) = (rows(&[1.0, 0.0]), rows(&[0.0, 1.0]), rows(&[-1.0, 0.0]));
        // Each unordered pair counts twice: 2 + 4 + 2.
        let found = loss(&[[&right, &right], [&up, &up], [&left, &left]]).double_value(&[]);
        assert!((found - 16.0).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(1);
        let random = || Tensor::randn([3, 4], (Kind::Double, tch::Device::Cpu));
        let (point, second, first_target, second_target) = (random(), random(), random(), random());
        let error =
            gradient_error(&point, |first| loss(&[[first, &first_target], [&second, &second_target]]));
        assert!(error < 1e-8, "{error}");
    }

    #[test]
    fn agrees_with_the_authors_code_in_value_and_gradient() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/byol_reference.safetensors");
        let reference: HashMap<String, Tensor> =
            Tensor::read_safetensors(path).unwrap().into_iter().collect();
        for case in ["regression0", "regression1"] {
            let of = |name: &str| &reference[&format!("{case}.{name}")];
            let prediction = of("prediction").copy().set_requires_grad(true);
            let loss = one_direction(&prediction, of("target"));
            let expected = of("loss_mean").double_value(&[0]);
            assert!((loss.double_value(&[]) - expected).abs() < 1e-5, "{case}: {loss} {expected}");
            loss.backward();
            let error = (prediction.grad() - of("grad_prediction")).abs().max().double_value(&[]);
            assert!(error < 1e-6, "{case}: {error}");
        }
    }
}
