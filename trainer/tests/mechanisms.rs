//! Every mechanism that a study may take away, seen in whole runs: each test fails when its mechanism is silently off.

mod common;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, checkpoint, config, demo, images, interrupt_in_the_middle, run};
use diptych_pipeline::SourceConfig;
use diptych_trainer::config::{Layer, NetworkRole};
use diptych_trainer::embed::{EmbedOptions, embed};
use diptych_trainer::{Outcome, RunConfig};
use safetensors::SafeTensors;
use tch::Tensor;

/// The variables of a run's last checkpoint by name.
fn variables(config: &RunConfig, out: &Path) -> HashMap<String, Tensor> {
    let outcome = run(config, out, false).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    Tensor::read_safetensors(out.join("checkpoints/latest/model.safetensors")).unwrap().into_iter().collect()
}

/// What the runs with `sets` end as, one for each number of steps. They differ in nothing else, as the rate is constant.
fn after<const RUNS: usize>(steps: [u64; RUNS], sets: &[&str]) -> [HashMap<String, Tensor>; RUNS] {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let mut all = vec!["schedule.decay=\"constant\"", "target.momentum_schedule=\"constant\""];
    all.extend(sets);
    steps.map(|steps| variables(&config(&images, steps, &all), &folder.path().join(format!("{steps} steps"))))
}

/// The largest difference of the variables whose names start with `prefix`, of which there must be some.
fn difference(one: &HashMap<String, Tensor>, other: &HashMap<String, Tensor>, prefix: &str) -> f64 {
    let named = one.iter().filter(|(name, tensor)| name.starts_with(prefix) && tensor.is_floating_point());
    let differences = named.map(|(name, tensor)| (tensor - &other[name]).abs().max().double_value(&[]));
    differences.reduce(f64::max).unwrap_or_else(|| panic!("nothing is called {prefix}"))
}

#[test]
fn a_moving_average_moves_and_a_fixed_target_stays() {
    let [early, late] = after([1, 5], &["target.kind=\"ema\"", "target.momentum=0.9"]);
    assert!(difference(&early, &late, "target.encoder.") > 1e-4);
    let [early, late] = after([1, 5], &["target.kind=\"fixed\""]);
    assert!(difference(&early, &late, "encoder.") > 1e-4, "the online network is trained");
    // Its running statistics move, which nothing reads in training mode.
    for name in ["target.encoder.conv1.weight", "target.projector.linear1.weight"] {
        assert_eq!(difference(&early, &late, name), 0.0, "{name}");
    }
}

#[test]
fn without_momentum_the_target_is_the_online_network_and_with_all_of_it_what_it_was() {
    let [follows] = after([3], &["target.momentum=0.0"]);
    let online = |variables: &HashMap<String, Tensor>, name: &str| {
        let (online, target) = (&variables[name], &variables[&format!("target.{name}")]);
        (online - target).abs().max().double_value(&[])
    };
    assert!(online(&follows, "encoder.conv1.weight") < 1e-6);
    let [early, late] = after([1, 4], &["target.momentum=1.0"]);
    assert_eq!(difference(&early, &late, "target.projector.linear1.weight"), 0.0);
    assert!(online(&late, "encoder.conv1.weight") > 1e-4);
}

#[test]
fn averaged_statistics_are_those_of_the_online_network_and_own_ones_are_not() {
    let statistics = |sets: &[&str]| {
        let [variables] = after([3], sets);
        let name = "projector.norm1.running_mean";
        (&variables[name] - &variables[&format!("target.{name}")]).abs().max().double_value(&[])
    };
    // Of its own, the target has those of its first pass, by other weights.
    let both = ["target.momentum=0.0", "target.initial_weights=\"independent\""];
    assert!(statistics(&[both[0], both[1], "target.batch_statistics=\"averaged\""]) < 1e-6);
    assert!(statistics(&[both[0], both[1], "target.batch_statistics=\"own\""]) > 1e-4);
}

#[test]
fn the_predictors_multiplier_is_its_learning_rate() {
    let trained = |multiplier: &str| {
        let [early, late] = after([2, 5], &[multiplier]);
        assert!(difference(&early, &late, "encoder.") > 1e-5, "the encoder is trained in any case");
        difference(&early, &late, "predictor.linear1.weight")
    };
    assert_eq!(trained("predictor.learning_rate_multiplier=0.0"), 0.0);
    let (one, ten) = (
        trained("predictor.learning_rate_multiplier=1.0"),
        trained("predictor.learning_rate_multiplier=10.0"),
    );
    assert!(ten > 3.0 * one && one > 0.0, "{one} and {ten}");
}

