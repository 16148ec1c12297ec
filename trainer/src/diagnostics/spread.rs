//! How the vectors of one batch lie on the sphere: figures that tell a representation from a collapsed one.

use tch::{Kind, Tensor};

use crate::metrics::{self, Record};

/// Figures of the L2-normalised vectors of a sample's first two views.
///
/// - std: standard deviation over the batch of the components, averaged over components, times sqrt(d): 1 when the directions are
///   spread evenly over the sphere, 0 when all are one point.
/// - effective rank: exp(entropy of the normalised singular values) (Roy and Vetterli 2007; RankMe, Garrido et al. 2023).
/// - alignment and uniformity: Wang and Isola 2020, with alpha = 2 and t = 2.
/// - cosines: of the two views of a sample, and of different samples.
/// - dead dimensions: share of the components whose deviation times sqrt(d) is below 0.01.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// 0 to about 1.
    pub std: f64,
    /// 1 to `rank_limit`.
    pub effective_rank: f64,
    /// The largest rank that the batch could show: the smaller of batch and dimensions.
    pub rank_limit: f64,
    /// 0 to 4.
    pub alignment: f64,
    /// -8 to 0.
    pub uniformity: f64,
    /// -1 to 1.
    pub positive_cosine: f64,
    /// -1 to 1.
    pub random_cosine: f64,
    /// 0 to 1.
    pub dead_dimensions: f64,
}

impl Spread {
    /// Of float tensors [batch, dimensions], rows in the same order.
    pub fn of(first: &Tensor, second: &Tensor) -> Spread {
        tch::no_grad(|| {
            let (batch, dimensions) = first.size2().expect("vectors of a batch have two dimensions");
            let Products { cosines, features, positive_cosine, deviations } = Products::of(first, second);
            // Singular values through the smaller Gram matrix: it is cheaper than a singular value decomposition.
            let gram = features.as_ref().unwrap_or(&cosines);
            let singular = gram.linalg_eigvalsh("L").clamp_min(0.0).sqrt();
            let share = &singular / (singular.sum(Kind::Double) + 1e-12);
            let entropy = -(&share * (&share + 1e-12).log()).sum(Kind::Double);

            let potential = ((&cosines * -2.0 + 2.0).clamp_min(0.0) * -2.0).exp();
            let pairs = (batch * (batch - 1)).max(1) as f64;
            // The diagonals hold exp(0), and cosines of 1, for each sample with itself.
            let uniformity = ((potential.sum(Kind::Double) - batch as f64) / pairs).clamp_min(1e-30).log();
            let random_cosine = (cosines.sum(Kind::Double) - batch as f64) / pairs;
            let dead = deviations.lt(0.01).mean(Kind::Double);

            // One transfer for all figures.
            let figures = [
                &deviations.mean(Kind::Double),
                &entropy.exp(),
                &positive_cosine,
                &uniformity,
                &random_cosine,
                &dead,
            ];
            let values = Vec::<f64>::try_from(Tensor::stack(&figures, 0)).expect("six doubles");
            Spread {
                std: values[0],
                effective_rank: values[1],
                rank_limit: batch.min(dimensions) as f64,
                // Of unit vectors |x - y|^2 = 2 - 2 cos.
                alignment: (2.0 - 2.0 * values[2]).max(0.0),
                uniformity: values[3],
                positive_cosine: values[2],
                random_cosine: values[4],
                dead_dimensions: values[5],
            }
        })
    }

    /// Appends the figures, under their metric names behind `place`.
    pub(super) fn record(&self, place: &str, record: &mut Record) {
        let figures = [
            (metrics::Z_STD, self.std),
            (metrics::EFFECTIVE_RANK, self.effective_rank),
            (metrics::ALIGNMENT, self.alignment),
            (metrics::UNIFORMITY, self.uniformity),
            (metrics::POSITIVE_COSINE, self.positive_cosine),
            (metrics::RANDOM_COSINE, self.random_cosine),
            (metrics::DEAD_DIMENSIONS, self.dead_dimensions),
        ];
        figures.into_iter().for_each(|(name, value)| record.push(format!("{place}{name}"), value));
    }
}

/// Columns that are looked at in double precision at a time: all of DINO's 60000 at once are more than a device may have room for.
const BLOCK: i64 = 8192;

/// What the figures come from, in double precision; of the vectors x of the first view and y of the second, of length 1.
struct Products {
    /// x x', [batch, batch].
    cosines: Tensor,
    /// x' x, [dimensions, dimensions], where that is the smaller one.
    features: Option<Tensor>,
    /// Mean of the products of x and y, a scalar.
    positive_cosine: Tensor,
    /// Of each component, times sqrt(d); [dimensions].
    deviations: Tensor,
}

