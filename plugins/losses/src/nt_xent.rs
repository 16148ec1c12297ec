//! The normalised temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, eq. 1).
//!
//! With s(a, b) = cos(a, b) / temperature and z the online projections, for every sample k and every ordered pair of its
//! views (i, j),
//!
//! ```text
//! loss_kij = -log( exp s(z_ki, z_kj) / (exp s(z_ki, z_kj) + sum over other samples l and all views v of exp s(z_ki, z_lv)) )
//! ```
//!
//! averaged over k, i, j. z is [batch N, dimensions]; two views give the paper's 2N - 2 negatives, V views V(N - 1).
//! Guessing gives log(1 + V(N - 1)).

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, Variables};
use tch::{Kind, Tensor};

use crate::normalize::l2_normalize;

/// What TOML can say.
#[derive(Parameters)]
pub struct NtXentParameters {
    /// Divides the cosines. SimCLR: 0.1 on ImageNet, 0.5 on CIFAR-10.
    #[parameter(default = 0.1, minimum = 0.001, maximum = 100.0)]
    temperature: f64,
}

/// The loss; without state.
pub struct NtXent {
    temperature: f64,
}

impl Loss for NtXent {
    const ID: &'static str = "nt_xent";
    const DOC: &'static str = "Cross-entropy of finding a sample's other view among the projections of the whole batch, by cosine \
        over temperature (SimCLR).\n\n\
        Figures: `positive_similarity`, the mean cosine of two views of a sample; `contrastive_accuracy`, how often \
        the other view is nearer than every other sample.";
    const READS_TARGET: bool = false;
    const READS_PREDICTION: bool = false;
    type Parameters = NtXentParameters;

    fn new(parameters: NtXentParameters, _: &Dimensions, _: &mut Variables) -> Result<Self, Error> {
        Ok(NtXent { temperature: parameters.temperature })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let projections: Vec<&Tensor> = inputs.views.iter().map(|view| &view.online_projection).collect();
        let (views, batch) = (projections.len() as i64, projections[0].size()[0]);
        if batch < 2 {
            return Err(Error::new(format_args!(
                "found a batch of {batch} sample, expected at least 2: the other samples are the negatives"
            )));
        }
        // [views * batch, dimensions], view after view.
        let z = l2_normalize(&Tensor::f_cat(&projections, 0)?)?;
        let similarities = z.f_mm(&z.f_transpose(0, 1)?)?.f_div_scalar(self.temperature)?;
        let same_sample = Tensor::f_eye(batch, (Kind::Bool, z.device()))?.f_repeat([views, views])?;
        let negatives = similarities.f_masked_fill(&same_sample, f64::NEG_INFINITY)?;
        let normaliser = negatives.f_logsumexp([1].as_slice(), false)?;

        let mut positives = Vec::new();
        for other in 1..views {
            let shifted = z.f_roll([-other * batch], [0])?;
            let cosine = z.f_mul(&shifted)?.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?;
            positives.push(cosine.f_div_scalar(self.temperature)?);
        }
        // [views - 1, views * batch]
        let positives = Tensor::f_stack(&positives, 0)?;
        let loss = positives.f_logaddexp(&normaliser)?.f_sub(&positives)?.f_mean(None)?;
        let figures = tch::no_grad(|| {
            let similarity = positives.f_mean(None)?.f_mul_scalar(self.temperature)?;
            let nearest = negatives.f_amax([1].as_slice(), false)?;
            let accuracy = positives.f_gt_tensor(&nearest)?.f_mean(positives.kind())?;
            Ok::<_, Error>(vec![("positive_similarity", similarity), ("contrastive_accuracy", accuracy)])
        })?;
        Ok(LossOutput { loss, figures })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

    use super::*;

    fn nt_xent(temperature: f64) -> NtXent {
        build_loss::<NtXent>(NtXentParameters { temperature }, Dimensions::default(), 0).unwrap().0
    }

    fn run(loss: &mut NtXent, views: &[&Tensor]) -> LossOutput {
        let views: Vec<[&Tensor; 2]> = views.iter().map(|view| [*view, *view]).collect();
        run_loss(loss, &views).unwrap()
    }

    fn rows(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).view([-1, 2])
    }

