//! Whole runs on synthetic images with the built-in plugins: what a run writes, how it resumes, what it refuses.

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, checkpoint, config, demo, images, interrupt_in_the_middle, run};
use diptych_config::Document;
use diptych_test_support::repository;
use diptych_trainer::metrics::TIMED;
use diptych_trainer::{Begun, EvaluationConfig, EvaluationOptions, Outcome, RunConfig, RunState, evaluate};

/// The lines of metrics without what depends on the machine.
fn metrics(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines
        .map(|mut line| {
            for name in TIMED {
                line.as_object_mut().unwrap().remove(name).expect("every line is timed");
            }
            line
        })
        .collect()
}

#[test]
fn a_run_that_was_interrupted_and_resumed_is_bit_identical_to_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&images(folder.path()), 60, &[]);
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    assert!(matches!(run(&config, &straight, false).unwrap(), Outcome::Finished(_)));

    let Outcome::Interrupted(summary) = interrupt_in_the_middle(&config, &broken) else {
        panic!("the run was over before it was stopped");
    };
    assert!(summary.step < 60, "{summary:?}");
    assert_eq!(Begun::read(&broken).unwrap().state, RunState::Interrupted);
    let Outcome::Finished(summary) = run(&config, &broken, true).unwrap() else { panic!("not finished") };
    assert_eq!(summary.step, 60);

    assert_eq!(metrics(&straight), metrics(&broken));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        assert!(checkpoint(&straight, file) == checkpoint(&broken, file), "{file} differs");
    }
}

/// A run that has nothing to keep it from collapsing.
fn collapsing(images: &Path, policy: &[&str]) -> RunConfig {
    let mut sets = vec![
        "predictor.kind=\"none\"",
        "target.kind=\"none\"",
        "projector.norm=\"none\"",
        "projector.output_norm=\"none\"",
        "optimizer.learning_rate=0.03",
        "logging.every_steps=1",
    ];
    sets.extend(policy);
    demo("byol", images, 60, &sets)
}

#[test]
fn a_run_that_has_been_collapsed_for_as_long_as_it_may_ends_early_whether_interrupted_before_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let place = |name: &str| folder.path().join(name);
    let never = collapsing(&images, &[]);
    assert!(matches!(run(&never, &place("never"), false).unwrap(), Outcome::Finished(_)));

    let policy = [
        "diagnostics.stop_collapsed=\"collapsed\"",
        "diagnostics.patience_steps=12",
        "diagnostics.every_steps=4",
    ];
    let early = collapsing(&images, &policy);
    assert_ne!(early.fingerprint("data"), never.fingerprint("data"), "it is another run");
    let Outcome::StoppedEarly(summary) = run(&early, &place("early"), false).unwrap() else {
        panic!("the run did not end early")
    };
    let verdict = |step: u64| metrics(&place("never"))[step as usize - 1]["collapsing"].as_f64().unwrap();
    // The first time that four looks in a row, over twelve steps, find it collapsed.
    let looks = |end: u64| [end - 12, end - 8, end - 4, end];
    let end = (4..=15).map(|look| look * 4).find(|end| looks(*end).iter().all(|look| verdict(*look) == 2.0));
    assert_eq!(Some(summary.step), end);
    assert_eq!(metrics(&place("early")), metrics(&place("never"))[..summary.step as usize]);
    let begun = Begun::read(&place("early")).unwrap();
    assert_eq!((begun.state, begun.step, begun.steps), (RunState::StoppedEarly, summary.step, 60));

    interrupt_in_the_middle(&early, &place("broken"));
    for name in ["broken", "early"] {
        let Outcome::StoppedEarly(again) = run(&early, &place(name), true).unwrap() else { panic!("{name}") };
        assert_eq!(again.step, summary.step, "{name}");
    }
    let model = |name: &str| checkpoint(&place(name), "model.safetensors");
    assert!(model("broken") == model("early"));
}

#[test]
fn a_run_that_was_killed_behind_its_last_checkpoint_keeps_its_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let (config, out) = (collapsing(&images(folder.path()), &[]), folder.path().join("run"));
    run(&config, &out, false).unwrap();
    let report = std::fs::read_to_string(out.join("run.json")).unwrap();
    assert!(report.contains("\"verdict\": \"collapsed\""), "{report}");
    let begun = report.replace("\"finished\"", "\"running\"").replace("\"collapsed\"", "\"healthy\"");
    std::fs::write(out.join("run.json"), begun).unwrap();
    run(&config, &out, true).unwrap();
    let report = std::fs::read_to_string(out.join("run.json")).unwrap();
    assert!(report.contains("\"verdict\": \"collapsed\""), "{report}");
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let runs = ["loader.workers=1", "loader.workers=3"].map(|workers| {
        let config = config(&images, 9, &[workers]);
        let out = folder.path().join(workers);
        run(&config, &out, false).unwrap();
        (config.fingerprint("data"), metrics(&out), checkpoint(&out, "model.safetensors"))
    });
    assert!(runs[0] == runs[1]);
}