impl Products {
    fn of(first: &Tensor, second: &Tensor) -> Products {
        let (batch, dimensions) = first.size2().expect("vectors of a batch have two dimensions");
        let [x_norms, y_norms] = [first, second].map(|rows| {
            rows.norm_scalaropt_dim_dtype(2.0, [1].as_slice(), true, Kind::Double).clamp_min(1e-12)
        });
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, first.device()));
        let (mut cosines, mut positive) = (zeros(&[batch, batch]), zeros(&[]));
        let (mut deviations, mut features) = (Vec::new(), None);
        for start in (0..dimensions).step_by(BLOCK as usize) {
            let columns = BLOCK.min(dimensions - start);
            let block = |rows: &Tensor, norms: &Tensor| {
                rows.detach().narrow(1, start, columns).to_kind(Kind::Double) / norms
            };
            let (x, y) = (block(first, &x_norms), block(second, &y_norms));
            cosines += x.matmul(&x.tr());
            positive += (&x * &y).sum(Kind::Double);
            deviations.push(x.std_dim(0, false, false) * (dimensions as f64).sqrt());
            if columns == dimensions && dimensions <= batch {
                features = Some(x.tr().matmul(&x));
            }
        }
        let positive_cosine = positive / batch as f64;
        Products { cosines, features, positive_cosine, deviations: Tensor::cat(&deviations, 0) }
    }
}

/// Rows of length 1, in double precision.
pub(super) fn normalised(rows: &Tensor) -> Tensor {
    let rows = rows.detach().to_kind(Kind::Double);
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
        let figures = Spread::of(&both, &both);
        assert!((figures.std - 1.0).abs() < 1e-6, "{figures:?}");
        assert!((figures.effective_rank - 8.0).abs() < 1e-6, "{figures:?}");
        assert!(figures.alignment.abs() < 1e-9 && (figures.positive_cosine - 1.0).abs() < 1e-9);
        // Of 15 others one is at squared distance 4, fourteen at 2.
        let expected = ((14.0 * (-4.0f64).exp() + (-8.0f64).exp()) / 15.0).ln();
        assert!((figures.uniformity - expected).abs() < 1e-6, "{figures:?}");
        assert!((figures.random_cosine + 1.0 / 15.0).abs() < 1e-9, "{figures:?}");
        assert_eq!(figures.dead_dimensions, 0.0);
    }

    #[test]
    fn one_point_has_rank_one_and_no_spread() {
        let point = Tensor::ones([16, 8], (Kind::Float, tch::Device::Cpu));
        let figures = Spread::of(&point, &(-&point));
        assert!(figures.std.abs() < 1e-6, "{figures:?}");
        assert!((figures.effective_rank - 1.0).abs() < 1e-3, "{figures:?}");
        assert!((figures.alignment - 4.0).abs() < 1e-6 && (figures.positive_cosine + 1.0).abs() < 1e-6);
        assert!(figures.uniformity.abs() < 1e-6 && (figures.random_cosine - 1.0).abs() < 1e-6);
        assert_eq!(figures.dead_dimensions, 1.0);
    }

    #[test]
    fn vectors_that_are_looked_at_in_blocks_have_the_same_figures() {
        let values = (Tensor::arange(48 * 24, (Kind::Float, tch::Device::Cpu)) * 0.7).sin().view([48, 24]);
        let other = &values + (&values * 5.0).cos() * 0.3;
        // Each component in as many places: no cosine changes, nor any figure that is relative to the number of dimensions.
        let copies = BLOCK / 24 + 2;
        let wide = |rows: &Tensor| rows.repeat([1, copies]);
        let narrow = Spread::of(&values, &other);
        let wide = Spread::of(&wide(&values), &wide(&other));
        for (narrow, wide) in [
            (narrow.std, wide.std),
            (narrow.effective_rank, wide.effective_rank),
            (narrow.alignment, wide.alignment),
            (narrow.uniformity, wide.uniformity),
            (narrow.positive_cosine, wide.positive_cosine),
            (narrow.random_cosine, wide.random_cosine),
        ] {
            assert!((narrow - wide).abs() < 1e-4, "{narrow}, {wide}");
        }
    }

    #[test]
    fn dimensions_that_are_always_zero_are_dead() {
        let axes = Tensor::eye(4, (Kind::Float, tch::Device::Cpu)).constant_pad_nd([0, 12]);
        assert_eq!(Spread::of(&axes, &axes).dead_dimensions, 0.75);
    }
}
