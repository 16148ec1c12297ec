//! What the tests of the host share.

use std::fs;
use std::path::{Path, PathBuf};

use diptych_config::{Document, Problems};
use diptych_host::{
    Component, ImageMut, InstanceError, Parameters, RandomStream, Registry, Scratch, Size, read_parameters,
};
use diptych_test_support::{built_plugin, compile_c_plugin};
use tempfile::TempDir;

/// A folder of plugins for one test.
pub struct Plugins {
    folder: TempDir,
}

impl Plugins {
    pub fn new() -> Plugins {
        Plugins { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Adds a plugin of the workspace.
    pub fn with_built(self, package: &str) -> Plugins {
        let library = built_plugin(package);
        fs::copy(&library, self.path().join(library.file_name().unwrap())).unwrap();
        self
    }

    /// Adds `tests/fixtures/SOURCE.c`, compiled with `defines`, as `NAME.so`.
    pub fn with_c(self, source: &str, name: &str, defines: &[&str]) -> Plugins {
        compile_c_plugin(&format!("{source}.c"), defines, &self.library(name));
        self
    }

    pub fn library(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}{}", std::env::consts::DLL_SUFFIX))
    }

    pub fn load(&self) -> Registry {
        Registry::load_folders(&[self.path().to_owned()], None).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The parameters of `component` in the TOML `text`.
pub fn parse(component: &Component, text: &str) -> Result<Parameters, Problems> {
    Document::parse(text, "test.toml")?.read(|table| read_parameters(component, table))
}

/// Plans and applies an operator in place to a `width` x 1 image of bytes.
pub fn run_in_place(
    operator: &mut diptych_host::Augmentation,
    bytes: &mut [u8],
    random: &mut RandomStream,
) -> Result<(), InstanceError> {
    let size = Size { width: bytes.len() as u32 / 3, height: 1 };
    operator.plan(size, random)?;
    operator.apply_in_place(&mut ImageMut::rgb8(size, bytes), &mut Scratch::new())
}