#[test]
fn a_predictors_constant_rate_does_not_fall_with_the_others() {
    let set = "schedule.warmup_steps=100";
    // In a warm-up that never ends the others' rates are next to nothing.
    let [early, late] = after([2, 5], &[set, "predictor.constant_learning_rate=true"]);
    let (constant, others) = (
        difference(&early, &late, "predictor.linear1.weight"),
        difference(&early, &late, "encoder.conv1.weight"),
    );
    let [early, late] = after([2, 5], &[set]);
    let rising = difference(&early, &late, "predictor.linear1.weight");
    assert!(constant > 5.0 * rising, "{constant}, {rising}");
    // The encoder's rate is the schedule's in both.
    let usual = difference(&early, &late, "encoder.conv1.weight");
    assert!((others - usual).abs() < 0.5 * usual, "{others}, {usual}");
}

#[test]
fn each_kind_of_predictor_leads_elsewhere_and_only_the_mlp_has_variables() {
    let narrow = ["projector.output=8", "predictor.output=8"];
    let of = |kind: &str| after([3], &[narrow[0], narrow[1], &format!("predictor.kind={kind:?}")]);
    let ([mlp], [none], [optimal]) = (of("mlp"), of("none"), of("optimal_linear"));
    let has_predictor =
        |variables: &HashMap<String, Tensor>| variables.keys().any(|name| name.starts_with("predictor."));
    assert!(has_predictor(&mlp) && !has_predictor(&none) && !has_predictor(&optimal));
    for (one, other) in [(&mlp, &none), (&none, &optimal), (&mlp, &optimal)] {
        let both = |variables: &HashMap<String, Tensor>| variables["encoder.conv1.weight"].shallow_clone();
        assert!((both(one) - both(other)).abs().max().double_value(&[]) > 1e-5);
    }
}

#[test]
fn clipped_gradients_move_the_weights_no_further_than_they_may() {
    let sgd = "optimizer={id=\"sgd\", learning_rate=0.5, momentum=0.0, clip_norm=0.01}";
    // Two steps of warm-up, then one of 0.5 * 0.01.
    let [early, late] = after([2, 3], &[sgd, "predictor.learning_rate_multiplier=1.0"]);
    let moved: f64 = early
        .iter()
        .filter(|(name, _)| {
            !name.starts_with("target.") && !name.contains("running") && !name.starts_with("probe.")
        })
        .filter(|(_, tensor)| tensor.is_floating_point())
        .map(|(name, tensor)| (tensor - &late[name]).square().sum(tch::Kind::Double).double_value(&[]))
        .sum();
    let moved = moved.sqrt();
    assert!((moved - 0.005).abs() < 1e-4, "moved by {moved}");
}

#[test]
fn a_step_of_two_micro_batches_is_a_step_of_one_batch_when_no_statistics_are_shared() {
    let sets = [
        "encoder={id=\"resnet18\", stem=\"small\", width=0.125, norm=\"none\"}",
        "projector.norm=\"none\"",
        "projector.output_norm=\"none\"",
        "predictor.norm=\"none\"",
        "optimizer={id=\"sgd\", learning_rate=0.05, momentum=0.9}",
    ];
    let whole = after([4], &sets);
    let parts = after([4], &[&sets[..], &["loader.batch_size=4", "optimizer.micro_batches=2"]].concat());
    for prefix in ["encoder.", "predictor.", "target."] {
        let error = difference(&whole[0], &parts[0], prefix);
        assert!(error < 1e-5, "{prefix}: {error}");
    }
    // Twice as many steps of half as many samples are something else.
    let small = after([8], &[&sets[..], &["loader.batch_size=4"]].concat());
    assert!(difference(&whole[0], &small[0], "predictor.") > 1e-3);
}

#[test]
fn a_head_without_norm_starts_from_its_first_batch_where_it_is_told_to() {
    let sets = |initialization: &'static str| {
        [
            "projector.norm=\"none\"",
            "target.initial_weights=\"shared\"",
            "target.momentum=1.0",
            initialization,
        ]
    };
    let [drawn] = after([1], &sets("projector.initialization=\"drawn\""));
    let [early, late] = after([1, 3], &sets("projector.initialization=\"batch_statistics\""));
    let name = "target.projector.linear1.";
    assert!(difference(&drawn, &early, name) > 1e-3, "the target starts from the same batch");
    assert_eq!(difference(&early, &late, name), 0.0, "and once");
    assert!(difference(&drawn, &early, "projector.linear1.bias") > 1e-3);
    assert_eq!(late["projector.started"].int64_value(&[]), 1);
}

