//! The colour histogram of a view: crops of one image share it, so that a network may tell images apart by it alone (Chen et
//! al. 2020, section 3.1).
//!
//! The target of each view is, for each channel, the share of its pixels in each of `bins` equal parts of the range.

use diptych_pipeline::View;
use tch::Tensor;

use super::config::ProbingConfig;
use super::images::Images;
use super::networks::Networks;
use super::ridge::explained;
use super::shortcuts::{Embeddings, Measure, Shortcut};
use super::split::Split;
use crate::Result;

/// Reads the histogram off `view`, which is the run's own first one.
pub(super) fn measure(
    networks: &mut Networks,
    images: &Images<'_>,
    view: &View,
    config: &ProbingConfig,
) -> Result<Shortcut> {
    let (mut embeddings, mut targets) = (Embeddings::default(), Vec::new());
    images.each(view, |batch| {
        for rendered in &batch.views {
            targets.extend(histogram(&rendered.pixels, config.histogram_bins));
        }
        embeddings.add(networks, &batch)
    })?;
    let [trained, untrained] = embeddings.tables()?;
    let device = trained.device();
    let targets = Tensor::f_from_slice(&targets)?.view([images.len() as i64, -1]).f_to_device(device)?;
    let split = Split::of(images.len(), 1, config.fit.held_out_fraction, config.seed, device);
    let r2 = |embedding: &Tensor| explained(embedding, &targets, &split, &config.fit).r2;
    Ok(Shortcut {
        quantity: "colour histogram".into(),
        measure: Measure::R2,
        views: format!("the run's first view; {} bins of each channel", config.histogram_bins),
        fitted_on: split.fit.size()[0] as usize,
        judged_on: split.held_out.size()[0] as usize,
        trained: r2(&trained),
        untrained: r2(&untrained),
    })
}

/// Shares of the interleaved 8-bit `pixels`: `bins` of red, then of green, then of blue.
fn histogram(pixels: &[u8], bins: usize) -> Vec<f32> {
    let mut counts = vec![0f32; 3 * bins];
    for pixel in pixels.chunks_exact(3) {
        for (channel, &value) in pixel.iter().enumerate() {
            counts[channel * bins + usize::from(value) * bins / 256] += 1.0;
        }
    }
    let count = (pixels.len() / 3).max(1) as f32;
    counts.into_iter().map(|bin| bin / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_its_own_bins_and_they_sum_to_one() {
        let pixels = [0, 63, 64, 255, 128, 127, 10, 200, 191, 250, 0, 192];
        // Quarters: red 0, 3, 0, 3; green 0, 2, 3, 0; blue 1, 1, 2, 3.
        let expected = [0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.25, 0.25, 0.0, 0.5, 0.25, 0.25];
        assert_eq!(histogram(&pixels, 4), expected);
    }
}
