//! Reading configurations without any plugin: what is wrong is reported, all at once.

use diptych_config::Document;
use diptych_host::Registry;

use super::*;

fn problems(text: &str) -> Vec<String> {
    let registry = Registry::load_folders(&[], None).unwrap();
    let document = Document::parse(text, "run.toml").unwrap();
    let Err(problems) = RunConfig::read(&document, &registry) else { panic!("read without problems") };
    problems.iter().map(ToString::to_string).collect()
}

fn check(text: &str, expected: &str) {
    let found = problems(text);
    assert!(
        found.iter().any(|problem| problem.contains(expected)),
        "{expected} is not in\n{}",
        found.join("\n")
    );
}

#[test]
fn an_empty_file_is_told_everything_that_it_lacks() {
    let found = problems("").join("\n");
    for expected in
        ["data.path: missing", "encoder.id: missing", "losses: found none", "optimizer.id: missing"]
    {
        assert!(found.contains(expected), "{expected} is not in\n{found}");
    }
    for expected in ["optimizer.learning_rate: missing", "schedule.epochs: missing", "augmentations: "] {
        assert!(found.contains(expected), "{expected} is not in\n{found}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_line_and_what_was_expected() {
    check("device = \"gpu\"", "run.toml:1: device: found \"gpu\", expected \"cpu\", \"cuda\" or \"cuda:N\"");
    check("[loader]\nbatch_size = 1", "run.toml:2: loader.batch_size: found 1, expected ");
    check(
        "[target]\nmomentum = 1.5",
        "run.toml:2: target.momentum: found 1.5, expected a number from 0 to 1",
    );
    check("[target]\nkind = \"emma\"", "did you mean \"ema\"?");
    check("[input]\nstd = [0.2, 0.0, 0.2]", "run.toml:2: input.std: found ");
    check("[optimizer]\nid = \"adamw\"\nbetas = [0.9, 1.0]", "run.toml:3: optimizer.betas: found ");
    check(
        "[diagnostics]\nstop_collapsed = \"collapsed\"\npatience_steps = 10\nevery_steps = 20",
        "run.toml:4: diagnostics.every_steps: found 20, expected no more than patience_steps = 10",
    );
    check("[projector]\nhidden = [0]", "run.toml:2: projector.hidden: found a layer of width 0");
}

#[test]
fn keys_of_another_optimizer_are_unknown() {
    check("[optimizer]\nid = \"adamw\"\nmomentum = 0.9", "run.toml:3: optimizer.momentum: unknown key");
    check("[optimizer]\nid = \"sgd\"\nbetas = [0.9, 0.99]", "run.toml:3: optimizer.betas: unknown key");
}

#[test]
fn an_optimal_predictor_that_fits_any_batch_is_refused() {
    let views = "[augmentations]\nviews = [{name = \"one\"}, {name = \"two\"}]\n[predictor]\nkind = \"optimal_linear\"\n";
    let with = |batch: u32| format!("[loader]\nbatch_size = {batch}\n[projector]\noutput = 64\n{views}");
    check(&with(32), "predictor: \"optimal_linear\" fits 64 samples");
    let found = problems(&with(33)).join("\n");
    assert!(!found.contains("optimal_linear"), "{found}");
}

#[test]
fn a_predictor_of_another_width_than_the_projector_is_refused() {
    check(
        "[projector]\noutput = 16\n[predictor]\noutput = 8",
        "predictor.output = 8 but projector.output = 16",
    );
}

#[test]
fn two_lengths_contradict_each_other() {
    check("[schedule]\nsteps = 10\nepochs = 2", "run.toml:3: schedule.epochs: found beside steps");
}

#[test]
fn a_file_of_weights_that_is_not_there_is_named_with_its_line() {
    check(
        "[encoder]\nid = \"a\"\nweights = \"no/such\"",
        "run.toml:3: encoder.weights: cannot read \"no/such\": No such file",
    );
    check("[encoder]\nweights_hash = \"00\"", "run.toml:2: encoder.weights_hash: found without weights");
}

#[test]
fn an_unknown_component_is_one_problem_and_hides_no_other() {
    let found = problems("[encoder]\nid = \"resnet5\"\nwidth = 3\n[probe]\nenabeld = true");
    let about_encoder: Vec<_> = found.iter().filter(|problem| problem.contains("encoder")).collect();
    assert_eq!(about_encoder.len(), 1, "{found:?}");
    assert!(found.iter().any(|problem| problem.contains("did you mean `enabled`?")), "{found:?}");
}

#[test]
fn epochs_become_steps_and_learning_rates_follow_the_batch() {
    assert_eq!(Interval::Epochs(1.5).steps(10.0), 15);
    assert_eq!(Interval::Steps(7).steps(10.0), 7);
    let document = Document::parse("id = \"lars\"\nlearning_rate = 0.3\nscaling = \"linear\"", "x").unwrap();
    let optimizer = document.read(OptimizerConfig::read).unwrap();
    assert!((optimizer.scaled_learning_rate(4096) - 4.8).abs() < 1e-12);
    let square_root = OptimizerConfig { scaling: Scaling::SquareRoot, ..optimizer };
    assert!((square_root.scaled_learning_rate(4096) - 19.2).abs() < 1e-12);
}

#[test]
fn a_files_contents_are_in_the_fingerprint_and_its_path_is_not() {
    let table = |path: &str, hash: &str| {
        let text = format!(
            "[encoder]\nid = \"a\"\npath = {path:?}\npath_hash = {hash:?}\n[[losses]]\nq = {path:?}\nq_hash = \"1\""
        );
        effective(text.parse().unwrap(), "identity", toml::Value::Array(Vec::new()))
    };
    assert_eq!(table("x.pt", "00"), table("elsewhere/y.pt", "00"));
    assert_ne!(table("x.pt", "00"), table("x.pt", "11"));
}

#[test]
fn what_only_says_how_fast_or_where_is_not_in_the_fingerprint() {
    let table = |text: &str| text.parse::<toml::Table>().unwrap();
    let left = table(
        "name = \"a\"\ndevice = \"cpu\"\nseed = 1\n[data]\npath = \"x\"\nlabels = \"auto\"\n\
         [loader]\nworkers = 3\nbatch_size = 8\n[logging]\nevery_steps = 5",
    );
    let right = table("seed = 1\n[data]\nlabels = \"auto\"\n[loader]\nbatch_size = 8");
    let plugins = || toml::Value::Array(Vec::new());
    assert_eq!(effective(left, "identity", plugins()), effective(right, "identity", plugins()));
}

#[test]
fn the_channels_of_an_input_bring_their_own_normalisation_and_rgb_leaves_the_fingerprint_alone() {
    let read = |text: &str| Document::parse(text, "x").unwrap().read(InputConfig::read).unwrap();
    assert!(!read("").to_toml().contains_key("color_space"));
    let lab = read("color_space = \"lab\"");
    assert_eq!(lab.mean[0], 50.0);
    assert_eq!(read(&lab.to_toml().to_string()), lab);
    check("[input]\ncolor_space = \"hsv\"", "run.toml:2: input.color_space: found \"hsv\"");
}

#[test]
fn patches_that_do_not_fit_the_other_sections_are_refused() {
    let patches = "[projector]\noutput = 16\n[patches]\nviews = [\"jigsaw\"]\n[patches.projector]\n";
    check(
        &format!("{patches}output = 8"),
        "patches: projector.output = 8, but the other views' projector gives 16",
    );
    check(
        &format!("{patches}output = 16\ngroups = 2"),
        "patches.projector.groups: found 2, which a head on patches can't have",
    );
    check("[patches]\ngrid = 2", "patches.views: found none");
    check(
        "[forward]\nviews = \"joint\"\n[patches]\nviews = [\"a\"]",
        "set \"separate\" or \"joint_by_size\"",
    );
    check("[projector]\ngroups = 2\n[patches]\nviews = [\"a\"]", "found beside projector.groups = 2");
    let views = "[[augmentations.views]]\nname = \"one\"\n[[augmentations.views]]\nname = \"two\"\n";
    check(
        &format!("{views}[patches]\nviews = [\"jigsaw\"]"),
        "views has \"jigsaw\", but the views of [augmentations] are called one, two",
    );
    check(&format!("{views}[patches]\nviews = [\"two\"]"), "these must be whole");
}

#[test]
fn views_that_a_network_does_not_pass_are_passed_by_the_other() {
    let views = "[augmentations]\nviews = [{name = \"one\"}, {name = \"two\"}]\n";
    let with = |forward: &str| format!("{views}[target]\nkind = \"ema\"\n[forward]\n{forward}");
    check(
        &with("online = [\"three\"]"),
        "forward: online has \"three\", but the views of [augmentations] are called one, two",
    );
    check(&with("target = []"), "forward: target has no view");
    check(&with("online = [\"two\"]"), "forward: online must have the first view, \"one\"");
    check(
        &with("online = [\"one\"]\ntarget = [\"one\"]"),
        "forward: neither online nor target has the view \"two\"",
    );
    check(
        &format!("{views}[target]\nkind = \"stop_gradient\"\n[forward]\nonline = [\"one\"]"),
        "target.kind = \"stop_gradient\" is no network of its own",
    );
    let found = problems(&with("online = [\"one\"]\ntarget = [\"two\"]")).join("\n");
    assert!(!found.contains("forward"), "{found}");
}
