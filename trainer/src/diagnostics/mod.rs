//! Is the representation collapsing? Figures of one batch of projections, computed only when a step is logged.
//!
//! - z-std: standard deviation over the batch of L2-normalised components, averaged over components, times sqrt(d): 1 when the
//!   directions are spread evenly over the sphere, 0 when all are one point.
//! - effective rank: exp(entropy of the normalised singular values) (Roy and Vetterli 2007; RankMe, Garrido et al. 2023).
//! - alignment and uniformity: Wang and Isola 2020, with alpha = 2 and t = 2.

use tch::{Kind, Tensor};

use crate::metrics::{self, Record};

/// Figures of one batch; see the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnostics {
    /// 0 to about 1.
    pub z_std: f64,
    /// 1 to `rank_limit`.
    pub effective_rank: f64,
    /// The largest rank that the batch could show: the smaller of batch and dimensions.
    pub rank_limit: f64,
    /// 0 to 4.
    pub alignment: f64,
    /// -8 to 0.
    pub uniformity: f64,
}

impl Diagnostics {
    /// Of the online projections of a sample's first two views, float [batch, dimensions], rows in the same order.
    pub fn of(first: &Tensor, second: &Tensor) -> Diagnostics {
        tch::no_grad(|| {
            let x = normalised(first);
            let y = normalised(second);
            let (batch, dimensions) = x.size2().expect("projections have two dimensions");
            let z_std = x.std_dim(0, false, false).mean(Kind::Double) * (dimensions as f64).sqrt();

            // Singular values through the smaller Gram matrix: it is cheaper than a singular value decomposition.
            let gram = if batch < dimensions { x.matmul(&x.tr()) } else { x.tr().matmul(&x) };
            let singular = gram.linalg_eigvalsh("L").clamp_min(0.0).sqrt();
            let share = &singular / (singular.sum(Kind::Double) + 1e-12);
            let entropy = -(&share * (&share + 1e-12).log()).sum(Kind::Double);

            let alignment = (&x - &y).square().sum(Kind::Double) / batch as f64;
            let squared_distances = (x.matmul(&x.tr()) * -2.0 + 2.0).clamp_min(0.0);
            let potential = (squared_distances * -2.0).exp();
            let pairs = (batch * (batch - 1)).max(1) as f64;
            // The diagonal holds exp(0) for each sample with itself.
            let uniformity = ((potential.sum(Kind::Double) - batch as f64) / pairs).clamp_min(1e-30).log();

            // One transfer for all figures.
            let figures = Tensor::stack(&[z_std, entropy.exp(), alignment, uniformity], 0);
            let values = Vec::<f64>::try_from(figures).expect("four doubles");
            Diagnostics {
                z_std: values[0],
                effective_rank: values[1],
                rank_limit: batch.min(dimensions) as f64,
                alignment: values[2],
                uniformity: values[3],
            }
        })
    }

    /// True when the loss fell below what it was first and yet the projections lost their spread: z-std below a tenth of
    /// healthy, or effective rank below a twentieth of what it could be. Never from the loss alone.
    pub fn collapsing(&self, first_loss: f64, loss: f64) -> bool {
        loss < first_loss && (self.z_std < 0.1 || self.effective_rank < 0.05 * self.rank_limit)
    }

    /// Appends the figures under their metric names.
    pub(crate) fn record(&self, record: &mut Record) {
        record.push(metrics::Z_STD, self.z_std);
        record.push(metrics::EFFECTIVE_RANK, self.effective_rank);
        record.push(metrics::ALIGNMENT, self.alignment);
        record.push(metrics::UNIFORMITY, self.uniformity);
    }
}

/// Rows of length 1, in double precision.
fn normalised(projection: &Tensor) -> Tensor {
    let rows = projection.detach().to_kind(Kind::Double);
    let norms = rows.square().sum_dim_intlist(1, true, Kind::Double).sqrt().clamp_min(1e-12);
    rows / norms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axes_of_a_space_have_full_rank_and_are_evenly_spread() {
        let axes = Tensor::eye(8, (Kind::Float, tch::Device::Cpu));
        let both = Tensor::cat(&[&axes, &(-&axes)], 0);
        let figures = Diagnostics::of(&both, &both);
        assert!((figures.z_std - 1.0).abs() < 1e-6, "{figures:?}");
        assert!((figures.effective_rank - 8.0).abs() < 1e-6, "{figures:?}");
        assert!(figures.alignment.abs() < 1e-9);
        // Of 15 others one is at squared distance 4, fourteen at 2.
        let expected = ((14.0 * (-4.0f64).exp() + (-8.0f64).exp()) / 15.0).ln();
        assert!((figures.uniformity - expected).abs() < 1e-6, "{figures:?}");
    }

    #[test]
    fn one_point_has_rank_one_and_no_spread() {
        let point = Tensor::ones([16, 8], (Kind::Float, tch::Device::Cpu));
        let figures = Diagnostics::of(&point, &(-&point));
        assert!(figures.z_std.abs() < 1e-6, "{figures:?}");
        assert!((figures.effective_rank - 1.0).abs() < 1e-3, "{figures:?}");
        assert!((figures.alignment - 4.0).abs() < 1e-6);
        assert!(figures.uniformity.abs() < 1e-6);
    }

    #[test]
    fn collapse_needs_a_falling_loss_and_a_lost_spread() {
        let healthy = Diagnostics {
            z_std: 0.9,
            effective_rank: 60.0,
            rank_limit: 64.0,
            alignment: 0.1,
            uniformity: -3.0,
        };
        let point = Diagnostics { z_std: 0.02, effective_rank: 1.5, ..healthy };
        assert!(!healthy.collapsing(8.0, 0.1));
        assert!(point.collapsing(8.0, 0.1));
        assert!(!point.collapsing(8.0, 8.5));
    }
}
