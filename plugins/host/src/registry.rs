//! All components of all libraries that were found, by kind and id.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diptych_config::nearest;

use crate::component::{Component, Kind, LibraryInfo};
use crate::descriptor;
use crate::library::{self, LibraryError, Opened};
use crate::search::{NamedBy, Place, SearchPath};

/// The components that a program can use. Cheap to clone; immutable once loaded.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    components: Vec<Component>,
    libraries: Vec<Arc<LibraryInfo>>,
    searched: Vec<PathBuf>,
}

/// All that is wrong with the plugins that were found.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadError {
    /// At least one problem, in the order of the search.
    pub problems: Vec<LoadProblem>,
}

/// One thing that is wrong with the plugins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadProblem {
    /// A place that somebody named can't be read.
    #[error("{path}: can't be read as a plugin or a folder of plugins: {reason} (named by {named_by})")]
    Place {
        /// The place.
        path: PathBuf,
        /// Who named it.
        named_by: NamedBy,
        /// What the system says.
        reason: String,
    },
    /// A link in a folder of plugins leads nowhere.
    #[error(
        "{path}: links to {target}, which can't be read: {reason}; build that plugin, or remove the link"
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A library can't be used.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// Two components of a kind have one id.
    #[error(
        "{kind} {id:?} is in two libraries, {first} and {second}; leave one of them out of the plugin path"
    )]
    Duplicate {
        /// Their kind.
        kind: Kind,
        /// Their id.
        id: String,
        /// The library that was found first.
        first: String,
        /// The other.
        second: String,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            write!(formatter, "{}{problem}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// An id that no component of the kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownComponent {
    /// The kind that was asked for.
    pub kind: Kind,
    /// The id that was asked for.
    pub id: String,
    /// The most similar known id.
    pub nearest: Option<String>,
    /// All known ids of the kind.
    pub known: Vec<String>,
    /// Where plugins were looked for.
    pub searched: Vec<PathBuf>,
}

impl fmt::Display for UnknownComponent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnknownComponent { kind, id, known, .. } = self;
        write!(formatter, "no {kind} is called {id:?}")?;
        if let Some(nearest) = &self.nearest {
            write!(formatter, "; did you mean {nearest:?}?")?;
        }
        if known.is_empty() {
            write!(formatter, "; no plugin with any {kind} was found")?;
        } else {
            write!(formatter, " (known: {})", known.join(", "))?;
        }
        let searched: Vec<String> = self.searched.iter().map(|path| path.display().to_string()).collect();
        write!(
            formatter,
            "; plugins were looked for in {}; add a place with --plugin-path",
            searched.join(", ")
        )
    }
}

impl std::error::Error for UnknownComponent {}

impl Registry {
    /// Loads every plugin on the search path. `torch_version` is the libtorch of this program: a library built for
    /// another one is refused. Without it, components that need libtorch are listed but can't be created.
    ///
    /// # Errors
    /// Everything that is wrong with any of the libraries.
    pub fn load(search: &SearchPath, torch_version: Option<&str>) -> Result<Registry, LoadError> {
        let mut problems = Vec::new();
        let mut components: Vec<Component> = Vec::new();
        let mut libraries = Vec::new();
        for path in library_files(search, &mut problems) {
            let Opened { info, factories } = match library::open(&path, torch_version) {
                Ok(opened) => opened,
                Err(error) => {
                    problems.push(error.into());
                    continue;
                }
            };
            let library = Arc::new(info);
            let creatable = library.torch_version.is_none() || torch_version.is_some();
            for factory in factories {
                match descriptor::components(factory, &library, creatable) {
                    Ok(new) => components.extend(new),
                    Err(what) => {
                        problems.push(LibraryError::Misbehaved { path: path.clone(), what }.into());
                    }
                }
            }
            libraries.push(library);
        }
        problems.extend(duplicates(&components));
        if !problems.is_empty() {
            return Err(LoadError { problems });
        }
        components.sort_by(|left, right| (left.kind(), left.id()).cmp(&(right.kind(), right.id())));
        let searched = search.places().map(Path::to_owned).collect();
        Ok(Registry { inner: Arc::new(Inner { components, libraries, searched }) })
    }

    /// Loads the plugins in `places` (folders or libraries) and nowhere else.
    ///
    /// # Errors
    /// As [`Registry::load`].
    pub fn load_folders(places: &[PathBuf], torch_version: Option<&str>) -> Result<Registry, LoadError> {
        Registry::load(&SearchPath::only(places), torch_version)
    }

