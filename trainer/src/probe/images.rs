//! Views of the probed images, made by the pipeline's own chains as a run's are, in batches that are ready for the networks.

use std::sync::atomic::{AtomicBool, Ordering};

use diptych_pipeline::{Preview, RenderedView, Source, View, ViewSet};
use tch::{Device, Tensor};

use super::config::ProbingConfig;
use crate::config::InputConfig;
use crate::prefetch::Normalise;
use crate::{Error, Result, native};

/// The images and how they are made ready.
pub(super) struct Images<'a> {
    source: &'a dyn Source,
    /// Of the source: those that can be read.
    pub indices: Vec<usize>,
    /// Those that can't.
    pub skipped: usize,
    /// Side of every view in pixels.
    pub side: u32,
    seed: u64,
    batch_size: usize,
    workers: usize,
    normalise: Normalise,
    stop: &'a AtomicBool,
}

/// Some images' views.
pub(super) struct ImageBatch {
    /// Float [batch, 3, side, side], normalised.
    pub images: Tensor,
    /// As they were rendered.
    pub views: Vec<RenderedView>,
}

impl<'a> Images<'a> {
    /// Chooses the images of `source` and leaves out those that `base` can't be made of.
    pub fn choose(
        source: &'a dyn Source,
        config: &ProbingConfig,
        input: &InputConfig,
        (side, base): (u32, &View),
        device: Device,
        stop: &'a AtomicBool,
    ) -> Result<Images<'a>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let count = source.len().min(config.images);
        let mut images = Images {
            source,
            // Spread over the source, and so over its classes.
            indices: (0..count).map(|place| (2 * place + 1) * source.len() / (2 * count)).collect(),
            skipped: 0,
            side,
            seed: config.seed,
            batch_size: config.batch_size,
            workers: if config.workers == 0 { cores } else { config.workers },
            normalise: Normalise::new(input, device)?,
            stop,
        };
        let mut preview = Preview::new(&alone(base))?;
        let mut unreadable = None;
        let mut readable = Vec::new();
        for &index in &images.indices {
            images.look_for_stop()?;
            match preview.render_sample(source, index, images.seed, 0) {
                Ok(_) => readable.push(index),
                Err(error @ diptych_pipeline::Error::Unreadable { .. }) => unreadable = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        images.skipped = count - readable.len();
        images.indices = readable;
        if images.indices.len() < super::FEWEST {
            let reason =
                unreadable.map_or(String::new(), |error| format!("; the last that can't be read: {error}"));
            return Err(Error::Unfit(format!(
                "found {} images that can be read, expected at least {}: give more with --data{reason}",
                images.indices.len(),
                super::FEWEST
            )));
        }
        Ok(images)
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Shows `view` of every image to `visit`, in their order.
    pub fn each(&self, view: &View, visit: impl FnMut(ImageBatch) -> Result<()>) -> Result<()> {
        self.each_of(view, &self.indices, visit)
    }

    /// Shows `view` of the images `indices` of the source.
    pub fn each_of(
        &self,
        view: &View,
        indices: &[usize],
        mut visit: impl FnMut(ImageBatch) -> Result<()>,
    ) -> Result<()> {
        let set = alone(view);
        let previews = (0..self.workers).map(|_| Preview::new(&set));
        let mut previews = previews.collect::<Result<Vec<_>, _>>()?;
        for indices in indices.chunks(self.batch_size) {
            self.look_for_stop()?;
            let share = indices.len().div_ceil(self.workers);
            let (source, seed) = (self.source, self.seed);
            let rendered = std::thread::scope(|scope| {
                let threads: Vec<_> = previews
                    .iter_mut()
                    .zip(indices.chunks(share))
                    .map(|(preview, indices)| scope.spawn(move || render(preview, source, indices, seed)))
                    .collect();
                let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<RenderedView>>>| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| Err(Error::panicked("a rendering thread", panic.as_ref())))
                };
                threads.into_iter().map(join).collect::<Result<Vec<_>>>()
            })?;
            visit(self.batch(view, rendered.into_iter().flatten().collect())?)?;
        }
        Ok(())
    }

    fn batch(&self, view: &View, views: Vec<RenderedView>) -> Result<ImageBatch> {
        let side = self.side;
        let mut pixels = Vec::with_capacity(views.len() * 3 * (side * side) as usize);
        for rendered in &views {
            let size = rendered.size;
            if (size.width, size.height) != (side, side) {
                return Err(Error::Unfit(format!(
                    "view {:?} comes out at {}x{} pixels, expected {side}x{side}, the size that the run's encoder sees; \
                     let it begin with a random_resized_crop, or leave the size as it is",
                    view.name, size.width, size.height
                )));
            }
            pixels.extend_from_slice(&rendered.pixels);
        }
        let shape = [views.len() as i64, i64::from(side), i64::from(side), 3];
        let images = native::with_pixels(&pixels, shape, |pixels| self.normalise.apply(pixels))?;
        Ok(ImageBatch { images, views })
    }

    fn look_for_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Unfit("the probing was stopped before its end; nothing was written".into()));
        }
        Ok(())
    }
}

/// The one view of each of `indices`.
fn render(
    preview: &mut Preview,
    source: &dyn Source,
    indices: &[usize],
    seed: u64,
) -> Result<Vec<RenderedView>> {
    let render = |&index: &usize| -> Result<RenderedView> {
        let views = preview.render_sample(source, index, seed, 0)?;
        views.into_iter().next().ok_or_else(|| Error::Internal("a set of one view gave none".into()))
    };
    indices.iter().map(render).collect()
}

fn alone(view: &View) -> ViewSet {
    ViewSet { views: vec![view.clone()] }
}
