//! A file as the `parquet` crate reads it: by positioned reads, so that readers share nothing but the open file.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::errors::Result;
use parquet::file::reader::{ChunkReader, Length};

use super::super::files::Files;

/// Bytes that are read at a time where the length isn't known before: headers of pages.
const WINDOW: u64 = 4096;

/// One of a source's files.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    files: Arc<Files>,
    number: usize,
    bytes: u64,
}

impl StoredFile {
    /// File `number`, of `bytes` bytes.
    pub fn new(files: &Arc<Files>, number: usize, bytes: u64) -> StoredFile {
        StoredFile { files: files.clone(), number, bytes }
    }

    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.files.read_exact_at(self.number, bytes, offset)
    }
}

impl Length for StoredFile {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for StoredFile {
    type T = Window;

    fn get_read(&self, start: u64) -> Result<Window> {
        Ok(Window { file: self.clone(), at: start, held: Vec::new(), used: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged header's length shouldn't become memory.
        if start.checked_add(length as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// What begins at some place in a file, a few bytes at a time.
pub(super) struct Window {
    file: StoredFile,
    /// Where the next bytes to hold are.
    at: u64,
    held: Vec<u8>,
    used: usize,
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.held.len() {
            self.held.resize(self.file.bytes.saturating_sub(self.at).min(WINDOW) as usize, 0);
            self.file.read_exact_at(&mut self.held, self.at)?;
            self.at += self.held.len() as u64;
            self.used = 0;
        }
        let count = out.len().min(self.held.len() - self.used);
        out[..count].copy_from_slice(&self.held[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

/// A file that remembers where the crate's page reader read last: the crate tells what a page holds, but not where it
/// lies.
pub(super) struct Watched {
    file: StoredFile,
    header: AtomicU64,
    body: AtomicU64,
}

impl Watched {
    pub fn new(file: &StoredFile) -> Watched {
        Watched { file: file.clone(), header: AtomicU64::new(0), body: AtomicU64::new(0) }
    }

    /// Where the page begins whose header was read last.
    pub fn header(&self) -> u64 {
        self.header.load(Ordering::Relaxed)
    }

    /// Where the compressed content begins that was read last.
    pub fn body(&self) -> u64 {
        self.body.load(Ordering::Relaxed)
    }
}

impl Length for Watched {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Watched {
    type T = Window;

    fn get_read(&self, start: u64) -> Result<Window> {
        self.header.store(start, Ordering::Relaxed);
        self.file.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.body.store(start, Ordering::Relaxed);
        self.file.get_bytes(start, length)
    }
}
