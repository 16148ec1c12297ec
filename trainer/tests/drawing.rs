//! A network that draws, from libtorch's one generator per process: so this test is alone in its own.

mod common;

use common::{checkpoint, config, images, interrupt_in_the_middle, run, with_encoder};
use diptych_test_support::repository;
use diptych_trainer::Outcome;

#[test]
fn a_network_with_dropout_is_resumed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let network = repository().join("tests/reference/torchscript/dropout.pt");
    let encoder = format!("id = \"torchscript\"\npath = {network:?}\nimage_size = 32");
    let config = with_encoder(&config(&images, 60, &[]), &encoder);
    let (straight, broken) = (folder.path().join("straight"), folder.path().join("broken"));
    run(&config, &straight, false).unwrap();
    let stopped = interrupt_in_the_middle(&config, &broken);
    assert!(matches!(stopped, Outcome::Interrupted(_)), "the run was over before it was stopped");
    // In a process of its own the generator would begin anew.
    tch::manual_seed(17);
    run(&config, &broken, true).unwrap();
    assert!(checkpoint(&straight, "model.safetensors") == checkpoint(&broken, "model.safetensors"));
}
