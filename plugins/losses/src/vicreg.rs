//! Variance, invariance and covariance regularisation (VICReg, Bardes et al. 2022, eq. 1 to 6; the authors' code).
//!
//! With z the online projection of a view, [batch N, dimensions d], z' that of another, and Cov its covariance matrix,
//!
//! ```text
//! s(z, z') = 1/(N d) sum |z - z'|^2
//! v(z)     = 1/d sum_j max(0, gamma - sqrt(Var(z_j) + epsilon))
//! c(z)     = 1/d sum_{i != j} Cov(z)_ij^2
//! loss     = invariance s(z, z') + variance (v(z) + v(z')) / 2 + covariance (c(z) + c(z'))
//! ```
//!
//! with variances over N - 1. As in the code, where the paper does not divide s by d, nor the sum of v by 2. With more than two views
//! s and v are means over the pairs and the views, and c twice its mean over the views.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::{Kind, Tensor};

/// What TOML can say.
#[derive(Parameters)]
pub struct VicRegParameters {
    /// Weight of the distance between two views; the paper's lambda.
    #[parameter(default = 25.0, minimum = 0.0)]
    invariance: f64,
    /// Weight of the deviations that fall short; the paper's mu.
    #[parameter(default = 25.0, minimum = 0.0)]
    variance: f64,
    /// Weight of the covariances; the paper's nu.
    #[parameter(default = 1.0, minimum = 0.0)]
    covariance: f64,
    /// Deviation that a component should have at least.
    #[parameter(default = 1.0, minimum = 0.0)]
    gamma: f64,
    /// Added to variances, so that a constant component has a finite gradient.
    #[parameter(default = 0.0001, minimum = 0.0)]
    epsilon: f64,
}

/// The loss; without state.
pub struct VicReg {
    parameters: VicRegParameters,
}

impl Loss for VicReg {
    const ID: &'static str = "vicreg";
    const DOC: &'static str = "Distance between two views' projections, held from collapsing by a deviation that every component \
        keeps and covariances that vanish (VICReg).\n\n\
        Figures: `invariance`, `variance` and `covariance`, the three terms before their weights.";
    const READS_TARGET: bool = false;
    const READS_PREDICTION: bool = false;
    type Parameters = VicRegParameters;

    fn new(parameters: Self::Parameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(VicReg { parameters })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let projections: Vec<&Tensor> = inputs.views.iter().map(|view| &view.online_projection).collect();
        let batch = projections[0].size()[0];
        if batch < 2 {
            return Err(Error::new(format_args!(
                "found a batch of {batch} sample, expected at least 2: one sample has no variance"
            )));
        }
        let (mut distances, mut shortfalls, mut covariances) = (Vec::new(), Vec::new(), Vec::new());
        for (index, first) in projections.iter().enumerate() {
            for second in &projections[index + 1..] {
                distances.push(first.f_sub(second)?.f_square()?.f_mean(None)?);
            }
            let (shortfall, covariance) = self.spread(first)?;
            shortfalls.push(shortfall);
            covariances.push(covariance);
        }
        let mean = |terms: &[Tensor]| Tensor::f_stack(terms, 0)?.f_mean(None);
        let terms = [mean(&distances)?, mean(&shortfalls)?, mean(&covariances)?.f_mul_scalar(2.0)?];
        let VicRegParameters { invariance, variance, covariance, .. } = self.parameters;
        let weighted = terms.iter().zip([invariance, variance, covariance]);
        let weighted =
            weighted.map(|(term, weight)| term.f_mul_scalar(weight)).collect::<Result<Vec<_>, _>>()?;
        let loss = Tensor::f_stack(&weighted, 0)?.f_sum(None)?;
        let names = ["invariance", "variance", "covariance"];
        Ok(LossOutput { loss, figures: names.into_iter().zip(terms.map(|term| term.detach())).collect() })
    }
}

