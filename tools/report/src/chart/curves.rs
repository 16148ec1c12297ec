//! Learning curves as small multiples: one small plot per variant; per method a line at the mean over the seeds, in a band from
//! the lowest to the highest. All plots of a figure have the same axes, but for the loss: arms may minimise different ones.

use super::axis::Axis;
use super::labels::apart;
use super::series::{ArmCurve, ArmPoint, FIGURES, Figure, POINTS, arm_curves};
use super::svg::{Anchor, Svg};
use super::{Chart, Look};
use crate::data::{Study, Variant};
use crate::text::shortened;

const SIZE: (f64, f64) = (242.0, 158.0);
const TOP: f64 = 30.0;
const LEFT: f64 = 46.0;
/// Lines with their names at their ends; more would hide each other, and have a legend.
const MOST_NAMED: usize = 4;
const LONGEST_NAME: usize = 14;
/// A label as long as a small plot is wide.
const LONGEST_LABEL: usize = 34;
/// Points that all plots of a figure have together: what a page can hold, and a screen show.
const ALL_POINTS: usize = 6000;

/// One figure in all variants.
pub struct CurveSet {
    /// What the figure is, and how to read it.
    pub title: &'static str,
    /// What is drawn, for tables.
    pub curves: Vec<ArmCurve>,
    /// One per variant.
    pub plots: Vec<Chart>,
}

/// All figures that any run has, in reading order.
pub fn curve_sets(study: &Study) -> Vec<CurveSet> {
    let arms = (study.methods.len() * study.variants.len()).max(1);
    let all = arm_curves(study, (ALL_POINTS / arms).clamp(30, POINTS));
    let set = |figure: &'static Figure| {
        let curves: Vec<ArmCurve> = all.iter().filter(|curve| curve.figure == figure.name).cloned().collect();
        let plots = if curves.is_empty() { Vec::new() } else { plots(study, figure, &curves) };
        CurveSet { title: figure.title, curves, plots }
    };
    FIGURES.iter().map(set).filter(|set| !set.plots.is_empty()).collect()
}

/// Whether lines cannot be told apart by what stands beside them.
pub fn needs_legend(study: &Study) -> bool {
    study.methods.len() > 1 && !has_names(study)
}

/// Whether every line has its name beside it; one line needs none.
fn has_names(study: &Study) -> bool {
    let short = |label: &str| label.chars().count() <= LONGEST_NAME;
    (2..=MOST_NAMED).contains(&study.methods.len()) && study.methods.iter().all(|method| short(&method.label))
}

fn plots(study: &Study, figure: &Figure, curves: &[ArmCurve]) -> Vec<Chart> {
    let (width, height) = SIZE;
    let names = match study.methods.iter().map(|method| method.label.chars().count()).max() {
        Some(longest) if has_names(study) => longest as f64 * 7.6 + 18.0,
        // Half of the last steps' label stands beyond the axis.
        _ => 18.0,
    };
    let right = width - names;
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let across = Axis::covering(points().map(|point| point.step).chain([0.0]), 3.0, LEFT, right);
    let along = |points: &mut dyn Iterator<Item = &ArmPoint>| {
        let values = points.flat_map(|point| [point.lowest, point.highest]);
        Axis::covering(values.chain(figure.from_zero.then_some(0.0)), 3.0, height - 24.0, TOP)
    };
    let plot = |variant: &Variant| {
        let of_variant: Vec<&ArmCurve> = curves.iter().filter(|curve| curve.variant == variant.id).collect();
        let along = match figure.is_comparable {
            true => along(&mut points()),
            false => along(&mut of_variant.iter().flat_map(|curve| &curve.points)),
        };
        let mut svg = Svg::new(width, height);
        svg.text("label", (0.0, 14.0), Anchor::Start, &shortened(&variant.label, LONGEST_LABEL));
        for tick in along.ticks() {
            svg.line("grid", (LEFT, along.at(tick)), (right, along.at(tick)));
            svg.text("tick", (LEFT - 5.0, along.at(tick) + 4.0), Anchor::End, &along.label(tick));
        }
        // Two of the steps are enough to read the others, and never run into each other.
        for tick in [across.ticks().first(), across.ticks().last()].into_iter().flatten() {
            svg.text("tick", (across.at(*tick), height - 8.0), Anchor::Middle, &across.label(*tick));
        }
        for curve in &of_variant {
            draw(&mut svg, study, curve, &across, &along);
        }
        if has_names(study) {
            draw_names(&mut svg, study, &of_variant, &along, right);
        }
        Chart { svg, description: describe(study, figure, variant, &of_variant) }
    };
    study.variants.iter().map(plot).collect()
}

fn draw(svg: &mut Svg, study: &Study, curve: &ArmCurve, across: &Axis, along: &Axis) {
    let look = Look::of(study, &curve.method);
    let color = look.color;
    let place = |step: f64, value: f64| (across.at(step), along.at(value));
    if curve.points.iter().any(|point| point.n > 1) {
        let above = curve.points.iter().map(|point| place(point.step, point.highest));
        let below = curve.points.iter().rev().map(|point| place(point.step, point.lowest));
        svg.polygon(&format!("fill{color} band"), &above.chain(below).collect::<Vec<_>>());
    }
    let line: Vec<(f64, f64)> = curve.points.iter().map(|point| place(point.step, point.mean)).collect();
    let hint = format!("{}, {}", study.method_label(&curve.method), study.variant_label(&curve.variant));
    match line[..] {
        // A line of one point is invisible.
        [place] => svg.circle(&format!("fill{color} curve"), place, 2.4, &hint),
        _ => svg.polyline(&format!("{} curve", look.line()), &line, &hint),
    }
}

