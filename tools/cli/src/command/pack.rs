//! `diptych pack`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;
use diptych_pack::{ByteSize, Format, PackOptions, ShardLimit, Summary};
use diptych_pipeline::{SourceConfig, Split};
use indicatif::{ProgressBar, ProgressStyle};

use crate::console;

/// Pack images into tar shards, shrunk once instead of in every epoch.
///
/// The shards are WebDataset's, and `manifest.json` beside them has the names of the classes. Samples keep their order and
/// their names, so that a run on the shards draws what it would draw on the source. The same options give the same
/// bytes. Ctrl-C and errors keep the shards that are whole: the same command goes on from there.
#[derive(clap::Args)]
#[command(
    override_usage = "diptych pack [OPTIONS] <SRC> <DST>\n       diptych pack --verify <DST>",
    after_help = "Examples:\n  diptych pack photos packed --short-side 256\n  diptych pack photos packed --short-side 256 --format raw --shard-bytes 1GB\n  diptych pack --verify packed"
)]
pub struct Arguments {
    /// What to pack: a folder of images, tar or Parquet shards (a file, a folder or a pattern), a list (.csv, .jsonl), or
    /// whatever else a run's data.path may name.
    #[arg(value_name = "SRC", required_unless_present = "verify")]
    source: Option<PathBuf>,
    /// Where to write: a new or empty folder, or one that holds a part of this very set.
    #[arg(value_name = "DST", required_unless_present = "verify")]
    folder: Option<PathBuf>,
    /// Shrink images to this short side, antialiased bicubic; smaller ones stay as they are.
    #[arg(long, value_name = "PIXELS")]
    short_side: Option<u32>,
    /// How images are stored.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "keep")]
    format: FormatName,
    /// Quality of lossy files, 1 to 100 [default: 90].
    #[arg(long, value_name = "Q")]
    quality: Option<u8>,
    /// End a shard with the sample that brings it to this size, such as 500MB or 1GiB [default: 256MB].
    #[arg(long, value_name = "SIZE", conflicts_with = "shard_samples")]
    shard_bytes: Option<ByteSize>,
    /// End a shard after this many samples.
    #[arg(long, value_name = "N")]
    shard_samples: Option<u64>,
    /// Leave out images that cannot be read, and list them in the manifest.
    #[arg(long)]
    skip_unreadable: bool,
    /// Images with more pixels (width times height) count as unreadable.
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    maximum_pixels: u64,
    /// Threads [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    workers: usize,
    /// Pack nothing: read the shards in DST again and compare them with their checksums.
    #[arg(
        long,
        value_name = "DST",
        conflicts_with_all = ["source", "folder", "short_side", "format", "quality", "shard_bytes", "shard_samples", "skip_unreadable", "maximum_pixels"]
    )]
    verify: Option<PathBuf>,
}

/// How images are stored.
#[derive(Clone, Copy, ValueEnum)]
enum FormatName {
    /// The files as they are; with --short-side, larger ones become JPEG where they were, else lossless WebP.
    Keep,
    /// JPEG, 4:2:0.
    Jpeg,
    /// Lossy WebP: smaller, and slower to decode.
    Webp,
    /// WebP that keeps every pixel.
    WebpLossless,
    /// Pixels (PPM): large, and read without decoding.
    Raw,
}

