//! The folder of a run: its configuration, its state, its log. Metrics and checkpoints have modules of their own.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::diagnostics::Verdict;
use crate::{Error, Result, files};

diptych_config::choices! {
    /// Where a run stands, in `run.json`.
    pub enum RunState {
        /// It runs, or was killed without notice.
        Running = "running",
        /// All steps are done.
        Finished = "finished",
        /// Its policy ended it because it had collapsed.
        StoppedEarly = "stopped_early",
        /// It was stopped and can be resumed.
        Interrupted = "interrupted",
        /// It ended with an error.
        Failed = "failed",
    }
}

/// What `run.json` says.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// What tables call the run.
    pub name: String,
    /// Of all that changes the numbers.
    pub fingerprint: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it failed.
    pub error: Option<String>,
    /// Of the last step that was judged.
    pub verdict: Verdict,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub steps: u64,
    /// Fingerprint of the program's file, for builds of the same version.
    pub build: String,
    /// RFC 3339.
    pub started: String,
    /// RFC 3339, once it ended.
    pub ended: Option<String>,
    /// `cpu`, `cuda:0`.
    pub device: String,
    /// libtorch's threads within one operation.
    pub threads: usize,
    /// The source's own hash.
    pub data_identity: String,
    /// Name and version of each library that a component comes from.
    pub plugins: Vec<String>,
    /// Processor, system and number of cores.
    pub machine: String,
    /// Seconds of training, over all resumptions.
    pub seconds: f64,
    /// Over the whole run.
    pub images_per_second: f64,
}

impl RunReport {
    fn to_json(&self) -> serde_json::Value {
        use diptych_config::Choice;
        json!({
            "name": self.name,
            "fingerprint": self.fingerprint,
            "state": self.state.text(),
            "error": self.error,
            "verdict": self.verdict.text(),
            "step": self.step,
            "steps": self.steps,
            "started": self.started,
            "ended": self.ended,
            "version": env!("CARGO_PKG_VERSION"),
            "build": self.build,
            "device": self.device,
            "threads": self.threads,
            "data_identity": self.data_identity,
            "torch_version": crate::TORCH_VERSION,
            "plugins": self.plugins,
            "machine": self.machine,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
        })
    }
}

/// Tells builds of the same version apart; `unknown` where the program's file cannot be read.
pub(crate) fn build() -> String {
    let program = std::env::current_exe().and_then(|path| diptych_config::file_fingerprint(&path));
    program.unwrap_or_else(|_| "unknown".into())
}

/// Now, in RFC 3339, to the second.
pub(crate) fn now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.format(&Rfc3339).unwrap_or_default()
}

/// `AMD EPYC 7R13 Processor, linux x86_64, 2 cores`
pub(crate) fn machine() -> String {
    use std::env::consts::{ARCH, OS};
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(format!("{}, ", line.split_once(':')?.1.trim()))
    });
    format!("{}{OS} {ARCH}, {cores} cores", processor.unwrap_or_default())
}

/// What a run that goes on, or is evaluated, needs of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Where it stands.
    pub state: RunState,
    /// Of all that changes the numbers.
    pub fingerprint: String,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps planned.
    pub steps: u64,
    /// libtorch's threads within one operation.
    pub threads: usize,
    /// The source's own hash.
    pub data_identity: String,
}

impl Begun {
    /// Whether there is nothing left to train.
    pub fn is_over(&self) -> bool {
        matches!(self.state, RunState::Finished | RunState::StoppedEarly)
    }

    /// Reads `run.json`, if the folder holds a run.
    pub fn read(folder: &Path) -> Option<Begun> {
        use diptych_config::Choice;
        let text = fs::read_to_string(folder.join("run.json")).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).ok()?;
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        Some(Begun {
            state: RunState::ALL.iter().find(|(text, _)| json["state"] == *text)?.1,
            fingerprint: text("fingerprint")?,
            step: json["step"].as_u64()?,
            steps: json["steps"].as_u64()?,
            threads: usize::try_from(json["threads"].as_u64()?).ok()?,
            data_identity: text("data_identity")?,
        })
    }

    /// The same, where there must be a run.
    pub(crate) fn require(folder: &Path) -> Result<Begun> {
        Begun::read(folder).ok_or_else(|| {
            let message = format!(
                "{} holds no run: no run.json; expected a folder that `diptych train` wrote",
                folder.display()
            );
            Error::Unfit(message)
        })
    }
}

