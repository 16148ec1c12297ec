//! Self-distillation without labels (DINO, Caron et al. 2021, eq. 1 to 4 and algorithm 1; the authors' code).
//!
//! With g the online and g' the target projections, [batch N, prototypes], every view v predicts the distribution of each of the
//! first `global_views` views t of the target:
//!
//! ```text
//! loss   = mean over pairs (t, v), t != v, of -1/N sum_i sum_k p'_t,ik log softmax_k(g_v / online_temperature)_ik
//! p'_t   = softmax((g'_t - centre) / target_temperature)
//! centre = center_momentum centre + (1 - center_momentum) mean of g' over batch and target views, after the loss
//! ```
//!
//! The target's temperature goes linearly from the low to the high end of its range during the share
//! `target_temperature_warmup_fraction` of the run. The centre starts at 0 and is in checkpoints.
//!
//! DINO's last layer, from a bottleneck of unit length to the prototypes, is the projector's: `projector.prototypes`. There the
//! `ema` target has its own average of it.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::{Dimensions, Error, Initial, Loss, LossInputs, LossOutput, Role, Variables};
use tch::{Kind, Tensor};

use crate::pairs::{pairs, targets};
use crate::soft_targets::{cross_entropy, entropy};

/// What TOML can say.
#[derive(Parameters)]
pub struct DinoParameters {
    /// Divides the online projections; the paper's student temperature.
    #[parameter(default = 0.1, minimum = 0.001, maximum = 100.0)]
    online_temperature: f64,
    /// Divides the target's projections, at the start and after the warm-up; the paper's teacher temperature.
    #[parameter(default = [0.04, 0.07], minimum = 0.001, maximum = 100.0)]
    target_temperature: [f64; 2],
    /// Share of the run during which the target's temperature rises. DINO: 30 epochs.
    #[parameter(default = 0.1, minimum = 0.0, maximum = 1.0)]
    target_temperature_warmup_fraction: f64,
    /// Share of the centre that stays at each step.
    #[parameter(default = 0.9, minimum = 0.0, maximum = 1.0)]
    center_momentum: f64,
    /// The first views, whose targets every other view predicts.
    #[parameter(default = 2, minimum = 1, maximum = 1000, unit = "views")]
    global_views: u32,
}

/// The loss with its centre.
pub struct Dino {
    parameters: DinoParameters,
    /// [prototypes]
    center: Tensor,
}

impl Loss for Dino {
    const ID: &'static str = "dino";
    const DOC: &'static str = "Each view predicts the centred and sharpened distribution over prototypes that the target gives the \
        others (DINO); the prototypes are the projector's last layer. Small crops, after the first `global_views`, only \
        predict.\n\n\
        Figures: `target_entropy`, of a target distribution: 0 or log(prototypes) when collapsed; `target_temperature`.";
    const READS_TARGET: bool = true;
    const READS_PREDICTION: bool = false;
    type Parameters = DinoParameters;

    fn new(
        parameters: Self::Parameters,
        dimensions: &Dimensions,
        state: &mut Variables,
    ) -> Result<Self, Error> {
        let center = state.make("center", Role::Buffer, Initial::Constant(0.0), &[dimensions.projection])?;
        Ok(Dino { parameters, center })
    }