    #[test]
    fn the_default_temperature_is_the_papers() {
        assert_eq!(NtXentParameters::defaults().unwrap().temperature, 0.1);
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        // Sample 1 points right in both views, sample 2 up, then right. Cosines of positives: 1 and 0.
        let (first, second) = (rows(&[1.0, 0.0, 0.0, 5.0]), rows(&[2.0, 0.0, 3.0, 0.0]));
        let output = run(&mut nt_xent(0.5), &[&first, &second]);
        let e2 = 2f64.exp();
        // Per anchor (positive; negatives): 1.1 (1; 0, 1), 1.2 (0; 0, 0), 2.1 (1; 0, 1), 2.2 (0; 1, 1).
        let term = |positive: f64, negatives: f64| -(positive / (positive + negatives)).ln();
        let expected = (2.0 * term(e2, 1.0 + e2) + term(1.0, 2.0) + term(1.0, 2.0 * e2)) / 4.0;
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-12);
        let figures: HashMap<_, _> =
            output.figures.iter().map(|(name, value)| (*name, value.double_value(&[]))).collect();
        assert!((figures["positive_similarity"] - 0.5).abs() < 1e-12);
        assert_eq!(figures["contrastive_accuracy"], 0.0);
    }

    #[test]
    fn accuracy_is_one_when_views_agree_and_samples_differ() {
        let view = rows(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
        let output = run(&mut nt_xent(0.1), &[&view, &view, &view]);
        assert_eq!(output.figures[1].0, "contrastive_accuracy");
        assert_eq!(output.figures[1].1.double_value(&[]), 1.0);
    }

    #[test]
    fn equal_projections_give_the_loss_of_guessing() {
        let view = Tensor::ones([5, 3], (Kind::Double, tch::Device::Cpu));
        for views in [2, 3] {
            let output = run(&mut nt_xent(0.2), &vec![&view; views]);
            let expected = (1.0 + (views * 4) as f64).ln();
            assert!((output.loss.double_value(&[]) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(2);
        let random = || Tensor::randn([3, 4], (Kind::Double, tch::Device::Cpu));
        let (point, second, third) = (random(), random(), random());
        let error = gradient_error(&point, |first| run(&mut nt_xent(0.3), &[first, &second]).loss);
        assert!(error < 1e-7, "two views: {error}");
        let error = gradient_error(&point, |first| run(&mut nt_xent(0.3), &[first, &second, &third]).loss);
        assert!(error < 1e-7, "three views: {error}");
    }

    #[test]
    fn agrees_with_simclrs_formulation_in_pytorch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/reference/torch_reference.safetensors");
        let reference: HashMap<String, Tensor> =
            Tensor::read_safetensors(path).unwrap().into_iter().collect();
        let first = reference["nt_xent.first"].copy().set_requires_grad(true);
        // The reference averages over the batch and halves the sum of both directions.
        let loss = run(&mut nt_xent(0.2), &[&first, &reference["nt_xent.second"]]).loss;
        assert!((loss.double_value(&[]) - reference["nt_xent.loss"].double_value(&[0])).abs() < 1e-10);
        loss.backward();
        let error = (first.grad() - &reference["nt_xent.gradient"]).abs().max().double_value(&[]);
        assert!(error < 1e-10, "{error}");
    }

    #[test]
    fn a_batch_without_negatives_is_an_error() {
        let view = rows(&[1.0, 0.0]);
        let message = run_loss(&mut nt_xent(0.1), &[[&view, &view], [&view, &view]]).unwrap_err().to_string();
        assert_eq!(
            message,
            "found a batch of 1 sample, expected at least 2: the other samples are the negatives"
        );
    }
}
