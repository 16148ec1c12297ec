//! A job array for Slurm: one task for each run that is not done.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::quoted;

/// What a script needs to know.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    /// For the queue.
    pub name: &'a str,
    /// The study file.
    pub study: &'a Path,
    /// The study's folder, which all nodes see.
    pub out: &'a Path,
    /// Ids of the runs.
    pub runs: &'a [String],
    /// Device of each run, unless it is what the configurations name.
    pub device: Option<&'a str>,
    /// Whether some of them failed before.
    pub retry_failed: bool,
    /// The `diptych` binary.
    pub executable: &'a Path,
    /// Handed on to it.
    pub plugin_path: &'a [PathBuf],
}

impl Script<'_> {
    /// The script's text. Paths are made whole, for a job may start elsewhere; those in the study's overrides start from the
    /// folder in which this is called, so the script goes there first.
    pub fn text(&self) -> Result<String> {
        if self.runs.is_empty() {
            bail!(
                "every run is done or has failed: there is nothing for Slurm to do; see `diptych study status {}`, and --retry-failed",
                self.out.display()
            );
        }
        let here = std::env::current_dir().context("the working directory is gone")?;
        let log = here.join(self.out).to_string_lossy().replace('%', "%%") + "/slurm-%A_%a.txt";
        for text in [self.name, &log] {
            if text.contains(['\n', '\r', '\\']) {
                bail!(
                    "found a line break or a backslash in {text:?}, which Slurm would take for its own; give the study another `name`, or another folder with --out"
                );
            }
        }
        let whole = |path: &Path| quoted(&here.join(path).to_string_lossy());
        let plugins = self.plugin_path.iter().map(|path| format!(" --plugin-path {}", whole(path)));
        let diptych = format!("{}{}", whole(self.executable), plugins.collect::<String>());
        let on_gpu = self.device.is_some_and(|device| device.starts_with("cuda"));
        let device = self.device.map_or(String::new(), |device| format!(" --device {}", quoted(device)));
        let retry = if self.retry_failed { " --retry-failed" } else { "" };
        Ok(format!(
            "#!/bin/bash
# {name}: {count} runs, one task each. Set what your cluster needs in the lines up to the empty one, then:
#
#   sbatch FILE
#   diptych study status {out}       # where they stand
#
# Tasks that were ended by their time limit go on when the same script is submitted again; tasks of runs that are done end
# at once. When all have ended, write the report:
#
#   diptych study report {out}
#
#SBATCH --job-name={job}
#SBATCH --array=0-{last}
#SBATCH --output={log}
#SBATCH --time=24:00:00
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
{gpus}
##SBATCH --partition=NAME
##SBATCH --account=NAME
# Two minutes before the time is up, runs write a checkpoint and end.
#SBATCH --signal=B:INT@120

runs=(
{runs}
)
cd {here}
exec {diptych} study run {study} --out {out} --jobs 1{device}{retry} --only \"${{runs[$SLURM_ARRAY_TASK_ID]}}\"
",
            name = self.name,
            job = directive(self.name),
            count = self.runs.len(),
            last = self.runs.len() - 1,
            log = directive(&log),
            gpus = if on_gpu { "#SBATCH --gpus=1" } else { "##SBATCH --gpus=1" },
            runs = self.runs.iter().map(|run| format!("  {run}")).collect::<Vec<_>>().join("\n"),
            here = quoted(&here.to_string_lossy()),
            study = whole(self.study),
            out = whole(self.out),
        ))
    }
}

/// As `sbatch` reads the value of an option behind `#SBATCH`: quotes group, a backslash takes the next character as it is.
fn directive(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str, out: &str) -> Result<String> {
        let script = Script {
            name,
            study: Path::new("study.toml"),
            out: Path::new(out),
            runs: &["a-baseline-seed0".into()],
            device: None,
            retry_failed: false,
            executable: Path::new("/bin/diptych"),
            plugin_path: &[],
        };
        script.text()
    }

    #[test]
    fn names_and_folders_with_spaces_and_signs_stay_one_value() {
        let text = script("my \"first\" study", "/runs/50 % #1").unwrap();
        assert!(text.contains("\n#SBATCH --job-name=\"my \\\"first\\\" study\"\n"), "{text}");
        assert!(text.contains("\n#SBATCH --output=\"/runs/50 %% #1/slurm-%A_%a.txt\"\n"), "{text}");
    }

    #[test]
    fn what_would_add_lines_to_the_script_is_refused() {
        for (name, out) in [("a\n#SBATCH --uid=0", "out"), ("a", "out\nrm"), ("a", "back\\slash")] {
            let error = script(name, out).unwrap_err().to_string();
            assert!(error.starts_with("found a line break or a backslash"), "{error}");
        }
    }
}
