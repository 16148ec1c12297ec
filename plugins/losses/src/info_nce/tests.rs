//! By hand, against PyTorch, and what the queue keeps.

use diptych_sdk::Parameters;
use diptych_sdk_tensor::testing::{build_loss, gradient_error, run_loss};

use super::*;
use crate::testing::{Reference, figure, random, rows};

fn build(temperature: f64, queue_size: i64, symmetric: bool, width: i64) -> (InfoNce, Variables) {
    build_with(temperature, queue_size, width, |parameters| parameters.symmetric = symmetric).unwrap()
}

fn build_with(
    temperature: f64,
    queue_size: i64,
    width: i64,
    change: impl FnOnce(&mut InfoNceParameters),
) -> Result<(InfoNce, Variables), Error> {
    let mut parameters =
        InfoNceParameters { temperature, queue_size, ..InfoNceParameters::defaults().unwrap() };
    change(&mut parameters);
    build_loss::<InfoNce>(parameters, Dimensions { projection: width, ..Dimensions::default() }, 0)
}

/// Copies `values` into the queue.
fn fill(loss: &mut InfoNce, values: &Tensor) {
    loss.queue.as_mut().unwrap().keys.copy_(&values.to_kind(Kind::Float));
}

fn queue(loss: &InfoNce) -> Vec<f32> {
    Vec::try_from(loss.queue.as_ref().unwrap().keys.view(-1)).unwrap()
}

#[test]
fn matches_a_case_computed_by_hand() {
    let (query, key) = (rows(&[2.0, 0.0, 0.0, 1.0]), rows(&[3.0, 0.0, 1.0, 0.0]));
    let mut loss = build(0.5, 2, false, 2).0;
    fill(&mut loss, &rows(&[0.0, 1.0, -1.0, 0.0]));
    let output = run_loss(&mut loss, &[[&query, &query], [&key, &key]]).unwrap();
    // Sample 1: positive 1, negatives 0 and -1; sample 2: positive 0, negatives 1 and 0.
    let (e2, one) = (2f64.exp(), 1.0);
    let expected = (((e2 + 1.0 + (-2f64).exp()) / e2).ln() + ((one + e2 + 1.0) / one).ln()) / 2.0;
    assert!((output.loss.double_value(&[]) - expected).abs() < 1e-7);
    assert!((figure(&output, "positive_similarity") - 0.5).abs() < 1e-7);
    assert_eq!(figure(&output, "contrastive_accuracy"), 0.5);
}

#[test]
fn without_a_queue_the_other_samples_keys_are_the_negatives() {
    let view = Tensor::ones([5, 3], (Kind::Double, Device::Cpu));
    let output = run_loss(&mut build(0.2, 0, true, 3).0, &[[&view, &view], [&view, &view]]).unwrap();
    // Guessing among 5, in both directions.
    assert!((output.loss.double_value(&[]) - 2.0 * 5f64.ln()).abs() < 1e-12);
}

