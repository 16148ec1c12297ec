//! `diptych study`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use diptych_config::Document;
use diptych_pipeline::SourceConfig;
use diptych_study::{Resolved, StudyOptions, StudyOutcome};
use diptych_trainer::RunConfig;
use diptych_trainer::config::Interval;

use super::Plugins;
use crate::console;

/// Run a study, method by variant by seed, and write its report.
///
/// Every method runs with every variant under every seed, each run a process of its own; then come the evaluations, tables,
/// charts and the report. One run's failure ends no other run. Given again, the command skips finished runs; interrupted
/// and failed ones go on from their last checkpoint. `diptych study FILE` is short for `diptych study run FILE`.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  diptych study plan configs/studies/quickstart.toml\n  diptych study configs/studies/quickstart.toml --out runs/quickstart\n  diptych study status runs/quickstart"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run a study and write its report.
    Run(Run),
    /// List the runs of a study, with what each is and where it stands, and run nothing.
    Plan(Plan),
    /// Tell where each run of a study's folder stands.
    Status(Folder),
    /// Write the report of a study's folder anew, and run nothing.
    Report(Folder),
}

#[derive(clap::Args)]
struct Run {
    /// The study (TOML).
    #[arg(required = true)]
    study: Option<PathBuf>,
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

#[derive(clap::Args)]
struct Plan {
    /// The study (TOML).
    study: PathBuf,
    /// The study's folder [default: runs/NAME-OF-THE-FILE].
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Folder {
    /// The study's folder.
    folder: PathBuf,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    match arguments.command {
        None => run_study(arguments.run, plugins),
        Some(Command::Run(run)) => run_study(run, plugins),
        Some(Command::Plan(Plan { study, out })) => {
            let out = out.unwrap_or_else(|| default_folder(&study));
            let mut resolver = Resolver { registry: plugins.load()?, known: Vec::new() };
            let plan = diptych_study::plan_of(&study, &out, |config, sets| resolver.resolve(config, sets))?;
            console::print(&format!("{plan}\n"));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Status(Folder { folder })) => {
            console::print(&format!("{}\n", diptych_study::status(&folder)?));
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Report(Folder { folder })) => {
            tell(&diptych_study::report_of_folder(&folder, &plugins.path)?)
        }
    }
}

fn run_study(arguments: Run, plugins: &Plugins) -> Result<ExitCode> {
    let Run { study, out, jobs, report_only } = arguments;
    // clap asks for it unless a command stands there.
    let study = study.unwrap_or_default();
    let options = StudyOptions {
        out: out.unwrap_or_else(|| default_folder(&study)),
        study,
        jobs,
        plugin_path: plugins.path.clone(),
        executable: std::env::current_exe()?,
        stop: console::stop_flag("stopping the runs; each writes a checkpoint")?,
    };
    let outcome = if report_only { diptych_study::report(&options)? } else { diptych_study::run(&options)? };
    tell(&outcome)
}

fn tell(outcome: &StudyOutcome) -> Result<ExitCode> {
    console::print(&format!("{outcome}\n"));
    Ok(match (outcome.interrupted, outcome.failed.is_empty()) {
        (true, _) => ExitCode::from(console::INTERRUPTED),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

fn default_folder(study: &Path) -> PathBuf {
    Path::new("runs").join(study.file_stem().unwrap_or(study.as_os_str()))
}

/// Reads the configurations of runs. The runs of a study share their data, which take a while to list.
struct Resolver {
    registry: diptych_host::Registry,
    /// Data with their number of images and their identity, or `None` where there are none.
    known: Vec<(SourceConfig, Option<(u64, String)>)>,
}

impl Resolver {
    fn resolve(&mut self, config: &Path, sets: &[String]) -> Result<Resolved> {
        let config = RunConfig::read(&Document::load(config, sets)?, &self.registry)?;
        let data = self.data(&config);
        let length = match (config.schedule.length, &data) {
            (Interval::Epochs(epochs), None) => format!("{epochs} epochs"),
            (length, data) => {
                let batches = data.as_ref().map_or(0, |(images, _)| images / config.loader.batch_size as u64);
                length.steps(config.steps_per_epoch(batches)).to_string()
            }
        };
        Ok(Resolved { length, fingerprint: data.map(|(_, identity)| config.fingerprint(&identity)) })
    }

    fn data(&mut self, config: &RunConfig) -> Option<(u64, String)> {
        let source = &config.data.source;
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == source) {
            return known.clone();
        }
        // What is wrong with the data, a run will say; a plan may be made where they are not.
        let found = config.data.open().ok().map(|source| (source.len() as u64, source.identity()));
        self.known.push((source.clone(), found.clone()));
        found
    }
}