/// The configuration that a run was started with: `config.toml`.
pub fn read_config(folder: &Path) -> Result<toml::Table> {
    let path = folder.join("config.toml");
    let text = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
    text.parse().map_err(|error: toml::de::Error| Error::damaged(&path, error.message()))
}

/// Takes the lock of `file`, or answers that another process keeps it.
fn is_taken(file: &File) -> bool {
    // Whoever watches a run tries its lock for an instant: only one that stays is a run's.
    for _ in 0..20 {
        // A file system without locks (some network ones) leaves it to the people.
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Writes into the folder of one run.
pub(crate) struct RunFolder {
    path: PathBuf,
    log: File,
}

impl RunFolder {
    /// Opens `path` for writing, and creates it if it is new. Until it is dropped, no other process can open it.
    pub(crate) fn open(path: &Path) -> Result<RunFolder> {
        fs::create_dir_all(path).map_err(|error| Error::file("create", path, error))?;
        let log = path.join("log.txt");
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(|error| Error::file("write", &log, error))?;
        if is_taken(&log_file) {
            return Err(Error::RunExists(format!(
                "{} is being written by another process; wait for its end, or choose another folder with --out",
                path.display()
            )));
        }
        Ok(RunFolder { path: path.to_path_buf(), log: log_file })
    }

    /// Writes `config.toml`.
    pub(crate) fn write_config(&self, config: &toml::Table, fingerprint: &str) -> Result<()> {
        let text = toml::to_string(config).expect("a table of plain values is TOML");
        files::replace(&self.path.join("config.toml"), format!("# fingerprint: {fingerprint}\n{text}"))
    }

    /// Writes `run.json`.
    pub(crate) fn write_report(&self, report: &RunReport) -> Result<()> {
        files::replace(&self.path.join("run.json"), format!("{:#}\n", report.to_json()))
    }

    /// Appends a line to `log.txt`.
    pub(crate) fn log(&mut self, message: &str) -> Result<()> {
        writeln!(self.log, "{} {message}", now())
            .map_err(|error| Error::file("write", &self.path.join("log.txt"), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_being_written_cannot_be_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunFolder::open(folder.path()).unwrap();
        let message = RunFolder::open(folder.path()).err().unwrap().to_string();
        assert!(message.contains("another process"), "{message}");
        drop(first);
        RunFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn whoever_looks_whether_a_folder_is_written_keeps_no_run_out() {
        let folder = tempfile::tempdir().unwrap();
        drop(RunFolder::open(folder.path()).unwrap());
        let log = File::open(folder.path().join("log.txt")).unwrap();
        log.lock_shared().unwrap();
        let looking = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            drop(log);
        });
        RunFolder::open(folder.path()).unwrap();
        looking.join().unwrap();
    }

    #[test]
    fn state_and_configuration_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/run");
        assert_eq!(Begun::read(&path), None);
        let mut run = RunFolder::open(&path).unwrap();
        let config: toml::Table = "seed = 3\n[optimizer]\nlearning_rate = 0.1".parse().unwrap();
        run.write_config(&config, "00ff00ff00ff00ff").unwrap();
        run.log("started").unwrap();
        let report = RunReport {
            name: "a".into(),
            fingerprint: "00ff00ff00ff00ff".into(),
            state: RunState::Interrupted,
            error: None,
            step: 1,
            steps: 2,
            build: build(),
            started: now(),
            ended: None,
            device: "cpu".into(),
            threads: 2,
            data_identity: "11ff11ff11ff11ff".into(),
            plugins: vec!["diptych-losses 0.1.0".into()],
            machine: machine(),
            seconds: 0.5,
            images_per_second: 100.0,
            verdict: Verdict::Collapsing,
        };
        run.write_report(&report).unwrap();
        let begun = Begun {
            state: RunState::Interrupted,
            fingerprint: "00ff00ff00ff00ff".into(),
            step: 1,
            steps: 2,
            threads: 2,
            data_identity: "11ff11ff11ff11ff".into(),
        };
        assert_eq!(Begun::read(&path), Some(begun));
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(path.join("run.json")).unwrap()).unwrap();
        assert_eq!(json["plugins"][0], "diptych-losses 0.1.0");
        assert!(json["machine"].as_str().unwrap().ends_with(" cores"), "{json}");
        assert_eq!(read_config(&path).unwrap(), config);
        assert!(
            fs::read_to_string(path.join("config.toml"))
                .unwrap()
                .starts_with("# fingerprint: 00ff00ff00ff00ff\n")
        );
        assert!(fs::read_to_string(path.join("log.txt")).unwrap().ends_with("Z started\n"));
    }
}
