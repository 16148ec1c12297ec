//! Features of images, labelled or not, in a file for other programs: safetensors or Parquet, told by its name.
//!
//! The file appears whole or not at all, and says which run, network, layer and view it holds.

mod parquet;
mod tensors;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use diptych_config::{Choice, Document};
use diptych_host::{Registry, Size};
use diptych_pipeline::{Preview, Source, SourceConfig, Split, ViewSet};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::config::{Layer, NetworkRole};
use crate::device::DeviceName;
use crate::evaluate::features::{Reading, extract};
use crate::evaluate::network::{JudgedRun, Wanted};
use crate::{Error, Result, contain, files};

/// What to embed, and how.
#[derive(Clone)]
pub struct EmbedOptions {
    /// The images.
    pub data: SourceConfig,
    /// One view of each; by default the middle of the image, at the size of the run's first view.
    pub views: Option<ViewSet>,
    /// Whose weights.
    pub network: NetworkRole,
    /// Which vectors.
    pub layer: Layer,
    /// The weights that the run started from instead of the trained ones.
    pub random_init: bool,
    /// Instead of the run's own device.
    pub device: Option<DeviceName>,
    /// Samples per pass.
    pub batch_size: usize,
    /// Threads that decode; 0 for one per core.
    pub workers: usize,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// Rows of the file.
    pub images: usize,
    /// Width of the features.
    pub features: usize,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
}

/// The content of a file, whatever its form.
struct Table {
    /// Float [images, features], on the CPU.
    features: Tensor,
    /// Empty without labels.
    labels: Vec<i64>,
    names: Vec<String>,
    ids: Vec<u64>,
    /// Text by key: `classes` (a JSON array), `diptych` (a JSON object).
    metadata: Vec<(String, String)>,
}

#[derive(Clone, Copy)]
enum Form {
    Safetensors,
    Parquet,
}

/// Embeds all images of a source, in its order, by the run in the folder `run`; images that can't be read do as the run's
/// `data.unreadable` says. Raising `stop` ends it with an error.
///
/// # Errors
/// There is no run, no such network in it, or no image; the file's name tells no form; it can't be written.
pub fn embed(
    run: &Path,
    out: &Path,
    options: &EmbedOptions,
    registry: &Registry,
    stop: &AtomicBool,
) -> Result<Embedded> {
    // Before anything that takes time.
    let form = form(out)?;
    let wanted = Wanted { role: options.network, layer: options.layer, random_init: options.random_init };
    let judged = JudgedRun::open(run, registry, wanted, options.device)?;
    let source = options.data.open(Split::Train)?;
    contain("embedding", || {
        let views = match &options.views {
            Some(views) => views.clone(),
            None => middle(&judged, source.as_ref(), registry)?,
        };
        let reading = Reading {
            views: &views,
            batch_size: options.batch_size,
            workers: options.workers,
            reading: &judged.config.data.reading,
            input: &judged.config.input,
            device: judged.device,
            stop,
        };
        let (table, skipped) = table(&judged, &source, &reading)?;
        files::replace_by(out, |path| match form {
            Form::Safetensors => tensors::write(path, &table),
            Form::Parquet => parquet::write(path, &table),
        })?;
        let (images, features) = table.features.size2()?;
        Ok(Embedded { images: images as usize, features: features as usize, skipped })
    })
}

fn form(out: &Path) -> Result<Form> {
    let form = match out.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => Form::Safetensors,
        Some("parquet") => Form::Parquet,
        _ => {
            let message = format!(
                "--out {}: found a name of neither form, expected FILE.safetensors or FILE.parquet",
                out.display()
            );
            return Err(Error::Unfit(message));
        }
    };
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        let message = format!("--out {}: {} is no folder; make it first", out.display(), folder.display());
        return Err(Error::Unfit(message));
    }
    Ok(form)
}

fn table(run: &JudgedRun, source: &Arc<dyn Source>, reading: &Reading<'_>) -> Result<(Table, usize)> {
    let mut network = run.network()?;
    let features = extract(&mut network, source.clone(), reading)?;
    let about = json!({
        "fingerprint": run.fingerprint,
        "step": run.step,
        "random_init": run.wanted.random_init,
        "network": run.wanted.role.text(),
        "layer": run.wanted.layer.text(),
        "augmentations": reading.views.to_toml(),
        "view_size": features.size,
        "data_identity": source.identity(),
        "images": features.rows.len(),
        "skipped": features.skipped,
        "version": env!("CARGO_PKG_VERSION"),
    });
    let mut metadata = vec![("diptych".to_owned(), about.to_string())];
    if let Some(classes) = source.classes() {
        metadata.push(("classes".into(), json!(classes).to_string()));
    }
    let samples = || features.rows.iter().map(|row| source.sample(*row));
    let name = |row: &usize| String::from_utf8_lossy(&source.name(*row)).into_owned();
    let table = Table {
        labels: samples().filter_map(|sample| sample.label).collect(),
        names: features.rows.iter().map(name).collect(),
        ids: samples().map(|sample| sample.id).collect(),
        features: features.values.to_kind(Kind::Float).to_device(Device::Cpu).contiguous(),
        metadata,
    };
    Ok((table, features.skipped))
}

/// The papers' view for evaluation: the short side at 8/7 of the size that the run trained at, then a centre crop of it.
fn middle(run: &JudgedRun, source: &dyn Source, registry: &Registry) -> Result<ViewSet> {
    let Size { width, height } = first_view_size(run, source)?;
    let side = width.min(height);
    let short_side = (side * 8).div_ceil(7);
    let text = format!(
        "[[views]]\nname = \"middle\"\noperators = [{{ id = \"resize\", size_pixels = {short_side} }}, {{ id = \"center_crop\", size_pixels = {side} }}]"
    );
    let document = Document::parse(&text, "the default view")?;
    Ok(document.read(|table| ViewSet::read_views(table, registry))?)
}

/// Of the first image that can be read.
fn first_view_size(run: &JudgedRun, source: &dyn Source) -> Result<Size> {
    let mut views = run.config.views.clone();
    views.views.truncate(1);
    let mut preview = Preview::new(&views)?;
    let mut reason = None;
    for index in 0..source.len() {
        match preview.render_sample(source, index, 0, 0) {
            Ok(rendered) => {
                if let Some(view) = rendered.first() {
                    return Ok(view.size);
                }
            }
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    Err(reason.map_or_else(|| Error::Unfit(format!("{}: no images", source.summary())), Error::from))
}

impl Table {
    /// The features' bytes, row by row, of `rows` rows from `start` on.
    fn values(&self, start: i64, rows: i64) -> Vec<f32> {
        let part = self.features.narrow(0, start, rows).flatten(0, -1);
        Vec::try_from(&part).expect("a vector of floats")
    }
}
