//! The binary as a user has it: good input, bad input, and interruptions.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use diptych_tests::{built_plugin, built_program, repository};
use tempfile::TempDir;

/// A small labelled set, made once by the binary itself.
static IMAGES: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    let output = diptych(&["synth", text(&set), "--split", "train=96", "--split", "test=48"]);
    assert!(output.status.success(), "{}", stderr(&output));
    folder
});

fn images(split: &str) -> PathBuf {
    IMAGES.path().join("set").join(split)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(built_program());
    for package in ["diptych-augmentations", "diptych-encoders", "diptych-losses"] {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    command.env_remove("DIPTYCH_PLUGIN_PATH").current_dir(repository()).args(arguments);
    command
}

fn diptych(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `train` on the small set, cut to `steps` steps of 16 samples.
fn train(config: &Path, out: &Path, steps: u64, more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["train".to_owned(), text(config).to_owned(), "--out".into(), text(out).into()];
    for set in [
        format!("data.path={}", text(&images("train"))),
        format!("schedule.steps={steps}"),
        "schedule.warmup_steps=1".into(),
        "loader.batch_size=16".into(),
        "logging.every_steps=1".into(),
        "threads=1".into(),
    ] {
        arguments.extend(["--set".to_owned(), set]);
    }
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments
}

fn demo(method: &str) -> PathBuf {
    repository().join(format!("configs/pretrain/{method}_demo.toml"))
}

fn run(arguments: &[String]) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    diptych(&arguments)
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "train", "evaluate", "embed", "export", "probe", "study", "watch", "preview", "synth", "bench",
        "pack", "data", "config", "plugin",
    ];
    for command in commands {
        let output = diptych(&[command, "--help"]);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
        assert!(stdout(&output).contains("Usage: diptych"), "{command}: {}", stdout(&output));
    }
    let study = stdout(&diptych(&["study", "--help"])).replace('\n', " ");
    assert!(
        study.contains("goes on with interrupted ones from their last checkpoint, and reports failed ones"),
        "{study}"
    );
}

