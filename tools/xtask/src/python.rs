//! Finds Python and the C++ compiler. On Debian and its kin, as root, installs what is missing; elsewhere says how.

use std::process::Command;

use crate::Failure;
use crate::command::quiet;
use crate::packages::install;

/// Python 3 of these minor versions: those that the pinned torch has wheels for.
const MINOR_VERSIONS: std::ops::RangeInclusive<u32> = 10..=14;

/// The name of a Python that can make virtual environments, or what to install.
pub fn find() -> Result<String, Failure> {
    if let Ok(program) = look() {
        return Ok(program);
    }
    install(&["python3", "python3-venv"])?;
    look()
}

/// The first of `python3` and its versioned names that will do; else what is wrong with each.
fn look() -> Result<String, Failure> {
    let versioned = MINOR_VERSIONS.rev().map(|minor| format!("python3.{minor}"));
    let mut flaws = Vec::new();
    for program in std::iter::once("python3".to_owned()).chain(versioned) {
        match flaw(&program) {
            None => return Ok(program),
            Some(Flaw::Absent) => {}
            Some(Flaw::Unfit(reason)) => flaws.push(format!("{program} {reason}")),
        }
    }
    let found = if flaws.is_empty() { "found none".to_owned() } else { flaws.join(", ") };
    let (first, last) = (MINOR_VERSIONS.start(), MINOR_VERSIONS.end());
    Err(format!(
        "Python 3.{first} to 3.{last} with venv and pip is needed to install libtorch ({found}): on Debian and Ubuntu, \
         sudo apt-get install python3 python3-venv"
    ))
}

#[derive(Debug, PartialEq)]
enum Flaw {
    Absent,
    Unfit(String),
}

fn flaw(program: &str) -> Option<Flaw> {
    let Ok(version) = quiet(Command::new(program).args(["-c", "import sys; print(sys.version_info.minor)"]))
    else {
        return Some(Flaw::Absent);
    };
    let venv = quiet(Command::new(program).args(["-c", "import venv, ensurepip"])).is_ok();
    judge(version.trim(), venv)
}

fn judge(minor: &str, has_venv: bool) -> Option<Flaw> {
    match minor.parse::<u32>() {
        Ok(minor) if !MINOR_VERSIONS.contains(&minor) => Some(Flaw::Unfit(format!("is version 3.{minor}"))),
        Err(_) => Some(Flaw::Unfit(format!("gives its version as `{minor}`"))),
        Ok(_) if !has_venv => Some(Flaw::Unfit("lacks venv or ensurepip".to_owned())),
        Ok(_) => None,
    }
}

/// torch's bindings hold C++ code; `CXX` or else `c++` compiles it, as cargo's builds choose.
pub fn require_compiler() -> Result<(), Failure> {
    let works = |compiler: &str| quiet(Command::new(compiler).arg("--version")).is_ok();
    if let Ok(compiler) = std::env::var("CXX") {
        return if works(&compiler) {
            Ok(())
        } else {
            Err(format!("CXX names `{compiler}`, which cannot be run: set it to a C++ compiler, or unset it"))
        };
    }
    if !works("c++") {
        install(&["g++"])?;
    }
    if works("c++") {
        return Ok(());
    }
    Err("no C++ compiler was found as `c++`, and torch's bindings need one: on Debian and Ubuntu, \
         sudo apt-get install g++; elsewhere, install GCC or Clang, or set CXX"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_fits_by_version_and_venv() {
        assert_eq!(judge("11", true), None);
        assert_eq!(judge("9", true), Some(Flaw::Unfit("is version 3.9".to_owned())));
        assert_eq!(judge("15", true), Some(Flaw::Unfit("is version 3.15".to_owned())));
        assert_eq!(judge("12", false), Some(Flaw::Unfit("lacks venv or ensurepip".to_owned())));
        assert_eq!(judge("", true), Some(Flaw::Unfit("gives its version as ``".to_owned())));
    }

    #[test]
    fn a_program_that_is_not_there_is_absent() {
        assert_eq!(flaw("no-such-python"), Some(Flaw::Absent));
    }
}
