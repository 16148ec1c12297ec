//! The `diptych` binary: reads the command line and calls the crates that do the work.

mod command;
mod console;
mod sheet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Self-supervised learning from two views of an image, and what it owes to each transformation.
///
/// Diptych trains vision encoders without labels (BYOL, SimCLR and their kin) on a folder of images, with
/// augmentations, encoders and losses from plugins, and compares how sensitive the methods are to removed
/// transformations.
#[derive(Parser)]
#[command(
    name = "diptych",
    version,
    max_term_width = 100,
    after_help = "A first run:\n  diptych synth demo --split train=4096 --split test=1000\n  diptych train configs/pretrain/byol_demo.toml --out runs/byol\n  diptych evaluate runs/byol configs/evaluate/demo.toml"
)]
struct Arguments {
    /// Where to look for plugins before $DIPTYCH_PLUGIN_PATH and the binary's own plugins folder: a folder or a library. May be repeated.
    #[arg(long, global = true, value_name = "PATH")]
    plugin_path: Vec<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

// Where a variant has no text of its own, its arguments' documentation is the command's.
#[derive(Subcommand)]
enum Command {
    Train(command::train::Arguments),
    Evaluate(command::evaluate::Arguments),
    Embed(command::embed::Arguments),
    Export(command::export::Arguments),
    Probe(command::probe::Arguments),
    Study(command::study::Arguments),
    Watch(command::watch::Arguments),
    Preview(command::preview::Arguments),
    Synth(command::synth::Arguments),
    /// Measure the pipeline, its operators and the optimizer's step on this machine.
    #[command(subcommand)]
    Bench(command::bench::Command),
    Pack(command::pack::Arguments),
    /// Look at a set of images: what is broken, duplicate or odd.
    #[command(subcommand)]
    Data(command::data::Command),
    /// Show a configuration as it is after `extends` and `--set`, or only check it.
    #[command(subcommand)]
    Config(command::config::Command),
    /// List and describe the augmentations, encoders and losses at hand.
    #[command(subcommand)]
    Plugin(command::plugin::Command),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plugins = command::Plugins { path: arguments.plugin_path };
    let outcome = match arguments.command {
        Command::Train(arguments) => command::train::run(arguments, &plugins),
        Command::Evaluate(arguments) => command::evaluate::run(arguments, &plugins),
        Command::Embed(arguments) => command::embed::run(arguments, &plugins),
        Command::Export(arguments) => command::export::run(arguments),
        Command::Probe(arguments) => command::probe::run(arguments, &plugins),
        Command::Study(arguments) => command::study::run(arguments, &plugins),
        Command::Watch(arguments) => command::watch::run(arguments),
        Command::Preview(arguments) => command::preview::run(arguments, &plugins),
        Command::Synth(arguments) => command::synth::run(arguments),
        Command::Bench(command) => command::bench::run(command, &plugins),
        Command::Pack(arguments) => command::pack::run(arguments),
        Command::Data(command) => command::data::run(command),
        Command::Config(command) => command::config::run(command, &plugins),
        Command::Plugin(command) => command::plugin::run(command, &plugins),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}
