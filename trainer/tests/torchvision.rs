//! Weights to and from real torchvision, where there is a Python that has it: the one that `DIPTYCH_PYTHON` names, else the
//! repository's `.venv/bin/python`.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, config, images, with_encoder};
use diptych_test_support::repository;
use diptych_trainer::checkpoint::read_tensors;
use diptych_trainer::method::Encoder;
use diptych_trainer::weights::{ExportedNetwork, Weights, export};
use diptych_trainer::{TrainOptions, train};
use tch::Tensor;

/// A Python that imports torch and torchvision, or none, which it says.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("DIPTYCH_PYTHON").map(PathBuf::from);
    let python = named.clone().unwrap_or_else(|| repository().join(".venv/bin/python"));
    let imports = Command::new(&python).args(["-c", "import torch, torchvision"]).output();
    let reason = match imports {
        Ok(output) if output.status.success() => return Some(python),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(named.is_none(), "DIPTYCH_PYTHON = {} is of no use here: {reason}", python.display());
    eprintln!(
        "skipped: {} can't import torch and torchvision ({}); set DIPTYCH_PYTHON to one that can",
        python.display(),
        reason.lines().last().unwrap_or_default()
    );
    None
}

fn exchange(python: &Path, command: &str, folder: &Path) {
    let script = repository().join("tests/reference/torchvision_exchange.py");
    let output = Command::new(python).arg(script).arg(command).arg(folder).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn torchvisions_resnet_50_has_the_same_features_here_and_takes_its_weights_back() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    exchange(&python, "write", folder.path());
    let weights = folder.path().join("weights.safetensors");
    let config = with_encoder(
        &config(&images(folder.path()), 3, &[]),
        &format!("id = \"resnet50\"\nweights = {weights:?}"),
    );

    let expected: HashMap<String, Tensor> =
        read_tensors(&folder.path().join("expected.safetensors")).unwrap().into_iter().collect();
    let mut encoder = config.encoder.component.create_encoder(&config.encoder.parameters, 0, "cpu").unwrap();
    let read = Weights::read(config.weights.as_ref().unwrap()).unwrap();
    read.copy_into(&encoder.variables().unwrap()).unwrap();
    let features = tch::no_grad(|| Encoder::forward(&mut encoder, &expected["images"], false)).unwrap();
    let features_there = &expected["features"];
    let error = (&features - features_there).abs().max() / features_there.abs().max();
    assert!(error.double_value(&[]) < 1e-4, "{error}");

    // Stopped before its first step, a run holds what it started from.
    let run = folder.path().join("run");
    let options = TrainOptions { resume: false, quiet: true };
    train(&config, &REGISTRY, &run, options, &AtomicBool::new(true)).unwrap();
    let exported = export(&run, ExportedNetwork::Online, &folder.path().join("exported.safetensors"));
    assert_eq!(exported.unwrap().tensors, 318);
    exchange(&python, "read", folder.path());
}
