//! The mechanisms that keep a method from collapsing, each seen to do what it says, on a tiny encoder.

use tch::{Kind, Tensor};

use super::testing::{CPU, average, ema, networks};
use super::*;

fn views() -> [Tensor; 2] {
    let first = (Tensor::arange(6 * 12, CPU) * 0.7).cos().view([6, 3, 2, 2]);
    let second = (&first * 3.0).sin();
    [first, second]
}

fn values(networks: &mut Networks, prefix: &str) -> Vec<(String, Vec<f32>)> {
    let variables = networks.variables().unwrap().into_iter();
    variables
        .filter(|variable| variable.name.starts_with(prefix))
        .map(|variable| (variable.name, Vec::<f32>::try_from(variable.tensor.flatten(0, -1)).unwrap()))
        .collect()
}

#[test]
fn the_average_moves_each_target_parameter_by_its_formula() {
    let mut networks = networks(ema, true, ForwardViews::Separate);
    let online = values(&mut networks, "encoder.weight").remove(0).1;
    let before = values(&mut networks, "target.encoder.weight").remove(0).1;
    networks.update_target(0.75).unwrap();
    let after = values(&mut networks, "target.encoder.weight").remove(0).1;
    for ((online, before), after) in online.iter().zip(&before).zip(&after) {
        assert!((after - (0.75 * before + 0.25 * online)).abs() < 1e-6);
    }
    assert_ne!(before, after);
}

#[test]
fn momentum_one_keeps_the_target_and_zero_makes_it_the_online_network() {
    let mut networks = networks(ema, false, ForwardViews::Separate);
    let before = values(&mut networks, "target.projector.linear1.weight").remove(0).1;
    networks.update_target(1.0).unwrap();
    assert_eq!(values(&mut networks, "target.projector.linear1.weight").remove(0).1, before);
    networks.update_target(0.0).unwrap();
    let online = values(&mut networks, "projector.linear1.weight").remove(0).1;
    assert_eq!(values(&mut networks, "target.projector.linear1.weight").remove(0).1, online);
}

#[test]
fn independent_targets_start_elsewhere_and_shared_ones_at_the_same_weights() {
    let mut independent = networks(ema, false, ForwardViews::Separate);
    assert_ne!(
        values(&mut independent, "target.encoder.weight")[0].1,
        values(&mut independent, "encoder.weight")[0].1
    );
    let shared = |online: &mut Branch| average(online, true, BatchStatistics::Own);
    let mut shared = networks(shared, false, ForwardViews::Separate);
    assert_eq!(values(&mut shared, "target.encoder.weight")[0].1, values(&mut shared, "encoder.weight")[0].1);
}

#[test]
fn the_target_keeps_batch_statistics_of_its_own_and_the_average_leaves_them() {
    let mut networks = networks(ema, false, ForwardViews::Separate);
    let fresh = values(&mut networks, "target.projector.norm1.running_mean").remove(0).1;
    networks.forward(&views()).unwrap();
    let target = values(&mut networks, "target.projector.norm1.running_mean").remove(0).1;
    let online = values(&mut networks, "projector.norm1.running_mean").remove(0).1;
    assert_ne!(target, fresh, "the target's batch norm runs in training mode");
    assert_ne!(target, online);
    networks.update_target(0.5).unwrap();
    assert_eq!(values(&mut networks, "target.projector.norm1.running_mean").remove(0).1, target);
}

#[test]
fn averaged_statistics_follow_the_online_networks_and_are_what_the_target_normalises_by() {
    let averaged = |online: &mut Branch| average(online, false, BatchStatistics::Averaged);
    let mut networks = networks(averaged, false, ForwardViews::Separate);
    let mean = |networks: &mut Networks, prefix: &str| {
        values(networks, &format!("{prefix}projector.norm1.running_mean")).remove(0).1
    };
    let fresh = mean(&mut networks, "target.");
    let before = networks.forward(&views()).unwrap();
    assert_eq!(mean(&mut networks, "target."), fresh, "a pass leaves them");
    networks.update_target(0.5).unwrap();
    let online = mean(&mut networks, "");
    for ((found, fresh), online) in mean(&mut networks, "target.").iter().zip(&fresh).zip(&online) {
        assert!((found - 0.5 * (fresh + online)).abs() < 1e-6);
    }
    // Twice the same image: by its own statistics every normalised value would be 0, whatever the image.
    let twice = views().map(|view| view.narrow(0, 0, 1).repeat([2, 1, 1, 1]));
    let [first, second] = &networks.forward(&twice).unwrap()[..] else { panic!("two views") };
    assert!(!first.target_projection.allclose(&second.target_projection, 1e-3, 1e-3, false));
    assert!(before[0].target_embedding.is_some());
}

