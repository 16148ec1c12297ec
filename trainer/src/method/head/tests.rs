use super::*;

fn config() -> HeadConfig {
    HeadConfig { hidden: vec![16], ..crate::method::testing::head() }
}

fn names(head: &Head) -> Vec<String> {
    head.variables().into_iter().map(|variable| variable.name).collect()
}

#[test]
fn byols_head_has_its_variables() {
    let head = Head::new(&config(), 8, 0, Device::Cpu).unwrap();
    assert_eq!(
        names(&head),
        [
            "linear1.weight",
            "linear1.bias",
            "norm1.weight",
            "norm1.bias",
            "norm1.running_mean",
            "norm1.running_var",
            "linear2.weight"
        ]
    );
}

#[test]
fn an_output_norm_without_affine_standardises_the_batch() {
    let config = HeadConfig { output_norm: OutputNorm::BatchNormWithoutAffine, ..config() };
    let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
    let output = head.forward(&Tensor::randn([32, 8], (Kind::Float, Device::Cpu)), true).unwrap();
    assert_eq!(output.size(), [32, 4]);
    let mean = output.mean_dim(0, false, Kind::Float).abs().max().double_value(&[]);
    let deviation = (output.std_dim(0, false, false) - 1.0).abs().max().double_value(&[]);
    assert!(mean < 1e-5 && deviation < 1e-3, "mean {mean}, deviation off by {deviation}");
    assert!(!names(&head).contains(&"norm2.weight".to_owned()));
}

#[test]
fn an_output_norm_without_shift_keeps_its_scale() {
    let config = HeadConfig { output_norm: OutputNorm::BatchNormWithoutShift, ..config() };
    let head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
    assert!(names(&head).contains(&"norm2.weight".to_owned()));
    assert!(!names(&head).contains(&"norm2.bias".to_owned()));
}

#[test]
fn prototypes_answer_cosines_whatever_their_length() {
    let config = HeadConfig { prototypes: Some(7), activation: Activation::Gelu, ..config() };
    assert_eq!(config.width(), 7);
    let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
    assert_eq!(names(&head).last().unwrap(), "prototypes.weight");
    let input = Tensor::randn([32, 8], (Kind::Float, Device::Cpu));
    let cosines = head.forward(&input, true).unwrap();
    assert_eq!(cosines.size(), [32, 7]);
    assert!(cosines.abs().max().double_value(&[]) <= 1.0 + 1e-6);
    let mut prototypes = head.variables().pop().unwrap().tensor;
    tch::no_grad(|| prototypes.copy_(&(&prototypes * 3.0)));
    assert!(head.forward(&input, true).unwrap().allclose(&cosines, 1e-4, 1e-5, false));
}

#[test]
fn gelu_is_smooth_where_relu_is_0() {
    let x = Tensor::from_slice(&[-1f32, 2.0]).view([1, 2]);
    let run = |activation| {
        let mut head = Perceptron { layers: vec![Layer::Activation(activation)], start: None };
        Vec::<f32>::try_from(head.forward(&x, true).unwrap().view(-1)).unwrap()
    };
    assert_eq!(run(Activation::Relu), [0.0, 2.0]);
    // x times the normal distribution function: 0.158655 at -1, 0.977250 at 2.
    let gelu = run(Activation::Gelu);
    assert!((gelu[0] + 0.158655).abs() < 1e-5 && (gelu[1] - 1.9545).abs() < 1e-5, "{gelu:?}");
}

/// Mean and variance of each row.
fn moments(x: &Tensor) -> [Vec<f64>; 2] {
    let (variance, mean) = x.var_mean_dim([1].as_slice(), false, false);
    [mean, variance].map(|tensor| Vec::try_from(tensor.to_kind(Kind::Double)).unwrap())
}

#[test]
fn group_and_layer_norm_know_no_other_sample() {
    for norm in [HiddenNorm::GroupNorm, HiddenNorm::LayerNorm] {
        let config = HeadConfig { norm, hidden: vec![160], ..config() };
        let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
        assert_eq!(
            names(&head),
            ["linear1.weight", "linear1.bias", "norm1.weight", "norm1.bias", "linear2.weight"]
        );
        let input = Tensor::randn([6, 8], (Kind::Float, Device::Cpu));
        let all = head.forward(&input, true).unwrap();
        let alone = head.forward(&input.narrow(0, 2, 1), true).unwrap();
        assert!(alone.allclose(&all.narrow(0, 2, 1), 1e-5, 1e-6, false), "{norm:?}");
        // What the norm answers, of each sample by itself: over all, or over groups of ten.
        let hidden =
            head.groups[0].layers[..2].iter().fold(input, |x, layer| layer.forward(&x, true).unwrap());
        let groups = if norm == HiddenNorm::GroupNorm { hidden.reshape([6 * 16, 10]) } else { hidden };
        let [means, variances] = moments(&groups);
        assert!(means.iter().all(|mean| mean.abs() < 1e-4), "{norm:?}: {means:?}");
        assert!(variances.iter().all(|variance| (variance - 1.0).abs() < 0.05), "{norm:?}: {variances:?}");
    }
}

#[test]
fn a_group_norm_comes_with_standardised_weights() {
    // Scale and shift of each output's weights, up to 32 fold.
    let run = |norm, by: f64| {
        let config = HeadConfig { norm, hidden: vec![32], ..config() };
        let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
        let mut weight = head.variables()[0].tensor.shallow_clone();
        let by = Tensor::arange(32, (Kind::Float, Device::Cpu)).view([32, 1]) * by;
        tch::no_grad(|| weight.copy_(&(&weight * (&by + 1.0) + &by)));
        head.forward(&Tensor::arange(16, (Kind::Float, Device::Cpu)).view([2, 8]).sin(), true).unwrap()
    };
    let same = |norm| run(norm, 0.0).allclose(&run(norm, 1.0), 1e-3, 1e-4, false);
    assert!(same(HiddenNorm::GroupNorm) && !same(HiddenNorm::LayerNorm));
}

