//! Charts and self-contained pages from the results of a study, and of a probing.
//!
//! Everything is a function of [`Study`], or of [`Probe`], plain data that whoever measured gathers: the same data give the same
//! files, byte for byte, on every machine.

mod chart;
mod data;
pub mod example;
mod findings;
mod html;
mod lettering;
mod probe;
mod statistics;
pub mod text;

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use chart::{ArmCurve, ArmPoint, COLOR_COUNT, POINTS, arm_curves};
pub use data::*;
pub use findings::{Findings, findings};
pub use html::{page, style};
pub use lettering::{Lettering, lettering};
pub use probe::{DRAWN, Probe, ProbeCurve, ProbeSeries, ProbeShortcut, write_probe};
pub use statistics::{Direction, Sample, difference_of_drops, drop, interval, level, random_level};

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The charts could not be drawn.
    #[error(transparent)]
    Chart(#[from] chart::RenderError),
    /// A file could not be written.
    #[error("cannot write {}: {source}; check that the folder is writable and the disk not full", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Writes `report.html`, and `charts` and `curves` as SVG and PNG, into `folder`, which must exist, each in one piece. Returns
/// the path of the page.
pub fn write(study: &Study, folder: &Path) -> Result<PathBuf, Error> {
    for file in chart::files(study)? {
        replace(&folder.join(format!("{}.svg", file.name)), file.svg.as_bytes())?;
        replace(&folder.join(format!("{}.png", file.name)), &file.png)?;
    }
    let path = folder.join("report.html");
    replace(&path, page(study).as_bytes())?;
    Ok(path)
}

/// Writes a file in one piece: beside its place, then renamed onto it, so that who has it open never sees half of it. Several may
/// write it at the same time, and one of them is the last.
///
/// # Errors
/// The folder is not writable, or the disk full; what was there is still there.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut builder = tempfile::Builder::new();
        // As of any file that a program makes, not for its owner alone.
        let builder = builder.prefix(".").permissions(Permissions::from_mode(0o666));
        let mut fresh = builder.tempfile_in(path.parent().unwrap_or(Path::new("")))?;
        fresh.write_all(bytes)?;
        fresh.persist(path).map(|_| ()).map_err(|error| error.error)
    };
    write().map_err(|source| Error::Write { path: path.to_path_buf(), source })
}
