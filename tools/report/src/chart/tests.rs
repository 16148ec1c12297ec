//! The charts of the example, and of studies that change it in one way.

use super::*;
use crate::data::{Run, Verdict};
use crate::example;

#[test]
fn every_run_has_a_mark_in_the_chart_of_levels() {
    let study = example::study();
    let svg = levels(&study, &study.metrics[0]).svg.inline("");
    assert_eq!(svg.matches(" seed\"").count(), 24);
    assert_eq!(svg.matches(" mean\"").count(), 8);
    for run in &study.runs {
        let label = format!(
            "{}, {}, seed {}:",
            study.method_label(&run.method),
            study.variant_label(&run.variant),
            run.seed
        );
        assert!(svg.contains(&label), "no mark for {label}");
    }
    assert!(svg.contains("chance 12.5") && svg.contains("untrained encoder 30.0"));
}

#[test]
fn drops_are_marked_by_seed_with_the_published_ones_beside() {
    let study = example::study();
    let chart = drops(&study, &study.metrics[0]);
    let svg = chart.svg.inline("");
    assert_eq!((svg.matches(" seed\"").count(), svg.matches(" published\"").count()), (24, 6));
    assert!(svg.contains("SimCLR, crop only, published: 27.6"), "{svg}");
    assert_eq!(svg.matches(" interval\"").count(), 6);
    assert!(svg.contains("SimCLR, crop only, interval: 58.1 to 66.1"), "{svg}");
    assert!(
        chart
            .description
            .contains("crop only: BYOL 12.5 points (8.0 to 16.9, interval 8.0 to 16.9, published 13.1), SimCLR 61.8 points (58.1 to 66.1, interval 58.1 to 66.1, published 27.6).")
    );
}

#[test]
fn a_collapsed_arm_is_labelled_in_both_charts_and_told_in_words() {
    let mut study = example::study();
    let of_arm = |run: &&mut Run| (&*run.method, &*run.variant) == ("byol", "crop_only");
    study.runs.iter_mut().filter(of_arm).for_each(|run| run.verdict = Some(Verdict::Collapsed));
    for chart in [levels(&study, &study.metrics[0]), drops(&study, &study.metrics[0])] {
        let svg = chart.svg.inline("");
        assert_eq!(svg.matches(" collapsed</text>").count(), 1, "{svg}");
        assert!(chart.description.contains(", collapsed)"), "{}", chart.description);
    }
}

#[test]
fn a_long_list_has_its_axis_at_both_ends_and_no_threads() {
    let mut study = example::study();
    let more = (0..20).map(|index| Variant { id: format!("v{index}"), ..Variant::default() });
    study.variants.extend(more);
    let svg = levels(&study, &study.metrics[0]).svg.inline("");
    assert_eq!((svg.matches(">80</text>").count(), svg.matches(" thread\"").count()), (2, 0), "{svg}");
}

#[test]
fn methods_that_share_a_colour_have_lines_of_their_own_one_of_them_broken() {
    let mut study = example::study();
    study.methods.extend((2..8).map(|index| Method { id: format!("m{index}"), label: format!("M{index}") }));
    let more = study.runs.iter().filter(|run| run.method == "byol");
    let more: Vec<Run> = more.map(|run| Run { method: "m7".into(), ..run.clone() }).collect();
    study.runs.extend(more);
    let svg = levels(&study, &study.metrics[0]).svg.inline("");
    assert_eq!(svg.matches("class=\"stroke0 thread\"").count(), 1, "{svg}");
    assert_eq!(svg.matches("class=\"stroke0 broken thread\"").count(), 1, "{svg}");
    assert_eq!(Look::of(&study, "m7").swatch(), "<span class=\"swatch back0 broken\"></span>");
    let curves: String = curve_sets(&study)[0].plots.iter().map(|plot| plot.svg.inline("")).collect();
    assert_eq!(curves.matches("class=\"stroke0 broken curve\"").count(), 4);
}

#[test]
fn no_text_leaves_the_drawing() {
    let mut study = example::study();
    study.methods[1].label = "SimCLR with a name that has no room anywhere".into();
    study.variants[3].label = "another_word_that_is_too_long_for_a_line".into();
    study.random_encoders.iter_mut().for_each(|random| {
        random.scores.insert("linear".into(), 0.99);
    });
    let unhealthy = study.runs.iter_mut().filter(|run| run.variant == "crop_only");
    unhealthy.zip([Verdict::Collapsed, Verdict::Collapsing].into_iter().cycle()).for_each(
        |(run, verdict)| {
            run.verdict = Some(verdict);
        },
    );
    for chart in [levels(&study, &study.metrics[0]), drops(&study, &study.metrics[0])] {
        for (x, anchor, text) in texts(&chart.svg.inline("")) {
            // A letter is about seven pixels wide.
            let width = text.chars().count() as f64 * 7.3;
            let (from, to) = if anchor == "end" { (x - width, x) } else { (x, x + width) };
            assert!(anchor == "middle" || from >= -2.0 && to <= panel::WIDTH, "{text}: {from} to {to}");
        }
    }
}

/// Place, anchor and letters of every text.
fn texts(svg: &str) -> Vec<(f64, String, String)> {
    let between = |text: &str, before: &str, after: &str| {
        text.split_once(before).and_then(|(_, rest)| Some(rest.split_once(after)?.0.to_string()))
    };
    svg.lines()
        .filter(|line| line.starts_with("<text"))
        .map(|line| {
            let anchor = between(line, "text-anchor=\"", "\"").unwrap_or_default();
            (between(line, " x=\"", "\"").unwrap().parse().unwrap(), anchor, between(line, ">", "<").unwrap())
        })
        .collect()
}

#[test]
fn a_missing_arm_is_named_instead_of_drawn() {
    let mut study = example::study();
    study.runs.retain(|run| run.method != "byol" || run.variant != "crop_only");
    let svg = levels(&study, &study.metrics[0]).svg.inline("");
    assert!(svg.contains("BYOL missing"));
    assert_eq!(svg.matches(" seed\"").count(), 21);
}

#[test]
fn files_are_the_same_every_time_and_draw_text_without_the_machines_fonts() {
    let study = example::study();
    let drawn = |study: &Study| -> Vec<(&str, String, Vec<u8>)> {
        files(study).unwrap().into_iter().map(|file| (file.name, file.svg, file.png)).collect()
    };
    let first = drawn(&study);
    assert_eq!(first.iter().map(|file| file.0).collect::<Vec<_>>(), ["charts", "curves"]);
    assert_eq!(first, drawn(&study));
    let mut silent = study.clone();
    silent.title = String::new();
    for (with, without) in first.iter().zip(drawn(&silent)) {
        assert_ne!(with.2, without.2, "the title draws nothing in {}", with.0);
    }
}
