//! The built-in losses in whole runs: each trains, and what one keeps or trains itself survives a stop.

mod common;

use std::path::Path;

use common::{REGISTRY, checkpoint, config, demo, images, interrupt_in_the_middle, run};
use diptych_config::Document;
use diptych_test_support::repository;
use diptych_trainer::checkpoint::read_tensors;
use diptych_trainer::{Outcome, RunConfig};

/// Labelled runs of few steps, by what they show. The demo's BYOL has a predictor and an averaged target, its SimCLR neither.
fn runs(images: &Path, steps: u64) -> Vec<(&'static str, RunConfig)> {
    let byol = |sets: &[&str]| config(images, steps, sets);
    let simclr = |sets: &[&str]| demo("simclr", images, steps, sets);
    let ema = "target={kind=\"ema\", momentum=0.9}";
    let classifier = ["projector.hidden=[]", "projector.output=2", "projector.output_norm=\"none\""];
    vec![
        (
            "layer-normalised regression",
            byol(&["losses=[{id=\"byol_regression\", normalization=\"layer_norm\"}]"]),
        ),
        ("extended InfoNCE", byol(&["losses=[{id=\"extended_info_nce\", beta=0.5}]"])),
        ("MoCo", byol(&["losses=[{id=\"info_nce\", queue_size=20}]"])),
        ("MoCo v3", byol(&["losses=[{id=\"info_nce\", queue_size=0, symmetric=true}]"])),
        ("Barlow Twins", simclr(&["losses=[{id=\"barlow_twins\"}]"])),
        ("VICReg", simclr(&["losses=[{id=\"vicreg\"}]"])),
        ("SwAV", simclr(&["losses=[{id=\"swav\", prototypes=8, queue_size=16}]"])),
        (
            "DINO",
            simclr(&[
                "losses=[{id=\"dino\"}]",
                "projector.prototypes=12",
                "projector.activation=\"gelu\"",
                ema,
            ]),
        ),
        ("supervised on embeddings", simclr(&["losses=[{id=\"supervised\"}]"])),
        (
            "Mean Teacher",
            simclr(&[
                classifier[0],
                classifier[1],
                classifier[2],
                ema,
                "losses=[{id=\"supervised\", input=\"logits\"}, {id=\"softmax_consistency\", weight=10.0}]",
            ]),
        ),
    ]
}

fn last(outcome: Outcome, name: &str) -> f64 {
    let Outcome::Finished(summary) = outcome else { panic!("{name} is not finished") };
    summary.last.expect("the last step is logged").get("loss").expect("a loss is logged")
}

#[test]
fn every_loss_trains_an_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    for (name, _) in runs(&images, 4) {
        let first_weights = |steps: u64| {
            let out = folder.path().join(format!("{name} {steps}"));
            let (_, config) = runs(&images, steps).into_iter().find(|(found, _)| *found == name).unwrap();
            let outcome = run(&config, &out, false).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(last(outcome, name).is_finite(), "{name}");
            let tensors = read_tensors(&out.join("checkpoints/latest/model.safetensors")).unwrap();
            tensors.into_iter().find(|(found, _)| found == "encoder.conv1.weight").unwrap().1
        };
        // Weight decay alone moves them by a millionth.
        let moved = (first_weights(4) - first_weights(1)).abs().max().double_value(&[]);
        assert!(moved > 1e-4, "{name}: the encoder moved by {moved}");
    }
}

#[test]
fn what_a_loss_keeps_and_trains_is_resumed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let stateful = ["MoCo", "SwAV", "DINO", "supervised on embeddings"];
    for (name, config) in runs(&images, 60).into_iter().filter(|(name, _)| stateful.contains(name)) {
        let [straight, broken] =
            ["straight", "broken"].map(|end| folder.path().join(format!("{name} {end}")));
        run(&config, &straight, false).unwrap();
        let stopped = interrupt_in_the_middle(&config, &broken);
        assert!(matches!(stopped, Outcome::Interrupted(_)), "{name}: over before it was stopped");
        run(&config, &broken, true).unwrap();
        for file in ["model.safetensors", "optimizer.safetensors"] {
            assert!(checkpoint(&straight, file) == checkpoint(&broken, file), "{name}: {file} differs");
        }
    }
}

#[test]
fn prototypes_and_classifiers_are_in_the_optimizer_and_queues_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    for (name, config) in runs(&images, 2) {
        let out = folder.path().join(name);
        run(&config, &out, false).unwrap();
        let holds = |file: &str, variable: &str| {
            // The file opens with its table of names.
            String::from_utf8_lossy(&checkpoint(&out, file)).contains(variable)
        };
        let optimizer = |variable: &str| holds("optimizer.safetensors", &format!("first_moment.{variable}"));
        match name {
            "SwAV" => {
                assert!(holds("model.safetensors", "losses.0.queue") && !optimizer("losses.0.queue"));
                assert!(optimizer("losses.0.prototypes"));
            }
            "supervised on embeddings" => assert!(optimizer("losses.0.classifier.weight")),
            "MoCo" => assert!(holds("model.safetensors", "losses.0.queue_next") && !optimizer("losses.0")),
            "DINO" => {
                assert!(optimizer("projector.prototypes.weight") && !optimizer("target"));
                assert!(holds("model.safetensors", "target.projector.prototypes.weight"));
                assert!(holds("model.safetensors", "losses.0.center"));
            }
            _ => {}
        }
    }
}

#[test]
fn small_views_of_another_size_predict_the_global_ones() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let view = |size: u32| {
        format!("[[views]]\noperators = [{{ id = \"random_resized_crop\", size_pixels = {size} }}]\n")
    };
    let set = folder.path().join("views.toml");
    std::fs::write(&set, [view(24), view(24), view(16)].concat()).unwrap();
    let views = format!("augmentations.set={:?}", set.display().to_string());
    for (name, loss) in [("swav", "prototypes=8"), ("dino", "center_momentum=0.5")] {
        let losses = format!("losses=[{{id=\"{name}\", {loss}}}]");
        let target = if name == "dino" { "target.kind=\"ema\"" } else { "target.kind=\"none\"" };
        let config =
            demo("simclr", &images, 3, &[&views, &losses, target, "forward.views=\"joint_by_size\""]);
        let outcome = run(&config, &folder.path().join(name), false).unwrap();
        assert!(last(outcome, name).is_finite(), "{name}");
    }
}

#[test]
fn a_loss_that_reads_labels_is_refused_where_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let losses = "losses=[{id=\"supervised\"}]";
    let out = folder.path().join("run");
    let message = |config: &RunConfig| run(config, &out, false).unwrap_err().to_string();
    // One folder's images alone have no classes.
    let bare = message(&demo("simclr", &images.join("class0"), 2, &[losses]));
    assert!(bare.contains("\"supervised\" reads labels") && bare.contains("one folder per class"), "{bare}");
    let wide = message(&demo("simclr", &images, 2, &["losses=[{id=\"supervised\", input=\"logits\"}]"]));
    assert!(wide.contains("projector.output = 2"), "{wide}");
    assert!(!out.join("metrics.jsonl").exists(), "none of them began");
}

#[test]
fn labels_that_are_left_out_and_read_are_a_problem_of_the_configuration() {
    let sets = ["losses=[{id=\"supervised\"}]", "data.labels=\"none\""].map(String::from);
    let path = repository().join("configs/pretrain/simclr_demo.toml");
    let problems = RunConfig::read(&Document::load(&path, &sets).unwrap(), &REGISTRY).err().unwrap();
    let found = problems.to_string();
    assert!(found.contains("data.labels = \"none\", but labels are read by a loss (supervised)"), "{found}");
}
