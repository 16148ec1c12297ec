//! Evaluations of a whole run on synthetic images: every protocol, what it writes, and what it refuses.

mod common;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, config, images, run};
use diptych_config::Document;
use diptych_test_support::repository;
use diptych_trainer::evaluate::{TrialResult, compare};
use diptych_trainer::{Error, Evaluation, EvaluationConfig, EvaluationOptions, evaluate};
use serde_json::Value;
use tempfile::TempDir;

/// A run of a few steps, its images beside it. Shared: tests evaluate copies of it.
static RUN: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    run(&config(&images(folder.path()), 12, &[]), &folder.path().join("run"), false).unwrap();
    folder
});

/// A copy of the run, which nobody else writes into.
fn run_in(folder: &Path) -> PathBuf {
    let copy = folder.join("run");
    let checkpoint = copy.join("checkpoints/latest");
    std::fs::create_dir_all(&checkpoint).unwrap();
    let from = RUN.path().join("run");
    for file in ["run.json", "config.toml"] {
        std::fs::copy(from.join(file), copy.join(file)).unwrap();
    }
    for file in ["state.toml", "model.safetensors"] {
        std::fs::copy(from.join("checkpoints/latest").join(file), checkpoint.join(file)).unwrap();
    }
    copy
}

fn protocol(text: &str, sets: &[&str]) -> EvaluationConfig {
    let set = |name: &str| repository().join("configs/augmentations").join(name).display().to_string();
    let images = RUN.path().join("images").display().to_string();
    let text = format!(
        "[data]\ntrain = {images:?}\ntest = {images:?}\n[loader]\nworkers = 1\n[augmentations]\nset = {:?}\n{}",
        set("whole_32.toml"),
        text.replace("CROPS", &format!("{:?}", set("crop_flip_32.toml")))
    );
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("evaluation.toml");
    std::fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let document = Document::load(&path, &sets).unwrap_or_else(|problems| panic!("{problems}"));
    EvaluationConfig::read(&document, &REGISTRY).unwrap_or_else(|problems| panic!("{problems}"))
}

fn judge(run: &Path, config: &EvaluationConfig) -> Result<Evaluation, Error> {
    evaluate(run, config, &REGISTRY, EvaluationOptions::default(), &AtomicBool::new(false))
}

const ALL: &str = "[linear]\nl2 = [1e-4, 1e-2, 1.0]\n[knn]\nk = [3, 5]\n\
    [linear_sgd]\nepochs = 4\nbatch_size = 16\nlearning_rates = [0.4, 0.1]\naugmentations = { set = CROPS }\n\
    [semi_supervised]\nfractions = [0.25, 0.5]\nepochs = [2]\nbatch_size = 8\nlearning_rates = [0.05, 0.01]\n\
    augmentations = { set = CROPS }\n\
    [fine_tune]\nsteps = 6\nbatch_size = 8\nlearning_rates = [0.05]\nweight_decays = [0.0, 1e-4]\n\
    augmentations = { set = CROPS }\n";