fn draw_names(svg: &mut Svg, study: &Study, curves: &[&ArmCurve], along: &Axis, right: f64) {
    let ends: Vec<f64> =
        curves.iter().map(|curve| curve.points.last().map_or(TOP, |point| along.at(point.mean))).collect();
    let places = apart(&ends, 12.0, TOP, SIZE.1 - 24.0);
    for (curve, place) in curves.iter().zip(places) {
        let look = Look::of(study, &curve.method);
        look.name(svg, "name", (right + 4.0, place), study.method_label(&curve.method));
    }
}

fn describe(study: &Study, figure: &Figure, variant: &Variant, curves: &[&ArmCurve]) -> String {
    let of = |curve: &&ArmCurve| {
        let (first, last) = (curve.points.first()?, curve.points.last()?);
        Some(format!(
            "{} from {:.3} at step {:.0} to {:.3} at step {:.0} (n = {}, {:.3} to {:.3})",
            study.method_label(&curve.method),
            first.mean,
            first.step,
            last.mean,
            last.step,
            last.n,
            last.lowest,
            last.highest
        ))
    };
    let told: Vec<String> = curves.iter().filter_map(of).collect();
    let told = if told.is_empty() { "nothing logged yet".to_string() } else { told.join("; ") };
    format!("{} over the steps, {}: {told}.", figure.title, variant.label)
}

/// All plots in one drawing; `None` where there are none.
pub fn drawing(study: &Study, title: &str) -> Option<Chart> {
    const MARGIN: f64 = 28.0;
    const GAP: f64 = 18.0;
    let sets = curve_sets(study);
    let columns = sets.first()?.plots.len().min(6);
    let rows = |set: &CurveSet| set.plots.len().div_ceil(columns) as f64;
    let height = sets.iter().map(|set| 40.0 + rows(set) * (SIZE.1 + GAP)).sum::<f64>();
    let width = (columns as f64 * (SIZE.0 + GAP)).max(560.0) + 2.0 * MARGIN;
    let mut all = Svg::new(width, height + 3.0 * MARGIN);
    all.text("big", (MARGIN, MARGIN + 16.0), Anchor::Start, title);
    let mut y = 2.0 * MARGIN + 12.0;
    for set in &sets {
        all.text("title", (MARGIN, y + 16.0), Anchor::Start, set.title);
        for (index, plot) in set.plots.iter().enumerate() {
            let (row, column) = ((index / columns) as f64, (index % columns) as f64);
            all.place((MARGIN + column * (SIZE.0 + GAP), y + 32.0 + row * (SIZE.1 + GAP)), &plot.svg);
        }
        y += 40.0 + rows(set) * (SIZE.1 + GAP);
    }
    let titles: Vec<&str> = sets.iter().map(|set| set.title).collect();
    let description = format!("Curves over the optimizer's steps in every variant: {}.", titles.join("; "));
    Some(Chart { svg: all, description })
}

#[cfg(test)]
mod tests {
    use crate::example;

    #[test]
    fn every_arm_has_a_line_in_a_band_in_every_figure_and_its_name_beside() {
        let study = example::study();
        let sets = super::curve_sets(&study);
        assert_eq!(sets.len(), 3);
        for set in sets {
            let count = |text: &str| -> usize {
                set.plots.iter().map(|plot| plot.svg.inline("").matches(text).count()).sum()
            };
            assert_eq!((set.plots.len(), count("<polyline"), count("<polygon")), (4, 8, 8), "{}", set.title);
            assert_eq!(count(">SimCLR</text>"), 4, "{}", set.title);
        }
    }

    #[test]
    fn one_variants_huge_loss_leaves_the_other_plots_readable() {
        let mut study = example::study();
        for run in study.runs.iter_mut().filter(|run| run.variant == "crop_only") {
            run.curves.iter_mut().flat_map(|curve| &mut curve.points).for_each(|point| point.1 *= 1000.0);
        }
        let sets = super::curve_sets(&study);
        let axis_has = |set: usize, plot: usize, tick: &str| {
            sets[set].plots[plot].svg.inline("").contains(&format!(">{tick}</text>"))
        };
        assert!(axis_has(0, 3, "4000") && !axis_has(0, 0, "4000"), "losses are on axes of their own");
        assert!(axis_has(1, 3, "1000") && axis_has(1, 0, "1000"), "spreads share one");
    }

    #[test]
    fn a_figure_that_no_run_has_is_left_out() {
        let mut study = example::study();
        for run in &mut study.runs {
            run.curves.retain(|curve| curve.name == "loss");
        }
        assert_eq!(super::curve_sets(&study).len(), 1);
    }

    #[test]
    fn one_seed_has_no_band_and_one_point_is_a_dot() {
        let mut study = example::study();
        study.runs.retain(|run| run.seed == 0);
        for run in &mut study.runs {
            run.curves.iter_mut().for_each(|curve| curve.points.truncate(1));
        }
        let sets = super::curve_sets(&study);
        let svg = sets[0].plots[0].svg.inline("");
        assert_eq!((svg.matches("<polygon").count(), svg.matches(" curve\"").count()), (0, 2), "{svg}");
    }

    #[test]
    fn the_description_tells_where_each_line_begins_and_ends() {
        let sets = super::curve_sets(&example::study());
        let text = &sets[0].plots[0].description;
        assert!(text.starts_with("Loss over the steps, baseline: BYOL from "), "{text}");
        assert!(text.contains("at step 1500 (n = 3, "), "{text}");
    }
}
