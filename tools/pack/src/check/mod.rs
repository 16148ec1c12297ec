//! What a set of images is like, and what is wrong with it: every image is read and decoded once.

mod report;
mod sizes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use diptych_pipeline::decode::DecodeOptions;
use diptych_pipeline::{ReadError, Size, Source};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::ordered;
use crate::sample::Reader;

pub use sizes::{Bin, Extreme, Sizes};

/// What [`check`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The source in one line.
    pub source: String,
    /// Number of images.
    pub images: usize,
    /// Of all readable images, as the source hands them out.
    pub bytes: u64,
    /// Images that cannot be read, in the order of the source.
    pub broken: Vec<Broken>,
    /// Number of readable images of each file format; `pixels` for those that aren't encoded.
    pub formats: BTreeMap<String, usize>,
    /// Number of images without any colour.
    pub gray: usize,
    /// Of the readable images; `None` when there are none.
    pub sizes: Option<Sizes>,
    /// Images with the same bytes.
    pub same_bytes: Vec<Duplicates>,
    /// Images with the same pixels in different bytes.
    pub same_pixels: Vec<Duplicates>,
    /// Each class with its number of images, in the order of the labels; `None` without labels.
    pub classes: Option<Vec<Class>>,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Number of its images, broken ones included.
    pub images: usize,
}

/// An image that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// Where it lies.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// Images that are equal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Where they lie, at least two.
    pub paths: Vec<PathBuf>,
    /// Whether they are of different classes: one label at least is then wrong.
    pub classes_differ: bool,
}

/// What is kept of each image. Half a SHA-256 is enough to tell images apart, and a set may have many.
struct Image {
    format: Option<diptych_pipeline::decode::Format>,
    size: Size,
    gray: bool,
    bytes: u64,
    of_bytes: u128,
    of_pixels: u128,
}

/// Reads and decodes all of `source` on `workers` threads (0 for one per core); `None` when `stop` was raised before the
/// end.
///
/// `progress` is called from several threads with the number of images read and their total.
///
/// # Errors
/// When the threads can't be started. What is wrong with images is no error, but the result.
pub fn check(
    source: &dyn Source,
    workers: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
    stop: &AtomicBool,
) -> Result<Option<Report>, Error> {
    let total = source.len() as u64;
    let read = AtomicU64::new(0);
    let look = |reader: &mut Reader, index: usize| {
        if stop.load(Ordering::Relaxed) {
            return None;
        }
        let image = Image::read(source, index, reader);
        progress(read.fetch_add(1, Ordering::Relaxed) + 1, total);
        Some(image)
    };
    let images: Option<Vec<Result<Image, ReadError>>> = pool(workers)?
        .install(|| (0..source.len()).into_par_iter().map_init(Reader::default, look).collect());
    Ok(images.map(|images| report(source, images)))
}

/// Threads for [rayon]'s iterators.
pub(crate) fn pool(workers: usize) -> Result<rayon::ThreadPool, Error> {
    let workers = ordered::threads(workers);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    pool.map_err(|error| Error::Threads { workers, reason: error.to_string() })
}

impl Image {
    fn read(source: &dyn Source, index: usize, reader: &mut Reader) -> Result<Image, ReadError> {
        let format = reader.read(source, index, &DecodeOptions::default())?;
        let (size, pixels) = (reader.size(), reader.pixels());
        let sides = [size.width.to_le_bytes(), size.height.to_le_bytes()].concat();
        let of_pixels = half(Sha256::new_with_prefix(sides).chain_update(pixels));
        let of_bytes = match format {
            Some(_) => half(Sha256::new_with_prefix(reader.bytes())),
            None => of_pixels,
        };
        let gray = pixels.as_chunks().0.iter().all(|[red, green, blue]| red == green && green == blue);
        Ok(Image { format, size, gray, bytes: reader.bytes().len() as u64, of_bytes, of_pixels })
    }
}

fn half(hash: Sha256) -> u128 {
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |first| u128::from_le_bytes(*first))
}

fn report(source: &dyn Source, images: Vec<Result<Image, ReadError>>) -> Report {
    let mut broken = Vec::new();
    let mut good = Vec::new();
    for (index, image) in images.into_iter().enumerate() {
        match image {
            Ok(image) => good.push((index, image)),
            Err(error) => broken.push(Broken { path: source.path(index), reason: error.to_string() }),
        }
    }
    let mut formats: BTreeMap<String, usize> = BTreeMap::new();
    for (_, image) in &good {
        let name = image.format.map_or_else(|| "pixels".to_owned(), |format| format.to_string());
        *formats.entry(name).or_default() += 1;
    }
    let same_bytes = groups(good.iter().map(|(index, image)| (image.of_bytes, *index)));
    // One of those with equal bytes stands for all.
    let told: HashSet<usize> = same_bytes.iter().flat_map(|group| &group[1..]).copied().collect();
    let distinct = good.iter().filter(|(index, _)| !told.contains(index));
    let same_pixels = groups(distinct.map(|(index, image)| (image.of_pixels, *index)));
    let duplicates = |group: Vec<usize>| Duplicates {
        classes_differ: group
            .windows(2)
            .any(|pair| source.sample(pair[0]).label != source.sample(pair[1]).label),
        paths: group.into_iter().map(|index| source.path(index)).collect(),
    };
    Report {
        source: source.summary(),
        images: source.len(),
        bytes: good.iter().map(|(_, image)| image.bytes).sum(),
        broken,
        formats,
        gray: good.iter().filter(|(_, image)| image.gray).count(),
        sizes: Sizes::of(good.iter().map(|(index, image)| (*index, image.size)), |index| source.path(index)),
        same_bytes: same_bytes.into_iter().map(duplicates).collect(),
        same_pixels: same_pixels.into_iter().map(duplicates).collect(),
        classes: source.classes().map(|classes| per_class(source, classes)),
    }
}

/// The indices that share a hash with others, group by group, each in order.
fn groups(hashes: impl Iterator<Item = (u128, usize)>) -> Vec<Vec<usize>> {
    let mut hashes: Vec<(u128, usize)> = hashes.collect();
    hashes.sort_unstable();
    let shared = hashes.chunk_by(|one, other| one.0 == other.0).filter(|group| group.len() > 1);
    let mut groups: Vec<Vec<usize>> =
        shared.map(|group| group.iter().map(|(_, index)| *index).collect()).collect();
    groups.sort_unstable();
    groups
}

fn per_class(source: &dyn Source, classes: &[String]) -> Vec<Class> {
    let mut counts: Vec<Class> = classes.iter().map(|name| Class { name: name.clone(), images: 0 }).collect();
    for index in 0..source.len() {
        let label = source.sample(index).label.and_then(|label| usize::try_from(label).ok());
        if let Some(class) = label.and_then(|label| counts.get_mut(label)) {
            class.images += 1;
        }
    }
    counts
}
