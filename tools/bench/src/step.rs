//! What an optimizer step costs when its images are there already, and what memory it takes.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use diptych_pipeline::Size;
use diptych_trainer::config::RunConfig;
use diptych_trainer::{Error, Rehearsal};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the run.
    pub name: String,
    /// Samples per step.
    pub batch_size: usize,
    /// Size of each view in pixels.
    pub views: Vec<Size>,
    /// libtorch's threads within one operation.
    pub threads: usize,
    /// Steps before the clock started.
    pub warm_up: usize,
    /// Of each step.
    pub steps: Vec<Step>,
    /// Of each measured step, the time of what a logged step computes besides.
    pub diagnostics: Vec<Duration>,
    /// The run's `logging.every_steps`.
    pub log_every_steps: u64,
    /// What it took.
    pub memory: Memory,
    /// Loss of every step, those of the warm-up first.
    pub losses: Vec<f64>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Time on the clock.
    pub time: Duration,
    /// Time that all threads of the process spent on cores: other programs' work does not count.
    pub processor: Duration,
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// What the process had resident before the first step (VmRSS); none where the system doesn't say.
    pub process_before: Option<u64>,
    /// The most that it had up to the last step (VmHWM).
    pub process_peak: Option<u64>,
    /// Tensors that live from step to step: weights, buffers, the optimizer's state and the images.
    pub tensors_at_rest: usize,
    /// Most bytes of tensors that a step holds beyond those.
    pub tensors_in_step: usize,
}

/// Measures `steps` steps of `config` after `warm_up` others; writes weights and images into `save`, if given, before the first.
///
/// # Errors
/// The networks can't be made, or a step fails.
pub fn measure(
    config: &RunConfig,
    warm_up: usize,
    steps: usize,
    save: Option<&Path>,
) -> Result<Measurement, Error> {
    let mut rehearsal = Rehearsal::new(config)?;
    if let Some(folder) = save {
        rehearsal.save(folder)?;
    }
    let process_before = resident("VmRSS:");
    let (mut measured, mut diagnostics, mut losses) = (Vec::new(), Vec::new(), Vec::new());
    let mut tensors_in_step = None;
    for number in 0..warm_up + steps {
        if number == 0 && warm_up > 0 {
            // No clock runs yet: watching what is allocated takes time.
            let (loss, bytes) = rehearsal.watched_step()?;
            losses.push(loss);
            tensors_in_step = Some(bytes);
            continue;
        }
        let (start, processor) = (Instant::now(), processor_time());
        losses.push(rehearsal.step()?);
        let step = Step { time: start.elapsed(), processor: processor_time() - processor };
        let start = Instant::now();
        rehearsal.diagnose()?;
        if number >= warm_up {
            measured.push(step);
            diagnostics.push(start.elapsed());
        }
    }
    let process_peak = resident("VmHWM:");
    let tensors_in_step = match tensors_in_step {
        Some(bytes) => bytes,
        None => rehearsal.watched_step()?.1,
    };
    Ok(Measurement {
        name: config.name.clone(),
        batch_size: config.loader.batch_size as usize,
        views: rehearsal.sizes().to_vec(),
        threads: rehearsal.threads(),
        warm_up,
        steps: measured,
        diagnostics,
        log_every_steps: config.log_every_steps,
        memory: Memory {
            process_before,
            process_peak,
            tensors_at_rest: rehearsal.resting_bytes()?,
            tensors_in_step,
        },
        losses,
    })
}

/// The time that all threads of this process have spent on cores.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every process has this clock");
    time.into()
}

