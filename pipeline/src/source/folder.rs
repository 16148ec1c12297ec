//! A folder of images: `root/class/image.*`, or `root/image.*` without labels.
//!
//! What is an image is told by a file's first bytes, never by its name. Other files are left out and counted;
//! hidden files and folders are not looked at. In `root/class/` images may lie at any depth.

use std::fs::File;
use std::hash::Hasher;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use walkdir::WalkDir;

use super::{Form, SampleData, SampleInfo, Source, SourceError, names};
use crate::decode;
use crate::error::ReadError;
use crate::random;

/// Images of a folder, sorted by the bytes of their paths.
#[derive(Debug)]
pub struct FolderSource {
    root: PathBuf,
    samples: Vec<Sample>,
    classes: Option<Vec<String>>,
    /// Files that are no images: their number, and the first few by name.
    ignored: Ignored,
    identity: String,
}

#[derive(Debug)]
struct Sample {
    id: u64,
    path: PathBuf,
    label: Option<i64>,
}

#[derive(Debug, Default)]
struct Ignored {
    count: usize,
    examples: Vec<String>,
}

/// A file below the root.
struct Entry {
    relative: PathBuf,
    bytes: u64,
    is_image: bool,
}

impl FolderSource {
    /// Looks through the folder at `path`: lists it and reads the first bytes of every file, on all cores.
    pub fn open(path: &Path) -> Result<FolderSource, SourceError> {
        let metadata = std::fs::metadata(path)
            .map_err(|error| SourceError::Unreadable { path: path.to_path_buf(), error })?;
        if !metadata.is_dir() {
            return Err(SourceError::NotAFolder(path.to_path_buf()));
        }
        let mut entries = list(path)?;
        entries.par_iter_mut().for_each(|entry| entry.is_image = is_image(&path.join(&entry.relative)));
        entries.sort_by(|left, right| bytes_of(&left.relative).cmp(bytes_of(&right.relative)));
        let (images, others): (Vec<Entry>, Vec<Entry>) =
            entries.into_iter().partition(|entry| entry.is_image);
        let ignored = Ignored {
            count: others.len(),
            examples: others.iter().take(3).map(|entry| entry.relative.display().to_string()).collect(),
        };
        if images.is_empty() {
            return Err(SourceError::NoImages { path: path.to_path_buf(), found: ignored.found() });
        }
        let direct: Vec<&Entry> = images.iter().filter(|entry| class_of(&entry.relative).is_none()).collect();
        let classes = match direct.len() {
            0 => Some(class_names(&images)),
            count if count == images.len() => None,
            count => {
                return Err(SourceError::Mixed {
                    path: path.to_path_buf(),
                    direct: count,
                    example: direct[0].relative.display().to_string(),
                    nested: images.len() - count,
                });
            }
        };
        let identity = identity(&images);
        let ids = names::ids(
            images.len(),
            |index| names::without_suffix(bytes_of(&images[index].relative)),
            |index| bytes_of(&images[index].relative),
        );
        let samples = images
            .into_iter()
            .zip(ids)
            .map(|(entry, id)| Sample {
                id,
                label: classes.as_ref().zip(class_of(&entry.relative)).map(|(classes, class)| {
                    // The names were made from these very entries and are sorted.
                    classes.binary_search(&class).map_or(-1, |index| index as i64)
                }),
                path: path.join(entry.relative),
            })
            .collect();
        Ok(FolderSource { root: path.to_path_buf(), samples, classes, ignored, identity })
    }

    /// Number of files that were left out because they are no images.
    pub fn ignored(&self) -> usize {
        self.ignored.count
    }
}

impl Source for FolderSource {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        let sample = &self.samples[index];
        SampleInfo { id: sample.id, label: sample.label }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        let Sample { id, path, .. } = &self.samples[index];
        let relative = bytes_of(path.strip_prefix(&self.root).unwrap_or(path));
        names::name(*id, names::without_suffix(relative), || relative.to_vec())
    }

    fn path(&self, index: usize) -> PathBuf {
        self.samples[index].path.clone()
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        data.form = Form::Encoded;
        data.bytes.clear();
        File::open(&self.samples[index].path)?.read_to_end(&mut data.bytes)?;
        Ok(())
    }

    fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn summary(&self) -> String {
        let mut text = format!("{} images in {}", self.samples.len(), self.root.display());
        match &self.classes {
            Some(classes) => text.push_str(&format!(", {} classes", classes.len())),
            None => text.push_str(", without labels"),
        }
        if self.ignored.count > 0 {
            text.push_str(&format!("; left out {}", self.ignored.found()));
        }
        text
    }
}

impl Ignored {
    fn found(&self) -> String {
        match self.count {
            0 => "an empty folder".into(),
            1 => format!("1 file that is no image ({})", self.examples[0]),
            count => {
                let more = if count > self.examples.len() { ", ..." } else { "" };
                format!("{count} files that are no images ({}{more})", self.examples.join(", "))
            }
        }
    }
}

fn list(root: &Path) -> Result<Vec<Entry>, SourceError> {
    let hidden = |entry: &walkdir::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    let walk = WalkDir::new(root).follow_links(true).min_depth(1).into_iter();
    let mut entries = Vec::new();
    for entry in walk.filter_entry(|entry| !hidden(entry)) {
        let entry = entry.map_err(super::unlisted)?;
        if !entry.file_type().is_file() {
            continue;
        }
        let bytes = entry.metadata().map_err(super::unlisted)?.len();
        // Every entry lies under the root that was walked.
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_path_buf();
        entries.push(Entry { relative, bytes, is_image: false });
    }
    Ok(entries)
}

