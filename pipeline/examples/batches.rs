//! The pipeline without the rest: batches of views for a consumer of your own.
//!
//! ```text
//! cargo build --release
//! cargo run --release -p diptych-pipeline --example batches -- FOLDER
//! ```
//!
//! FOLDER may be whatever `[data]` of a run may name: image files, tar or Parquet shards, CIFAR. The crate needs no libtorch;
//! operators come from the plugins beside the built binary.

use std::path::PathBuf;
use std::sync::Arc;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{HeapAllocator, Loader, LoaderOptions, SourceConfig, Split, ViewSet};

const VIEWS: &str = r#"
    [[views]]
    operators = [
        { id = "random_resized_crop", size_pixels = 96 },
        { id = "horizontal_flip", probability = 0.5 },
        { id = "color_jitter", probability = 0.8 },
    ]
    [[views]]
    operators = [{ id = "random_resized_crop", size_pixels = 96 }, { id = "solarize", probability = 0.2 }]
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder of images")?;
    let library =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/libdiptych_augmentations.so"));

    let registry = Registry::load_folders(&[library], None)?;
    let views = Document::parse(VIEWS, "views")?.read(|table| ViewSet::read(table, &registry))?;
    let source = SourceConfig::new(folder).open(Split::Train)?;
    println!("{}", source.summary());

    let options =
        LoaderOptions { batch_size: 32.min(source.len()), epochs: Some(1), ..LoaderOptions::default() };
    let mut loader = Loader::start(Arc::clone(&source), &views, options, Arc::new(HeapAllocator))?;
    while let Some(batch) = loader.next() {
        let batch = batch?;
        // Bytes, [samples, height, width, 3]; they go back to the loader's ring when the batch is dropped.
        let means = [0, 1].map(|view| {
            let bytes = batch.view(view);
            bytes.iter().map(|&byte| f64::from(byte)).sum::<f64>() / bytes.len() as f64
        });
        println!("batch {}: {} samples, mean of each view {means:.1?}", batch.index(), batch.len());
    }
    println!("\n{}", loader.counters());
    Ok(())
}
