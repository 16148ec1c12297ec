//! `diptych synth`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use diptych_synth::{ImageSize, Split, SynthOptions};
use indicatif::{ProgressBar, ProgressStyle};

use crate::console;

/// Write the demo's labelled texture images.
///
/// They are a labelled folder of JPEG files: FOLDER/SPLIT/CLASS/NUMBER.jpg. The class is a texture;
/// colours, geometry and light are drawn for each image and say nothing about the class. The same options give
/// the same bytes.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  diptych synth demo --split train=4096 --split validation=1000 --split test=1000\n  diptych synth photos --split train=600 --size 500x375 --seed 7"
)]
pub struct Arguments {
    /// Where to write: a new or empty folder, or one that holds this very set already.
    folder: PathBuf,
    /// A split and its number of images; may be repeated [default: train=4096, validation=1000 and test=1000].
    #[arg(long = "split", value_name = "NAME=COUNT")]
    splits: Vec<Split>,
    /// Size of every image in pixels: 32, or 500x375.
    #[arg(long, value_name = "SIZE", default_value = "32")]
    size: ImageSize,
    /// How many of the eight textures to use.
    #[arg(long, value_name = "N", default_value_t = 8)]
    classes: usize,
    /// JPEG quality, 1 to 100.
    #[arg(long, value_name = "Q", default_value_t = 95)]
    quality: u8,
    /// Another seed gives other images.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { folder, mut splits, size, classes, quality, seed } = arguments;
    if splits.is_empty() {
        splits = ["train=4096", "validation=1000", "test=1000"]
            .iter()
            .map(|split| split.parse())
            .collect::<Result<_, _>>()?;
    }
    let options = SynthOptions { folder, splits, size, classes, quality, seed };
    let bar = ProgressBar::new(options.image_count()).with_style(ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} images {per_sec} {eta} left",
    )?);
    let summary = diptych_synth::write(&options, |done, _| bar.set_position(done))?;
    bar.finish_and_clear();
    let verb = if summary.was_there { "already holds" } else { "holds" };
    console::print(&format!("{} {verb} {} images\n", summary.folder.display(), summary.images));
    for (split, classes) in &summary.splits {
        let counts: Vec<String> = classes.iter().map(u64::to_string).collect();
        console::print(&format!("  {split}: {} per class\n", counts.join(", ")));
    }
    Ok(ExitCode::SUCCESS)
}
