//! Files that appear whole or not at all.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Writes a file in one piece: beside its place, then renamed onto it, so that a reader never sees half of it and a
/// failure leaves what was there.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    replace_with(path, |fresh| fs::write(fresh, text).map_err(|error| Error::file("write", path, error)))
}

/// The same of a file that `write` writes where it is told.
pub(crate) fn replace_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}"));
    let renamed = || fs::rename(&fresh, path).map_err(|error| Error::file("write", path, error));
    write(&fresh).and_then(|()| renamed()).inspect_err(|_| drop(fs::remove_file(&fresh)))
}
