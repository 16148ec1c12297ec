//! The networks of a method: online (encoder, projector, optional predictor) and target, in one value.

use tch::Tensor;

use super::head::Head;
use super::parts::Encoder;
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
    /// A second network whose parameters are a moving average of the online ones. Its batch norms run in training mode,
    /// with statistics and running averages of their own.
    Ema(Average),
    /// The online projections, without gradient.
    StopGradient,
    /// The online projections, with gradient.
    Online,
}

/// The target network of [`Target::Ema`].
pub struct Average {
    branch: Branch,
    /// The trainable variables of the target.
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
    pub predictor: Option<Head>,
    /// What the online network is compared with.
    pub target: Target,
    /// How views are passed.
    pub views: ForwardViews,
}

impl Branch {
    /// Variables of both parts: `encoder.*`, `projector.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let encoder = self.encoder.variables()?.into_iter().map(|variable| variable.prefixed("encoder"));
        let projector = self.projector.variables().into_iter().map(|variable| variable.prefixed("projector"));
        Ok(encoder.chain(projector).collect())
    }

    /// Images [batch, 3, rows, columns] to embedding and projection.
    fn forward(&mut self, images: &Tensor) -> Result<(Tensor, Tensor)> {
        let embedding = self.encoder.forward(images, true)?;
        let projection = self.projector.forward(&embedding, true)?;
        Ok((embedding, projection))
    }
}

impl Average {
    /// Makes `branch` the target of `online`. With `shared` it starts from the online network's weights, otherwise
    /// from its own.
    pub fn new(mut branch: Branch, online: &mut Branch, shared: bool) -> Result<Average> {
        let online = online.variables()?;
        let mut target = branch.variables()?;
        if shared {
            copy_all(&online, &mut target);
        }
        let (averages, online) = target
            .into_iter()
            .zip(online)
            .filter(|(target, _)| target.trainable)
            // No gradient ever flows into the target: not even its graph is recorded.
            .map(|(target, online)| (target.tensor.set_requires_grad(false), online.tensor))
            .unzip();
        Ok(Average { branch, averages, online })
    }

    /// target = tau * target + (1 - tau) * online, for parameters; buffers are the target's own.
    fn update(&mut self, momentum: f64) -> Result<()> {
        foreach::lerp(&self.averages, &self.online, 1.0 - momentum)
    }
}

impl Networks {
    /// Runs all networks in training mode on all views (float [batch, 3, rows, columns] each, of one batch size).
    pub fn forward(&mut self, views: &[Tensor]) -> Result<Vec<ViewOutputs>> {
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
        let rows = embedding.into_iter().zip(projection).zip(prediction).zip(target);
        Ok(rows
            .map(|(((embedding, projection), prediction), target_projection)| ViewOutputs {
                embedding,
                projection,
                prediction,
                target_projection,
            })
            .collect())
    }

    fn forward_pass(&mut self, images: &Tensor) -> Result<ViewOutputs> {
        let (embedding, projection) = self.online.forward(images)?;
        let prediction = match &mut self.predictor {
            Some(predictor) => predictor.forward(&projection, true)?,
            None => projection.shallow_clone(),
        };
        let target_projection = match &mut self.target {
            Target::Ema(average) => {
                let _no_gradient = tch::no_grad_guard();
                average.branch.forward(images)?.1
            }
            Target::StopGradient => projection.detach(),
            Target::Online => projection.shallow_clone(),
        };
        Ok(ViewOutputs { embedding, projection, prediction, target_projection })
    }

    /// Moves an `ema` target towards the online network; to be called after the optimizer's step.
    pub fn update_target(&mut self, momentum: f64) -> Result<()> {
        match &mut self.target {
            Target::Ema(average) => average.update(momentum),
            Target::StopGradient | Target::Online => Ok(()),
        }
    }

    /// Every variable under its checkpoint name: `encoder.*`, `projector.*`, `predictor.*`, `target.encoder.*`,
    /// `target.projector.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = self.online.variables()?;
        if let Some(predictor) = &self.predictor {
            variables
                .extend(predictor.variables().into_iter().map(|variable| variable.prefixed("predictor")));
        }
        if let Target::Ema(average) = &mut self.target {
            let target = average.branch.variables()?;
            // The optimizer never sees them, whatever their network says.
            variables.extend(
                target
                    .into_iter()
                    .map(|variable| Variable { trainable: false, ..variable }.prefixed("target")),
            );
        }
        Ok(variables)
    }
}
