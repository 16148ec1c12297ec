//! `diptych preview`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use diptych_config::Document;
use diptych_host::Registry;
use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode};
use diptych_pipeline::{
    Error, Form, Preview, RenderedView, SampleData, Source, SourceConfig, Split, ViewSet,
};
use diptych_trainer::RunConfig;
use diptych_trainer::config::Unreadable;
use image::RgbImage;

use super::Plugins;
use crate::console;
use crate::sheet::{self, Cell};

/// Draw the views that an augmentation set makes of some images, or that a run saw.
///
/// The contact sheet has a row for each image, the original first, then its views with what every operator drew below. The
/// views are those that a run with the same seed sees in that epoch, bit for bit: with the folder of a run in place of the
/// configuration, images and seed are the run's own.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  diptych preview configs/augmentations/byol.toml --images FOLDER --out views.png\n  diptych preview runs/mine --sample dots/000003 --epoch 3"
)]
pub struct Arguments {
    /// An augmentation set or the configuration of a run (TOML), or the folder of a run.
    config: PathBuf,
    /// Folder of images, tar shards, or whatever else a run's data.path may name [default: the run's own].
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// Where to write the sheet.
    #[arg(long, short, value_name = "FILE.png", default_value = "preview.png")]
    out: PathBuf,
    /// Overrides a key of the configuration; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// How many images, from the first.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    count: u16,
    /// A sample by its name (its path in the data set, with or without the suffix) or its id; may be repeated.
    #[arg(long = "sample", value_name = "ID", conflicts_with = "count")]
    samples: Vec<String>,
    /// The run's seed [default: the run's own, else 0].
    #[arg(long)]
    seed: Option<u64>,
    /// The run's epoch, from 0.
    #[arg(long, default_value_t = 0)]
    epoch: u64,
    /// Also write every view as it is, pixel for pixel, as PNG files in this folder.
    #[arg(long, value_name = "FOLDER")]
    views: Option<PathBuf>,
}

pub fn run(arguments: Arguments, plugins: &Plugins) -> Result<ExitCode> {
    let registry = plugins.load()?;
    let Subject { views, source, seed, maximum_pixels, skips_unreadable } =
        Subject::read(&arguments, &registry)?;
    let Arguments { out, count, samples, epoch, views: folder, .. } = arguments;
    let source = source.as_ref();
    let named = samples.iter().map(|sample| find(source, sample)).collect::<Result<Vec<_>>>()?;
    let (indices, count) = match named.len() {
        0 => ((0..source.len()).collect(), count.into()),
        count => (named, count),
    };
    let mut preview = Preview::within(&views, maximum_pixels)?;
    let mut rows = Vec::new();
    for index in indices {
        if rows.len() == count {
            break;
        }
        let rendered = match preview.render_sample(source, index, seed, epoch) {
            // The run left it out; who asks for the sample itself is told why.
            Err(Error::Unreadable { path, reason }) if skips_unreadable && samples.is_empty() => {
                console::print(&format!("left out: {}: {reason}\n", path.display()));
                continue;
            }
            rendered => rendered?,
        };
        let (name, id) = (name(source, index), source.sample(index).id);
        console::print(&format!("{name}, id {id:016x}, epoch {epoch}, seed {seed}\n"));
        let picture = original(source, index, maximum_pixels)?;
        let size = format!("{}x{}", picture.width(), picture.height());
        let mut row =
            vec![Cell { picture, heading: name.clone(), lines: vec![format!("id {id:016x}"), size] }];
        for view in rendered {
            let lines = draws(&view);
            console::print(&format!("  {}: {}\n", view.name, lines.join("; ")));
            let pixels = RgbImage::from_raw(view.size.width, view.size.height, view.pixels);
            let picture = pixels.context("a view's pixels fit its size")?;
            if let Some(folder) = &folder {
                save(&picture, folder, &format!("{id:016x}-{}.png", view.name))?;
            }
            row.push(Cell { picture, heading: view.name, lines });
        }
        rows.push(row);
    }
    sheet::draw(&rows)?.save(&out).with_context(|| format!("writing {}", out.display()))?;
    console::print(&format!("wrote {}\n", out.display()));
    Ok(ExitCode::SUCCESS)
}

/// Whose views of which images.
struct Subject {
    views: ViewSet,
    source: Arc<dyn Source>,
    seed: u64,
    /// Larger images are unreadable.
    maximum_pixels: u64,
    /// Unreadable images are no error.
    skips_unreadable: bool,
}

