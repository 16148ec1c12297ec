//! Whole studies, with a shell script in place of the `diptych` binary.

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use common::{Fake, Fixture, STUDY};
use diptych_study::{PlannedRun, Resolved, Resolver, SlotOptions, Standing, StudyOptions};

#[test]
fn every_run_is_trained_and_evaluated_and_stands_in_the_results() {
    let fixture = Fixture::new();
    let outcome = fixture.run();
    assert_eq!((outcome.planned, outcome.finished, outcome.skipped), (8, 8, 0));
    assert!(outcome.is_complete() && outcome.failed.is_empty() && !outcome.interrupted);

    let train = fixture.logged("train");
    assert_eq!(train.len(), 8);
    let gray = train.iter().find(|line| line.contains("b-no_gray-seed1")).unwrap();
    assert!(gray.contains(" --set augmentations.remove=[\"grayscale\"] --set seed=1 --parent "), "{gray}");
    assert!(gray.contains("--resume --quiet --set threads="), "{gray}");
    let random = fixture.logged("evaluate").into_iter().filter(|line| line.contains("--random-init"));
    assert_eq!(random.count(), 2, "one untrained encoder per seed");

    let csv = fixture.out("results.csv");
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.contains("a,no_gray,1,0.3,0.5,a-no_gray-seed1,finished"), "{csv}");
    let page = fixture.out("report.html");
    assert!(
        page.contains("With “no gray”, A loses 60.0\u{a0}points of linear probe accuracy and B 10.0"),
        "headline"
    );
    assert!(page.contains("chance 25.0") && page.contains("untrained encoder 20.0"));
    assert!(
        fixture
            .out("results.md")
            .contains("| no gray | 60.0 (60.0 to 60.0; n = 2) | 10.0 (10.0 to 10.0; n = 2) |")
    );
    assert!(fixture.out("times.csv").contains("a,no_gray,1,1.5,,"));
    let differences = fixture.out("differences.csv");
    assert!(differences.contains("linear,a,b,no_gray,2,50,50,50,,,,"), "{differences}");
    for file in ["charts.svg", "charts.png", "curves.svg", "curves.png", "curves.csv"] {
        assert!(fixture.path("out").join(file).exists(), "{file}");
    }
    for table in ["results", "differences", "curves"] {
        let bytes = fs::read(fixture.path("out").join(format!("{table}.parquet"))).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{table}");
    }
}

#[test]
fn what_is_done_is_not_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    let first = fixture.out("results.csv");
    fixture.forget_log();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 8));
    assert!(!fixture.path("log").exists(), "neither trained nor evaluated");
    assert_eq!(fixture.out("results.csv"), first);
}

#[test]
fn an_evaluation_under_another_protocol_is_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    let old = fixture.path("out/runs/a-baseline-seed0/evaluation.json");
    fs::write(&old, fs::read_to_string(&old).unwrap().replace("[20]", "[5]")).unwrap();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 7));
    assert_eq!(fixture.logged("evaluate").len(), 1);
}

#[test]
fn an_evaluation_of_weights_of_another_step_or_of_none_that_it_names_is_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    for (run, step) in [("a-baseline-seed0", "\"step\": 1, "), ("b-baseline-seed0", "")] {
        let old = fixture.path("out/runs").join(run).join("evaluation.json");
        let text = fs::read_to_string(&old).unwrap();
        fs::write(&old, text.replace("\"step\": 2, ", step)).unwrap();
    }
    let report = diptych_study::report(&fixture.options(), &mut Fake).unwrap();
    assert_eq!(report.finished, 6, "a report alone does not use them");
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 6));
    assert_eq!(fixture.logged("evaluate").len(), 2);
}

#[test]
fn a_study_is_about_the_first_number_that_its_evaluation_gives() {
    let fixture = Fixture::new();
    fixture.evaluation("linear_sgd = {}\n");
    fixture.run();
    let page = fixture.out("report.html");
    assert!(
        page.contains("A loses 60.0\u{a0}points of linear classifier (SGD) accuracy and B 10.0"),
        "headline"
    );
    let csv = fixture.out("results.csv");
    assert!(csv.starts_with("base,variant,seed,linear_sgd_top1,fingerprint"), "{csv}");
    assert!(csv.contains("a,no_gray,1,0.3,a-no_gray-seed1,finished"), "{csv}");
}

#[test]
fn an_evaluation_that_judges_no_encoder_is_refused() {
    let fixture = Fixture::new();
    fixture.evaluation("data = {}\n");
    let error = diptych_study::run(&fixture.options(), &mut Fake).unwrap_err().to_string();
    assert!(
        error.contains("evaluation.toml: found no table that judges an encoder, expected one of [linear],"),
        "{error}"
    );
    assert_eq!(fixture.logged("train"), Vec::<String>::new());
}

