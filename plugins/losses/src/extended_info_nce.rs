//! The objective between BYOL and SimCLR (Grill et al. 2020, section 5, `InfoNCE` with alpha and beta), as a loss.
//!
//! The paper maximises, over a batch of N samples with views v and v',
//!
//! ```text
//! 2/N sum_i S(v_i, v'_i) - beta 2 alpha/N sum_i ln( sum_{j != i} exp(S(v_i, v_j) / alpha) + sum_j exp(S(v_i, v'_j) / alpha) )
//! S(u, w) = <phi(u), psi(w)> / (|phi(u)| |psi(w)|)
//! ```
//!
//! alpha is the temperature, phi(u) is the online prediction and psi(w) the target projection, [N, dimensions] each; without a
//! predictor the first is the online projection, without a target the second is too. This is that objective's negative, summed
//! over every ordered pair of different views in the place of (v, v'): the paper writes one direction and trains on both.
//!
//! beta = 0 is `byol_regression` less 2 per pair, exactly. beta = 1 with two views and neither predictor nor target is `nt_xent`
//! times 4 alpha, exactly. With more than two views the negatives of a pair are of its own two views, unlike `nt_xent`'s.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, LossView, Variables};
use tch::{Kind, Tensor};

use crate::normalize::l2_normalize;
use crate::pairs::pairs;

/// What TOML can say.
#[derive(Parameters)]
pub struct ExtendedInfoNceParameters {
    /// Divides the cosines; the paper's alpha.
    #[parameter(default = 0.1, minimum = 0.001, maximum = 100.0)]
    temperature: f64,
    /// Weight of the negatives: 0 is BYOL, 1 SimCLR.
    #[parameter(default = 1.0, minimum = 0.0, maximum = 1.0)]
    beta: f64,
}

/// The loss; without state.
pub struct ExtendedInfoNce {
    temperature: f64,
    beta: f64,
}

impl Loss for ExtendedInfoNce {
    const ID: &'static str = "extended_info_nce";
    const DOC: &'static str = "The BYOL paper's extended InfoNCE: similarity of each view's prediction to the other's target \
        projection, less `beta` times the log-sum over the whole batch. `beta` 0 is BYOL; 1 without predictor and target is \
        SimCLR.\n\n\
        Figure: `positive_similarity`, the mean cosine.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = true;
    type Parameters = ExtendedInfoNceParameters;

    fn new(parameters: Self::Parameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(ExtendedInfoNce { temperature: parameters.temperature, beta: parameters.beta })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = inputs.views.len();
        let normalize = |select: fn(&LossView) -> &Tensor| {
            inputs.views.iter().map(|view| l2_normalize(select(view))).collect::<Result<Vec<_>, _>>()
        };
        let predictions = normalize(|view| &view.online_prediction)?;
        let targets = normalize(|view| &view.target_projection)?;
        let (mut terms, mut positives) = (Vec::new(), Vec::new());
        for (online, target) in pairs(views, views) {
            let (phi, psi) = (&predictions[online], &targets[target]);
            let positive = phi.f_mul(psi)?.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?;
            let mut term = positive.f_neg()?;
            // At 0 the matrices are not even computed: BYOL's loss at BYOL's price.
            if self.beta > 0.0 {
                let normaliser = self.log_sum(phi, &targets[online], psi)?;
                term = term.f_add(&normaliser.f_mul_scalar(self.beta * self.temperature)?)?;
            }
            terms.push(term.f_mean(None)?.f_mul_scalar(2.0)?);
            positives.push(positive.detach());
        }
        let loss = Tensor::f_stack(&terms, 0)?.f_sum(None)?;
        let positive_similarity = Tensor::f_stack(&positives, 0)?.f_mean(None)?;
        Ok(LossOutput { loss, figures: vec![("positive_similarity", positive_similarity)] })
    }
}