#[test]
fn every_protocol_of_a_file_has_its_section_and_says_what_it_was_measured_on() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let evaluation = judge(&out, &protocol(ALL, &[])).unwrap();
    let text = std::fs::read_to_string(out.join("evaluation.json")).unwrap();
    assert!(text == format!("{:#}\n", evaluation.to_json()));
    let json: Value = serde_json::from_str(&text).unwrap();
    let sections = [
        "linear",
        "knn",
        "knn_k5",
        "linear_sgd",
        "semi_supervised_25_percent",
        "semi_supervised_50_percent",
        "fine_tune",
    ];
    for name in sections {
        let section = &json[name];
        let top1 = section["top1"].as_f64().unwrap_or_else(|| panic!("{name} is missing: {json:#}"));
        assert!((0.0..=1.0).contains(&top1));
        let measured_on = &section["measured_on"];
        assert_eq!(measured_on["fingerprint"], json["fingerprint"], "{name}");
        assert_eq!(measured_on["step"], 12, "{name}");
        assert_eq!((&measured_on["network"], &measured_on["layer"]), (&"online".into(), &"embedding".into()));
        assert_eq!(measured_on["view_size"], serde_json::json!([32, 32]), "{name}");
        assert_eq!(measured_on["test"]["samples"], 48, "{name}");
        assert!(measured_on["test"]["identity"].is_string() && measured_on["settings"].is_object(), "{name}");
    }
    // Stripes of two directions are told apart by whatever features.
    assert!(json["linear"]["top1"].as_f64().unwrap() > 0.9);
    assert_eq!(json["linear"]["measured_on"]["choice"]["split"], "held out of train");
    assert_eq!(json["knn_k5"]["measured_on"]["settings"]["k"], 5, "its own of several");
    assert_eq!(json["semi_supervised_25_percent"]["measured_on"]["settings"]["fraction"], 0.25);
    assert_eq!(json["linear_sgd"]["grid"].as_array().unwrap().len(), 2);
    assert_eq!(json["fine_tune"]["measured_on"]["fit"][0]["samples"], 48, "fitted again on all");
    let table = evaluation.to_string();
    assert!(table.contains("25 % of labels (learning rate 0.0"), "{table}");
}

#[test]
fn two_evaluations_are_bit_identical() {
    let folder = TempDir::new().unwrap();
    let files = ["a", "b"].map(|name| {
        let out = run_in(&folder.path().join(name));
        // The number of workers has no part in it.
        let workers = if name == "a" { "loader.workers=1" } else { "loader.workers=2" };
        let mut json = judge(&out, &protocol(ALL, &[workers])).unwrap().to_json();
        json["protocol"]["loader"].as_object_mut().unwrap().remove("workers");
        (json, std::fs::read(out.join("split_25_percent.txt")).unwrap())
    });
    assert_eq!(files[0], files[1]);
}

#[test]
fn the_part_of_the_labels_is_listed_beside_the_result_and_has_every_class_alike() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let evaluation = judge(&out, &protocol(ALL, &[])).unwrap();
    let lines = |file: &str| -> Vec<String> {
        std::fs::read_to_string(out.join(file)).unwrap().lines().map(String::from).collect()
    };
    let (quarter, half) = (lines("split_25_percent.txt"), lines("split_50_percent.txt"));
    for (names, each) in [(&quarter, 6), (&half, 12)] {
        for class in ["class0/", "class1/"] {
            assert_eq!(names.iter().filter(|name| name.starts_with(class)).count(), each);
        }
    }
    assert!(quarter.iter().all(|name| half.contains(name)));
    let roles = &evaluation.section("semi_supervised_25_percent").unwrap().roles;
    assert_eq!((roles.fit[0].samples, roles.choice.as_ref().unwrap().samples), (12, 5));
    let json = evaluation.to_json();
    assert_eq!(json["semi_supervised_25_percent"]["split"], "split_25_percent.txt");
}

#[test]
fn fine_tuning_learns_what_an_untrained_classifier_does_not_know() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let text = "[fine_tune]\nsteps = 60\nbatch_size = 16\nlearning_rates = [0.05]\naugmentations = { set = CROPS }\n";
    let evaluation = judge(&out, &protocol(text, &[])).unwrap();
    let section = evaluation.section("fine_tune").unwrap();
    assert!(section.measured.top1().unwrap() > 0.9, "{evaluation}");
    assert!(section.trials[0].result.is_none(), "one setting is no choice");
}

#[test]
fn a_setting_that_diverges_is_told_and_not_chosen() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let text = "[fine_tune]\nsteps = 12\nbatch_size = 16\nlearning_rates = [1e30, 0.01]\naugmentations = { set = CROPS }\n";
    let evaluation = judge(&out, &protocol(text, &[])).unwrap();
    let section = evaluation.section("fine_tune").unwrap();
    assert_eq!((section.chosen, section.trials[0].result), (1, Some(TrialResult::Diverged)));
    let message = judge(&out, &protocol(text, &["fine_tune.learning_rates=[1e30]"])).unwrap_err().to_string();
    assert!(message.contains("lower fine_tune.learning_rates"), "{message}");
}

