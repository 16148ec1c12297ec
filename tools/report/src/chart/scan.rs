//! Accuracy over the values of a key, where arms of the study go through several: a line per method, the key across.

use std::collections::BTreeSet;

use super::axis::Axis;
use super::labels::apart;
use super::panel::WIDTH;
use super::svg::{Anchor, Svg};
use super::{Chart, Look};
use crate::data::{Method, Metric, Study, Variant};
use crate::statistics::{Sample, level};
use crate::text::{number, shortened};

/// Fewer values are a comparison, not a curve.
const LEAST_VALUES: usize = 3;
const HEIGHT: f64 = 330.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 40.0;
const LONGEST_NAME: usize = 16;

/// Arms that differ in the number that they give to one key.
#[derive(Debug, PartialEq)]
struct Scan<'a> {
    key: &'a str,
    /// What else these arms set; empty where nothing.
    others: Vec<&'a str>,
    /// Values rising, each with its text and its arm.
    arms: Vec<(f64, &'a str, &'a Variant)>,
}

/// The charts of all keys that the study goes through.
pub fn scans(study: &Study, metric: &Metric) -> Vec<Chart> {
    find(study).iter().map(|scan| draw(study, metric, scan)).collect()
}

/// The longest first; arms that are in a longer one are not shown again.
fn find(study: &Study) -> Vec<Scan<'_>> {
    let mut found: Vec<Scan<'_>> = Vec::new();
    for variant in &study.variants {
        for (index, set) in variant.sets.iter().enumerate() {
            let Some((key, text)) = set.split_once('=') else { continue };
            let Ok(value) = text.trim().parse::<f64>() else { continue };
            let others: Vec<&str> = variant
                .sets
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != index)
                .map(|(_, set)| &**set)
                .collect();
            let arm = (value, text.trim(), variant);
            match found.iter_mut().find(|scan| (scan.key, &scan.others) == (key, &others)) {
                Some(scan) if scan.arms.iter().all(|(known, ..)| *known != value) => scan.arms.push(arm),
                Some(_) => {}
                None => found.push(Scan { key, others, arms: vec![arm] }),
            }
        }
    }
    found.retain(|scan| scan.arms.len() >= LEAST_VALUES);
    found.iter_mut().for_each(|scan| scan.arms.sort_by(|left, right| left.0.total_cmp(&right.0)));
    found.sort_by_key(|scan| std::cmp::Reverse(scan.arms.len()));
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    found.retain(|scan| {
        let new = scan.arms.iter().any(|(_, _, variant)| !shown.contains(&*variant.id));
        shown.extend(scan.arms.iter().map(|(_, _, variant)| &*variant.id));
        new
    });
    found
}

/// Where the values stand between `left` and `right`: by their size or its logarithm, whichever keeps the nearest two further
/// apart, or where both crowd them, evenly.
fn places(values: &[f64], left: f64, right: f64) -> Vec<f64> {
    let scaled = |scale: fn(f64) -> f64| -> Vec<f64> {
        let (low, high) = (scale(values[0]), scale(values[values.len() - 1]));
        values.iter().map(|value| left + (scale(*value) - low) / (high - low) * (right - left)).collect()
    };
    let nearest =
        |places: &[f64]| places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let mut candidates = vec![scaled(|value| value)];
    if values[0] > 0.0 {
        candidates.push(scaled(f64::log10));
    }
    let best = candidates.into_iter().max_by(|one, other| nearest(one).total_cmp(&nearest(other)));
    let even = (right - left) / (values.len() - 1) as f64;
    best.filter(|places| nearest(places) > even / 4.0)
        .unwrap_or_else(|| (0..values.len()).map(|index| left + index as f64 * even).collect())
}

/// One method's line.
struct Line<'a> {
    method: &'a Method,
    samples: Vec<Sample>,
    baseline: Option<f64>,
}

