//! Which way up a view is: of every image turned by 0, 90, 180 and 270 degrees, a logistic regression tells the four apart
//! (Gidaris et al. 2018 make this a task of its own).

use diptych_pipeline::View;
use tch::{Kind, Tensor};

use super::config::ProbingConfig;
use super::images::{ImageBatch, Images};
use super::networks::Networks;
use super::shortcuts::{Embeddings, Measure, Shortcut};
use super::split::Split;
use crate::Result;
use crate::evaluate::logistic::LinearClassifier;

const TURNS: i64 = 4;

/// Reads the orientation off `view`, which leaves images upright.
pub(super) fn measure(
    networks: &mut Networks,
    images: &Images<'_>,
    view: &View,
    config: &ProbingConfig,
) -> Result<Shortcut> {
    let mut by_turn: [Embeddings; TURNS as usize] = Default::default();
    images.each(view, |batch| {
        for (turn, embeddings) in by_turn.iter_mut().enumerate() {
            let turned = batch.images.f_rot90(turn as i64, [2, 3])?;
            embeddings.add(networks, &ImageBatch { images: turned, views: Vec::new() })?;
        }
        Ok(())
    })?;
    // Turn after turn, as the split expects copies.
    let tables = by_turn.iter().map(Embeddings::tables).collect::<Result<Vec<_>>>()?;
    let table = |of: usize| Tensor::f_cat(&tables.iter().map(|table| &table[of]).collect::<Vec<_>>(), 0);
    let (trained, untrained) = (table(0)?, table(1)?);
    let device = trained.device();
    let labels = Tensor::f_arange(TURNS, (Kind::Int64, device))?;
    let labels = labels.f_repeat_interleave_self_int(images.len() as i64, 0, None)?;
    let split = Split::of(images.len(), TURNS as usize, config.fit.held_out_fraction, config.seed, device);
    Ok(Shortcut {
        quantity: "orientation".into(),
        measure: Measure::Accuracy { chance: 1.0 / TURNS as f64 },
        views: "every image unchanged, turned by 0, 90, 180 and 270 degrees".into(),
        fitted_on: split.fit.size()[0] as usize,
        judged_on: split.held_out.size()[0] as usize,
        trained: accuracy(&trained, &labels, &split, config.fit.l2),
        untrained: accuracy(&untrained, &labels, &split, config.fit.l2),
    })
}

/// Of a classifier on standardised embeddings.
fn accuracy(embeddings: &Tensor, labels: &Tensor, split: &Split, l2: f64) -> f64 {
    let rows = |rows: &Tensor| embeddings.index_select(0, rows).to_kind(Kind::Double);
    let (fit, held_out) = (rows(&split.fit), rows(&split.held_out));
    let mean = fit.mean_dim(0, true, Kind::Double);
    let deviation = fit.std_dim(0, false, true).clamp_min(1e-8);
    let standardised = |rows: &Tensor| (rows - &mean) / &deviation;
    let classifier =
        LinearClassifier::fit(&standardised(&fit), &labels.index_select(0, &split.fit), TURNS, l2, None);
    let answers = classifier.scores(&standardised(&held_out)).argmax(1, false);
    let right = answers.eq_tensor(&labels.index_select(0, &split.held_out));
    right.to_kind(Kind::Double).mean(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_turn_that_shows_in_one_feature_is_told_and_noise_is_at_chance() {
        tch::manual_seed(2);
        let images = 400;
        let labels =
            Tensor::arange(TURNS, (Kind::Int64, Device::Cpu)).repeat_interleave_self_int(images, 0, None);
        let noise = Tensor::randn([TURNS * images, 6], (Kind::Float, Device::Cpu));
        let split = Split::of(images as usize, TURNS as usize, 0.25, 0, Device::Cpu);
        assert!((accuracy(&noise, &labels, &split, 1e-3) - 0.25).abs() < 0.08);
        let shown = labels.one_hot(TURNS).to_kind(Kind::Float) + noise.narrow(1, 0, TURNS) * 0.05;
        assert_eq!(accuracy(&shown, &labels, &split, 1e-3), 1.0);
    }
}
