//! Checkpoints: `checkpoints/latest/{model.safetensors, optimizer.safetensors, state.toml}`.
//!
//! A checkpoint is written into a folder of its own (`step-00000100`), synced, and only then `latest`, a relative
//! symbolic link, is renamed onto it: at every moment `latest` is a whole checkpoint or absent. Older folders are then
//! removed. What a run needs beyond this is a function of its configuration: all random draws are counter-based.

mod tensors;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use diptych_config::{Choice, Document};
use tch::Tensor;

pub(crate) use tensors::write_tensors_with;
pub use tensors::{read_tensors, restore, write_tensors};

use crate::diagnostics::Verdict;
use crate::{Error, Result};

const FORMAT: i64 = 1;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Optimizer steps done.
    pub step: u64,
    /// Epoch of the next batch.
    pub epoch: u64,
    /// Index of the next batch in its epoch.
    pub batch: u64,
    /// Loss of the first step: what "the loss fell" compares with.
    pub first_loss: Option<f64>,
    /// Of the network before its first step, where there are labels.
    pub untrained_neighbour_accuracy: Option<f64>,
    /// On the last step that was judged.
    pub verdict: Verdict,
    /// Step since which every verdict of the policy on collapsed runs was `collapsed`.
    pub collapsed_since: Option<u64>,
    /// Right answers of the probe since the last logged step.
    pub probe_right: i64,
    /// Answers of the probe since the last logged step.
    pub probe_seen: i64,
    /// Seconds of training so far.
    pub seconds: f64,
}

/// The folder of a run's checkpoints.
pub struct Checkpoints {
    folder: PathBuf,
}

impl Checkpoints {
    /// Of the run in `run`; nothing is created yet.
    pub fn of_run(run: &Path) -> Self {
        Checkpoints { folder: run.join("checkpoints") }
    }

    /// The newest checkpoint's folder, if there is one.
    pub fn latest(&self) -> Option<PathBuf> {
        let latest = self.folder.join("latest");
        latest.join("state.toml").is_file().then_some(latest)
    }

    /// The same, where there must be one; `run` is the run's folder.
    pub(crate) fn require_latest(&self, run: &Path) -> Result<PathBuf> {
        self.latest().ok_or_else(|| {
            Error::Unfit(format!("{} holds no checkpoint yet; let the run write one first", run.display()))
        })
    }

    /// Writes a checkpoint and makes it the latest. `config` is the run's resolved configuration.
    pub fn write(
        &self,
        state: &State,
        model: &[(String, Tensor)],
        optimizer: &[(String, Tensor)],
        config: &toml::Table,
    ) -> Result<()> {
        let name = format!("step-{:08}", state.step);
        let folder = self.folder.join(&name);
        // The same step is written again when a run is stopped right after it went on: it is the same checkpoint.
        if self.is_latest(&name) && self.latest().is_some() {
            return Ok(());
        }
        let written = write_into(&folder, state, model, optimizer, config);
        if written.is_err() {
            // Half a checkpoint is of no use, and may be what filled the disk.
            let _ = fs::remove_dir_all(&folder);
        }
        written?;
        self.point_latest_at(&name)?;
        self.remove_others(&name)
    }

    fn is_latest(&self, name: &str) -> bool {
        fs::read_link(self.folder.join("latest")).is_ok_and(|target| target == Path::new(name))
    }

    fn point_latest_at(&self, name: &str) -> Result<()> {
        let fresh = self.folder.join(".latest");
        let latest = self.folder.join("latest");
        let _ = fs::remove_file(&fresh);
        std::os::unix::fs::symlink(name, &fresh).map_err(|error| Error::file("write", &fresh, error))?;
        fs::rename(&fresh, &latest).map_err(|error| Error::file("write", &latest, error))?;
        sync(&self.folder)
    }

    fn remove_others(&self, name: &str) -> Result<()> {
        let entries = fs::read_dir(&self.folder).map_err(|error| Error::file("read", &self.folder, error))?;
        for entry in entries.flatten() {
            let other = entry.file_name();
            if other.to_string_lossy().starts_with("step-") && other != name {
                fs::remove_dir_all(entry.path())
                    .map_err(|error| Error::file("remove", &entry.path(), error))?;
            }
        }
        Ok(())
    }
}

fn write_into(
    folder: &Path,
    state: &State,
    model: &[(String, Tensor)],
    optimizer: &[(String, Tensor)],
    config: &toml::Table,
) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::file("create", folder, error))?;
    write_tensors(&folder.join("model.safetensors"), model)?;
    write_tensors(&folder.join("optimizer.safetensors"), optimizer)?;
    // Written last: its presence says that the rest is there.
    let path = folder.join("state.toml");
    fs::write(&path, state.to_text(config)).map_err(|error| Error::file("write", &path, error))?;
    sync(&path)?;
    sync(folder)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| Error::file("write", path, error))
}

