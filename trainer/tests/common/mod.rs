//! What the tests of whole runs share: images, configurations of few steps, and ways to run them.

#![allow(dead_code)] // each test program uses its own part

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_test_support::{built_plugin, repository};
use diptych_trainer::{Error, Outcome, RunConfig, TORCH_VERSION, TrainOptions, train};

/// The built-in plugins.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let plugins = ["diptych-augmentations", "diptych-encoders", "diptych-losses"].map(built_plugin);
    Registry::load_folders(&plugins, Some(TORCH_VERSION)).unwrap()
});

/// 48 images of two colours in two classes.
pub fn images(folder: &Path) -> PathBuf {
    let root = folder.join("images");
    for class in 0..2u8 {
        std::fs::create_dir_all(root.join(format!("class{class}"))).unwrap();
        for number in 0..24u8 {
            let pixel = move |x: u32, y: u32| {
                let stripe = if class == 0 { x } else { y } / 3 % 2 * 150;
                image::Rgb([stripe as u8, number * 9, (x + y) as u8])
            };
            let path = root.join(format!("class{class}/{number}.png"));
            image::RgbImage::from_fn(24, 24, pixel).save(path).unwrap();
        }
    }
    root
}

/// The demo's BYOL, shortened to `steps` of 8 images.
pub fn config(images: &Path, steps: u64, sets: &[&str]) -> RunConfig {
    let mut all = vec!["predictor.hidden=[32]", "predictor.output=16"];
    all.extend(sets);
    demo("byol", images, steps, &all)
}

/// The demo's `method`, shortened to `steps` of 8 images.
pub fn demo(method: &str, images: &Path, steps: u64, sets: &[&str]) -> RunConfig {
    let mut all = vec![
        format!("data.path={:?}", images.display().to_string()),
        format!("schedule.steps={steps}"),
        "schedule.warmup_steps=2".into(),
        "loader.batch_size=8".into(),
        "logging.every_steps=3".into(),
        "threads=1".into(),
        "projector.hidden=[32]".into(),
        "projector.output=16".into(),
        "encoder.width=4".into(),
    ];
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    let path = repository().join(format!("configs/pretrain/{method}_demo.toml"));
    let document = Document::load(&path, &all).unwrap_or_else(|problems| panic!("{problems}"));
    RunConfig::read(&document, &REGISTRY).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same run with another `[encoder]`.
pub fn with_encoder(config: &RunConfig, encoder: &str) -> RunConfig {
    let mut table = config.to_toml();
    table.insert("encoder".into(), encoder.parse::<toml::Table>().unwrap().into());
    let document = Document::parse(&toml::to_string(&table).unwrap(), "test.toml").unwrap();
    RunConfig::read(&document, &REGISTRY).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Trains without a word.
pub fn run(config: &RunConfig, out: &Path, resume: bool) -> Result<Outcome, Error> {
    let options = TrainOptions { resume, quiet: true };
    train(config, &REGISTRY, out, options, &AtomicBool::new(false))
}

/// A file of the latest checkpoint.
pub fn checkpoint(out: &Path, file: &str) -> Vec<u8> {
    std::fs::read(out.join("checkpoints/latest").join(file)).unwrap()
}

/// Raises the flag when the run has written its first line of metrics, so that it stops somewhere in the middle.
pub fn interrupt_in_the_middle(config: &RunConfig, out: &Path) -> Outcome {
    let stop = AtomicBool::new(false);
    let options = TrainOptions { resume: false, quiet: true };
    std::thread::scope(|scope| {
        let run = scope.spawn(|| train(config, &REGISTRY, out, options, &stop).unwrap());
        let written = || std::fs::metadata(out.join("metrics.jsonl")).is_ok_and(|file| file.len() > 0);
        while !written() && !run.is_finished() {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
        run.join().unwrap()
    })
}
