//! Plugins' encoders and losses as the method's: pointers become tensors and back.

use diptych_abi::{BorrowedTensor, LossView, VARIABLE_BIAS, VARIABLE_NORM, VARIABLE_TRAINABLE};
use diptych_host::LossBatch;
use tch::Tensor;

use super::{from_borrowed, from_owned, lend};
use crate::method::{Encoder, Loss, LossInputs, LossValue, Variable};
use crate::{Error, Result};

fn variable(name: &str, tensor: BorrowedTensor, flags: u32) -> Option<Variable> {
    // SAFETY: the host passes on what the plugin lends for the length of this callback.
    let tensor = unsafe { from_borrowed(tensor) }?;
    Some(Variable {
        name: name.to_owned(),
        tensor,
        trainable: flags & VARIABLE_TRAINABLE != 0,
        bias: flags & VARIABLE_BIAS != 0,
        norm: flags & VARIABLE_NORM != 0,
    })
}

fn complete(variables: Vec<Option<Variable>>, what: &str) -> Result<Vec<Variable>> {
    variables.into_iter().collect::<Option<_>>().ok_or_else(|| {
        Error::Plugin(format!("the {what} plugin shows a variable without a tensor; the plugin needs a fix"))
    })
}

impl Encoder for diptych_host::Encoder {
    fn feature_count(&self) -> i64 {
        i64::from(diptych_host::Encoder::feature_count(self))
    }

    fn variables(&mut self) -> Result<Vec<Variable>> {
        let mut variables = Vec::new();
        self.visit_variables(|name, tensor, flags| variables.push(variable(name, tensor, flags)))?;
        complete(variables, "encoder")
    }

    fn forward(&mut self, images: &Tensor, training: bool) -> Result<Tensor> {
        // SAFETY: a live tensor, lent for the call.
        let outputs = unsafe { diptych_host::Encoder::forward(self, lend(images), training) }?;
        let mut pooled = None;
        for (name, tensor) in outputs {
            // SAFETY: the plugin gave it away; whatever is not used is deleted by its drop.
            let tensor = unsafe { from_owned(tensor) };
            if name == "pooled" {
                pooled = tensor;
            }
        }
        pooled.ok_or_else(|| {
            Error::Plugin(
                "the encoder plugin gives no output named \"pooled\"; the plugin needs a fix".into(),
            )
        })
    }
}

impl Loss for diptych_host::Loss {
    fn state(&mut self) -> Result<Vec<Variable>> {
        let mut variables = Vec::new();
        self.visit_state(|name, tensor, flags| variables.push(variable(name, tensor, flags)))?;
        complete(variables, "loss")
    }

    fn forward(&mut self, inputs: &LossInputs<'_>) -> Result<LossValue> {
        let lent: Vec<LossView> = inputs
            .views
            .iter()
            .map(|view| LossView {
                online_projection: lend(&view.projection),
                online_prediction: lend(&view.prediction),
                target_projection: lend(&view.target_projection),
            })
            .collect();
        let embeddings: Vec<BorrowedTensor> = inputs.views.iter().map(|view| lend(&view.embedding)).collect();
        let batch = LossBatch {
            views: &lent,
            online_embeddings: &embeddings,
            labels: inputs.labels.map(lend),
            step: inputs.step,
            step_count: inputs.steps,
        };
        let mut figures = Vec::new();
        let take_figure = |name: &str, tensor| {
            // SAFETY: lent for the length of this callback.
            if let Some(tensor) = unsafe { from_borrowed(tensor) } {
                figures.push((name.to_owned(), tensor.detach()));
            }
        };
        // SAFETY: live tensors, lent for the call.
        let loss = unsafe { diptych_host::Loss::forward(self, batch, take_figure) }?;
        // SAFETY: the plugin gave it away.
        let loss = unsafe { from_owned(loss) }
            .ok_or_else(|| Error::Plugin("the loss plugin gives no loss; the plugin needs a fix".into()))?;
        Ok(LossValue { loss, figures })
    }
}
