//! What a run's encoder is invariant to, and what its embeddings give away.
//!
//! [`invariance`] compares each image with what one operator makes of it; the shortcuts ([`histogram`], [`crop`], [`blur`],
//! [`orientation`]) are linear probes for what views could leak. Everything is measured of the checkpoint and of the network
//! that the run started from, on the same views of the same images, in evaluation mode. Nothing is trained but the probes.

mod blur;
pub mod config;
mod crop;
mod histogram;
mod images;
mod invariance;
mod networks;
mod orientation;
mod report;
mod ridge;
mod shortcuts;
mod split;
mod views;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{SourceConfig, Split as SourceSplit, View};
use tch::Tensor;

use crate::config::RunConfig;
use crate::device::DeviceName;
use crate::run_folder::Begun;
use crate::{Result, compose, contain};

use config::{CurveConfig, ProbingConfig};
use images::Images;
pub use invariance::{Cosine, Pairs};
use networks::{Network, Networks};
pub use report::Probing;
pub use shortcuts::{Measure, Shortcut};
use views::Views;

/// Fewer images than these say nothing, and can't be split.
const FEWEST: usize = 16;

/// Four values of one kind: of two networks, and of two of their outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Both<T> {
    /// Of the checkpoint.
    pub trained: Outputs<T>,
    /// Of the network that the run started from.
    pub untrained: Outputs<T>,
}

/// One value for each output of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs<T> {
    /// y.
    pub embedding: T,
    /// z.
    pub projection: T,
}

/// An operator's effect by its strength.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What is changed.
    pub operator: String,
    /// What strengths are values of; empty for an operator without.
    pub strength: String,
    /// Whether it is an operator of the run's own views.
    pub of_run: bool,
    /// In the order of the configuration.
    pub points: Vec<Point>,
}

/// One strength.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// As the configuration names it.
    pub strength: String,
    /// f(x) against f(op(x)).
    pub cosine: Both<Cosine>,
}

/// Probes the latest checkpoint of the run in the folder `run` on the images of `data`. Raising `stop` ends it with an error.
pub fn probe(
    run: &Path,
    data: &SourceConfig,
    config: &ProbingConfig,
    registry: &Registry,
    device: Option<DeviceName>,
    stop: &AtomicBool,
) -> Result<Probing> {
    let begun = Begun::require(run)?;
    let run_config = RunConfig::read(&Document::load(&run.join("config.toml"), &[])?, registry)?;
    let device = device.unwrap_or(run_config.device).open()?;
    compose::prepare_process(if run_config.threads == 0 { begun.threads } else { run_config.threads });
    let source = data.open(SourceSplit::Test)?;
    contain("the probing", || {
        let (mut networks, step) = Networks::load(run, &run_config, device)?;
        let views = Views::of(&run_config, registry)?;
        let plan = Plan::make(&views, config, &run_config)?;
        let place = (views.side, &views.base);
        let images = Images::choose(source.as_ref(), config, &run_config.input, place, device, stop)?;
        let mut probing = Probing {
            run: run_config.name.clone(),
            fingerprint: begun.fingerprint,
            step,
            data: source.summary(),
            data_identity: source.identity(),
            images: images.len(),
            skipped: images.skipped,
            side: views.side,
            seed: config.seed,
            pairs: None,
            curves: Vec::new(),
            shortcuts: Vec::new(),
        };
        plan.measure(&mut networks, &images, config, &mut probing)?;
        Ok(probing)
    })
}

/// All views, fitted to the run before anything is measured: what is wrong with one is told at once.
struct Plan {
    base: View,
    /// With whether they are the run's own.
    curves: Vec<(bool, CurveConfig)>,
    own_first: View,
    crop: View,
    blurs: Vec<(f64, View)>,
}

