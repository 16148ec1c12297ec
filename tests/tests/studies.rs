//! The studies that come with Diptych, planned by the binary.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use diptych_tests::{built_plugin, built_program, repository};

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
        assert!(output.status.success(), "{}: {problems}", path.display());
    }
}
