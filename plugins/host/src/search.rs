//! Where plugins are looked for.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the environment variable that lists more places, separated as in `PATH`.
pub const PLUGIN_PATH_VARIABLE: &str = "DIPTYCH_PLUGIN_PATH";

/// Places in which plugin libraries are looked for, in order. A place is a folder, all of whose shared
/// libraries are plugins, or one library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchPath {
    pub(crate) places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub path: PathBuf,
    pub named_by: NamedBy,
}

/// Who asked for a place; a place that somebody named must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// `--plugin-path` or the caller.
    Caller,
    /// `DIPTYCH_PLUGIN_PATH`.
    Variable,
    /// The folder `plugins` beside the program; it may be absent.
    Default,
}

impl fmt::Display for NamedBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            NamedBy::Caller => "--plugin-path",
            NamedBy::Variable => PLUGIN_PATH_VARIABLE,
            NamedBy::Default => "the program's own plugins folder",
        })
    }
}

impl SearchPath {
    /// The entries of `--plugin-path`, then those of `DIPTYCH_PLUGIN_PATH`, then `plugins` beside the running program.
    pub fn resolve(plugin_path: &[PathBuf]) -> SearchPath {
        let mut search = SearchPath::only(plugin_path);
        if let Some(variable) = env::var_os(PLUGIN_PATH_VARIABLE) {
            let entries = env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty());
            search.places.extend(entries.map(|path| Place { path, named_by: NamedBy::Variable }));
        }
        if let Ok(program) = env::current_exe()
            && let Some(folder) = program.parent()
        {
            search.places.push(Place { path: folder.join("plugins"), named_by: NamedBy::Default });
        }
        search
    }

    /// Only the given places.
    pub fn only(places: &[PathBuf]) -> SearchPath {
        let place = |path: &PathBuf| Place { path: path.clone(), named_by: NamedBy::Caller };
        SearchPath { places: places.iter().map(place).collect() }
    }

    /// The places, in order.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().map(|place| place.path.as_path())
    }
}
