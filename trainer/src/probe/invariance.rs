//! How little a network answers to an operator: the mean cosine of f(x) and f(op(x)) over images.
//!
//! ```text
//! cosine = mean over images of cos(f(x), f(op(x)))
//! pairs  = mean over all pairs of different images of cos(f(x), f(x'))
//! invariance = (cosine - pairs) / (1 - pairs)     1: op changes nothing; 0: as far apart as another image
//! ```
//!
//! A cosine alone says little: the embeddings of an encoder may all lie in a narrow cone, and those of a collapsed one in a
//! point, where every operator has a cosine of 1.

use tch::{Kind, Tensor};

/// Pairs of images more alike than this are one point: the spread `sqrt(1 - pairs)` is below 0.1, where a run's diagnostics see
/// a collapse.
const COLLAPSED: f64 = 0.99;

/// The cosine of different images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pairs {
    /// Mean over all pairs.
    pub cosine: f64,
}

/// The cosine of images and what an operator makes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cosine {
    /// Mean over the images.
    pub mean: f64,
    /// Standard deviation over the images.
    pub deviation: f64,
}

impl Pairs {
    /// Of the rows of `vectors`, float [images, width].
    pub fn of(vectors: &Tensor) -> Pairs {
        let images = vectors.size()[0] as f64;
        // The squared length of the sum holds every ordered pair, and each row with itself.
        let unit = unit(vectors);
        let itself = unit.square().sum(Kind::Double).double_value(&[]);
        let sum = unit.sum_dim_intlist(0, false, Kind::Double).square().sum(Kind::Double).double_value(&[]);
        Pairs { cosine: (sum - itself) / (images * (images - 1.0)).max(1.0) }
    }

    /// Whether all images are one point to the network.
    pub fn collapsed(&self) -> bool {
        self.cosine > COLLAPSED
    }

    /// The module's invariance; none for a collapsed network, which is invariant to everything and so to nothing.
    pub fn invariance(&self, cosine: &Cosine) -> Option<f64> {
        (!self.collapsed()).then(|| (cosine.mean - self.cosine) / (1.0 - self.cosine))
    }
}

impl Cosine {
    /// Of the rows of `before` and `after`, float [images, width] in the same order.
    pub fn of(before: &Tensor, after: &Tensor) -> Cosine {
        let cosines = (unit(before) * unit(after)).sum_dim_intlist(1, false, Kind::Double);
        Cosine {
            mean: cosines.mean(Kind::Double).double_value(&[]),
            deviation: cosines.std(false).double_value(&[]),
        }
    }
}

/// Rows of length 1, in double precision; rows of length 0 stay.
fn unit(vectors: &Tensor) -> Tensor {
    let rows = vectors.to_kind(Kind::Double);
    let lengths = rows.square().sum_dim_intlist(1, true, Kind::Double).sqrt().clamp_min(1e-12);
    rows / lengths
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn images() -> Tensor {
        tch::manual_seed(1);
        Tensor::rand([12, 3, 8, 8], (Kind::Float, Device::Cpu))
    }

    #[test]
    fn the_mean_of_all_pixels_is_invariant_to_a_flip_and_not_to_a_change_of_one_channel() {
        let encoder = |images: &Tensor| images.mean_dim([2, 3].as_slice(), false, Kind::Float);
        let before = encoder(&images());
        let flipped = Cosine::of(&before, &encoder(&images().flip([3])));
        assert!((flipped.mean - 1.0).abs() < 1e-9 && flipped.deviation < 1e-6, "{flipped:?}");
        let changed = &before * Tensor::from_slice(&[1.0f32, 0.0, 0.0]);
        assert!(Cosine::of(&before, &changed).mean < 0.7);
    }

    #[test]
    fn pairs_are_all_pairs_of_different_rows() {
        // Angles 0, 60 and 180 degrees: cosines 0.5, -1 and -0.5.
        let rows = Tensor::from_slice(&[2.0f64, 0.0, 0.5, 0.75f64.sqrt(), -3.0, 0.0]).view([3, 2]);
        assert!((Pairs::of(&rows).cosine - (0.5 - 1.0 - 0.5) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_collapsed_encoder_is_told_from_an_invariant_one() {
        let point = Tensor::ones([8, 4], (Kind::Float, Device::Cpu));
        let collapsed = Pairs::of(&(&point + 1e-3 * images().flatten(1, -1).narrow(0, 0, 8).narrow(1, 0, 4)));
        let cosine = Cosine::of(&point, &point);
        assert!(collapsed.collapsed());
        assert_eq!(collapsed.invariance(&cosine), None);
        let axes = Pairs::of(&Tensor::eye(8, (Kind::Float, Device::Cpu)));
        assert!(!axes.collapsed());
        assert_eq!(axes.invariance(&cosine), Some(1.0));
    }

    #[test]
    fn what_is_as_far_apart_as_other_images_has_an_invariance_of_zero() {
        let axes = Tensor::eye(6, (Kind::Float, Device::Cpu));
        let cosine = Cosine::of(&axes, &axes.roll([1], [0]));
        assert_eq!(Pairs::of(&axes).invariance(&cosine), Some(0.0));
    }
}
