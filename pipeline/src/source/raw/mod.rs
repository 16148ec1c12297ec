//! Data sets of small images that are stored as bare pixels, one after the other: CIFAR, STL-10, and MNIST's IDX.
//!
//! Samples are read by position straight from the files, which the system keeps in memory once they were read: nothing
//! is allocated or locked per sample, and nothing decoded.

mod cifar;
mod idx;
mod stl10;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::hash::Hasher;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use diptych_config::Choice;
use diptych_host::Size;

use super::files::Files;
use super::labels::{Label, Labels};
use super::{Form, SampleData, SampleInfo, Source, SourceError, names};
use crate::error::ReadError;
use crate::random;

/// Samples that count as stored together.
const SHARD: usize = 1000;
/// Bytes at each file's begin that the identity covers.
const IDENTITY_BYTES: usize = 1 << 16;

diptych_config::choices! {
    /// Part of a data set that comes in parts.
    pub enum Split {
        /// To train on.
        Train = "train",
        /// To choose settings on.
        Validation = "validation",
        /// To test on.
        Test = "test",
        /// STL-10's images without labels.
        Unlabeled = "unlabeled",
        /// STL-10's images to learn from without labels, as is usual: these and the training images, whose labels go
        /// unused.
        TrainAndUnlabeled = "train+unlabeled",
    }
}

/// Images of files of bare pixels.
#[derive(Debug)]
pub struct RawSource {
    path: PathBuf,
    /// The data set's name and which part it is.
    title: String,
    files: Files,
    parts: Vec<Part>,
    layout: Layout,
    size: Size,
    ids: Vec<u64>,
    labels: Labels,
    identity: String,
}

/// The images of one file.
#[derive(Debug)]
struct Part {
    samples: Range<usize>,
    /// Where the first image's pixels begin, and how far it is from one to the next.
    start: u64,
    stride: u64,
}

/// How an image's pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// A red, a green and a blue plane, each row by row.
    Planes,
    /// A red, a green and a blue plane, each column by column.
    PlanesOfColumns,
    /// One plane, row by row.
    Gray,
}

/// What the format's own module found out.
struct Description {
    title: String,
    layout: Layout,
    size: Size,
    /// Each file with the offset of its first image, the distance between images, and their number.
    files: Vec<(PathBuf, u64, u64, usize)>,
    labels: Vec<Option<Label>>,
    classes: Option<Vec<String>>,
}

impl RawSource {
    /// CIFAR-10's binary version: the folder with `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`.
    pub fn cifar10(path: &Path, split: Split) -> Result<RawSource, SourceError> {
        RawSource::new(path, cifar::cifar10(path, split)?)
    }

    /// CIFAR-100's binary version: the folder with `train.bin` and `test.bin`. Labels are the 100 fine ones or the 20
    /// `coarse` ones.
    pub fn cifar100(path: &Path, split: Split, coarse: bool) -> Result<RawSource, SourceError> {
        RawSource::new(path, cifar::cifar100(path, split, coarse)?)
    }

    /// STL-10's binary version: the folder with `train_X.bin`, `train_y.bin` and so on.
    pub fn stl10(path: &Path, split: Split) -> Result<RawSource, SourceError> {
        RawSource::new(path, stl10::describe(path, split)?)
    }

    /// IDX files as MNIST's: the folder with `train-images-idx3-ubyte` and so on, or a file of images, whose labels then
    /// lie beside it. Gray becomes three equal channels.
    pub fn idx(path: &Path, split: Split) -> Result<RawSource, SourceError> {
        RawSource::new(path, idx::describe(path, split)?)
    }

    fn new(path: &Path, description: Description) -> Result<RawSource, SourceError> {
        let Description { title, layout, size, files, labels, classes } = description;
        let mut hasher = random::hasher("raw source");
        let mut parts = Vec::new();
        let mut count = 0;
        for (file, start, stride, samples) in &files {
            let unreadable = |error| SourceError::Unreadable { path: file.clone(), error };
            let mut begin = vec![0; IDENTITY_BYTES];
            let read = File::open(file).and_then(|open| open.read_at(&mut begin, 0)).map_err(unreadable)?;
            hasher.write(&(*samples as u64).to_le_bytes());
            hasher.write(&begin[..read]);
            parts.push(Part { samples: count..count + samples, start: *start, stride: *stride });
            count += samples;
        }
        let files = Files::new(files.into_iter().map(|(file, ..)| file).collect());
        let name = |index: usize| name_of(&files, &parts, index);
        let ids = names::ids(count, name, name);
        let labels = Labels::new(labels, classes, path, name)?;
        for index in 0..count {
            hasher.write(&labels.get(index).unwrap_or(-1).to_le_bytes());
        }
        let identity = format!("{:016x}", hasher.finish());
        Ok(RawSource { path: path.to_path_buf(), title, files, parts, layout, size, ids, labels, identity })
    }
}

