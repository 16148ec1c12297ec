//! Runs whose encoder comes from a file.

mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, checkpoint, config, images, interrupt_in_the_middle, run, with_encoder};
use diptych_config::Document;
use diptych_test_support::repository;
use diptych_trainer::checkpoint::{read_tensors, write_tensors};
use diptych_trainer::weights::{ExportedNetwork, export};
use diptych_trainer::{Outcome, RunConfig, TrainOptions, train};
use tch::Tensor;

fn torchscript(images: &Path, network: &Path) -> RunConfig {
    with_encoder(
        &config(images, 60, &[]),
        &format!("id = \"torchscript\"\npath = {network:?}\nimage_size = 32"),
    )
}

/// A copy of the reference network in `folder`.
fn network(folder: &Path) -> PathBuf {
    let path = folder.join("network.pt");
    std::fs::copy(repository().join("tests/reference/torchscript/network.pt"), &path).unwrap();
    path
}

#[test]
fn a_torchscript_encoder_trains_with_its_target_and_resumes_bit_for_bit_from_wherever_its_file_lies() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let network = network(folder.path());
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    run(&torchscript(&images, &network), &straight, false).unwrap();
    let Outcome::Interrupted(_) = interrupt_in_the_middle(&torchscript(&images, &network), &broken) else {
        panic!("the run was over before it was stopped");
    };
    let moved = folder.path().join("moved.pt");
    std::fs::rename(&network, &moved).unwrap();
    run(&torchscript(&images, &moved), &broken, true).unwrap();
    assert!(checkpoint(&straight, "model.safetensors") == checkpoint(&broken, "model.safetensors"));
    let names = read_tensors(&straight.join("checkpoints/latest/model.safetensors"));
    let names: Vec<String> = names.unwrap().into_iter().map(|(name, _)| name).collect();
    for name in ["encoder.conv.weight", "target.encoder.bn.running_mean"] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
}

#[test]
fn another_network_under_the_same_path_is_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let network = network(folder.path());
    let out = folder.path().join("run");
    let before = torchscript(&images, &network);
    interrupt_in_the_middle(&before, &out);
    std::fs::copy(repository().join("tests/reference/torchscript/map.pt"), &network).unwrap();
    let message = run(&torchscript(&images, &network), &out, true).unwrap_err().to_string();
    assert!(message.contains("encoder.path_hash: \""), "{message}");
    // The configuration that was read before the file was changed doesn't train the new one under the old name.
    let message = run(&before, &folder.path().join("other"), false).unwrap_err().to_string();
    assert!(message.contains("found a file with the hash"), "{message}");
    assert!(message.contains("bring back the file that was there"), "{message}");
}

/// `config` with the encoder `small_cnn` from a file of weights.
fn from_weights(config: &RunConfig, weights: &Path) -> RunConfig {
    with_encoder(config, &format!("id = \"small_cnn\"\nwidth = 4\nweights = {weights:?}"))
}

/// Stopped before its first step, so that its checkpoint holds what it started from.
fn only_begin(config: &RunConfig, out: &Path) {
    let options = TrainOptions { resume: false, quiet: true };
    train(config, &REGISTRY, out, options, &AtomicBool::new(true)).unwrap();
}

fn exported(run: &Path, network: ExportedNetwork, out: PathBuf) -> Vec<(String, Tensor)> {
    export(run, network, &out).unwrap();
    let mut tensors = read_tensors(&out).unwrap();
    tensors.sort_by(|(one, _), (other, _)| one.cmp(other));
    tensors
}

fn equal(one: &[(String, Tensor)], other: &[(String, Tensor)]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && one.1.equal(&other.1))
}