#[test]
fn every_configuration_that_comes_with_diptych_is_valid() {
    for kind in ["pretrain", "evaluate"] {
        for entry in fs::read_dir(repository().join("configs").join(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("demo_base.toml") {
                continue;
            }
            let mut arguments = vec!["config", "check", text(&path)];
            arguments.extend((kind == "evaluate").then_some("--evaluation"));
            let output = diptych(&arguments);
            assert!(output.status.success(), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_step_is_measured_without_data_and_an_augmentation_set_has_none() {
    let config = demo("byol");
    let arguments =
        ["bench", "step", "--batch-size", "4", "--threads", "1", "--steps", "2", "--json", "--config"];
    let output = diptych(&[&arguments[..], &[text(&config)]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("\"images_per_second\""), "{}", stdout(&output));
    let output = diptych(&["bench", "step", "--config", "configs/augmentations/demo.toml"]);
    assert!(stderr(&output).contains("is an augmentation set, which has no step"), "{}", stderr(&output));
}

#[test]
fn a_probing_prints_a_table_and_writes_its_files() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let output = run(&train(&demo("simclr"), &out, 3, &[]));
    assert!(output.status.success(), "{}", stderr(&output));
    // From a folder without configurations: what is measured by default is built in.
    let mut probe = command(&["probe", text(&out), "--data", text(&images("test")), "--set", "images=32"]);
    let output = probe.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for expected in
        ["at step 3, on 32 images", "(two different images)", "color_jitter as in the run", "crop scale"]
    {
        assert!(stdout(&output).contains(expected), "{expected} is not in\n{}", stdout(&output));
    }
    for file in ["probe.json", "probe.html", "probe.svg", "probe.png"] {
        assert!(out.join("probe").join(file).is_file(), "{file}");
    }
}

#[test]
fn every_set_of_views_that_comes_with_diptych_is_valid() {
    for entry in fs::read_dir(repository().join("configs/augmentations")).unwrap() {
        let path = entry.unwrap().path();
        let single = fs::read_to_string(&path).unwrap().matches("[[views]]").count() == 1;
        let (configuration, flag) = match single {
            true => ("evaluate/imagenet.toml", Some("--evaluation")),
            false => ("pretrain/byol_imagenet.toml", None),
        };
        let configuration = repository().join("configs").join(configuration);
        let set = format!("augmentations.set={:?}", text(&path));
        let mut arguments = vec!["config", "check", text(&configuration), "--set", &set];
        arguments.extend(flag);
        let output = diptych(&arguments);
        assert!(output.status.success(), "{}: {}", path.display(), stderr(&output));
    }
}

#[test]
fn a_shown_configuration_is_the_same_run() {
    let folder = TempDir::new().unwrap();
    let first =
        diptych(&["config", "show", text(&demo("byol")), "--set", "augmentations.remove=[\"grayscale\"]"]);
    assert!(first.status.success(), "{}", stderr(&first));
    assert!(!stdout(&first).contains("\"grayscale\""));
    let shown = folder.path().join("shown.toml");
    fs::write(&shown, &first.stdout).unwrap();
    let second = diptych(&["config", "show", text(&shown)]);
    assert_eq!(stdout(&first), stdout(&second));
}

#[test]
fn an_exported_encoder_starts_another_run() {
    let folder = TempDir::new().unwrap();
    let (first, weights) = (folder.path().join("first"), folder.path().join("encoder.safetensors"));
    let output = run(&train(&demo("byol"), &first, 1, &[]));
    assert!(output.status.success(), "{}", stderr(&output));
    let export = ["export", text(&first), "--out", text(&weights), "--network", "target"];
    let output = diptych(&export);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).starts_with("exported the target encoder small_cnn at step 1, 24 tensors: "));
    let output = diptych(&export);
    assert!(stderr(&output).contains("exists; remove it, or choose another name"), "{}", stderr(&output));

    let set = format!("encoder.weights={}", text(&weights));
    let output = run(&train(&demo("byol"), &folder.path().join("second"), 1, &["--set", &set]));
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("the encoder starts from 24 tensors of "), "{}", stderr(&output));
    let output = diptych(&["export", text(&first), "--out", "x", "--network", "both"]);
    assert!(stderr(&output).contains("found \"both\", expected online or target"), "{}", stderr(&output));
}

#[test]
fn trains_and_evaluates_both_methods() {
    for method in ["byol", "simclr"] {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("run");
        let output = run(&train(&demo(method), &out, 4, &[]));
        assert!(output.status.success(), "{}", stderr(&output));
        // Nothing but plain lines where nobody watches.
        assert!(stderr(&output).contains("step 4/4"), "{}", stderr(&output));
        assert!(!stderr(&output).contains('\x1b') && !stderr(&output).contains('\r'), "{}", stderr(&output));
        let (train_images, test_images) = (images("train"), images("test"));
        let output = diptych(&[
            "evaluate",
            text(&out),
            "configs/evaluate/demo.toml",
            "--json",
            "--set",
            &format!("data.train={}", text(&train_images)),
            "--set",
            &format!("data.test={}", text(&test_images)),
        ]);
        assert!(output.status.success(), "{}", stderr(&output));
        let evaluation: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(evaluation["test_samples"], 48);
        let accuracy = evaluation["linear"]["top1"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{accuracy}");
        assert_eq!(
            evaluation,
            serde_json::from_slice::<serde_json::Value>(&fs::read(out.join("evaluation.json")).unwrap())
                .unwrap()
        );
    }
}

#[test]
fn features_are_written_and_alike_evaluations_compared() {
    let folder = TempDir::new().unwrap();
    let (out, other) = (folder.path().join("run"), folder.path().join("other"));
    let data = format!("data.train={}", text(&images("train")));
    let test = format!("data.test={}", text(&images("test")));
    for (out, seed) in [(&out, "seed=0"), (&other, "seed=1")] {
        let output = run(&train(&demo("simclr"), out, 2, &["--set", seed]));
        assert!(output.status.success(), "{}", stderr(&output));
        let arguments = ["evaluate", text(out), "configs/evaluate/demo.toml", "--set", &data, "--set", &test];
        let output = diptych(&arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("kNN (k = 20, temperature 0.07)"), "{}", stdout(&output));
    }
    let output = diptych(&["evaluate", "--compare", text(&out), text(&other)]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        stdout(&output).lines().filter(|line| line.contains(" % (")).count(),
        2,
        "{}",
        stdout(&output)
    );
    let arguments = [
        "evaluate",
        text(&other),
        "configs/evaluate/demo.toml",
        "--set",
        &data,
        "--set",
        &test,
        "--set",
        "linear.l2=[0.5]",
    ];
    assert!(diptych(&arguments).status.success());
    let output = diptych(&["evaluate", "--compare", text(&out), text(&other)]);
    assert_fails(&output, &["linear.settings.l2[0]: 0.0001 in ", ", 0.5 in "]);

    let (file, images) = (folder.path().join("features.parquet"), images("test"));
    let embed = |out: &Path, more: &[&str]| {
        let mut arguments = vec!["embed", text(&other), "--data", text(&images), "--out", text(out)];
        arguments.extend(more);
        diptych(&arguments)
    };
    let output = embed(&file, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("features of each of 48 images"), "{}", stdout(&output));
    assert!(file.is_file());
    assert_fails(&embed(&folder.path().join("features.npy"), &[]), &["FILE.safetensors or FILE.parquet"]);
    assert_fails(&embed(&file, &["--network", "target"]), &["has no target network"]);
    assert_fails(
        &embed(&file, &["--views", "configs/augmentations/demo.toml"]),
        &["found 2 views, expected one"],
    );
}

#[test]
fn an_interrupted_run_keeps_a_checkpoint_and_is_resumed() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let arguments = train(&demo("simclr"), &out, 100_000, &[]);
    let mut child =
        command(&[]).args(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("step 2/")), "the run ended before its second step");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    lines.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(stdout(&output).contains("--resume"), "{}", stdout(&output));
    assert!(out.join("checkpoints/latest/model.safetensors").is_file());

    let again = run(&arguments);
    assert_fails(&again, &["unfinished", "--resume"]);
    let other = run(&train(&demo("simclr"), &out, 7, &["--resume"]));
    assert_fails(&other, &["schedule.steps"]);
}

#[test]
fn a_strangers_operator_works_from_toml_alone() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set.toml");
    fs::write(
        &set,
        "[[views]]\noperators = [{ id = \"center_crop\", size_pixels = 32 }, { id = \"posterize\", bits = 1 }]\n",
    )
    .unwrap();
    let (sheet, views) = (folder.path().join("sheet.png"), folder.path().join("views"));
    let plugin = built_plugin("diptych-template-plugin");
    let test_images = images("test");
    let mut arguments = vec!["preview", text(&set), "--images", text(&test_images), "--count", "1"];
    arguments.extend(["--out", text(&sheet), "--views", text(&views)]);
    let without = diptych(&arguments);
    assert_fails(&without, &["set.toml:2", "posterize", "--plugin-path"]);
    arguments.extend(["--plugin-path", text(&plugin)]);
    let output = diptych(&arguments);
    assert!(output.status.success(), "{}", stderr(&output));

    let view = fs::read_dir(&views).unwrap().next().unwrap().unwrap().path();
    let samples = image::open(&view).unwrap().into_rgb8().into_raw();
    // What one bit a sample can be.
    assert!(samples.iter().all(|sample| matches!(sample, 0 | 128)));
    assert!(samples.contains(&0) && samples.contains(&128));
}