impl VicReg {
    /// v and c of one view.
    fn spread(&self, z: &Tensor) -> Result<(Tensor, Tensor), Error> {
        let [batch, dimensions] = [0, 1].map(|axis| z.size()[axis] as f64);
        let centred = z.f_sub(&z.f_mean_dim([0].as_slice(), true, None::<Kind>)?)?;
        let variance = centred
            .f_square()?
            .f_sum_dim_intlist([0].as_slice(), false, None::<Kind>)?
            .f_div_scalar(batch - 1.0)?;
        let deviation = variance.f_add_scalar(self.parameters.epsilon)?.f_sqrt()?;
        let shortfall = deviation.f_neg()?.f_add_scalar(self.parameters.gamma)?.f_relu()?.f_mean(None)?;
        let covariance = centred.f_transpose(0, 1)?.f_mm(&centred)?.f_div_scalar(batch - 1.0)?;
        // All less the diagonal, which holds the variances.
        let squares = covariance.f_square()?.f_sum(None)?.f_sub(&variance.f_square()?.f_sum(None)?)?;
        Ok((shortfall, squares.f_div_scalar(dimensions)?))
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn run(views: &[&Tensor]) -> LossOutput {
        let parameters = VicRegParameters::defaults().unwrap();
        let mut loss = build_loss::<VicReg>(parameters, Dimensions::default(), 0).unwrap().0;
        let views: Vec<[&Tensor; 2]> = views.iter().map(|view| [*view, *view]).collect();
        run_loss(&mut loss, &views).unwrap()
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // First: variances 2 and 0, no covariance. Second: variances 2 and 8, covariance 4.
        let (first, second) = (rows(&[0.0, 3.0, 2.0, 3.0]), rows(&[0.0, 0.0, 2.0, 4.0]));
        let output = run(&[&first, &second]);
        // Squares: 0, 9, 0, 1, over 4 numbers.
        assert!((figure(&output, "invariance") - 10.0 / 4.0).abs() < 1e-12);
        // A constant component falls short by 1 - sqrt(1e-4), half of the first view's, which is half of both.
        assert!((figure(&output, "variance") - 0.99 / 4.0).abs() < 1e-12);
        assert!((figure(&output, "covariance") - 2.0 * 16.0 / 2.0).abs() < 1e-12);
        let expected = 25.0 * 2.5 + 25.0 * 0.99 / 4.0 + 16.0;
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-10);
    }

    #[test]
    fn equal_views_of_wide_uncorrelated_components_cost_nothing() {
        let view = rows(&[2.0, 2.0, 2.0, -2.0, -2.0, 2.0, -2.0, -2.0]);
        assert!(run(&[&view, &view]).loss.double_value(&[]).abs() < 1e-12);
        let three = run(&[&view, &view, &view]).loss.double_value(&[]);
        assert!(three.abs() < 1e-12);
    }

    #[test]
    fn a_collapsed_batch_costs_its_missing_deviation() {
        let view = Tensor::ones([4, 3], (Kind::Double, tch::Device::Cpu));
        assert!((run(&[&view, &view]).loss.double_value(&[]) - 25.0 * 0.99).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(11);
        // Small enough for deviations on both sides of gamma.
        let (point, second) = (random([5, 4]), random([5, 4]));
        let error = gradient_error(&point, |first| run(&[first, &second]).loss);
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn agrees_with_the_formulation_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let output = run(&[&first, reference.get("second")]);
        reference.assert_agrees("vicreg", &output.loss, &first, 1e-10);
    }

    #[test]
    fn a_single_sample_is_an_error() {
        let view = rows(&[1.0, 0.0]);
        let parameters = VicRegParameters::defaults().unwrap();
        let mut loss = build_loss::<VicReg>(parameters, Dimensions::default(), 0).unwrap().0;
        let error = run_loss(&mut loss, &[[&view, &view], [&view, &view]]).unwrap_err().to_string();
        assert_eq!(error, "found a batch of 1 sample, expected at least 2: one sample has no variance");
    }
}
