//! Ridge regression on standardised features, in double precision, judged on samples that it was not fitted on:
//!
//! ```text
//! W = argmin |Y - X W|^2 / n + lambda |W|^2        (X standardised, Y centred, over the n samples of the fit)
//! R^2 = 1 - sum |y - y'|^2 / sum |y - mean of y|^2 (over the held-out samples, and over all targets)
//! ```
//!
//! 1 when every target is read off exactly, 0 when no better than the held-out mean, below 0 when worse.

use tch::{Kind, Tensor};

use super::config::FitConfig;
use super::split::Split;

/// Share of the samples of a fit that the penalty is chosen on.
const CHOOSING: i64 = 4;

/// How well the targets can be read off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Explained {
    /// R^2 on the held-out samples.
    pub r2: f64,
    /// The penalty that was chosen.
    pub lambda: f64,
}

/// Fits `targets` (float [samples, targets]) on `features` (float [samples, width]).
pub(super) fn explained(features: &Tensor, targets: &Tensor, split: &Split, config: &FitConfig) -> Explained {
    tch::no_grad(|| {
        let rows = |rows: &Tensor| {
            let double = |of: &Tensor| of.index_select(0, rows).to_kind(Kind::Double);
            (double(features), double(targets))
        };
        let (fit, held_out) = (rows(&split.fit), rows(&split.held_out));
        let lambda = match config.ridge[..] {
            [only] => only,
            _ => choose(&fit, &config.ridge),
        };
        Explained { r2: Ridge::of(&fit).r2(lambda, &held_out), lambda }
    })
}

/// The penalty with the best R^2 on the last quarter of the samples of the fit.
fn choose((features, targets): &(Tensor, Tensor), penalties: &[f64]) -> f64 {
    let samples = features.size()[0];
    let fit = (samples - samples / CHOOSING).max(1);
    let part = |from: i64, count: i64| (features.narrow(0, from, count), targets.narrow(0, from, count));
    let (ridge, judged) = (Ridge::of(&part(0, fit)), part(fit, samples - fit));
    let score = |lambda: f64| ridge.r2(lambda, &judged);
    let mut best = (f64::NEG_INFINITY, penalties[0]);
    for &lambda in penalties {
        let r2 = score(lambda);
        if r2 > best.0 {
            best = (r2, lambda);
        }
    }
    best.1
}

/// A problem in the axes in which every penalty is solved by a division.
struct Ridge {
    mean: Tensor,
    deviation: Tensor,
    target_mean: Tensor,
    /// Eigenvalues of X^T X / n, [width].
    values: Tensor,
    /// Eigenvectors as columns, [width, width].
    vectors: Tensor,
    /// V^T X^T Y / n, [width, targets].
    projected: Tensor,
}

impl Ridge {
    fn of((features, targets): &(Tensor, Tensor)) -> Ridge {
        let samples = features.size()[0] as f64;
        let mean = features.mean_dim(0, true, Kind::Double);
        let deviation = features.std_dim(0, false, true).clamp_min(1e-8);
        let x = (features - &mean) / &deviation;
        let target_mean = targets.mean_dim(0, true, Kind::Double);
        let y = targets - &target_mean;
        let (values, vectors) = (x.tr().matmul(&x) / samples).linalg_eigh("L");
        let projected = vectors.tr().matmul(&(x.tr().matmul(&y) / samples));
        Ridge { mean, deviation, target_mean, values, vectors, projected }
    }

    fn r2(&self, lambda: f64, (features, targets): &(Tensor, Tensor)) -> f64 {
        let weights = self.vectors.matmul(&(&self.projected / (&self.values + lambda).unsqueeze(1)));
        let x = (features - &self.mean) / &self.deviation;
        let answers = x.matmul(&weights) + &self.target_mean;
        let sum = |of: Tensor| of.square().sum(Kind::Double).double_value(&[]);
        let total = sum(targets - targets.mean_dim(0, true, Kind::Double));
        if total == 0.0 { 0.0 } else { 1.0 - sum(targets - answers) / total }
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn config() -> FitConfig {
        FitConfig { held_out_fraction: 0.25, ridge: vec![1e-4, 1e-2, 1.0], l2: 1e-3 }
    }

    fn noise(rows: i64, width: i64, seed: i64) -> Tensor {
        tch::manual_seed(seed);
        Tensor::randn([rows, width], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_planted_quantity_is_found_and_noise_is_not() {
        let features = noise(1200, 16, 3);
        let planted = features.narrow(1, 5, 1) * 3.0 - features.narrow(1, 0, 1) + 7.0;
        let split = Split::of(1200, 1, 0.25, 0, Device::Cpu);
        let found = explained(&features, &planted, &split, &config());
        assert!(found.r2 > 0.999, "{found:?}");
        let nothing = explained(&features, &noise(1200, 1, 4), &split, &config());
        assert!(nothing.r2.abs() < 0.08, "{nothing:?}");
    }

    #[test]
    fn half_a_quantity_beside_as_much_noise_is_half_explained() {
        let features = noise(4000, 4, 5);
        let target = features.narrow(1, 2, 1) + noise(4000, 1, 6);
        let split = Split::of(4000, 1, 0.25, 0, Device::Cpu);
        let found = explained(&features, &target, &split, &config());
        assert!((found.r2 - 0.5).abs() < 0.06, "{found:?}");
    }

    #[test]
    fn constant_features_and_constant_targets_explain_nothing() {
        let split = Split::of(40, 1, 0.25, 0, Device::Cpu);
        let same = Tensor::ones([40, 3], (Kind::Float, Device::Cpu));
        assert!(explained(&same, &noise(40, 1, 1), &split, &config()).r2 <= 0.0);
        assert_eq!(explained(&noise(40, 3, 2), &same, &split, &config()).r2, 0.0);
    }

    #[test]
    fn one_feature_and_one_penalty_give_the_slope_worked_out_by_hand() {
        // x = +-1 (deviation 1), y = +-2: X^T Y / n = 2, eigenvalue 1, so that the slope is 2 / (1 + lambda) = 1.
        let rows = |values: &[f64]| Tensor::from_slice(values).view([-1, 1]);
        let fit = (rows(&[1.0, -1.0]), rows(&[2.0, -2.0]));
        // Residuals are 2 - 1 and -2 + 1: R^2 = 1 - 2 / 8.
        assert!((Ridge::of(&fit).r2(1.0, &fit) - 0.75).abs() < 1e-12);
    }
}
