//! Sentences for studies of which each changes the example in one way.

use super::*;
use crate::data::{State, Verdict};
use crate::example;

/// The example with each score replaced by what `change` makes of it.
fn changed(change: impl Fn(&str, &str, u64, f64) -> f64) -> Study {
    let mut study = example::study();
    for run in &mut study.runs {
        for score in run.scores.values_mut() {
            *score = change(&run.method, &run.variant, run.seed, *score);
        }
    }
    study
}

#[test]
fn the_headline_names_the_method_that_loses_more_and_the_crossing() {
    let findings = findings(&example::study());
    assert_eq!(
        findings.headline,
        "With “crop only”, SimCLR loses 61.8\u{a0}points of linear probe accuracy and BYOL 12.5: a difference of 49.3\u{a0}points (95\u{a0}% interval 48.7 to 50.1; mean of 3 seeds, paired; SimCLR loses more in each)."
    );
    assert_eq!(
        findings.levels.unwrap(),
        "The ranking crosses over, in every seed: BYOL is behind at the baseline (63.7\u{a0}% against 99.1\u{a0}%) and ahead there (51.2\u{a0}% against 37.2\u{a0}%)."
    );
}

#[test]
fn what_is_not_reproduced_is_said() {
    let findings = findings(&example::study());
    let not = findings.does_not_hold.join("\n");
    assert!(
        not.contains("Published: BYOL ahead of SimCLR at the baseline; here it is the other way round (BYOL"),
        "{not}"
    );
    assert!(
        not.contains("BYOL loses more with “remove colour” than with “remove grayscale”; here it is"),
        "{not}"
    );
    assert_eq!(findings.holds.len(), 2, "{:?}", findings.holds);
    assert!(
        findings.holds[0]
            .starts_with("SimCLR loses more than BYOL with “remove grayscale”, “remove colour” and")
    );
    assert!(findings.notes.iter().any(|note| note.contains("SimCLR starts 35.4\u{a0}points above BYOL")));
}

#[test]
fn equal_scores_everywhere_are_called_equal() {
    let findings = findings(&changed(|_, _, _, _| 0.5));
    assert_eq!(
        findings.headline,
        "The methods lose exactly the same linear probe accuracy in every variant."
    );
    assert_eq!(findings.levels, None);
    assert!(findings.holds.is_empty(), "{:?}", findings.holds);
    let not = findings.does_not_hold.join("\n");
    assert!(not.contains("; here the two are equal") && !not.contains("disagree"), "{not}");
}

#[test]
fn drops_that_are_equal_on_average_alone_are_not_called_equal() {
    // SimCLR loses two points more under one seed, and two less under another.
    let findings = findings(&changed(|method, variant, seed, _| match (method, variant) {
        ("simclr", "crop_only") => 0.5 + [0.02, -0.02, 0.0][seed as usize],
        _ => 0.5,
    }));
    assert!(
        findings.headline.starts_with("No difference between the methods shows"),
        "{}",
        findings.headline
    );
}

#[test]
fn seeds_that_disagree_are_no_difference() {
    // Per variant and method, one seed is up and another down.
    let findings = findings(&changed(|method, variant, seed, _| {
        let sign = if (method == "byol") == (seed == 0) { 1.0 } else { -1.0 };
        if variant == "baseline" { 0.5 } else { 0.4 + 0.01 * sign }
    }));
    assert!(
        findings.headline.starts_with("No difference between the methods shows"),
        "{}",
        findings.headline
    );
    assert!(findings.does_not_hold.iter().any(|text| text.contains("here the seeds disagree")));
}

#[test]
fn the_other_direction_gives_the_other_sentence() {
    let findings = findings(&changed(|method, variant, _, _| match (method, variant) {
        (_, "baseline") => 0.8,
        ("byol", "crop_only") => 0.3,
        ("byol", _) => 0.7,
        _ => 0.85,
    }));
    assert!(
        findings.headline.starts_with(
            "With “crop only”, BYOL loses 50.0\u{a0}points of linear probe accuracy and SimCLR gains 5.0"
        ),
        "{}",
        findings.headline
    );
}

