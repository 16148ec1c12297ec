//! Metrics of a run: `metrics.jsonl`, one JSON object per logged step, and the same scalars for TensorBoard.
//!
//! The names, and what they mean, are all on this page; a loss's own figures are added as `<loss id>/<figure>`. Figures from
//! [`Z_STD`] to [`DEAD_DIMENSIONS`] are the online projection's; behind `embedding/`, `target_projection/` and `target_embedding/` stand
//! the same of those.

mod events;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use events::EventFile;

use crate::{Error, Result, files};

/// Optimizer steps done; the key `step` of every line.
pub const STEP: &str = "step";
/// Passes over the data, as a fraction.
pub const EPOCH: &str = "epoch";
/// Weighted sum of the losses on this step's batch.
pub const LOSS: &str = "loss";
/// Learning rate of this step, after scaling and schedule, before multipliers.
pub const LEARNING_RATE: &str = "learning_rate";
/// Norm of all gradients together before they were clipped, where `optimizer.clip_norm` is set.
pub const GRADIENT_NORM: &str = "gradient_norm";
/// tau of the target's moving average that followed this step.
pub const TARGET_MOMENTUM: &str = "target_momentum";
/// Images (samples, not views) per second since the last line.
pub const IMAGES_PER_SECOND: &str = "images_per_second";
/// Share of the time since the last line that the step waited for data, 0 to 1.
pub const WAIT_FRACTION: &str = "wait_fraction";
/// Finished batches that lay ready when one was asked for, mean since the last line: 0 to `loader.queue_batches`. 0 starves the step.
pub const QUEUE_BATCHES: &str = "queue_batches";
/// Share of the time since the last line that the loader waited because its queue was full, 0 to 1.
pub const LOADER_WAIT_FRACTION: &str = "loader_wait_fraction";
/// Standard deviation of the L2-normalised online projection's components times sqrt(d): 1 healthy, 0 collapsed.
pub const Z_STD: &str = "z_std";
/// exp(entropy of the normalised singular values) of the L2-normalised online projections: 1 to d.
pub const EFFECTIVE_RANK: &str = "effective_rank";
/// Mean squared distance of the L2-normalised projections of a sample's first two views: 0 to 4.
pub const ALIGNMENT: &str = "alignment";
/// log mean exp(-2 |x - y|^2) over pairs of different samples: lower is more uniform.
pub const UNIFORMITY: &str = "uniformity";
/// Mean cosine of a sample's first two views: -1 to 1.
pub const POSITIVE_COSINE: &str = "positive_cosine";
/// Mean cosine of different samples: -1 to 1; near 0 healthy, near 1 collapsed.
pub const RANDOM_COSINE: &str = "random_cosine";
/// Share of the components that hardly vary: 0 to 1.
pub const DEAD_DIMENSIONS: &str = "dead_dimensions";
/// Error of the predictor less that of the batch's best linear predictor, in squared distance of unit vectors: -4 to 4.
pub const PREDICTOR_GAP: &str = "predictor_gap";
/// |theta - xi| / |theta| of online and target parameters: 0 where they are equal.
pub const TARGET_DISTANCE: &str = "target_distance";
/// The verdict: 0 healthy, 1 collapsing (the loss fell and `z_std` or `effective_rank` is far below healthy), 2 collapsed.
pub const COLLAPSING: &str = "collapsing";
/// Cross-entropy of the linear probe on this step's batch.
pub const PROBE_LOSS: &str = "probe_loss";
/// Share of the batches since the last line that the linear probe got right, 0 to 1.
pub const PROBE_ACCURACY: &str = "probe_accuracy";

/// Share of this step's samples whose class wins the vote of the nearest others in the batch, by embeddings: 0 to 1.
pub const NEIGHBOUR_ACCURACY: &str = "neighbour_accuracy";
/// The same before the first step.
pub const UNTRAINED_NEIGHBOUR_ACCURACY: &str = "untrained_neighbour_accuracy";

/// The metrics that depend on the machine; everything else is a function of the configuration and the data.
pub const TIMED: [&str; 4] = [IMAGES_PER_SECOND, WAIT_FRACTION, QUEUE_BATCHES, LOADER_WAIT_FRACTION];

/// What one logged step came to, in the order it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Optimizer steps done.
    pub step: u64,
    /// Name and value.
    pub values: Vec<(String, f64)>,
}

impl Record {
    /// Appends one value.
    pub fn push(&mut self, name: impl Into<String>, value: f64) {
        self.values.push((name.into(), value));
    }

    /// The value under `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    fn to_json(&self) -> serde_json::Value {
        let mut line = serde_json::Map::new();
        line.insert(STEP.into(), self.step.into());
        for (name, value) in &self.values {
            // JSON has no NaN; null says that there was a value and that it was none.
            line.insert(
                name.clone(),
                serde_json::Number::from_f64(*value).map_or(serde_json::Value::Null, Into::into),
            );
        }
        serde_json::Value::Object(line)
    }
}

/// Writes both files of a run.
pub struct MetricsWriter {
    path: PathBuf,
    lines: File,
    events: EventFile,
}

impl MetricsWriter {
    /// Opens the files in `folder`. When a run continues at `first_step`, lines of later steps (written after the
    /// checkpoint that it continues from) are dropped.
    pub fn open(folder: &Path, first_step: u64) -> Result<Self> {
        let path = folder.join("metrics.jsonl");
        let kept = if first_step > 0 { lines_up_to(&path, first_step)? } else { String::new() };
        files::replace(&path, &kept)?;
        let lines =
            File::options().append(true).open(&path).map_err(|error| Error::file("write", &path, error))?;
        let events =
            EventFile::create(folder, first_step).map_err(|error| Error::file("write", folder, error))?;
        Ok(MetricsWriter { path, lines, events })
    }

    /// Writes one step to both files.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let line = format!("{}\n", record.to_json());
        self.lines
            .write_all(line.as_bytes())
            .and_then(|()| {
                let scalars = record.values.iter().map(|(name, value)| (name.as_str(), *value));
                self.events.scalars(record.step, scalars)
            })
            .map_err(|error| Error::file("write", &self.path, error))
    }
}

fn lines_up_to(path: &Path, last_step: u64) -> Result<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(Error::file("read", path, error)),
    };
    let mut kept = String::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| Error::file("read", path, error))?;
        let step = serde_json::from_str::<serde_json::Value>(&line).ok().and_then(|line| line[STEP].as_u64());
        // A last line that a crash cut short parses as nothing and is dropped too.
        if step.is_some_and(|step| step <= last_step) {
            kept.push_str(&line);
            kept.push('\n');
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(step: u64) -> Record {
        let mut record = Record { step, ..Record::default() };
        record.push(LOSS, 1.0 / step as f64);
        record
    }

    #[test]
    fn a_continued_run_drops_the_lines_after_its_checkpoint_and_half_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = MetricsWriter::open(folder.path(), 0).unwrap();
        (1..=4).for_each(|step| writer.write(&record(step)).unwrap());
        let path = folder.path().join("metrics.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"step\": 1, \"lo")).unwrap();

        let mut writer = MetricsWriter::open(folder.path(), 2).unwrap();
        writer.write(&record(3)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"step\":1,\"loss\":1.0}\n{\"step\":2,\"loss\":0.5}\n{\"step\":3,\"loss\":0.3333333333333333}\n"
        );
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let mut record = Record { step: 1, ..Record::default() };
        record.push(LOSS, f64::NAN);
        assert_eq!(record.to_json().to_string(), "{\"step\":1,\"loss\":null}");
    }
}