#[test]
fn the_first_batch_gives_hidden_layers_without_norm_the_activations_of_a_batch_norm() {
    let plain = HeadConfig { norm: HiddenNorm::None, hidden: vec![16, 16], ..config() };
    let config = HeadConfig { initialization: Initialization::BatchStatistics, ..plain.clone() };
    let with_norm = HeadConfig { norm: HiddenNorm::BatchNorm, ..plain.clone() };
    let [mut head, mut normed, mut drawn] =
        [&config, &with_norm, &plain].map(|config| Head::new(config, 8, 1, Device::Cpu).unwrap());
    let batch = Tensor::randn([64, 8], (Kind::Float, Device::Cpu)) * 3.0 + 5.0;
    let first = head.forward(&batch, true).unwrap();
    assert!(first.allclose(&normed.forward(&batch, true).unwrap(), 1e-3, 1e-4, false));
    assert!(!first.allclose(&drawn.forward(&batch, true).unwrap(), 1e-1, 1e-1, false));
    // The second batch sets nothing: it only goes through.
    let second = &batch * 0.5;
    let answer = head.forward(&second, true).unwrap();
    assert!(answer.allclose(&head.forward(&second, false).unwrap(), 1e-6, 1e-6, false));
    assert!(!answer.allclose(&normed.forward(&second, true).unwrap(), 1e-1, 1e-1, false));
}

#[test]
fn restored_variables_do_not_start_anew() {
    let config =
        HeadConfig { norm: HiddenNorm::None, initialization: Initialization::BatchStatistics, ..config() };
    let [mut trained, mut restored] = [1, 2].map(|seed| Head::new(&config, 8, seed, Device::Cpu).unwrap());
    let batch = Tensor::randn([32, 8], (Kind::Float, Device::Cpu));
    let _ = trained.forward(&batch, true).unwrap();
    for (from, to) in trained.variables().iter().zip(restored.variables()) {
        assert_eq!(from.name, to.name);
        tch::no_grad(|| to.tensor.shallow_clone().copy_(&from.tensor));
    }
    let other = &batch * 2.0 + 1.0;
    let answers = [&mut trained, &mut restored].map(|head| head.forward(&other, true).unwrap());
    assert!(answers[0].equal(&answers[1]));
}

#[test]
fn the_same_seed_gives_the_same_weights_and_another_seed_others() {
    let weights = |seed| {
        let head = Head::new(&config(), 8, seed, Device::Cpu).unwrap();
        Vec::<f32>::try_from(head.variables()[0].tensor.flatten(0, -1)).unwrap()
    };
    assert_eq!(weights(5), weights(5));
    assert_ne!(weights(5), weights(6));
}

#[test]
fn truncated_draws_have_the_known_deviation_and_no_tail() {
    let draws = truncated_normal(&mut RandomStream::new([1, 2]), 100_000, 0.5);
    let mean = draws.iter().map(|x| f64::from(*x)).sum::<f64>() / draws.len() as f64;
    let variance = draws.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / draws.len() as f64;
    // A standard normal truncated at 2 has variance 0.7737.
    assert!(mean.abs() < 0.01, "{mean}");
    assert!((variance / 0.25 - 0.7737).abs() < 0.01, "{variance}");
    assert!(draws.iter().all(|x| x.abs() <= 1.0));
}

#[test]
fn evaluation_normalises_by_running_statistics() {
    let mut head = Head::new(&config(), 8, 1, Device::Cpu).unwrap();
    let one = Tensor::ones([1, 8], (Kind::Float, Device::Cpu));
    let alone = head.forward(&one, false).unwrap();
    let both = head.forward(&Tensor::cat(&[&one, &(-&one)], 0), false).unwrap();
    assert!(alone.allclose(&both.narrow(0, 0, 1), 1e-5, 1e-6, false));
}

#[test]
fn each_group_sees_its_own_part_and_writes_its_own() {
    let config = HeadConfig { groups: Some(2), norm: HiddenNorm::None, ..config() };
    assert_eq!(config.width(), 8);
    let mut head = Head::new(&config, 8, 1, Device::Cpu).unwrap();
    assert_eq!(names(&head)[..2], ["group1.linear1.weight", "group1.linear1.bias"]);
    assert_eq!(names(&head)[3], "group2.linear1.weight");
    let input = Tensor::randn([6, 8], (Kind::Float, Device::Cpu));
    let before = head.forward(&input, true).unwrap();
    assert_eq!(before.size(), [6, 8]);
    input.narrow(1, 4, 4).copy_(&Tensor::zeros([6, 4], (Kind::Float, Device::Cpu)));
    let after = head.forward(&input, true).unwrap();
    assert_eq!(after.narrow(1, 0, 4), before.narrow(1, 0, 4));
    assert!(after.narrow(1, 4, 4).abs().max().double_value(&[]) < 1e-6, "biases start at 0");
    assert!(before.narrow(1, 4, 4).abs().max().double_value(&[]) > 1e-3);
    let message = Head::new(&config, 7, 1, Device::Cpu).err().unwrap().to_string();
    assert!(message.contains("groups = 2 is given 7 features"), "{message}");
}
