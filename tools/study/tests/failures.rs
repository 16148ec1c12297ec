//! What goes wrong in a study, with a shell script in place of the `diptych` binary.

mod common;

use std::fs;

use common::{Fake, Fixture, STUDY};
use diptych_study::Standing;

#[test]
fn a_failed_run_is_recorded_and_the_others_go_on_and_it_is_tried_again_when_that_is_asked_for() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    let outcome = fixture.run();
    assert_eq!(outcome.finished, 7);
    let failed = [("a-no_gray-seed1".to_string(), "out of memory".to_string())];
    assert_eq!(outcome.failed, failed);
    assert!(!outcome.is_complete());
    let text = outcome.to_string();
    assert!(
        text.contains("failed: a-no_gray-seed1: out of memory") && text.contains("--retry-failed"),
        "{text}"
    );
    assert!(fixture.out("results.csv").contains("a,no_gray,1,,,a-no_gray-seed1,failed"));
    assert!(fixture.out("report.html").contains("out of memory"));
    assert!(fixture.out("results.md").contains("- a no_gray seed 1: failed: out of memory"));
    assert_eq!(fixture.standings()["a-no_gray-seed1"], Standing::Failed("out of memory".into()));

    fixture.forget_log();
    assert_eq!(fixture.run().failed, failed, "it is told again");
    assert_eq!(fixture.logged("train").len(), 0, "and not begun again");
    assert_eq!(fixture.retry().failed, failed);
    assert_eq!(fixture.logged("train").len(), 1);

    fs::remove_file(fixture.path("fail")).unwrap();
    let outcome = fixture.retry();
    assert_eq!((outcome.finished, outcome.skipped), (8, 7));
    assert!(fixture.run().is_complete(), "what failed once is forgotten");
}

#[test]
fn a_failure_that_cannot_be_noted_is_told_all_the_same_and_the_others_go_on() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    fs::write(fixture.path("wedge"), "").unwrap();
    let outcome = fixture.run();
    assert_eq!(outcome.finished, 7);
    assert_eq!(outcome.failed, [("a-no_gray-seed1".to_string(), "out of memory".to_string())]);
}

#[test]
fn a_run_whose_untrained_encoder_is_not_evaluated_yet_is_not_done() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    fs::remove_file(fixture.path("out/runs/a-baseline-seed1/evaluation_random_init.json")).unwrap();
    let standing = Standing::Interrupted("evaluated, the untrained encoder not yet".into());
    assert_eq!(fixture.standings()["a-baseline-seed1"], standing);
    let plan = diptych_study::plan_of(&fixture.path("study.toml"), &fixture.path("out"), &mut Fake).unwrap();
    assert!(plan.to_string().ends_with("8 runs: 7 finished, 1 interrupted"), "{plan}");
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 7));
    assert_eq!(fixture.logged("evaluate").len(), 1);
}

#[test]
fn an_untrained_encoder_that_fails_is_noted_and_tried_again_only_when_that_is_asked_for() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail_control"), "a-baseline-seed1").unwrap();
    assert!(fixture.run().is_complete(), "the run is whole without it");
    assert_eq!(fixture.standings()["a-baseline-seed1"], Standing::Finished);
    fixture.forget_log();
    assert_eq!(fixture.run().skipped, 8);
    assert!(!fixture.path("log").exists());

    fs::remove_file(fixture.path("fail_control")).unwrap();
    assert_eq!(fixture.retry().skipped, 7);
    assert_eq!(fixture.logged("evaluate").len(), 1);
    fixture.forget_log();
    assert_eq!(fixture.retry().skipped, 8);
}

#[test]
fn a_run_counts_as_done_only_when_its_folder_says_so() {
    let fixture = Fixture::new();
    fs::write(fixture.path("mute"), "").unwrap();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.failed.len()), (0, 8));
    let (_, error) = &outcome.failed[0];
    assert!(
        error.starts_with("its processes ended without an error, and ")
            && error.ends_with("trained, not evaluated"),
        "{error}"
    );
}

#[test]
fn a_failed_run_whose_configuration_was_mended_is_begun_again_without_being_asked_for() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed").unwrap();
    assert_eq!(fixture.run().finished, 6);
    fs::remove_file(fixture.path("fail")).unwrap();
    fixture.study(&STUDY.replace("[\"grayscale\"]", "[\"blur\"]"));
    fs::remove_dir_all(fixture.path("out/runs/b-no_gray-seed0")).unwrap();
    fs::remove_dir_all(fixture.path("out/runs/b-no_gray-seed1")).unwrap();
    assert!(fixture.run().is_complete());
}

#[test]
fn a_missing_binary_ends_the_study_and_is_no_failure_of_a_run() {
    let fixture = Fixture::new();
    fs::rename(fixture.path("diptych"), fixture.path("away")).unwrap();
    let error = format!("{:#}", diptych_study::run(&fixture.options(), &mut Fake).unwrap_err());
    assert!(error.starts_with(&format!("cannot start {}", fixture.path("diptych").display())), "{error}");
    fs::rename(fixture.path("away"), fixture.path("diptych")).unwrap();
    assert!(fixture.run().is_complete());
}
