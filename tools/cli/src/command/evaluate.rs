//! `diptych evaluate`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use diptych_config::Document;
use diptych_trainer::config::EvaluationConfig;
use diptych_trainer::evaluate::{EvaluationOptions, compare, evaluate};

use super::Plugins;
use crate::console;

/// Judge a trained encoder, by as many protocols as the configuration has tables for.
///
/// On frozen features: [linear], logistic regression by L-BFGS; [knn], weighted nearest neighbours; [linear_sgd], a linear classifier on augmented views. With everything fine-tuned: [semi_supervised], on a part of the labels; [fine_tune], on all. Prints a table and writes evaluation.json into the run's folder. --compare shows evaluations side by side, and refuses those that were measured differently.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych evaluate runs/byol configs/evaluate/demo.toml\n  diptych evaluate runs/mine configs/evaluate/demo.toml --set data.train=FOLDER --set data.test=OTHER\n  diptych evaluate --compare runs/byol runs/simclr"
)]
pub struct Arguments {
    /// The folder of a run that `diptych train` wrote.
    #[arg(required_unless_present = "compare")]
    run: Option<PathBuf>,
    /// The evaluation's configuration (TOML).
    #[arg(required_unless_present = "compare")]
    config: Option<PathBuf>,
    /// Show evaluations side by side: folders of runs, or their evaluation.json.
    #[arg(long, num_args = 2.., value_name = "RUN", conflicts_with_all = ["run", "config", "sets", "device", "random_init"])]
    compare: Vec<PathBuf>,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Device to run the encoder on [default: the run's own].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Judge the encoder with the weights that the run started from, drawn ones or those of encoder.weights.
    #[arg(long)]
    random_init: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parent: super::Parent,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let Arguments { run, config, compare: compared, sets, device, random_init, json, parent } = arguments;
    if !compared.is_empty() {
        let comparison = compare(&compared)?;
        let text = if json { format!("{:#}\n", comparison.to_json()) } else { comparison.to_string() };
        console::print(&text);
        return Ok(ExitCode::SUCCESS);
    }
    let run = run.context("expected the folder of a run")?;
    let config = config.context("expected an evaluation's configuration")?;
    let device = device.as_deref().map(super::parse_device).transpose()?;
    let document = Document::load(&config, &sets)?;
    let registry = plugins.load()?;
    let config = EvaluationConfig::read(&document, &registry)?;
    let stop = console::stop_flag("stopping the evaluation")?;
    parent.watch(&stop);
    let options = EvaluationOptions { random_init, device };
    let evaluation = evaluate(&run, &config, &registry, options, &stop)?;
    let text = if json { format!("{:#}\n", evaluation.to_json()) } else { evaluation.to_string() };
    console::print(&text);
    Ok(ExitCode::SUCCESS)
}