impl Source for RawSource {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        SampleInfo { id: self.ids[index], label: self.labels.get(index) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        name_of(&self.files, &self.parts, index).into()
    }

    fn path(&self, index: usize) -> PathBuf {
        let file = file_of(&self.parts, index);
        self.files.path(file).join((index - self.parts[file].samples.start).to_string())
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        let file = file_of(&self.parts, index);
        let part = &self.parts[file];
        let offset = part.start + part.stride * (index - part.samples.start) as u64;
        let area = self.size.width as usize * self.size.height as usize;
        let stored = if self.layout == Layout::Gray { area } else { 3 * area };
        data.form = Form::Rgb8(self.size);
        // Read behind the pixels' place, so that they can be put into order without memory of its own.
        data.bytes.resize(3 * area + stored, 0);
        let (pixels, planes) = data.bytes.split_at_mut(3 * area);
        self.files.read_exact_at(file, planes, offset)?;
        interleave(planes, self.layout, self.size, pixels);
        data.bytes.truncate(3 * area);
        Ok(())
    }

    fn classes(&self) -> Option<&[String]> {
        self.labels.classes()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn summary(&self) -> String {
        let (images, title, Size { width, height }) = (self.len(), &self.title, self.size);
        let (path, labels) = (self.path.display(), self.labels.summary());
        format!("{images} images of {width}x{height} pixels ({title}) in {path}, {labels}")
    }

    fn shards(&self) -> Vec<Range<usize>> {
        let cut = |part: &Part| {
            let end = part.samples.end;
            part.samples.clone().step_by(SHARD).map(move |start| start..end.min(start + SHARD))
        };
        self.parts.iter().flat_map(cut).collect()
    }
}

/// The number of the file that holds sample `index`.
fn file_of(parts: &[Part], index: usize) -> usize {
    parts.partition_point(|part| part.samples.end <= index)
}

/// The file's name and the sample's number in it.
fn name_of(files: &Files, parts: &[Part], index: usize) -> String {
    let file = file_of(parts, index);
    let stem = files.path(file).file_stem().unwrap_or_default();
    format!("{}/{}", stem.to_string_lossy(), index - parts[file].samples.start)
}

/// Writes the stored planes as RGB pixels, row by row.
fn interleave(planes: &[u8], layout: Layout, size: Size, pixels: &mut [u8]) {
    let (width, height) = (size.width as usize, size.height as usize);
    let (pixels, _) = pixels.as_chunks_mut::<3>();
    match layout {
        Layout::Gray => pixels.iter_mut().zip(planes).for_each(|(pixel, gray)| *pixel = [*gray; 3]),
        Layout::Planes => {
            let (red, rest) = planes.split_at(width * height);
            let (green, blue) = rest.split_at(width * height);
            for (((pixel, red), green), blue) in pixels.iter_mut().zip(red).zip(green).zip(blue) {
                *pixel = [*red, *green, *blue];
            }
        }
        Layout::PlanesOfColumns => {
            let plane = width * height;
            for (y, row) in pixels.chunks_exact_mut(width).enumerate() {
                for (x, pixel) in row.iter_mut().enumerate() {
                    let at = x * height + y;
                    *pixel = [planes[at], planes[plane + at], planes[2 * plane + at]];
                }
            }
        }
    }
}

/// Number of records of `bytes` in `file`, which begin at `start`.
fn records(file: &Path, start: u64, bytes: u64, what: &str) -> Result<usize, SourceError> {
    let metadata = std::fs::metadata(file)
        .map_err(|error| SourceError::Unreadable { path: file.to_path_buf(), error })?;
    let length = metadata.len();
    if length <= start || !(length - start).is_multiple_of(bytes) {
        return Err(SourceError::Unfit {
            path: file.to_path_buf(),
            found: format!("{length} bytes"),
            expected: format!("whole records of {bytes} ({what})"),
            remedy: "unpack the data set again, its binary version".into(),
        });
    }
    Ok(((length - start) / bytes) as usize)
}

/// The `count` labels at byte 0, `stride`, 2 `stride` and so on after `start`, less `first`.
fn read_labels(
    file: &Path,
    start: u64,
    stride: u64,
    count: usize,
    first: i64,
) -> Result<Vec<Option<Label>>, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: file.to_path_buf(), error };
    let open = File::open(file).map_err(unreadable)?;
    let mut label = [0];
    (0..count as u64)
        .map(|index| {
            open.read_exact_at(&mut label, start + index * stride).map_err(unreadable)?;
            Ok(Some(Label::Number(i64::from(label[0]) - first)))
        })
        .collect()
}

/// Class names, one a line; `None` when there is no such file.
fn class_names(file: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(file).ok()?;
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect();
    (!names.is_empty()).then_some(names)
}

fn no_such_split(path: &Path, split: Split, parts: &str) -> SourceError {
    SourceError::Unfit {
        path: path.to_path_buf(),
        found: format!("split {:?}", split.text()),
        expected: format!("one that the data set has: {parts}"),
        remedy: "name one of them".into(),
    }
}
