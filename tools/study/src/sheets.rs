//! Contact sheets: in each arm the views of the same images with the same draws, so that one sees what the arm changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use diptych_config::Document;
use diptych_host::{Registry, SearchPath};
use diptych_pipeline::{ContactSheet, Preview, Source, SourceConfig, Split, View, ViewSet};
use diptych_report::{Run, Sheet, State, Study};

use crate::folder::Folder;
use crate::plan::{PlannedRun, run_folder};

/// Images per sheet; columns.
const IMAGES: usize = 5;
/// Of the lossy WebP that sheets are kept in: a page may hold a hundred.
const QUALITY: f32 = 70.0;

/// What encoders saw, and which arms did.
struct Sight {
    views: ViewSet,
    data: SourceConfig,
    arms: Vec<(String, String)>,
}

/// Adds to `report` a sheet for all arms that have begun; those with the same views share one. What cannot be drawn becomes a
/// remark, for the results do not depend on it.
pub fn add(report: &mut Study, runs: &[PlannedRun], out: &Path, plugin_path: &[PathBuf]) {
    let registry = match Registry::load(&SearchPath::resolve(plugin_path), None) {
        Ok(registry) => registry,
        Err(error) => return report.remarks.push(format!("There are no pictures of the views: {error}.")),
    };
    let Some(seed) = report.seeds.first().copied() else { return };
    let remark = |report: &mut Study, whose: &str, error: &anyhow::Error| {
        report.remarks.push(format!("{whose}: no picture of the views: {error:#}."));
    };
    let mut sights: Vec<Sight> = Vec::new();
    for variant in report.variants.clone() {
        for method in report.methods.clone() {
            let arm = (method.id.clone(), variant.id.clone());
            let of_arm = |(_, done): &(&PlannedRun, &Run)| (&done.method, &done.variant) == (&arm.0, &arm.1);
            let begun =
                |(_, done): &(&PlannedRun, &Run)| done.state.is_result() || done.state == State::Interrupted;
            let Some((run, _)) = runs.iter().zip(&report.runs).filter(of_arm).find(begun) else { continue };
            match sight(&Folder::new(run_folder(out, &run.id)), &registry) {
                Ok((views, data)) => {
                    match sights.iter_mut().find(|known| known.views == views && known.data == data) {
                        Some(known) => known.arms.push(arm),
                        None => sights.push(Sight { views, data, arms: vec![arm] }),
                    }
                }
                Err(error) => remark(report, &format!("{}, {}", method.label, variant.label), &error),
            }
        }
    }
    // Listing a large folder takes a while, and the arms of a study share theirs.
    let mut sources: Vec<(SourceConfig, Arc<dyn Source>)> = Vec::new();
    for sight in sights {
        match sight.draw(seed, &mut sources) {
            Ok(sheet) => report.sheets.push(sheet),
            Err(error) => {
                let whose = report.variant_label(&sight.arms[0].1).to_string();
                remark(report, &whose, &error);
            }
        }
    }
}

/// Reads of a run's resolved configuration what pictures need.
fn sight(folder: &Folder, registry: &Registry) -> Result<(ViewSet, SourceConfig)> {
    let document = Document::load(&folder.path.join("config.toml"), &[])?;
    let found = document.read(|table| {
        table.accept_any_key();
        let views = table.table_or_empty("augmentations", |table| ViewSet::read(table, registry));
        let data = table.table_or_empty("data", |table| {
            table.accept_any_key();
            SourceConfig::read(table)
        });
        (views, data)
    })?;
    Ok(found)
}

impl Sight {
    fn draw(&self, seed: u64, sources: &mut Vec<(SourceConfig, Arc<dyn Source>)>) -> Result<Sheet> {
        let source = match sources.iter().find(|(config, _)| *config == self.data) {
            Some((_, known)) => Arc::clone(known),
            None => {
                let source = self.data.open(Split::Train)?;
                sources.push((self.data.clone(), Arc::clone(&source)));
                source
            }
        };
        let picture = self.picture(source.as_ref(), seed)?;
        let (width, height) = (picture.size.width, picture.size.height);
        let image = webp::Encoder::from_rgb(&picture.pixels, width, height)
            .encode_simple(false, QUALITY)
            .map_err(|error| anyhow!("the picture cannot be written as WebP: {error:?}"))?
            .to_vec();
        let views = match self.views.views.len() {
            1 => "its view".to_string(),
            count => format!("its {count} views"),
        };
        Ok(Sheet {
            arms: self.arms.clone(),
            image,
            media_type: "image/webp".into(),
            width,
            height,
            description: format!("each column shows one image at the top and {views} below"),
        })
    }

    /// Columns are images, rows the original and its views.
    fn picture(&self, source: &dyn Source, seed: u64) -> Result<ContactSheet> {
        let original = ViewSet { views: vec![View { name: "original".into(), operators: Vec::new() }] };
        let (mut originals, mut views) = (Preview::new(&original)?, Preview::new(&self.views)?);
        let columns = IMAGES.min(source.len());
        let columns = (0..columns).map(|column| {
            // Spread over the source, and so over its classes.
            let index = (2 * column + 1) * source.len() / (2 * columns);
            let mut rendered = originals.render_sample(source, index, seed, 0)?;
            rendered.extend(views.render_sample(source, index, seed, 0)?);
            Ok(rendered.into_iter().map(Into::into).collect())
        });
        ContactSheet::draw(columns.collect::<Result<_>>()?).map_err(|error| anyhow!(error))
    }
}
