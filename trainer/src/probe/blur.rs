//! How blurred a view is: every image has one of the configuration's sigmas, in turn, and sigma is read off.

use tch::{Kind, Tensor};

use diptych_pipeline::View;

use super::config::ProbingConfig;
use super::images::Images;
use super::networks::Networks;
use super::ridge::explained;
use super::shortcuts::{Embeddings, Measure, Shortcut};
use super::split::Split;
use crate::Result;

/// Reads sigma off `views`, each of which has its own.
pub(super) fn measure(
    networks: &mut Networks,
    images: &Images<'_>,
    views: &[(f64, View)],
    config: &ProbingConfig,
) -> Result<Shortcut> {
    let (mut embeddings, mut targets) = (Embeddings::default(), Vec::new());
    for (turn, (sigma, view)) in views.iter().enumerate() {
        let indices: Vec<usize> = images.indices.iter().copied().skip(turn).step_by(views.len()).collect();
        images.each_of(view, &indices, |batch| {
            targets.extend(std::iter::repeat_n(*sigma, batch.views.len()));
            embeddings.add(networks, &batch)
        })?;
    }
    let [trained, untrained] = embeddings.tables()?;
    let device = trained.device();
    let targets =
        Tensor::f_from_slice(&targets)?.f_to_kind(Kind::Float)?.view([-1, 1]).f_to_device(device)?;
    let split = Split::of(images.len(), 1, config.fit.held_out_fraction, config.seed, device);
    let r2 = |embedding: &Tensor| explained(embedding, &targets, &split, &config.fit).r2;
    let sigmas: Vec<String> = views.iter().map(|(sigma, _)| sigma.to_string()).collect();
    Ok(Shortcut {
        quantity: "blur, sigma".into(),
        measure: Measure::R2,
        views: format!("the views of [blur]: sigma {}", sigmas.join(", ")),
        fitted_on: split.fit.size()[0] as usize,
        judged_on: split.held_out.size()[0] as usize,
        trained: r2(&trained),
        untrained: r2(&untrained),
    })
}
