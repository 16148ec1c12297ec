//! What changes from step to step: the learning rate, and the momentum of the target network.
//!
//! Both are functions of the step alone, so that a resumed run needs no state for them. Steps count from 0, and a step's
//! value is used in that step.

use std::f64::consts::PI;

use crate::config::{Decay, ScheduleConfig};

/// The learning rate of `step`: rises linearly from 0 over `warmup` steps to `peak`, which is reached at step `warmup`; then
/// stays, falls along half a cosine to 0, or a share of it, at step `steps` (SGDR, Loshchilov and Hutter 2017; BYOL's `learning_schedule`), or
/// falls by a factor at fractions of `steps` (MoCo v1).
///
/// A warm-up as long as the run or longer never ends.
pub fn learning_rate(schedule: &ScheduleConfig, peak: f64, warmup: u64, steps: u64, step: u64) -> f64 {
    if step < warmup {
        return peak * step as f64 / warmup as f64;
    }
    match schedule.decay {
        Decay::Constant => peak,
        Decay::Steps => {
            let passed = schedule.decay_at.iter().filter(|at| step as f64 >= *at * steps as f64).count();
            peak * schedule.decay_factor.powi(passed as i32)
        }
        Decay::Cosine => {
            let length = steps.saturating_sub(warmup).max(1);
            let progress = ((step - warmup) as f64 / length as f64).min(1.0);
            let share = 0.5 * (1.0 + (PI * progress).cos());
            peak * (schedule.final_fraction + (1.0 - schedule.final_fraction) * share)
        }
    }
}

/// BYOL's momentum tau of the target network at `step`: from `base` to 1 along half a cosine,
/// 1 - (1 - base) (1 + cos(pi step / steps)) / 2.
pub fn target_momentum(base: f64, step: u64, steps: u64) -> f64 {
    let progress = (step as f64 / steps.max(1) as f64).min(1.0);
    1.0 - (1.0 - base) * (1.0 + (PI * progress).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::Value;
    use tch::Tensor;

    use super::*;

    /// The cases of `byol_reference.json` whose name starts with `prefix`: parameters and expected values.
    fn cases(prefix: &str) -> Vec<(Value, Vec<u64>, Vec<f64>)> {
        let file =
            |suffix| format!("{}/../tests/reference/byol_reference.{suffix}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file("json")).unwrap();
        let tensors: HashMap<String, Tensor> =
            Tensor::read_safetensors(file("safetensors")).unwrap().into_iter().collect();
        let all: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
        let cases: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(name, case)| {
                let steps = case["steps"].as_array().unwrap().iter().map(|step| step.as_u64().unwrap());
                let steps = steps.collect();
                (case, steps, Vec::try_from(&tensors[&name]).unwrap())
            })
            .collect();
        assert_eq!(cases.len(), 3);
        cases
    }

    #[test]
    fn the_learning_rate_is_that_of_the_authors_code() {
        for (case, steps, expected) in cases("schedule.lr.") {
            let number = |key: &str| case[key].as_f64().unwrap();
            let peak = number("base_lr") * number("batch_size") / 256.0;
            let (warmup, total) = (number("warmup_steps") as u64, number("total_steps") as u64);
            for (step, expected) in steps.into_iter().zip(expected) {
                let found = learning_rate(&ScheduleConfig::of(Decay::Cosine), peak, warmup, total, step);
                assert!(
                    (found - expected).abs() < 1e-6 * peak,
                    "{case}, step {step}: {found}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn the_target_momentum_is_that_of_the_authors_code() {
        for (case, steps, expected) in cases("schedule.ema.") {
            let base = case["base_ema"].as_f64().unwrap();
            for (step, expected) in steps.into_iter().zip(expected) {
                let found = target_momentum(base, step, case["max_steps"].as_u64().unwrap());
                assert!((found - expected).abs() < 1e-7, "{case}, step {step}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn a_rate_that_falls_by_steps_is_mocos() {
        // 120 and 160 of 200.
        let rates = [0, 119, 120, 159, 160, 199]
            .map(|step| learning_rate(&ScheduleConfig::of(Decay::Steps), 0.03, 0, 200, step));
        for (found, expected) in rates.into_iter().zip([0.03, 0.03, 0.003, 0.003, 3e-4, 3e-4]) {
            assert!((found - expected).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn a_cosine_may_end_above_zero() {
        let schedule = ScheduleConfig { final_fraction: 0.1, ..ScheduleConfig::of(Decay::Cosine) };
        let rates = [0, 5, 10].map(|step| learning_rate(&schedule, 2.0, 0, 10, step));
        for (found, expected) in rates.into_iter().zip([2.0, 1.1, 0.2]) {
            assert!((found - expected).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn a_constant_rate_stays_after_its_warm_up() {
        let rates: Vec<f64> = (0..6)
            .map(|step| learning_rate(&ScheduleConfig::of(Decay::Constant), 2.0, 4, 10, step))
            .collect();
        assert_eq!(rates, [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]);
    }

    #[test]
    fn a_run_without_warm_up_or_with_nothing_else_is_defined_everywhere() {
        assert_eq!(learning_rate(&ScheduleConfig::of(Decay::Cosine), 1.0, 0, 1, 0), 1.0);
        assert_eq!(learning_rate(&ScheduleConfig::of(Decay::Cosine), 1.0, 10, 5, 4), 0.4);
        assert_eq!(learning_rate(&ScheduleConfig::of(Decay::Cosine), 1.0, 5, 5, 5), 1.0);
        assert!(learning_rate(&ScheduleConfig::of(Decay::Cosine), 1.0, 0, 5, 7).abs() < 1e-12);
        assert_eq!(target_momentum(0.9, 7, 5), 1.0);
    }
}
