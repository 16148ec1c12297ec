//! Makes the demo data: a labelled folder of JPEG files whose class is a texture, and whose colours say nothing
//! about the class, as in photographs.
//!
//! An image depends on nothing but the seed, its split's name, its number, and the options on size, classes and
//! quality: whatever the number of threads or of images, the same options give the same bytes on one platform.
//!
//! The set is made in a folder beside the wanted one and renamed at the end, so that a folder of that name is
//! always whole. Its options are recorded in `synth.toml`; writing the same set again leaves it as it is.

mod error;
mod options;
mod texture;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use diptych_abi::{RandomStream, philox4x32};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

pub use error::Error;
pub use options::{ImageSize, Split, SynthOptions};
pub use texture::Texture;

/// The file in the set's folder that records its options.
pub const RECORD: &str = "synth.toml";

/// What [`write`] made, or found made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The set's folder.
    pub folder: PathBuf,
    /// Number of images over all splits.
    pub images: u64,
    /// The splits in the order asked for, with the number of images per class in the order of [`Texture::ALL`].
    pub splits: Vec<(String, Vec<u64>)>,
    /// True when the folder held this very set already, and nothing was written.
    pub was_there: bool,
}

/// Writes the set to `options.folder` as `<split>/<class>/<number>.jpg`.
///
/// `progress` is called from several threads with the number of images written so far and their total.
///
/// # Errors
/// When the options are impossible, when the folder holds anything but this very set, and when it cannot be
/// written; nothing is left behind then.
pub fn write(options: &SynthOptions, progress: impl Fn(u64, u64) + Sync) -> Result<Summary, Error> {
    options.check()?;
    let record = options.record();
    let was_there = holds_this_set(options, &record)?;
    if !was_there {
        let partial = Partial::create(&options.folder, &record)?;
        write_images(options, &partial.folder, &progress)?;
        partial.finish(&options.folder)?;
    }
    let splits =
        options.splits.iter().map(|split| (split.name.clone(), count_classes(options, split))).collect();
    Ok(Summary { folder: options.folder.clone(), images: options.image_count(), splits, was_there })
}

/// Draws image `number` of a split: its class and its pixels, as they are before JPEG.
pub fn draw(options: &SynthOptions, split: &str, number: u64) -> (Texture, image::RgbImage) {
    let mut random = stream(options.seed, split, number);
    let texture = draw_class(options, &mut random);
    (texture, texture::draw(texture, options.size, &mut random))
}

/// The first draw of an image's stream.
fn draw_class(options: &SynthOptions, random: &mut RandomStream) -> Texture {
    Texture::ALL[random.below(options.classes as u64) as usize]
}

fn count_classes(options: &SynthOptions, split: &Split) -> Vec<u64> {
    let mut counts = vec![0; options.classes];
    for number in 0..split.count {
        counts[draw_class(options, &mut stream(options.seed, &split.name, number)) as usize] += 1;
    }
    counts
}

/// The stream of one image: its key is a Philox block of the split's hash and the number, under the seed.
fn stream(seed: u64, split: &str, number: u64) -> RandomStream {
    let split = fnv1a(split.as_bytes());
    let words = philox4x32(
        [split as u32, (split >> 32) as u32, number as u32, (number >> 32) as u32],
        [seed as u32, (seed >> 32) as u32],
    );
    RandomStream::new([words[0], words[1]])
}

/// FNV-1a, 64 bits: enough to tell a handful of split names apart, and the same in every version of Rust.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn write_images(
    options: &SynthOptions,
    folder: &Path,
    progress: &(impl Fn(u64, u64) + Sync),
) -> Result<(), Error> {
    let total = options.image_count();
    let written = AtomicU64::new(0);
    for split in &options.splits {
        for class in &Texture::ALL[..options.classes] {
            let path = folder.join(&split.name).join(class.name());
            fs::create_dir_all(&path).map_err(Error::writing(&path))?;
        }
        (0..split.count).into_par_iter().try_for_each(|number| {
            let (class, pixels) = draw(options, &split.name, number);
            let path = folder.join(&split.name).join(class.name()).join(format!("{number:06}.jpg"));
            fs::write(&path, encode(&pixels, options.quality)).map_err(Error::writing(&path))?;
            progress(written.fetch_add(1, Ordering::Relaxed) + 1, total);
            Ok(())
        })?;
    }
    Ok(())
}

