//! Labels as data sets store them, numbers or texts, and the classes that they tell.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::SourceError;

/// Classes that a data set may have: a number that is no label shouldn't fill the memory with class names.
const MAXIMUM_CLASSES: i64 = 1_000_000;

/// One label as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Number(i64),
    Text(String),
}

impl Label {
    /// The label in the field `field` of a JSON object; none where it is neither a whole number nor a text.
    pub fn from_json(object: &serde_json::Value, field: &str) -> Option<Label> {
        match object.get(field)? {
            serde_json::Value::String(text) => Some(Label::Text(text.clone())),
            serde_json::Value::Number(number) => number.as_i64().map(Label::Number),
            _ => None,
        }
    }
}

/// Classes of samples that may have several each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiLabels {
    /// Names, sorted.
    pub classes: Vec<String>,
    /// Per sample, indices among them, rising; empty for a sample of none.
    pub labels: Vec<Vec<i64>>,
}

impl MultiLabels {
    /// From the names of each sample's classes.
    pub(super) fn new(names: &[Vec<String>]) -> MultiLabels {
        let classes: BTreeSet<&str> = names.iter().flatten().map(String::as_str).collect();
        let places: HashMap<&str, i64> = classes.iter().copied().zip(0..).collect();
        let labels = names.iter().map(|names| {
            let labels: BTreeSet<i64> = names.iter().map(|name| places[name.as_str()]).collect();
            labels.into_iter().collect()
        });
        MultiLabels { labels: labels.collect(), classes: classes.into_iter().map(str::to_string).collect() }
    }
}

/// The labels of a source's samples, or that it has none.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// Empty without labels.
    numbers: Vec<i64>,
    classes: Option<Vec<String>>,
    /// Why there are none although it seems that there are some.
    remark: Option<String>,
}

impl Labels {
    /// Labels of all samples, or none where some have none; a number below 0 is none, as in test sets that keep theirs
    /// secret. Numbers count `names`, or are the names; texts are the classes, sorted, unless `names` says how.
    ///
    /// `name` tells a sample's name, `path` the data set, both for messages.
    pub fn new(
        stored: Vec<Option<Label>>,
        names: Option<Vec<String>>,
        path: &Path,
        name: impl Fn(usize) -> String,
    ) -> Result<Labels, SourceError> {
        let is_none = |label: &Option<Label>| matches!(label, None | Some(Label::Number(..0)));
        let missing = stored.iter().filter(|label| is_none(label)).count();
        if missing > 0 {
            let remark = (missing < stored.len()).then(|| {
                let example = stored.iter().position(is_none).map(&name).unwrap_or_default();
                format!("{missing} of {} samples have none, such as {example}", stored.len())
            });
            return Ok(Labels { remark, ..Labels::default() });
        }
        let refuse = |index: usize, found: String, expected: String| SourceError::Unfit {
            path: path.to_path_buf(),
            found: format!("{found} for {}", name(index)),
            expected,
            remedy: "correct the label or name another field of labels".into(),
        };
        let number_at = stored.iter().position(|label| matches!(label, Some(Label::Number(_))));
        let text_at = stored.iter().position(|label| matches!(label, Some(Label::Text(_))));
        let (numbers, classes) = match (number_at, text_at) {
            (Some(number), Some(text)) => {
                let expected = format!("a number as for {}", name(number));
                return Err(refuse(text, format!("a text as label {:?}", stored[text]), expected));
            }
            (Some(_), None) => {
                let numbers: Vec<i64> = stored
                    .iter()
                    .map(|label| if let Some(Label::Number(number)) = label { *number } else { -1 })
                    .collect();
                let count = names.as_ref().map_or(MAXIMUM_CLASSES, |names| names.len() as i64);
                if let Some(index) = numbers.iter().position(|number| *number >= count) {
                    let expected = format!("0 to {}", count - 1);
                    return Err(refuse(index, format!("label {}", numbers[index]), expected));
                }
                let highest = numbers.iter().max().copied().unwrap_or(-1);
                (numbers, names.unwrap_or_else(|| (0..=highest).map(|label| label.to_string()).collect()))
            }
            (None, Some(_)) => {
                let texts = || {
                    stored
                        .iter()
                        .map(|label| if let Some(Label::Text(text)) = label { text.as_str() } else { "" })
                };
                let classes = names.unwrap_or_else(|| {
                    let mut classes: Vec<&str> = texts().collect();
                    classes.sort_unstable();
                    classes.dedup();
                    classes.into_iter().map(str::to_string).collect()
                });
                let places: HashMap<&str, i64> =
                    classes.iter().enumerate().map(|(place, class)| (class.as_str(), place as i64)).collect();
                let mut numbers = Vec::with_capacity(stored.len());
                for (index, text) in texts().enumerate() {
                    let Some(place) = places.get(text) else {
                        let found = format!("class {text:?}");
                        return Err(refuse(index, found, "one of the named classes".into()));
                    };
                    numbers.push(*place);
                }
                (numbers, classes)
            }
            (None, None) => return Ok(Labels::default()),
        };
        Ok(Labels { numbers, classes: Some(classes), remark: None })
    }

