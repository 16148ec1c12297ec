//! The configuration of a probing; `configs/probe/default.toml` explains its keys.

use diptych_config::{Document, Problems, Table};
use diptych_host::Registry;
use diptych_pipeline::{View, ViewSet};

/// What to measure.
#[derive(Clone)]
pub struct ProbingConfig {
    /// Key of all random draws.
    pub seed: u64,
    /// Images, spread over the data.
    pub images: usize,
    /// Images per pass of the encoders.
    pub batch_size: usize,
    /// Threads that decode; 0 for one per core.
    pub workers: usize,
    /// `[[curves]]`: operators by strength.
    pub curves: Vec<CurveConfig>,
    /// `[fit]`
    pub fit: FitConfig,
    /// `histogram.bins`: of each channel.
    pub histogram_bins: usize,
    /// `[crop]`: what crops.
    pub crop: View,
    /// `[blur]`: sigma and the view that has it.
    pub blurs: Vec<(f64, View)>,
}

/// One of `[[curves]]`.
#[derive(Clone)]
pub struct CurveConfig {
    /// What is changed.
    pub operator: String,
    /// What the views' names are values of; empty for an operator without strength.
    pub strength: String,
    /// One for each strength.
    pub views: Vec<View>,
}

/// `[fit]`: how linear probes are fitted and judged.
#[derive(Clone, Debug, PartialEq)]
pub struct FitConfig {
    /// Share of the images that they are judged on.
    pub held_out_fraction: f64,
    /// Ridge penalties to choose from.
    pub ridge: Vec<f64>,
    /// Penalty of the logistic regression.
    pub l2: f64,
}

impl ProbingConfig {
    /// Reads and checks a whole configuration; every problem in it is reported.
    pub fn read(document: &Document, registry: &Registry) -> Result<ProbingConfig, Problems> {
        let config = document.read(|table| {
            let crop = table.table_or_empty("crop", |table| {
                let mut views = ViewSet::read_views(table, registry).views;
                if views.len() > 1 {
                    table.problem(Some("views"), format!("found {} views, expected one", views.len()));
                }
                views.pop()
            });
            ProbingConfig {
                seed: table.or_in("seed", 0, 0..=i64::MAX as u64),
                images: table.or_in("images", 2048, 16..=1_000_000),
                batch_size: table.or_in("batch_size", 128, 1..=65_536),
                workers: table.or_in("workers", 0, 0..=1024),
                curves: table.tables("curves", |table| CurveConfig::read(table, registry)),
                fit: table.table_or_empty("fit", FitConfig::read),
                histogram_bins: table.table_or_empty("histogram", |table| table.or_in("bins", 8, 2..=256)),
                // Without one there is a problem, and nothing is read.
                crop: crop.unwrap_or(View { name: String::new(), operators: Vec::new() }),
                blurs: table.table_or_empty("blur", |table| read_blurs(table, registry)),
            }
        })?;
        Ok(config)
    }
}

impl CurveConfig {
    fn read(table: &mut Table<'_>, registry: &Registry) -> CurveConfig {
        CurveConfig {
            operator: table.required("operator"),
            strength: table.or("strength", String::new()),
            views: ViewSet::read_views(table, registry).views,
        }
    }
}

impl FitConfig {
    fn read(table: &mut Table<'_>) -> FitConfig {
        let ridge: Vec<f64> = table.or("ridge", vec![1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]);
        if ridge.is_empty() || ridge.iter().any(|penalty| !penalty.is_finite() || *penalty <= 0.0) {
            table.problem(Some("ridge"), format!("found {ridge:?}, expected one or more numbers above 0"));
        }
        FitConfig {
            held_out_fraction: table.or_in("held_out_fraction", 0.25, 0.05..=0.9),
            ridge,
            l2: table.or_in("l2", 1e-3, 0.0..),
        }
    }
}

/// The views' names are their sigma.
fn read_blurs(table: &mut Table<'_>, registry: &Registry) -> Vec<(f64, View)> {
    let views = ViewSet::read_views(table, registry).views;
    if views.len() == 1 {
        table.problem(Some("views"), "found one view, expected at least two: there is nothing to tell apart");
    }
    let mut blurs = Vec::new();
    for view in views {
        match view.name.parse::<f64>() {
            Ok(sigma) if sigma.is_finite() => blurs.push((sigma, view)),
            _ => {
                let message = format!(
                    "found a view called {:?}, expected its sigma as the name, such as \"0.5\"",
                    view.name
                );
                table.problem(Some("views"), message);
            }
        }
    }
    blurs
}