fn draw(study: &Study, metric: &Metric, scan: &Scan<'_>) -> Chart {
    let beside = scan.arms.iter().all(|(_, _, variant)| variant.id != study.baseline);
    let of = |method: &str, variant: &str| level(study, &metric.id, method, variant);
    let line = |method| Line {
        method,
        samples: scan.arms.iter().map(|(_, _, variant)| of(&method.id, &variant.id)).collect(),
        baseline: of(&method.id, &study.baseline).mean().filter(|_| beside),
    };
    let lines: Vec<Line<'_>> = study.methods.iter().map(line).collect();
    let longest = study.methods.iter().map(|method| method.label.chars().count()).max().unwrap_or(0);
    let right = WIDTH - (longest.clamp(8, LONGEST_NAME) + 6) as f64 * 7.3 - 20.0;
    let values: Vec<f64> = scan.arms.iter().map(|(value, ..)| *value).collect();
    let across = places(&values, LEFT + 12.0, right - 12.0);
    let all = lines.iter().flat_map(|line| line.samples.iter().flat_map(|sample| &sample.values));
    let all = all.map(|(_, value)| *value).chain(lines.iter().filter_map(|line| line.baseline));
    let along = Axis::covering(all.chain([0.0]), 5.0, BOTTOM, TOP);

    let mut svg = Svg::new(WIDTH, HEIGHT);
    svg.text("title", (0.0, 16.0), Anchor::Start, &format!("{} over {}", metric.measure.title(), scan.key));
    let others = if scan.others.is_empty() { String::new() } else { format!(", {}", scan.others.join(", ")) };
    let subtitle = format!("{}, n = {}{others}", metric.label, study.seeds_behind());
    svg.text("soft", (0.0, 35.0), Anchor::Start, &subtitle.chars().take(76).collect::<String>());
    for tick in along.ticks() {
        svg.line("grid", (LEFT, along.at(tick)), (right, along.at(tick)));
        svg.text("tick", (LEFT - 6.0, along.at(tick) + 4.0), Anchor::End, &along.label(tick));
    }
    draw_values(&mut svg, scan, &across);
    svg.text("soft", ((LEFT + right) / 2.0, BOTTOM + 36.0), Anchor::Middle, scan.key);
    for line in &lines {
        line.draw(&mut svg, study, scan, &across, &along, right);
    }
    draw_names(&mut svg, study, &lines, &along, right);
    svg.text(
        "tick",
        (0.0, HEIGHT - 4.0),
        Anchor::Start,
        "line: mean; dots: seeds; \u{d7}: not healthy; dashed: baseline",
    );
    Chart { svg, description: describe(study, metric, scan, &lines) }
}

/// The values below their places, as many as have room.
fn draw_values(svg: &mut Svg, scan: &Scan<'_>, across: &[f64]) {
    let mut free = f64::NEG_INFINITY;
    for ((_, text, _), x) in scan.arms.iter().zip(across) {
        svg.line("axis", (*x, BOTTOM), (*x, BOTTOM + 4.0));
        let half = text.chars().count() as f64 * 3.4 + 4.0;
        if x - half >= free {
            svg.text("tick", (*x, BOTTOM + 17.0), Anchor::Middle, text);
            free = x + half;
        }
    }
}

impl Line<'_> {
    fn draw(&self, svg: &mut Svg, study: &Study, scan: &Scan<'_>, across: &[f64], along: &Axis, right: f64) {
        let look = Look::of(study, &self.method.id);
        let color = look.color;
        if let Some(baseline) = self.baseline {
            let y = along.at(baseline);
            svg.polyline(&format!("stroke{color} pairs"), &[(LEFT, y), (right, y)], "");
        }
        let mut means = Vec::new();
        for ((sample, x), (_, _, variant)) in self.samples.iter().zip(across).zip(&scan.arms) {
            let hint = |what: &str, value: f64| {
                format!("{}, {}, {what}: {}", self.method.label, variant.label, number(value))
            };
            for (seed, value) in &sample.values {
                let place = (*x, along.at(*value));
                svg.circle(&format!("fill{color} seed"), place, 3.0, &hint(&format!("seed {seed}"), *value));
            }
            if let Some(mean) = sample.mean() {
                means.push((*x, along.at(mean)));
                let size = (8.0, 4.0);
                let place = (x - 4.0, along.at(mean) - 2.0);
                let hint = hint(&format!("mean of n = {}", sample.n()), mean);
                svg.rectangle(&format!("fill{color} mean"), place, size, &hint);
                if study.unhealthy(&self.method.id, &variant.id).is_some() {
                    svg.text("value", (*x, along.at(mean) - 6.0), Anchor::Middle, "\u{d7}");
                }
            }
        }
        svg.polyline(&format!("{} scan", look.line()), &means, &self.method.label);
    }
}

