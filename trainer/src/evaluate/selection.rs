//! Labelled samples of one or more sources, as one source: a part of the training images, or training and validation images
//! together.

use std::path::PathBuf;
use std::sync::Arc;

use diptych_pipeline::{ReadError, SampleData, SampleInfo, Source, SourceConfig, Split, random};
use tch::Tensor;

use crate::{Error, Result};

/// Samples, with labels among the classes of the training images.
#[derive(Clone)]
pub(super) struct Selection {
    parts: Vec<Part>,
    /// Part and index in it.
    rows: Vec<(usize, usize)>,
    classes: Arc<[String]>,
}

#[derive(Clone)]
struct Part {
    source: Arc<dyn Source>,
    /// Index among `classes` of each of the source's own.
    to_class: Arc<[i64]>,
}

impl Selection {
    /// All samples of a source, whose classes are the classes.
    pub fn open(config: &SourceConfig, default_split: Split) -> Result<Selection> {
        let source = labelled(config, default_split)?;
        let classes: Arc<[String]> = classes(source.as_ref()).into();
        let to_class = (0..classes.len() as i64).collect();
        Ok(Selection::whole(Part { source, to_class }, classes))
    }

    /// All samples of another source, whose classes are matched by name. `what` it holds, for messages.
    pub fn open_beside(&self, config: &SourceConfig, default_split: Split, what: &str) -> Result<Selection> {
        let source = labelled(config, default_split)?;
        if source.multi_labels().is_some() != self.has_several() {
            let (found, expected) =
                if self.has_several() { ("one class", "several") } else { ("several classes", "one") };
            return Err(Error::Unfit(format!(
                "{}: found {found} for each of the {what} images, expected {expected} as for the training images; give both alike",
                config.path.display()
            )));
        }
        let to_class = matching(classes(source.as_ref()), &self.classes, what)?.into();
        Ok(Selection::whole(Part { source, to_class }, self.classes.clone()))
    }

    fn whole(part: Part, classes: Arc<[String]>) -> Selection {
        let rows = (0..part.source.len()).map(|row| (0, row)).collect();
        Selection { parts: vec![part], rows, classes }
    }

    /// The samples at `indices`, in this order.
    pub fn pick(&self, indices: &[usize]) -> Selection {
        Selection { rows: indices.iter().map(|index| self.rows[*index]).collect(), ..self.clone() }
    }

    /// These samples, then those of `other`.
    pub fn and(&self, other: &Selection) -> Selection {
        let mut both = self.clone();
        both.rows.extend(other.rows.iter().map(|(part, row)| (part + self.parts.len(), *row)));
        both.parts.extend(other.parts.iter().cloned());
        both
    }

    /// Whether samples may have several classes.
    pub fn has_several(&self) -> bool {
        self.parts[0].source.multi_labels().is_some()
    }

    /// Of samples that may have several classes, double [rows, classes]: 1 for those that the sample at each of `indices` has.
    pub fn targets(&self, indices: &[usize]) -> Tensor {
        let width = self.classes.len();
        let mut targets = vec![0f64; indices.len() * width];
        for (row, index) in indices.iter().enumerate() {
            let (part, place) = self.rows[*index];
            let Part { source, to_class } = &self.parts[part];
            for label in source.multi_labels().map_or(&[][..], |several| &several.labels[place]) {
                targets[row * width + to_class[*label as usize] as usize] = 1.0;
            }
        }
        Tensor::from_slice(&targets).view([indices.len() as i64, width as i64])
    }

    /// As loaders take it.
    pub fn shared(&self) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }

    /// Labels of all samples.
    pub fn labels(&self) -> Vec<i64> {
        // Only sources with labels are opened, and none of several classes is asked for one.
        (0..self.len()).map(|index| self.sample(index).label.unwrap_or_default()).collect()
    }

    /// Whether it is a whole source.
    fn is_whole(&self) -> bool {
        let [part] = &self.parts[..] else { return false };
        self.rows.len() == part.source.len()
            && self.rows.iter().enumerate().all(|(index, (_, row))| index == *row)
    }
}

impl Source for Selection {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn sample(&self, index: usize) -> SampleInfo {
        let (part, row) = self.rows[index];
        let Part { source, to_class } = &self.parts[part];
        let SampleInfo { id, label } = source.sample(row);
        SampleInfo { id, label: label.map(|label| to_class[label as usize]) }
    }

