//! Charts and a page of what a probing found: invariance by operator and strength, and what embeddings give away.

mod charts;
mod page;

use std::path::{Path, PathBuf};

use crate::chart::png;
use crate::{Error, replace};

/// What a probing found, ready to be shown; cosines and figures as they are, not in percent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probe {
    /// Heading.
    pub title: String,
    /// What everything was measured on, in short statements.
    pub facts: Vec<String>,
    /// What a reader must know before the figures, such as a collapse.
    pub warnings: Vec<String>,
    /// Outputs of networks, in the order of every curve's values. All are in the table, the first [`DRAWN`] in the charts.
    pub series: Vec<ProbeSeries>,
    /// By operator.
    pub curves: Vec<ProbeCurve>,
    /// By quantity.
    pub shortcuts: Vec<ProbeShortcut>,
}

/// Series that the charts have room for.
pub const DRAWN: usize = 3;

/// One output of one network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeSeries {
    /// For keys and tables.
    pub label: String,
    /// Mean cosine of two different images.
    pub pairs: f64,
    /// Whether all images are one point to it.
    pub collapsed: bool,
}

/// One operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeCurve {
    /// Its name.
    pub operator: String,
    /// What the strengths are values of; may be empty.
    pub strength: String,
    /// One for each point.
    pub strengths: Vec<String>,
    /// For each series, the mean cosine at each strength.
    pub cosines: Vec<Vec<f64>>,
}

/// One quantity that a linear probe reads off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeShortcut {
    /// Which.
    pub quantity: String,
    /// `R²` or `accuracy`.
    pub measure: String,
    /// What guessing gets.
    pub chance: f64,
    /// Of the trained encoder.
    pub trained: f64,
    /// Of the untrained one.
    pub untrained: f64,
    /// Which views, and how many rows the probe was fitted and judged on.
    pub measured_on: String,
}

/// Writes `probe.html`, `probe.svg` and `probe.png` into `folder`, which must exist, each in one piece. Returns the path of
/// the page.
///
/// # Errors
/// The charts can't be drawn, or a file can't be written.
pub fn write_probe(probe: &Probe, folder: &Path) -> Result<PathBuf, Error> {
    let svg = charts::file(probe);
    replace(&folder.join("probe.svg"), svg.as_bytes())?;
    replace(&folder.join("probe.png"), &png::render(&svg, 2.0)?)?;
    let path = folder.join("probe.html");
    replace(&path, page::page(probe).as_bytes())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn probe() -> Probe {
        let series = |label: &str, pairs| ProbeSeries { label: label.into(), pairs, collapsed: pairs > 0.99 };
        let curve = |operator: &str, strengths: &[&str], cosines: [&[f64]; 4]| ProbeCurve {
            operator: operator.into(),
            strength: if strengths.len() > 1 { "sigma, pixels".into() } else { String::new() },
            strengths: strengths.iter().map(|text| (*text).to_owned()).collect(),
            cosines: cosines.map(<[f64]>::to_vec).to_vec(),
        };
        let three: [&[f64]; 4] = [&[0.99, 0.9, 0.7], &[0.98, 0.95, 0.8], &[0.999, 0.99, 0.98], &[0.99; 3]];
        Probe {
            title: "BYOL <at> step 1200".into(),
            facts: vec!["1000 images".into(), "32 pixels".into()],
            warnings: vec!["the untrained network's embeddings are collapsed".into()],
            series: vec![
                series("embedding", 0.55),
                series("projection", 0.02),
                series("untrained embedding", 0.995),
                series("untrained projection", 0.6),
            ],
            curves: vec![
                curve("blur", &["0.5", "1", "2"], three),
                curve("flip", &["flipped"], [&[0.97], &[0.96], &[0.999], &[0.99]]),
            ],
            shortcuts: vec![
                ProbeShortcut {
                    quantity: "colour histogram".into(),
                    measure: "R²".into(),
                    trained: 0.31,
                    untrained: 0.72,
                    measured_on: "the run's first view; fitted on 750 rows, judged on 250".into(),
                    ..ProbeShortcut::default()
                },
                ProbeShortcut {
                    quantity: "orientation".into(),
                    measure: "accuracy".into(),
                    chance: 0.25,
                    trained: 0.8,
                    untrained: 0.4,
                    measured_on: "four turns".into(),
                },
            ],
        }
    }

    #[test]
    fn three_files_are_written_and_are_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let read = || {
            ["svg", "png", "html"]
                .map(|kind| std::fs::read(folder.path().join(format!("probe.{kind}"))).unwrap())
        };
        assert!(write_probe(&probe(), folder.path()).unwrap().ends_with("probe.html"));
        let first = read();
        write_probe(&probe(), folder.path()).unwrap();
        assert_eq!(first, read());
    }

    #[test]
    fn a_probing_without_anything_is_still_a_picture_and_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write_probe(&Probe::default(), folder.path()).unwrap();
    }
}