impl Subject {
    fn read(arguments: &Arguments, registry: &Registry) -> Result<Subject> {
        let Arguments { config, images, sets, seed, .. } = arguments;
        let file = if config.is_dir() { config.join("config.toml") } else { config.clone() };
        if config.is_dir() && !file.is_file() {
            bail!(
                "{} holds no run: found no config.toml in it; give the folder of a run, or a TOML file",
                config.display()
            );
        }
        let document = Document::load(&file, sets)?;
        let images =
            images.as_ref().map(|path| SourceConfig::new(path.clone()).open(Split::Train)).transpose()?;
        if document.has("views") {
            let Some(source) = images else {
                bail!(
                    "{} is an augmentation set, which names no images: say which with --images FOLDER",
                    config.display()
                );
            };
            let views = document.read(|table| ViewSet::read(table, registry))?;
            let DecodeOptions { maximum_pixels } = DecodeOptions::default();
            let seed = seed.unwrap_or(0);
            return Ok(Subject { views, source, seed, maximum_pixels, skips_unreadable: false });
        }
        let run = RunConfig::read(&document, registry)?;
        let source = match images {
            Some(source) => source,
            None => run.data.open().with_context(|| {
                format!("the images of {} cannot be read; say where they are with --images", config.display())
            })?,
        };
        Ok(Subject {
            views: run.views,
            source,
            seed: seed.unwrap_or(run.seed),
            maximum_pixels: run.data.reading.maximum_pixels,
            skips_unreadable: run.data.reading.unreadable == Unreadable::Skip,
        })
    }
}

/// As people type it.
fn name(source: &dyn Source, index: usize) -> String {
    String::from_utf8_lossy(&source.name(index)).into_owned()
}

/// The sample that `wanted` names: by its name or its id, else by the end of its path, which only one may have.
fn find(source: &dyn Source, wanted: &str) -> Result<usize> {
    const MOST_NAMED: usize = 3;
    let id = u64::from_str_radix(wanted, 16).ok().filter(|_| wanted.len() == 16);
    let is_it =
        |index: &usize| source.name(*index) == wanted.as_bytes() || Some(source.sample(*index).id) == id;
    if let Some(index) = (0..source.len()).find(is_it) {
        return Ok(index);
    }
    // Every path ends with nothing.
    let ends_so = |index: &usize| !wanted.is_empty() && source.path(*index).ends_with(Path::new(wanted));
    let found: Vec<usize> = (0..source.len()).filter(ends_so).collect();
    match found[..] {
        [index] => Ok(index),
        [] => bail!(
            "--sample: found {wanted:?}, which none of {} samples is; expected a name as `{}`, or an id as `{:016x}`",
            source.len(),
            name(source, 0),
            source.sample(0).id
        ),
        _ => {
            let names = found.iter().take(MOST_NAMED).map(|index| name(source, *index));
            bail!(
                "--sample: found {wanted:?}, which {} samples are, {} among them; give the whole name of one",
                found.len(),
                names.collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// What each operator drew, one line each, and last those that the coin left out.
fn draws(view: &RenderedView) -> Vec<String> {
    let drew = view.draws.iter().filter_map(|(name, drew)| Some(format!("{name} {}", drew.as_ref()?)));
    let mut lines: Vec<String> = drew.map(|line| line.trim().to_owned()).collect();
    let left_out: Vec<&str> =
        view.draws.iter().filter(|(_, drew)| drew.is_none()).map(|(name, _)| name.as_str()).collect();
    if !left_out.is_empty() {
        lines.push(format!("left out: {}", left_out.join(", ")));
    }
    lines
}

fn save(picture: &RgbImage, folder: &Path, name: &str) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let path = folder.join(name);
    picture.save(&path).with_context(|| format!("writing {}", path.display()))
}

fn original(source: &dyn Source, index: usize, maximum_pixels: u64) -> Result<RgbImage> {
    let mut data = SampleData::default();
    source.read(index, &mut data)?;
    if let Form::Rgb8(size) = data.form {
        return RgbImage::from_raw(size.width, size.height, data.bytes).context("pixels fit their size");
    }
    let mut decoded = DecodedImage::default();
    decode(&data.bytes, &DecodeOptions { maximum_pixels }, &mut decoded)?;
    RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels).context("decoded pixels fit their size")
}

#[cfg(test)]
mod tests {
    use super::*;
    use diptych_pipeline::FolderSource;

    fn source(names: &[&str]) -> (tempfile::TempDir, FolderSource) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(2, 2).save(path).unwrap();
        }
        let source = FolderSource::open(folder.path()).unwrap();
        (folder, source)
    }

    #[test]
    fn a_sample_is_found_by_its_name_its_id_or_the_end_of_its_path() {
        let (_folder, source) = source(&["a/b/x.png", "b/x.png", "b/y.png"]);
        assert_eq!(find(&source, "b/x").unwrap(), 1, "the whole name of one, and the end of another");
        assert_eq!(find(&source, &format!("{:016x}", source.sample(2).id)).unwrap(), 2);
        assert_eq!(find(&source, "y.png").unwrap(), 2);
    }

    #[test]
    fn what_several_samples_are_called_names_none_and_nothing_names_none() {
        let (_folder, source) = source(&["a/x.png", "b/x.png"]);
        let error = find(&source, "x.png").unwrap_err().to_string();
        assert_eq!(
            error,
            "--sample: found \"x.png\", which 2 samples are, a/x, b/x among them; give the whole name of one"
        );
        assert!(find(&source, "").unwrap_err().to_string().contains("which none of 2 samples is"));
    }
}
