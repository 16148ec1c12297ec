//! Parquet files as Hugging Face's `datasets` stores images: a column `image`, a struct of `bytes` and `path`, and a column
//! `label` of class numbers, whose names stand in the file's own notes. A plain column of bytes is read too.
//!
//! Opening reads each file's footer and its small columns, on all cores; images are not touched before they are read,
//! each by itself and in any order. The order is that of the files and, in each, of the rows.

mod chunk;
mod columns;
mod file;
mod images;
mod part;
mod snappy;
#[cfg(test)]
mod tests;

use std::hash::Hasher;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use self::chunk::{Chunk, contained};
use self::file::StoredFile;
use self::images::Images;
use self::part::Part;
use super::files::Files;
use super::labels::{Label, Labels};
use super::{Form, SampleData, SampleInfo, Source, SourceError, names, pattern};
use crate::error::ReadError;
use crate::random;

/// What the names of files end with.
pub(super) const SUFFIXES: [&str; 1] = [".parquet"];

/// Images of Parquet files.
#[derive(Debug)]
pub struct ParquetSource {
    path: PathBuf,
    files: Arc<Files>,
    groups: Vec<Group>,
    names: Vec<Box<str>>,
    /// What tells each file from the others.
    places: Vec<String>,
    ids: Vec<u64>,
    labels: Labels,
    identity: String,
}

/// Which columns count.
#[derive(Clone, Copy, Debug)]
pub struct ParquetFields<'a> {
    /// The images: bytes, or a struct of `bytes` and `path`.
    pub image: &'a str,
    /// Whole numbers or texts; `None` for `label` where there is such a column.
    pub label: Option<&'a str>,
}

impl Default for ParquetFields<'_> {
    fn default() -> Self {
        ParquetFields { image: "image", label: None }
    }
}

/// A row group.
#[derive(Debug)]
struct Group {
    file: StoredFile,
    /// Number of its file.
    number: usize,
    /// Rows of its file before it.
    first_row: usize,
    samples: Range<usize>,
    images: Images,
    paths: Option<Chunk>,
}

impl ParquetSource {
    /// Opens the files that `path` names: a file, a folder, or a pattern (`data/train-*.parquet`).
    ///
    /// Labels are class numbers, whose names Hugging Face's `datasets` notes in the file, or texts, the class names. A
    /// sample's name is its path, with the class name before it where it has no folder.
    pub fn open(path: &Path, fields: ParquetFields) -> Result<ParquetSource, SourceError> {
        let files = Arc::new(Files::new(pattern::files(path, &SUFFIXES)?));
        let mut parts = (0..files.len())
            .into_par_iter()
            .map(|number| part::read(&files, number, &fields))
            .collect::<Result<Vec<Part>, SourceError>>()?;
        let class_names = class_names(&files, &mut parts)?;
        let remark = parts.iter_mut().find_map(|part| part.remark.take());

        let mut hasher = random::hasher("parquet source");
        let (mut groups, mut names, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        for (number, part) in parts.into_iter().enumerate() {
            let stem = files.path(number).file_stem().unwrap_or_default().to_string_lossy();
            let start: usize = names.len();
            for group in part.groups.into_iter().filter(|group| group.images.rows() > 0) {
                let first_row = names.len() - start;
                let samples = names.len()..names.len() + group.images.rows();
                for number in [samples.len() as i64, group.bytes[0], group.bytes[1]] {
                    hasher.write(&number.to_le_bytes());
                }
                let rows = group.names.into_iter().zip(&group.labels).enumerate();
                names.extend(rows.map(|(row, (path, label))| match path.filter(|path| !path.is_empty()) {
                    Some(path) => name(&path, class_of(label.as_ref(), class_names.as_deref())),
                    None => format!("{stem}/{}", first_row + row),
                }));
                stored.extend(group.labels);
                let (file, images, paths) = (part.file.clone(), group.images, group.paths);
                groups.push(Group { file, number, first_row, samples, images, paths });
            }
        }
        if names.is_empty() {
            return Err(SourceError::Unfit {
                path: path.to_path_buf(),
                found: "no rows".into(),
                expected: "one for each image".into(),
                remedy: "fetch or write the data set again".into(),
            });
        }
        let places = unlike(&files);
        let names: Vec<Box<str>> = names.into_iter().map(String::into_boxed_str).collect();
        let ids = names::ids(
            names.len(),
            |index| names[index].as_bytes(),
            |index| full_name(&groups, &places, index).into_bytes(),
        );
        let labels = match remark {
            Some(remark) => Labels::none(remark),
            None => Labels::new(stored, class_names, path, |index| names[index].to_string())?,
        };
        for (index, name) in names.iter().enumerate() {
            hasher.write(&(name.len() as u64).to_le_bytes());
            hasher.write(name.as_bytes());
            hasher.write(&labels.get(index).unwrap_or(-1).to_le_bytes());
        }
        let identity = format!("{:016x}", hasher.finish());
        Ok(ParquetSource { path: path.to_path_buf(), files, groups, names, places, ids, labels, identity })
    }
}

impl Group {
    /// The row of sample `index` in its file.
    fn row(&self, index: usize) -> usize {
        self.first_row + index - self.samples.start
    }

