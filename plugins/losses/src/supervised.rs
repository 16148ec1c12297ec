//! Cross-entropy with the labels.
//!
//! With l_v the logits of view v, [batch N, classes K], y the labels and s the smoothing (Szegedy et al. 2016),
//!
//! ```text
//! loss = mean over views v and samples i of -sum_k t_ik log softmax(l_v)_ik,    t_ik = (1 - s) [k = y_i] + s / K
//! ```
//!
//! The logits are those of a linear classifier of the loss's own on the online embedding or projection, trained with the networks;
//! or the projections themselves, for a projector that is the classifier (`hidden = []`, `output` the number of classes): an `ema`
//! target then averages it too, as Mean Teacher's does.

use diptych_sdk::{Choice, Parameters};
use diptych_sdk_tensor::layers::Linear;
use diptych_sdk_tensor::{Dimensions, Error, Loss, LossInputs, LossOutput, LossView, Variables};
use tch::{Kind, Reduction, Tensor};

/// What TOML can say.
#[derive(Parameters)]
pub struct SupervisedParameters {
    /// What is classified: `embedding` and `projection` by a linear classifier of the loss's own; `logits` are projections that are
    /// the classes' scores already.
    #[parameter(default = Input::Embedding)]
    input: Input,
    /// Share of the label that is spread over all classes.
    #[parameter(default = 0.0, minimum = 0.0, maximum = 1.0)]
    label_smoothing: f64,
}

/// What is classified.
#[derive(Choice, Clone, Copy)]
pub enum Input {
    Embedding,
    Projection,
    Logits,
}

/// The loss with its classifier.
pub struct Supervised {
    input: Input,
    label_smoothing: f64,
    /// None for logits.
    classifier: Option<Linear>,
}

impl Loss for Supervised {
    const ID: &'static str = "supervised";
    const DOC: &'static str = "Cross-entropy with the labels, averaged over the views, by a linear classifier that is trained \
        alongside or by the projector itself.\n\n\
        Figure: `accuracy`, the share of views that are classified rightly.";
    const READS_TARGET: bool = false;
    const READS_PREDICTION: bool = false;
    const READS_LABELS: bool = true;
    type Parameters = SupervisedParameters;

    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error> {
        let SupervisedParameters { input, label_smoothing } = parameters;
        let Dimensions { embedding, projection, classes } = *dimensions;
        if classes == 0 {
            return Err(Error::new("found no classes in the data, expected labels for each sample"));
        }
        let classifier = match input {
            Input::Embedding => Some(Linear::new(state, "classifier", embedding, classes, true)?),
            Input::Projection => Some(Linear::new(state, "classifier", projection, classes, true)?),
            Input::Logits if projection != classes => {
                return Err(Error::new(format_args!(
                    "found projections of width {projection} as logits of {classes} classes; set projector.output = \
                     {classes}, or input = \"embedding\" for a classifier of the loss's own"
                )));
            }
            Input::Logits => None,
        };
        Ok(Supervised { input, label_smoothing, classifier })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let labels = inputs
            .labels
            .as_ref()
            .ok_or_else(|| Error::new("found a batch without labels, expected them"))?;
        let (mut losses, mut right) = (Vec::new(), Vec::new());
        for view in &inputs.views {
            let logits = self.logits(view)?;
            let smoothing = self.label_smoothing;
            losses.push(logits.f_cross_entropy_loss::<Tensor>(
                labels,
                None,
                Reduction::Mean,
                -100,
                smoothing,
            )?);
            right.push(logits.f_argmax(1, false)?.f_eq_tensor(labels)?);
        }
        let accuracy = Tensor::f_stack(&right, 0)?.f_to_kind(Kind::Float)?.f_mean(None)?;
        let loss = Tensor::f_stack(&losses, 0)?.f_mean(None)?;
        Ok(LossOutput { loss, figures: vec![("accuracy", accuracy)] })
    }
}

