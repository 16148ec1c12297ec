//! Files that many workers read at once, by positioned reads and without a lock.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Files that stay open; half of what systems commonly allow a process. Others are opened for every read.
const KEPT_OPEN: usize = 512;

/// The files of one source, each opened when it is first read.
#[derive(Debug)]
pub(super) struct Files {
    paths: Vec<PathBuf>,
    open: Vec<OnceLock<File>>,
    opened: AtomicUsize,
}

impl Files {
    pub fn new(paths: Vec<PathBuf>) -> Files {
        let open = paths.iter().map(|_| OnceLock::new()).collect();
        Files { paths, open, opened: AtomicUsize::new(0) }
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub fn path(&self, number: usize) -> &Path {
        &self.paths[number]
    }

    /// Fills `bytes` from `offset` of file `number` on.
    pub fn read_exact_at(&self, number: usize, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        if let Some(file) = self.open[number].get() {
            return file.read_exact_at(bytes, offset);
        }
        let file = File::open(&self.paths[number])?;
        if self.opened.fetch_add(1, Ordering::Relaxed) < KEPT_OPEN {
            return self.open[number].get_or_init(|| file).read_exact_at(bytes, offset);
        }
        file.read_exact_at(bytes, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_stay_open_are_all_read() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..KEPT_OPEN + 3).map(|number| folder.path().join(number.to_string())).collect();
        for (number, path) in paths.iter().enumerate() {
            std::fs::write(path, format!("{number:05}")).unwrap();
        }
        let files = Files::new(paths);
        for _ in 0..2 {
            for number in 0..files.len() {
                let mut bytes = [0; 4];
                files.read_exact_at(number, &mut bytes, 1).unwrap();
                assert_eq!(bytes, format!("{number:04}").as_bytes());
            }
        }
        assert_eq!(files.open.iter().filter(|file| file.get().is_some()).count(), KEPT_OPEN);
        let beyond = files.read_exact_at(0, &mut [0; 6], 0).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
    }
}