#[test]
fn an_exported_encoder_is_what_another_run_starts_from_and_its_target_if_weights_are_shared() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let images = images(folder.path());
    let first = config(&images, 6, &["target.initial_weights=\"independent\""]);
    run(&first, &place("first"), false).unwrap();
    let online = exported(&place("first"), ExportedNetwork::Online, place("online.safetensors"));
    let target = exported(&place("first"), ExportedNetwork::Target, place("target.safetensors"));
    assert_eq!(online.len(), 4 * 6);
    assert!(!equal(&online, &target));

    for (shared, kind) in [(true, "shared"), (false, "independent")] {
        let initial = format!("target.initial_weights={kind:?}");
        let second = from_weights(&config(&images, 6, &[&initial]), &place("online.safetensors"));
        only_begin(&second, &place(kind));
        let file = |network: &str| place(&format!("{kind}_{network}.safetensors"));
        assert!(equal(&online, &exported(&place(kind), ExportedNetwork::Online, file("online"))));
        assert_eq!(equal(&online, &exported(&place(kind), ExportedNetwork::Target, file("target"))), shared);
        let log = std::fs::read_to_string(place(kind).join("log.txt")).unwrap();
        assert!(log.contains("the encoder starts from 24 tensors of "), "{log}");
        assert_eq!(log.contains("starts from draws of its own"), !shared, "{log}");
    }

    // What the run goes on from is its checkpoint: the file isn't needed any more.
    let second = from_weights(&config(&images, 6, &[]), &place("online.safetensors"));
    std::fs::remove_file(place("online.safetensors")).unwrap();
    assert!(matches!(run(&second, &place("shared"), true).unwrap(), Outcome::Finished(_)));
}

#[test]
fn weights_are_in_the_fingerprint_by_their_contents_and_in_the_resolved_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let base = config(&images(folder.path()), 6, &[]);
    let fingerprint = |name: &str, value: f32| {
        let path = folder.path().join(name);
        write_tensors(&path, &[("w".into(), Tensor::from(value))]).unwrap();
        let config = from_weights(&base, &path);
        let again = Document::parse(&toml::to_string(&config.to_toml()).unwrap(), "test.toml").unwrap();
        let again = RunConfig::read(&again, &REGISTRY).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(again.weights, config.weights);
        config.fingerprint("data")
    };
    let one = fingerprint("one.safetensors", 1.0);
    assert_eq!(one, fingerprint("copy.safetensors", 1.0));
    assert_ne!(one, fingerprint("one.safetensors", 2.0));
    assert_ne!(one, base.fingerprint("data"));
}

#[test]
fn weights_of_another_network_are_refused_and_the_run_may_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let base = config(&images(folder.path()), 2, &[]);
    let (weights, out) = (folder.path().join("w.safetensors"), folder.path().join("run"));
    write_tensors(&weights, &[("conv1.weight".into(), Tensor::from(1f32))]).unwrap();
    let message = run(&from_weights(&base, &weights), &out, false).unwrap_err().to_string();
    assert!(message.contains("conv1.weight: found Float [], expected Float [4, 3, 5, 5]"), "{message}");
    assert!(message.contains("  and 12 more\n"), "{message}");
    run(&base, &out, false).unwrap();
}

#[test]
fn what_can_not_be_exported_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let sets = ["target.kind=\"stop_gradient\""];
    only_begin(&config(&images(folder.path()), 2, &sets), &place("run"));
    let message =
        |run: &str, network, out: &str| export(&place(run), network, &place(out)).unwrap_err().to_string();
    let found = message("nothing", ExportedNetwork::Online, "a");
    assert!(found.contains("holds no run"), "{found}");
    let found = message("run", ExportedNetwork::Target, "a");
    assert!(
        found.ends_with("no target network (target.kind = \"stop_gradient\"); export the online one"),
        "{found}"
    );
    std::fs::write(place("b"), "mine").unwrap();
    let found = message("run", ExportedNetwork::Online, "b");
    assert!(found.ends_with("exists; remove it, or choose another name with --out"), "{found}");
    assert!(message("run", ExportedNetwork::Online, "no/such/folder").contains("cannot write"));
    assert!(!place("a").exists() && std::fs::read(place("b")).unwrap() == b"mine");
}
