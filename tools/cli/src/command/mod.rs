//! The subcommands, one file each: arguments, help, and the call.

pub mod bench;
pub mod config;
pub mod data;
pub mod embed;
pub mod evaluate;
pub mod export;
pub mod pack;
pub mod plugin;
pub mod preview;
pub mod probe;
pub mod study;
pub mod synth;
pub mod train;
pub mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use diptych_config::Document;
use diptych_host::{Registry, SearchPath};
use diptych_pipeline::ViewSet;
use diptych_trainer::DeviceName;
use diptych_trainer::config::RunConfig;

/// Where `--plugin-path` says to look for plugins first.
pub struct Plugins {
    /// Folders and libraries.
    pub path: Vec<PathBuf>,
}

impl Plugins {
    /// Loads every plugin that can be found.
    pub fn load(&self) -> Result<Registry> {
        let search = SearchPath::resolve(&self.path);
        Ok(Registry::load(&search, Some(diptych_trainer::TORCH_VERSION))?)
    }
}

/// The process that a run belongs to.
#[derive(clap::Args)]
pub struct Parent {
    /// End, as by Ctrl-C, once the process that started this one is not PID any more. For studies.
    #[arg(long = "parent", value_name = "PID", hide = true)]
    pid: Option<u32>,
}

impl Parent {
    /// Raises `stop` when the parent is gone: a killed study leaves no runs behind.
    fn watch(&self, stop: &Arc<AtomicBool>) {
        let Some(pid) = self.pid else { return };
        let stop = Arc::clone(stop);
        std::thread::spawn(move || {
            while std::os::unix::process::parent_id() == pid {
                std::thread::sleep(Duration::from_millis(500));
            }
            stop.store(true, Ordering::SeqCst);
        });
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:,+@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn parse_device(text: &str) -> Result<DeviceName> {
    DeviceName::parse(text).ok_or_else(|| anyhow!("--device: found {text:?}, expected cpu, cuda or cuda:N"))
}

/// The views of a file that is a set itself, or of a run.
fn read_views(path: &Path, sets: &[String], registry: &Registry) -> Result<ViewSet> {
    let document = Document::load(path, sets)?;
    if document.has("views") {
        Ok(document.read(|table| ViewSet::read(table, registry))?)
    } else {
        Ok(RunConfig::read(&document, registry)?.views)
    }
}