impl Plan {
    fn make(views: &Views<'_>, config: &ProbingConfig, run: &RunConfig) -> Result<Plan> {
        let own = views.of_run(run).into_iter().map(|curve| (true, curve));
        let curves = config.curves.iter().cloned().map(|curve| (false, curve)).chain(own);
        let fitted = |(of_run, curve): (bool, CurveConfig)| {
            let views = curve.views.iter().map(|view| views.fitted(view)).collect::<Result<_>>()?;
            Ok((of_run, CurveConfig { views, ..curve }))
        };
        Ok(Plan {
            base: views.base.clone(),
            curves: curves.map(fitted).collect::<Result<_>>()?,
            own_first: run.views.views[0].clone(),
            crop: views.fitted(&config.crop)?,
            blurs: config
                .blurs
                .iter()
                .map(|(sigma, view)| Ok((*sigma, views.fitted(view)?)))
                .collect::<Result<_>>()?,
        })
    }

    fn measure(
        &self,
        networks: &mut Networks,
        images: &Images<'_>,
        config: &ProbingConfig,
        probing: &mut Probing,
    ) -> Result<()> {
        let before = outputs(networks, images, &self.base)?;
        probing.pairs = Some(before.map(Pairs::of));
        for (of_run, curve) in &self.curves {
            let mut points = Vec::new();
            for view in &curve.views {
                let after = outputs(networks, images, view)?;
                points.push(Point { strength: view.name.clone(), cosine: before.zip(&after, Cosine::of) });
            }
            probing.curves.push(Curve {
                operator: curve.operator.clone(),
                strength: curve.strength.clone(),
                of_run: *of_run,
                points,
            });
        }
        probing.shortcuts.push(histogram::measure(networks, images, &self.own_first, config)?);
        probing.shortcuts.extend(crop::measure(networks, images, &self.crop, config)?);
        probing.shortcuts.push(blur::measure(networks, images, &self.blurs, config)?);
        probing.shortcuts.push(orientation::measure(networks, images, &self.base, config)?);
        Ok(())
    }
}

/// What both networks make of `view` of every image, float [images, width].
fn outputs(networks: &mut Networks, images: &Images<'_>, view: &View) -> Result<Both<Tensor>> {
    let mut parts: [Vec<Tensor>; 4] = Default::default();
    images.each(view, |batch| {
        let forward = |network: &mut Network| network.forward(&batch.images);
        let (trained, untrained) = (forward(&mut networks.trained)?, forward(&mut networks.untrained)?);
        let vectors = [trained.embedding, trained.projection, untrained.embedding, untrained.projection];
        parts.iter_mut().zip(vectors).for_each(|(part, vectors)| part.push(vectors));
        Ok(())
    })?;
    let [embedding, projection, untrained_embedding, untrained_projection] =
        parts.map(|part| Tensor::f_cat(&part, 0));
    Ok(Both {
        trained: Outputs { embedding: embedding?, projection: projection? },
        untrained: Outputs { embedding: untrained_embedding?, projection: untrained_projection? },
    })
}

impl<T> Both<T> {
    /// The same of each value.
    pub fn map<U>(&self, of: impl Fn(&T) -> U) -> Both<U> {
        let outputs = |values: &Outputs<T>| Outputs {
            embedding: of(&values.embedding),
            projection: of(&values.projection),
        };
        Both { trained: outputs(&self.trained), untrained: outputs(&self.untrained) }
    }

    /// The same of each pair of values.
    pub fn zip<O, U>(&self, other: &Both<O>, of: impl Fn(&T, &O) -> U) -> Both<U> {
        let outputs = |values: &Outputs<T>, others: &Outputs<O>| Outputs {
            embedding: of(&values.embedding, &others.embedding),
            projection: of(&values.projection, &others.projection),
        };
        Both {
            trained: outputs(&self.trained, &other.trained),
            untrained: outputs(&self.untrained, &other.untrained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_values_stay_in_their_places() {
        let values = Both {
            trained: Outputs { embedding: 1, projection: 2 },
            untrained: Outputs { embedding: 3, projection: 4 },
        };
        let doubled = values.zip(&values.map(|value| value * 10), |one, ten| one + ten);
        assert_eq!((doubled.trained.embedding, doubled.untrained.projection), (11, 44));
    }
}
