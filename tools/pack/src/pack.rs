//! Packing: from a source to shards.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use diptych_pipeline::Source;
use diptych_pipeline::decode::DecodeOptions;
use diptych_pipeline::source::packed::{MANIFEST, key_of};

use crate::encode::Encoded;
use crate::error::Error;
use crate::manifest::{Manifest, Shard, Skipped};
use crate::options::{PackOptions, ShardLimit};
use crate::ordered;
use crate::sample::{Fault, Packer};
use crate::shard::{Finished, ShardWriter};

/// As many as six digits number: shards are read in the order of their names.
const MAXIMUM_SHARDS: usize = 1_000_000;
/// Keeps other processes out of the folder.
const LOCK: &str = ".lock";

/// What is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Samples in whole shards.
    pub samples: u64,
    /// Number of whole shards.
    pub shards: usize,
    /// Of all whole shards.
    pub bytes: u64,
    /// The images that were left out.
    pub skipped: Vec<Skipped>,
    /// Whether the set is whole; else `stop` was raised, and packing again goes on.
    pub complete: bool,
    /// Whether the whole set was there already, and nothing was written.
    pub was_there: bool,
}

/// Packs the samples of `source` in their order, or goes on where an earlier call ended.
///
/// `progress` is called with the number of samples done and their total; those of shards that were there count.
/// When `stop` is raised, the shard in the making is given up and the others are kept.
///
/// # Errors
/// When the options are impossible; when the folder holds anything but a part of this very set; when an image cannot be
/// read; when something cannot be written. Shards that are whole stay, and a later call goes on with them.
pub fn pack(
    source: &dyn Source,
    options: &PackOptions,
    progress: &dyn Fn(u64, u64),
    stop: &AtomicBool,
) -> Result<Summary, Error> {
    options.check()?;
    check_names(source)?;
    let folder = &options.folder;
    check_folder(folder)?;
    let _lock = lock(folder)?;
    let wanted = Manifest::new(source, options);
    let manifest = match Manifest::load(folder)? {
        Some(found) => {
            found.check_same(&wanted, folder)?;
            found
        }
        None => {
            wanted.save(folder)?;
            wanted
        }
    };
    let mut run = Run { source, options, manifest, done: 0, progress, stop };
    let missing = run.missing();
    let was_there = run.manifest.complete && missing.is_empty();
    let complete = was_there || run.write(&missing)?;
    let manifest = run.manifest;
    Ok(Summary {
        samples: manifest.samples(),
        shards: manifest.shards.len(),
        bytes: manifest.bytes(),
        skipped: manifest.skipped,
        complete,
        was_there,
    })
}

/// A set while it is packed.
struct Run<'a> {
    source: &'a dyn Source,
    options: &'a PackOptions,
    manifest: Manifest,
    /// Samples of the source that are in whole shards, in the one in the making, or left out.
    done: u64,
    progress: &'a dyn Fn(u64, u64),
    stop: &'a AtomicBool,
}

/// Samples in their order, as they are stored.
type Samples<'a> = &'a mut dyn Iterator<Item = Result<Encoded, Fault>>;

