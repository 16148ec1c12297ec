//! Runs whose encoder comes from a file.

mod common;

use std::path::{Path, PathBuf};

use common::{checkpoint, config, images, interrupt_in_the_middle, run, with_encoder};
use diptych_test_support::repository;
use diptych_trainer::{Outcome, RunConfig};

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
    let names =
        diptych_trainer::checkpoint::read_tensors(&straight.join("checkpoints/latest/model.safetensors"));
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