#[test]
fn images_of_several_classes_are_reported_by_mean_average_precision_and_without_chance() {
    let fixture = Fixture::new();
    fixture.run();
    for run in fs::read_dir(fixture.path("out/runs")).unwrap() {
        let path = run.unwrap().path().join("evaluation.json");
        let text = fs::read_to_string(&path).unwrap().replace("top1", "mean_average_precision");
        fs::write(path, text).unwrap();
    }
    diptych_study::report(&fixture.options(), &mut Fake).unwrap();
    assert!(fixture.out("results.csv").starts_with("base,variant,seed,linear_mean_average_precision,"));
    let page = fixture.out("report.html");
    assert!(page.contains("A loses 60.0\u{a0}points of linear probe mean average precision"), "headline");
    assert!(!page.contains("chance 25.0"), "guessing is another matter");
}

#[test]
fn an_untrained_encoder_counts_only_where_the_study_as_it_is_asked_for_it() {
    let fixture = Fixture::new();
    fixture.run();
    let untrained = |n: usize| format!("Untrained encoder: 20.0 (20.0 to 20.0; n = {n})");
    assert!(fixture.out("results.md").contains(&untrained(2)));
    fixture.study(&STUDY.replace("[bases.a]", "[bases.first]\nconfig = \"run.toml\"\n[bases.a]"));
    fixture.run();
    assert!(fixture.out("results.md").contains(&untrained(2)), "that of the former first base does not");
    let old = fixture.path("out/runs/first-baseline-seed0/evaluation_random_init.json");
    fs::write(&old, fs::read_to_string(&old).unwrap().replace("[20]", "[5]")).unwrap();
    diptych_study::report(&fixture.options(), &mut Fake).unwrap();
    assert!(
        fixture.out("results.md").contains("Untrained encoder: 20.0 (one seed)"),
        "nor another protocol's"
    );
}

#[test]
fn encoders_are_compared_as_they_are_resolved_not_as_they_are_written() {
    for (width, differ) in [(16, false), (32, true)] {
        let fixture = Fixture::new();
        let base = format!("[bases.b]\nset = [\"encoder.width={width}\"]");
        fixture.study(&STUDY.replace("[bases.b]", &base));
        assert!(fixture.run().is_complete());
        let random = fixture.logged("evaluate").into_iter().filter(|line| line.contains("--random-init"));
        assert_eq!(random.count(), 2, "width {width}: one per seed");
        let remark = "The arms have different encoders: the untrained one is that of A with “baseline”.";
        assert_eq!(fixture.out("report.html").contains(remark), differ, "width {width}");
    }
}

#[test]
fn a_folder_whose_name_is_no_text_is_used_as_it_is() {
    let fixture = Fixture::new();
    let out = fixture.path("").join(OsStr::from_bytes(b"out-\xff"));
    let options = StudyOptions { out: out.clone(), ..fixture.options() };
    let outcome = diptych_study::run(&options, &mut Fake).unwrap();
    assert!(outcome.is_complete(), "{outcome}");
    assert!(out.join("runs/a-baseline-seed0/evaluation.json").exists());
}

#[test]
fn a_stopped_study_ends_its_runs_cleanly_and_goes_on_later() {
    let fixture = Fixture::new();
    // Behind the others in the queue, and done.
    let last = StudyOptions { only: vec!["b-no_gray-seed1".into()], ..fixture.options() };
    assert!(diptych_study::run(&last, &mut Fake).unwrap().is_complete());
    fixture.forget_log();
    let fifo = fixture.path("hold");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let slots = SlotOptions { jobs: Some(1), ..SlotOptions::default() };
    let options = StudyOptions { slots, ..fixture.options() };
    let outcome = std::thread::scope(|scope| {
        let study = scope.spawn(|| diptych_study::run(&options, &mut Fake).unwrap());
        // Reading ends when the first run has begun.
        assert_eq!(fs::read_to_string(&fifo).unwrap(), "begun\n");
        fixture.stop.store(true, Ordering::SeqCst);
        study.join().unwrap()
    });
    assert!(outcome.interrupted);
    assert_eq!((outcome.finished, outcome.failed.len()), (1, 0));
    assert!(outcome.to_string().contains("the same command goes on from here"));
    assert!(fixture.out("runs/a-baseline-seed0/run.json").contains("interrupted"));
    assert_eq!(fixture.logged("train").len(), 1, "no run begins after the stop");
    let csv = fixture.out("results.csv");
    assert_eq!((csv.matches(",interrupted").count(), csv.matches(",not begun").count()), (1, 6), "{csv}");

    fs::remove_file(&fifo).unwrap();
    fixture.stop.store(false, Ordering::SeqCst);
    assert!(fixture.run().is_complete());
}

