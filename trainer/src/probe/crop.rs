//! Where a crop lies and how much it shows: what a network can know of it, it must know from objects' cut edges, from blur or
//! from its own padding.
//!
//! Targets, with (u, v) the crop's corner and w x h its size in an image of W x H: x = (u + w / 2) / W, y = (v + h / 2) / H, and
//! scale = w h / (W H).

use diptych_pipeline::{RenderedView, View};
use tch::Tensor;

use super::config::ProbingConfig;
use super::images::Images;
use super::networks::Networks;
use super::ridge::explained;
use super::shortcuts::{Embeddings, Measure, Shortcut};
use super::split::Split;
use crate::Result;

const QUANTITIES: [&str; 3] = ["crop position, x", "crop position, y", "crop scale"];

/// Reads position and scale off `view`, which crops.
pub(super) fn measure(
    networks: &mut Networks,
    images: &Images<'_>,
    view: &View,
    config: &ProbingConfig,
) -> Result<Vec<Shortcut>> {
    let (mut embeddings, mut targets) = (Embeddings::default(), Vec::new());
    images.each(view, |batch| {
        targets.extend(batch.views.iter().flat_map(place));
        embeddings.add(networks, &batch)
    })?;
    let [trained, untrained] = embeddings.tables()?;
    let device = trained.device();
    let targets = Tensor::f_from_slice(&targets)?.view([images.len() as i64, 3]).f_to_device(device)?;
    let split = Split::of(images.len(), 1, config.fit.held_out_fraction, config.seed, device);
    let shortcut = |(at, quantity): (usize, &str)| {
        let target = targets.narrow(1, at as i64, 1);
        let r2 = |embedding: &Tensor| explained(embedding, &target, &split, &config.fit).r2;
        Shortcut {
            quantity: quantity.into(),
            measure: Measure::R2,
            views: "the crop of [crop]".into(),
            fitted_on: split.fit.size()[0] as usize,
            judged_on: split.held_out.size()[0] as usize,
            trained: r2(&trained),
            untrained: r2(&untrained),
        }
    };
    Ok(QUANTITIES.into_iter().enumerate().map(shortcut).collect())
}

/// x, y and scale of a view.
fn place(view: &RenderedView) -> [f64; 3] {
    let (region, image) = (view.region, view.image);
    let [u, v, w, h] = [region.x, region.y, region.width, region.height].map(f64::from);
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    [(u + w / 2.0) / width, (v + h / 2.0) / height, w * h / (width * height)]
}

#[cfg(test)]
mod tests {
    use diptych_pipeline::{Region, Size};

    use super::*;

    #[test]
    fn the_middle_of_a_crop_and_its_area_are_shares_of_the_image() {
        let view = RenderedView {
            name: "crop".into(),
            size: Size { width: 8, height: 8 },
            pixels: Vec::new(),
            draws: Vec::new(),
            region: Region { x: 10, y: 20, width: 20, height: 10 },
            image: Size { width: 40, height: 100 },
        };
        assert_eq!(place(&view), [0.5, 0.25, 0.05]);
    }
}
