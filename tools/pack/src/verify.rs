//! Whether the bytes of a packed set are those that were written.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::check::pool;
use crate::error::Error;
use crate::manifest::{Manifest, Shard};
use crate::shard::hexadecimal;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Shards that the manifest names.
    pub shards: usize,
    /// Samples in them.
    pub samples: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those that aren't as they were written, each with what was found.
    pub damaged: Vec<(PathBuf, String)>,
    /// Whether the set was packed to its end.
    pub complete: bool,
}

/// Reads all shards of the set in `folder` on `workers` threads (0 for one per core) and compares their checksums;
/// `None` when `stop` was raised before the end.
///
/// `progress` is called from several threads with the number of bytes read and their total.
///
/// # Errors
/// When there is no set. What is wrong with the shards is no error, but the result.
pub fn verify(
    folder: &Path,
    workers: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
    stop: &AtomicBool,
) -> Result<Option<Verification>, Error> {
    let manifest = Manifest::load(folder)?.ok_or_else(|| Error::NoSet { folder: folder.to_owned() })?;
    let read = AtomicU64::new(0);
    let total = manifest.bytes();
    let count = |bytes: u64| progress(read.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
    let check = |shard: &Shard| {
        let path = folder.join(&shard.name);
        let found = difference(shard, &path, &count, stop)?;
        Some((path, found))
    };
    let damaged = pool(workers)?.install(|| manifest.shards.par_iter().filter_map(check).collect());
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    Ok(Some(Verification {
        shards: manifest.shards.len(),
        samples: manifest.samples(),
        bytes: total,
        damaged,
        complete: manifest.complete,
    }))
}

/// What is wrong with the shard's file.
fn difference(shard: &Shard, path: &Path, count: &dyn Fn(u64), stop: &AtomicBool) -> Option<String> {
    match digest(path, count, stop) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is missing".into()),
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok((bytes, _)) if bytes != shard.bytes => {
            Some(format!("found {bytes} bytes, expected {}", shard.bytes))
        }
        Ok((_, sha256)) if sha256 != shard.sha256 => Some("its bytes are not those that were written".into()),
        Ok(_) => None,
    }
}

/// Length and SHA-256 of a file; of a part of it when `stop` was raised.
fn digest(path: &Path, count: &dyn Fn(u64), stop: &AtomicBool) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut hash) = (0, Sha256::new());
    while !stop.load(Ordering::Relaxed) {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        bytes += read as u64;
        count(read as u64);
    }
    Ok((bytes, hexadecimal(hash)))
}
