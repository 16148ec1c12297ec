//! `diptych study`.

mod resolver;
mod slurm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use diptych_study::{SlotOptions, Standing, StudyConfig, StudyOptions, StudyOutcome};

use super::Plugins;
use crate::console;
use resolver::Resolver;

/// Run a study, method by variant by seed, and write its report.
///
/// Every method runs with every variant under every seed, each run a process of its own; then come the evaluations, tables,
/// charts and the report. One run's failure ends no other run. Given again, the command skips finished runs, goes on with
/// interrupted ones from their last checkpoint, and reports failed ones; --retry-failed tries those again. Given several times at
/// once, on one machine or on several that share the folder, the commands share the work and no run is done twice.
/// `diptych study FILE` is short for `diptych study run FILE`.
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
    #[command(flatten)]
    slots: Slots,
    /// How many runs at a time, 0 for one per core [default: what the study says, else as many as the devices take, or one per two cores].
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Run the runs of these ids alone, and write no report.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Try failed runs again, from their last checkpoint.
    #[arg(long)]
    retry_failed: bool,
    /// Once all runs are done or begun, don't wait for those that other commands on the same folder are at.
    #[arg(long)]
    no_wait: bool,
    /// Train nothing: write the report anew from the runs that are there.
    #[arg(long, conflicts_with_all = ["only", "retry_failed", "no_wait"])]
    report_only: bool,
}

#[derive(clap::Args)]
struct Slots {
    /// Where to train and evaluate, cpu, cuda or cuda:N, several divided by commas [default: what the study says, else the runs' own].
    #[arg(long, value_name = "DEVICES", value_delimiter = ',')]
    device: Option<Vec<String>>,
    /// How many runs at a time on each device [default: what the study says, else 1].
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    jobs_per_device: Option<usize>,
}

#[derive(clap::Args)]
struct Plan {
    /// The study (TOML).
    study: PathBuf,
    /// The study's folder [default: runs/NAME-OF-THE-FILE].
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Write a job array for Slurm, a task for each run that is not done [default: study.sbatch in the study's folder].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    slurm: Option<Option<PathBuf>>,
    /// With --slurm: where to train and evaluate, cpu or cuda [default: what the study says, else the runs' own].
    #[arg(long, value_name = "DEVICE", requires = "slurm")]
    device: Option<String>,
    /// With --slurm: try failed runs again.
    #[arg(long, requires = "slurm")]
    retry_failed: bool,
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
        Some(Command::Plan(plan)) => plan_study(plan, plugins),
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
    let Run { study, out, slots, jobs, only, retry_failed, no_wait, report_only } = arguments;
    // clap asks for it unless a command stands there.
    let study = study.unwrap_or_default();
    for device in slots.device.iter().flatten() {
        super::parse_device(device)?;
    }
    let mut resolver = Resolver::new(plugins.load()?);
    // The live table tells it, and would be torn by another line.
    let stopping = match diptych_study::is_live() {
        true => None,
        false => Some("stopping the runs; each writes a checkpoint"),
    };
    let options = StudyOptions {
        out: out.unwrap_or_else(|| default_folder(&study)),
        study,
        slots: SlotOptions { jobs, devices: slots.device, jobs_per_device: slots.jobs_per_device },
        only,
        retry_failed,
        waits: !no_wait,
        plugin_path: plugins.path.clone(),
        executable: std::env::current_exe()?,
        stop: console::stop_flag(stopping)?,
    };
    let outcome = match report_only {
        true => diptych_study::report(&options, &mut resolver)?,
        false => diptych_study::run(&options, &mut resolver)?,
    };
    tell(&outcome)
}

fn plan_study(arguments: Plan, plugins: &Plugins) -> Result<ExitCode> {
    let Plan { study, out, slurm, device, retry_failed } = arguments;
    let out = out.unwrap_or_else(|| default_folder(&study));
    let plan = diptych_study::plan_of(&study, &out, &mut Resolver::new(plugins.load()?))?;
    console::print(&format!("{plan}\n"));
    let Some(file) = slurm else { return Ok(ExitCode::SUCCESS) };
    if let Some(device) = &device {
        super::parse_device(device)?;
    }
    let file = file.unwrap_or_else(|| out.join("study.sbatch"));
    let config = StudyConfig::load(&study)?;
    let is_left = |standing: &Standing| match standing {
        Standing::Failed(_) => retry_failed,
        standing => !standing.is_result(),
    };
    let left = plan.runs.iter().filter(|(_, _, standing)| is_left(standing));
    let runs: Vec<String> = left.map(|(run, ..)| run.id.clone()).collect();
    let script = slurm::Script {
        name: &config.name,
        study: &study,
        out: &out,
        runs: &runs,
        device: device.as_ref().or(config.devices.first()).map(String::as_str),
        retry_failed,
        executable: &std::env::current_exe()?,
        plugin_path: &plugins.path,
    };
    let text = script.text()?;
    // Slurm writes the tasks' output there, and makes no folder for it.
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    diptych_report::replace(&file, text.as_bytes())?;
    console::print(&format!(
        "a job array of {} tasks: {}; see its head, then `sbatch {}`\n",
        runs.len(),
        file.display(),
        super::quoted(&file.to_string_lossy())
    ));
    Ok(ExitCode::SUCCESS)
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
