//! A browser for the tests that open reports in one. Only they need it, so that it is missing is no failure.

use std::process::Command;

use crate::command::quiet;
use crate::packages;

/// As the tests look for it, in this order.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Looks for a browser; where there is none installs one if that needs nobody's password, and else says what is skipped.
pub fn provide() {
    if found() {
        return;
    }
    let failure = packages::install(&["chromium"]).err();
    if !found() {
        let why = failure.map_or(String::new(), |failure| format!(" ({failure})"));
        println!(
            "      no Chromium was found{why}: tests that open reports in a browser will be skipped; \
             on Debian, sudo apt-get install chromium"
        );
    }
}

fn found() -> bool {
    PROGRAMS.iter().any(|program| quiet(Command::new(program).arg("--version")).is_ok())
}