    fn forward(&mut self, inputs: &LossInputs) -> Result<LossOutput, Error> {
        let views = &inputs.views;
        let targets = targets(self.parameters.global_views, views.len())?;
        let temperature = self.target_temperature(inputs.step, inputs.step_count);
        let distributions = tch::no_grad(|| {
            let target = |view: usize| {
                let logits = views[view].target_projection.f_sub(&self.center)?.f_div_scalar(temperature)?;
                Ok::<_, Error>(logits.f_softmax(-1, None::<Kind>)?)
            };
            (0..targets).map(target).collect::<Result<Vec<_>, _>>()
        })?;
        let losses = pairs(views.len(), targets)
            .map(|(view, target)| {
                let online = &views[view].online_projection;
                cross_entropy(&distributions[target], online, self.parameters.online_temperature)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let loss = Tensor::f_stack(&losses, 0)?.f_mean(None)?;
        let projections: Vec<&Tensor> = views[..targets].iter().map(|view| &view.target_projection).collect();
        self.move_center(&projections)?;
        let figures = vec![
            ("target_entropy", entropy(&distributions)?),
            ("target_temperature", Tensor::f_from_slice(&[temperature])?.f_get(0)?),
        ];
        Ok(LossOutput { loss, figures })
    }
}

impl Dino {
    fn target_temperature(&self, step: u64, step_count: u64) -> f64 {
        let [low, high] = self.parameters.target_temperature;
        let warmup = self.parameters.target_temperature_warmup_fraction * step_count as f64;
        if (step as f64) < warmup { low + (high - low) * step as f64 / warmup } else { high }
    }

    fn move_center(&mut self, projections: &[&Tensor]) -> Result<(), Error> {
        tch::no_grad(|| {
            let all = Tensor::f_cat(projections, 0)?.f_to_kind(self.center.kind())?;
            let mean = all.f_mean_dim([0].as_slice(), false, None::<Kind>)?;
            let moved = self.center.f_lerp(&mean, 1.0 - self.parameters.center_momentum)?;
            self.center.f_copy_(&moved)?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use diptych_sdk_tensor::testing::{build_loss, gradient_error, loss_inputs, run_loss};

    use super::*;
    use crate::testing::{Reference, figure, random, rows};

    fn parameters() -> DinoParameters {
        DinoParameters::defaults().unwrap()
    }

    fn build(parameters: DinoParameters, prototypes: i64) -> (Dino, Variables) {
        let dimensions = Dimensions { projection: prototypes, ..Dimensions::default() };
        build_loss::<Dino>(parameters, dimensions, 0).unwrap()
    }

    fn center(loss: &Dino) -> Vec<f32> {
        Vec::try_from(&loss.center).unwrap()
    }

    #[test]
    fn matches_a_case_computed_by_hand() {
        let with = DinoParameters { online_temperature: 0.5, target_temperature: [0.5, 0.5], ..parameters() };
        let mut loss = build(with, 2).0;
        let (online, target) = (rows(&[1.0, 0.0]), rows(&[0.0, 1.0]));
        let output = run_loss(&mut loss, &[[&online, &target], [&online, &target]]).unwrap();
        // p' = (1, e^2) / (1 + e^2); log p = (2, 0) - log(1 + e^2).
        let e2 = 2f64.exp();
        let expected = (1.0 + e2).ln() - 2.0 / (1.0 + e2);
        assert!((output.loss.double_value(&[]) - expected).abs() < 1e-12);
        let p = e2 / (1.0 + e2);
        let entropy = -(p * p.ln() + (1.0 - p) * (1.0 - p).ln());
        assert!((figure(&output, "target_entropy") - entropy).abs() < 1e-12);
        // A tenth of the way to the mean target.
        assert!(
            center(&loss).iter().zip([0.0, 0.1]).all(|(found, expected)| (found - expected).abs() < 1e-7)
        );
    }

    #[test]
    fn the_centre_takes_away_what_all_samples_share() {
        let with = || DinoParameters { center_momentum: 0.0, ..parameters() };
        let shared = rows(&[0.0, 3.0, 0.0, 3.0]);
        let mut loss = build(with(), 2).0;
        let views = [[&shared, &shared], [&shared, &shared]];
        let before = figure(&run_loss(&mut loss, &views).unwrap(), "target_entropy");
        let after = figure(&run_loss(&mut loss, &views).unwrap(), "target_entropy");
        assert!(before < 1e-6 && (after - 2f64.ln()).abs() < 1e-6, "{before} {after}");
    }

    #[test]
    fn small_crops_predict_and_are_no_targets() {
        tch::manual_seed(18);
        let tensors = [(); 3].map(|()| random([6, 5]));
        let run = |order: &[usize], global_views| {
            let mut loss = build(DinoParameters { global_views, ..parameters() }, 5).0;
            let views: Vec<[&Tensor; 2]> = order.iter().map(|view| [&tensors[*view]; 2]).collect();
            run_loss(&mut loss, &views).unwrap().loss.double_value(&[])
        };
        let expected = (run(&[0, 1], 1) + run(&[0, 2], 1) + run(&[1, 0], 1) + run(&[1, 2], 1)) / 4.0;
        assert!((run(&[0, 1, 2], 2) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_targets_temperature_rises_to_its_end_and_stays() {
        let with = DinoParameters { target_temperature_warmup_fraction: 0.2, ..parameters() };
        let loss = build(with, 2).0;
        for (step, expected) in [(0, 0.04), (10, 0.055), (20, 0.07), (99, 0.07)] {
            assert!((loss.target_temperature(step, 100) - expected).abs() < 1e-12, "step {step}");
        }
        let with = DinoParameters { target_temperature_warmup_fraction: 0.0, ..parameters() };
        assert_eq!(build(with, 2).0.target_temperature(0, 100), 0.07);
    }

    #[test]
    fn no_gradient_flows_to_the_target() {
        tch::manual_seed(19);
        let [online, target] = [(); 2].map(|()| random([4, 5]).set_requires_grad(true));
        let views = [[&online, &target], [&online, &target]];
        run_loss(&mut build(parameters(), 5).0, &views).unwrap().loss.backward();
        assert!(online.grad().defined() && !target.grad().defined());
    }

    #[test]
    fn a_loss_with_restored_state_goes_on_as_the_one_it_was_taken_from() {
        tch::manual_seed(20);
        let batches = [(); 3].map(|()| random([4, 5]));
        let step = |loss: &mut Dino, batch: &Tensor| {
            run_loss(loss, &[[batch, batch], [batch, batch]]).unwrap().loss.double_value(&[])
        };
        let (mut straight, state) = build(parameters(), 5);
        step(&mut straight, &batches[0]);
        step(&mut straight, &batches[1]);
        let (mut resumed, fresh) = build(parameters(), 5);
        for (from, to) in state.iter().zip(fresh.iter()) {
            assert!(!from.trainable() && from.name == "center");
            to.tensor.shallow_clone().copy_(&from.tensor);
        }
        assert_eq!(step(&mut straight, &batches[2]), step(&mut resumed, &batches[2]));
        assert_ne!(step(&mut build(parameters(), 5).0, &batches[2]), step(&mut straight, &batches[2]));
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        tch::manual_seed(21);
        let (point, second, target) = (random([3, 4]), random([3, 4]), random([3, 4]));
        let error = gradient_error(&point, |first| {
            run_loss(&mut build(parameters(), 4).0, &[[first, &target], [&second, &target]]).unwrap().loss
        });
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn agrees_with_the_authors_formulation_in_pytorch() {
        let reference = Reference::load();
        let first = reference.first();
        let mut loss = build(parameters(), 5).0;
        loss.center.copy_(&reference.get("center").to_kind(Kind::Float));
        let views = [
            [&first, reference.get("first_target")],
            [reference.get("second"), reference.get("second_target")],
            [reference.get("third"), reference.get("third")],
        ];
        let inputs = LossInputs { step: 50, ..loss_inputs(&views) };
        reference.assert_agrees("dino", &loss.forward(&inputs).unwrap().loss, &first, 1e-10);
        let error = (&loss.center - reference.get("dino.center")).abs().max().double_value(&[]);
        assert!(error < 1e-6, "centre off by {error}");
    }
}