impl State {
    fn to_text(&self, config: &toml::Table) -> String {
        let mut table = toml::Table::new();
        table.insert("format".into(), FORMAT.into());
        table.insert("written_by".into(), concat!("diptych ", env!("CARGO_PKG_VERSION")).into());
        table.insert("step".into(), (self.step as i64).into());
        table.insert("epoch".into(), (self.epoch as i64).into());
        table.insert("batch".into(), (self.batch as i64).into());
        if let Some(accuracy) = self.untrained_neighbour_accuracy {
            table.insert("untrained_neighbour_accuracy".into(), accuracy.into());
        }
        if let Some(loss) = self.first_loss {
            table.insert("first_loss".into(), loss.into());
        }
        table.insert("verdict".into(), self.verdict.text().into());
        if let Some(step) = self.collapsed_since {
            table.insert("collapsed_since".into(), (step as i64).into());
        }
        table.insert("probe_right".into(), self.probe_right.into());
        table.insert("probe_seen".into(), self.probe_seen.into());
        table.insert("seconds".into(), self.seconds.into());
        table.insert("config".into(), config.clone().into());
        toml::to_string(&table).expect("a table of plain values is TOML")
    }

    /// The configuration that a checkpoint's folder was written with, as [`Checkpoints::write`] was given it.
    pub fn read_config(folder: &Path) -> Result<toml::Table> {
        let path = folder.join("state.toml");
        let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
        let mut state: toml::Table =
            text.parse().map_err(|error: toml::de::Error| Error::damaged(&path, error.message()))?;
        match state.remove("config") {
            Some(toml::Value::Table(config)) => Ok(config),
            _ => Err(Error::damaged(&path, "holds no table `config`")),
        }
    }

    /// Reads `state.toml` of a checkpoint's folder.
    pub fn read(folder: &Path) -> Result<State> {
        let path = folder.join("state.toml");
        let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
        let document = Document::parse(&text, &path.display().to_string())?;
        let (format, state) = document.read(|table| {
            let _ = (table.optional::<String>("written_by"), table.value("config"));
            let count = |table: &mut diptych_config::Table<'_>, key| table.required_in::<u64>(key, 0..);
            let state = State {
                step: count(table, "step"),
                epoch: count(table, "epoch"),
                batch: count(table, "batch"),
                first_loss: table.optional("first_loss"),
                untrained_neighbour_accuracy: table.optional("untrained_neighbour_accuracy"),
                // Checkpoints of earlier versions have none.
                verdict: table.choice("verdict", Verdict::default()),
                collapsed_since: table.optional("collapsed_since"),
                probe_right: table.or("probe_right", 0),
                probe_seen: table.or("probe_seen", 0),
                seconds: table.or("seconds", 0.0),
            };
            (table.required::<i64>("format"), state)
        })?;
        if format != FORMAT {
            return Err(Error::damaged(&path, format!("found format {format}, expected {FORMAT}")));
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(value: f32) -> Vec<(String, Tensor)> {
        vec![("encoder.weight".into(), Tensor::from_slice(&[value, -value]))]
    }

    #[test]
    fn what_was_written_is_read_back() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of_run(run.path());
        assert_eq!(checkpoints.latest(), None);
        let state = State {
            step: 7,
            epoch: 1,
            batch: 3,
            first_loss: Some(0.1 + 0.2),
            untrained_neighbour_accuracy: Some(1.0 / 3.0),
            verdict: Verdict::Collapsing,
            collapsed_since: Some(5),
            probe_right: 5,
            probe_seen: 9,
            seconds: 1.5,
        };
        checkpoints.write(&state, &tensors(2.0), &tensors(3.0), &toml::Table::new()).unwrap();
        let folder = checkpoints.latest().unwrap();
        assert_eq!(State::read(&folder).unwrap(), state);
        let mut restored = tensors(0.0);
        restore(&folder.join("model.safetensors"), &mut restored).unwrap();
        assert_eq!(restored[0].1, tensors(2.0)[0].1);
    }

    #[test]
    fn a_newer_checkpoint_replaces_the_older_one() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of_run(run.path());
        for step in [1, 2] {
            let state = State { step, ..State::default() };
            checkpoints.write(&state, &tensors(step as f32), &[], &toml::Table::new()).unwrap();
        }
        assert_eq!(State::read(&checkpoints.latest().unwrap()).unwrap().step, 2);
        let folders = fs::read_dir(run.path().join("checkpoints")).unwrap().count();
        assert_eq!(folders, 2, "latest and what it points at");
    }

    #[test]
    fn a_half_written_checkpoint_is_not_the_latest() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of_run(run.path());
        let state = State { step: 1, ..State::default() };
        checkpoints.write(&state, &tensors(1.0), &[], &toml::Table::new()).unwrap();
        // What a crash while writing step 2 leaves.
        let torn = run.path().join("checkpoints/step-00000002");
        fs::create_dir_all(&torn).unwrap();
        fs::write(torn.join("model.safetensors"), b"half").unwrap();
        assert_eq!(State::read(&checkpoints.latest().unwrap()).unwrap().step, 1);
        checkpoints.write(&State { step: 2, ..state }, &tensors(2.0), &[], &toml::Table::new()).unwrap();
        let mut restored = tensors(0.0);
        restore(&checkpoints.latest().unwrap().join("model.safetensors"), &mut restored).unwrap();
        assert_eq!(restored[0].1, tensors(2.0)[0].1);
    }
}