#[test]
fn a_single_seed_claims_no_spread() {
    let mut study = example::study();
    study.seeds = vec![0];
    study.runs.retain(|run| run.seed == 0);
    let findings = findings(&study);
    assert!(findings.headline.ends_with("(one seed, so no spread is known)."), "{}", findings.headline);
    assert!(!findings.levels.unwrap().contains("every seed"));
}

#[test]
fn two_seeds_have_a_mean_and_no_interval_and_n_is_said() {
    let mut study = example::study();
    study.seeds = vec![0, 1];
    study.runs.retain(|run| run.seed < 2);
    let findings = findings(&study);
    assert!(
        findings.headline.ends_with(
            "a difference of 49.7\u{a0}points (mean of 2 seeds, too few for an interval; SimCLR loses more in each)."
        ),
        "{}",
        findings.headline
    );
    assert!(findings.notes.iter().any(|note| note.ends_with("at least 3 paired seeds, and n = 2.")));
}

#[test]
fn what_an_interval_of_three_seeds_is_worth_is_said() {
    let notes = findings(&example::study()).notes.join("\n");
    assert!(
        notes.contains(
            "Intervals are 95\u{a0}% percentile bootstraps of the mean over paired seeds, of 10000 resamples under seed 0. \
             Of three seeds such an interval is no more than the range: by Student's t, SimCLR loses 49.3\u{a0}±\u{a0}1.8 points more than BYOL with “crop only”."
        ),
        "{notes}"
    );
}

#[test]
fn a_single_method_is_compared_with_its_own_baseline() {
    let mut study = example::study();
    study.methods.remove(0);
    study.runs.retain(|run| run.method == "simclr");
    let findings = findings(&study);
    assert_eq!(
        findings.headline,
        "SimCLR loses most with “crop only”: 61.8\u{a0}points of linear probe accuracy (mean of 3 seeds, 95\u{a0}% interval 58.1 to 66.1)."
    );
}

#[test]
fn a_study_without_results_says_so() {
    let mut study = example::study();
    for run in &mut study.runs {
        run.scores.clear();
        run.state = State::Planned;
    }
    let findings = findings(&study);
    assert_eq!(
        findings.headline,
        "Nothing can be compared with the baseline yet: 0 of 24 runs have finished."
    );
    assert!(findings.notes.iter().any(|note| note.starts_with("24 of 24 runs are missing")));
}

#[test]
fn an_arm_that_collapsed_is_named_with_the_number_of_seeds() {
    let mut study = example::study();
    assert!(findings(&study).notes.iter().all(|note| !note.contains("not healthy")));
    for run in study.runs.iter_mut().filter(|run| run.variant == "crop_only" && run.method == "byol") {
        run.verdict = Some(if run.seed == 0 { Verdict::Collapsed } else { Verdict::Healthy });
    }
    let notes = findings(&study).notes.join("\n");
    assert!(notes.contains("not healthy: BYOL with “crop only” (1 of 3 collapsed)."), "{notes}");
}

/// One method whose drops by variant and seed are these points, from a baseline of 80 %.
fn alone(drops: &[(&str, &[f64])]) -> Study {
    let mut study = example::study();
    study.methods.truncate(1);
    study
        .variants
        .retain(|variant| variant.id == "baseline" || drops.iter().any(|(id, _)| *id == variant.id));
    study.runs.retain(|run| run.method == "byol");
    for run in &mut study.runs {
        let drop = match drops.iter().find(|(id, _)| *id == run.variant) {
            Some((_, drops)) => drops.get(run.seed as usize).copied(),
            None => Some(0.0),
        };
        run.scores.clear();
        run.scores.extend(drop.map(|drop| ("linear".to_string(), (80.0 - drop) / 100.0)));
    }
    study
}

