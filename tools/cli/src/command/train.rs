//! `diptych train`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use diptych_config::Document;
use diptych_trainer::config::RunConfig;
use diptych_trainer::{Outcome, TrainOptions};

use super::{Plugins, quoted};
use crate::console;

/// Train an encoder without labels.
///
/// Writes the run's folder: resolved configuration, metrics, TensorBoard events, log and checkpoints. Ctrl-C ends a run with a checkpoint; --resume goes on from there.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych train configs/pretrain/byol_demo.toml --out runs/byol\n  diptych train configs/pretrain/byol_demo.toml --out runs/byol --resume\n  diptych train configs/pretrain/byol_demo.toml --out runs/no-gray --set 'augmentations.remove=[\"grayscale\"]'"
)]
pub struct Arguments {
    /// The run's configuration (TOML).
    config: PathBuf,
    /// The run's folder [default: runs/NAME-OF-THE-CONFIG].
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Device to train on: cpu, cuda or cuda:N. Short for --set device=...
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Go on from the latest checkpoint in the run's folder.
    #[arg(long)]
    resume: bool,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    parent: super::Parent,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let Arguments { config: path, out, mut sets, device, resume, quiet, parent } = arguments;
    let given = again(&plugins.path, &sets, device.as_deref());
    if let Some(device) = device {
        sets.push(format!("device={device}"));
    }
    let document = Document::load(&path, &sets)?;
    let registry = plugins.load()?;
    let config = RunConfig::read(&document, &registry)?;
    let out = out.unwrap_or_else(|| default_folder(&path));
    let stop = console::stop_flag("stopping after this step")?;
    parent.watch(&stop);
    if resume && !out.join("run.json").exists() {
        console::note(&format!("{} holds no run yet: beginning with the first step", out.display()));
    }
    let options = TrainOptions { resume, quiet };
    match diptych_trainer::train(&config, &registry, &out, options, &stop)? {
        Outcome::Finished(summary) => {
            console::print(&format!(
                "finished {} steps in {:.0} s: {}\n",
                summary.steps,
                summary.seconds,
                out.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::StoppedEarly(summary) => {
            console::print(&format!(
                "collapsed, and ended at step {} of {} as diagnostics.stop_collapsed says: {}\n",
                summary.step,
                summary.steps,
                out.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Outcome::Interrupted(summary) => {
            console::print(&format!(
                "interrupted at step {} of {}, checkpoint written: go on with\n  diptych train {} --out {}{given} --resume\n",
                summary.step,
                summary.steps,
                quoted(&path.display().to_string()),
                quoted(&out.display().to_string())
            ));
            Ok(ExitCode::from(console::INTERRUPTED))
        }
    }
}

/// The options that a resumed run has to be given again.
fn again(plugin_path: &[PathBuf], sets: &[String], device: Option<&str>) -> String {
    let paths = plugin_path.iter().map(|path| ("--plugin-path", path.display().to_string()));
    let sets = sets.iter().map(|set| ("--set", set.clone()));
    let device = device.map(|device| ("--device", device.to_owned()));
    paths.chain(sets).chain(device).map(|(option, value)| format!(" {option} {}", quoted(&value))).collect()
}

fn default_folder(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_is_given_every_option_again_as_a_shell_reads_it() {
        let sets = ["data.path=a b".to_owned(), "augmentations.remove=[\"it's\"]".to_owned()];
        assert_eq!(
            again(&["/p".into()], &sets, Some("cuda:1")),
            " --plugin-path /p --set 'data.path=a b' --set 'augmentations.remove=[\"it'\\''s\"]' --device cuda:1"
        );
        assert_eq!(again(&[], &[], None), "");
    }
}
