//! How fast batches come when nobody uses them, and where the time goes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diptych_pipeline::{Counters, Error, HeapAllocator, Loader, LoaderOptions, Source, ViewSet};
use serde_json::{Value, json};

/// Batches before the clock starts: files come into the system's cache, buffers grow.
const WARM_UP: Duration = Duration::from_secs(1);

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Worker threads.
    pub workers: usize,
    /// Source images that went through.
    pub images: u64,
    /// While the clock ran.
    pub counters: Counters,
    /// Images that could not be read, warm-up included.
    pub skipped: usize,
}

impl Measurement {
    /// Source images per second.
    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.counters.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Share of the workers' time, 0 to 1, in which they read, decoded and augmented.
    pub fn utilisation(&self) -> f64 {
        let busy: f64 = self.worker_stages().map(|(_, busy)| busy.as_secs_f64()).sum();
        busy / (self.workers as f64 * self.counters.elapsed.as_secs_f64()).max(f64::MIN_POSITIVE)
    }

    /// What would help most, in one sentence.
    pub fn advice(&self) -> &'static str {
        if self.utilisation() < 0.8 {
            return "the workers are idle for a fifth of the time or more: other work takes the cores, or the batches \
                    are so small that handing them over counts; free the machine, or raise loader.batch_size";
        }
        match self.worker_stages().max_by_key(|(_, busy)| *busy).map(|(name, _)| name) {
            Some("read") => {
                "reading takes longest: move the images to a faster disk, or pack them into shards with `diptych pack`"
            }
            Some("decode") => {
                "decoding takes longest: add workers, or store the images smaller with `diptych pack --short-side`"
            }
            _ => {
                "the operators take longest: `diptych bench operators` says which; add workers, or lower the views' size"
            }
        }
    }

    fn worker_stages(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        let names = ["read", "decode", "augment"];
        names.into_iter().filter_map(|name| Some((name, self.counters.stage(name)?.busy)))
    }
}

/// Measures for `duration` what a loader with `options` gives; the loader's own number of epochs is not looked at.
///
/// # Errors
/// The loader can't start, or ends with an error.
pub fn measure(
    source: &Arc<dyn Source>,
    views: &ViewSet,
    options: &LoaderOptions,
    duration: Duration,
) -> Result<Measurement, Error> {
    let options = LoaderOptions { epochs: None, ..options.clone() };
    let mut loader = Loader::start(Arc::clone(source), views, options, Arc::new(HeapAllocator))?;
    let take = |loader: &mut Loader| match loader.next() {
        Some(batch) => Ok(batch?.len() as u64),
        None => Err(Error::Options("the loader ended, expected it to go on for ever".into())),
    };
    let start = Instant::now();
    while start.elapsed() < WARM_UP.min(duration) {
        take(&mut loader)?;
    }
    let before = loader.counters();
    let (start, mut images) = (Instant::now(), 0);
    while start.elapsed() < duration || images == 0 {
        images += take(&mut loader)?;
    }
    let counters = loader.counters().since(&before);
    Ok(Measurement { workers: counters.workers, images, counters, skipped: loader.skipped_count() })
}

/// Measurements of one pipeline with different numbers of workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What the source holds, in a line.
    pub source: String,
    /// Views of each image.
    pub views: usize,
    /// Images per batch.
    pub batch_size: usize,
    /// In the order they were made; at least one.
    pub measurements: Vec<Measurement>,
}