    /// No labels, although a data set has what might be some, and why.
    pub fn none(remark: String) -> Labels {
        Labels { remark: Some(remark), ..Labels::default() }
    }

    pub fn get(&self, index: usize) -> Option<i64> {
        self.numbers.get(index).copied()
    }

    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// What a source's summary says of them.
    pub fn summary(&self) -> String {
        match (&self.classes, &self.remark) {
            (Some(classes), _) => format!("{} classes", classes.len()),
            (None, None) => "without labels".into(),
            (None, Some(remark)) => format!("without labels ({remark})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(stored: &[Label], names: Option<&[&str]>) -> Result<(Vec<i64>, Vec<String>), String> {
        let names = names.map(|names| names.iter().map(|name| name.to_string()).collect());
        let stored = stored.iter().cloned().map(Some).collect();
        Labels::new(stored, names, Path::new("set"), |index| format!("sample {index}"))
            .map(|labels| (labels.numbers, labels.classes.unwrap_or_default()))
            .map_err(|error| error.to_string())
    }

    fn text(text: &str) -> Label {
        Label::Text(text.into())
    }

    #[test]
    fn numbers_count_the_names_and_texts_are_sorted() {
        let numbers = [Label::Number(2), Label::Number(0)];
        let (found, classes) = labels(&numbers, None).unwrap();
        assert_eq!((found, classes.join(" ")), (vec![2, 0], "0 1 2".into()));
        let (found, classes) = labels(&numbers, Some(&["a", "b", "c", "d"])).unwrap();
        assert_eq!((found, classes.join(" ")), (vec![2, 0], "a b c d".into()));
        let (found, classes) = labels(&[text("dog"), text("cat"), text("dog")], None).unwrap();
        assert_eq!((found, classes.join(" ")), (vec![1, 0, 1], "cat dog".into()));
        assert_eq!(labels(&[text("cat")], Some(&["dog", "cat"])).unwrap().0, [1]);
    }

    #[test]
    fn labels_that_fit_no_class_are_refused_by_name() {
        let end = "; correct the label or name another field of labels";
        assert_eq!(
            labels(&[Label::Number(0), Label::Number(3)], Some(&["a", "b"])).unwrap_err(),
            format!("set: found label 3 for sample 1, expected 0 to 1{end}")
        );
        assert_eq!(
            labels(&[text("cow")], Some(&["a", "b"])).unwrap_err(),
            format!("set: found class \"cow\" for sample 0, expected one of the named classes{end}")
        );
        let mixed = labels(&[Label::Number(0), text("x")], None).unwrap_err();
        assert!(mixed.contains("for sample 1, expected a number as for sample 0"), "{mixed}");
        assert!(labels(&[Label::Number(i64::MAX)], None).unwrap_err().contains("expected 0 to 999999"));
    }

    #[test]
    fn several_classes_are_sorted_and_counted_once() {
        let names = [vec!["dog", "cat", "dog"], vec![], vec!["ant"]];
        let names = names.map(|names| names.into_iter().map(String::from).collect());
        let found = MultiLabels::new(&names);
        assert_eq!(found.classes, ["ant", "cat", "dog"]);
        assert_eq!(found.labels, [vec![1, 2], vec![], vec![0]]);
    }

    #[test]
    fn where_some_have_none_nobody_has_one_and_the_summary_says_so() {
        let stored = vec![Some(Label::Number(1)), None, Some(Label::Number(-1))];
        let labels = Labels::new(stored, None, Path::new("set"), |index| format!("sample {index}")).unwrap();
        assert_eq!((labels.get(0), labels.classes()), (None, None));
        assert_eq!(labels.summary(), "without labels (2 of 3 samples have none, such as sample 1)");
        let none = Labels::new(vec![None, None], None, Path::new("set"), |_| String::new()).unwrap();
        assert_eq!(none.summary(), "without labels");
    }
}
