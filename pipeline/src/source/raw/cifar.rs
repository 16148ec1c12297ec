//! CIFAR-10 and CIFAR-100, binary version: records of one or two labels and 32x32 pixels in planes.

use std::path::{Path, PathBuf};

use diptych_config::Choice;
use diptych_host::Size;

use super::super::SourceError;
use super::{Description, Layout, Split, class_names, no_such_split, read_labels, records};

const SIZE: Size = Size { width: 32, height: 32 };
const PIXELS: u64 = 3 * 32 * 32;

pub(super) fn cifar10(path: &Path, split: Split) -> Result<Description, SourceError> {
    let files = match split {
        Split::Train => (1..=5).map(|batch| path.join(format!("data_batch_{batch}.bin"))).collect(),
        Split::Test => vec![path.join("test_batch.bin")],
        _ => return Err(no_such_split(path, split, "train, test")),
    };
    let classes = class_names(&path.join("batches.meta.txt"));
    describe(format!("CIFAR-10 {}", split.text()), files, 1, 0, classes)
}

pub(super) fn cifar100(path: &Path, split: Split, coarse: bool) -> Result<Description, SourceError> {
    let file = match split {
        Split::Train => "train.bin",
        Split::Test => "test.bin",
        _ => return Err(no_such_split(path, split, "train, test")),
    };
    let (at, names) = if coarse { (0, "coarse_label_names.txt") } else { (1, "fine_label_names.txt") };
    let title = format!("CIFAR-100 {}", split.text());
    describe(title, vec![path.join(file)], 2, at, class_names(&path.join(names)))
}

/// Records of `labels` labels, of which the one at byte `at` counts.
fn describe(
    title: String,
    paths: Vec<PathBuf>,
    labels: u64,
    at: u64,
    classes: Option<Vec<String>>,
) -> Result<Description, SourceError> {
    let record = labels + PIXELS;
    let (mut files, mut stored) = (Vec::new(), Vec::new());
    for file in paths {
        let count = records(&file, 0, record, "labels and 32x32 RGB pixels")?;
        stored.extend(read_labels(&file, at, record, count, 0)?);
        files.push((file, labels, record, count));
    }
    Ok(Description { title, layout: Layout::Planes, size: SIZE, files, labels: stored, classes })
}
