//! `diptych preview`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode};
use diptych_pipeline::{Form, Preview, SampleData, Source, SourceConfig, Split};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::Plugins;
use crate::console;

/// Draw the views that an augmentation set makes of some images.
///
/// The contact sheet has a row for each image, the original first, then its views. What every operator drew is
/// printed. The views are those that a run with the same seed sees in that epoch.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  diptych preview configs/augmentations/byol.toml --images FOLDER --out views.png"
)]
pub struct Arguments {
    /// An augmentation set, or the configuration of a run (TOML).
    config: PathBuf,
    /// Folder of images, tar shards, or whatever else a run's data.path may name.
    #[arg(long, value_name = "PATH")]
    images: PathBuf,
    /// Where to write the sheet.
    #[arg(long, short, value_name = "FILE.png", default_value = "preview.png")]
    out: PathBuf,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// How many images, from the first.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    count: u16,
    /// The run's seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The run's epoch.
    #[arg(long, default_value_t = 0)]
    epoch: u64,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let Arguments { config, images, out, sets, count, seed, epoch } = arguments;
    let registry = plugins.load()?;
    let views = super::read_views(&config, &sets, &registry)?;
    let source = SourceConfig::new(images).open(Split::Train)?;
    let source = source.as_ref();
    let mut preview = Preview::new(&views)?;
    let mut rows = Vec::new();
    for index in 0..source.len().min(count.into()) {
        let rendered = preview.render_sample(source, index, seed, epoch)?;
        console::print(&format!("{}\n", source.path(index).display()));
        let mut row = vec![original(source, index)?];
        for view in rendered {
            let draws: Vec<String> = view
                .draws
                .iter()
                .filter_map(|(name, drew)| {
                    drew.as_ref().map(|drew| format!("{name} {drew}").trim().to_owned())
                })
                .collect();
            console::print(&format!("  {}: {}\n", view.name, draws.join(", ")));
            let pixels = RgbImage::from_raw(view.size.width, view.size.height, view.pixels);
            row.push(pixels.context("a view's pixels fit its size")?);
        }
        rows.push(row);
    }
    sheet(&rows).save(&out).with_context(|| format!("writing {}", out.display()))?;
    console::print(&format!("wrote {}\n", out.display()));
    Ok(ExitCode::SUCCESS)
}

fn original(source: &dyn Source, index: usize) -> Result<RgbImage> {
    let mut data = SampleData::default();
    source.read(index, &mut data)?;
    if let Form::Rgb8(size) = data.form {
        return RgbImage::from_raw(size.width, size.height, data.bytes).context("pixels fit their size");
    }
    let mut decoded = DecodedImage::default();
    decode(&data.bytes, &DecodeOptions::default(), &mut decoded)?;
    RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels).context("decoded pixels fit their size")
}

/// Height of a row in pixels.
const ROW: u32 = 160;
const GAP: u32 = 6;

/// Pictures in rows, each brought to the height of a row.
fn sheet(rows: &[Vec<RgbImage>]) -> RgbImage {
    let rows: Vec<Vec<RgbImage>> = rows.iter().map(|row| row.iter().map(to_row_height).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width_of = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(RgbImage::width).max();
    let widths: Vec<u32> = (0..columns).filter_map(width_of).collect();
    let width = widths.iter().map(|width| width + GAP).sum::<u32>() + GAP;
    let mut sheet = RgbImage::from_pixel(width, rows.len() as u32 * (ROW + GAP) + GAP, Rgb([255; 3]));
    for (index, row) in rows.iter().enumerate() {
        let mut x = GAP;
        for (picture, width) in row.iter().zip(&widths) {
            imageops::replace(&mut sheet, picture, x.into(), (GAP + index as u32 * (ROW + GAP)).into());
            x += width + GAP;
        }
    }
    sheet
}

fn to_row_height(picture: &RgbImage) -> RgbImage {
    let width = (u64::from(picture.width()) * u64::from(ROW) / u64::from(picture.height())).clamp(1, 640);
    let filter = if picture.height() < ROW { FilterType::Nearest } else { FilterType::Triangle };
    imageops::resize(picture, width as u32, ROW, filter)
}
