// Shared by the build scripts of every crate whose binaries, tests or plugins run libtorch; `include!`d, then called as
// `link_libtorch()`. It makes them find libtorch by rpath, and gives the crate libtorch's version as the environment
// variable `DIPTYCH_TORCH_VERSION` (`env!`).

/// Emits the rpath and the version of the libtorch that torch-sys was built with.
fn link_libtorch() {
    use std::path::{Path, PathBuf};

    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=LIBTORCH_LIB");
    println!("cargo::rerun-if-changed=build.rs");
    // torch-sys tells its direct dependents; the others repeat how it looks.
    let from_torch_sys = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    let from_environment = || {
        std::env::var_os("LIBTORCH_LIB")
            .or_else(|| std::env::var_os("LIBTORCH"))
            .map(|root| Path::new(&root).join("lib"))
    };
    let Some(folder) = from_torch_sys.or_else(from_environment) else {
        panic!("found no libtorch: run `cargo xtask setup`, or set LIBTORCH to a folder with libtorch 2.11.0");
    };
    let folder = std::path::absolute(&folder).expect("a working directory");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());

    let header = folder.join("../include/torch/headeronly/version.h");
    println!("cargo::rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(&header)
        .unwrap_or_else(|error| panic!("cannot read libtorch's version from {}: {error}", header.display()));
    let number = |name: &str| {
        let found = text.lines().find_map(|line| {
            line.strip_prefix("#define ")?.strip_prefix(name)?.trim().parse::<u32>().ok()
        });
        found.unwrap_or_else(|| panic!("{} doesn't define {name}", header.display()))
    };
    println!(
        "cargo::rustc-env=DIPTYCH_TORCH_VERSION={}.{}.{}",
        number("TORCH_VERSION_MAJOR"),
        number("TORCH_VERSION_MINOR"),
        number("TORCH_VERSION_PATCH")
    );
}