/// Bytes of this process under a `key` of its status.
fn resident(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The middle value; of an even number the upper one.
fn median(values: impl Iterator<Item = Duration>) -> Duration {
    let mut values: Vec<Duration> = values.collect();
    values.sort();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

impl Measurement {
    /// Median time of a step without diagnostics.
    pub fn step_time(&self) -> Duration {
        median(self.steps.iter().map(|step| step.time))
    }

    /// Samples per second.
    pub fn images_per_second(&self) -> f64 {
        self.batch_size as f64 / self.step_time().as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Share of a run's steps' time, 0 to 1, that goes into diagnostics at `logging.every_steps`.
    pub fn diagnostics_share(&self) -> f64 {
        let diagnostics = median(self.diagnostics.iter().copied()).as_secs_f64();
        let between = self.log_every_steps as f64 * self.step_time().as_secs_f64();
        diagnostics / (between + diagnostics).max(f64::MIN_POSITIVE)
    }

    /// For other programs.
    pub fn to_json(&self) -> Value {
        let seconds = |times: &mut dyn Iterator<Item = Duration>| -> Vec<f64> {
            times.map(|time| time.as_secs_f64()).collect()
        };
        let Memory { process_before, process_peak, tensors_at_rest, tensors_in_step } = self.memory;
        json!({
            "name": self.name,
            "batch_size": self.batch_size,
            "views": self.views.iter().map(|size| [size.width, size.height]).collect::<Vec<_>>(),
            "threads": self.threads,
            "warm_up_steps": self.warm_up,
            "seconds_per_step": self.step_time().as_secs_f64(),
            "images_per_second": self.images_per_second(),
            "seconds": seconds(&mut self.steps.iter().map(|step| step.time)),
            "processor_seconds": seconds(&mut self.steps.iter().map(|step| step.processor)),
            "diagnostics_seconds": seconds(&mut self.diagnostics.iter().copied()),
            "log_every_steps": self.log_every_steps,
            "diagnostics_share": self.diagnostics_share(),
            "memory": {
                "process_before_bytes": process_before,
                "process_peak_bytes": process_peak,
                "tensors_at_rest_bytes": tensors_at_rest,
                "tensors_in_step_bytes": tensors_in_step,
            },
            "losses": self.losses,
        })
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views: Vec<String> =
            self.views.iter().map(|size| format!("{}x{}", size.width, size.height)).collect();
        writeln!(
            formatter,
            "{}: {} samples a step, views of {} random pixels, {} thread{}",
            self.name,
            self.batch_size,
            views.join(", "),
            self.threads,
            if self.threads == 1 { "" } else { "s" }
        )?;
        let step = self.step_time();
        let (fastest, slowest) = (
            self.steps.iter().map(|step| step.time).min().unwrap_or_default(),
            self.steps.iter().map(|step| step.time).max().unwrap_or_default(),
        );
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            formatter,
            "\n{:<26}  {:>10.1} ms  (median of {}; {:.1} to {:.1})",
            "a step",
            milliseconds(step),
            self.steps.len(),
            milliseconds(fastest),
            milliseconds(slowest)
        )?;
        let processor = median(self.steps.iter().map(|step| step.processor));
        writeln!(formatter, "{:<26}  {:>10.1} ms", "  of it on all cores", milliseconds(processor))?;
        let diagnostics = median(self.diagnostics.iter().copied());
        writeln!(
            formatter,
            "{:<26}  {:>10.1} ms",
            "a step with diagnostics",
            milliseconds(step + diagnostics)
        )?;
        writeln!(
            formatter,
            "{:<26}  {:>10.2} %   (logging.every_steps = {})",
            "diagnostics' share",
            100.0 * self.diagnostics_share(),
            self.log_every_steps
        )?;
        writeln!(formatter, "{:<26}  {:>10.1}", "images/s", self.images_per_second())?;
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let Memory { process_before, process_peak, tensors_at_rest, tensors_in_step } = self.memory;
        if let (Some(before), Some(peak)) = (process_before, process_peak) {
            writeln!(
                formatter,
                "{:<26}  {:>10.0} MiB (before the first step {:.0})",
                "process, at its peak",
                mebibytes(peak),
                mebibytes(before)
            )?;
        }
        write!(
            formatter,
            "{:<26}  {:>10.0} MiB (at rest {:.0})",
            "tensors, at their peak",
            mebibytes((tensors_at_rest + tensors_in_step) as u64),
            mebibytes(tensors_at_rest as u64)
        )
    }
}

#[cfg(test)]
mod tests {
    use diptych_config::Document;
    use diptych_host::Registry;
    use diptych_test_support::{built_plugin, repository};

    use super::*;

    fn measurement(milliseconds: &[u64], diagnostics: u64) -> Measurement {
        let time = Duration::from_millis;
        let steps = milliseconds.iter().map(|&step| Step { time: time(step), processor: time(2 * step) });
        Measurement {
            name: "BYOL".into(),
            batch_size: 50,
            views: vec![Size { width: 32, height: 32 }; 2],
            threads: 2,
            warm_up: 1,
            steps: steps.collect(),
            diagnostics: vec![time(diagnostics); milliseconds.len()],
            log_every_steps: 10,
            memory: Memory {
                process_before: Some(1 << 20),
                process_peak: Some(3 << 20),
                tensors_at_rest: 1 << 20,
                tensors_in_step: 1 << 20,
            },
            losses: vec![1.0; milliseconds.len() + 1],
        }
    }

    #[test]
    fn speeds_are_of_the_median_step_and_diagnostics_count_once_in_every_steps() {
        let found = measurement(&[100, 900, 90], 200);
        assert_eq!(found.step_time(), Duration::from_millis(100));
        assert_eq!(found.images_per_second(), 500.0);
        // 200 ms after 10 steps of 100 ms.
        assert!((found.diagnostics_share() - 200.0 / 1200.0).abs() < 1e-12);
    }

    #[test]
    fn a_run_is_measured_without_its_images() {
        let plugins = ["diptych-augmentations", "diptych-encoders", "diptych-losses"].map(built_plugin);
        let registry = Registry::load_folders(&plugins, Some(diptych_trainer::TORCH_VERSION)).unwrap();
        let sets = ["data.path=\"nowhere\"", "loader.batch_size=4", "threads=1", "encoder.width=4"]
            .map(String::from);
        let path = repository().join("configs/pretrain/byol_demo.toml");
        let config = RunConfig::read(&Document::load(&path, &sets).unwrap(), &registry).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let found = measure(&config, 1, 3, Some(folder.path())).unwrap();
        assert_eq!((found.steps.len(), found.diagnostics.len(), found.losses.len()), (3, 3, 4));
        assert!(found.losses.iter().all(|loss| loss.is_finite()), "{found:?}");
        assert_ne!(found.losses[0], found.losses[3], "no weight has moved");
        assert!(found.memory.tensors_at_rest > 0 && found.memory.tensors_in_step > 0, "{found:?}");
        for file in ["model.safetensors", "views.safetensors"] {
            assert!(folder.path().join(file).is_file(), "{file}");
        }
        assert!(found.to_string().contains("images/s"));
        assert_eq!(found.to_json()["seconds"].as_array().unwrap().len(), 3);
    }
}
