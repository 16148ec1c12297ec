//! `views.png`: what the networks see of some samples of a run's first batch, a column per sample and a row per view.
//!
//! Lifecycle: the first batch is copied, and a thread draws and writes the file while the run goes on. A run that has the file keeps it.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use diptych_pipeline::{ContactSheet, Size, Tile};
use tch::{Device, Kind, Tensor};

use crate::config::{ColorSpace, InputConfig};
use crate::prefetch::bytes_of;
use crate::{Error, Result, files};

/// Samples in the picture.
const SAMPLES: i64 = 8;

/// The file of a run, which may have to be written yet.
pub(crate) enum ViewsFile {
    Missing(PathBuf),
    Drawing(JoinHandle<Result<()>>),
    There,
}

impl ViewsFile {
    /// Of the run in `folder`.
    pub(crate) fn of_run(folder: &Path) -> ViewsFile {
        let path = folder.join("views.png");
        if path.is_file() { ViewsFile::There } else { ViewsFile::Missing(path) }
    }

    /// Has the first batch drawn that it is called with: `views` are float [batch, 3, rows, columns] each, normalised by `input`.
    pub(crate) fn note(&mut self, views: &[Tensor], input: &InputConfig) -> Result<()> {
        let ViewsFile::Missing(path) = self else { return Ok(()) };
        let columns = columns(views, input)?;
        // Every sample of a batch may be unreadable.
        if columns.is_empty() {
            return Ok(());
        }
        let path = std::mem::take(path);
        let drawing = std::thread::Builder::new().name("views".into()).spawn(move || {
            let sheet = ContactSheet::draw(columns).map_err(Error::Unfit)?;
            files::replace(&path, sheet.png().map_err(Error::Unfit)?)
        });
        *self = drawing.map_or(ViewsFile::There, ViewsFile::Drawing);
        Ok(())
    }

    /// Waits until the file is there.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            ViewsFile::Drawing(drawing) => {
                drawing.join().map_err(|panic| Error::panicked("drawing the views", panic.as_ref()))?
            }
            ViewsFile::Missing(_) | ViewsFile::There => Ok(()),
        }
    }
}

/// The pixels that the first samples had before they were normalised.
fn columns(views: &[Tensor], input: &InputConfig) -> Result<Vec<Vec<Tile>>> {
    let samples = views.first().map_or(0, |view| view.size()[0]).min(SAMPLES);
    let mut columns: Vec<Vec<Tile>> = (0..samples).map(|_| Vec::new()).collect();
    let channels = |values: &[f64; 3]| Tensor::f_from_slice(values)?.f_view([3, 1, 1]);
    let (mean, std) = (channels(&input.mean)?, channels(&input.std)?);
    for view in views {
        let part =
            view.f_narrow(0, 0, samples)?.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
        let values = part.f_mul(&std)?.f_add(&mean)?;
        let values = match input.color_space {
            // What means and deviations are of is in [0, 1].
            ColorSpace::Rgb => values.f_mul_scalar(255.0)?,
            space => bytes_of(&values, space)?,
        };
        let bytes = values.f_round()?.f_clamp(0.0, 255.0)?;
        let bytes = bytes.f_permute([0, 2, 3, 1])?.f_to_kind(Kind::Uint8)?.f_contiguous()?;
        let [_, height, width, _] = bytes.size()[..] else { unreachable!("a view has four dimensions") };
        let size = Size { width: width as u32, height: height as u32 };
        for (sample, tiles) in columns.iter_mut().enumerate() {
            let pixels = Vec::<u8>::try_from(bytes.f_get(sample as i64)?.f_view([-1])?)?;
            tiles.push(Tile { size, pixels });
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native;
    use diptych_config::Choice;

    use crate::prefetch::Normalise;

    #[test]
    fn the_picture_has_the_very_bytes_that_the_loader_gave() {
        // Ten images of 4 rows and 8 columns: every byte occurs.
        let bytes: Vec<u8> = (0..10 * 4 * 8 * 3).map(|index: i32| (index * 7 % 256) as u8).collect();
        for (_, color_space) in ColorSpace::ALL {
            let input = InputConfig {
                color_space: *color_space,
                mean: [0.485, 0.456, 0.406],
                std: [0.229, 0.224, 0.225],
            };
            let normalise = Normalise::new(&input, Device::Cpu).unwrap();
            let view = native::with_pixels(&bytes, [10, 4, 8, 3], |pixels| normalise.apply(pixels)).unwrap();
            let columns = columns(&[view.shallow_clone(), view], &input).unwrap();
            assert_eq!(columns.len(), SAMPLES as usize);
            for (sample, tiles) in columns.iter().enumerate() {
                let expected = &bytes[sample * 96..(sample + 1) * 96];
                assert!(
                    tiles.len() == 2 && tiles.iter().all(|tile| tile.pixels == expected),
                    "sample {sample}, {color_space:?}"
                );
                assert_eq!(tiles[0].size, Size { width: 8, height: 4 });
            }
        }
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let input = InputConfig { color_space: ColorSpace::Rgb, mean: [0.0; 3], std: [1.0; 3] };
        let view = Tensor::zeros([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let mut file = ViewsFile::of_run(folder.path());
        file.note(&[view.shallow_clone()], &input).unwrap();
        file.finish().unwrap();
        let first = std::fs::read(folder.path().join("views.png")).unwrap();

        let mut file = ViewsFile::of_run(folder.path());
        file.note(&[view + 1.0], &input).unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read(folder.path().join("views.png")).unwrap(), first);
    }
}
