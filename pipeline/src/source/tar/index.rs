//! What one tar shard holds, from its headers: where each sample's image lies, and its label.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::labels::Label;
use super::super::{Form, SourceError};
use super::ppm;

/// Suffixes of images. What the bytes are is told by themselves, when they are decoded.
const IMAGES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];
/// Suffix of pixels.
const PIXELS: &str = "ppm";
/// A label's member that is larger is none.
const MAXIMUM_LABEL_BYTES: u64 = 16 << 20;

/// The samples of one shard, in the order of their first members.
#[derive(Debug, Default)]
pub(super) struct ShardIndex {
    pub samples: Vec<Member>,
    /// Keys without an image: their number, and the first of them.
    pub without_image: usize,
    pub example: Option<String>,
    /// Length of the file.
    pub bytes: u64,
}

/// A sample's image.
#[derive(Debug)]
pub(super) struct Member {
    /// Path in the archive, up to the first dot of its last part.
    pub key: String,
    /// What follows that dot.
    pub suffix: String,
    /// Of the image file or the pixels in the archive.
    pub offset: u64,
    pub bytes: u64,
    pub form: Form,
    pub label: Option<Label>,
}

struct Image {
    suffix: String,
    offset: u64,
    bytes: u64,
    form: Form,
}

/// The members of one key.
#[derive(Default)]
struct Group {
    key: String,
    image: Option<Image>,
    class: Option<Label>,
    json: Option<Label>,
}

/// Reads all headers of the archive at `path`, and what stands in its labels' members: `cls`, else the field
/// `label_field` of `json`.
pub(super) fn read(path: &Path, label_field: &str) -> Result<ShardIndex, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: path.to_path_buf(), error };
    let file = File::open(path).map_err(unreadable)?;
    let bytes = file.metadata().map_err(unreadable)?.len();
    let damaged = |found: String, expected: &str| SourceError::Unfit {
        path: path.to_path_buf(),
        found,
        expected: expected.into(),
        remedy: "fetch or write it again".into(),
    };
    let not_tar = |error: io::Error| damaged(format!("{error} in it"), "a whole tar archive");
    refuse_compressed(path, &file).map_err(|error| error.unwrap_or_else(not_tar))?;

    let mut archive = tar::Archive::new(Window::new(&file));
    let mut groups = Groups::default();
    for entry in archive.entries_with_seek().map_err(not_tar)? {
        let mut entry = entry.map_err(not_tar)?;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if offset.checked_add(size).is_none_or(|end| end > bytes) {
            let found = format!("{bytes} bytes, and {name} goes on after them");
            return Err(damaged(found, "a whole tar archive"));
        }
        let Some((key, suffix)) = split(&name).filter(|_| entry.header().entry_type().is_file()) else {
            continue;
        };
        let group = groups.of(key);
        let suffix = suffix.to_lowercase();
        if suffix == PIXELS || IMAGES.contains(&suffix.as_str()) {
            if let Some(Image { suffix: other, .. }) = &group.image {
                let found = format!("both {key}.{other} and {key}.{suffix}");
                return Err(damaged(found, "one image under each name up to the first dot"));
            }
            let (form, offset, size) = if suffix == PIXELS {
                let mut begin = Vec::new();
                entry.by_ref().take(ppm::LONGEST_HEADER).read_to_end(&mut begin).map_err(not_tar)?;
                let (pixels, start) = ppm::header(&begin, size).map_err(|found| SourceError::Unfit {
                    path: path.to_path_buf(),
                    found: format!("{found} in {name}"),
                    expected: "a PPM of kind P6 with values up to 255".into(),
                    remedy: "store it so, or as PNG".into(),
                })?;
                (Form::Rgb8(pixels), offset + start, size - start)
            } else {
                (Form::Encoded, offset, size)
            };
            // The name as it stands, to find it again.
            let written = name.rsplit_once('/').map_or(name.as_str(), |(_, base)| base);
            let written = written.split_once('.').map_or(suffix.as_str(), |(_, suffix)| suffix);
            group.image = Some(Image { suffix: written.to_string(), offset, bytes: size, form });
        } else if matches!(suffix.as_str(), "cls" | "json") && size <= MAXIMUM_LABEL_BYTES {
            let mut content = Vec::with_capacity(size as usize);
            entry.read_to_end(&mut content).map_err(not_tar)?;
            if suffix == "cls" {
                let text = String::from_utf8_lossy(&content);
                let number = text.trim().parse().map_err(|_| {
                    let found = format!("{:?} in {name}", text.chars().take(20).collect::<String>());
                    damaged(found, "the number of a class")
                })?;
                group.class = Some(Label::Number(number));
            } else {
                let json: serde_json::Value = serde_json::from_slice(&content)
                    .map_err(|error| damaged(format!("{error} of {name}"), "JSON"))?;
                group.json = Label::from_json(&json, label_field);
            }
        }
    }
    Ok(groups.finish(bytes))
}

