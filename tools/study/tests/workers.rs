//! Several workers on one folder, and several devices, with a shell script in place of the `diptych` binary.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use common::{Fake, Fixture, STUDY};
use diptych_study::{SlotOptions, Standing, StudyOptions, StudyOutcome};

/// Workers of one slot each on the same folder, at the same time; answers their outcomes.
fn at_once(options: &[StudyOptions]) -> Vec<StudyOutcome> {
    std::thread::scope(|scope| {
        let run = |options| scope.spawn(move || diptych_study::run(options, &mut Fake).unwrap());
        let workers: Vec<_> = options.iter().map(run).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

fn one_slot(fixture: &Fixture) -> StudyOptions {
    let slots = SlotOptions { jobs: Some(1), ..SlotOptions::default() };
    StudyOptions { slots, ..fixture.options() }
}

/// How often each run's folder is named in the commands.
fn counts(commands: &[String], place: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for command in commands {
        let folder = command.split(' ').nth(place).unwrap();
        *counts.entry(folder.rsplit('/').next().unwrap().to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn three_workers_do_each_run_once_and_all_report_the_whole() {
    let alone = Fixture::new();
    alone.run();
    let fixture = Fixture::new();
    fs::write(fixture.path("slow"), "").unwrap();
    let outcomes = at_once(&[one_slot(&fixture), one_slot(&fixture), one_slot(&fixture)]);
    for outcome in &outcomes {
        assert!(outcome.is_complete(), "{outcome}");
    }
    let done: usize = outcomes.iter().map(|outcome| outcome.finished - outcome.skipped).sum();
    assert_eq!(done, 8, "{outcomes:?}");
    let trained = counts(&fixture.logged("train"), 3);
    assert_eq!((trained.len(), trained.values().sum::<usize>()), (8, 8), "{trained:?}");
    let evaluated = fixture.logged("evaluate");
    assert_eq!(evaluated.len(), 8 + 2, "and an untrained encoder per seed");
    for file in ["results.csv", "differences.csv", "results.md"] {
        assert_eq!(fixture.out(file), alone.out(file), "{file}");
    }
}

#[test]
fn each_worker_tries_a_failed_run_again_once_at_most() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    fixture.run();
    fixture.forget_log();
    let again = StudyOptions { retry_failed: true, ..one_slot(&fixture) };
    let outcomes = at_once(&[again.clone(), again.clone(), again]);
    assert!(outcomes.iter().all(|outcome| outcome.failed.len() == 1), "{outcomes:?}");
    // One that began after another had tried knew of that failure, and may try again; no worker tries twice.
    let tried = fixture.logged("train").len();
    assert!((1..=3).contains(&tried), "{tried}");
}

#[test]
fn a_worker_that_does_not_wait_leaves_what_others_are_at() {
    let fixture = Fixture::new();
    fixture.study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"));
    let fifo = fixture.path("hold");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let first = StudyOptions { only: vec!["a-baseline-seed0".into()], ..one_slot(&fixture) };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| diptych_study::run(&first, &mut Fake).unwrap());
        // Reading ends when the run has begun.
        assert_eq!(fs::read_to_string(&fifo).unwrap(), "begun\n");
        fs::remove_file(&fifo).unwrap();
        let standing = &fixture.standings()["a-baseline-seed0"];
        assert!(
            matches!(standing, Standing::Running(how) if how.starts_with("step 2 of 2 on ")),
            "{standing:?}"
        );

        fixture.study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]\nset = [\"blur=1\"]"));
        let error = diptych_study::run(&one_slot(&fixture), &mut Fake).unwrap_err().to_string();
        assert!(error.starts_with("the study has changed since process "), "{error}");
        fixture.study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"));

        let second = StudyOptions { waits: false, ..one_slot(&fixture) };
        let second = diptych_study::run(&second, &mut Fake).unwrap();
        assert_eq!((second.planned, second.finished, second.elsewhere), (4, 3, 1));
        assert!(fixture.out("results.csv").contains("a,baseline,0,,,a-baseline-seed0,running"));
        fixture.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let first = first.join().unwrap();
        assert!(first.interrupted && first.report.is_none() && first.planned == 1, "{first:?}");
    });
}

/// Starts a study of one slot, whose first run is held when `meanwhile` is called.
fn while_held(
    fixture: &Fixture,
    options: &StudyOptions,
    meanwhile: impl FnOnce(),
) -> anyhow::Result<StudyOutcome> {
    let fifo = fixture.path("hold");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    std::thread::scope(|scope| {
        let study = scope.spawn(|| diptych_study::run(options, &mut Fake));
        // Reading ends when the run has begun.
        assert_eq!(fs::read_to_string(&fifo).unwrap(), "begun\n");
        fs::remove_file(&fifo).unwrap();
        meanwhile();
        study.join().unwrap()
    })
}

