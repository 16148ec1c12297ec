//! What all residual networks have in common, and where their variants differ.

use diptych_sdk_tensor::testing::build_encoder;
use tch::Device;

use super::*;
use crate::reference::{self, FOLDER, by_name, check, check_within, fill, names_hash, values};

fn build<D: Depth>(change: impl FnOnce(&mut ResNetParameters)) -> (ResNet<D>, Variables) {
    build_or_not(change).unwrap()
}

fn build_or_not<D: Depth>(
    change: impl FnOnce(&mut ResNetParameters),
) -> Result<(ResNet<D>, Variables), Error> {
    let mut parameters = ResNetParameters::defaults().unwrap();
    change(&mut parameters);
    build_encoder(parameters, 7)
}

fn has_torchvisions_variables<D: Depth>() {
    let (_, variables) = build::<D>(|_| ());
    let found: Vec<String> = variables
        .iter()
        .map(|variable| {
            let shape: Vec<String> = variable.tensor.size().iter().map(i64::to_string).collect();
            format!("{} {} {}", D::ID, variable.name, shape.join("x"))
        })
        .collect();
    let list = std::fs::read_to_string(format!("{FOLDER}/torchvision_resnet.txt")).unwrap();
    let expected: Vec<&str> = list.lines().filter(|line| line.split(' ').next() == Some(D::ID)).collect();
    assert!(expected.len() > 100);
    assert_eq!(found, expected);
}

#[test]
fn names_shapes_and_order_of_variables_are_torchvisions() {
    has_torchvisions_variables::<Depth18>();
    has_torchvisions_variables::<Depth34>();
    has_torchvisions_variables::<Depth50>();
}

#[test]
fn names_and_shapes_of_the_deeper_networks_are_torchvisions() {
    fn check<D: Depth>(change: impl FnOnce(&mut ResNetParameters), label: &str) {
        let (_, variables) = build::<D>(change);
        let expected = reference::read("encoder_reference")[&format!("{label}.names")].int64_value(&[]);
        assert_eq!(names_hash(&variables), expected, "{label}");
    }
    check::<Depth101>(|_| (), "resnet101");
    check::<Depth152>(|_| (), "resnet152");
    check::<Depth200>(|_| (), "resnet200");
    check::<Depth50>(|parameters| parameters.norm = NormKind::GroupNorm, "resnet50.group_norm");
}

fn variable(variables: &Variables, name: &str) -> Tensor {
    variables.iter().find(|variable| variable.name == name).unwrap().tensor.shallow_clone()
}

/// Features of the first 64 channels in evaluation, then in training.
fn computes_the_reference<D: Depth>(network: &mut ResNet<D>, file: &str, label: &str) {
    let reference = reference::read(file);
    let images = values(1000, &[4, 3, 40, 36]);
    let _guard = tch::no_grad_guard();
    // Statistics over four samples, a hundred times in a row, enlarge what sums round otherwise with other numbers of threads.
    for (training, name, tolerance) in [(false, "eval", 1e-4), (true, "train", 1e-3)] {
        let name = format!("{label}.{name}");
        let found = network.forward(&images, training).unwrap().pooled.narrow(1, 0, 64);
        check_within(tolerance, &found, &reference[&name], &name);
    }
}

fn computes_what_torchvision_computes<D: Depth>() {
    let (mut network, variables) = build::<D>(|_| ());
    fill(&variables, |index, _| index as u64);
    computes_the_reference(&mut network, "torch_reference", D::ID);
    for statistics in ["running_mean", "running_var"] {
        let expected = &reference::read("torch_reference")[&format!("{}.{statistics}", D::ID)];
        check(&variable(&variables, &format!("bn1.{statistics}")), expected, statistics);
    }
}

#[test]
fn features_and_running_statistics_are_torchvisions() {
    computes_what_torchvision_computes::<Depth18>();
    computes_what_torchvision_computes::<Depth34>();
    computes_what_torchvision_computes::<Depth50>();
}

#[test]
fn resnet_101_computes_what_torchvisions_does() {
    let (mut network, variables) = build::<Depth101>(|_| ());
    fill(&variables, by_name);
    computes_the_reference(&mut network, "encoder_reference", "resnet101");
}

#[test]
fn group_norm_with_standardised_weights_computes_what_torchvision_does_with_timms_convolutions() {
    let (mut network, variables) = build::<Depth50>(|parameters| parameters.norm = NormKind::GroupNorm);
    fill(&variables, by_name);
    computes_the_reference(&mut network, "encoder_reference", "resnet50.group_norm");
}