/// Settings of the demo's InfoMin that suit tiny tests.
const INFOMIN: [&str; 3] = [
    "patches.projector.hidden=[32]",
    "patches.projector.output=16",
    "losses=[{id=\"info_nce\", queue_size=16, auxiliary_share=0.5}]",
];
/// The same of the demo's CMC.
const CMC: [&str; 2] = ["encoder.width=0.125", "losses=[{id=\"info_nce\", queue_size=16, groups=2}]"];

/// What runs of the demo's `method` end as after each number of steps, at a constant rate.
fn after_demo<const RUNS: usize>(
    method: &str,
    steps: [u64; RUNS],
    sets: &[&str],
) -> [HashMap<String, Tensor>; RUNS] {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let all = [&["schedule.decay=\"constant\""], sets].concat();
    steps.map(|steps| {
        variables(&demo(method, &images, steps, &all), &folder.path().join(format!("{steps} steps")))
    })
}

#[test]
fn patches_train_a_projector_of_their_own_in_the_share_that_the_loss_gives_them() {
    let bias = "patches.linear1.bias";
    let [early, late] = after_demo("infomin", [2, 5], &INFOMIN);
    assert!(difference(&early, &late, bias) > 1e-4);
    assert!(difference(&early, &late, "patches.projector.") > 1e-4);
    assert!(late.keys().all(|name| !name.starts_with("target.patches")), "the target sees no patches");
    // Without a share the third view is a key, through which no gradient flows.
    let set = "losses=[{id=\"info_nce\", queue_size=16, auxiliary_share=0.0}]";
    let [early, late] = after_demo("infomin", [2, 5], &[&INFOMIN[..2], &[set]].concat());
    assert_eq!(difference(&early, &late, bias), 0.0);
    assert!(difference(&early, &late, "encoder.") > 1e-4);
}

#[test]
fn a_run_with_patches_and_a_queue_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let config = demo("infomin", &images(folder.path()), 40, &INFOMIN);
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    run(&config, &straight, false).unwrap();
    let Outcome::Interrupted(_) = interrupt_in_the_middle(&config, &broken) else {
        panic!("the run was over before it was stopped");
    };
    run(&config, &broken, true).unwrap();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        assert!(checkpoint(&straight, file) == checkpoint(&broken, file), "{file}");
    }
}

#[test]
fn channels_are_seen_and_projected_apart_in_the_colour_space_that_the_run_says() {
    let [lab] = after_demo("cmc", [3], &CMC);
    assert_eq!(lab["encoder.group1.conv1.weight"].size()[1], 1);
    assert_eq!(lab["encoder.group2.conv1.weight"].size()[1], 2);
    assert_eq!(lab["projector.group2.linear1.weight"].size(), [32, 64]);
    assert_eq!(lab["losses.0.queue"].size(), [16, 32], "a queue for each group");
    let [rgb] = after_demo("cmc", [3], &[&CMC[..], &["input.color_space=\"rgb\""]].concat());
    assert!(difference(&lab, &rgb, "encoder.group1.conv1.weight") > 1e-4);
}

#[test]
fn embeddings_of_a_run_on_lab_are_of_lab() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let features = |name: &str, sets: &[&str]| {
        let (out, file) = (folder.path().join(name), folder.path().join(format!("{name}.safetensors")));
        run(&demo("cmc", &images, 1, &[&CMC[..], sets].concat()), &out, false).unwrap();
        let options = EmbedOptions {
            data: SourceConfig::new(images.clone()),
            views: None,
            network: NetworkRole::Online,
            layer: Layer::Embedding,
            random_init: true,
            device: None,
            batch_size: 20,
            workers: 1,
        };
        embed(&out, &file, &options, &REGISTRY, &AtomicBool::new(false)).unwrap();
        let bytes = std::fs::read(file).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let features = tensors.tensor("features").unwrap();
        let values = features.data().as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        Tensor::from_slice(&values.collect::<Vec<f32>>()).view([48, -1])
    };
    // The same weights, as they were drawn.
    let (lab, rgb) = (features("lab", &[]), features("rgb", &["input.color_space=\"rgb\""]));
    assert_eq!(lab.size(), [48, 128]);
    assert!((&lab - &rgb).abs().max().double_value(&[]) > 1e-2);
}