    /// All components, by kind and id.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.inner.components.iter()
    }

    /// All libraries, in the order of the search.
    pub fn libraries(&self) -> impl Iterator<Item = &LibraryInfo> {
        self.inner.libraries.iter().map(Arc::as_ref)
    }

    /// The places that were searched.
    pub fn searched(&self) -> &[PathBuf] {
        &self.inner.searched
    }

    /// The component of `kind` called `id`.
    ///
    /// # Errors
    /// There is none; the error names the nearest id and where plugins were looked for.
    pub fn find(&self, kind: Kind, id: &str) -> Result<&Component, UnknownComponent> {
        let of_kind = || self.components().filter(|component| component.kind() == kind);
        of_kind().find(|component| component.id() == id).ok_or_else(|| {
            let known: Vec<String> = of_kind().map(|component| component.id().to_owned()).collect();
            UnknownComponent {
                kind,
                id: id.to_owned(),
                nearest: nearest(id, known.iter().map(String::as_str)).map(str::to_owned),
                known,
                searched: self.inner.searched.clone(),
            }
        })
    }

    /// The augmentation called `id`.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn augmentation(&self, id: &str) -> Result<&Component, UnknownComponent> {
        self.find(Kind::Augmentation, id)
    }

    /// The encoder called `id`.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn encoder(&self, id: &str) -> Result<&Component, UnknownComponent> {
        self.find(Kind::Encoder, id)
    }

    /// The loss called `id`.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn loss(&self, id: &str) -> Result<&Component, UnknownComponent> {
        self.find(Kind::Loss, id)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.components()).finish()
    }
}

/// The libraries of all places, each once, by absolute path; within a folder by name.
fn library_files(search: &SearchPath, problems: &mut Vec<LoadProblem>) -> Vec<PathBuf> {
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for place in &search.places {
        match files_of(place, problems) {
            Ok(found) => files.extend(found.into_iter().filter(|file| seen.insert(file.clone()))),
            Err(_) if place.named_by == NamedBy::Default && is_absent(&place.path) => {}
            Err(error) => problems.push(LoadProblem::Place {
                path: place.path.clone(),
                named_by: place.named_by,
                reason: error.to_string(),
            }),
        }
    }
    files
}

/// Whether nothing is there, not even a link that leads nowhere.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn files_of(place: &Place, problems: &mut Vec<LoadProblem>) -> io::Result<Vec<PathBuf>> {
    let path = fs::canonicalize(&place.path)?;
    if !path.is_dir() {
        return Ok(vec![path]);
    }
    let mut libraries = Vec::new();
    for entry in fs::read_dir(&path)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION) {
            libraries.push(file);
        }
    }
    libraries.sort();
    let mut files = Vec::new();
    for library in libraries {
        match fs::canonicalize(&library) {
            Ok(file) => files.push(file),
            Err(error) => problems.push(unresolved(library, &error)),
        }
    }
    Ok(files)
}

/// Why a library of a folder is no file: most often it is a link to what is not built, or no longer there.
fn unresolved(path: PathBuf, error: &io::Error) -> LoadProblem {
    let reason = error.to_string();
    match fs::read_link(&path) {
        Ok(target) => LoadProblem::Link { path, target, reason },
        Err(_) => LibraryError::NotLoadable { path, reason }.into(),
    }
}

fn duplicates(components: &[Component]) -> Vec<LoadProblem> {
    let mut first: HashMap<(Kind, &str), &Component> = HashMap::new();
    let mut problems = Vec::new();
    for component in components {
        match first.get(&(component.kind(), component.id())) {
            None => {
                first.insert((component.kind(), component.id()), component);
            }
            Some(earlier) => problems.push(LoadProblem::Duplicate {
                kind: component.kind(),
                id: component.id().to_owned(),
                first: earlier.library().to_string(),
                second: component.library().to_string(),
            }),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn found(path: &Path) -> (Vec<PathBuf>, Vec<String>) {
        let mut problems = Vec::new();
        let place = Place { path: path.to_owned(), named_by: NamedBy::Default };
        let files = library_files(&SearchPath { places: vec![place] }, &mut problems);
        (files, problems.iter().map(LoadProblem::to_string).collect())
    }

    #[test]
    fn a_dangling_link_among_the_built_ins_hides_none_of_them_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(folder.path()).unwrap();
        let library = |name: &str| folder.join(name).with_extension(std::env::consts::DLL_EXTENSION);
        fs::write(library("built"), "").unwrap();
        symlink("../gone.so", library("absent")).unwrap();
        let (files, problems) = found(&folder);
        assert_eq!(files, [library("built")]);
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        let start = format!("{}: links to ../gone.so, which can't be read", library("absent").display());
        assert!(problem.starts_with(&start), "{problem}");
        assert!(problem.ends_with("build that plugin, or remove the link"), "{problem}");
    }

    #[test]
    fn the_programs_own_folder_may_be_absent_but_not_a_dangling_link() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        assert_eq!(found(&plugins), (Vec::new(), Vec::new()));
        symlink("gone", &plugins).unwrap();
        let (files, problems) = found(&plugins);
        assert!(files.is_empty());
        assert!(problems.len() == 1 && problems[0].contains("can't be read as a plugin"), "{problems:?}");
    }
}
