//! Contact sheets: in each arm the views of the same images with the same draws, so that one sees what a removal changed.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use diptych_config::Document;
use diptych_host::{Registry, SearchPath};
use diptych_pipeline::{Preview, Source, SourceConfig, Split, View, ViewSet};
use diptych_report::{Sheet, Study};
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::folder::Folder;
use crate::plan::{PlannedRun, run_folder};

/// Images per sheet; columns.
const IMAGES: usize = 7;
/// Side of a cell and gap between cells, in pixels.
const CELL: u32 = 96;
const GAP: u32 = 4;

/// Adds a sheet for every variant to `report`. Bases with the same views share one; what cannot be drawn becomes a remark,
/// for the results do not depend on it.
pub fn add(report: &mut Study, runs: &[PlannedRun], out: &Path, plugin_path: &[PathBuf]) {
    let registry = match Registry::load(&SearchPath::resolve(plugin_path), None) {
        Ok(registry) => registry,
        Err(error) => return report.remarks.push(format!("There are no pictures of the views: {error}.")),
    };
    // Listing a large folder takes a while, and the arms of a study share theirs.
    let mut sources: Vec<(SourceConfig, Arc<dyn Source>)> = Vec::new();
    // Most axes leave the views as they are.
    let mut known: Vec<(Arm, Picture)> = Vec::new();
    for variant in report.variants.clone() {
        let mut drawn: Vec<ViewSet> = Vec::new();
        for method in report.methods.clone() {
            let done = runs.iter().zip(&report.runs).find(|(run, done)| {
                (&run.base, &run.variant) == (&method.id, &variant.id) && done.state.is_result()
            });
            let Some((run, _)) = done else { continue };
            let folder = Folder::new(run_folder(out, &run.id));
            let result = arm(&folder, &registry).and_then(|arm| {
                if drawn.contains(&arm.views) {
                    return Ok(None);
                }
                if let Some((_, picture)) = known.iter().find(|(other, _)| *other == arm) {
                    drawn.push(arm.views);
                    return Ok(Some(picture.clone()));
                }
                let source = match sources.iter().find(|(config, _)| *config == arm.data) {
                    Some((_, known)) => Arc::clone(known),
                    None => {
                        let source = arm.data.open(Split::Train)?;
                        sources.push((arm.data.clone(), Arc::clone(&source)));
                        source
                    }
                };
                let picture = arm.draw(source.as_ref())?;
                drawn.push(arm.views.clone());
                known.push((arm, picture.clone()));
                Ok(Some(picture))
            });
            match result {
                Ok(None) => {}
                Ok(Some(picture)) => {
                    // The first of a variant speaks for all methods that see the same.
                    let label = match drawn.len() {
                        1 => variant.label.clone(),
                        _ => format!("{}, {}", variant.label, method.label),
                    };
                    report.sheets.push(sheet(label, picture));
                }
                Err(error) => {
                    report.remarks.push(format!("{}: no picture of the views: {error:#}.", variant.label))
                }
            }
        }
    }
}

/// What one arm's encoder saw.
#[derive(PartialEq)]
struct Arm {
    views: ViewSet,
    data: SourceConfig,
    seed: u64,
}

/// A PNG file, its size in pixels, and the views that it shows of each image.
#[derive(Clone)]
struct Picture {
    png: Vec<u8>,
    width: u32,
    height: u32,
    views: usize,
}

/// Reads of a run's resolved configuration what pictures need.
fn arm(folder: &Folder, registry: &Registry) -> Result<Arm> {
    let document = Document::load(&folder.path.join("config.toml"), &[])?;
    let arm = document.read(|table| {
        table.accept_any_key();
        let views = table.table_or_empty("augmentations", |table| ViewSet::read(table, registry));
        let data = table.table_or_empty("data", |table| {
            table.accept_any_key();
            SourceConfig::read(table)
        });
        Arm { views, data, seed: table.required("seed") }
    })?;
    Ok(arm)
}

impl Arm {
    /// Columns are images, rows the original and its views.
    fn draw(&self, source: &dyn Source) -> Result<Picture> {
        let original = ViewSet { views: vec![View { name: "original".into(), operators: Vec::new() }] };
        let (mut originals, mut views) = (Preview::new(&original)?, Preview::new(&self.views)?);
        let columns = IMAGES.min(source.len());
        let rows = 1 + self.views.views.len();
        let side = |cells: usize| cells as u32 * (CELL + GAP) - GAP;
        let mut picture = RgbImage::from_pixel(side(columns), side(rows), Rgb([255, 255, 255]));
        for column in 0..columns {
            // Spread over the source, and so over its classes.
            let index = (2 * column + 1) * source.len() / (2 * columns);
            let mut rendered = originals.render_sample(source, index, self.seed, 0)?;
            rendered.extend(views.render_sample(source, index, self.seed, 0)?);
            for (row, view) in rendered.into_iter().enumerate() {
                let image = RgbImage::from_raw(view.size.width, view.size.height, view.pixels)
                    .ok_or_else(|| anyhow!("a view has fewer pixels than its size says"))?;
                let cell = fitted(&image);
                let (x, y) = (column as u32 * (CELL + GAP), row as u32 * (CELL + GAP));
                let (x, y) = (x + (CELL - cell.width()) / 2, y + (CELL - cell.height()) / 2);
                imageops::replace(&mut picture, &cell, i64::from(x), i64::from(y));
            }
        }
        let mut png = Vec::new();
        picture
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .context("the picture cannot be written as PNG")?;
        Ok(Picture { png, width: picture.width(), height: picture.height(), views: rows - 1 })
    }
}

/// The image as large as a cell allows. Small ones are enlarged in whole steps, so that their pixels stay what they are.
fn fitted(image: &RgbImage) -> RgbImage {
    let (width, height) = image.dimensions();
    let longest = width.max(height).max(1);
    if longest <= CELL {
        let times = CELL / longest;
        return imageops::resize(image, width * times, height * times, FilterType::Nearest);
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(CELL) / u64::from(longest)).max(1) as u32;
    imageops::resize(image, scaled(width), scaled(height), FilterType::Triangle)
}

fn sheet(label: String, picture: Picture) -> Sheet {
    let Picture { png, width, height, views } = picture;
    let views = if views == 1 { "its view".to_string() } else { format!("its {views} views") };
    let description =
        format!("Contact sheet of {label}: each column shows one image at the top and {views} below.");
    Sheet { label, png, width, height, description }
}
