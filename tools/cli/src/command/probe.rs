//! `diptych probe`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use diptych_config::Document;
use diptych_pipeline::SourceConfig;
use diptych_report::{Probe, ProbeCurve, ProbeSeries, ProbeShortcut};
use diptych_trainer::probe::config::ProbingConfig;
use diptych_trainer::probe::{Both, Curve, Measure, Probing, Shortcut, probe};

use super::Plugins;
use crate::console;

/// Built in, so that a probing needs no file from wherever it is started.
const DEFAULT: &str = include_str!("../../../../configs/probe/default.toml");

/// Measure what a trained encoder is invariant to, and what its embeddings give away.
///
/// Compares each image with what single operators make of it, at several strengths, and fits linear probes for what views could leak:
/// colour histogram, crop position and scale, blur, orientation. Beside every figure stands that of the encoder that the run started
/// from. Prints a table and writes probe.json, probe.html, probe.svg and probe.png.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  diptych probe runs/byol-demo --data demo/test\n  diptych probe runs/byol-demo --data demo/test --set images=512 --out FOLDER"
)]
pub struct Arguments {
    /// The folder of a run that `diptych train` wrote.
    run: PathBuf,
    /// Images to measure on: whatever a run's data.path may name. Labels are not looked at.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// What to measure (TOML) [default: what configs/probe/default.toml says, which is built in].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to write [default: the folder `probe` of the run].
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Device to run the encoder on [default: the run's own].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let Arguments { run, data, config, out, sets, device, json } = arguments;
    let device = device.as_deref().map(super::parse_device).transpose()?;
    let document = match config {
        Some(path) => Document::load(&path, &sets)?,
        None => Document::parse_with(DEFAULT, "configs/probe/default.toml", &sets)?,
    };
    let registry = plugins.load()?;
    let config = ProbingConfig::read(&document, &registry)?;
    let stop = console::stop_flag("stopping the probing")?;
    let found = probe(&run, &SourceConfig::new(data), &config, &registry, device, &stop)?;
    let out = out.unwrap_or_else(|| run.join("probe"));
    let page = write(&found, &out)?;
    let text = if json {
        format!("{:#}\n", found.to_json())
    } else {
        format!("{found}\nwrote {}\n", page.display())
    };
    console::print(&text);
    Ok(ExitCode::SUCCESS)
}

/// Writes all files, and answers the page.
fn write(found: &Probing, out: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot make {}; choose another folder with --out", out.display()))?;
    diptych_report::replace(&out.join("probe.json"), format!("{:#}\n", found.to_json()).as_bytes())?;
    Ok(diptych_report::write_probe(&drawn(found), out)?)
}

/// Of the four outputs, in the order in which charts and tables have them.
fn in_order<T: Copy>(values: &Both<T>) -> [T; 4] {
    let (trained, untrained) = (values.trained, values.untrained);
    [trained.embedding, trained.projection, untrained.embedding, untrained.projection]
}

fn drawn(found: &Probing) -> Probe {
    let labels = ["embedding", "projection", "untrained embedding", "untrained projection"];
    let series = found.pairs.iter().flat_map(|pairs| {
        labels.into_iter().zip(in_order(pairs)).map(|(label, pairs)| ProbeSeries {
            label: label.into(),
            pairs: pairs.cosine,
            collapsed: pairs.collapsed(),
        })
    });
    let mut facts = vec![
        format!("{} images", found.images),
        format!("views of {} pixels", found.side),
        found.data.clone(),
        format!("fingerprint {}", found.fingerprint),
    ];
    if found.skipped > 0 {
        facts.push(format!("{} images could not be read", found.skipped));
    }
    Probe {
        title: format!("{} at step {}", found.run, found.step),
        facts,
        warnings: found.collapsed(),
        series: series.collect(),
        curves: found.curves.iter().map(curve).collect(),
        shortcuts: found.shortcuts.iter().map(shortcut).collect(),
    }
}

fn curve(curve: &Curve) -> ProbeCurve {
    let cosines = curve.points.iter().map(|point| in_order(&point.cosine.map(|cosine| cosine.mean)));
    let points: Vec<[f64; 4]> = cosines.collect();
    ProbeCurve {
        operator: if curve.of_run {
            format!("{} as in the run", curve.operator)
        } else {
            curve.operator.clone()
        },
        strength: curve.strength.clone(),
        strengths: curve.points.iter().map(|point| point.strength.clone()).collect(),
        cosines: (0..4).map(|series| points.iter().map(|point| point[series]).collect()).collect(),
    }
}

fn shortcut(shortcut: &Shortcut) -> ProbeShortcut {
    let (measure, chance) = match shortcut.measure {
        Measure::R2 => ("R\u{b2}", 0.0),
        Measure::Accuracy { chance } => ("accuracy", chance),
    };
    ProbeShortcut {
        quantity: shortcut.quantity.clone(),
        measure: measure.into(),
        chance,
        trained: shortcut.trained,
        untrained: shortcut.untrained,
        measured_on: format!(
            "{}; fitted on {} rows, judged on {}",
            shortcut.views, shortcut.fitted_on, shortcut.judged_on
        ),
    }
}