/// Whether the first bytes are an image's. A file that cannot be opened counts as one, so that reading it
/// says why instead of leaving it out unseen.
fn is_image(path: &Path) -> bool {
    let mut first = Vec::with_capacity(16);
    match File::open(path).and_then(|file| file.take(16).read_to_end(&mut first)) {
        Ok(_) => decode::format_of(&first).is_some(),
        Err(_) => true,
    }
}

fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// The first folder below the root; `None` for a file directly in it.
fn class_of(relative: &Path) -> Option<String> {
    let mut parts = relative.components();
    let first = parts.next()?;
    parts.next().map(|_| first.as_os_str().to_string_lossy().into_owned())
}

fn class_names(images: &[Entry]) -> Vec<String> {
    let mut names: Vec<String> = images.iter().filter_map(|entry| class_of(&entry.relative)).collect();
    names.sort();
    names.dedup();
    names
}

fn identity(images: &[Entry]) -> String {
    let mut hasher = random::hasher("source");
    for image in images {
        let path = bytes_of(&image.relative);
        hasher.write(&(path.len() as u64).to_le_bytes());
        hasher.write(path);
        hasher.write(&image.bytes.to_le_bytes());
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, b'I', b'H', b'D', b'R'];

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn refusal(files: &[(&str, &[u8])]) -> String {
        let folder = folder(files);
        let text = FolderSource::open(folder.path()).unwrap_err().to_string();
        text.replace(&folder.path().display().to_string(), "ROOT")
    }

    #[test]
    fn folders_are_classes_in_sorted_order() {
        let folder = folder(&[
            ("dog/2.png", PNG),
            ("cat/deep/er/1.jpg", PNG),
            ("dog/10.png", PNG),
            ("dog/.hidden.png", PNG),
            (".git/x/y.png", PNG),
            ("empty/readme.txt", b"none"),
        ]);
        let source = FolderSource::open(folder.path()).unwrap();
        assert_eq!(source.classes().unwrap(), ["cat", "dog"]);
        let samples: Vec<_> =
            (0..source.len()).map(|index| (source.path(index), source.sample(index).label)).collect();
        let expected = [("cat/deep/er/1.jpg", 0), ("dog/10.png", 1), ("dog/2.png", 1)];
        assert_eq!(samples, expected.map(|(path, label)| (folder.path().join(path), Some(label))));
        assert_eq!(source.ignored(), 1);
        assert!(source.summary().ends_with("2 classes; left out 1 file that is no image (empty/readme.txt)"));
    }

    #[test]
    fn a_flat_folder_has_no_labels() {
        let folder = folder(&[("b", PNG), ("a.txt", PNG)]);
        let source = FolderSource::open(folder.path()).unwrap();
        assert_eq!((source.len(), source.classes(), source.sample(1).label), (2, None, None));
        let mut data = SampleData { form: Form::Rgb8(Default::default()), bytes: vec![1, 2, 3] };
        source.read(0, &mut data).unwrap();
        assert_eq!((data.form, data.bytes.as_slice()), (Form::Encoded, PNG));
    }

    #[test]
    fn images_on_two_levels_are_refused() {
        assert_eq!(
            refusal(&[("a.png", PNG), ("cat/b.png", PNG), ("cat/c.png", PNG)]),
            "ROOT is neither labelled nor flat: found 1 images directly in it (such as a.png) and 2 in folders under it; \
             move the former into folders of their classes, or all into one folder"
        );
    }

    #[test]
    fn a_folder_without_images_says_what_it_holds() {
        assert!(refusal(&[]).starts_with("no images in ROOT: found an empty folder; expected JPEG"));
        let text = refusal(&[("a.jpg", b"<html>"), ("b.txt", b"b"), ("c.txt", b""), ("d.txt", b"d")]);
        let start = "no images in ROOT: found 4 files that are no images (a.jpg, b.txt, c.txt, ...)";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn a_missing_folder_and_a_file_are_told_apart() {
        let folder = folder(&[("a.png", PNG)]);
        let open = |name: &str| FolderSource::open(&folder.path().join(name)).unwrap_err().to_string();
        assert!(open("nowhere").starts_with("cannot read "));
        assert!(open("a.png").contains("is a file, expected a folder"));
    }

    #[test]
    fn the_id_is_the_hash_of_the_name_without_suffix_unless_two_files_share_it() {
        let folder = folder(&[("cat/a.b.png", PNG), ("dog/1.jpg", PNG), ("dog/1.png", PNG)]);
        let source = FolderSource::open(folder.path()).unwrap();
        let ids: Vec<u64> = (0..source.len()).map(|index| source.sample(index).id).collect();
        let names: [&[u8]; 3] = [b"cat/a.b", b"dog/1.jpg", b"dog/1.png"];
        assert_eq!(ids, names.map(random::sample_id));
        assert_eq!([0, 1, 2].map(|index| source.name(index)), names);
    }

    #[test]
    fn ids_and_identity_do_not_depend_on_where_the_folder_lies() {
        let files: &[(&str, &[u8])] = &[("cat/a.png", PNG), ("dog/b.png", PNG)];
        let (here, there) = (folder(files), folder(files));
        let (here, there) =
            (FolderSource::open(here.path()).unwrap(), FolderSource::open(there.path()).unwrap());
        assert_eq!(here.identity(), there.identity());
        assert_eq!(here.sample(1).id, there.sample(1).id);
        assert_ne!(here.sample(0).id, here.sample(1).id);
        let more = folder(&[("cat/a.png", PNG), ("dog/b.png", &[PNG, b"x"].concat())]);
        assert_ne!(here.identity(), FolderSource::open(more.path()).unwrap().identity());
    }
}
