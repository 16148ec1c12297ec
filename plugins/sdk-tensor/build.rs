//! Finds libtorch (see `plugins/sdk-tensor/rpath.rs`) and compiles the C++ shim of what tch lacks.

use std::path::PathBuf;

include!("rpath.rs");

fn main() {
    link_libtorch();
    let library =
        std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from).expect("torch-sys names its libtorch");
    println!("cargo::rerun-if-changed=native/script.cpp");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .file("native/script.cpp")
        .flag("-isystem")
        .flag(library.join("../include").to_str().expect("a path in UTF-8"))
        .compile("diptych_script");
}
