//! `diptych bench`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use diptych_bench::{operators, pipeline, step};
use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::{Cursor, LoaderOptions, Size, Source, SourceConfig, Split, ViewSet};
use diptych_trainer::config::RunConfig;

use super::Plugins;
use crate::console;

#[derive(clap::Subcommand)]
pub enum Command {
    Pipeline(PipelineArguments),
    Operators(OperatorArguments),
    Step(StepArguments),
}

/// Measure how fast batches come, stage by stage.
///
/// Runs a configuration's pipeline, from files to batches, without training anything: source images per second with each
/// number of workers, what every stage did and waited for, and what to change.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych bench pipeline --config configs/pretrain/byol_imagenet.toml --data IMAGENET/train\n  diptych bench pipeline --config configs/augmentations/byol.toml --data FOLDER --workers 1,2,4,8"
)]
pub struct PipelineArguments {
    /// The configuration of a run, or an augmentation set (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Images to run on, instead of the run's data.path.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Numbers of workers to measure one after the other; 0 is one per core.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 0], value_name = "N,..")]
    workers: Vec<usize>,
    /// Samples per batch, instead of the run's.
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// How long each number of workers is measured.
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    seconds: f64,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Measure what each operator of an augmentation set costs.
///
/// Each operator runs on one core with fresh draws, through the plugin boundary, at the size that reaches it.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  diptych bench operators --config configs/augmentations/byol.toml")]
pub struct OperatorArguments {
    /// An augmentation set, or the configuration of a run (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Width and height of the source image in pixels.
    #[arg(long, default_value = "500x375", value_parser = read_size, value_name = "WIDTHxHEIGHT")]
    size: Size,
    /// How long each operator is measured.
    #[arg(long, default_value_t = 0.5, value_name = "SECONDS")]
    seconds: f64,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measure what an optimizer step costs, without its data.
///
/// Runs a configuration's step (forward pass of all views, loss, backward pass, optimizer, target) on random images that are made
/// once: seconds per step, images per second, the diagnostics' share, and peak memory. The learning rate is the schedule's highest.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  diptych bench step --config configs/pretrain/byol_small.toml --set device=cpu --batch-size 64"
)]
pub struct StepArguments {
    /// The configuration of a run (TOML). Its data.path need not exist.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Samples per step, instead of the run's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    batch_size: Option<u32>,
    /// libtorch's threads within one operation, instead of the run's; 0 is one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=1024))]
    threads: Option<u16>,
    /// Steps to measure.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    steps: u16,
    /// Steps before the clock starts.
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(..=10_000))]
    warm_up: u16,
    /// Where to write the initial weights and the images, model.safetensors and views.safetensors.
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Print JSON, with every step's values, instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(command: Command, plugins: &Plugins) -> Result<ExitCode> {
    let registry = plugins.load()?;
    match command {
        Command::Pipeline(arguments) => measure_pipeline(arguments, &registry),
        Command::Operators(arguments) => measure_operators(arguments, &registry),
        Command::Step(arguments) => measure_step(arguments, &registry),
    }
}

fn measure_pipeline(arguments: PipelineArguments, registry: &Registry) -> Result<ExitCode> {
    let PipelineArguments { config, data, workers, batch_size, seconds, sets, json } = arguments;
    let duration = read_duration(seconds)?;
    let (views, source, mut options) = what_to_run(&config, &sets, data, registry)?;
    options.batch_size = batch_size.unwrap_or_else(|| options.batch_size.min(source.len()));
    let mut measurements = Vec::new();
    for workers in workers {
        let options = LoaderOptions { workers, ..options.clone() };
        measurements.push(pipeline::measure(&source, &views, &options, duration)?);
    }
    let report = pipeline::Report {
        source: source.summary(),
        views: views.views.len(),
        batch_size: options.batch_size,
        measurements,
    };
    show(json, &report.to_json(), &report);
    Ok(ExitCode::SUCCESS)
}

/// Views, images and how batches are made: of a run, or of an augmentation set with what is usual.
fn what_to_run(
    config: &Path,
    sets: &[String],
    data: Option<PathBuf>,
    registry: &Registry,
) -> Result<(ViewSet, Arc<dyn Source>, LoaderOptions)> {
    let mut sets = sets.to_vec();
    let document = Document::load(config, &sets)?;
    if document.has("views") {
        let views = document.read(|table| ViewSet::read(table, registry))?;
        let Some(data) = data else {
            bail!("{} is an augmentation set, which names no images: give some with --data", config.display())
        };
        return Ok((views, SourceConfig::new(data).open(Split::Train)?, LoaderOptions::default()));
    }
    if let Some(data) = data {
        sets.push(format!("data.path={:?}", data.display().to_string()));
    }
    let run = RunConfig::read(&Document::load(config, &sets)?, registry)?;
    let options = run.loader_options(Cursor::default());
    Ok((run.views, run.data.source.open(Split::Train)?, options))
}

fn measure_operators(arguments: OperatorArguments, registry: &Registry) -> Result<ExitCode> {
    let OperatorArguments { config, size, seconds, sets, json } = arguments;
    let views = super::read_views(&config, &sets, registry)?;
    let costs = operators::measure(&views, size, read_duration(seconds)?)?;
    show(json, &costs.to_json(), &costs);
    Ok(ExitCode::SUCCESS)
}

fn measure_step(arguments: StepArguments, registry: &Registry) -> Result<ExitCode> {
    let StepArguments { config, batch_size, threads, steps, warm_up, save, mut sets, json } = arguments;
    sets.extend(batch_size.map(|size| format!("loader.batch_size={size}")));
    sets.extend(threads.map(|threads| format!("threads={threads}")));
    let document = Document::load(&config, &sets)?;
    if document.has("views") {
        bail!(
            "{} is an augmentation set, which has no step: expected the configuration of a run, as in configs/pretrain",
            config.display()
        );
    }
    let run = RunConfig::read(&document, registry)?;
    let found = step::measure(&run, warm_up.into(), steps.into(), save.as_deref())?;
    show(json, &found.to_json(), &found);
    Ok(ExitCode::SUCCESS)
}

fn show(json: bool, value: &serde_json::Value, table: &dyn std::fmt::Display) {
    console::print(&if json { format!("{value:#}\n") } else { format!("{table}\n") });
}

fn read_duration(seconds: f64) -> Result<Duration> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if seconds > 0.0 && seconds <= 86_400.0 => Ok(duration),
        _ => bail!("--seconds: found {seconds}, expected a number above 0, at most 86400"),
    }
}

fn read_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=16_384).contains(side));
    let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    let (width, height) = sides.ok_or("expected WIDTHxHEIGHT, each from 1 to 16384, such as 500x375")?;
    Ok(Size { width, height })
}
