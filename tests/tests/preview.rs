//! `diptych preview` as a user has it: the very views that a run saw, and clear words where there is nothing to see.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{Cursor, HeapAllocator, Loader};
use diptych_tests::{built_plugin, built_program, repository};
use diptych_trainer::RunConfig;
use tempfile::TempDir;

const PLUGINS: [&str; 3] = ["diptych-augmentations", "diptych-encoders", "diptych-losses"];

/// A folder with images in `set/train`, and in `run` a run of two epochs on them under seed 5.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    let train = ["train", "configs/pretrain/simclr_demo.toml", "--out", text(&folder.path().join("run"))]
        .map(String::from);
    let mut train = train.to_vec();
    for set in [
        format!("data.path={}", text(&set.join("train"))),
        "seed=5".into(),
        "schedule.steps=8".into(),
        "schedule.warmup_steps=1".into(),
        "loader.batch_size=16".into(),
        "threads=1".into(),
    ] {
        train.extend(["--set".to_owned(), set]);
    }
    let synth = ["synth", text(&set), "--split", "train=64"].map(String::from).to_vec();
    for arguments in [synth, train] {
        let output = diptych(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    folder
});

fn path(name: &str) -> PathBuf {
    FOLDER.path().join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn diptych(arguments: &[&str]) -> Output {
    let mut command = Command::new(built_program());
    for package in PLUGINS {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    command.env_remove("DIPTYCH_PLUGIN_PATH").current_dir(repository()).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_sample_of_an_epoch_is_replayed_bit_for_bit_as_the_runs_batches_held_it() {
    let registry =
        Registry::load_folders(&PLUGINS.map(built_plugin), Some(diptych_trainer::TORCH_VERSION)).unwrap();
    let document = Document::load(&path("run/config.toml"), &[]).unwrap();
    let config = RunConfig::read(&document, &registry).unwrap();
    let source = config.data.open().unwrap();
    let options = config.loader_options(Cursor { epoch: 1, batch: 2 });
    let mut loader =
        Loader::start(Arc::clone(&source), &config.views, options, Arc::new(HeapAllocator)).unwrap();
    let batch = loader.next().unwrap().unwrap();
    assert_eq!((batch.epoch(), batch.index(), batch.ids().len()), (1, 2, 16));

    let out = TempDir::new().unwrap();
    let (sheet, views) = (out.path().join("sheet.png"), out.path().join("views"));
    for (slot, id) in [3, 11].map(|slot| (slot, batch.ids()[slot])) {
        let hexadecimal = format!("{id:016x}");
        let index = (0..source.len()).find(|index| source.sample(*index).id == id).unwrap();
        let name = String::from_utf8(source.name(index)).unwrap();
        // By its id from the run's folder, and by its name from the run's configuration.
        for (config, sample) in [(path("run"), &hexadecimal), (path("run/config.toml"), &name)] {
            let arguments =
                ["preview", text(&config), "--sample", sample, "--epoch", "1", "--out", text(&sheet)];
            let output = diptych(&[&arguments[..], &["--views", text(&views)]].concat());
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(
                stdout(&output).contains(&format!("{name}, id {hexadecimal}, epoch 1, seed 5")),
                "{}",
                stdout(&output)
            );
            for (number, view) in ["first", "second"].into_iter().enumerate() {
                let seen = batch.view(number);
                let bytes = seen.len() / batch.ids().len();
                let shown = image::open(views.join(format!("{hexadecimal}-{view}.png"))).unwrap().into_rgb8();
                assert_eq!(shown.as_raw()[..], seen[slot * bytes..(slot + 1) * bytes], "{view} of {name}");
            }
            std::fs::remove_dir_all(&views).unwrap();
        }
    }
}

#[test]
fn what_was_drawn_is_told_and_stands_below_the_views() {
    let out = TempDir::new().unwrap();
    let sheet = out.path().join("sheet.png");
    let images = path("set/train");
    let arguments = ["preview", "configs/augmentations/demo.toml", "--images", text(&images), "--count", "2"];
    let output = diptych(&[&arguments[..], &["--out", text(&sheet)]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).matches("random_resized_crop ").count(), 4, "{}", stdout(&output));
    let sheet = image::open(&sheet).unwrap().into_rgb8();
    // Pictures are 160 pixels high below a margin of ten; their captions follow.
    let dark = |from: u32, to: u32| {
        (from..to)
            .flat_map(|y| (0..sheet.width()).map(move |x| (x, y)))
            .any(|(x, y)| sheet.get_pixel(x, y).0[0] < 90)
    };
    assert!(dark(171, 185), "the names of the views stand below them");
}

#[test]
fn the_runs_own_limits_hold_for_what_is_drawn() {
    let folder = TempDir::new().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        image::RgbImage::new(40, 40).save(images.join(name)).unwrap();
    }
    let whole = std::fs::read(images.join("1.png")).unwrap();
    std::fs::write(images.join("1.png"), &whole[..40]).unwrap();
    let sheet = folder.path().join("sheet.png");
    let preview = |set: &str| {
        let set = format!("data.{set}");
        let arguments =
            ["preview", "configs/pretrain/simclr_demo.toml", "--images", text(&images), "--set", &set];
        diptych(&[&arguments[..], &["--count", "2", "--out", text(&sheet)]].concat())
    };
    let output = preview("unreadable=\"error\"");
    assert!(stderr(&output).contains("1.png"), "{}", stderr(&output));
    let output = preview("unreadable=\"skip\"");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.contains("left out: ") && told.contains("\n2, id ") && told.contains("\n3, id "), "{told}");
    std::fs::remove_file(images.join("1.png")).unwrap();
    assert!(preview("maximum_pixels=1600").status.success());
    let output = preview("maximum_pixels=1599");
    assert!(stderr(&output).contains("40"), "{}", stderr(&output));
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let fails = |arguments: &[&str], expected: &[&str]| {
        let output = diptych(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        for part in expected {
            assert!(stderr(&output).contains(part), "expected {part:?} in {}", stderr(&output));
        }
    };
    fails(&["preview", "configs/augmentations/demo.toml"], &["names no images", "--images FOLDER"]);
    fails(&["preview", text(&path("set"))], &["holds no run", "config.toml"]);
    fails(
        &["preview", text(&path("run")), "--sample", "dots/none"],
        &["\"dots/none\"", "64 samples", "expected a name as"],
    );
}
