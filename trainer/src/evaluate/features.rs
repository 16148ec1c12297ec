//! Frozen features of a labelled folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use diptych_pipeline::{Cursor, Loader, LoaderOptions, Order, Share, Source};
use tch::{Device, Kind, Tensor};

use crate::config::{EvaluationConfig, InputConfig};
use crate::method::Encoder;
use crate::prefetch::{Feed, memory};
use crate::{Error, Result};

/// Features of all samples of a source, in its order.
pub(super) struct Features {
    /// Float [samples, features].
    pub values: Tensor,
    /// Int64 [samples].
    pub labels: Tensor,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
}

/// Runs the encoder in evaluation mode over the whole source.
pub(super) fn extract(
    encoder: &mut dyn Encoder,
    source: Arc<dyn Source>,
    config: &EvaluationConfig,
    input: &InputConfig,
    device: Device,
    stop: &AtomicBool,
) -> Result<Features> {
    let options = LoaderOptions {
        batch_size: (config.batch_size as usize).min(source.len()),
        workers: config.workers,
        queue_batches: 2,
        seed: 0,
        order: Order::Sequential,
        share: Share::default(),
        drop_last: false,
        unreadable: config.reading.policy(),
        maximum_pixels: config.reading.maximum_pixels,
        start: Cursor::default(),
        epochs: Some(1),
    };
    let expected = source.len();
    let loader = Loader::start(source, &config.views, options, memory(device))?;
    let mut feed = Feed::start(loader, input, device)?;
    let _no_gradient = tch::no_grad_guard();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for batch in feed.by_ref() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Unfit(
                "the evaluation was stopped before its end; nothing was written".into(),
            ));
        }
        let batch = batch?;
        values.push(encoder.forward(&batch.views[0], false)?.f_to_kind(Kind::Float)?);
        labels.extend(batch.labels);
    }
    let skipped = feed.finish()?.skipped.len();
    let (values, labels) = (Tensor::f_cat(&values, 0)?, Tensor::f_cat(&labels, 0)?);
    let rows = values.size()[0] as usize;
    assert_eq!(rows + skipped, expected, "every image is a row or was skipped");
    Ok(Features { values, labels, skipped })
}
