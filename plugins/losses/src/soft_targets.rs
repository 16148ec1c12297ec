//! Predicting a distribution over prototypes.

use diptych_sdk_tensor::Error;
use tch::{Kind, Tensor};

/// Mean over the batch of the cross-entropy of softmax(`scores` / `temperature`) under `targets`; both [batch, prototypes], rows
/// of `targets` sum to 1.
pub fn cross_entropy(targets: &Tensor, scores: &Tensor, temperature: f64) -> Result<Tensor, Error> {
    let log_probability = scores.f_div_scalar(temperature)?.f_log_softmax(-1, None::<Kind>)?;
    let agreement =
        targets.f_mul(&log_probability)?.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?;
    Ok(agreement.f_mean(None)?.f_neg()?)
}

/// Mean entropy of the rows of `targets` [batch, prototypes], in nats.
pub fn entropy(targets: &[Tensor]) -> Result<Tensor, Error> {
    tch::no_grad(|| {
        let all = Tensor::f_cat(targets, 0)?;
        let terms = all.f_mul(&all.f_clamp_min(1e-30)?.f_log()?)?;
        Ok(terms.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?.f_mean(None)?.f_neg()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows;

    #[test]
    fn a_uniform_prediction_costs_the_logarithm_of_the_number_of_prototypes() {
        let targets = rows(&[1.0, 0.0, 0.25, 0.75]);
        let loss = cross_entropy(&targets, &rows(&[3.0, 3.0, -1.0, -1.0]), 0.1).unwrap();
        assert!((loss.double_value(&[]) - 2f64.ln()).abs() < 1e-12);
        let sure = cross_entropy(&rows(&[1.0, 0.0]), &rows(&[1.0, 0.0]), 0.5).unwrap();
        assert!((sure.double_value(&[]) - (1.0 + (-2f64).exp()).ln()).abs() < 1e-12);
    }

    #[test]
    fn entropy_is_0_for_a_choice_and_that_of_a_coin_for_halves() {
        let found = entropy(&[rows(&[1.0, 0.0]), rows(&[0.5, 0.5])]).unwrap().double_value(&[]);
        assert!((found - 2f64.ln() / 2.0).abs() < 1e-12);
    }
}
