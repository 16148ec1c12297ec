//! Memory stays within what ARCHITECTURE.md says, however many images go through.
//!
//! A program of its own: what is measured is the process's memory.

mod support;

use diptych_pipeline::{LoaderOptions, Size};
use support::{options, source, start, views};

const LARGE: Size = Size { width: 3000, height: 2000 };
const IMAGES: usize = 48;
const VIEWS: &str = r#"
    [[views]]
    operators = [{ id = "random_resized_crop", size_pixels = 224 }, { id = "gaussian_blur" }]
    [[views]]
    operators = [{ id = "random_resized_crop", size_pixels = 224 }, { id = "color_jitter" }]
"#;

/// Memory of this process in bytes: `VmRSS`, what it has, or `VmHWM`, the most that it has had.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

#[test]
fn memory_is_bounded_by_queues_and_workers_not_by_the_number_of_images() {
    let folder = tempfile::tempdir().unwrap();
    let image = image::RgbImage::from_fn(LARGE.width, LARGE.height, |x, y| {
        image::Rgb([(x / 7) as u8, (y / 5) as u8, ((x * y) >> 9) as u8])
    });
    let first = folder.path().join("0.jpg");
    image.save(&first).unwrap();
    for number in 1..IMAGES {
        std::fs::copy(&first, folder.path().join(format!("{number}.jpg"))).unwrap();
    }
    let file = std::fs::metadata(&first).unwrap().len();
    drop(image);

    let (source, views) = (source(&folder), views(VIEWS));
    let options = LoaderOptions { batch_size: 4, workers: 2, queue_batches: 2, epochs: Some(2), ..options() };
    let before = memory("VmRSS");
    let mut loader = start(&source, &views, options).unwrap();
    let mut samples = 0;
    while let Some(batch) = loader.next() {
        samples += batch.unwrap().len();
    }
    assert_eq!(samples, 2 * IMAGES);

    let pixels = u64::from(LARGE.width) * u64::from(LARGE.height);
    let view = 224 * 224;
    let batch = 4 * 2 * 3 * view;
    // Two batches are waiting, two are being made, one is here. A worker has a file, its pixels twice, float views.
    let bound = 5 * batch + 2 * (file + 2 * 3 * pixels + 3 * 12 * view);
    // For threads' stacks and the allocator's own.
    let slack = 24 << 20;
    let grown = memory("VmHWM") - before;
    assert!(grown <= bound + slack, "grew by {grown} bytes, expected at most {bound} and some");
    // All images' pixels at once would not fit by far.
    assert!(bound + slack < IMAGES as u64 * 3 * pixels / 4);
}
