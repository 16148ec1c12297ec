//! Learning curves as small multiples: one small plot per variant, all with the same axes, a line per run.

use super::axis::Axis;
use super::svg::{Anchor, Svg};
use super::{Chart, color};
use crate::data::{Run, Study};

/// Points per line that a plot this small can show.
const POINTS: usize = 120;
const SIZE: (f64, f64) = (230.0, 158.0);

/// One figure in all variants.
pub struct CurveSet {
    /// What the figure is, and how to read it.
    pub title: &'static str,
    /// One per variant.
    pub plots: Vec<Chart>,
}

/// The figures that are worth a look, in reading order.
const FIGURES: [(&str, &str); 3] = [
    ("loss", "Loss"),
    ("z_std", "Spread of the projections (1 healthy, 0 collapsed)"),
    ("probe_accuracy", "Accuracy of the probe that rides along"),
];

/// All figures that any run has.
pub fn curve_sets(study: &Study) -> Vec<CurveSet> {
    let sets = FIGURES.iter().map(|(name, title)| CurveSet { title, plots: plots(study, name, title) });
    sets.filter(|set| !set.plots.is_empty()).collect()
}

fn points<'a>(run: &'a Run, name: &str) -> &'a [(f64, f64)] {
    run.curves.iter().find(|curve| curve.name == name).map_or(&[], |curve| &curve.points)
}

fn plots(study: &Study, name: &str, title: &str) -> Vec<Chart> {
    let all = || study.runs.iter().flat_map(|run| points(run, name));
    if all().next().is_none() {
        return Vec::new();
    }
    let (width, height) = SIZE;
    let steps = all().map(|(step, _)| *step).chain([0.0]);
    // Half of the last steps' label stands beyond the axis.
    let across = Axis::covering(steps, 3.0, 34.0, width - 18.0);
    let values = all().map(|(_, value)| *value);
    let along = Axis::covering(values.chain((name != "loss").then_some(0.0)), 3.0, height - 24.0, 30.0);
    let mut charts = Vec::new();
    for variant in &study.variants {
        let runs: Vec<&Run> = study.runs.iter().filter(|run| run.variant == variant.id).collect();
        let mut svg = Svg::new(width, height);
        svg.text("label", (0.0, 14.0), Anchor::Start, &variant.label);
        for tick in along.ticks() {
            svg.line("grid", (34.0, along.at(tick)), (width - 18.0, along.at(tick)));
            svg.text("tick", (29.0, along.at(tick) + 4.0), Anchor::End, &along.label(tick));
        }
        for tick in across.ticks() {
            svg.text("tick", (across.at(tick), height - 8.0), Anchor::Middle, &across.label(tick));
        }
        for run in &runs {
            let points = points(run, name);
            let stride = points.len().div_ceil(POINTS).max(1);
            // From the end, so that the last value is always there.
            let mut line: Vec<(f64, f64)> = points
                .iter()
                .rev()
                .step_by(stride)
                .filter(|(_, value)| value.is_finite())
                .map(|(step, value)| (across.at(*step), along.at(*value)))
                .collect();
            line.reverse();
            let hint = format!("{}, {}, seed {}", study.method_label(&run.method), variant.label, run.seed);
            svg.polyline(&format!("stroke{} curve", color(study, &run.method)), &line, &hint);
        }
        let description = format!("{title} over the steps with {}, {} runs.", variant.label, runs.len());
        charts.push(Chart { svg, description });
    }
    charts
}

#[cfg(test)]
mod tests {
    use crate::example;

    #[test]
    fn every_run_has_its_curve_in_every_figure() {
        let study = example::study();
        let sets = super::curve_sets(&study);
        assert_eq!(sets.len(), 3);
        for set in sets {
            let lines: usize =
                set.plots.iter().map(|plot| plot.svg.inline("").matches("<polyline").count()).sum();
            assert_eq!((set.plots.len(), lines), (4, 24), "{}", set.title);
        }
    }

    #[test]
    fn a_figure_that_no_run_has_is_left_out() {
        let mut study = example::study();
        for run in &mut study.runs {
            run.curves.retain(|curve| curve.name == "loss");
        }
        assert_eq!(super::curve_sets(&study).len(), 1);
    }
}