impl Supervised {
    /// [batch, classes]
    fn logits(&self, view: &LossView) -> Result<Tensor, Error> {
        let input = match self.input {
            Input::Embedding => &view.online_embedding,
            Input::Projection | Input::Logits => &view.online_projection,
        };
        match &self.classifier {
            Some(classifier) => classifier.forward(input),
            None => Ok(input.shallow_clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, loss_inputs};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn build(
        input: Input,
        label_smoothing: f64,
        dimensions: Dimensions,
    ) -> Result<(Supervised, Variables), Error> {
        build_loss::<Supervised>(SupervisedParameters { input, label_smoothing }, dimensions, 0)
    }

    fn logits(classes: i64) -> Dimensions {
        Dimensions { embedding: 0, projection: classes, classes }
    }

    fn labelled(views: &[[&Tensor; 2]], labels: &[i64]) -> LossInputs {
        LossInputs { labels: Some(Tensor::from_slice(labels)), ..loss_inputs(views) }
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        let (first, second) = (rows(&[0.0, 0.0, 2.0, 0.0]), rows(&[0.0, 1.0, 0.0, 3.0]));
        let mut loss = build(Input::Logits, 0.0, logits(2)).unwrap().0;
        let output = loss.forward(&labelled(&[[&first, &first], [&second, &second]], &[1, 0])).unwrap();
        let term = |wrong: f64, right: f64| (1.0 + (wrong - right).exp()).ln();
        let expected = (term(0.0, 0.0) + term(0.0, 2.0) + term(0.0, 1.0) + term(3.0, 0.0)) / 4.0;
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-12);
        // Of a tie the first class is answered: wrong, right, right, wrong.
        assert_eq!(figure(&output, "accuracy"), 0.5);
    }

    #[test]
    fn the_classifier_is_trained_with_the_embedding() {
        let dimensions = Dimensions { embedding: 3, projection: 5, classes: 4 };
        for (input, width) in [(Input::Embedding, 3), (Input::Projection, 5)] {
            let (mut loss, state) = build(input, 0.0, dimensions).unwrap();
            let names: Vec<&str> = state.iter().map(|variable| &*variable.name).collect();
            assert_eq!(names, ["classifier.weight", "classifier.bias"]);
            let view = random([2, width]).to_kind(Kind::Float).set_requires_grad(true);
            loss.forward(&labelled(&[[&view, &view], [&view, &view]], &[3, 0])).unwrap().loss.backward();
            assert!(view.grad().defined());
            assert!(state.iter().all(|variable| variable.trainable() && variable.tensor.grad().defined()));
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(22);
        let (point, second) = (random([3, 4]), random([3, 4]));
        let error = gradient_error(&point, |first| {
            let inputs = labelled(&[[first, first], [&second, &second]], &[2, 0, 1]);
            build(Input::Logits, 0.2, logits(4)).unwrap().0.forward(&inputs).unwrap().loss
        });
        assert!(error < 1e-7, "{error}");
    }

    #[test]
    fn agrees_with_pytorchs_cross_entropy() {
        let reference = Reference::load();
        let first = reference.first();
        let second = reference.get("second");
        let inputs = LossInputs {
            labels: Some(reference.get("labels").to_kind(Kind::Int64)),
            ..loss_inputs(&[[&first, &first], [second, second]])
        };
        let output = build(Input::Logits, 0.1, logits(5)).unwrap().0.forward(&inputs).unwrap();
        reference.assert_agrees("supervised", &output.loss, &first, 1e-10);
    }

    #[test]
    fn what_cannot_be_classified_is_an_error_with_the_remedy() {
        let message = |dimensions| build(Input::Logits, 0.0, dimensions).err().unwrap().to_string();
        let wide = message(Dimensions { embedding: 3, projection: 256, classes: 10 });
        assert!(wide.starts_with("found projections of width 256 as logits of 10 classes; set"), "{wide}");
        assert!(wide.contains("projector.output = 10"), "{wide}");
        assert!(message(Dimensions::default()).contains("no classes"));
        let view = rows(&[1.0, 0.0]);
        let mut loss = build(Input::Logits, 0.0, logits(2)).unwrap().0;
        let error = loss.forward(&loss_inputs(&[[&view, &view], [&view, &view]])).unwrap_err();
        assert_eq!(error.to_string(), "found a batch without labels, expected them");
    }
}
