//! The subcommands, one file each: arguments, help, and the call.

pub mod config;
pub mod evaluate;
pub mod plugin;
pub mod preview;
pub mod study;
pub mod synth;
pub mod train;

use std::path::PathBuf;

use anyhow::Result;
use diptych_host::{Registry, SearchPath};

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
