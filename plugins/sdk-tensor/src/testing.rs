//! For unit tests of encoders and losses: building them without a host, and checking gradients.

use diptych_sdk::Error;
use tch::{Device, Kind, Tensor};

use crate::{Dimensions, Encoder, Loss, LossInputs, LossOutput, LossView, Variables};

/// An encoder on the CPU, with its variables.
pub fn build_encoder<E: Encoder>(parameters: E::Parameters, seed: u64) -> Result<(E, Variables), Error> {
    let mut variables = Variables::new(seed, Device::Cpu);
    Ok((E::new(parameters, &mut variables)?, variables))
}

/// A loss for `dimensions` on the CPU, with its state.
pub fn build_loss<T: Loss>(
    parameters: T::Parameters,
    dimensions: Dimensions,
    seed: u64,
) -> Result<(T, Variables), Error> {
    let mut state = Variables::new(seed, Device::Cpu);
    Ok((T::new(parameters, &dimensions, &mut state)?, state))
}

/// Runs `loss` on [`loss_inputs`].
pub fn run_loss<T: Loss>(loss: &mut T, views: &[[&Tensor; 2]]) -> Result<LossOutput, Error> {
    loss.forward(&loss_inputs(views))
}

/// The first of 100 steps on views given as [prediction, target], each [batch, dimensions]; embedding and projection are the
/// prediction, and there are no labels.
pub fn loss_inputs(views: &[[&Tensor; 2]]) -> LossInputs {
    let views = views
        .iter()
        .map(|[prediction, target]| LossView {
            online_embedding: prediction.shallow_clone(),
            online_projection: prediction.shallow_clone(),
            online_prediction: prediction.shallow_clone(),
            target_projection: target.shallow_clone(),
        })
        .collect();
    LossInputs { views, labels: None, step: 0, step_count: 100 }
}

/// Compares autograd's gradient of `function` at `point` (double) with central differences of step 1e-6; answers
/// the largest difference between the two over all elements.
///
/// # Panics
/// When `function` doesn't answer a scalar that depends on its argument.
pub fn gradient_error(point: &Tensor, function: impl Fn(&Tensor) -> Tensor) -> f64 {
    const STEP: f64 = 1e-6;
    let point = point.to_kind(Kind::Double).detach();
    let variable = point.copy().set_requires_grad(true);
    function(&variable).backward();
    let gradient = Vec::<f64>::try_from(variable.grad().reshape(-1)).expect("a gradient in double");
    tch::no_grad(|| {
        let moved = |element: usize, by: f64| {
            let copy = point.copy();
            let _ = copy.view(-1).get(element as i64).g_add_scalar_(by);
            function(&copy).double_value(&[])
        };
        let difference = |element| (moved(element, STEP) - moved(element, -STEP)) / (2.0 * STEP);
        gradient
            .iter()
            .enumerate()
            .map(|(element, gradient)| (gradient - difference(element)).abs())
            .fold(0.0, f64::max)
    })
}