    fn name(&self, index: usize) -> Vec<u8> {
        let (part, row) = self.rows[index];
        self.parts[part].source.name(row)
    }

    fn path(&self, index: usize) -> PathBuf {
        let (part, row) = self.rows[index];
        self.parts[part].source.path(row)
    }

    fn read(&self, index: usize, data: &mut SampleData) -> Result<(), ReadError> {
        let (part, row) = self.rows[index];
        self.parts[part].source.read(row, data)
    }

    fn classes(&self) -> Option<&[String]> {
        Some(&self.classes)
    }

    /// A whole source's own; else a hash of the sources' and of the rows.
    fn identity(&self) -> String {
        if self.is_whole() {
            return self.parts[0].source.identity();
        }
        let mut bytes = Vec::new();
        for part in &self.parts {
            bytes.extend(part.source.identity().bytes());
        }
        for (part, row) in &self.rows {
            bytes.extend((*part as u64).to_le_bytes());
            bytes.extend((*row as u64).to_le_bytes());
        }
        format!("{:016x}", random::sample_id(&bytes))
    }

    fn summary(&self) -> String {
        format!("{} images of {} classes", self.rows.len(), self.classes.len())
    }
}

fn labelled(config: &SourceConfig, default_split: Split) -> Result<Arc<dyn Source>> {
    let source = config.open(default_split)?;
    if source.classes().is_none() && source.multi_labels().is_none() {
        let message = format!(
            "{} has no labels; an evaluation needs them, as from one folder per class",
            config.path.display()
        );
        return Err(Error::Unfit(message));
    }
    Ok(source)
}

/// Names of one or of several classes a sample.
fn classes(source: &dyn Source) -> &[String] {
    source.classes().or_else(|| source.multi_labels().map(|labels| &labels.classes[..])).unwrap_or_default()
}

/// Index in `train` of each class of `other`.
fn matching(other: &[String], train: &[String], what: &str) -> Result<Vec<i64>> {
    let places: std::collections::HashMap<&str, i64> =
        train.iter().enumerate().map(|(at, name)| (name.as_str(), at as i64)).collect();
    let place = |name: &String| {
        places.get(name.as_str()).copied().ok_or_else(|| {
            let known = train.join(", ");
            Error::Unfit(format!(
                "the {what} images have a class {name:?} that the training images lack ({known})"
            ))
        })
    };
    other.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of one small image per name.
    fn selection(folder: &std::path::Path, names: &[&str]) -> SourceConfig {
        for name in names {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbImage::new(1, 1).save(path).unwrap();
        }
        SourceConfig::new(folder)
    }

    #[test]
    fn test_classes_are_matched_by_name_and_a_stranger_is_named() {
        let train = ["ant", "bee", "cat"].map(String::from);
        assert_eq!(matching(&["cat".into(), "ant".into()], &train, "test").unwrap(), [2, 0]);
        let message = matching(&["dog".into()], &train, "test").unwrap_err().to_string();
        assert!(message.contains("the test images have a class \"dog\""), "{message}");
        assert!(message.contains("ant, bee, cat"), "{message}");
    }

    #[test]
    fn parts_and_sums_keep_names_ids_and_the_training_images_classes() {
        let folder = tempfile::tempdir().unwrap();
        let (train, more) = (folder.path().join("train"), folder.path().join("more"));
        let train = selection(&train, &["ant/1.png", "bee/2.png", "cat/3.png"]);
        let more = selection(&more, &["bee/4.png", "cat/5.png"]);
        let train = Selection::open(&train, Split::Train).unwrap();
        let more = train.open_beside(&more, Split::Train, "validation").unwrap();
        assert_eq!(more.labels(), [1, 2]);
        let both = train.pick(&[2, 0]).and(&more);
        assert_eq!(both.labels(), [2, 0, 1, 2]);
        let names: Vec<_> = (0..4).map(|index| String::from_utf8(both.name(index)).unwrap()).collect();
        assert_eq!(names, ["cat/3", "ant/1", "bee/4", "cat/5"]);
        assert_eq!(both.sample(1).id, random::sample_id(b"ant/1"));
        let whole = train.pick(&[0, 1, 2]);
        assert_eq!(whole.identity(), train.identity());
        assert_ne!(train.pick(&[2, 0]).identity(), train.pick(&[0, 2]).identity());
    }
}
