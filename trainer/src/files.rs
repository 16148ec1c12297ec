//! Files that appear whole or not at all.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Writes a file in one piece: beside its place, then renamed onto it, so that a reader never sees half of it and a
/// failure leaves what was there.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}"));
    let written = fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&fresh);
        Error::file("write", path, error)
    })
}
