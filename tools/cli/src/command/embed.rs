//! `diptych embed`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use diptych_config::{Choice, nearest};
use diptych_pipeline::{SourceConfig, Split};
use diptych_trainer::config::{Layer, NetworkRole};
use diptych_trainer::embed::{EmbedOptions, embed};

use super::Plugins;
use crate::console;

/// Write the features of images to a file for other programs.
///
/// One row an image, in the order of the data: float32 features, the label where there is one, the sample's name. The classes, the run and the view stand in the file's metadata.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych embed runs/byol --data FOLDER --out features.safetensors\n  diptych embed runs/byol --data FOLDER --out features.parquet --network target --views configs/augmentations/center_224.toml"
)]
pub struct Arguments {
    /// The folder of a run that `diptych train` wrote.
    run: PathBuf,
    /// Folder of images, tar shards, or whatever else a run's data.path may name.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// The part of the data, where it has parts: train, validation, test.
    #[arg(long, value_name = "SPLIT", value_parser = choice::<Split>)]
    split: Option<Split>,
    /// Where to write: FILE.safetensors or FILE.parquet.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Whose weights: online, or target where the target is a moving average.
    #[arg(long, default_value = "online", value_parser = choice::<NetworkRole>)]
    network: NetworkRole,
    /// Which vectors: the encoder's embedding or the projector's projection.
    #[arg(long, default_value = "embedding", value_parser = choice::<Layer>)]
    layer: Layer,
    /// An augmentation set of one view [default: the middle of the image, at the size of the run's first view].
    #[arg(long, value_name = "SET.toml")]
    views: Option<PathBuf>,
    /// Use the random weights that the run started from.
    #[arg(long)]
    random_init: bool,
    /// Device to run the encoder on [default: the run's own].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Samples per pass of the encoder.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch_size: u32,
    /// Threads that decode; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    workers: usize,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let device = arguments.device.as_deref().map(super::parse_device).transpose()?;
    let registry = plugins.load()?;
    let views = match &arguments.views {
        Some(path) => {
            let views = super::read_views(path, &[], &registry)?;
            let count = views.views.len();
            anyhow::ensure!(count == 1, "--views {}: found {count} views, expected one", path.display());
            Some(views)
        }
        None => None,
    };
    let options = EmbedOptions {
        data: SourceConfig { split: arguments.split, ..SourceConfig::new(arguments.data) },
        views,
        network: arguments.network,
        layer: arguments.layer,
        random_init: arguments.random_init,
        device,
        batch_size: arguments.batch_size as usize,
        workers: arguments.workers,
    };
    let stop = console::stop_flag("stopping")?;
    let began = Instant::now();
    let embedded = embed(&arguments.run, &arguments.out, &options, &registry, &stop)?;
    if embedded.skipped > 0 {
        console::note(&format!("{} images could not be read and were left out", embedded.skipped));
    }
    console::print(&format!(
        "wrote {} features of each of {} images in {:.1} s: {}\n",
        embedded.features,
        embedded.images,
        began.elapsed().as_secs_f64(),
        arguments.out.display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// One of an enum's choices by its text.
fn choice<T: Choice>(text: &str) -> Result<T, String> {
    let texts = || T::ALL.iter().map(|(text, _)| *text);
    if let Some((_, choice)) = T::ALL.iter().find(|(known, _)| *known == text) {
        return Ok(*choice);
    }
    let near = nearest(text, texts()).map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(format!("expected one of {}{near}", texts().collect::<Vec<_>>().join(", ")))
}
