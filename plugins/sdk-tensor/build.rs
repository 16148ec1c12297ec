//! Finds libtorch: see `plugins/sdk-tensor/rpath.rs`.

include!("rpath.rs");

fn main() {
    link_libtorch();
}
