//! Contact sheets: in each arm the views of the same images with the same draws, so that one sees what the arm changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, anyhow};
use diptych_config::Document;
use diptych_host::{Registry, SearchPath};
use diptych_pipeline::decode::DecodeOptions;
use diptych_pipeline::{ContactSheet, Error, Preview, Source, SourceConfig, Split, Tile, View, ViewSet};
use diptych_report::{Sheet, Study};

use crate::folder::Folder;
use crate::kept::Kept;
use crate::plan::{PlannedRun, run_folder};

/// Images per sheet; columns.
const IMAGES: usize = 5;
/// Of the lossy WebP that sheets are kept in: a page may hold a hundred.
const QUALITY: f32 = 70.0;

/// What encoders saw, and which arms did.
struct Sight {
    views: ViewSet,
    data: Data,
    arms: Vec<(String, String)>,
}

/// The images of a run, and which of them it leaves out.
#[derive(PartialEq)]
struct Data {
    source: SourceConfig,
    maximum_pixels: u64,
    skips_unreadable: bool,
}

/// Adds to `report` a sheet for all arms that have begun; those with the same views share one. What cannot be drawn becomes a
/// remark, for the results do not depend on it.
pub fn add(report: &mut Study, kept: &Kept, runs: &[PlannedRun], out: &Path, plugin_path: &[PathBuf]) {
    let registry = match Registry::load(&SearchPath::resolve(plugin_path), None) {
        Ok(registry) => registry,
        Err(error) => return report.remarks.push(format!("There are no pictures of the views: {error}.")),
    };
    let Some(seed) = report.seeds.first().copied() else { return };
    let remark = |report: &mut Study, whose: &str, error: &anyhow::Error| {
        // On one line, and the same in whichever folder the study lies.
        let why = format!("{error:#}").replace(&format!("{}/", out.display()), "").replace('\n', "; ");
        report.remarks.push(format!("{whose}: no picture of the views: {why}."));
    };
    let mut sights: Vec<Sight> = Vec::new();
    for variant in report.variants.clone() {
        for method in report.methods.clone() {
            let arm = (method.id.clone(), variant.id.clone());
            let mut of_arm = runs.iter().filter(|run| (&run.base, &run.variant) == (&arm.0, &arm.1));
            let Some(folder) = of_arm.find_map(|run| begun(kept, run, out)) else { continue };
            match sight(&folder, &registry) {
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

/// The folder of a run that the study asks for, once there is its configuration, whatever became of it.
fn begun(kept: &Kept, run: &PlannedRun, out: &Path) -> Option<Folder> {
    let folder = Folder::new(run_folder(out, &run.id));
    let is_of = folder.run().is_some_and(|known| kept.wanted(run).is_of(&known));
    (is_of && folder.path.join("config.toml").is_file()).then_some(folder)
}

/// Reads of a run's resolved configuration what pictures need.
fn sight(folder: &Folder, registry: &Registry) -> Result<(ViewSet, Data)> {
    let document = Document::load(&folder.path.join("config.toml"), &[])?;
    let found = document.read(|table| {
        table.accept_any_key();
        let views = table.table_or_empty("augmentations", |table| ViewSet::read(table, registry));
        let data = table.table_or_empty("data", |table| {
            table.accept_any_key();
            Data {
                maximum_pixels: table.or("maximum_pixels", DecodeOptions::default().maximum_pixels),
                skips_unreadable: table.or("unreadable", String::new()) == "skip",
                source: SourceConfig::read(table),
            }
        });
        (views, data)
    })?;
    Ok(found)
}

impl Sight {
    fn draw(&self, seed: u64, sources: &mut Vec<(SourceConfig, Arc<dyn Source>)>) -> Result<Sheet> {
        let config = &self.data.source;
        let source = match sources.iter().find(|(known, _)| known == config) {
            Some((_, known)) => Arc::clone(known),
            None => {
                let source = config.open(Split::Train)?;
                sources.push((config.clone(), Arc::clone(&source)));
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
        let limit = self.data.maximum_pixels;
        let mut previews = [Preview::within(&original, limit)?, Preview::within(&self.views, limit)?];
        let columns = IMAGES.min(source.len());
        let columns = (0..columns).map(|column| {
            // Spread over the source, and so over its classes.
            let index = (2 * column + 1) * source.len() / (2 * columns);
            self.column(&mut previews, source, index, seed)
        });
        ContactSheet::draw(columns.collect::<Result<_>>()?).map_err(|error| anyhow!(error))
    }

    /// What the previews make of a sample; of the next one that can be read where the run leaves out the others.
    fn column(
        &self,
        previews: &mut [Preview],
        source: &dyn Source,
        index: usize,
        seed: u64,
    ) -> Result<Vec<Tile>> {
        let mut unreadable = None;
        for index in (index..source.len()).chain(0..index) {
            let rendered: Result<Vec<_>, Error> =
                previews.iter_mut().map(|preview| preview.render_sample(source, index, seed, 0)).collect();
            match rendered {
                Ok(rendered) => return Ok(rendered.into_iter().flatten().map(Tile::from).collect()),
                Err(error @ Error::Unreadable { .. }) if self.data.skips_unreadable => {
                    unreadable = Some(error)
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(unreadable.map_or_else(|| anyhow!("there are no images"), Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A sheet of six images of 8 x 8 pixels, one of which is broken, without any operator.
    fn sheet(maximum_pixels: u64, skips_unreadable: bool) -> Result<Sheet> {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..6_u8 {
            let image = webp::Encoder::from_rgb(&[40 * index; 192], 8, 8).encode_lossless().to_vec();
            let whole = if index == 3 { 24 } else { image.len() };
            fs::write(folder.path().join(format!("{index}.webp")), &image[..whole]).unwrap();
        }
        let views = ViewSet { views: vec![View { name: "whole".into(), operators: Vec::new() }] };
        let data = Data { source: SourceConfig::new(folder.path()), maximum_pixels, skips_unreadable };
        Sight { views, data, arms: Vec::new() }.draw(0, &mut Vec::new())
    }

    #[test]
    fn an_unreadable_image_gives_way_to_the_next_one_where_the_run_leaves_it_out() {
        assert_eq!(sheet(64, true).unwrap().width, 5 * 96 + 4 * 4);
        let error = sheet(64, false).unwrap_err().to_string();
        assert!(error.contains("3.webp"), "{error}");
    }

    #[test]
    fn images_are_as_large_as_the_run_lets_them_be() {
        let error = sheet(63, true).unwrap_err().to_string();
        assert!(error.contains("8x8") || error.contains("64"), "{error}");
    }
}
