//! The networks of a method: online (encoder, projector, optional predictor) and target, in one value.

use tch::{Kind, Tensor};

use super::head::Head;
use super::parts::Encoder;
use super::patches::Patches;
use super::predictor::Predictor;
use super::variable::{Variable, copy_all};
use crate::native::foreach;
use crate::{Error, Result};

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

/// What the networks make of one view; float [batch, dimensions] each.
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

diptych_config::choices! {
    /// Which samples share batch statistics.
    pub enum ForwardViews {
        /// Each view is its own pass, as BYOL: statistics over one view.
        Separate = "separate",
        /// All views in one pass, as SimCLR: statistics over all of them.
        Joint = "joint",
        /// Views of one size that follow each other in one pass, as SwAV and DINO: statistics over the global views, and over
        /// the small ones.
        JointBySize = "joint_by_size",
    }
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
        let Some(patches) = &self.patches else { return self.forward_whole(views) };
        let (mosaics, whole): (Vec<_>, Vec<_>) =
            views.iter().enumerate().partition(|(index, _)| patches.is_mosaic(*index));
        let whole: Vec<Tensor> = whole.into_iter().map(|(_, view)| view.shallow_clone()).collect();
        let mut outputs = self.forward_whole(&whole)?;
        // In order of their places, so that each insertion moves only what comes after.
        for (index, mosaic) in mosaics {
            outputs.insert(index, self.forward_mosaic(mosaic)?);
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

    fn forward_whole(&mut self, views: &[Tensor]) -> Result<Vec<ViewOutputs>> {
        match self.views {
            ForwardViews::Separate => views.iter().map(|view| self.forward_pass(view)).collect(),
            ForwardViews::Joint => {
                if let Some(other) = views.iter().find(|view| view.size() != views[0].size()) {
                    let message = format!(
                        "forward.views = \"joint\" passes all views as one batch, but their shapes differ ({:?} and {:?}); \
                         give all views one size, or set forward.views = \"joint_by_size\" or \"separate\"",
                        views[0].size(),
                        other.size()
                    );
                    return Err(Error::Unfit(message));
                }
                self.forward_joint(views)
            }
            ForwardViews::JointBySize => {
                let groups = views.chunk_by(|first, second| first.size() == second.size());
                let passes = groups.map(|group| self.forward_joint(group)).collect::<Result<Vec<_>>>()?;
                Ok(passes.into_iter().flatten().collect())
            }
        }
    }

    /// Passes views of one size as one batch.
    fn forward_joint(&mut self, views: &[Tensor]) -> Result<Vec<ViewOutputs>> {
        let count = views.len() as i64;
        let all = self.forward_pass(&Tensor::f_cat(views, 0)?)?;
        let parts = [&all.embedding, &all.projection, &all.prediction, &all.target_projection]
            .map(|tensor| tensor.chunk(count, 0));
        let [embedding, projection, prediction, target] = parts;
        let mut target_embedding = all.target_embedding.map(|tensor| tensor.chunk(count, 0).into_iter());
        let rows = embedding.into_iter().zip(projection).zip(prediction).zip(target);
        Ok(rows
            .map(|(((embedding, projection), prediction), target_projection)| ViewOutputs {
                embedding,
                projection,
                prediction,
                target_projection,
                target_embedding: target_embedding.as_mut().and_then(Iterator::next),
            })
            .collect())
    }

    fn forward_pass(&mut self, images: &Tensor) -> Result<ViewOutputs> {
        let (embedding, projection) = self.online.forward(images, true)?;
        let prediction = self.predictor.forward(&projection)?;
        let (target_embedding, target_projection) = match &mut self.target {
            Target::Network(average) => {
                let (embedding, projection) = average.forward(images)?;
                (Some(embedding), projection)
            }
            Target::StopGradient => (None, projection.detach()),
            Target::Online => (None, projection.shallow_clone()),
        };
        Ok(ViewOutputs { embedding, projection, prediction, target_projection, target_embedding })
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
