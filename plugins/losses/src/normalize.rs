//! Vectors brought to one scale.

use diptych_sdk_tensor::Error;
use tch::{Kind, Tensor};

/// Rows of `x` [batch, dimensions] divided by their Euclidean norm. As in BYOL's code the squared norm counts as 1e-12 at
/// least, so that a row of zeros stays one and has a finite gradient.
pub fn l2_normalize(x: &Tensor) -> Result<Tensor, Error> {
    let square = x.f_square()?.f_sum_dim_intlist([-1].as_slice(), true, None::<Kind>)?;
    Ok(x.f_mul(&square.f_clamp_min(1e-12)?.f_rsqrt()?)?)
}

/// Columns of `x` [batch, dimensions] brought to mean 0 and (biased) deviation 1 over the batch, as by a batch norm without scale
/// and shift; epsilon 1e-5.
pub fn standardize(x: &Tensor) -> Result<Tensor, Error> {
    let none = None::<&Tensor>;
    Ok(x.f_batch_norm(none, none, none, none, true, 0.0, 1e-5, false)?)
}

/// The mean cosine of rows of `a` and `b`, without gradient.
pub fn mean_cosine(a: &Tensor, b: &Tensor) -> Result<Tensor, Error> {
    tch::no_grad(|| {
        let cosines = l2_normalize(a)?.f_mul(&l2_normalize(b)?)?;
        Ok(cosines.f_sum_dim_intlist([-1].as_slice(), false, None::<Kind>)?.f_mean(None)?)
    })
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

    #[test]
    fn columns_become_standard_and_a_constant_column_becomes_zero() {
        let x = Tensor::from_slice(&[1f64, 7.0, 3.0, 7.0]).view([2, 2]);
        let values = Vec::<f64>::try_from(standardize(&x).unwrap().view(-1)).unwrap();
        assert!(
            values.iter().zip([-1.0, 0.0, 1.0, 0.0]).all(|(found, expected)| (found - expected).abs() < 1e-5)
        );
    }

    #[test]
    fn the_mean_cosine_is_of_directions_alone() {
        let a = Tensor::from_slice(&[1f64, 0.0, 0.0, 2.0]).view([2, 2]);
        let b = Tensor::from_slice(&[3f64, 4.0, 0.0, 9.0]).view([2, 2]);
        assert!((mean_cosine(&a, &b).unwrap().double_value(&[]) - 0.8).abs() < 1e-12);
    }
}
