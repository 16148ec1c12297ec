//! Projections onto the unit sphere.

use diptych_sdk_tensor::Error;
use tch::{Kind, Tensor};

/// Rows of `x` [batch, dimensions] divided by their Euclidean norm. As in BYOL's code the squared norm counts as 1e-12 at
/// least, so that a row of zeros stays one and has a finite gradient.
pub fn l2_normalize(x: &Tensor) -> Result<Tensor, Error> {
    let square = x.f_square()?.f_sum_dim_intlist([-1].as_slice(), true, None::<Kind>)?;
    Ok(x.f_mul(&square.f_clamp_min(1e-12)?.f_rsqrt()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_unit_vectors_and_a_zero_row_stays_zero() {
        let x = Tensor::from_slice(&[3f64, 4.0, 0.0, 0.0]).view([2, 2]).set_requires_grad(true);
        let normalized = l2_normalize(&x).unwrap();
        let values = Vec::<f64>::try_from(normalized.detach().view(-1)).unwrap();
        assert!(
            values.iter().zip([0.6, 0.8, 0.0, 0.0]).all(|(found, expected)| (found - expected).abs() < 1e-15)
        );
        normalized.sum(Kind::Double).backward();
        let gradient = Vec::<f64>::try_from(x.grad().view(-1)).unwrap();
        assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
    }
}