#[test]
fn a_loss_that_every_seed_shows_is_not_hidden_by_a_larger_one_that_not_every_seed_shows() {
    let study = alone(&[("crop_only", &[60.0, -1.0]), ("remove_color", &[5.0, 6.0])]);
    assert_eq!(
        findings(&study).headline,
        "Of what BYOL loses by under every seed, “remove colour” costs most on average: 5.5\u{a0}points of linear probe accuracy (mean of 2 seeds, 5.0 to 6.0)."
    );
    let study = alone(&[("crop_only", &[60.0, -1.0]), ("remove_color", &[-5.0, 6.0])]);
    assert_eq!(findings(&study).headline, "No variant costs linear probe accuracy in every one of 2 seeds.");
}

#[test]
fn a_largest_loss_that_is_not_the_largest_in_every_seed_is_largest_on_average() {
    let headline =
        |other: &[f64]| findings(&alone(&[("crop_only", &[20.0, 30.0]), ("remove_color", other)])).headline;
    assert!(headline(&[10.0, 29.0]).starts_with("BYOL loses most with “crop only”: 25.0"));
    assert!(headline(&[10.0, 31.0]).starts_with("BYOL loses most on average with “crop only”: 25.0"));
    assert!(
        headline(&[20.0, 30.0]).starts_with("BYOL loses most with “remove colour” and “crop only”: 25.0")
    );
}

#[test]
fn a_sentence_on_two_methods_rests_on_the_seeds_that_both_have() {
    let mut study = changed(|method, variant, seed, _| match (method, variant, seed) {
        ("byol", "baseline", 1) => 0.9,
        ("byol", "baseline", _) | ("simclr", "crop_only", 1) => 0.6,
        ("byol", ..) => 0.5,
        ("simclr", "baseline", _) => 0.9,
        ("simclr", "crop_only", _) => 0.3,
        _ => 0.85,
    });
    study.runs.retain(|run| (&*run.method, &*run.variant, run.seed) != ("byol", "crop_only", 1));
    let findings = findings(&study);
    assert!(
        findings.headline.starts_with(
            "With “crop only”, SimCLR loses 60.0\u{a0}points of linear probe accuracy and BYOL 10.0: a difference of 50.0\u{a0}points (mean of 2 seeds"
        ),
        "{}",
        findings.headline
    );
    assert!(
        findings
            .levels
            .unwrap()
            .contains("(60.0\u{a0}% against 90.0\u{a0}%) and ahead there (50.0\u{a0}% against 30.0\u{a0}%)")
    );
}

#[test]
fn of_two_methods_that_both_gain_one_gains_less() {
    let findings = findings(&changed(|method, variant, _, _| match (method, variant) {
        (_, "baseline") => 0.5,
        ("byol", _) => 0.7,
        _ => 0.6,
    }));
    assert!(
        findings.headline.contains("SimCLR gains 10.0")
            && findings.headline.contains("; SimCLR gains less in each)"),
        "{}",
        findings.headline
    );
}

#[test]
fn methods_that_are_equal_at_the_baseline_are_not_said_to_disagree() {
    let findings = findings(&changed(|method, variant, _, _| match (method, variant) {
        (_, "baseline") => 0.8,
        ("simclr", "crop_only") => 0.3,
        _ => 0.7,
    }));
    assert_eq!(
        findings.levels.unwrap(),
        "Levels: BYOL goes from 80.0\u{a0}% to 70.0\u{a0}%, SimCLR from 80.0\u{a0}% to 30.0\u{a0}%; at the baseline they are equal, with “crop only” BYOL is ahead."
    );
}

#[test]
fn a_method_that_is_ahead_on_average_alone_is_not_said_to_have_more_to_lose() {
    let notes = findings(&changed(|method, _, seed, _| match (method, seed) {
        ("byol", 0) => 0.9,
        ("byol", _) => 0.4,
        _ => 0.5,
    }));
    assert!(notes.notes.iter().all(|note| !note.contains("more to lose")), "{:?}", notes.notes);
}

