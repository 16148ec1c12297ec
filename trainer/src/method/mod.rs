//! A method is a composition: encoder, projector, optional predictor, target, weighted losses, and a probe that watches.
//!
//! BYOL: predictor, `ema` target, `byol_regression`. SimSiam: the same with `stop_gradient`. SimCLR: no predictor, no
//! target, `nt_xent`, views passed jointly.

pub mod head;
pub mod networks;
pub mod parts;
pub mod passing;
pub mod patches;
pub mod predictor;
pub mod probe;
pub mod variable;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use tch::Tensor;

pub use networks::{Average, BatchStatistics, Branch, Networks, Target, ViewOutputs};
pub use parts::{Encoder, Loss, LossInputs, LossValue};
pub use passing::{ForwardViews, Passing};
pub use patches::{Patches, PatchesConfig};
pub use predictor::{Predictor, PredictorConfig};
pub use probe::Probe;
pub use variable::Variable;

use crate::Result;

/// A loss and its share.
pub struct WeightedLoss {
    /// The component's id: prefix of its figures.
    pub id: String,
    /// Factor in the sum.
    pub weight: f64,
    /// The loss.
    pub loss: Box<dyn Loss>,
}

/// Everything that is trained, and what it is trained with.
pub struct Method {
    /// Online and target networks.
    pub networks: Networks,
    /// At least one.
    pub losses: Vec<WeightedLoss>,
    /// Present when there are labels.
    pub probe: Option<Probe>,
}

/// What one pass over a batch came to.
pub struct StepOutputs {
    /// Weighted sum of the losses, a scalar with gradient.
    pub loss: Tensor,
    /// The probe's cross-entropy, a scalar with gradient to the probe alone.
    pub probe_loss: Option<Tensor>,
    /// `<loss id>/<figure>` and scalar.
    pub figures: Vec<(String, Tensor)>,
    /// One per view.
    pub views: Vec<ViewOutputs>,
    /// Int64 [batch], where the data has them.
    pub labels: Option<Tensor>,
}

impl Method {
    /// Runs the networks and losses on the views of a batch; `labels` is int64 [batch].
    pub fn forward(
        &mut self,
        images: &[Tensor],
        labels: Option<&Tensor>,
        step: u64,
        steps: u64,
    ) -> Result<StepOutputs> {
        let views = self.networks.forward(images)?;
        let inputs = LossInputs { views: &views, labels, step, steps };
        let mut total: Option<Tensor> = None;
        let mut figures = Vec::new();
        for WeightedLoss { id, weight, loss } in &mut self.losses {
            let value = loss.forward(&inputs)?;
            figures.extend(value.figures.into_iter().map(|(name, figure)| (format!("{id}/{name}"), figure)));
            let weighted = if *weight == 1.0 { value.loss } else { value.loss.f_mul_scalar(*weight)? };
            total = Some(match total {
                Some(total) => total.f_add(&weighted)?,
                None => weighted,
            });
        }
        let probe_loss = match (&mut self.probe, labels) {
            (Some(probe), Some(labels)) => Some(probe.loss(&views[0].embedding, labels)?),
            _ => None,
        };
        let loss = total.expect("a configuration without losses is refused");
        let labels = labels.map(Tensor::shallow_clone);
        Ok(StepOutputs { loss, probe_loss, figures, views, labels })
    }

    /// Every variable under its checkpoint name; the networks' and `probe.*`, `losses.<index>.*`.
    pub fn variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = self.networks.variables()?;
        if let Some(probe) = &self.probe {
            variables.extend(probe.variables().into_iter().map(|variable| variable.prefixed("probe")));
        }
        variables.extend(self.loss_variables()?);
        Ok(variables)
    }

    /// The losses' own: `losses.<index>.*`.
    pub fn loss_variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = Vec::new();
        for (index, loss) in self.losses.iter_mut().enumerate() {
            let place = format!("losses.{index}");
            variables.extend(loss.loss.state()?.into_iter().map(|variable| variable.prefixed(&place)));
        }
        Ok(variables)
    }
}