#[test]
fn the_target_and_the_projection_give_features_of_their_own() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let text = "[linear]\n[knn]\n";
    let cases = [("online", "embedding"), ("target", "embedding"), ("online", "projection")];
    let found = cases.map(|(network, layer)| {
        let sets = [format!("network={network:?}"), format!("layer={layer:?}")];
        let evaluation = judge(&out, &protocol(text, &[&sets[0], &sets[1]])).unwrap();
        let json = evaluation.to_json();
        assert_eq!((&json["network"], &json["layer"]), (&network.into(), &layer.into()));
        (evaluation.features, json["linear"]["gradient"].as_f64().unwrap().to_bits())
    });
    assert_eq!(found[2].0, 16, "as wide as projector.output");
    assert_ne!(found[0].1, found[1].1);

    let without = folder.path().join("simclr");
    let config = common::demo("simclr", &RUN.path().join("images"), 2, &[]);
    run(&config, &without, false).unwrap();
    let message = judge(&without, &protocol(text, &["network=\"target\""])).unwrap_err().to_string();
    assert!(message.contains("has no target network") && message.contains("\"online\""), "{message}");
}

#[test]
fn unlike_evaluations_are_not_compared() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (run_in(&folder.path().join("a")), run_in(&folder.path().join("b")));
    judge(&a, &protocol("[knn]\n", &[])).unwrap();
    judge(&b, &protocol("[knn]\n", &[])).unwrap();
    let comparison = compare(&[a.clone(), b.clone()]).unwrap();
    assert_eq!(comparison.rows[0].accuracies, comparison.rows[1].accuracies);
    judge(&b, &protocol("[knn]\nk = 5\n", &["layer=\"projection\""])).unwrap();
    let message = compare(&[a, b]).unwrap_err().to_string();
    assert!(
        message.contains("knn.layer: \"embedding\" in") && message.contains("knn.settings.k"),
        "{message}"
    );
}

#[test]
fn images_of_several_classes_are_judged_by_their_mean_average_precision() {
    let folder = TempDir::new().unwrap();
    let out = run_in(folder.path());
    let images = RUN.path().join("images");
    let list = folder.path().join("list.csv");
    let mut text = "path,labels\n".to_owned();
    for class in 0..2 {
        for number in 0..24 {
            // Class `bright` goes across the two kinds of stripes.
            let more = if number >= 12 { ";bright" } else { "" };
            text += &format!("{}/class{class}/{number}.png,stripes{class}{more}\n", images.display());
        }
    }
    std::fs::write(&list, text).unwrap();
    let sets = ["train", "test"].map(|split| format!("data.{split}={:?}", list.display().to_string()));
    let sets = [&*sets[0], &*sets[1]];
    let evaluation = judge(&out, &protocol("[linear]\nl2 = [1e-4, 1e-2]\n", &sets)).unwrap();
    let json = evaluation.to_json();
    assert_eq!(evaluation.classes, ["bright", "stripes0", "stripes1"]);
    assert!(json["linear"]["mean_average_precision"].as_f64().unwrap() > 0.9, "{evaluation}");
    assert!(json["linear"]["top1"].is_null() && evaluation.to_string().contains("mean average precision"));
    let message = judge(&out, &protocol("[linear]\n[knn]\n", &sets)).unwrap_err().to_string();
    assert!(message.contains("expected one for [knn]") && message.contains("only [linear]"), "{message}");
    let message = judge(&out, &protocol("[linear]\n", &sets[..1])).unwrap_err().to_string();
    assert!(message.contains("found one class for each of the test images"), "{message}");
}