#[test]
fn no_gradient_flows_through_an_averaged_target() {
    let mut networks = networks(ema, true, ForwardViews::Separate);
    let outputs = networks.forward(&views()).unwrap();
    assert!(!outputs[0].target_projection.requires_grad());
    let loss = (&outputs[0].prediction * &outputs[1].target_projection).sum(Kind::Float);
    loss.backward();
    for variable in networks.variables().unwrap() {
        let touched = variable.tensor.grad().defined();
        assert_eq!(touched, variable.trainable, "{}", variable.name);
    }
}

#[test]
fn a_stopped_gradient_leaves_the_target_side_out() {
    let gradient = |target: Target| {
        let mut networks = networks(|_| target, true, ForwardViews::Separate);
        let outputs = networks.forward(&views()).unwrap();
        assert!(outputs[1].target_projection.allclose(&outputs[1].projection, 0.0, 0.0, false));
        (&outputs[0].prediction.detach() * &outputs[1].target_projection).sum(Kind::Float)
    };
    assert!(!gradient(Target::StopGradient).requires_grad());
    assert!(gradient(Target::Online).requires_grad());
}

#[test]
fn without_a_predictor_the_prediction_is_the_projection() {
    let mut networks = networks(|_| Target::Online, false, ForwardViews::Separate);
    let outputs = networks.forward(&views()).unwrap();
    assert_eq!(outputs[0].prediction, outputs[0].projection);
}

#[test]
fn a_removed_predictor_leaves_the_other_weights_as_they_were() {
    let mut with = networks(ema, true, ForwardViews::Separate);
    let mut without = networks(ema, false, ForwardViews::Separate);
    for prefix in ["encoder", "projector", "target"] {
        assert_eq!(values(&mut with, prefix), values(&mut without, prefix));
    }
}

#[test]
fn a_joint_pass_shares_batch_statistics_between_the_views() {
    let run = |mode| {
        let mut networks = networks(ema, true, mode);
        networks.forward(&views()).unwrap()
    };
    let (separate, joint) = (run(ForwardViews::Separate), run(ForwardViews::Joint));
    assert_eq!(joint.len(), 2);
    for (separate, joint) in separate.iter().zip(&joint) {
        assert_eq!(separate.projection.size(), joint.projection.size());
        assert!(separate.embedding.allclose(&joint.embedding, 1e-5, 1e-6, false), "no norm in this encoder");
        assert!(!separate.projection.allclose(&joint.projection, 1e-3, 1e-3, false));
    }
}

#[test]
fn views_of_one_size_share_batch_statistics_and_those_of_another_do_not() {
    let [first, second] = views();
    let small = (&first + 1.0).view([6, 3, 4, 1]);
    let run = |mode, views: &[&Tensor]| {
        let views: Vec<Tensor> = views.iter().map(|view| view.shallow_clone()).collect();
        networks(ema, true, mode).forward(&views).unwrap()
    };
    let all = run(ForwardViews::JointBySize, &[&first, &second, &small]);
    let (global, alone) = (run(ForwardViews::Joint, &[&first, &second]), run(ForwardViews::Joint, &[&small]));
    for (found, expected) in all.iter().zip(global.iter().chain(&alone)) {
        assert!(found.projection.allclose(&expected.projection, 1e-5, 1e-6, false));
        assert!(found.target_projection.allclose(&expected.target_projection, 1e-5, 1e-6, false));
    }
    let views = [&first, &second, &small].map(Tensor::shallow_clone);
    let error = networks(ema, true, ForwardViews::Joint).forward(&views).err().unwrap().to_string();
    assert!(error.contains("joint_by_size"), "{error}");
}

#[test]
fn a_network_passes_its_views_alone_and_the_other_ones_outputs_stand_in() {
    let views = views();
    let whole = networks(ema, true, ForwardViews::Separate).forward(&views).unwrap();
    let mut parted = networks(ema, true, ForwardViews::Separate);
    parted.passing = Passing { online: Some(vec![0]), target: Some(vec![1]) };
    let outputs = parted.forward(&views).unwrap();
    // MoCo's: the query of the first view, the key of the second, each as when all are passed.
    assert_eq!(outputs[0].prediction, whole[0].prediction);
    assert_eq!(outputs[1].target_projection, whole[1].target_projection);
    // Each network passed one view, and no more: its statistics are those of that view.
    let mut mean = |prefix: &str, passed: &[Tensor]| {
        let name = format!("{prefix}projector.norm1.running_mean");
        let mut alone = networks(ema, true, ForwardViews::Separate);
        alone.forward(passed).unwrap();
        (values(&mut parted, &name).remove(0).1, values(&mut alone, &name).remove(0).1)
    };
    for (found, expected) in [mean("", &views[..1]), mean("target.", &views[1..])] {
        assert_eq!(found, expected);
    }
    let [first, second] = &outputs[..] else { panic!("two views") };
    assert_eq!(first.target_projection, first.projection);
    assert_eq!(second.prediction, second.target_projection);
    assert!(!first.target_projection.requires_grad() && !second.prediction.requires_grad());
    assert!(first.target_embedding.is_none() && second.target_embedding.is_some());
}
