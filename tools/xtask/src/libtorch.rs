//! Finds libtorch, or installs it into `.venv`.
//!
//! libtorch is the one of PyTorch's own wheel. Of the wheel's dependencies the CPU's part of libtorch loads two
//! small CUDA libraries; the gigabytes that the GPU's part needs are installed where there is an NVIDIA GPU.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::command::{output, quiet, run};
use crate::plugins::link_to;
use crate::python;
use crate::wheels;

/// The libtorch that tch and torch-sys of the workspace's Cargo.toml were generated for.
const VERSION: &str = "2.11.0";
/// What `libtorch_cpu.so` of that version loads, as folder name, pip's name, and version prefix.
const CPU_LIBRARIES: [(&str, &str, &str); 2] = [
    ("nvidia_cuda_runtime", "nvidia-cuda-runtime", "13.0."),
    ("nvidia_cuda_cupti", "nvidia-cuda-cupti", "13.0."),
];
/// Disk for pip's download, its cache and the installed files, in MiB; seen by trial and rounded up.
const CPU_SPACE: u64 = 3 * 1024;
const CUDA_SPACE: u64 = 12 * 1024;

/// What the wheel is installed for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flavour {
    Cpu,
    Cuda,
}

/// Makes sure that cargo finds a libtorch that loads.
pub fn provide(root: &Path) -> Result<(), Failure> {
    let own = root.join(".venv/libtorch");
    // Cargo itself sets LIBTORCH to the project's own, by .cargo/config.toml, unless the user has set it.
    match std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|given| *given != own) {
        Some(given) => check(&given, Flavour::Cpu, "python3").map_err(|flaw| {
            format!("LIBTORCH={}: {flaw}; unset LIBTORCH to have set-up install one", given.display())
        }),
        None => install(root, &own),
    }
}

