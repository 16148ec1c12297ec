//! `cargo xtask`: what takes a fresh clone to a result in one command.
//!
//! Everything is made within the repository: libtorch in `.venv`, the builds where cargo puts them, the demo data
//! in `demo`, the demo study in `runs`. Each step finds out from the disk whether it is done, so a command that was
//! interrupted goes on where it stopped.

mod browser;
mod command;
mod libtorch;
mod new_plugin;
mod packages;
mod plugins;
mod python;
mod steps;
mod wheels;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use command::run;
use steps::Steps;

const HELP: &str = "\
Sets up, builds, tests and demonstrates Diptych.

Usage: cargo xtask COMMAND

Commands:
  quickstart  Sets up, builds, makes the demo data, runs the demo study, and names the report to open
  test        Sets up, builds, and runs every test
  setup       Sets up only: afterwards plain `cargo build --release` and `cargo test --release` work
  new-plugin FOLDER
              Makes FOLDER a plugin of your own, a copy of plugins/template that builds wherever it lies

Options:
  -h, --help  Prints this

Set-up installs libtorch into .venv with pip (about 550 MB to download; with an NVIDIA GPU several times that, for
CUDA), unless the variable LIBTORCH names the folder of a libtorch of the same version. `test` also looks for Chromium, which
tests of reports open pages in, and installs it where that needs nobody's password.
";

/// What ended a command: a message for the user, with its remedy.
type Failure = String;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["quickstart"] => quickstart(),
        ["test"] => test(),
        ["setup"] => setup(),
        ["new-plugin", folder] => new_plugin(Path::new(folder)),
        [] | ["-h" | "--help" | "help"] => {
            print!("{HELP}");
            Ok(())
        }
        ["new-plugin", ..] => {
            Err("new-plugin takes one argument, the folder to make: cargo xtask new-plugin FOLDER".into())
        }
        _ => Err(format!("unknown command `{}`: see cargo xtask --help", arguments.join(" "))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn setup() -> Result<(), Failure> {
    let mut steps = Steps::new(3);
    set_up(&mut steps)?;
    steps.done("cargo build --release builds everything, target/release/diptych runs it");
    Ok(())
}

fn new_plugin(folder: &Path) -> Result<(), Failure> {
    let library = new_plugin::create(&root(), folder)?.replace('-', "_");
    println!(
        "made {0}: change {0}/src/lib.rs, then\n  \
         cargo build --release --manifest-path {0}/Cargo.toml\n  \
         diptych --plugin-path {0}/target/release/{1}{library}{2} plugin list",
        folder.display(),
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX,
    );
    Ok(())
}

fn test() -> Result<(), Failure> {
    let mut steps = Steps::new(6);
    set_up(&mut steps)?;
    steps.next("looking for a browser");
    browser::provide();
    build(&mut steps)?;
    steps.next("running the tests (release)");
    // The profile of the build, because torch's bindings take minutes to compile.
    run(cargo().args(["test", "--release", "--workspace"]), "see the failing test above")?;
    steps.done("every test passes");
    Ok(())
}

fn quickstart() -> Result<(), Failure> {
    let mut steps = Steps::new(6);
    let place = set_up(&mut steps)?;
    build(&mut steps)?;

    let diptych = || {
        let mut command = Command::new(place.target.join("release/diptych"));
        command.current_dir(&place.root);
        command
    };
    steps.next("making the demo data in demo");
    let splits = ["--split", "train=4096", "--split", "validation=1000", "--split", "test=1000"];
    run(diptych().args(["synth", "demo"]).args(splits), "see its message above")?;

    steps.next("running the demo study into runs/quickstart");
    let study = ["study", "configs/studies/quickstart.toml", "--out", "runs/quickstart"];
    run(
        diptych().args(study),
        "see its message above; the same command again goes on with what is left to do",
    )?;
    let report = place.root.join("runs/quickstart/report.html");
    if !report.is_file() {
        return Err(format!("the study ended without its report {}", report.display()));
    }
    steps.done(&format!("open {}", report.display()));
    Ok(())
}

/// Where things are.
struct Place {
    root: PathBuf,
    target: PathBuf,
}

/// The first three steps of every command.
fn set_up(steps: &mut Steps) -> Result<Place, Failure> {
    let root = root();
    steps.next("looking for a C++ compiler");
    python::require_compiler()?;
    steps.next("looking for libtorch");
    libtorch::provide(&root)?;
    steps.next("linking the built-in plugins beside the binary");
    let target = target_folder(&root)?;
    plugins::link(&target)?;
    Ok(Place { root, target })
}

fn build(steps: &mut Steps) -> Result<(), Failure> {
    steps.next("building (release)");
    run(cargo().args(["build", "--release", "--workspace"]), "see the compiler's message above")
}

/// The repository, wherever cargo was called in it.
fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).ancestors().nth(2).expect("this package is two folders deep").to_owned()
}

fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo builds, which the user may have changed by a variable or a setting.
fn target_folder(root: &Path) -> Result<PathBuf, Failure> {
    let metadata = command::output(
        cargo().current_dir(root).args(["metadata", "--no-deps", "--format-version", "1"]),
        "run the command by itself to see why",
    )?;
    let folder = json_text(&metadata, "target_directory")
        .ok_or("cargo metadata names no target_directory: expected cargo 1.90 or later")?;
    Ok(PathBuf::from(folder))
}

/// The value of a key of text in JSON that has it once at the level sought; enough for a path in cargo's metadata.
fn json_text(json: &str, key: &str) -> Option<String> {
    let start = json.rfind(&format!("\"{key}\":\""))? + key.len() + 4;
    let mut value = String::new();
    let mut characters = json[start..].chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\' | '/') => value.push(escaped),
                // Control characters, which no sane path has.
                _ => return None,
            },
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_target_folder_in_cargos_metadata() {
        let json = r#"{"packages":[{"name":"a"}],"target_directory":"/home/\"me\"/t\\x","version":1}"#;
        assert_eq!(json_text(json, "target_directory").as_deref(), Some(r#"/home/"me"/t\x"#));
        assert_eq!(json_text(json, "build_directory"), None);
        assert_eq!(json_text(r#"{"target_directory":"/unfinished"#, "target_directory"), None);
    }

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        assert!(root().join("tools/xtask/Cargo.toml").is_file());
        assert!(root().join("Cargo.lock").is_file());
    }
}
