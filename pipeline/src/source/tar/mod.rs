//! Tar shards as WebDataset writes them: the members of a sample share their path up to the first dot of the last part,
//! `n01440764/10026.jpg` and `n01440764/10026.cls`.
//!
//! Opening reads every header, on all cores; reading a sample is then one read at a known place. The order is that of
//! the shards and, in each, of the samples' first members. A member that ends with `.ppm` holds pixels, which are handed
//! out as they lie there.
//!
//! Beside shards that `diptych pack` wrote lies a manifest, which has the names of their classes.

mod index;
pub mod packed;
mod ppm;
#[cfg(test)]
mod tests;

use std::hash::Hasher;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::files::Files;
use super::labels::Labels;
use super::{Form, SampleData, SampleInfo, Source, SourceError, names, pattern};
use crate::error::ReadError;
use crate::random;

/// What the names of shards end with.
pub(super) const SUFFIXES: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// Images of tar shards.
#[derive(Debug)]
pub struct TarSource {
    path: PathBuf,
    files: Files,
    /// The samples of each shard.
    shards: Vec<Range<usize>>,
    places: Vec<Place>,
    ids: Vec<u64>,
    labels: Labels,
    /// Of each shard, whether its keys are [written](packed::key_of) as `diptych pack` does.
    packed: Vec<bool>,
    /// Keys without an image, in words; empty when there are none.
    left_out: String,
    identity: String,
}

/// Where a sample's image lies.
#[derive(Debug)]
struct Place {
    shard: u32,
    offset: u64,
    bytes: u64,
    form: Form,
    /// Path of its member.
    member: Box<str>,
}

impl TarSource {
    /// Looks through the shards that `path` names: a file, a folder, or a pattern (`data-{000000..000146}.tar`,
    /// `data-*.tar`). A label is a whole number in the sample's `cls`, or else the field `label_field` of its `json`.
    ///
    /// A folder that `diptych pack` did not finish is an error; its single shards can be opened.
    pub fn open(path: &Path, label_field: &str) -> Result<TarSource, SourceError> {
        let files = pattern::files(path, &SUFFIXES)?;
        let (packed, classes) = packed::beside(&files, path.is_dir())?;
        let indices = files
            .par_iter()
            .map(|file| index::read(file, label_field))
            .collect::<Result<Vec<_>, SourceError>>()?;

        let mut hasher = random::hasher("tar source");
        let (mut shards, mut places, mut keys, mut stored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut without_image, mut example) = (0, None);
        for (shard, index) in indices.into_iter().enumerate() {
            let start = places.len();
            hasher.write(&index.bytes.to_le_bytes());
            without_image += index.without_image;
            example = example.or(index.example);
            for member in index.samples {
                hasher.write(&(member.key.len() as u64).to_le_bytes());
                hasher.write(member.key.as_bytes());
                hasher.write(&member.bytes.to_le_bytes());
                places.push(Place {
                    shard: shard as u32,
                    offset: member.offset,
                    bytes: member.bytes,
                    form: member.form,
                    member: format!("{}.{}", member.key, member.suffix).into(),
                });
                keys.push(name_of(&member.key, packed[shard]));
                stored.push(member.label);
            }
            shards.push(start..places.len());
        }
        let left_out = match example {
            Some(example) => format!("{without_image} names without an image (such as {example})"),
            None => String::new(),
        };
        if places.is_empty() {
            return Err(SourceError::Unfit {
                path: path.to_path_buf(),
                found: if left_out.is_empty() { "no samples".into() } else { left_out },
                expected: "members that end with .jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff or .ppm".into(),
                remedy: "write the shards with one of them for each sample".into(),
            });
        }
        let full_name = |index: usize| full_name(&files[places[index].shard as usize], &places[index]);
        let ids = names::ids(places.len(), |index| &keys[index], full_name);
        let key = |index: usize| String::from_utf8_lossy(&keys[index]).into_owned();
        let labels = Labels::new(stored, classes, path, key)?;
        for index in 0..places.len() {
            hasher.write(&labels.get(index).unwrap_or(-1).to_le_bytes());
        }
        let identity = format!("{:016x}", hasher.finish());
        let (path, files) = (path.to_path_buf(), Files::new(files));
        Ok(TarSource { path, files, shards, places, ids, labels, packed, left_out, identity })
    }
}

impl Source for TarSource {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        SampleInfo { id: self.ids[index], label: self.labels.get(index) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        let place = &self.places[index];
        let shard = place.shard as usize;
        let key = index::split(&place.member).map_or(&*place.member, |(key, _)| key);
        names::name(self.ids[index], name_of(key, self.packed[shard]), || {
            full_name(self.files.path(shard), place).into()
        })
    }

    fn path(&self, index: usize) -> PathBuf {
        let place = &self.places[index];
        self.files.path(place.shard as usize).join(&*place.member)
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        let place = &self.places[index];
        data.form = place.form;
        data.bytes.resize(place.bytes as usize, 0);
        self.files.read_exact_at(place.shard as usize, &mut data.bytes, place.offset)?;
        Ok(())
    }

    fn classes(&self) -> Option<&[String]> {
        self.labels.classes()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn summary(&self) -> String {
        let (images, shards, path) = (self.len(), self.files.len(), self.path.display());
        let left_out = if self.left_out.is_empty() { "" } else { "; left out " };
        let labels = self.labels.summary();
        format!("{images} images in {shards} tar shards of {path}, {labels}{left_out}{}", self.left_out)
    }

    fn shards(&self) -> Vec<Range<usize>> {
        self.shards.clone()
    }
}

/// A sample's name: its key, or what the key was made of.
fn name_of(key: &str, packed: bool) -> Vec<u8> {
    if packed { packed::name_of(key) } else { key.into() }
}

/// Tells samples of one key apart.
fn full_name(shard: &Path, place: &Place) -> String {
    format!("{}/{}", shard.file_name().unwrap_or_default().to_string_lossy(), place.member)
}
