//! Files that appear whole or not at all.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Writes a file in one piece: beside its place, then renamed onto it, so that a reader never sees half of it and a
/// failure leaves what was there.
pub(crate) fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    replace_by(path, |fresh| fs::write(fresh, content).map_err(|error| Error::file("write", path, error)))
}

/// The same with a content that `write` puts into the file beside it.
pub(crate) fn replace_by(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}"));
    let rename = || fs::rename(&fresh, path).map_err(|error| Error::file("write", path, error));
    let written = write(&fresh).and_then(|()| rename());
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}