/// The study with another setting for all of its runs.
fn changed() -> String {
    STUDY.replace("name = \"small\"", "name = \"small\"\nset = [\"blur=1\"]")
}

#[test]
fn a_folder_with_another_configuration_is_refused_by_its_keys_and_its_results_are_kept() {
    let fixture = Fixture::new();
    fixture.run();
    let (study, csv) = (fixture.out("study.json"), fixture.out("results.csv"));
    fixture.study(&changed());
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.failed.len()), (0, 8));
    let (_, error) = &outcome.failed[0];
    assert!(
        error.contains("seed: 1 in the run, 2 now") && error.contains("or choose another folder with --out"),
        "{error}"
    );
    assert!(!fixture.out("results.csv").contains("0.9"), "the report has nothing that was not asked for");
    assert!(outcome.to_string().contains("its former report is now in"), "{outcome}");
    assert_eq!(fixture.out("earlier/1/results.csv"), csv);
    assert_eq!(fixture.out("earlier/1/study.json"), study);

    fixture.study(STUDY);
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped, outcome.set_aside), (8, 8, None));
    assert_eq!(fixture.out("results.csv"), csv, "as it was, once the study is as it was");
}

#[test]
fn a_study_that_has_more_to_ask_keeps_its_runs_and_its_report() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.study(&STUDY.replace("seeds = [0, 1]", "seeds = [0, 1, 2]"));
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped, outcome.set_aside), (12, 8, None));
}

#[test]
fn arms_that_resolve_to_the_same_configuration_are_told_by_name() {
    struct Alike;
    impl Resolver for Alike {
        fn run(&mut self, run: &PlannedRun) -> anyhow::Result<Resolved> {
            let resolved = Fake.run(run)?;
            let fingerprint = resolved.fingerprint.replace("no_gray", "baseline");
            Ok(Resolved { fingerprint, ..resolved })
        }
        fn evaluation(&mut self, path: &Path) -> anyhow::Result<toml::Table> {
            Fake.evaluation(path)
        }
    }
    let fixture = Fixture::new();
    let plan = diptych_study::plan_of(&fixture.path("study.toml"), &fixture.path("out"), &mut Alike).unwrap();
    let text = plan.to_string();
    assert!(
        text.contains("note: a-baseline-seed0 and a-no_gray-seed0 resolve to the same configuration"),
        "{text}"
    );
    assert_eq!(text.matches("note: ").count(), 2, "once for each pair of arms, not for each seed: {text}");
}

#[test]
fn a_study_without_its_data_begins_nothing() {
    let fixture = Fixture::new();
    fixture.study(&STUDY.replace("name = \"small\"", "name = \"small\"\nset = [\"data.path=nowhere\"]"));
    let error = diptych_study::run(&fixture.options(), &mut Fake).unwrap_err().to_string();
    assert_eq!(error, "there is no folder nowhere");
    assert!(!fixture.path("out").exists());
}

#[test]
fn an_arm_that_was_stopped_early_is_evaluated_and_stands_in_every_table_with_its_label() {
    let fixture = Fixture::new();
    fs::write(fixture.path("collapse"), "b-no_gray").unwrap();
    let outcome = fixture.run();
    assert!(outcome.is_complete(), "{outcome}");
    let csv = fixture.out("results.csv");
    assert!(csv.contains("b,no_gray,0,0.7,0.5,b-no_gray-seed0,stopped early"), "{csv}");
    let text = fixture.out("results.md");
    assert!(text.contains("70.0 (70.0 to 70.0; n = 2), stopped early |"), "{text}");
    assert!(text.contains("- b no_gray seed 1: collapsed, step 1 of 2"), "{text}");
    let page = fixture.out("report.html");
    assert!(page.contains("B with “no gray” under seed 0 (collapsed, step 1 of 2)"), "a note");
    assert!(
        page.contains("<small class=\"bad\">stopped early</small>")
            && page.contains("<td>collapsed, step 1 of 2</td>"),
        "tables"
    );
    assert_eq!(
        fixture.standings()["b-no_gray-seed1"],
        Standing::StoppedEarly("collapsed, step 1 of 2".into())
    );
    fixture.forget_log();
    assert_eq!(fixture.run().skipped, 8, "it is over");
    assert!(!fixture.path("log").exists());
}

