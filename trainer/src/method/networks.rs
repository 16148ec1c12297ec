//! The networks of a method: online (encoder, projector, optional predictor) and target, in one value.

use tch::{Kind, Tensor};

use super::head::Head;
use super::parts::Encoder;
use super::passing::{ForwardViews, Passing, groups, joined, parts};
use super::patches::Patches;
use super::predictor::Predictor;
use super::variable::{Variable, copy_all};
use crate::Result;
use crate::native::foreach;

/// An encoder and the projector on top of it.
pub struct Branch {
    /// Images to embeddings.
    pub encoder: Box<dyn Encoder>,
    /// Embeddings to projections.
    pub projector: Head,
}

/// Where target projections come from.
pub enum Target {
    /// A second network: a moving average of the online one, or, never updated, what it was at the start.
    Network(Average),
    /// The online projections, without gradient.
    StopGradient,
    /// The online projections, with gradient.
    Online,
}

diptych_config::choices! {
    /// What a target network's batch norms normalise by.
    pub enum BatchStatistics {
        /// Training mode: the statistics of its own batch, as BYOL and MoCo.
        Own = "own",
        /// Evaluation mode: running statistics, which are a moving average of the online network's, as every other weight.
        Averaged = "averaged",
    }
}

/// The network of [`Target::Network`].
pub struct Average {
    branch: Branch,
    statistics: BatchStatistics,
    /// What is averaged: the trainable variables of the target, and with averaged statistics its buffers.
    averages: Vec<Tensor>,
    /// The same ones of the online network, in the same order.
    online: Vec<Tensor>,
}

/// What the networks make of one view; float [batch, dimensions] each. Of a view that the online network does not pass, its y, z and q
/// are the target's y and z', without gradient; of one that a target network does not pass, z' is the online z without gradient.
pub struct ViewOutputs {
    /// y of the online network.
    pub embedding: Tensor,
    /// z of the online network.
    pub projection: Tensor,
    /// q of the online network; z without a predictor.
    pub prediction: Tensor,
    /// z of the target.
    pub target_projection: Tensor,
    /// y of the target network, where there is one.
    pub target_embedding: Option<Tensor>,
}

/// What the online network makes of one view.
struct OnlineOutputs {
    embedding: Tensor,
    projection: Tensor,
    prediction: Tensor,
}

/// Online and target state.
pub struct Networks {
    /// The network that is trained.
    pub online: Branch,
    /// On top of the online projector.
    pub predictor: Predictor,
    /// What the online network is compared with.
    pub target: Target,
    /// How views are passed.
    pub views: ForwardViews,
    /// Which network passes which.
    pub passing: Passing,
    /// Of views that are mosaics of patches, where there are some.
    pub patches: Option<Patches>,
}

impl Branch {
    /// Variables of both parts: `encoder.*`, `projector.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let encoder = self.encoder.variables()?.into_iter().map(|variable| variable.prefixed("encoder"));
        let projector = self.projector.variables().into_iter().map(|variable| variable.prefixed("projector"));
        Ok(encoder.chain(projector).collect())
    }

    /// Images [batch, 3, rows, columns] to embedding and projection.
    fn forward(&mut self, images: &Tensor, training: bool) -> Result<(Tensor, Tensor)> {
        let embedding = self.encoder.forward(images, training)?;
        let projection = self.projector.forward(&embedding, training)?;
        Ok((embedding, projection))
    }
}

impl Average {
    /// Makes `branch` the target of `online`. With `shared` it starts from the online network's weights, otherwise
    /// from its own.
    pub fn new(
        mut branch: Branch,
        online: &mut Branch,
        shared: bool,
        statistics: BatchStatistics,
    ) -> Result<Average> {
        let online = online.variables()?;
        let mut target = branch.variables()?;
        if shared {
            copy_all(&online, &mut target);
        }
        let (averages, online) = target
            .into_iter()
            .zip(online)
            // Of the buffers, running statistics are averaged; the other ones count batches.
            .filter(|(target, _)| {
                target.trainable
                    || (statistics == BatchStatistics::Averaged && target.tensor.is_floating_point())
            })
            // No gradient ever flows into the target: not even its graph is recorded.
            .map(|(target, online)| (target.tensor.set_requires_grad(false), online.tensor))
            .unzip();
        Ok(Average { branch, statistics, averages, online })
    }

    fn forward(&mut self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        let _no_gradient = tch::no_grad_guard();
        self.branch.forward(images, self.statistics == BatchStatistics::Own)
    }

    /// target = tau * target + (1 - tau) * online.
    fn update(&mut self, momentum: f64) -> Result<()> {
        foreach::lerp(&self.averages, &self.online, 1.0 - momentum)
    }
}

impl Networks {
    /// Runs all networks in training mode on all views (float [batch, 3, rows, columns] each, of one batch size).
    pub fn forward(&mut self, views: &[Tensor]) -> Result<Vec<ViewOutputs>> {
        let mut outputs = self.forward_views(views)?;
        self.predictor.finish(&mut outputs)?;
        Ok(outputs)
    }

    fn forward_views(&mut self, views: &[Tensor]) -> Result<Vec<ViewOutputs>> {
        let Some(patches) = &self.patches else { return self.forward_whole(views, &self.passing.clone()) };
        let is_mosaic = |index: &usize| patches.is_mosaic(*index);
        let (mosaics, whole): (Vec<usize>, Vec<usize>) = (0..views.len()).partition(is_mosaic);
        let passing = self.passing.of(&whole);
        let images: Vec<Tensor> = whole.iter().map(|&index| views[index].shallow_clone()).collect();
        let mut outputs = self.forward_whole(&images, &passing)?;
        // In order of their places, so that each insertion moves only what comes after.
        for index in mosaics {
            outputs.insert(index, self.forward_mosaic(&views[index])?);
        }
        Ok(outputs)
    }

