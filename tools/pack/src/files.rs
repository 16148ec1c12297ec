//! Files that appear whole or not at all, and stay: they are written beside their place, brought to the disk, and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Writes `bytes` as the file at `path`.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let partial = Partial::new(path);
    let written = File::create(&partial.path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::writing(path))?;
    partial.finish()
}

/// A file while it is written, hidden beside its place; removed unless finished.
pub(crate) struct Partial {
    pub path: PathBuf,
    place: PathBuf,
    finished: bool,
}

impl Partial {
    pub fn new(place: &Path) -> Partial {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.partial"));
        Partial { path, place: place.to_owned(), finished: false }
    }

    /// Where the file will be.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the file, whose bytes are on the disk, into its place.
    pub fn finish(mut self) -> Result<(), Error> {
        fs::rename(&self.path, &self.place).map_err(Error::writing(&self.place))?;
        self.finished = true;
        let folder = self.place.parent().unwrap_or(Path::new("."));
        // Some file systems have no such thing for folders; the name is then as lasting as they make it.
        let synced: io::Result<()> = File::open(folder).and_then(|folder| folder.sync_all());
        match synced {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(Error::writing(folder)(error)),
            _ => Ok(()),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // What ended the work is the error to tell.
            let _ = fs::remove_file(&self.path);
        }
    }
}
