//! Confidence intervals of a mean over few seeds.
//!
//! A percentile bootstrap (Efron 1979) of the mean, from [`RESAMPLES`] resamples drawn under a fixed seed, so that the same
//! values give the same interval on every machine. Of three values it is no more than their range, and of fewer than about
//! ten it is too narrow; Student's t, which takes differences for normal, is given as a second opinion.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Fewer values have no interval.
pub const LEAST_SEEDS: usize = 3;
/// Resamples of a bootstrap.
pub const RESAMPLES: usize = 10_000;
/// Key of the bootstrap's draws.
pub const BOOTSTRAP_SEED: u64 = 0;
/// What an interval holds of the resampled means, and nominally the chance that it holds the mean.
pub const CONFIDENCE: f64 = 0.95;

/// Percentile bootstrap interval of the mean; `None` of fewer than [`LEAST_SEEDS`] values.
pub fn bootstrap(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < LEAST_SEEDS {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(BOOTSTRAP_SEED);
    let count = values.len() as u64;
    // The high half of a product maps 32 random bits onto the values; what that favours some by is below 1e-8.
    let mut draw = || values[((u64::from(random.next_u32()) * count) >> 32) as usize];
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..values.len()).map(|_| draw()).sum::<f64>() / values.len() as f64)
        .collect();
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some((quantile(&mut means, tail), quantile(&mut means, 1.0 - tail)))
}

/// Half the width of Student's interval around the mean; `None` of fewer than [`LEAST_SEEDS`] values.
pub fn student_half_width(values: &[f64]) -> Option<f64> {
    if values.len() < LEAST_SEEDS {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok()?;
    Some(student.inverse_cdf(0.5 + CONFIDENCE / 2.0) * (variance / count).sqrt())
}

/// Linear between the two nearest, as NumPy's default. Brings `values` into another order: only two of them need their places,
/// which takes a fraction of sorting them all.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let place = share * (values.len() - 1) as f64;
    let (_, below, rest) = values.select_nth_unstable_by(place.floor() as usize, f64::total_cmp);
    let above = rest.iter().copied().min_by(f64::total_cmp).unwrap_or(*below);
    *below + (above - *below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SciPy's intervals, see tests/reference/statistics_reference.py.
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        values: Vec<f64>,
        percentile: (f64, f64),
        student_half_width: f64,
    }

    fn cases() -> Vec<Case> {
        let text = include_str!("../../../../tests/reference/statistics_reference.json");
        serde_json::from_str(text).unwrap()
    }

    fn spread(values: &[f64]) -> f64 {
        let high = values.iter().copied().fold(f64::MIN, f64::max);
        high - values.iter().copied().fold(f64::MAX, f64::min)
    }

    /// Samples of 3 to 12 values from -50 to 50.
    fn samples() -> impl Iterator<Item = Vec<f64>> {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        (0..60).map(move |index| {
            (0..3 + index % 10)
                .map(|_| f64::from(random.next_u32()) / f64::from(u32::MAX) * 100.0 - 50.0)
                .collect()
        })
    }

    #[test]
    fn the_bootstrap_is_scipys_to_the_noise_of_its_resamples() {
        for case in cases() {
            let (low, high) = bootstrap(&case.values).unwrap();
            let noise = 0.02 * spread(&case.values) + 1e-12;
            let (expected_low, expected_high) = case.percentile;
            assert!((low - expected_low).abs() <= noise, "{}: {low} {expected_low}", case.name);
            assert!((high - expected_high).abs() <= noise, "{}: {high} {expected_high}", case.name);
        }
    }

    #[test]
    fn students_interval_is_scipys() {
        for case in cases() {
            let half = student_half_width(&case.values).unwrap();
            assert!((half - case.student_half_width).abs() < 1e-9 * (1.0 + half), "{}: {half}", case.name);
        }
    }

    #[test]
    fn of_three_values_the_bootstrap_is_their_range() {
        let (low, high) = bootstrap(&[16.9, 8.0, 12.6]).unwrap();
        assert!((low - 8.0).abs() < 1e-12 && (high - 16.9).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn fewer_than_three_values_have_no_interval() {
        for values in [&[][..], &[1.0], &[1.0, 2.0]] {
            assert_eq!((bootstrap(values), student_half_width(values)), (None, None));
        }
    }

    #[test]
    fn the_interval_holds_the_mean_and_stays_within_the_range() {
        for values in samples() {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let (low, high) = bootstrap(&values).unwrap();
            assert!(low <= mean && mean <= high, "{values:?}");
            assert!(high - low <= spread(&values) + 1e-9, "{values:?}");
        }
    }

    #[test]
    fn shifting_and_scaling_the_values_shifts_and_scales_the_interval() {
        for values in samples() {
            let (low, high) = bootstrap(&values).unwrap();
            let changed: Vec<f64> = values.iter().map(|value| 3.0 + 2.0 * value).collect();
            let (changed_low, changed_high) = bootstrap(&changed).unwrap();
            assert!((changed_low - (3.0 + 2.0 * low)).abs() < 1e-9, "{values:?}");
            assert!((changed_high - (3.0 + 2.0 * high)).abs() < 1e-9, "{values:?}");
        }
    }

    #[test]
    fn the_same_values_give_the_same_interval() {
        for values in samples().take(5) {
            assert_eq!(bootstrap(&values), bootstrap(&values));
        }
    }
}