/// The wheel in the project's own virtual environment, each part only where it is missing.
fn install(root: &Path, own: &Path) -> Result<(), Failure> {
    let flavour = if has_nvidia_gpu() { Flavour::Cuda } else { Flavour::Cpu };
    let environment = root.join(".venv");
    let venv_python = environment.join("bin/python");
    if let Ok(packages) = packages_folder(&venv_python)
        && is_installed(&packages, flavour)
        && link_torch(&environment, &packages, own).is_ok()
        && check(own, flavour, &venv_python.to_string_lossy()).is_ok()
    {
        return Ok(());
    }

    require_platform(std::env::consts::OS, std::env::consts::ARCH)?;
    require_space(root, flavour)?;
    if quiet(Command::new(&venv_python).args(["-m", "pip", "--version"])).is_err() {
        let python = python::find()?;
        println!("      making a Python virtual environment in .venv");
        run(
            Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment),
            "see its message above; on Debian and Ubuntu, sudo apt-get install python3-venv",
        )?;
    }
    let packages = packages_folder(&venv_python)?;
    for (name, version) in wheels::broken(&packages) {
        println!("      installing {name} again: it was interrupted");
        // Over what is there: pip cannot uninstall a package whose list of files is missing.
        pip(&venv_python, &["--no-deps", "--ignore-installed", &format!("{name}=={version}")])?;
    }
    for arguments in missing(&packages, flavour) {
        println!("      installing {}", arguments.last().map_or("", String::as_str));
        pip(&venv_python, &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    link_torch(&environment, &packages, own)?;
    check(own, flavour, &venv_python.to_string_lossy())
        .map_err(|flaw| format!("{}: {flaw}; remove {} and try again", own.display(), environment.display()))
}

/// The arguments of each `pip install` that is still to be done, the package last.
fn missing(packages: &Path, flavour: Flavour) -> Vec<Vec<String>> {
    let torch = format!("torch=={VERSION}");
    match flavour {
        Flavour::Cuda => vec![vec![torch]],
        Flavour::Cpu => {
            let mut missing = Vec::new();
            if !wheels::is_whole(packages, "torch", VERSION) {
                missing.push(vec!["--no-deps".to_owned(), torch]);
            }
            for (folder, name, version) in CPU_LIBRARIES {
                if wheels::whole_version(packages, folder, version).is_none() {
                    missing.push(vec!["--no-deps".to_owned(), format!("{name}=={version}*")]);
                }
            }
            missing
        }
    }
}

/// Whether pip has nothing to do. What CUDA needs beside torch itself, only loading it tells.
fn is_installed(packages: &Path, flavour: Flavour) -> bool {
    match flavour {
        Flavour::Cpu => missing(packages, flavour).is_empty(),
        Flavour::Cuda => wheels::is_whole(packages, "torch", VERSION) && wheels::broken(packages).is_empty(),
    }
}

fn pip(python: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let progress = if std::io::stdout().is_terminal() { "on" } else { "off" };
    run(
        Command::new(python)
            .args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile"])
            .args(["--progress-bar", progress])
            .args(arguments),
        "see pip's message above; without a network, unpack that version of libtorch yourself and set LIBTORCH to \
         its folder; the same command again goes on where this one stopped",
    )
}

/// Where the environment's pip puts packages that hold binaries.
fn packages_folder(python: &Path) -> Result<PathBuf, Failure> {
    let program = "import sysconfig; print(sysconfig.get_path('platlib'))";
    if !python.exists() {
        return Err(format!("{} is missing", python.display()));
    }
    let folder = output(Command::new(python).args(["-c", program]), "remove .venv and try again")?;
    Ok(PathBuf::from(folder.trim()))
}

/// `.venv/libtorch -> lib/python3.X/site-packages/torch`: a name that no Python version changes, relative so that
/// the repository can be moved.
fn link_torch(environment: &Path, packages: &Path, own: &Path) -> Result<(), Failure> {
    let torch = packages.join("torch");
    link_to(torch.strip_prefix(environment).unwrap_or(&torch), own)
}

/// Whether a folder holds the libtorch wanted, and it loads; else what is wrong with it.
fn check(folder: &Path, flavour: Flavour, python: &str) -> Result<(), String> {
    let extension = std::env::consts::DLL_EXTENSION;
    let mut libraries = vec![folder.join(format!("lib/libtorch_cpu.{extension}"))];
    if flavour == Flavour::Cuda {
        libraries.push(folder.join(format!("lib/libtorch_cuda.{extension}")));
    }
    if let Some(library) = libraries.iter().find(|library| !library.is_file()) {
        return Err(format!("expected a folder of libtorch {VERSION}, but {} is missing", library.display()));
    }
    match version(folder) {
        None => {
            return Err(format!(
                "its version cannot be told from include/ or version.py; expected {VERSION}"
            ));
        }
        Some(found) if found != VERSION => return Err(format!("is libtorch {found}, expected {VERSION}")),
        Some(_) => {}
    }
    // Loading is the proof; where there is no Python to try it with, the build will tell.
    if quiet(Command::new(python).arg("--version")).is_err() {
        return Ok(());
    }
    let load = "import ctypes, sys\nfor path in sys.argv[1:]: ctypes.CDLL(path)";
    quiet(Command::new(python).args(["-c", load]).args(&libraries)).map(drop).map_err(|complaint| {
        let reason = complaint.lines().last().unwrap_or("no reason given").to_owned();
        format!("libtorch cannot be loaded: {reason}")
    })
}

/// From the headers, which the wheel and the zip archive have, or else from the wheel's Python.
fn version(folder: &Path) -> Option<String> {
    let read = |path: &str| fs::read_to_string(folder.join(path)).ok();
    let header = ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"]
        .iter()
        .find_map(|path| header_version(&read(path)?));
    header.or_else(|| python_version(&read("version.py")?))
}

/// From `#define TORCH_VERSION \` and the text in quotes after it.
fn header_version(header: &str) -> Option<String> {
    let (_, after) = header.split_once("#define TORCH_VERSION \\")?;
    Some(after.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned())
}

/// From `__version__ = '2.11.0+cu130'`, without the build's name.
fn python_version(source: &str) -> Option<String> {
    let (_, after) = source.split_once("__version__ = '")?;
    Some(after.split_once('\'')?.0.split('+').next()?.to_owned())
}

fn has_nvidia_gpu() -> bool {
    Path::new("/dev/nvidiactl").exists() || quiet(Command::new("nvidia-smi").arg("-L")).is_ok()
}

fn require_platform(system: &str, processor: &str) -> Result<(), Failure> {
    if (system, processor) == ("linux", "x86_64") {
        return Ok(());
    }
    Err(format!(
        "set-up can install libtorch on x86-64 Linux only, and this is {system} on {processor}: \
         unpack libtorch {VERSION} for it yourself and set LIBTORCH to its folder"
    ))
}

fn require_space(root: &Path, flavour: Flavour) -> Result<(), Failure> {
    let needed = if flavour == Flavour::Cuda { CUDA_SPACE } else { CPU_SPACE };
    // Without a `df` that answers, pip will tell.
    let free = quiet(Command::new("df").args(["-Pm"]).arg(root)).ok().and_then(|table| free_space(&table));
    match free {
        Some(free) if free < needed => Err(format!(
            "{} has {:.1} GiB free, and installing libtorch takes {} GiB: free some space, or set LIBTORCH to the \
             folder of a libtorch {VERSION}",
            root.display(),
            free as f64 / 1024.0,
            needed / 1024
        )),
        _ => Ok(()),
    }
}

/// MiB available, from the fourth column of the second line that `df -Pm` prints.
fn free_space(table: &str) -> Option<u64> {
    table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheels::tests::Scratch;

    #[test]
    fn reads_the_version_from_a_header() {
        let header = "#define TORCH_VERSION_MAJOR 2\n/// As text.\n#define TORCH_VERSION \\\n  \"2.11.0\"\n";
        assert_eq!(header_version(header).as_deref(), Some("2.11.0"));
        assert_eq!(header_version("#define TORCH_VERSION_MAJOR 2"), None);
    }

    #[test]
    fn reads_the_version_from_python_without_the_name_of_the_build() {
        let source = "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n";
        assert_eq!(python_version(source).as_deref(), Some("2.11.0"));
    }

    #[test]
    fn reads_the_free_space_from_df() {
        let table =
            "Filesystem 1048576-blocks Used Available Capacity Mounted on\n/dev/a 257000 100 79000 16% /\n";
        assert_eq!(free_space(table), Some(79000));
        assert_eq!(free_space("no such table"), None);
    }

    #[test]
    fn a_platform_without_a_wheel_is_told_what_to_do() {
        assert_eq!(require_platform("linux", "x86_64"), Ok(()));
        let message = require_platform("macos", "aarch64").unwrap_err();
        assert!(
            message.contains("this is macos on aarch64") && message.contains("set LIBTORCH"),
            "{message}"
        );
    }

    #[test]
    fn a_folder_of_another_version_is_named_with_both() {
        let folder = Scratch::new("libtorch");
        let flaw = |flavour| check(&folder.0, flavour, "python3").unwrap_err();
        assert!(flaw(Flavour::Cpu).ends_with("is missing"));

        let library = |name: &str| format!("lib/{name}.{}", std::env::consts::DLL_EXTENSION);
        folder.write(&library("libtorch_cpu"), "not a library");
        assert!(flaw(Flavour::Cpu).starts_with("its version cannot be told"));
        assert!(flaw(Flavour::Cuda).contains("libtorch_cuda"));

        folder.write("version.py", "__version__ = '2.7.1+cpu'\n");
        assert_eq!(flaw(Flavour::Cpu), format!("is libtorch 2.7.1, expected {VERSION}"));

        folder.write("version.py", &format!("__version__ = '{VERSION}+cpu'\n"));
        assert!(flaw(Flavour::Cpu).starts_with("libtorch cannot be loaded: "), "{}", flaw(Flavour::Cpu));
    }

    #[test]
    fn on_a_cpu_only_what_is_missing_is_installed() {
        let packages = Scratch::new("missing");
        assert_eq!(missing(&packages.0, Flavour::Cpu).len(), 3);
        packages.write("torch-2.11.0.dist-info/RECORD", "torch-2.11.0.dist-info/RECORD,,\n");
        packages.write(
            "nvidia_cuda_cupti-13.0.85.dist-info/RECORD",
            "nvidia_cuda_cupti-13.0.85.dist-info/RECORD,,\n",
        );
        assert_eq!(
            missing(&packages.0, Flavour::Cpu),
            [["--no-deps".to_owned(), "nvidia-cuda-runtime==13.0.*".to_owned()]]
        );
        assert_eq!(missing(&packages.0, Flavour::Cuda), [["torch==2.11.0".to_owned()]]);
    }
}
