//! IDX files as MNIST's: a big-endian header and 8-bit gray pixels; labels in a file of their own, with its own header.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use diptych_config::Choice;
use diptych_host::Size;

use super::super::SourceError;
use super::{Description, Layout, Split, no_such_split, read_labels, records};

/// Unsigned bytes in one and in three dimensions.
const LABELS: u32 = 0x0801;
const IMAGES: u32 = 0x0803;
/// Width and height up to which a header is believed.
const MAXIMUM_SIDE: u32 = 1 << 14;

pub(super) fn describe(path: &Path, split: Split) -> Result<Description, SourceError> {
    let (images, title) = if path.is_dir() {
        (find(path, split)?, format!("IDX {}", split.text()))
    } else {
        (path.to_path_buf(), "IDX".to_string())
    };
    let header: [u32; 4] = header(&images, IMAGES, "images of unsigned bytes in three dimensions")?;
    let [_, count, height, width] = header;
    let unfit = |file: &Path, found: String, expected: String| SourceError::Unfit {
        path: file.to_path_buf(),
        found,
        expected,
        remedy: "fetch and decompress it again".into(),
    };
    if !(1..=MAXIMUM_SIDE).contains(&width) || !(1..=MAXIMUM_SIDE).contains(&height) {
        let expected = format!("images of 1x1 to {MAXIMUM_SIDE}x{MAXIMUM_SIDE} pixels");
        return Err(unfit(&images, format!("images of {width}x{height} pixels"), expected));
    }
    let bytes = u64::from(width) * u64::from(height);
    let found = records(&images, 16, bytes, "images of the size that the header tells")?;
    if found != count as usize {
        return Err(unfit(&images, format!("{found} images"), format!("{count}, as its header tells")));
    }
    let labels = match labels_of(&images).filter(|file| file.exists()) {
        None => vec![None; found],
        Some(file) => {
            let [_, labels] = self::header(&file, LABELS, "labels of unsigned bytes")?;
            if labels != count || records(&file, 8, 1, "labels")? != found {
                return Err(unfit(
                    &file,
                    format!("{labels} labels"),
                    format!("one for each of {count} images"),
                ));
            }
            read_labels(&file, 8, 1, found, 0)?
        }
    };
    let files = vec![(images, 16, bytes, found)];
    Ok(Description {
        title,
        layout: Layout::Gray,
        size: Size { width, height },
        files,
        labels,
        classes: None,
    })
}

/// The file of images of a split: `train-images-idx3-ubyte` or `t10k-images.idx3-ubyte`, also with a name before it as
/// EMNIST's.
fn find(folder: &Path, split: Split) -> Result<PathBuf, SourceError> {
    let parts: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
        _ => return Err(no_such_split(folder, split, "train, test")),
    };
    let entries = std::fs::read_dir(folder)
        .map_err(|error| SourceError::Unreadable { path: folder.to_path_buf(), error })?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_part = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        parts.iter().any(|part| {
            ["-idx3-ubyte", ".idx3-ubyte"].iter().any(|end| name.ends_with(&format!("{part}-images{end}")))
        })
    };
    let mut found = files.iter().filter(|file| is_part(file));
    match (found.next(), found.next()) {
        (Some(file), None) => Ok(file.clone()),
        (Some(one), Some(other)) => Err(SourceError::Unfit {
            path: folder.to_path_buf(),
            found: format!("both {} and {}", one.display(), other.display()),
            expected: "one file of images".into(),
            remedy: "give the path of one".into(),
        }),
        (None, _) => Err(SourceError::Unfit {
            path: folder.to_path_buf(),
            found: "none".into(),
            expected: format!("{}-images-idx3-ubyte", parts[0]),
            remedy: "decompress the files (gunzip) or give the path of the images".into(),
        }),
    }
}

/// Where the labels of a file of images lie by custom.
fn labels_of(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1");
    (labels != name).then(|| images.with_file_name(labels))
}

fn header<const WORDS: usize>(file: &Path, magic: u32, expected: &str) -> Result<[u32; WORDS], SourceError> {
    let mut bytes = [[0; 4]; WORDS];
    let read = File::open(file).and_then(|mut open| open.read_exact(bytes.as_flattened_mut()));
    match read {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            return Err(SourceError::Unreadable { path: file.to_path_buf(), error });
        }
        _ => {}
    }
    let words = bytes.map(u32::from_be_bytes);
    if read.is_err() || words[0] != magic {
        let (found, remedy) = match bytes[0] {
            [0x1F, 0x8B, ..] => ("a file compressed with gzip".into(), "decompress it (gunzip)"),
            _ => (format!("{:#010x} at its begin", words[0]), "fetch and decompress it again"),
        };
        return Err(SourceError::Unfit {
            path: file.to_path_buf(),
            found,
            expected: format!("{magic:#010x}, IDX {expected}"),
            remedy: remedy.into(),
        });
    }
    Ok(words)
}