    /// Why the image in `row` of this group is none.
    fn missing(&self, row: usize) -> ReadError {
        let paths =
            self.paths.as_ref().and_then(|paths| contained(|| columns::texts(paths, &self.file)).ok());
        let path = paths.and_then(|mut paths| paths.get_mut(row)?.take());
        ReadError::Stored(match path {
            Some(path) => format!(
                "holds no bytes, only the path {path:?}, which is not followed (write the data set anew with its images in it)"
            ),
            None => "holds no image (null)".into(),
        })
    }
}

impl Source for ParquetSource {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        SampleInfo { id: self.ids[index], label: self.labels.get(index) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        names::name(self.ids[index], self.names[index].as_bytes(), || {
            full_name(&self.groups, &self.places, index).into_bytes()
        })
    }

    fn path(&self, index: usize) -> PathBuf {
        let group = &self.groups[group_of(&self.groups, index)];
        self.files.path(group.number).join(format!("row {}", group.row(index)))
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        let group = &self.groups[group_of(&self.groups, index)];
        let row = index - group.samples.start;
        data.form = Form::Encoded;
        match group.images.read(&group.file, row, &mut data.bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(group.missing(row)),
            Err(error) => Err(match part::io_error(error) {
                Ok(error) => ReadError::File(error),
                Err(text) => ReadError::Stored(format!("cannot be read: {text}")),
            }),
        }
    }

    fn classes(&self) -> Option<&[String]> {
        self.labels.classes()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn summary(&self) -> String {
        let (images, files, path) = (self.len(), self.files.len(), self.path.display());
        format!("{images} images in {files} Parquet files of {path}, {}", self.labels.summary())
    }

    fn shards(&self) -> Vec<Range<usize>> {
        self.groups.iter().map(|group| group.samples.clone()).collect()
    }
}

/// File and row of sample `index`.
fn full_name(groups: &[Group], places: &[String], index: usize) -> String {
    let group = &groups[group_of(groups, index)];
    format!("{}/{}", places[group.number], group.row(index))
}

/// The number of the group that holds sample `index`.
fn group_of(groups: &[Group], index: usize) -> usize {
    groups.partition_point(|group| group.samples.end <= index)
}

/// The class names that the files note, which must agree.
fn class_names(files: &Files, parts: &mut [Part]) -> Result<Option<Vec<String>>, SourceError> {
    let mut known: Option<(usize, Vec<String>)> = None;
    for (number, part) in parts.iter_mut().enumerate() {
        match (&known, part.class_names.take()) {
            (Some((first, names)), Some(others)) if *names != others => {
                return Err(SourceError::Unfit {
                    path: files.path(number).to_path_buf(),
                    found: "class names in its notes that differ".into(),
                    expected: format!("those of {}", files.path(*first).display()),
                    remedy: "open data sets of different classes one by one".into(),
                });
            }
            (None, Some(names)) => known = Some((number, names)),
            _ => {}
        }
    }
    Ok(known.map(|(_, names)| names))
}

/// The name of a label's class, where it has one.
fn class_of<'a>(label: Option<&'a Label>, names: Option<&'a [String]>) -> Option<&'a str> {
    match label? {
        Label::Text(text) => Some(text),
        Label::Number(number) => names?.get(usize::try_from(*number).ok()?).map(String::as_str),
    }
}

/// The name of a sample, as a folder of images would have it: Hugging Face keeps only the last part of a path.
fn name(path: &str, class: Option<&str>) -> String {
    let stem = names::without_suffix(path.strip_prefix("./").unwrap_or(path).as_bytes());
    let stem = String::from_utf8_lossy(stem);
    match class {
        Some(class) if !stem.contains('/') => format!("{class}/{stem}"),
        _ => stem.into_owned(),
    }
}

/// The files' paths below the folder that holds them all, which tell any two apart.
fn unlike(files: &Files) -> Vec<String> {
    let paths = || (0..files.len()).map(|number| files.path(number));
    let mut folder = files.path(0).parent();
    while let Some(above) = folder.filter(|folder| !paths().all(|path| path.starts_with(folder))) {
        folder = above.parent();
    }
    let below = |path: &Path| folder.and_then(|folder| path.strip_prefix(folder).ok().map(Path::to_path_buf));
    paths().map(|path| below(path).unwrap_or(path.to_path_buf()).to_string_lossy().into_owned()).collect()
}
