//! BYOL's regression loss (Grill et al. 2020, eq. 2; the authors' `regression_loss`), with its ablations.
//!
//! For every ordered pair of different views (i, j), with q the online prediction, z' the target projection, d their width and n
//! the normalisation,
//!
//! ```text
//! loss = sum over (i, j) of mean over the batch of | n(q_i) - n(z'_j) |^2
//!
//! l2          n(x) = x / |x|                                       so that |a - b|^2 = 2 - 2 cos(a, b)
//! layer_norm  n(x) = (x - mean of x) / (deviation of x * sqrt(d))  statistics over the components of a vector
//! batch_norm  n(x) = (x - mean) / (deviation * sqrt(d))            statistics over the batch, per component
//! none        n(x) = x
//! ```
//!
//! q and z' are [batch, dimensions]. With l2 two views make two pairs and a range of 0 (all pairs parallel) to 8 (all opposed);
//! independent directions give 4. The paper's appendix divides by sqrt(d), so that all but `none` have vectors of about unit
//! length: after 300 epochs it finds 72.5, 72.5, 65.3 and 67.4 % in the order above.

use diptych_sdk::{Choice, Parameters};
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::{Kind, Tensor};

use crate::normalize::{l2_normalize, mean_cosine, standardize};
use crate::pairs::pairs;

/// What TOML can say.
#[derive(Parameters)]
pub struct ByolRegressionParameters {
    /// What brings predictions and targets to one scale before they are compared.
    #[parameter(default = Normalization::L2)]
    normalization: Normalization,
    /// Whether every view predicts every other, as BYOL; without it only the first view predicts.
    #[parameter(default = true)]
    symmetric: bool,
}

/// n of the module's formula.
#[derive(Choice, Clone, Copy)]
pub enum Normalization {
    #[choice("l2")]
    L2,
    LayerNorm,
    BatchNorm,
    None,
}

impl Normalization {
    fn apply(self, x: &Tensor) -> Result<Tensor, Error> {
        match self {
            Normalization::L2 => l2_normalize(x),
            // A centred vector's norm is its deviation times sqrt(d).
            Normalization::LayerNorm => {
                l2_normalize(&x.f_sub(&x.f_mean_dim([-1].as_slice(), true, x.kind())?)?)
            }
            Normalization::BatchNorm => Ok(standardize(x)?.f_div_scalar((x.size()[1] as f64).sqrt())?),
            Normalization::None => Ok(x.shallow_clone()),
        }
    }
}

/// The loss; without state.
pub struct ByolRegression {
    parameters: ByolRegressionParameters,
}

impl Loss for ByolRegression {
    const ID: &'static str = "byol_regression";
    const DOC: &'static str = "Squared distance between the normalised online prediction of each view and the normalised \
        target projection of every other, summed over the pairs: `2 - 2 cos`, from 0 to 8 for two views (BYOL).\n\n\
        Figure: `positive_similarity`, the mean cosine.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = ByolRegressionParameters;