/// At the end of each line its method, and beside the dashed ones that they are the baseline's.
fn draw_names(svg: &mut Svg, study: &Study, lines: &[Line<'_>], along: &Axis, right: f64) {
    let mut names: Vec<(Look, f64, String)> = Vec::new();
    for line in lines {
        let look = Look::of(study, &line.method.id);
        let last = line.samples.iter().rev().find_map(Sample::mean);
        let name = shortened(&line.method.label, LONGEST_NAME);
        names.extend(last.map(|mean| (look, along.at(mean), format!("{name} {}", number(mean)))));
        let baseline = line.baseline;
        names.extend(baseline.map(|mean| (look, along.at(mean), format!("baseline {}", number(mean)))));
    }
    let ends: Vec<f64> = names.iter().map(|(_, end, _)| *end).collect();
    for ((look, _, name), place) in names.iter().zip(apart(&ends, 14.0, TOP, BOTTOM)) {
        look.name(svg, "value", (right + 5.0, place), name);
    }
}

fn describe(study: &Study, metric: &Metric, scan: &Scan<'_>, lines: &[Line<'_>]) -> String {
    let mut text = format!("{} by {} over {}.", metric.measure.title(), metric.label, scan.key);
    for line in lines {
        let values = scan.arms.iter().zip(&line.samples).map(|((_, value, variant), sample)| {
            let Some(mean) = sample.mean() else { return format!("{value}: missing") };
            let health = study.unhealthy(&line.method.id, &variant.id);
            let health = health.map_or(String::new(), |found| format!(" ({})", found.text()));
            format!("{value}: {} %{health}", number(mean))
        });
        text.push_str(&format!(" {}: {}.", line.method.label, values.collect::<Vec<_>>().join(", ")));
        if let Some(baseline) = line.baseline {
            text.push_str(&format!(" Its baseline: {} %.", number(baseline)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn variant(id: &str, sets: &[&str]) -> Variant {
        Variant { id: id.into(), label: id.into(), sets: sets.iter().map(|set| set.to_string()).collect() }
    }

    fn study(variants: Vec<Variant>) -> Study {
        Study { variants, ..example::study() }
    }

    fn found(study: &Study) -> Vec<(&str, usize, Vec<&str>)> {
        find(study)
            .into_iter()
            .map(|scan| (scan.key, scan.others.len(), scan.arms.iter().map(|arm| arm.1).collect()))
            .collect()
    }

    #[test]
    fn arms_that_give_a_key_three_numbers_or_more_are_a_scan_by_rising_value() {
        let of = |values: &[&str]| {
            study(values.iter().map(|value| variant(value, &[&format!("a.b={value}"), "c=x"])).collect())
        };
        assert_eq!(found(&of(&["0.9", "0.99", "0"])), [("a.b", 1, vec!["0", "0.9", "0.99"])]);
        assert!(found(&of(&["1", "2"])).is_empty());
        assert!(found(&of(&["\"x\"", "true", "[1]"])).is_empty());
        assert!(found(&example::study()).is_empty());
    }

    #[test]
    fn a_grid_is_shown_along_its_longer_axis_only() {
        let mut variants = Vec::new();
        for size in 1..=3 {
            for rate in 1..=4 {
                variants.push(variant(
                    &format!("{size}-{rate}"),
                    &[&format!("size={size}"), &format!("rate={rate}")],
                ));
            }
        }
        let study = study(variants);
        let found = found(&study);
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|(key, others, values)| (*key, *others, values.len()) == ("rate", 1, 4)));
    }

    #[test]
    fn values_stand_by_size_by_logarithm_or_evenly_whichever_tells_them_apart() {
        assert_eq!(places(&[0.0, 1.0, 2.0], 0.0, 100.0), [0.0, 50.0, 100.0]);
        assert_eq!(places(&[1.0, 10.0, 100.0], 0.0, 100.0), [0.0, 50.0, 100.0]);
        assert_eq!(places(&[0.0, 0.99, 0.999], 0.0, 100.0), [0.0, 50.0, 100.0]);
    }

    #[test]
    fn every_seed_has_a_mark_and_the_baseline_beside_the_axis_is_a_level() {
        let mut study = study(vec![
            variant("baseline", &[]),
            variant("remove_grayscale", &["x=1"]),
            variant("remove_color", &["x=2"]),
            variant("crop_only", &["x=3"]),
        ]);
        study.runs.iter_mut().filter(|run| run.variant == "crop_only").for_each(|run| {
            run.verdict = Some(crate::data::Verdict::Collapsed);
        });
        let charts = scans(&study, &study.metrics[0].clone());
        assert_eq!(charts.len(), 1);
        let svg = charts[0].svg.inline("");
        let count = |text: &str| svg.matches(text).count();
        assert_eq!((count(" seed\""), count(" mean\""), count(">\u{d7}</text>")), (18, 6, 2));
        assert!(svg.contains("baseline 99.1") && svg.contains("\u{d7}: not healthy;"), "{svg}");
        assert!(
            charts[0]
                .description
                .contains("BYOL: 1: 48.3 %, 2: 49.8 %, 3: 51.2 % (collapsed). Its baseline: 63.7 %.")
        );
    }
}