impl Report {
    /// For other programs.
    pub fn to_json(&self) -> Value {
        let seconds = |duration: Duration| duration.as_secs_f64();
        let measurements = self.measurements.iter().map(|measurement| {
            let stages = measurement.counters.stages.iter().map(|stage| {
                json!({
                    "stage": stage.name,
                    "threads": stage.threads,
                    "items": stage.items,
                    "busy_seconds": seconds(stage.busy),
                    "waiting_for_input_seconds": seconds(stage.waiting_for_input),
                    "waiting_for_output_seconds": seconds(stage.waiting_for_output),
                })
            });
            json!({
                "workers": measurement.workers,
                "images": measurement.images,
                "skipped": measurement.skipped,
                "seconds": seconds(measurement.counters.elapsed),
                "images_per_second": measurement.images_per_second(),
                "images_per_second_per_worker":
                    measurement.images_per_second() / measurement.workers as f64,
                "utilisation": measurement.utilisation(),
                "stages": stages.collect::<Vec<_>>(),
                "bottleneck": measurement.counters.bottleneck(),
                "advice": measurement.advice(),
            })
        });
        json!({
            "source": self.source,
            "views": self.views,
            "batch_size": self.batch_size,
            "measurements": measurements.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { source, views, batch_size, measurements } = self;
        writeln!(formatter, "{source}\n{views} views of each, batches of {batch_size}\n")?;
        writeln!(
            formatter,
            "{:>7}  {:>9}  {:>10}  {:>7}  {:>5}",
            "workers", "images/s", "per worker", "speedup", "busy"
        )?;
        for measurement in measurements {
            let speed = measurement.images_per_second();
            writeln!(
                formatter,
                "{:>7}  {speed:>9.1}  {:>10.1}  {:>7.2}  {:>3.0} %",
                measurement.workers,
                speed / measurement.workers as f64,
                speed / measurements[0].images_per_second().max(f64::MIN_POSITIVE),
                100.0 * measurement.utilisation()
            )?;
        }
        for measurement in measurements {
            writeln!(formatter, "\n{} workers\n{}", measurement.workers, measurement.counters)?;
            writeln!(formatter, "{}", measurement.advice())?;
            if measurement.skipped > 0 {
                writeln!(formatter, "{} images could not be read and were left out", measurement.skipped)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use diptych_config::Document;
    use diptych_host::Registry;
    use diptych_pipeline::FolderSource;
    use diptych_test_support::built_plugin;

    use super::*;

    fn stage(name: &'static str, busy: u64) -> diptych_pipeline::StageCounters {
        diptych_pipeline::StageCounters {
            name,
            threads: 2,
            items: 10,
            busy: Duration::from_millis(busy),
            waiting_for_input: Duration::ZERO,
            waiting_for_output: Duration::ZERO,
        }
    }

    fn measurement(read: u64, decode: u64, augment: u64) -> Measurement {
        let stages = vec![stage("read", read), stage("decode", decode), stage("augment", augment)];
        let counters =
            Counters { elapsed: Duration::from_secs(1), workers: 2, builders: 2, asked: 0, ready: 0, stages };
        Measurement { workers: 2, images: 500, counters, skipped: 0 }
    }

    #[test]
    fn the_advice_is_about_the_stage_that_takes_longest() {
        assert!(measurement(100, 1500, 300).advice().starts_with("decoding"));
        assert!(measurement(100, 300, 1500).advice().starts_with("the operators"));
        assert!(measurement(1700, 100, 150).advice().starts_with("reading"));
        assert!(measurement(10, 400, 300).advice().starts_with("the workers are idle"));
    }

    #[test]
    fn speeds_are_images_over_seconds() {
        let measurement = measurement(0, 1000, 600);
        assert_eq!(measurement.images_per_second(), 500.0);
        assert_eq!(measurement.utilisation(), 0.8);
    }

    #[test]
    fn a_folder_is_measured_and_every_stage_counts_what_went_through() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..6u8 {
            let image = image::RgbImage::from_pixel(20, 16, image::Rgb([number, 90, 200]));
            image.save(folder.path().join(format!("{number}.png"))).unwrap();
        }
        let registry = Registry::load_folders(&[built_plugin("diptych-augmentations")], None).unwrap();
        let set = "views = [{ operators = [{ id = \"random_resized_crop\", size_pixels = 8 }] }]";
        let views =
            Document::parse(set, "set").unwrap().read(|table| ViewSet::read(table, &registry)).unwrap();
        let source: Arc<dyn Source> = Arc::new(FolderSource::open(folder.path()).unwrap());
        let options = LoaderOptions { batch_size: 4, workers: 1, ..LoaderOptions::default() };
        let found = measure(&source, &views, &options, Duration::from_millis(50)).unwrap();
        assert!(found.images >= 4 && found.images.is_multiple_of(4), "{found:?}");
        let report = Report { source: source.summary(), views: 1, batch_size: 4, measurements: vec![found] };
        let json = report.to_json();
        assert_eq!(json["measurements"][0]["stages"][2]["stage"], "decode");
        assert!(json["measurements"][0]["images_per_second"].as_f64().unwrap() > 0.0);
        assert!(report.to_string().contains("1 workers"));
    }
}