#[test]
fn keys_enter_after_the_loss_and_push_the_oldest_out() {
    let mut loss = build(0.5, 3, false, 2).0;
    fill(&mut loss, &rows(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]));
    let up = rows(&[0.0, 1.0, 0.0, 1.0]);
    let first = run_loss(&mut loss, &[[&up, &up], [&up, &up]]).unwrap();
    let e2 = 2f64.exp();
    assert!((first.loss.double_value(&[]) - ((e2 + 3.0) / e2).ln()).abs() < 1e-6, "none is in the queue yet");
    assert_eq!(queue(&loss), [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    let left = rows(&[-1.0, 0.0, 0.0, -1.0]);
    run_loss(&mut loss, &[[&up, &up], [&left, &left]]).unwrap();
    assert_eq!(queue(&loss), [0.0, -1.0, 0.0, 1.0, -1.0, 0.0], "around the end");
    let many = rows(&[1.0, 0.0, -1.0, 0.0, 0.0, 1.0, 0.0, -1.0]);
    run_loss(&mut loss, &[[&many, &many], [&many, &many]]).unwrap();
    assert_eq!(queue(&loss), [0.0, -1.0, -1.0, 0.0, 0.0, 1.0], "the last three of four");
}

#[test]
fn a_loss_with_restored_state_goes_on_as_the_one_it_was_taken_from() {
    tch::manual_seed(6);
    let batches = [(); 4].map(|()| (random([4, 5]), random([4, 5])));
    let step = |loss: &mut InfoNce, (query, key): &(Tensor, Tensor)| {
        run_loss(loss, &[[query, query], [key, key]]).unwrap().loss.double_value(&[])
    };
    let (mut straight, state) = build(0.2, 6, false, 5);
    for batch in &batches[..3] {
        step(&mut straight, batch);
    }
    let (mut resumed, fresh) = build(0.2, 6, false, 5);
    assert_eq!(state.iter().map(|variable| &*variable.name).collect::<Vec<_>>(), ["queue", "queue_next"]);
    for (from, to) in state.iter().zip(fresh.iter()) {
        assert!(!from.trainable());
        to.tensor.shallow_clone().copy_(&from.tensor);
    }
    assert_eq!(step(&mut straight, &batches[3]), step(&mut resumed, &batches[3]));
    assert_eq!(queue(&straight), queue(&resumed));
    assert_ne!(step(&mut build(0.2, 6, false, 5).0, &batches[3]), step(&mut straight, &batches[3]));
}

#[test]
fn the_same_seed_starts_the_same_queue_of_unit_vectors() {
    assert_eq!(queue(&build(0.2, 6, false, 5).0), queue(&build(0.2, 6, false, 5).0));
    for key in queue(&build(0.2, 6, false, 5).0).chunks(5) {
        assert!((key.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    }
}

#[test]
fn the_gradient_is_that_of_finite_differences() {
    tch::manual_seed(7);
    let (point, key) = (random([3, 4]), random([3, 4]));
    for queue_size in [0, 5] {
        let error = gradient_error(&point, |query| {
            let mut loss = build(0.3, queue_size, true, 4).0;
            run_loss(&mut loss, &[[query, &key], [&key, &key]]).unwrap().loss
        });
        assert!(error < 1e-7, "queue of {queue_size}: {error}");
    }
}

#[test]
fn agrees_with_mocos_formulation_in_pytorch() {
    let reference = Reference::load();
    let run = |mut loss: InfoNce, first: &Tensor| {
        let views = [
            [first, reference.get("first_target")],
            [reference.get("second"), reference.get("second_target")],
        ];
        run_loss(&mut loss, &views).unwrap().loss
    };
    let mut queued = build(0.2, 8, false, 5).0;
    fill(&mut queued, reference.get("queue"));
    let first = reference.first();
    reference.assert_agrees("info_nce.queue", &run(queued, &first), &first, 1e-10);
    let first = reference.first();
    let found = run(build(0.2, 0, true, 5).0, &first);
    reference.assert_agrees("info_nce.batch", &found, &first, 1e-10);
}

#[test]
fn a_batch_without_negatives_is_an_error() {
    let view = rows(&[1.0, 0.0]);
    let error = run_loss(&mut build(0.1, 0, false, 2).0, &[[&view, &view], [&view, &view]]).unwrap_err();
    assert!(error.to_string().starts_with("found a batch of 1 sample and no queue"), "{error}");
    run_loss(&mut build(0.1, 4, false, 2).0, &[[&view, &view], [&view, &view]]).unwrap();
}

#[test]
fn further_queries_look_for_the_second_views_key_and_enter_no_queue() {
    let (up, right) = (rows(&[0.0, 1.0]), rows(&[1.0, 0.0]));
    let mut loss = build_with(0.5, 1, 2, |parameters| parameters.auxiliary_share = 0.25).unwrap().0;
    fill(&mut loss, &rows(&[-1.0, 0.0]));
    // Cosines of the first: 1, negative 0; of the third, right: 0 and -1; of the fourth, up: 1 and 0.
    let output =
        run_loss(&mut loss, &[[&up, &right], [&right, &up], [&right, &right], [&up, &right]]).unwrap();
    let (e2, e_2) = (2f64.exp(), (-2f64).exp());
    let (near, far) = (((e2 + 1.0) / e2).ln(), (1.0 + e_2).ln());
    let expected = 0.75 * near + 0.25 * (far + near) / 2.0;
    assert!((output.loss.double_value(&[]) - expected).abs() < 1e-7);
    assert_eq!(figure(&output, "positive_similarity"), 1.0, "of the first view alone");
    assert_eq!(figure(&output, "auxiliary_accuracy"), 1.0);
    assert_eq!(queue(&loss), [0.0, 1.0], "the second view's key, once");
}

#[test]
fn groups_are_compared_with_each_other_and_never_with_themselves() {
    // Parts of the query: up, right; of the key: right, up. The same parts agree with nothing, the others with each other.
    let (query, key) = (rows(&[0.0, 3.0, 2.0, 0.0]).view([1, 4]), rows(&[5.0, 0.0, 0.0, 1.0]).view([1, 4]));
    let mut loss = build_with(0.5, 1, 4, |parameters| parameters.groups = 2).unwrap().0;
    fill(&mut loss, &rows(&[0.0, -1.0, -1.0, 0.0]).view([1, 4]));
    let output = run_loss(&mut loss, &[[&query, &query], [&key, &key]]).unwrap();
    // Both positives are 1; negatives: up against (-1, 0), right against (0, -1), both 0.
    let expected = 2.0 * ((2f64.exp() + 1.0) / 2f64.exp()).ln();
    assert!((output.loss.double_value(&[]) - expected).abs() < 1e-7, "{}", output.loss);
    assert_eq!(figure(&output, "positive_similarity"), 1.0);
    assert_eq!(queue(&loss), [1.0, 0.0, 0.0, 1.0], "each part of unit length");
}

#[test]
fn three_groups_guess_as_three_pairs() {
    let view = Tensor::ones([5, 6], (Kind::Double, Device::Cpu));
    let mut loss = build_with(0.2, 0, 6, |parameters| parameters.groups = 3).unwrap().0;
    let output = run_loss(&mut loss, &[[&view, &view], [&view, &view]]).unwrap();
    // Each of three parts guesses among 5, once in the mean over the two others.
    assert!((output.loss.double_value(&[]) - 3.0 * 5f64.ln()).abs() < 1e-12);
}

#[test]
fn agrees_with_pycontrasts_formulation_in_pytorch() {
    let reference = Reference::load();
    let views = |first: &Tensor| {
        let view = |name: &str| reference.get(name).shallow_clone();
        [
            [first.shallow_clone(), view("first_target")],
            [view("second"), view("second_target")],
            [view("third"), view("third")],
        ]
    };
    let run = |mut loss: InfoNce, first: &Tensor, count: usize| {
        let views = views(first);
        let views: Vec<[&Tensor; 2]> = views[..count].iter().map(|[a, b]| [a, b]).collect();
        run_loss(&mut loss, &views).unwrap().loss
    };
    let mut jigsaw = build_with(0.2, 8, 5, |parameters| parameters.auxiliary_share = 0.3).unwrap().0;
    fill(&mut jigsaw, reference.get("queue"));
    let first = reference.first();
    reference.assert_agrees("info_nce.auxiliary", &run(jigsaw, &first, 3), &first, 1e-10);
}

#[test]
fn agrees_with_cmcs_formulation_in_pytorch() {
    let reference = Reference::load();
    let mut loss = build_with(0.2, 8, 6, |parameters| parameters.groups = 2).unwrap().0;
    fill(&mut loss, reference.get("grouped.queue"));
    let first = reference.get("grouped.first").copy().set_requires_grad(true);
    let key = reference.get("grouped.second_target");
    let output = run_loss(&mut loss, &[[&first, &first], [key, key]]).unwrap();
    reference.assert_agrees("info_nce.groups", &output.loss, &first, 1e-10);
}

#[test]
fn what_does_not_fit_is_refused_with_a_remedy() {
    let both = build_with(0.2, 8, 5, |parameters| {
        (parameters.symmetric, parameters.auxiliary_share) = (true, 0.5);
    });
    assert!(both.err().unwrap().to_string().contains("set one of the two alone"));
    let odd = build_with(0.2, 8, 5, |parameters| parameters.groups = 2).err().unwrap().to_string();
    assert!(odd.starts_with("groups = 2 with projections of 5 dimensions"), "{odd}");
    let mut lonely = build_with(0.2, 8, 2, |parameters| parameters.auxiliary_share = 0.5).unwrap().0;
    let view = rows(&[1.0, 0.0]);
    let error = run_loss(&mut lonely, &[[&view, &view], [&view, &view]]).unwrap_err().to_string();
    assert!(error.contains("found 2 views"), "{error}");
}
