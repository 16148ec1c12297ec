//! Features of all images of a source, each seen once by the network in evaluation mode; and how images come to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diptych_pipeline::{Cursor, Loader, LoaderOptions, Order, Share, Source, ViewSet};
use tch::{Device, Kind, Tensor};

use super::network::Network;
use crate::config::{InputConfig, ReadingConfig};
use crate::prefetch::{Feed, memory};
use crate::{Error, Result};

/// How images are read and brought to the device.
pub(crate) struct Reading<'a> {
    pub views: &'a ViewSet,
    pub batch_size: usize,
    pub workers: usize,
    pub reading: &'a ReadingConfig,
    pub input: &'a InputConfig,
    pub device: Device,
    pub stop: &'a AtomicBool,
}

/// Features of the samples of a source, in its order.
pub(crate) struct Features {
    /// Float [samples, features].
    pub values: Tensor,
    /// Int64 [samples]; empty where the source has no labels.
    pub labels: Tensor,
    /// Index in the source of each row: images that can't be read have none.
    pub rows: Vec<usize>,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
    /// Rows and columns of the view.
    pub size: [i64; 2],
}

impl Reading<'_> {
    /// Starts a feed over `source`: once through in order, or `epochs` times in orders drawn under `seed`.
    pub fn feed(&self, source: Arc<dyn Source>, drawn: Option<(u64, u64)>) -> Result<(Feed, u64)> {
        let (order, seed, epochs) = match drawn {
            Some((seed, epochs)) => (Order::Shuffled, seed, epochs),
            None => (Order::Sequential, 0, 1),
        };
        let options = LoaderOptions {
            batch_size: self.batch_size.min(source.len()),
            workers: self.workers,
            queue_batches: 2,
            seed,
            order,
            share: Share::default(),
            drop_last: drawn.is_some(),
            unreadable: self.reading.policy(),
            maximum_pixels: self.reading.maximum_pixels,
            start: Cursor::default(),
            epochs: Some(epochs),
        };
        let loader = Loader::start(source, self.views, options, memory(self.device))?;
        let batches_per_epoch = loader.batches_per_epoch();
        Ok((Feed::start(loader, self.input, self.device)?, batches_per_epoch))
    }

    /// Ends with an error once the flag is raised.
    pub fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            let message = "the evaluation was stopped before its end; nothing was written";
            return Err(Error::Unfit(message.into()));
        }
        Ok(())
    }
}

/// Runs the network in evaluation mode over the whole source.
pub(crate) fn extract(
    network: &mut Network,
    source: Arc<dyn Source>,
    reading: &Reading<'_>,
) -> Result<Features> {
    let (mut feed, _) = reading.feed(source.clone(), None)?;
    let _no_gradient = tch::no_grad_guard();
    let (mut values, mut labels, mut rows, mut size) = (Vec::new(), Vec::new(), Vec::new(), [0, 0]);
    let mut next = 0;
    for batch in feed.by_ref() {
        reading.check_stop()?;
        let batch = batch?;
        for id in &batch.ids {
            // Samples come in order: those in between were left out.
            while source.sample(next).id != *id {
                next += 1;
            }
            rows.push(next);
            next += 1;
        }
        if batch.ids.is_empty() {
            continue;
        }
        let view = &batch.views[0];
        size = [view.size()[2], view.size()[3]];
        values.push(network.forward(view, false)?.f_to_kind(Kind::Float)?);
        labels.extend(batch.labels);
    }
    let skipped = feed.finish()?.skipped.len();
    if values.is_empty() {
        return Err(Error::Unfit(format!("{}: none of the images could be read", source.summary())));
    }
    let values = Tensor::f_cat(&values, 0)?;
    let labels = match labels.is_empty() {
        true => Tensor::f_zeros([0], (Kind::Int64, reading.device))?,
        false => Tensor::f_cat(&labels, 0)?,
    };
    assert_eq!(rows.len() + skipped, source.len(), "every image is a row or was skipped");
    Ok(Features { values, labels, rows, skipped, size })
}