/// The groups of a shard. Members of one key follow each other when WebDataset wrote them, but need not.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    places: HashMap<String, usize>,
}

impl Groups {
    fn of(&mut self, key: &str) -> &mut Group {
        let place = match self.places.entry(key.to_string()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.groups.push(Group { key: key.to_string(), ..Group::default() });
                *new.insert(self.groups.len() - 1)
            }
        };
        &mut self.groups[place]
    }

    fn finish(self, bytes: u64) -> ShardIndex {
        let mut index = ShardIndex { bytes, ..ShardIndex::default() };
        for Group { key, image, class, json } in self.groups {
            match image {
                Some(Image { suffix, offset, bytes, form }) => {
                    index.samples.push(Member { key, suffix, offset, bytes, form, label: class.or(json) });
                }
                None => {
                    index.without_image += 1;
                    index.example.get_or_insert(key);
                }
            }
        }
        index
    }
}

/// A member's key and suffix; `None` for what WebDataset leaves out too: names without one of the two, and its own notes
/// (`__name__`).
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let first = name.split('/').next().unwrap_or(name);
    if first.len() >= 4 && first.starts_with("__") && first.ends_with("__") {
        return None;
    }
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = name[base..].find('.').filter(|dot| *dot > 0)?;
    Some((&name[..base + dot], &name[base + dot + 1..]))
}

/// Says what to do about archives that are compressed as a whole, in which no sample can be found without the ones
/// before it.
fn refuse_compressed(path: &Path, file: &File) -> Result<(), Result<SourceError, io::Error>> {
    let mut first = [0; 4];
    if file.read_at(&mut first, 0).map_err(Err)? < first.len() {
        return Ok(());
    }
    let kind = match first {
        [0x1F, 0x8B, ..] => "gzip",
        [0x28, 0xB5, 0x2F, 0xFD] => "zstd",
        [b'B', b'Z', b'h', _] => "bzip2",
        [0xFD, b'7', b'z', b'X'] => "xz",
        _ => return Ok(()),
    };
    Err(Ok(SourceError::Unfit {
        path: path.to_path_buf(),
        found: format!("a file compressed with {kind}"),
        expected: "a plain .tar, whose samples can be read in any order".into(),
        remedy: "decompress it, which makes it hardly larger: images are compressed already".into(),
    }))
}

/// A file as a reader that skips for free: it reads a few blocks at a time, by position.
struct Window<'a> {
    file: &'a File,
    at: u64,
    /// Where `buffer` begins, and how much of it is filled.
    start: u64,
    filled: usize,
    buffer: Box<[u8; 4096]>,
}

impl<'a> Window<'a> {
    fn new(file: &'a File) -> Window<'a> {
        Window { file, at: 0, start: 0, filled: 0, buffer: Box::new([0; 4096]) }
    }
}

impl Read for Window<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !(self.start..self.start + self.filled as u64).contains(&self.at) {
            self.filled = self.file.read_at(&mut self.buffer[..], self.at)?;
            self.start = self.at;
        }
        let held = &self.buffer[(self.at - self.start) as usize..self.filled];
        let count = held.len().min(out.len());
        out[..count].copy_from_slice(&held[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(delta) => self.at.checked_add_signed(delta),
            SeekFrom::End(delta) => self.file.metadata()?.len().checked_add_signed(delta),
        };
        self.at = place
            .ok_or_else(|| io::Error::other("a place before the file's begin or past all files' end"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_key_ends_at_the_first_dot_of_the_last_part() {
        assert_eq!(split("./a.b/c.left.JPG"), Some(("a.b/c", "left.JPG")));
        assert_eq!(split("000.cls"), Some(("000", "cls")));
        for left_out in ["__meta__", "__x__/1.jpg", ".hidden.jpg", "a/.b.jpg", "readme", "a/"] {
            assert_eq!(split(left_out), None, "{left_out}");
        }
    }
}