    /// Passes the patches of a view one by one, as one batch of their own.
    fn forward_mosaic(&mut self, mosaic: &Tensor) -> Result<ViewOutputs> {
        let patches = self.patches.as_mut().expect("only with patches a view is a mosaic");
        let embeddings = self.online.encoder.forward(&patches.cut(mosaic)?, true)?;
        let (embedding, projection) = patches.project(&embeddings)?;
        let prediction = self.predictor.forward(&projection)?;
        let target_projection = projection.f_detach()?;
        Ok(ViewOutputs { embedding, projection, prediction, target_projection, target_embedding: None })
    }

    /// Passes each network's views, in batches of those that share statistics.
    fn forward_whole(&mut self, views: &[Tensor], passing: &Passing) -> Result<Vec<ViewOutputs>> {
        let mut online: Vec<Option<OnlineOutputs>> = views.iter().map(|_| None).collect();
        // Most often both networks pass the same batches.
        let mut batches: Vec<(Vec<usize>, Tensor)> = Vec::new();
        for group in groups(self.views, views, &passing.online)? {
            let images = joined(views, &group)?;
            let (embedding, projection) = self.online.forward(&images, true)?;
            let prediction = self.predictor.forward(&projection)?;
            let parts = [&embedding, &projection, &prediction].map(|whole| parts(whole, &group));
            let [embedding, projection, prediction] = parts;
            for (((&index, embedding), projection), prediction) in
                group.iter().zip(embedding).zip(projection).zip(prediction)
            {
                online[index] = Some(OnlineOutputs { embedding, projection, prediction });
            }
            batches.push((group, images));
        }
        let mut target: Vec<Option<(Tensor, Tensor)>> = views.iter().map(|_| None).collect();
        for group in groups(self.views, views, &passing.target)? {
            let Target::Network(average) = &mut self.target else { break };
            let images = match batches.iter().find(|(known, _)| *known == group) {
                Some((_, images)) => images.shallow_clone(),
                None => joined(views, &group)?,
            };
            let (embedding, projection) = average.forward(&images)?;
            let both = parts(&embedding, &group).into_iter().zip(parts(&projection, &group));
            for (index, outputs) in group.into_iter().zip(both) {
                target[index] = Some(outputs);
            }
        }
        Ok(online.into_iter().zip(target).map(|(online, target)| self.outputs(online, target)).collect())
    }

    /// What losses see of a view; where a network did not pass it, the other one's outputs stand in.
    fn outputs(&self, online: Option<OnlineOutputs>, target: Option<(Tensor, Tensor)>) -> ViewOutputs {
        let online = online.unwrap_or_else(|| {
            let (embedding, projection) = target.as_ref().expect("one of the networks passes each view");
            let [embedding, projection, prediction] =
                [embedding, projection, projection].map(Tensor::shallow_clone);
            OnlineOutputs { embedding, projection, prediction }
        });
        let OnlineOutputs { embedding, projection, prediction } = online;
        let (target_embedding, target_projection) = match (target, &self.target) {
            (Some((embedding, projection)), _) => (Some(embedding), projection),
            (None, Target::Online) => (None, projection.shallow_clone()),
            (None, Target::StopGradient | Target::Network(_)) => (None, projection.detach()),
        };
        ViewOutputs { embedding, projection, prediction, target_projection, target_embedding }
    }

    /// Moves a target network towards the online network; to be called after the optimizer's step.
    pub fn update_target(&mut self, momentum: f64) -> Result<()> {
        match &mut self.target {
            Target::Network(average) => average.update(momentum),
            Target::StopGradient | Target::Online => Ok(()),
        }
    }

    /// |theta - xi| / |theta| over the parameters that a target network averages, theta the online ones; none without one.
    pub fn target_distance(&self) -> Result<Option<f64>> {
        let Target::Network(average) = &self.target else { return Ok(None) };
        tch::no_grad(|| {
            let (mut apart, mut length) = (Vec::new(), Vec::new());
            for (target, online) in average.averages.iter().zip(&average.online) {
                apart.push(online.f_sub(target)?.f_norm()?);
                length.push(online.f_norm()?);
            }
            // One transfer for all of them.
            let norm = |norms: &[Tensor]| Tensor::f_stack(norms, 0)?.f_norm();
            let both = Vec::<f64>::try_from(
                Tensor::f_stack(&[norm(&apart)?, norm(&length)?], 0)?.to_kind(Kind::Double),
            )?;
            Ok(Some(both[0] / both[1].max(f64::MIN_POSITIVE)))
        })
    }

    /// Every variable under its checkpoint name: `encoder.*`, `projector.*`, `predictor.*`, `target.encoder.*`,
    /// `target.projector.*`, `patches.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = self.online.variables()?;
        variables
            .extend(self.predictor.variables().into_iter().map(|variable| variable.prefixed("predictor")));
        if let Target::Network(average) = &mut self.target {
            let target = average.branch.variables()?;
            // The optimizer never sees them, whatever their network says.
            variables.extend(
                target
                    .into_iter()
                    .map(|variable| Variable { trainable: false, ..variable }.prefixed("target")),
            );
        }
        variables.extend(self.patches.iter().flat_map(Patches::variables));
        Ok(variables)
    }
}
