//! What the tests of several crates share: plugins, built when a test first asks for them, so that plain
//! `cargo test` works in a fresh checkout.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Root of the repository.
pub fn repository() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let support = Path::new(env!("CARGO_MANIFEST_DIR"));
        support.ancestors().nth(2).expect("this crate is two folders below the root").to_owned()
    });
    &ROOT
}

/// The shared library of a plugin package of the workspace (`diptych-augmentations`), built in the profile and target
/// folder of the running test; once per test process.
///
/// # Panics
/// When it doesn't build: its errors are printed.
pub fn built_plugin(package: &str) -> PathBuf {
    let name = format!("{}{}{}", env::consts::DLL_PREFIX, package.replace('-', "_"), env::consts::DLL_SUFFIX);
    built(package, &name)
}

/// The `diptych` binary, built like [`built_plugin`]. Tests name the plugins that it should load.
///
/// # Panics
/// When it doesn't build: its errors are printed.
pub fn built_program() -> PathBuf {
    built("diptych-cli", &format!("diptych{}", env::consts::EXE_SUFFIX))
}

/// The file `name` that building `package` leaves in the profile's folder.
fn built(package: &str, name: &str) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| build(package, name)).clone()
}

fn build(package: &str, name: &str) -> PathBuf {
    // TARGET/debug/deps/test-1234 or TARGET/release/deps/test-1234
    let test = env::current_exe().expect("the running test has a path");
    let profile_folder = test.ancestors().nth(2).expect("a test lies in TARGET/PROFILE/deps");
    let target_folder = profile_folder.parent().expect("a profile's folder lies in the target folder");
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", package, "--profile", profile, "--target-dir"])
        .arg(target_folder)
        .current_dir(repository())
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "{package} does not build");
    let file = profile_folder.join(name);
    assert!(file.is_file(), "{package} built, but {} is not there", file.display());
    file
}

/// Compiles the C plugin `tests/fixtures/SOURCE` against the generated header with the macros `defines` (`NAME` or
/// `NAME=value`) to `library`.
///
/// # Panics
/// When it doesn't compile, or gives any warning.
pub fn compile_c_plugin(source: &str, defines: &[&str], library: &Path) {
    let compiler = env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
    let status = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", "-fPIC", "-shared"])
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg("-I")
        .arg(repository().join("plugins/abi/include"))
        .arg(repository().join("tests/fixtures").join(source))
        .arg("-o")
        .arg(library)
        .status()
        .expect("a C compiler (cc, or what CC names) can be started");
    assert!(status.success(), "{source} does not compile with {defines:?}");
}
