//! What the pipeline's tests share: small images, the built-in operators, loaders over them.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{Batch, Error, FolderSource, HeapAllocator, Loader, LoaderOptions, Source, ViewSet};
use diptych_test_support::built_plugin;
use tempfile::TempDir;

/// The two views of most tests: every kind of operator, at different sizes, in BYOL's order.
pub const VIEWS: &str = r#"
    [[views]]
    operators = [
        { id = "random_resized_crop", size_pixels = 16 },
        { id = "horizontal_flip", probability = 0.5 },
        { id = "color_jitter", probability = 0.8 },
        { id = "grayscale", probability = 0.5 },
        { id = "gaussian_blur", probability = 0.5, kernel_pixels = 3 },
        { id = "solarize", probability = 0.5 },
    ]
    [[views]]
    operators = [
        { id = "random_resized_crop", size_pixels = 12 },
        { id = "grayscale", probability = 0.2 },
        { id = "horizontal_flip", probability = 0.5 },
    ]
"#;

pub fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
        let libraries = ["diptych-augmentations", "diptych-fixture-panicking"].map(built_plugin);
        Registry::load_folders(&libraries, None).expect("the plugins load")
    });
    &REGISTRY
}

pub fn views(text: &str) -> ViewSet {
    try_views(text).unwrap_or_else(|problems| panic!("{problems}"))
}

pub fn try_views(text: &str) -> Result<ViewSet, String> {
    Document::parse(text, "views.toml")
        .and_then(|document| document.read(|table| ViewSet::read(table, registry())))
        .map_err(|problems| problems.to_string())
}

/// A folder with `count` JPEG images of different sizes in three classes, all different.
pub fn images(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..count {
        let class = folder.path().join(format!("class{}", index % 3));
        std::fs::create_dir_all(&class).unwrap();
        write_image(&class.join(format!("{index:03}.jpg")), index);
    }
    folder
}

pub fn write_image(path: &Path, index: usize) {
    let (width, height) = (24 + (index % 5) as u32, 20 + (index % 7) as u32);
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        let value = x * 9 + y * 5 + 31 * index as u32;
        image::Rgb([value as u8, (value / 2 + 17 * y) as u8, (255 - x * 7) as u8])
    });
    image.save_with_format(path, image::ImageFormat::Jpeg).unwrap();
}

pub fn source(folder: &TempDir) -> Arc<dyn Source> {
    Arc::new(FolderSource::open(folder.path()).unwrap())
}

/// Two epochs in batches of 5 with two workers.
pub fn options() -> LoaderOptions {
    LoaderOptions { batch_size: 5, workers: 2, seed: 11, epochs: Some(2), ..LoaderOptions::default() }
}

pub fn start(source: &Arc<dyn Source>, views: &ViewSet, options: LoaderOptions) -> Result<Loader, Error> {
    Loader::start(Arc::clone(source), views, options, Arc::new(HeapAllocator))
}

/// All that a batch holds, to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub place: (u64, u64),
    pub ids: Vec<u64>,
    pub labels: Option<Vec<i64>>,
    pub views: Vec<Vec<u8>>,
}

pub fn content(batch: &Batch) -> Content {
    Content {
        place: (batch.epoch(), batch.index()),
        ids: batch.ids().to_vec(),
        labels: batch.labels().map(<[i64]>::to_vec),
        views: (0..batch.view_count()).map(|view| batch.view(view).to_vec()).collect(),
    }
}

/// All batches until the end, or the error that ends them.
pub fn collect(mut loader: Loader) -> Result<Vec<Content>, Error> {
    let mut batches = Vec::new();
    while let Some(batch) = loader.next() {
        batches.push(content(&batch?));
    }
    assert!(loader.next().is_none(), "the end is the end");
    Ok(batches)
}

pub fn run(source: &Arc<dyn Source>, views: &ViewSet, options: LoaderOptions) -> Result<Vec<Content>, Error> {
    collect(start(source, views, options)?)
}
