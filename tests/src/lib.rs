//! Tests of what crosses crates; they lie in `tests/tests/`.

pub use diptych_test_support::{built_plugin, built_program, repository};
