//! Learning curves of arms: at each step the mean over the seeds, with their range.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::data::{Run, Study};

/// A figure that is worth a look over the steps.
pub struct Figure {
    /// Name of a run's curve.
    pub name: &'static str,
    /// What it is, and how to read it.
    pub title: &'static str,
    /// Zero means something, so the axis begins there.
    pub from_zero: bool,
    /// It means the same in every arm.
    pub is_comparable: bool,
}

/// A figure from 0 on that means the same in every arm.
const fn figure(name: &'static str, title: &'static str) -> Figure {
    Figure { name, title, from_zero: true, is_comparable: true }
}

/// In reading order.
pub static FIGURES: [Figure; 4] = [
    Figure { name: "loss", title: "Loss", from_zero: false, is_comparable: false },
    figure("z_std", "Spread of the projections (1 healthy, 0 collapsed)"),
    figure("effective_rank", "Effective rank of the projections (1 where all lie on one line)"),
    figure("probe_accuracy", "Accuracy of the probe that rides along"),
];

/// Points per curve that are kept, first and last among them.
pub const POINTS: usize = 300;

/// One figure of one arm over the steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmCurve {
    /// Name of the figure (`loss`).
    pub figure: String,
    /// Id of the method.
    pub method: String,
    /// Id of the variant.
    pub variant: String,
    /// Steps rising.
    pub points: Vec<ArmPoint>,
}

/// An arm at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArmPoint {
    /// Optimizer steps done.
    pub step: f64,
    /// Mean over the seeds that have the step.
    pub mean: f64,
    /// Least of them.
    pub lowest: f64,
    /// Largest of them.
    pub highest: f64,
    /// Number of them.
    pub n: usize,
}

/// The curves of all arms, figure by figure, then variant by variant, thinned to at most `most` points each. What no run has is
/// left out.
pub fn arm_curves(study: &Study, most: usize) -> Vec<ArmCurve> {
    let mut curves = Vec::new();
    for figure in &FIGURES {
        for variant in &study.variants {
            for method in &study.methods {
                let points = points(study.of_arm(&method.id, &variant.id), figure.name);
                if !points.is_empty() {
                    curves.push(ArmCurve {
                        figure: figure.name.into(),
                        method: method.id.clone(),
                        variant: variant.id.clone(),
                        points: thinned(points, most),
                    });
                }
            }
        }
    }
    curves
}

fn points<'a>(runs: impl Iterator<Item = &'a Run>, figure: &str) -> Vec<ArmPoint> {
    // Steps are whole numbers, and so are keys.
    let mut steps: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let curves = runs.flat_map(|run| &run.curves).filter(|curve| curve.name == figure);
    for (step, value) in curves.flat_map(|curve| &curve.points) {
        if value.is_finite() {
            steps.entry(*step as u64).or_default().push(*value);
        }
    }
    let point = |(step, values): (u64, Vec<f64>)| ArmPoint {
        step: step as f64,
        mean: values.iter().sum::<f64>() / values.len() as f64,
        lowest: values.iter().copied().fold(f64::INFINITY, f64::min),
        highest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        n: values.len(),
    };
    steps.into_iter().map(point).collect()
}

/// At most `most` of the points, evenly spread, from the first to the last.
fn thinned(points: Vec<ArmPoint>, most: usize) -> Vec<ArmPoint> {
    let (most, last) = (most.max(2), points.len() - 1);
    if points.len() <= most {
        return points;
    }
    (0..most).map(|index| points[index * last / (most - 1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Curve;
    use crate::example;

    fn run(seed: u64, values: &[(f64, f64)]) -> Run {
        Run {
            method: "byol".into(),
            variant: "baseline".into(),
            seed,
            curves: vec![Curve { name: "loss".into(), points: values.to_vec() }],
            ..Run::default()
        }
    }

    #[test]
    fn a_step_has_the_mean_and_the_range_of_the_seeds_that_reached_it() {
        let study = Study {
            runs: vec![run(0, &[(1.0, 4.0), (2.0, 2.0)]), run(1, &[(1.0, 2.0), (2.0, f64::NAN)])],
            ..example::study()
        };
        let curves = arm_curves(&study, POINTS);
        let point = |step, mean, lowest, highest, n| ArmPoint { step, mean, lowest, highest, n };
        assert_eq!(curves.len(), 1);
        assert_eq!(curves[0].points, [point(1.0, 3.0, 2.0, 4.0, 2), point(2.0, 2.0, 2.0, 2.0, 1)]);
    }

    #[test]
    fn a_long_curve_is_thinned_and_keeps_its_ends() {
        let values: Vec<(f64, f64)> = (1..=5000).map(|step| (f64::from(step), 1.0)).collect();
        let study = Study { runs: vec![run(0, &values)], ..example::study() };
        let steps: Vec<f64> = arm_curves(&study, 7)[0].points.iter().map(|point| point.step).collect();
        assert_eq!((steps.len(), steps[0], steps[6]), (7, 1.0, 5000.0));
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