fn encode(pixels: &image::RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)
        // The sides were checked against what JPEG can hold, and a vector takes every byte.
        .expect("an RGB image of checked size can be encoded into memory");
    bytes
}

/// True when the folder holds the set of this record, false when it is absent or empty; an error otherwise.
fn holds_this_set(options: &SynthOptions, record: &str) -> Result<bool, Error> {
    let folder = &options.folder;
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::NotAFolder { path: folder.clone() });
        }
        Err(error) => return Err(Error::reading(folder)(error)),
    };
    if entries.next().is_none() {
        return Ok(false);
    }
    let found = match fs::read_to_string(folder.join(RECORD)) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Occupied { folder: folder.clone() });
        }
        Err(error) => return Err(Error::reading(&folder.join(RECORD))(error)),
    };
    if found != record {
        return Err(Error::AnotherSet { folder: folder.clone(), differences: differences(&found, record) });
    }
    for split in &options.splits {
        let found = count_images(&folder.join(&split.name))?;
        if found != split.count {
            let split = split.clone();
            return Err(Error::Incomplete {
                folder: folder.clone(),
                split: split.name,
                found,
                wanted: split.count,
            });
        }
    }
    Ok(true)
}

/// Number of files in the class folders of one split.
fn count_images(split: &Path) -> Result<u64, Error> {
    let mut count = 0;
    let classes = match fs::read_dir(split) {
        Ok(classes) => classes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(Error::reading(split)(error)),
    };
    for class in classes {
        let class = class.map_err(Error::reading(split))?.path();
        count += fs::read_dir(&class).map_err(Error::reading(&class))?.count() as u64;
    }
    Ok(count)
}

/// The lines of `wanted` that `found` lacks, each with what stands there instead.
fn differences(found: &str, wanted: &str) -> String {
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        line.map_or_else(|| "nothing".to_owned(), |value| value.trim().to_owned())
    };
    let keys = wanted.lines().filter_map(|line| Some(line.split_once('=')?.0.trim()));
    let differing = keys.filter(|key| value(found, key) != value(wanted, key));
    let lines: Vec<String> =
        differing.map(|key| format!("{key} is {}, not {}", value(found, key), value(wanted, key))).collect();
    if lines.is_empty() { format!("{RECORD} was changed by hand") } else { lines.join("; ") }
}

/// The set while it is made: a hidden folder beside the wanted one, removed unless finished.
struct Partial {
    folder: PathBuf,
    finished: bool,
}

impl Partial {
    /// Takes the place of what an interrupted run left there; its record tells that from a stranger's folder.
    fn create(folder: &Path, record: &str) -> Result<Partial, Error> {
        let name = folder.file_name().ok_or_else(|| Error::NoName { path: folder.to_owned() })?;
        let partial = folder.with_file_name(format!(".{}.partial", name.to_string_lossy()));
        if partial.join(RECORD).exists() {
            fs::remove_dir_all(&partial).map_err(Error::writing(&partial))?;
        }
        if let Some(parent) = partial.parent() {
            fs::create_dir_all(parent).map_err(Error::writing(parent))?;
        }
        fs::create_dir(&partial).map_err(Error::writing(&partial))?;
        let partial = Partial { folder: partial, finished: false };
        let path = partial.folder.join(RECORD);
        fs::write(&path, record).map_err(Error::writing(&path))?;
        Ok(partial)
    }

    fn finish(mut self, folder: &Path) -> Result<(), Error> {
        fs::rename(&self.folder, folder).map_err(Error::writing(folder))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            // The error that ended the run is the one to tell.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
