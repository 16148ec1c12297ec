//! The studies that come with Diptych, planned by the binary.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use diptych_tests::{built_plugin, built_program, repository};

/// Configurations may be ahead of the trainer by these.
const TO_COME: [&str; 1] = ["optimizer.micro_batches"];

fn plan(study: &Path) -> Output {
    let mut command = Command::new(built_program());
    for package in ["diptych-augmentations", "diptych-encoders", "diptych-losses"] {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    command.env_remove("DIPTYCH_PLUGIN_PATH").current_dir(repository());
    command.args(["study", "plan"]).arg(study).output().unwrap()
}

#[test]
fn every_study_that_comes_with_diptych_plans_without_problems() {
    for entry in fs::read_dir(repository().join("configs/studies")).unwrap() {
        let path = entry.unwrap().path();
        let output = plan(&path);
        let problems = String::from_utf8(output.stderr).unwrap();
        let text = problems.trim().trim_start_matches("error: ");
        let to_come = !text.is_empty()
            && text
                .lines()
                .all(|line| TO_COME.iter().any(|key| line.contains(&format!("{key}: unknown key"))));
        assert!(output.status.success() || to_come, "{}: {problems}", path.display());
    }
}