fn computes_what_timm_computes<D: Depth>() {
    let (mut network, variables) = build::<D>(|parameters| parameters.version = Version::V2);
    fill(&variables, by_name);
    let label = format!("{}.v2", D::ID);
    computes_the_reference(&mut network, "encoder_reference", &label);
    let expected = &reference::read("encoder_reference")[&format!("{label}.running_mean")];
    check(&variable(&variables, "norm.running_mean").narrow(0, 0, 64), expected, &label);
}

#[test]
fn pre_activation_networks_compute_what_timms_do() {
    computes_what_timm_computes::<Depth18>();
    computes_what_timm_computes::<Depth50>();
}

fn sizes(outputs: &Outputs) -> Vec<Vec<i64>> {
    outputs.maps.iter().map(|(_, map)| map.size()).collect()
}

#[test]
fn the_small_stem_keeps_the_resolution_and_the_width_multiplies_channels() {
    let images = Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu));
    let (mut network, _) = build::<Depth18>(|_| ());
    assert_eq!(sizes(&network.forward(&images, false).unwrap())[0], [2, 64, 8, 8]);
    let (mut network, _) = build::<Depth50>(|parameters| {
        parameters.stem = Stem::Small;
        parameters.width = 0.25;
    });
    let outputs = network.forward(&images, false).unwrap();
    assert_eq!(network.feature_count(), 512);
    assert_eq!(outputs.pooled.size(), [2, 512]);
    assert_eq!(sizes(&outputs), [[2, 64, 32, 32], [2, 128, 16, 16], [2, 256, 8, 8], [2, 512, 4, 4]]);
}

#[test]
fn evaluation_leaves_running_statistics_and_training_moves_all_of_them() {
    let (mut network, variables) = build::<Depth18>(|parameters| parameters.width = 0.125);
    let buffers = || -> Vec<Tensor> {
        variables
            .iter()
            .filter(|variable| !variable.trainable())
            .map(|variable| variable.tensor.copy())
            .collect()
    };
    let images = values(3, &[4, 3, 32, 32]);
    let before = buffers();
    network.forward(&images, false).unwrap();
    assert!(before.iter().zip(buffers()).all(|(before, after)| before.equal(&after)));
    network.forward(&images, true).unwrap();
    assert!(before.iter().zip(buffers()).all(|(before, after)| !before.equal(&after)));
}

#[test]
fn the_gradient_reaches_every_trained_variable_of_every_variant() {
    for version in [Version::V1, Version::V2] {
        for norm in [NormKind::BatchNorm, NormKind::GroupNorm, NormKind::None] {
            let (mut network, variables) = build::<Depth50>(|parameters| {
                (parameters.width, parameters.version, parameters.norm) = (0.25, version, norm);
                if norm == NormKind::None {
                    parameters.initialization = Initialization::BatchStatistics;
                }
            });
            let pooled = network.forward(&values(3, &[4, 3, 32, 32]), true).unwrap().pooled;
            (&pooled * &pooled).sum(Kind::Float).backward();
            for variable in variables.iter().filter(|variable| variable.trainable()) {
                let gradient = variable.tensor.grad();
                let reached = gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0;
                assert!(reached, "{version:?} {norm:?} {}", variable.name);
            }
        }
    }
}

#[test]
fn a_network_without_norm_starts_as_batch_norm_would_on_the_noise_and_only_on_request() {
    for version in [Version::V1, Version::V2] {
        let build = |norm, initialization| {
            build::<Depth50>(|parameters| {
                (parameters.width, parameters.version) = (0.25, version);
                (parameters.norm, parameters.initialization) = (norm, initialization);
            })
        };
        let noise = crate::initialize::noise(64).unwrap();
        let _guard = tch::no_grad_guard();
        let features =
            |(mut network, _): (ResNet<Depth50>, Variables)| network.forward(&noise, true).unwrap().pooled;
        let normed = features(build(NormKind::BatchNorm, Initialization::He));
        check(&features(build(NormKind::None, Initialization::BatchStatistics)), &normed, "measured");
        let plain = features(build(NormKind::None, Initialization::He));
        assert!((plain - &normed).abs().max().double_value(&[]) > 0.1);
    }
}

