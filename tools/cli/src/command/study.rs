//! `diptych study`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use diptych_study::StudyOptions;

use super::Plugins;
use crate::console;

/// Run a study, method by variant by seed, and write its report.
///
/// Every method runs with every variant under every seed, each run a process of its own; then come the evaluations, tables,
/// charts and the report. One run's failure ends no other run. Given again, the command skips finished runs; interrupted
/// and failed ones go on from their last checkpoint.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  diptych study configs/studies/quickstart.toml --out runs/quickstart")]
pub struct Arguments {
    /// The study (TOML).
    study: PathBuf,
    /// The study's folder [default: runs/NAME-OF-THE-FILE].
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// How many runs at a time, 0 for one per core [default: what the study says, else one per two cores].
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Train nothing: write the report anew from the runs that are there.
    #[arg(long)]
    report_only: bool,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let Arguments { study, out, jobs, report_only } = arguments;
    let out = out.unwrap_or_else(|| Path::new("runs").join(study.file_stem().unwrap_or(study.as_os_str())));
    let options = StudyOptions {
        out,
        study,
        jobs,
        plugin_path: plugins.path.clone(),
        executable: std::env::current_exe()?,
        stop: console::stop_flag("stopping the runs; each writes a checkpoint")?,
    };
    let outcome = if report_only { diptych_study::report(&options)? } else { diptych_study::run(&options)? };
    console::print(&format!("{outcome}\n"));
    Ok(match (outcome.interrupted, outcome.failed.is_empty()) {
        (true, _) => ExitCode::from(console::INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}