#[test]
fn an_order_at_the_baseline_that_seeds_disagree_on_is_called_that() {
    let findings = findings(&changed(|method, _, seed, _| match (method, seed) {
        ("byol", 0) => 0.9,
        ("byol", _) => 0.45,
        _ => 0.5,
    }));
    let not = findings.does_not_hold.join("\n");
    assert!(
        not.contains(
            "Published: BYOL ahead of SimCLR at the baseline; here the seeds disagree (BYOL 60.0\u{a0}%, SimCLR 50.0\u{a0}%)."
        ),
        "{not}"
    );
}

/// As [`alone`], under one seed, with these published drops.
fn published(drops: &[(&str, f64, f64)]) -> Findings {
    let ours: Vec<(&str, [f64; 1])> = drops.iter().map(|(id, _, ours)| (*id, [*ours])).collect();
    let mut study = alone(&ours.iter().map(|(id, ours)| (*id, &ours[..])).collect::<Vec<_>>());
    let values = &mut study.reference.as_mut().unwrap().values;
    values.retain(|value| value.method == "byol");
    for value in values {
        let drop = drops.iter().find(|(id, ..)| *id == value.variant).map_or(0.0, |(_, drop, _)| *drop);
        (value.percent, value.baseline) = (70.0 - drop, None);
    }
    findings(&study)
}

#[test]
fn variants_that_share_a_published_place_are_each_compared_with_the_next_place() {
    let found =
        published(&[("remove_grayscale", 5.0, 20.0), ("remove_color", 5.0, 3.0), ("crop_only", 9.0, 10.0)]);
    assert_eq!(
        found.does_not_hold,
        [
            "Published: BYOL loses more with “crop only” than with “remove grayscale”; here it is the other way round."
        ]
    );
    assert!(found.holds.is_empty(), "{:?}", found.holds);
    let found =
        published(&[("remove_grayscale", 5.0, 8.0), ("remove_color", 5.0, 3.0), ("crop_only", 9.0, 10.0)]);
    assert_eq!(
        found.holds,
        [
            "BYOL's drops stand in the published order: “remove grayscale” and “remove colour”, “crop only”, the largest."
        ]
    );
}

#[test]
fn an_order_of_which_nothing_could_be_compared_does_not_hold() {
    let found = published(&[("remove_grayscale", 5.0, 20.0), ("remove_color", 5.0, 3.0)]);
    assert!(found.holds.is_empty() && found.does_not_hold.is_empty(), "{found:?}");
}

#[test]
fn variants_without_a_common_seed_are_not_said_to_disagree() {
    let mut study = alone(&[("remove_grayscale", &[1.0, 1.0]), ("crop_only", &[2.0, 2.0])]);
    study.runs.retain(|run| match &*run.variant {
        "remove_grayscale" => run.seed == 0,
        "crop_only" => run.seed == 1,
        _ => true,
    });
    let found = findings(&study);
    assert!(found.does_not_hold.is_empty(), "{:?}", found.does_not_hold);
    assert!(found.holds.is_empty(), "{:?}", found.holds);
}

#[test]
fn what_the_arms_of_a_seed_do_not_share_is_not_said_of_them() {
    let mut study = example::study();
    let told = |study: &Study, part: &str| findings(study).notes.iter().any(|note| note.contains(part));
    assert!(told(
        &study,
        "Ranges are over 3 seeds, paired: all arms of a seed share images, crops and initial weights."
    ));
    let key = |study: &mut Study, key: &str| study.differences[0].keys[0].0 = key.into();
    key(&mut study, "encoder.initialization");
    assert!(told(&study, "paired: all arms of a seed share images and crops."));
    key(&mut study, "augmentations.views.first.operators.random_resized_crop");
    assert!(told(&study, "paired: all arms of a seed share images and initial weights."));
}

#[test]
fn ranges_are_said_to_be_over_the_seeds_that_are_there() {
    let study = alone(&[("remove_color", &[1.0, 2.0]), ("crop_only", &[2.0, 3.0, 4.0])]);
    let notes = findings(&study).notes.join("\n");
    assert!(notes.contains("Ranges are over 2 to 3 seeds, paired"), "{notes}");
    assert!(
        notes.contains("by Student's t, BYOL loses 3.0\u{a0}±\u{a0}2.5 points with “crop only”."),
        "{notes}"
    );
}