impl ExtendedInfoNce {
    /// The log of the sums for each row of `phi`, over the `own` view's other samples and over the `other` view; [batch].
    fn log_sum(&self, phi: &Tensor, own: &Tensor, other: &Tensor) -> Result<Tensor, Error> {
        let similarities = |psi: &Tensor| phi.f_mm(&psi.f_transpose(0, 1)?)?.f_div_scalar(self.temperature);
        let same_sample = Tensor::f_eye(phi.size()[0], (Kind::Bool, phi.device()))?;
        let within = similarities(own)?.f_masked_fill(&same_sample, f64::NEG_INFINITY)?;
        let all = Tensor::f_cat(&[within, similarities(other)?], 1)?;
        Ok(all.f_logsumexp([1].as_slice(), false)?)
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;
    use crate::byol_regression::ByolRegression;
    use crate::nt_xent::NtXent;
    use crate::testing::{Reference, figure, random, rows};

    fn build(temperature: f64, beta: f64) -> ExtendedInfoNce {
        let parameters = ExtendedInfoNceParameters { temperature, beta };
        build_loss::<ExtendedInfoNce>(parameters, Dimensions::default(), 0).unwrap().0
    }

    fn loss(temperature: f64, beta: f64, views: &[[&Tensor; 2]]) -> Tensor {
        run_loss(&mut build(temperature, beta), views).unwrap().loss
    }

    fn other<T: Loss>(views: &[[&Tensor; 2]]) -> f64 {
        let parameters = T::Parameters::defaults().unwrap();
        let mut loss = build_loss::<T>(parameters, Dimensions::default(), 0).unwrap().0;
        run_loss(&mut loss, views).unwrap().loss.double_value(&[])
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Sample 1 points right in both views, sample 2 up, then right; phi and psi alike. Positives: 1 and 0.
        let (first, second) = (rows(&[1.0, 0.0, 0.0, 5.0]), rows(&[2.0, 0.0, 3.0, 0.0]));
        let output = run_loss(&mut build(0.5, 0.5), &[[&first, &first], [&second, &second]]).unwrap();
        let e2 = 2f64.exp();
        // From the first view: sample 1 sees (0 | 1, 1), sample 2 (0 | 0, 0); from the second: (1 | 1, 0) and (1 | 1, 0).
        let logs = (1.0 + 2.0 * e2).ln() + 3f64.ln() + 2.0 * (2.0 * e2 + 1.0).ln();
        let expected = -(2.0 / 2.0) * 2.0 * (1.0 + 0.0) + 0.5 * (2.0 * 0.5 / 2.0) * logs;
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-12);
        assert!((figure(&output, "positive_similarity") - 0.5).abs() < 1e-12);
    }

    #[test]
    fn beta_0_is_byols_regression_less_2_per_pair() {
        tch::manual_seed(3);
        let views = [(); 3].map(|()| (random([4, 5]), random([4, 5])));
        let views = views.each_ref().map(|(prediction, target)| [prediction, target]);
        for (count, pairs) in [(2, 2.0), (3, 6.0)] {
            let found = loss(0.3, 0.0, &views[..count]).double_value(&[]);
            assert!((found - (other::<ByolRegression>(&views[..count]) - 2.0 * pairs)).abs() < 1e-12);
        }
    }

    #[test]
    fn beta_1_without_predictor_and_target_is_simclrs_loss_times_four_temperatures() {
        tch::manual_seed(4);
        let (first, second) = (random([6, 5]), random([6, 5]));
        let views = [[&first, &first], [&second, &second]];
        // `nt_xent`'s default temperature is 0.1.
        let found = loss(0.1, 1.0, &views).double_value(&[]);
        assert!((found - 0.4 * other::<NtXent>(&views)).abs() < 1e-12);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(5);
        let (point, second, first_target, second_target) =
            (random([3, 4]), random([3, 4]), random([3, 4]), random([3, 4]));
        let error = gradient_error(&point, |first| {
            loss(0.3, 0.7, &[[first, &first_target], [&second, &second_target]])
        });
        assert!(error < 1e-7, "prediction: {error}");
        // Without a target network the gradient flows through both sides.
        let error = gradient_error(&point, |first| loss(0.3, 0.7, &[[first, first], [&second, &second]]));
        assert!(error < 1e-7, "both: {error}");
    }

    #[test]
    fn agrees_with_the_papers_formula_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let views = [
            [&first, reference.get("first_target")],
            [reference.get("second"), reference.get("second_target")],
        ];
        let found = loss(0.2, 0.3, &views);
        reference.assert_agrees("extended_info_nce", &found, &first, 1e-10);
    }
}
