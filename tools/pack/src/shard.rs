//! One tar shard while it is written.
//!
//! Headers say nothing of the time, the user or the machine: the same members give the same bytes.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::encode::Encoded;
use crate::error::Error;
use crate::files::Partial;

/// Writes a shard.
pub(crate) struct ShardWriter {
    partial: Partial,
    builder: tar::Builder<Hashing>,
    pub samples: u64,
}

/// What a finished shard is.
pub(crate) struct Finished {
    pub bytes: u64,
    pub sha256: String,
}

impl ShardWriter {
    /// A shard that will lie at `path`.
    pub fn create(path: &Path) -> Result<ShardWriter, Error> {
        let partial = Partial::new(path);
        let file = File::create(&partial.path).map_err(Error::writing(path))?;
        let writer = Hashing { file: BufWriter::with_capacity(1 << 20, file), hash: Sha256::new(), bytes: 0 };
        Ok(ShardWriter { partial, builder: tar::Builder::new(writer), samples: 0 })
    }

    /// Adds a sample: `KEY.SUFFIX`, and with a label `KEY.cls`.
    pub fn append(&mut self, key: &str, image: &Encoded, label: Option<i64>) -> Result<(), Error> {
        self.append_member(&format!("{key}.{}", image.suffix), &image.bytes)?;
        if let Some(label) = label {
            self.append_member(&format!("{key}.cls"), label.to_string().as_bytes())?;
        }
        self.samples += 1;
        Ok(())
    }

    fn append_member(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.builder.append_data(&mut header, name, content).map_err(Error::writing(self.partial.place()))
    }

    /// Bytes so far, without the archive's end.
    pub fn bytes(&self) -> u64 {
        self.builder.get_ref().bytes
    }

    /// Puts the shard into its place. It is on the disk then.
    pub fn finish(self) -> Result<Finished, Error> {
        let ShardWriter { partial, builder, .. } = self;
        let writer = builder.into_inner().and_then(|mut writer| {
            writer.flush()?;
            writer.file.get_ref().sync_all()?;
            Ok(writer)
        });
        let writer = writer.map_err(Error::writing(partial.place()))?;
        partial.finish()?;
        Ok(Finished { bytes: writer.bytes, sha256: hexadecimal(writer.hash) })
    }
}

/// The digest of what was hashed.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file, and the hash of what was written to it.
struct Hashing {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn written(folder: &Path) -> (Vec<u8>, Finished) {
        let path = folder.join("000000.tar");
        let mut shard = ShardWriter::create(&path).unwrap();
        let image = |suffix, bytes: &[u8]| Encoded { suffix, bytes: bytes.to_vec() };
        shard.append("cat/a", &image("jpg", b"first"), Some(7)).unwrap();
        let before = shard.bytes();
        shard.append(&"long/".repeat(60), &image("ppm", &[9; 600]), None).unwrap();
        // Two members of a header and a block each; then the header and the block of a long name, and a header and two blocks.
        assert_eq!((path.exists(), before, shard.bytes()), (false, 4 * 512, 9 * 512));
        let finished = shard.finish().unwrap();
        (std::fs::read(&path).unwrap(), finished)
    }

    #[test]
    fn members_are_those_that_were_added_and_the_digest_is_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let (bytes, finished) = written(folder.path());
        assert_eq!(finished.bytes, bytes.len() as u64);
        assert_eq!(finished.sha256, hexadecimal(Sha256::new_with_prefix(&bytes)));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let members: Vec<(String, Vec<u8>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content)
            })
            .collect();
        let long = format!("{}.ppm", "long/".repeat(60));
        let expected =
            [("cat/a.jpg", b"first".to_vec()), ("cat/a.cls", b"7".to_vec()), (&long, vec![9; 600])];
        assert_eq!(members, expected.map(|(name, content)| (name.to_owned(), content)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_shard_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shard = ShardWriter::create(&folder.path().join("000000.tar")).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(shard);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