#[test]
fn the_policy_on_collapsed_runs_is_part_of_every_run() {
    let fixture = Fixture::new();
    fixture.study(&format!("{STUDY}[policy]\nstop_collapsed = \"collapsed\"\npatience_steps = 300\n"));
    assert!(fixture.run().is_complete());
    let train = fixture.logged("train");
    let policy = "--set diagnostics.stop_collapsed=\"collapsed\" --set diagnostics.patience_steps=300";
    assert!(train.len() == 8 && train.iter().all(|line| line.contains(policy)), "{train:?}");
}

#[test]
fn a_mistake_in_a_variant_is_told_before_anything_runs() {
    let fixture = Fixture::new();
    fixture.study(&STUDY.replace("grayscale", "graysacle"));
    let error = diptych_study::run(&fixture.options(), &mut Fake).unwrap_err().to_string();
    assert_eq!(error, "in the arm no_gray: no operator is called `graysacle`, did you mean `grayscale`?");
    assert_eq!(fixture.logged("train"), Vec::<String>::new());
}

#[test]
fn the_report_alone_runs_nothing_and_uses_only_what_the_study_asked_for() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    let outcome = diptych_study::report(&fixture.options(), &mut Fake).unwrap();
    assert_eq!(outcome.finished, 8);
    assert!(!fixture.path("log").exists());

    fixture.study(&STUDY.replace("\"grayscale\"", "\"blur\""));
    let outcome = diptych_study::report(&fixture.options(), &mut Fake).unwrap();
    assert_eq!((outcome.finished, outcome.failed.len()), (4, 4));
}

#[test]
fn a_plan_lists_every_run_with_its_state_and_runs_nothing() {
    let fixture = Fixture::new();
    let plan =
        || diptych_study::plan_of(&fixture.path("study.toml"), &fixture.path("out"), &mut Fake).unwrap();
    let text = plan().to_string();
    assert!(!fixture.path("log").exists() && !fixture.path("out").exists());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    let words: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(
        words,
        ["a-no_gray-seed0", "a", "no_gray", "0", "2", "sets", "a-no_gray-seed0", "not", "begun"]
    );
    assert_eq!(lines[9], "8 runs: 8 not begun");

    fixture.run();
    assert!(plan().to_string().ends_with("8 runs: 8 finished"));
}

#[test]
fn a_plan_tells_what_is_wrong_with_an_arm_once() {
    let fixture = Fixture::new();
    fixture.study(&STUDY.replace("grayscale", "graysacle"));
    let plan = diptych_study::plan_of(&fixture.path("study.toml"), &fixture.path("out"), &mut Fake);
    assert_eq!(
        plan.unwrap_err().to_string(),
        "in the arm no_gray: no operator is called `graysacle`, did you mean `grayscale`?"
    );
}

#[test]
fn the_folder_alone_tells_where_its_runs_stand_and_writes_its_report() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    fixture.run();
    fs::remove_file(fixture.path("study.toml")).unwrap();
    fs::remove_dir_all(fixture.path("out/runs/b-baseline-seed0")).unwrap();
    fs::remove_file(fixture.path("out/runs/b-baseline-seed1/evaluation.json")).unwrap();
    let killed = fixture.path("out/runs/b-no_gray-seed0/run.json");
    fs::write(&killed, fs::read_to_string(&killed).unwrap().replace("finished", "running")).unwrap();

    let found = fixture.standings();
    assert_eq!(found["a-baseline-seed0"], Standing::Finished);
    assert_eq!(found["a-no_gray-seed1"], Standing::Failed("out of memory".into()));
    assert_eq!(found["b-baseline-seed0"], Standing::Planned);
    assert_eq!(found["b-baseline-seed1"], Standing::Interrupted("trained, not evaluated".into()));
    assert_eq!(found["b-no_gray-seed0"], Standing::Interrupted("step 2 of 2".into()));
    let text = diptych_study::status(&fixture.path("out")).unwrap().to_string();
    assert!(text.contains("a-no_gray-seed1   failed       out of memory\n"), "{text}");
    assert!(text.ends_with("8 runs: 4 finished, 2 interrupted, 1 failed, 1 not begun"), "{text}");

    fs::remove_file(fixture.path("out/report.html")).unwrap();
    let outcome = diptych_study::report_of_folder(&fixture.path("out"), &[]).unwrap();
    assert_eq!((outcome.planned, outcome.finished), (8, 4));
    assert!(fixture.path("out/report.html").exists());
}

#[test]
fn a_folder_without_a_study_is_refused() {
    let error = diptych_study::status(&Fixture::new().path("out")).unwrap_err().to_string();
    assert!(error.contains("is no folder of a study: it has no study.json; run the study first"), "{error}");
}