#[test]
fn a_run_that_was_taken_over_ends_without_a_word_and_is_looked_at_again() {
    let fixture = Fixture::new();
    let options = StudyOptions { only: vec!["a-baseline-seed0".into()], ..one_slot(&fixture) };
    let outcome = while_held(&fixture, &options, || {
        // As of a worker of another machine that took it over, and gave it back.
        fs::write(fixture.path("out/claims/a-baseline-seed0.2"), "").unwrap();
    });
    assert!(outcome.unwrap().is_complete());
    assert_eq!(fixture.logged("stopped").len(), 0, "a run that is told to stop writes into the folder");
    assert_eq!(fixture.logged("train").len(), 2);
}

#[test]
fn a_worker_whose_study_was_changed_begins_nothing_more_and_writes_no_report() {
    let single = "evaluation = \"evaluation.toml\"\n[bases.a]\nconfig = \"run.toml\"\n[variants.baseline]\n";
    for study in [STUDY, single] {
        let fixture = Fixture::new();
        fixture.study(study);
        let outcome = while_held(&fixture, &one_slot(&fixture), || {
            // As another worker does that finds nobody at work.
            let kept = fixture.out("study.json");
            let changed = kept.replace(": \"a-baseline-seed0\"", ": \"another\"");
            assert_ne!(changed, kept);
            fs::write(fixture.path("out/study.json"), changed).unwrap();
            fs::write(fixture.path("go"), "").unwrap();
        });
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("was changed while this worker was at it"), "{error}");
        assert_eq!(fixture.logged("train").len(), 1);
        assert!(!fixture.path("out/report.html").exists());
    }
}

#[test]
fn runs_are_spread_over_devices_and_evaluated_where_they_are_trained() {
    let fixture = Fixture::new();
    fs::write(fixture.path("slow"), "").unwrap();
    let slots = SlotOptions {
        jobs: None,
        devices: Some(vec!["cuda:0".into(), "cuda:1".into()]),
        jobs_per_device: Some(2),
    };
    assert!(at_once(&[StudyOptions { slots, ..fixture.options() }])[0].is_complete());
    let (train, evaluate) = (fixture.logged("train"), fixture.logged("evaluate"));
    for device in ["cuda:0", "cuda:1"] {
        let on = |commands: &[String], text: String| {
            commands.iter().filter(|command| command.contains(&text)).count()
        };
        assert!(on(&train, format!("--set device={device}")) >= 2, "{train:?}");
        assert!(on(&evaluate, format!("--device {device}")) >= 2, "{evaluate:?}");
    }
    assert!(train.iter().all(|command| command.contains("--set device=cuda:")), "{train:?}");
}

#[test]
fn only_what_is_asked_for_runs_and_a_run_that_is_not_in_the_study_is_refused_by_name() {
    let fixture = Fixture::new();
    let only = |ids: &[&str]| StudyOptions {
        only: ids.iter().map(|id| (*id).to_string()).collect(),
        ..fixture.options()
    };
    let outcome = diptych_study::run(&only(&["a-no_gray-seed0", "b-no_gray-seed1"]), &mut Fake).unwrap();
    assert!(outcome.is_complete() && outcome.planned == 2 && outcome.report.is_none(), "{outcome:?}");
    assert_eq!(fixture.logged("train").len(), 2);
    assert!(!fixture.path("out/report.html").exists());
    assert_eq!(fixture.standings().len(), 8, "the study is known as a whole");

    let error = diptych_study::run(&only(&["a-no_grey-seed0"]), &mut Fake).unwrap_err().to_string();
    assert!(
        error.contains("found \"a-no_grey-seed0\"") && error.ends_with("did you mean \"a-no_gray-seed0\"?"),
        "{error}"
    );
    assert_eq!(diptych_study::report_of_folder(&fixture.path("out"), &[]).unwrap().finished, 2);
}

#[test]
fn a_run_goes_on_with_the_number_of_threads_that_it_began_with() {
    let fixture = Fixture::new();
    let folder = fixture.path("out/runs/a-baseline-seed0");
    fs::create_dir_all(&folder).unwrap();
    fs::write(
        folder.join("run.json"),
        r#"{"state": "interrupted", "fingerprint": "a-baseline-seed0", "threads": 7}"#,
    )
    .unwrap();
    fixture.run();
    let train = fixture.logged("train");
    let resumed = train.iter().filter(|command| command.contains("--set threads=7"));
    assert!(resumed.count() == 1 && train.len() == 8, "{train:?}");
}
