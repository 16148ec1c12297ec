//! Finds libtorch (see `plugins/sdk-tensor/rpath.rs`) and compiles the C++ shim of what tch lacks.

use std::path::{Path, PathBuf};

include!("../plugins/sdk-tensor/rpath.rs");

fn main() {
    link_libtorch();
    let library =
        std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).expect("torch-sys names its libtorch");
    let include = library.join("../include");
    println!("cargo::rerun-if-changed=native");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .files(["foreach.cpp", "watch.cpp"].map(|file| Path::new("native").join(file)))
        .flag("-isystem")
        .flag(include.to_str().expect("a path in UTF-8"))
        .compile("diptych_native");
}
