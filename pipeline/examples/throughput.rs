//! How fast batches come, and where the time goes.
//!
//! ```text
//! cargo run --release -p diptych-pipeline --example throughput [FOLDER]
//! ```
//!
//! Runs BYOL's two views at 224 pixels (`configs/augmentations/byol.toml`) over FOLDER, or over generated
//! JPEG images of 500x375 pixels, with one worker and with one per core, and compares both with decoding
//! alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode};
use diptych_pipeline::{FolderSource, HeapAllocator, Loader, LoaderOptions, SampleData, Source, ViewSet};
use diptych_test_support::{built_plugin, repository};

type Failure = Box<dyn std::error::Error>;

/// Samples of one measurement, at least.
const SAMPLES: usize = 1024;

fn main() -> Result<(), Failure> {
    let registry = Registry::load_folders(&[built_plugin("diptych-augmentations")], None)?;
    let set = Document::load(&repository().join("configs/augmentations/byol.toml"), &[])?;
    let views = set.read(|table| ViewSet::read(table, &registry))?;

    let generated = tempfile::tempdir()?;
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            generate(generated.path(), 64)?;
            generated.path().to_path_buf()
        }
    };
    let source: Arc<dyn Source> = Arc::new(FolderSource::open(&folder)?);
    println!("{}", source.summary());

    let decoding = decode_only(source.as_ref())?;
    println!("decoding alone, one thread: {decoding:.1} images/s\n");
    let cores = std::thread::available_parallelism()?.get();
    let one = measure(&source, &views, 1)?;
    println!("1 worker: {one:.1} images/s, {:.2} of decoding alone\n", one / decoding);
    if cores > 1 {
        let all = measure(&source, &views, cores)?;
        println!("{cores} workers: {all:.1} images/s, {:.2} times one worker", all / one);
    }
    Ok(())
}

/// Images per second through the whole pipeline, with its stages' times printed.
fn measure(source: &Arc<dyn Source>, views: &ViewSet, workers: usize) -> Result<f64, Failure> {
    let options = LoaderOptions { batch_size: 64.min(source.len()), workers, ..LoaderOptions::default() };
    let mut loader = Loader::start(Arc::clone(source), views, options, Arc::new(HeapAllocator))?;
    let (start, mut samples) = (Instant::now(), 0);
    while samples < SAMPLES {
        samples += loader.next().ok_or("the loader ended")??.len();
    }
    let speed = samples as f64 / start.elapsed().as_secs_f64();
    println!("{}", loader.counters());
    Ok(speed)
}

fn decode_only(source: &dyn Source) -> Result<f64, Failure> {
    let (mut data, mut image) = (SampleData::default(), DecodedImage::default());
    let start = Instant::now();
    for sample in 0..SAMPLES {
        source.read(sample % source.len(), &mut data)?;
        decode(&data.bytes, &DecodeOptions::default(), &mut image)?;
    }
    Ok(SAMPLES as f64 / start.elapsed().as_secs_f64())
}

/// Smooth images with some noise, of the size and weight of photographs on the web.
fn generate(folder: &Path, count: u32) -> Result<(), Failure> {
    for number in 0..count {
        let mut noise = number.wrapping_mul(2_654_435_761) | 1;
        let image = image::RgbImage::from_fn(500, 375, |x, y| {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let wave =
                |scale: f32| 110.0 + 90.0 * ((x as f32 * scale).sin() * (y as f32 / 40.0 + scale).cos());
            let grain = (noise % 24) as f32;
            image::Rgb(
                [0.02, 0.05, 0.09].map(|scale| (wave(scale * (1.0 + number as f32 / 64.0)) + grain) as u8),
            )
        });
        image.save(folder.join(format!("{number}.jpg")))?;
    }
    Ok(())
}
