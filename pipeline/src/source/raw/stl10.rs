//! STL-10, binary version: 96x96 pixels in planes, each column by column; labels, from 1 on, in files of their own.

use std::path::Path;

use diptych_config::Choice;
use diptych_host::Size;

use super::super::SourceError;
use super::{Description, Layout, Split, class_names, no_such_split, read_labels, records};

const SIZE: Size = Size { width: 96, height: 96 };
const PIXELS: u64 = 3 * 96 * 96;

pub(super) fn describe(path: &Path, split: Split) -> Result<Description, SourceError> {
    let parts: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["test"],
        Split::Unlabeled => &["unlabeled"],
        Split::TrainAndUnlabeled => &["train", "unlabeled"],
        Split::Validation => {
            return Err(no_such_split(path, split, "train, test, unlabeled, train+unlabeled"));
        }
    };
    let mut files = Vec::new();
    for part in parts {
        let file = path.join(format!("{part}_X.bin"));
        let count = records(&file, 0, PIXELS, "96x96 RGB pixels")?;
        files.push((file, 0, PIXELS, count));
    }
    let count = files.iter().map(|(.., count)| count).sum();
    let labels = match split {
        Split::Train | Split::Test => {
            let file = path.join(format!("{}_y.bin", split.text()));
            let found = records(&file, 0, 1, "labels")?;
            if found != count {
                return Err(SourceError::Unfit {
                    path: file,
                    found: format!("{found} labels"),
                    expected: format!("one for each of {count} images"),
                    remedy: "unpack the data set again, its binary version".into(),
                });
            }
            read_labels(&file, 0, 1, count, 1)?
        }
        _ => vec![None; count],
    };
    Ok(Description {
        title: format!("STL-10 {}", split.text()),
        layout: Layout::PlanesOfColumns,
        size: SIZE,
        files,
        labels,
        classes: class_names(&path.join("class_names.txt")),
    })
}