#[test]
fn the_noise_is_standardised_and_loses_half_its_power_with_every_octave() {
    let noise = crate::initialize::noise(32).unwrap();
    assert_eq!(noise.size(), [32, 3, 32, 32]);
    let (variance, mean) = noise.var_mean_dim([0, 2, 3].as_slice(), false, false);
    assert!(mean.abs().max().double_value(&[]) < 1e-5);
    assert!((variance - 1.0).abs().max().double_value(&[]) < 1e-4);
    // White noise, averaged over 4x4 pixels, keeps a sixteenth of its variance.
    let coarse = noise.avg_pool2d([4, 4], [4, 4], [0, 0], false, true, None).var(true).double_value(&[]);
    assert!((0.4..0.9).contains(&coarse), "{coarse}");
}

#[test]
fn a_network_without_norm_knows_no_batch() {
    let (mut network, variables) = build::<Depth18>(|parameters| {
        (parameters.width, parameters.norm) = (0.25, NormKind::None);
        parameters.initialization = Initialization::BatchStatistics;
    });
    assert!(variables.iter().all(|variable| variable.trainable() && !variable.name.contains("running")));
    let images = values(3, &[4, 3, 32, 32]);
    let all = network.forward(&images, true).unwrap().pooled;
    let one = network.forward(&images.narrow(0, 1, 1), true).unwrap().pooled;
    assert!((all.narrow(0, 1, 1) - one).abs().max().double_value(&[]) < 1e-5);
}

#[test]
fn parameters_without_effect_are_refused_with_the_remedy() {
    let message =
        |change: fn(&mut ResNetParameters)| build_or_not::<Depth18>(change).err().unwrap().to_string();
    let found = message(|parameters| parameters.initialization = Initialization::BatchStatistics);
    assert!(found.ends_with("remove it or set norm = \"none\""), "{found}");
    let found = message(|parameters| {
        (parameters.version, parameters.zero_init_residual) = (Version::V2, true);
    });
    assert!(found.ends_with("remove it or set version = \"v1.5\""), "{found}");
    let found = message(|parameters| (parameters.norm, parameters.width) = (NormKind::GroupNorm, 0.3));
    assert!(found.contains("width = 0.3 gives 19 channels"), "{found}");
    assert!(found.ends_with("choose a multiple of 0.25"), "{found}");
}

#[test]
fn blocks_start_as_identities_on_request_only() {
    for zero in [false, true] {
        let (_, variables) = build::<Depth18>(|parameters| parameters.zero_init_residual = zero);
        let scale = |name: &str| {
            let found = variables.iter().find(|variable| variable.name == name);
            found.unwrap().tensor.double_value(&[0])
        };
        assert_eq!(scale("layer2.0.bn2.weight"), if zero { 0.0 } else { 1.0 });
        assert_eq!(scale("layer2.0.bn1.weight"), 1.0);
    }
}

#[test]
fn a_width_that_gives_odd_numbers_of_channels_is_refused_with_the_nearest_that_does_not() {
    let parameters = ResNetParameters { width: 0.3, ..ResNetParameters::defaults().unwrap() };
    let Err(error) = build_encoder::<ResNet<Depth18>>(parameters, 7) else { panic!("it was taken") };
    assert_eq!(error.to_string(), "width is 0.3, expected a multiple of 0.125, such as 0.25");
}

#[test]
fn two_groups_of_channels_are_two_networks_side_by_side() {
    let small = |parameters: &mut ResNetParameters| {
        (parameters.width, parameters.stem) = (0.125, Stem::Small);
    };
    let (mut both, variables) = build::<Depth18>(|parameters| {
        small(parameters);
        parameters.channel_groups = ChannelGroups::FirstAndOthers;
    });
    assert_eq!(both.feature_count(), 128, "64 of each");
    assert_eq!(variable(&variables, "group1.conv1.weight").size(), [8, 1, 3, 3]);
    assert_eq!(variable(&variables, "group2.conv1.weight").size(), [8, 2, 3, 3]);
    let images = values(1000, &[3, 3, 16, 16]);
    let changed = images.copy();
    let _guard = tch::no_grad_guard();
    changed.narrow(1, 0, 1).copy_(&(-images.narrow(1, 0, 1)));
    let (before, after) = (both.forward(&images, false).unwrap(), both.forward(&changed, false).unwrap());
    let part = |outputs: &Outputs, first| outputs.pooled.narrow(1, first, 64);
    assert_eq!(part(&before, 64), part(&after, 64), "the others don't see the first channel");
    assert!(!part(&before, 0).allclose(&part(&after, 0), 1e-3, 1e-3, false));
    assert_eq!(before.maps[3].1.size(), [3, 128, 2, 2]);
    assert_eq!(before.maps[3].0, "stage4");
}