    fn new(parameters: Self::Parameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(ByolRegression { parameters })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let ByolRegressionParameters { normalization, symmetric } = self.parameters;
        let views = &inputs.views;
        // The distance from one prediction to all its targets is the one to their sum, but for a constant; the pairs
        // are kept apart so that nearly parallel vectors lose no digits.
        let (mut distances, mut cosines) = (Vec::new(), Vec::new());
        for (online, target) in pairs(if symmetric { views.len() } else { 1 }, views.len()) {
            let (prediction, target) = (&views[online].online_prediction, &views[target].target_projection);
            let difference = normalization.apply(prediction)?.f_sub(&normalization.apply(target)?)?;
            let square = difference.f_square()?.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?;
            distances.push(square.f_mean(None)?);
            cosines.push(mean_cosine(prediction, target)?);
        }
        let loss = Tensor::f_stack(&distances, 0)?.f_sum(None)?;
        let positive_similarity = Tensor::f_stack(&cosines, 0)?.f_mean(None)?;
        Ok(LossOutput { loss, figures: vec![("positive_similarity", positive_similarity)] })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    const NORMALIZATIONS: [(Normalization, &str); 4] = [
        (Normalization::L2, "l2"),
        (Normalization::LayerNorm, "layer_norm"),
        (Normalization::BatchNorm, "batch_norm"),
        (Normalization::None, "none"),
    ];

    fn build(normalization: Normalization, symmetric: bool) -> ByolRegression {
        let parameters = ByolRegressionParameters { normalization, symmetric };
        build_loss::<ByolRegression>(parameters, Dimensions::default(), 0).unwrap().0
    }

    fn loss(views: &[[&Tensor; 2]]) -> Tensor {
        run_loss(&mut build(Normalization::L2, true), views).unwrap().loss
    }

    /// Of the pair (1, 2) alone.
    fn one_direction(normalization: Normalization, prediction: &Tensor, target: &Tensor) -> Tensor {
        let views = [[prediction, prediction], [target, target]];
        run_loss(&mut build(normalization, false), &views).unwrap().loss
    }

    #[test]
    fn the_defaults_are_the_papers() {
        let defaults = ByolRegressionParameters::defaults().unwrap();
        assert!(matches!(defaults.normalization, Normalization::L2) && defaults.symmetric);
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Lengths don't count. Pair (1, 2): cos = 0.6 and 0, distances 0.8 and 2; pair (2, 1): parallel and opposed, 0 and 4.
        let (first, second_target) = (rows(&[2.0, 0.0, 0.0, 3.0]), rows(&[3.0, 4.0, 7.0, 0.0]));
        let (second, first_target) = (rows(&[1.0, 1.0, 1.0, 0.0]), rows(&[5.0, 5.0, -1.0, 0.0]));
        let views = [[&first, &first_target], [&second, &second_target]];
        let output = run_loss(&mut build(Normalization::L2, true), &views).unwrap();
        assert!((output.loss.double_value(&[]) - ((0.8 + 2.0) / 2.0 + (0.0 + 4.0) / 2.0)).abs() < 1e-12);
        assert!((figure(&output, "positive_similarity") - (0.6 + 0.0 + 1.0 - 1.0) / 4.0).abs() < 1e-12);
        let output = run_loss(&mut build(Normalization::L2, false), &views).unwrap();
        assert!((output.loss.double_value(&[]) - (0.8 + 2.0) / 2.0).abs() < 1e-12);
        assert!((figure(&output, "positive_similarity") - 0.3).abs() < 1e-12);
    }

    #[test]
    fn each_normalization_matches_a_case_computed_by_hand() {
        let (prediction, target) = (rows(&[1.0, 3.0, 3.0, 1.0]), rows(&[2.0, 4.0, 6.0, 5.0]));
        // Layer norm: (-1, 1) and (1, -1) over sqrt(2), against the same. Batch norm: columns (-1, 1) and (1, -1) over sqrt(2)
        // against (-1, 1) and (-1, 1): the second component is off by 2 / sqrt(2) in both samples. None: (1, 1), (3, 4).
        for (normalization, expected) in [
            (Normalization::LayerNorm, 0.0),
            (Normalization::BatchNorm, 2.0),
            (Normalization::None, (2.0 + 25.0) / 2.0),
        ] {
            let found = one_direction(normalization, &prediction, &target).double_value(&[]);
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
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
        let (point, second, first_target, second_target) =
            (random([3, 4]), random([3, 4]), random([3, 4]), random([3, 4]));
        for (normalization, name) in NORMALIZATIONS {
            let error = gradient_error(&point, |first| {
                let views = [[first, &first_target], [&second, &second_target]];
                run_loss(&mut build(normalization, true), &views).unwrap().loss
            });
            assert!(error < 1e-7, "{name}: {error}");
        }
    }

    #[test]
    fn agrees_with_the_authors_code_in_value_and_gradient() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/byol_reference.safetensors");
        let reference: HashMap<String, Tensor> =
            Tensor::read_safetensors(path).unwrap().into_iter().collect();
        for case in ["regression0", "regression1"] {
            let of = |name: &str| &reference[&format!("{case}.{name}")];
            let prediction = of("prediction").copy().set_requires_grad(true);
            let loss = one_direction(Normalization::L2, &prediction, of("target"));
            let expected = of("loss_mean").double_value(&[0]);
            assert!((loss.double_value(&[]) - expected).abs() < 1e-5, "{case}: {loss} {expected}");
            loss.backward();
            let error = (prediction.grad() - of("grad_prediction")).abs().max().double_value(&[]);
            assert!(error < 1e-6, "{case}: {error}");
        }
    }

    #[test]
    fn every_normalization_agrees_with_pytorchs_of_its_name() {
        let reference = Reference::load();
        for (normalization, name) in NORMALIZATIONS {
            let first = reference.first();
            let found = one_direction(normalization, &first, reference.get("second_target"));
            reference.assert_agrees(&format!("byol_regression.{name}"), &found, &first, 1e-10);
        }
    }
}