#[test]
fn another_configuration_is_refused_by_the_names_of_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let out = folder.path().join("run");
    run(&config(&images, 3, &[]), &out, false).unwrap();

    let other = config(&images, 3, &["target.momentum=0.5", "optimizer.learning_rate=0.5"]);
    let message = run(&other, &out, true).unwrap_err().to_string();
    assert!(message.contains("target.momentum: 0.95 in the run, 0.5 now"), "{message}");
    assert!(message.contains("optimizer.learning_rate: "), "{message}");
    let message = run(&other, &out, false).unwrap_err().to_string();
    assert!(message.contains("a run with another configuration"), "{message}");

    let message = run(&config(&images, 3, &[]), &out, false).unwrap_err().to_string();
    assert!(message.contains("finished"), "{message}");
    let Outcome::Finished(summary) = run(&config(&images, 3, &[]), &out, true).unwrap() else { panic!() };
    assert_eq!(summary.step, 3);
}

#[test]
fn other_images_or_a_lost_report_are_noticed_and_an_unstarted_run_may_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let out = folder.path().join("run");
    run(&config(&images, 3, &[]), &out, false).unwrap();
    std::fs::remove_file(out.join("run.json")).unwrap();
    let message = run(&config(&images, 3, &[]), &out, false).unwrap_err().to_string();
    assert!(message.contains("--resume"), "{message}");
    run(&config(&images, 3, &[]), &out, true).unwrap();
    std::fs::remove_file(images.join("class0/0.png")).unwrap();
    let message = run(&config(&images, 3, &[]), &out, true).unwrap_err().to_string();
    assert!(message.contains("data.identity: "), "{message}");

    let broken = images.join("class0/1.png");
    let whole = std::fs::read(&broken).unwrap();
    std::fs::write(&broken, &whole[..60]).unwrap();
    let out = folder.path().join("failed");
    run(&config(&images, 8, &["loader.batch_size=40"]), &out, false).unwrap_err();
    assert_eq!(Begun::read(&out).unwrap().state, RunState::Failed);
    std::fs::write(&broken, whole).unwrap();
    let outcome = run(&config(&images, 2, &["loader.batch_size=40"]), &out, false).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
}

#[test]
fn a_resolved_configuration_reads_back_as_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let config = config(&images, 3, &[]);
    let out = folder.path().join("run");
    run(&config, &out, false).unwrap();
    let document = Document::load(&out.join("config.toml"), &[]).unwrap();
    let again = RunConfig::read(&document, &REGISTRY).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(again.to_toml(), config.to_toml());
}

#[test]
fn a_trained_and_a_random_encoder_are_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let out = folder.path().join("run");
    run(&config(&images, 12, &[]), &out, false).unwrap();
    let sets = ["train", "test"].map(|split| format!("data.{split}={:?}", images.display().to_string()));
    let path = repository().join("configs/evaluate/demo.toml");
    let config = EvaluationConfig::read(&Document::load(&path, &sets).unwrap(), &REGISTRY).unwrap();
    for (random_init, file) in [(false, "evaluation.json"), (true, "evaluation_random_init.json")] {
        let options = EvaluationOptions { random_init, device: None };
        let evaluation = evaluate(&out, &config, &REGISTRY, options, &AtomicBool::new(false)).unwrap();
        assert_eq!((evaluation.train.samples, evaluation.test.samples), (48, 48));
        assert_eq!(evaluation.classes, ["class0", "class1"]);
        // Horizontal against vertical stripes, judged on the images that it was fitted on.
        assert!(evaluation.section("linear").unwrap().measured.top1().unwrap() > 0.9, "{evaluation}");
        let json: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(out.join(file)).unwrap()).unwrap();
        assert_eq!(json["random_init"], random_init);
        assert_eq!(json["fingerprint"], Begun::read(&out).unwrap().fingerprint);
        assert_eq!(json["linear"]["per_class"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn fewer_images_than_a_batch_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&images(folder.path()), 3, &["loader.batch_size=64"]);
    let message = run(&config, &folder.path().join("run"), false).unwrap_err().to_string();
    assert!(message.contains("48 images, fewer than loader.batch_size = 64"), "{message}");
    assert!(!folder.path().join("run").exists(), "a run that never began leaves no folder");
}

#[test]
fn a_diverging_run_fails_with_the_remedy_and_keeps_its_state() {
    let folder = tempfile::tempdir().unwrap();
    let sets = ["optimizer.learning_rate=1e30", "optimizer.weight_decay=0.0", "logging.every_steps=1"];
    let config = config(&images(folder.path()), 20, &sets);
    let out = folder.path().join("run");
    let message = run(&config, &out, false).unwrap_err().to_string();
    assert!(message.contains("lower optimizer.learning_rate"), "{message}");
    assert_eq!(Begun::read(&out).unwrap().state, RunState::Failed);
}
