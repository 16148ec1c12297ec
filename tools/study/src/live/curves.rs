//! Every figure of one run over its steps.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::curve::{Curve, Point};
use super::tail::{Seen, Tail};

/// Points of a curve.
const POINTS: usize = 1000;
/// Figures of a run, of which losses from plugins may have any number.
const FIGURES: usize = 256;

/// The curves of one run, read on from time to time.
#[derive(Debug)]
pub struct Curves {
    tail: Tail,
    curves: BTreeMap<String, Curve>,
    behind: bool,
}

impl Curves {
    /// Of the run in `folder`; nothing is read yet.
    pub fn of_run(folder: &Path) -> Curves {
        Curves { tail: Tail::new(&folder.join("metrics.jsonl")), curves: BTreeMap::new(), behind: false }
    }

    /// Reads what is new, at most `budget` bytes.
    pub fn read(&mut self, budget: &mut usize) {
        let curves = &mut self.curves;
        self.behind = self.tail.read(budget, |seen| match seen {
            Seen::Anew => curves.clear(),
            Seen::Line(line) => {
                let Ok(Value::Object(line)) = serde_json::from_slice::<Value>(line) else { return };
                let Some(step) = line.get("step").and_then(Value::as_u64) else { return };
                for (name, value) in line.iter().filter(|(name, _)| *name != "step") {
                    let Some(value) = value.as_f64() else { continue };
                    if !curves.contains_key(name) && curves.len() < FIGURES {
                        curves.insert(name.clone(), Curve::new(POINTS));
                    }
                    if let Some(curve) = curves.get_mut(name) {
                        curve.push(step, value);
                    }
                }
            }
        });
    }

    /// Whether there was more to read than the budget allowed.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Names of all figures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.curves.keys().map(String::as_str)
    }

    /// At most a thousand points of the figure `name`, by step; none where the run has no such figure.
    pub fn points(&self, name: &str) -> Vec<Point> {
        self.curves.get(name).map(Curve::points).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_figure_has_its_curve_and_what_is_no_metrics_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let text = "{\"step\":1,\"loss\":2.0,\"a/b\":1}\nnonsense\n[1]\n{\"loss\":9}\n{\"step\":2,\"loss\":null,\"a/b\":3}\n{\"step\":3,\"lo";
        fs::write(folder.path().join("metrics.jsonl"), text).unwrap();
        let mut curves = Curves::of_run(folder.path());
        curves.read(&mut { usize::MAX });
        assert_eq!(curves.names().collect::<Vec<_>>(), ["a/b", "loss"]);
        assert_eq!(curves.points("a/b"), [(1, 1.0), (2, 3.0)]);
        assert_eq!(curves.points("loss"), [(1, 2.0)]);
        assert_eq!(curves.points("nothing"), []);
    }

    #[test]
    fn a_resumed_run_whose_lines_were_dropped_shows_only_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":2}\n{\"step\":3,\"loss\":3}\n")
            .unwrap();
        let mut curves = Curves::of_run(folder.path());
        curves.read(&mut { usize::MAX });
        let fresh = folder.path().join("fresh");
        fs::write(&fresh, "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":20}\n").unwrap();
        fs::rename(fresh, path).unwrap();
        curves.read(&mut { usize::MAX });
        assert_eq!(curves.points("loss"), [(1, 1.0), (2, 20.0)]);
    }
}
