//! The lines of a file that another process appends to, and now and then replaces.
//!
//! Invariant: every whole line is handed on once and in order; one whose writer is not done yet waits for the next call. Another
//! file in its place, or a shorter one, begins anew.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;
/// A longer line is no line of metrics.
const LONGEST: usize = 1 << 20;

/// What a [`Tail`] comes upon.
#[derive(Debug, PartialEq)]
pub enum Seen<'a> {
    /// Everything before is void.
    Anew,
    /// Without its end.
    Line(&'a [u8]),
}

/// Where reading has come to.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// Device and inode.
    file: Option<(u64, u64)>,
    offset: u64,
}

impl Tail {
    /// Of a file that need not exist yet.
    pub fn new(path: &Path) -> Tail {
        Tail { path: path.to_path_buf(), file: None, offset: 0 }
    }

    /// Reads on, until the file's end or until `budget` bytes are spent. Answers whether there is more to read.
    pub fn read(&mut self, budget: &mut usize, mut see: impl FnMut(Seen<'_>)) -> bool {
        let opened = File::open(&self.path).and_then(|file| Ok((file.metadata()?, file)));
        let Ok((metadata, mut file)) = opened else {
            if self.file.take().is_some() {
                see(Seen::Anew);
            }
            return false;
        };
        let found = Some((metadata.dev(), metadata.ino()));
        if self.file != found || metadata.len() < self.offset {
            if self.file.is_some() {
                see(Seen::Anew);
            }
            (self.file, self.offset) = (found, 0);
        }
        // A file that cannot be read now may be at the next look.
        if file.seek(SeekFrom::Start(self.offset)).is_err() {
            return false;
        }
        let mut pending: Vec<u8> = Vec::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            if *budget == 0 {
                return self.offset + (pending.len() as u64) < metadata.len();
            }
            let wanted = CHUNK.min(*budget);
            let count = match file.read(&mut chunk[..wanted]) {
                Ok(0) | Err(_) => return false,
                Ok(count) => count,
            };
            *budget -= count;
            pending.extend(&chunk[..count]);
            let mut begin = 0;
            while let Some(length) = pending[begin..].iter().position(|byte| *byte == b'\n') {
                see(Seen::Line(&pending[begin..begin + length]));
                begin += length + 1;
            }
            if begin == 0 && pending.len() > LONGEST {
                begin = pending.len();
            }
            pending.drain(..begin);
            self.offset += begin as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        tail: Tail,
    }

    impl Fixture {
        fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let tail = Tail::new(&folder.path().join("lines"));
            Fixture { folder, tail }
        }

        fn append(&self, text: &str) {
            let path = self.folder.path().join("lines");
            let mut file = File::options().append(true).create(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn replace(&self, text: &str) {
            let (fresh, path) = (self.folder.path().join("fresh"), self.folder.path().join("lines"));
            fs::write(&fresh, text).unwrap();
            fs::rename(fresh, path).unwrap();
        }

        /// What is new, `ANEW` for a new beginning, and whether there is more.
        fn read_up_to(&mut self, mut budget: usize) -> (Vec<String>, bool) {
            let mut seen = Vec::new();
            let more = self.tail.read(&mut budget, |what| {
                seen.push(match what {
                    Seen::Anew => "ANEW".to_string(),
                    Seen::Line(line) => String::from_utf8_lossy(line).into_owned(),
                })
            });
            (seen, more)
        }

        fn read(&mut self) -> Vec<String> {
            self.read_up_to(usize::MAX).0
        }
    }

    #[test]
    fn a_line_is_handed_on_once_and_only_when_it_is_whole() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.read(), Vec::<String>::new(), "there is no file yet");
        fixture.append("one\ntw");
        assert_eq!(fixture.read(), ["one"]);
        assert_eq!(fixture.read(), Vec::<String>::new());
        fixture.append("o\nthree\n");
        assert_eq!(fixture.read(), ["two", "three"]);
    }

    #[test]
    fn a_file_that_was_replaced_cut_or_removed_begins_anew() {
        let mut fixture = Fixture::new();
        fixture.append("one\ntwo\n");
        fixture.read();
        // As long as before, as when a resumed run has come as far again.
        fixture.replace("one\nTWO\n");
        assert_eq!(fixture.read(), ["ANEW", "one", "TWO"]);
        fs::write(fixture.folder.path().join("lines"), "x\n").unwrap();
        assert_eq!(fixture.read(), ["ANEW", "x"]);
        fs::remove_file(fixture.folder.path().join("lines")).unwrap();
        assert_eq!(fixture.read(), ["ANEW"]);
        assert_eq!(fixture.read(), Vec::<String>::new());
    }

    #[test]
    fn a_budget_ends_a_read_and_the_next_one_goes_on() {
        let mut fixture = Fixture::new();
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        fixture.append(&(lines.join("\n") + "\n"));
        let mut found = Vec::new();
        let mut reads = 0;
        loop {
            let (seen, more) = fixture.read_up_to(100);
            found.extend(seen);
            reads += 1;
            if !more {
                break;
            }
        }
        assert_eq!(found, lines);
        assert!(reads > 50, "{reads}");
    }

    #[test]
    fn a_line_without_end_is_given_up_and_the_ones_behind_it_are_read() {
        let mut fixture = Fixture::new();
        fixture.append(&"x".repeat(3 * LONGEST));
        assert_eq!(fixture.read(), Vec::<String>::new());
        fixture.append("\ngood\n");
        assert_eq!(fixture.read().last().unwrap(), "good");
    }
}
