//! The system's packages, on Debian and its kin.

use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::command::{quiet, run};

/// Installs Debian packages when that needs nobody's password; otherwise does nothing, and whoever asked finds
/// what it looked for still missing.
pub fn install(packages: &[&str]) -> Result<(), Failure> {
    let root = quiet(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0");
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return Ok(());
    }
    println!("      installing {} with apt-get", packages.join(" "));
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let remedy = "see its message above, or install the packages by hand";
    run(apt().args(["update", "-qq"]), remedy)?;
    run(apt().args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages), remedy)
}
