//! Which samples a probe is fitted on, and which it is judged on: no image is in both.

use diptych_abi::RandomStream;
use diptych_pipeline::random;
use tch::{Device, Tensor};

/// Rows of a table of features, int64 each.
pub(super) struct Split {
    /// To fit on.
    pub fit: Tensor,
    /// To judge on.
    pub held_out: Tensor,
}

impl Split {
    /// Of `images`, each of which has `copies` rows: row `copy * images + image`.
    pub(super) fn of(images: usize, copies: usize, fraction: f64, seed: u64, device: Device) -> Split {
        let seed = random::seed(seed, "probe/held_out");
        let mut order: Vec<i64> = (0..images as i64).collect();
        random::shuffle(&mut order, &mut RandomStream::new([seed as u32, (seed >> 32) as u32]));
        let held_out =
            ((images as f64 * fraction).round() as usize).clamp(1, images.saturating_sub(1).max(1));
        let (held_out, fit) = order.split_at(held_out);
        let rows = |chosen: &[i64]| {
            let rows: Vec<i64> = (0..copies as i64)
                .flat_map(|copy| chosen.iter().map(move |image| copy * images as i64 + image))
                .collect();
            Tensor::from_slice(&rows).to_device(device)
        };
        Split { fit: rows(fit), held_out: rows(held_out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_copies_of_an_image_are_on_one_side() {
        let split = Split::of(20, 4, 0.25, 3, Device::Cpu);
        let images = |rows: &Tensor| -> Vec<i64> {
            let mut images: Vec<i64> =
                Vec::<i64>::try_from(rows).unwrap().into_iter().map(|row| row % 20).collect();
            images.sort_unstable();
            images
        };
        let (fit, held_out) = (images(&split.fit), images(&split.held_out));
        assert_eq!((fit.len(), held_out.len()), (60, 20));
        assert!(held_out.iter().all(|image| !fit.contains(image)));
        assert!(held_out.chunks(4).all(|copies| copies.iter().all(|image| *image == copies[0])));
    }
}
