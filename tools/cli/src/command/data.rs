//! `diptych data`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use diptych_pipeline::{SourceConfig, Split};
use indicatif::{ProgressBar, ProgressStyle};

use crate::console;

/// What to do with a set of images.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Read every image, and report what is broken, duplicate or odd.
    ///
    /// Reports formats, sizes, images per class, images with the same bytes or pixels, and images that cannot be read; ends
    /// with status 1 when there are any of the latter.
    Check(CheckArguments),
}

/// Which set.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych data check photos\n  diptych data check 'packed/{000000..000146}.tar' --json"
)]
pub struct CheckArguments {
    /// A folder of images, tar or Parquet shards (a file, a folder or a pattern), a list (.csv, .jsonl), or whatever else a
    /// run's data.path may name.
    path: PathBuf,
    /// Print the report as JSON, every list in full.
    #[arg(long)]
    json: bool,
    /// Threads [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
}

pub fn run(command: Command) -> Result<ExitCode> {
    let Command::Check(CheckArguments { path, json, workers }) = command;
    let source = SourceConfig::new(path).open(Split::Train)?;
    let bar = ProgressBar::new(source.len() as u64).with_style(ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} images {per_sec} {eta} left",
    )?);
    let stop = console::stop_flag("stopping")?;
    let report =
        diptych_pack::check::check(source.as_ref(), workers, &|done, _| bar.set_position(done), &stop)?;
    bar.finish_and_clear();
    let Some(report) = report else {
        return Ok(ExitCode::from(console::INTERRUPTED));
    };
    let text = if json { format!("{:#}\n", serde_json::to_value(&report)?) } else { report.to_string() };
    console::print(&text);
    Ok(if report.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
