//! `diptych config`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use diptych_config::Document;
use diptych_host::Registry;
use diptych_trainer::config::{EvaluationConfig, RunConfig};

use super::Plugins;
use crate::console;

/// What to do with a configuration.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Print the configuration as it is after `extends` and `--set`, every default written out.
    Show(Arguments),
    /// Check the configuration, and report everything that is wrong with it.
    Check(Arguments),
}

/// Which configuration.
#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration of a run, or with --evaluation of an evaluation (TOML).
    config: PathBuf,
    /// Overrides a key; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// The file is an evaluation's configuration.
    #[arg(long)]
    evaluation: bool,
}

pub fn run(command: Command, plugins: &Plugins) -> Result<ExitCode> {
    let registry = plugins.load()?;
    match command {
        Command::Show(arguments) => {
            console::print(&toml::to_string(&resolve(&arguments, &registry)?)?);
        }
        Command::Check(arguments) => {
            resolve(&arguments, &registry)?;
            console::print(&format!("{} is fine\n", arguments.config.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn resolve(arguments: &Arguments, registry: &Registry) -> Result<toml::Table> {
    let document = Document::load(&arguments.config, &arguments.sets)?;
    Ok(if arguments.evaluation {
        EvaluationConfig::read(&document, registry)?.to_toml()
    } else {
        RunConfig::read(&document, registry)?.to_toml()
    })
}
