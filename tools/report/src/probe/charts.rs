//! A small plot for every operator, all with the same axis of cosines, and a row for every quantity that is read off.

use crate::chart::axis::Axis;
use crate::chart::svg::{Anchor, Svg};
use crate::chart::{Chart, file_style};

use super::{DRAWN, Probe, ProbeCurve, ProbeShortcut};

const SIZE: (f64, f64) = (246.0, 172.0);
/// Plots side by side in the file.
const COLUMNS: usize = 4;
const LEFT: f64 = 34.0;
const GAP: f64 = 18.0;
const MARGIN: f64 = 28.0;
const ROW: f64 = 26.0;

/// Colours of the drawn series: two outputs of the trained network, and one of the untrained.
pub(super) const SERIES: [usize; DRAWN] = [0, 1, 6];

/// A chart for each operator.
pub(super) fn curves(probe: &Probe) -> Vec<Chart> {
    let drawn = |curve: &ProbeCurve| curve.cosines.iter().take(DRAWN).flatten().copied().collect::<Vec<_>>();
    let pairs = probe.series.iter().take(DRAWN).map(|series| series.pairs);
    let values = probe.curves.iter().flat_map(drawn).chain(pairs).chain([1.0]);
    let along = Axis::covering(values, 4.0, SIZE.1 - 42.0, 26.0);
    probe.curves.iter().map(|curve| plot(probe, curve, &along)).collect()
}

fn plot(probe: &Probe, curve: &ProbeCurve, along: &Axis) -> Chart {
    let (width, height) = SIZE;
    let right = width - 10.0;
    let mut svg = Svg::new(width, height);
    svg.text("label", (0.0, 14.0), Anchor::Start, &curve.operator);
    for tick in along.ticks() {
        svg.line("grid", (LEFT, along.at(tick)), (right, along.at(tick)));
        svg.text("tick", (LEFT - 5.0, along.at(tick) + 4.0), Anchor::End, &along.label(tick));
    }
    // Strengths stand in their order, each with as much room.
    let step = (right - LEFT) / curve.strengths.len().max(1) as f64;
    let place = |index: usize| LEFT + (index as f64 + 0.5) * step;
    for (index, strength) in curve.strengths.iter().enumerate() {
        svg.text("tick", (place(index), height - 26.0), Anchor::Middle, strength);
    }
    svg.text("tick", ((LEFT + right) / 2.0, height - 10.0), Anchor::Middle, &curve.strength);
    let mut words = Vec::new();
    for ((series, cosines), color) in probe.series.iter().zip(&curve.cosines).zip(SERIES) {
        let level = along.at(series.pairs);
        svg.line(&format!("stroke{color} pairs"), (LEFT, level), (right, level));
        let points: Vec<(f64, f64)> =
            cosines.iter().enumerate().map(|(index, cosine)| (place(index), along.at(*cosine))).collect();
        if points.len() > 1 {
            svg.polyline(&format!("stroke{color} curve"), &points, &series.label);
        }
        for ((point, cosine), strength) in points.iter().zip(cosines).zip(&curve.strengths) {
            let hint = format!("{}, {} {strength}: {cosine:.3}", series.label, curve.operator);
            svg.circle(&format!("fill{color} point"), *point, 3.2, &hint);
        }
        let cosines: Vec<String> = cosines.iter().map(|cosine| format!("{cosine:.3}")).collect();
        words.push(format!("{} {} (different images {:.3})", series.label, cosines.join(", "), series.pairs));
    }
    let description =
        format!("Cosine under {} at {}: {}.", curve.operator, curve.strengths.join(", "), words.join("; "));
    Chart { svg, description }
}