#[test]
fn mistakes_end_in_one_clear_message() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir_all(place("empty")).unwrap();
    fs::create_dir_all(place("texts")).unwrap();
    fs::write(place("texts/letter.jpg"), "Dear reader").unwrap();
    fs::create_dir_all(place("broken")).unwrap();
    for entry in fs::read_dir(images("train").join("dots")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place("broken").join(path.file_name().unwrap())).unwrap();
    }
    let whole = fs::read(fs::read_dir(place("broken")).unwrap().next().unwrap().unwrap().path()).unwrap();
    fs::write(place("broken/cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(
        place("set.toml"),
        "[[views]]\noperators = [\n  { id = \"random_resized_crop\", size_pixel = 32 },\n  { id = \"grayscale\", probability = 1.5 },\n  { id = \"blur\" },\n]\n",
    )
    .unwrap();

    let out = place("run");
    let (empty, texts, broken, set) = (place("empty"), place("texts"), place("broken"), place("set.toml"));
    let data = |path: &Path| format!("data.path={}", text(path));
    let cases: Vec<(Vec<String>, Vec<&str>)> = vec![
        (vec!["--set".into(), "data.path=/no/such/folder".into()], vec!["/no/such/folder"]),
        (vec!["--set".into(), data(&empty)], vec!["no images", "empty"]),
        (vec!["--set".into(), data(&texts)], vec!["no images", "letter.jpg"]),
        (
            vec!["--set".into(), data(&broken), "--set".into(), "loader.batch_size=2".into()],
            vec!["cut.jpg", "ends early", "data.unreadable"],
        ),
        (
            vec!["--set".into(), format!("augmentations.set={}", text(&set))],
            vec![
                "set.toml:3: views[0].operators[0].size_pixel: unknown key, did you mean `size_pixels`?",
                "set.toml:4: views[0].operators[1].probability: found 1.5",
                "set.toml:5: views[0].operators[2].id",
                "gaussian_blur",
            ],
        ),
        (vec!["--set".into(), "loader.batch_size=97".into()], vec!["96 images", "97"]),
        (vec!["--device".into(), "cuda:63".into()], vec!["cuda:63", "cpu"]),
        (vec!["--set".into(), "seed=maybe".into()], vec!["seed", "maybe", "whole number"]),
    ];
    for (more, expected) in cases {
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        assert_fails(&run(&train(&demo("byol"), &out, 4, &more)), &expected);
    }
    assert_fails(&diptych(&["train", "nowhere.toml"]), &["nowhere.toml", "cannot be read"]);
    assert_fails(&diptych(&["evaluate", text(&empty), "configs/evaluate/demo.toml"]), &["holds no run"]);
    assert_fails(&diptych(&["plugin", "describe", "greyscale"]), &["did you mean `grayscale`"]);
}

#[test]
fn a_full_disk_behind_standard_output_is_told_and_a_reader_that_left_is_not() {
    let full = command(&["plugin", "list"])
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output();
    assert_fails(&full.unwrap(), &["standard output", "No space left"]);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let left = command(&["plugin", "list"]).stdout(writer).output().unwrap();
    assert_eq!((left.status.code(), stderr(&left)), (Some(0), String::new()));
}

/// One message, no panic, no backtrace, a status that is not success.
fn assert_fails(output: &Output, expected: &[&str]) {
    let message = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in expected {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
    assert!(message.starts_with("error: ") || message.contains("\nerror: "), "{message}");
    assert!(!message.contains("panicked") && !message.contains("backtrace"), "{message}");
}