pub fn run(arguments: Arguments) -> Result<ExitCode> {
    if let Some(folder) = &arguments.verify {
        return verify(folder, arguments.workers);
    }
    let format = format(arguments.format, arguments.quality)?;
    let (Some(source), Some(folder)) = (arguments.source, arguments.folder) else {
        bail!("found no SRC and DST, expected both, or --verify DST");
    };
    let shards = match (arguments.shard_bytes, arguments.shard_samples) {
        (Some(ByteSize(bytes)), _) => ShardLimit::Bytes(bytes),
        (None, Some(samples)) => ShardLimit::Samples(samples),
        (None, None) => PackOptions::new(&folder).shards,
    };
    let options = PackOptions {
        folder,
        short_side: arguments.short_side,
        format,
        shards,
        skip_unreadable: arguments.skip_unreadable,
        maximum_pixels: arguments.maximum_pixels,
        workers: arguments.workers,
    };
    let source = SourceConfig::new(source).open(Split::Train)?;
    let stop = console::stop_flag("stopping; the shards that are whole stay")?;
    let bar = ProgressBar::new(source.len() as u64).with_style(ProgressStyle::with_template(
        "{bar:40} {human_pos}/{human_len} images {per_sec} {eta} left",
    )?);
    let progress = |done, _| {
        if bar.position() == 0 && done > 1 {
            // What was there before tells nothing of the speed.
            bar.set_position(done);
            bar.reset_eta();
        }
        bar.set_position(done);
    };
    let summary = diptych_pack::pack(source.as_ref(), &options, &progress, &stop);
    bar.finish_and_clear();
    let summary = summary?;
    console::print(&describe(&options.folder, &summary));
    Ok(if summary.complete { ExitCode::SUCCESS } else { ExitCode::from(console::INTERRUPTED) })
}

fn format(name: FormatName, quality: Option<u8>) -> Result<Format> {
    let with = quality.unwrap_or(Format::QUALITY);
    let format = match name {
        FormatName::Jpeg => Format::Jpeg { quality: with },
        FormatName::Webp => Format::WebP { quality: with },
        FormatName::WebpLossless => Format::WebPLossless,
        FormatName::Raw => Format::Raw,
        FormatName::Keep => Format::Keep { quality: with },
    };
    if quality.is_some() && format.quality().is_none() {
        bail!("--quality: found it with --format {}, which loses nothing; leave it out", format.name());
    }
    Ok(format)
}

/// Left out images that are named; the manifest has all.
const SHOWN: usize = 5;

fn describe(folder: &Path, summary: &Summary) -> String {
    let Summary { samples, shards, bytes, skipped, complete, was_there } = summary;
    let verb = if *was_there { "already holds" } else { "holds" };
    let size = ByteSize(*bytes);
    let mut text = format!("{} {verb} {samples} samples in {shards} shards, {size}\n", folder.display());
    if !skipped.is_empty() {
        text.push_str(&format!("left out {} that cannot be read:\n", skipped.len()));
        for skipped in skipped.iter().take(SHOWN) {
            text.push_str(&format!("  {}: {}\n", skipped.path, skipped.reason));
        }
        if skipped.len() > SHOWN {
            text.push_str("  ... all are in manifest.json\n");
        }
    }
    if !complete {
        text.push_str("interrupted: the same command goes on from there\n");
    }
    text
}

fn verify(folder: &Path, workers: usize) -> Result<ExitCode> {
    let stop = console::stop_flag("stopping")?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left",
    )?);
    let progress = |read, total| {
        bar.set_length(total);
        bar.set_position(read);
    };
    let found = diptych_pack::verify(folder, workers, &progress, &stop);
    bar.finish_and_clear();
    let Some(found) = found? else {
        return Ok(ExitCode::from(console::INTERRUPTED));
    };
    for (path, what) in &found.damaged {
        console::print(&format!("{}: {what}\n", path.display()));
    }
    let (damaged, shards) = (found.damaged.len(), found.shards);
    if damaged > 0 {
        bail!(
            "{damaged} of {shards} shards in {} are not as they were written; remove them, and the command that packed \
             the set writes them anew",
            folder.display()
        );
    }
    if !found.complete {
        bail!(
            "{} is not packed to its end: {shards} shards are whole; give the command that packed it again, and it goes on",
            folder.display()
        );
    }
    console::print(&format!(
        "{} is whole: {} samples in {shards} shards, {}\n",
        folder.display(),
        found.samples,
        ByteSize(found.bytes)
    ));
    Ok(ExitCode::SUCCESS)
}
