//! Sentences for studies of which each changes the example in one way.

use super::*;
use crate::data::Verdict;
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
    assert!(not.contains("Published: BYOL ahead of SimCLR at the baseline; not here"), "{not}");
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