/// One row for each quantity: what both encoders give away, and what guessing gets.
pub(super) fn shortcuts(shortcuts: &[ProbeShortcut]) -> Chart {
    let label =
        shortcuts.iter().map(|row| row.quantity.chars().count() + row.measure.chars().count() + 2).max();
    let left = label.unwrap_or(0) as f64 * 7.3 + 10.0;
    let (right, width, top) = (left + 430.0, left + 560.0, 30.0);
    let bottom = top + shortcuts.len() as f64 * ROW;
    let mut svg = Svg::new(width, bottom + 24.0);
    let values = shortcuts.iter().flat_map(|row| [row.trained, row.untrained, row.chance]).chain([0.0, 1.0]);
    let axis = Axis::covering(values, 5.0, left, right);
    svg.text("title", (0.0, 14.0), Anchor::Start, "What a linear probe reads off the embedding");
    for tick in axis.ticks() {
        let class = if tick.abs() < 1e-9 { "axis" } else { "grid" };
        svg.line(class, (axis.at(tick), top), (axis.at(tick), bottom));
        svg.text("tick", (axis.at(tick), bottom + 16.0), Anchor::Middle, &axis.label(tick));
    }
    let mut words = Vec::new();
    for (index, row) in shortcuts.iter().enumerate() {
        let y = top + (index as f64 + 0.5) * ROW;
        let (trained, untrained) = (axis.at(row.trained), axis.at(row.untrained));
        svg.text("label", (0.0, y + 4.0), Anchor::Start, &format!("{}, {}", row.quantity, row.measure));
        svg.line("fill6 stroke6 range", (untrained, y), (trained, y));
        svg.line("level", (axis.at(row.chance), y - 9.0), (axis.at(row.chance), y + 9.0));
        let hint = |who: &str, value: f64| format!("{}, {who}: {} {value:.3}", row.quantity, row.measure);
        svg.circle("fill6 point", (untrained, y), 4.2, &hint("untrained", row.untrained));
        svg.circle("fill0 point", (trained, y), 5.2, &hint("trained", row.trained));
        // Adding zero turns -0.0 into 0.0.
        let [shown, beside] = [row.trained, row.untrained].map(|value| (value * 100.0).round() / 100.0 + 0.0);
        let text = format!("{shown:.2}, untrained {beside:.2}").replace('-', "\u{2212}");
        svg.text("tick", (right + 12.0, y + 4.0), Anchor::Start, &text);
        words.push(format!("{}: trained {:.3}, untrained {:.3}", row.quantity, row.trained, row.untrained));
    }
    Chart { svg, description: format!("What a linear probe reads off. {}.", words.join("; ")) }
}

/// What marks mean, in a line.
fn key(probe: &Probe) -> Svg {
    let mut svg = Svg::new(SIZE.0 * COLUMNS as f64, 20.0);
    let mut x = 0.0;
    for (series, color) in probe.series.iter().zip(SERIES) {
        svg.circle(&format!("fill{color} point"), (x + 5.0, 10.0), 4.0, "");
        svg.text("label", (x + 16.0, 14.0), Anchor::Start, &series.label);
        x += 40.0 + series.label.chars().count() as f64 * 7.3;
    }
    svg.line("stroke6 pairs", (x, 10.0), (x + 22.0, 10.0));
    svg.text("label", (x + 28.0, 14.0), Anchor::Start, "two different images, by the same network");
    svg
}

/// Everything in one file.
pub(super) fn file(probe: &Probe) -> String {
    let (plots, rows, key) = (curves(probe), shortcuts(&probe.shortcuts), key(probe));
    let columns = COLUMNS as f64;
    let width = (columns * SIZE.0 + (columns - 1.0) * GAP).max(rows.svg.width) + 2.0 * MARGIN;
    let top = MARGIN + 100.0 + 18.0 * probe.warnings.len() as f64;
    let grid = plots.len().div_ceil(COLUMNS) as f64 * (SIZE.1 + GAP);
    let mut all = Svg::new(width, top + grid + rows.svg.height + 2.0 * MARGIN);
    all.text("big", (MARGIN, MARGIN + 14.0), Anchor::Start, &probe.title);
    all.text("soft", (MARGIN, MARGIN + 36.0), Anchor::Start, &probe.facts.join("; "));
    for (index, warning) in probe.warnings.iter().enumerate() {
        all.text("value", (MARGIN, MARGIN + 56.0 + 18.0 * index as f64), Anchor::Start, warning);
    }
    all.text(
        "title",
        (MARGIN, top - 32.0),
        Anchor::Start,
        "Cosine of an image and what an operator makes of it",
    );
    all.place((MARGIN, top - 24.0), &key);
    for (index, plot) in plots.iter().enumerate() {
        let (row, column) = ((index / COLUMNS) as f64, (index % COLUMNS) as f64);
        all.place((MARGIN + column * (SIZE.0 + GAP), top + 8.0 + row * (SIZE.1 + GAP)), &plot.svg);
    }
    all.place((MARGIN, top + grid + MARGIN), &rows.svg);
    let words: Vec<&str> = plots.iter().chain([&rows]).map(|chart| &*chart.description).collect();
    all.file(&file_style(), &words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::probe;
    use super::*;

    #[test]
    fn every_strength_of_a_drawn_series_has_a_mark_and_every_series_its_level_of_pairs() {
        let plots = curves(&probe());
        let marks: Vec<(usize, usize)> = plots
            .iter()
            .map(|plot| plot.svg.inline(""))
            .map(|svg| (svg.matches(" point\"").count(), svg.matches(" pairs\"").count()))
            .collect();
        assert_eq!(marks, [(9, 3), (3, 3)]);
        assert!(plots[0].description.contains("embedding 0.990, 0.900, 0.700 (different images 0.550)"));
    }

    #[test]
    fn a_quantity_worse_than_guessing_is_drawn_left_of_zero() {
        let mut probe = probe();
        probe.shortcuts[0].trained = -0.4;
        probe.shortcuts[1].untrained = -0.001;
        let svg = shortcuts(&probe.shortcuts).svg.inline("");
        assert!(svg.contains("\u{2212}0.40, untrained 0.72") && svg.contains("untrained 0.00"), "{svg}");
    }
}
