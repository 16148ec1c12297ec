//! Views of single samples, for people to look at.

use diptych_host::{Region, Size};

use crate::augment::ViewSet;
use crate::counters::Meters;
use crate::decode::DecodeOptions;
use crate::error::Error;
use crate::source::Source;
use crate::worker::{Failure, Worker};

/// One view of one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedView {
    /// Name of the view.
    pub name: String,
    /// Width and height in pixels.
    pub size: Size,
    /// [height, width, 3], 8-bit RGB.
    pub pixels: Vec<u8>,
    /// Each operator's name and what it drew, as short text (may be empty); `None` for an operator that the
    /// coin left out.
    pub draws: Vec<(String, Option<String>)>,
    /// What of the image the view reads: the rectangle of the first operator that changes the size.
    pub region: Region,
    /// Size of the image.
    pub image: Size,
}

/// Renders views as a loader with the same seed does, one sample at a time.
pub struct Preview {
    worker: Worker,
    meters: Meters,
}

impl Preview {
    /// Instances of all operators of `views`.
    pub fn new(views: &ViewSet) -> Result<Preview, Error> {
        Preview::within(views, DecodeOptions::default().maximum_pixels)
    }

    /// As [`new`](Self::new), for images of at most so many pixels; larger ones are unreadable.
    pub fn within(views: &ViewSet, maximum_pixels: u64) -> Result<Preview, Error> {
        Ok(Preview { worker: Worker::new(views, maximum_pixels)?, meters: Meters::default() })
    }

    /// The views that sample `index` of `source` has in `epoch` of a run under `seed`. They may differ in
    /// size.
    pub fn render_sample(
        &mut self,
        source: &dyn Source,
        index: usize,
        seed: u64,
        epoch: u64,
    ) -> Result<Vec<RenderedView>, Error> {
        let describe = |failure| match failure {
            Failure::Unreadable(reason) => Error::Unreadable { path: source.path(index), reason },
            Failure::Fatal(error) => error,
        };
        let worker = &mut self.worker;
        worker.plan(source, index, seed, epoch, &self.meters).map_err(describe)?;
        let mut pixels: Vec<Vec<u8>> =
            worker.sizes.iter().map(|size| vec![0; 3 * size.width as usize * size.height as usize]).collect();
        let mut slots: Vec<&mut [u8]> = pixels.iter_mut().map(Vec::as_mut_slice).collect();
        worker.render(source, index, &self.meters, &mut slots).map_err(describe)?;
        let image = worker.input;
        let views = worker.chains.iter_mut().zip(&worker.sizes).zip(pixels);
        Ok(views
            .map(|((chain, size), pixels)| RenderedView {
                name: chain.name.clone(),
                size: *size,
                pixels,
                draws: chain.describe_draws(),
                region: chain.reads(image),
                image,
            })
            .collect())
    }
}