impl Run<'_> {
    /// Numbers of the shards that the manifest knows and the folder lacks, or has at another length.
    fn missing(&self) -> Vec<usize> {
        let is_missing = |shard: &Shard| {
            let length = fs::metadata(self.options.folder.join(&shard.name)).map(|metadata| metadata.len());
            length.ok() != Some(shard.bytes)
        };
        let shards = self.manifest.shards.iter().enumerate();
        shards.filter(|(_, shard)| is_missing(shard)).map(|(number, _)| number).collect()
    }

    /// Writes the shards `missing`, then those that were never written. False when `stop` was raised before the end.
    fn write(&mut self, missing: &[usize]) -> Result<bool, Error> {
        let (source, options) = (self.source, self.options);
        let again: Vec<_> = missing
            .iter()
            .map(|number| &self.manifest.shards[*number])
            .map(|shard| shard.first..shard.end)
            .collect();
        let end = if self.manifest.complete { source.len() } else { self.manifest.end() };
        self.done = end as u64 - again.iter().map(|range| range.len() as u64).sum::<u64>();
        (self.progress)(self.done, source.len() as u64);

        let decoding = DecodeOptions { maximum_pixels: options.maximum_pixels };
        ordered::map(
            ordered::threads(options.workers),
            again.into_iter().flatten().chain(end..source.len()),
            || Packer::new(options.format, options.short_side, decoding),
            |packer, index| packer.pack(source, index),
            |samples| {
                for number in missing {
                    if !self.write_again(*number, samples)? {
                        return Ok(false);
                    }
                }
                while !self.manifest.complete {
                    if !self.write_next(samples)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            },
        )
    }

    /// Writes a shard as it was before. False when `stop` was raised.
    fn write_again(&mut self, number: usize, samples: Samples) -> Result<bool, Error> {
        let shard = self.manifest.shards[number].clone();
        let path = self.options.folder.join(&shard.name);
        let mut writer = ShardWriter::create(&path)?;
        for index in shard.first..shard.end {
            match self.next(samples) {
                None => return Ok(false),
                Some(Ok(image)) => self.append(&mut writer, index, &image)?,
                Some(Err(_)) if self.manifest.skipped.iter().any(|skipped| skipped.index == index) => {}
                Some(Err(fault)) => return Err(self.unreadable(index, fault)),
            }
        }
        let Finished { bytes, sha256 } = writer.finish()?;
        if (bytes, &sha256) != (shard.bytes, &shard.sha256) {
            // It would pass for whole until its bytes are looked at.
            fs::remove_file(&path).map_err(Error::writing(&path))?;
            return Err(Error::Changed { path });
        }
        Ok(true)
    }

    /// Writes the next shard, and the manifest that knows it. False when `stop` was raised.
    fn write_next(&mut self, samples: Samples) -> Result<bool, Error> {
        let number = self.manifest.shards.len();
        if number == MAXIMUM_SHARDS {
            return Err(Error::TooManyShards { maximum: MAXIMUM_SHARDS });
        }
        let name = format!("{number:06}.tar");
        let (first, length) = (self.manifest.end(), self.source.len());
        let mut end = first;
        let mut skipped = Vec::new();
        let mut writer: Option<ShardWriter> = None;
        while end < length && !writer.as_ref().is_some_and(|writer| self.is_full(writer)) {
            match self.next(samples) {
                None => return Ok(false),
                Some(Ok(image)) => {
                    let writer = match &mut writer {
                        Some(writer) => writer,
                        none => none.insert(ShardWriter::create(&self.options.folder.join(&name))?),
                    };
                    self.append(writer, end, &image)?;
                }
                Some(Err(fault)) if self.options.skip_unreadable => skipped.push(Skipped {
                    index: end,
                    path: self.source.path(end).display().to_string(),
                    reason: fault.to_string(),
                }),
                Some(Err(fault)) => return Err(self.unreadable(end, fault)),
            }
            end += 1;
        }
        let manifest = &mut self.manifest;
        manifest.skipped.extend(skipped);
        if let Some(writer) = writer {
            let samples = writer.samples;
            let Finished { bytes, sha256 } = writer.finish()?;
            manifest.shards.push(Shard { name, samples, bytes, sha256, first, end });
        } else if let (true, Some(Skipped { reason, .. })) = (number == 0, manifest.skipped.first()) {
            let (path, reason) = (self.source.path(0), reason.clone());
            return Err(Error::NothingReadable { samples: length, path, reason });
        }
        manifest.complete = end == length;
        manifest.save(&self.options.folder)?;
        Ok(true)
    }

    /// The next sample; `None` when `stop` was raised.
    fn next(&mut self, samples: Samples) -> Option<Result<Encoded, Fault>> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let sample = samples.next();
        self.done += 1;
        (self.progress)(self.done, self.source.len() as u64);
        sample
    }

    fn append(&self, writer: &mut ShardWriter, index: usize, image: &Encoded) -> Result<(), Error> {
        let label = self.source.classes().and(self.source.sample(index).label);
        writer.append(&key_of(&self.source.name(index)), image, label)
    }

    fn is_full(&self, writer: &ShardWriter) -> bool {
        match self.options.shards {
            ShardLimit::Bytes(limit) => writer.bytes() >= limit,
            ShardLimit::Samples(limit) => writer.samples >= limit,
        }
    }

    fn unreadable(&self, index: usize, fault: Fault) -> Error {
        Error::Unreadable { path: self.source.path(index), fault }
    }
}

/// Refuses samples that would become one: ids are hashes of names.
fn check_names(source: &dyn Source) -> Result<(), Error> {
    let mut ids: Vec<(u64, usize)> =
        (0..source.len()).map(|index| (source.sample(index).id, index)).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        None => Ok(()),
        Some(pair) => Err(Error::SameName {
            name: String::from_utf8_lossy(&source.name(pair[0].1)).into_owned(),
            one: source.path(pair[0].1),
            other: source.path(pair[1].1),
        }),
    }
}

/// Makes the folder, or sees that there is nothing in it but what packing writes.
fn check_folder(folder: &Path) -> Result<(), Error> {
    match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => return Err(Error::NotAFolder { path: folder.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::create_dir_all(folder).map_err(Error::writing(folder));
        }
        Err(error) => return Err(Error::reading(folder)(error)),
        Ok(_) => {}
    }
    if folder.join(MANIFEST).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(Error::reading(folder))? {
        let name = entry.map_err(Error::reading(folder))?.file_name().to_string_lossy().into_owned();
        // The latter is what a process leaves that was ended before its first manifest.
        if name != LOCK && name != format!(".{MANIFEST}.partial") {
            return Err(Error::Occupied { folder: folder.to_owned(), example: name });
        }
    }
    Ok(())
}

/// Takes the folder's lock; it is given back when the file is closed.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(Error::writing(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::Busy { folder: folder.to_owned() }),
        // A file system without locks (some network ones) leaves it to the people.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
