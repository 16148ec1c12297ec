//! Finds libtorch: see `plugins/sdk-tensor/rpath.rs`.

include!("../../plugins/sdk-tensor/rpath.rs");

fn main() {
    link_libtorch();
}
