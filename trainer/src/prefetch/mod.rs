//! Batches on their way to the step: 8-bit pixels go to the device, and become normalised float images there.
//!
//! On the CPU the step takes batches itself: the loader's own threads work ahead. For a GPU a thread of ours takes
//! them from pinned memory and copies them over, up to two ahead.

mod color;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use diptych_pipeline::{Allocate, Batch, Counters, HeapAllocator, Loader, Observer, Skipped};
use tch::{Device, Kind, Tensor};

use color::Color;
pub(crate) use color::bytes_of;

use crate::config::{ColorSpace, InputConfig};
use crate::{Error, Result, native};

/// Batches that may lie ready on a GPU.
const AHEAD: usize = 2;

/// A batch that is ready for the networks.
pub struct DeviceBatch {
    /// Epoch that it belongs to.
    pub epoch: u64,
    /// Its index in the epoch.
    pub index: u64,
    /// Ids of the samples.
    pub ids: Vec<u64>,
    /// Int64 [batch], when the source has labels.
    pub labels: Option<Tensor>,
    /// Per view, float [batch, 3, rows, columns], normalised.
    pub views: Vec<Tensor>,
    /// Samples.
    pub samples: usize,
    /// `path: reason` of samples that were skipped since the batch before.
    pub skipped: Vec<String>,
}

/// Where the step takes its batches from. Ends after the loader's last batch, or with its error.
pub struct Feed {
    from: From,
    waited: Duration,
    observer: Observer,
    /// What the loader had done when the flow was last taken.
    before: Counters,
}

/// How the data flowed for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow {
    /// Time that the step waited for the loader. Waiting for the device isn't counted.
    pub waited: Duration,
    /// Finished batches that lay ready when one was asked for, on average.
    pub ready_batches: f64,
    /// Fraction of the time that the loader waited for room in its queue.
    pub full_fraction: f64,
}

enum From {
    Loader(Box<Takes>),
    Thread(Receiver<Result<Ready>>, JoinHandle<Box<Takes>>),
    /// The thread panicked, and that was told.
    Nothing,
}

/// Takes batches from a loader and puts them on the device.
struct Takes {
    loader: Loader,
    normalise: Normalise,
    /// Skipped files that a batch has told of.
    reported: HashSet<PathBuf>,
}

/// A batch of the prefetching thread, and from when to when that waited for the loader to have it.
struct Ready {
    batch: DeviceBatch,
    waited: (Instant, Instant),
}

/// What is known when a feed has ended.
pub struct FeedReport {
    /// What every stage of the loader did.
    pub counters: Counters,
    /// All images that were skipped.
    pub skipped: Vec<Skipped>,
}

impl Feed {
    /// Feeds the batches of `loader`.
    pub fn start(loader: Loader, input: &InputConfig, device: Device) -> Result<Feed> {
        let normalise = Normalise::new(input, device)?;
        let observer = loader.observer();
        let before = observer.counters();
        let takes = Box::new(Takes { loader, normalise, reported: HashSet::new() });
        let from = if device.is_cuda() {
            let (send, batches) = bounded(AHEAD - 1);
            let thread = std::thread::Builder::new()
                .name("prefetch".into())
                .spawn(move || run(takes, send))
                .map_err(|error| Error::Unfit(format!("cannot start a thread: {error}")))?;
            From::Thread(batches, thread)
        } else {
            From::Loader(takes)
        };
        Ok(Feed { from, waited: Duration::ZERO, observer, before })
    }

    /// The flow since the last call of this.
    pub fn take_flow(&mut self) -> Flow {
        let now = self.observer.counters();
        let since = now.clone().since(&self.before);
        self.before = now;
        Flow {
            waited: std::mem::take(&mut self.waited),
            ready_batches: since.ready_batches(),
            full_fraction: since.full_fraction(),
        }
    }

    /// Stops the loader, and answers what it did.
    pub fn finish(mut self) -> Result<FeedReport> {
        let takes =
            self.end()?.ok_or_else(|| Error::Internal("the prefetching thread has ended early".into()))?;
        Ok(FeedReport { counters: takes.loader.counters(), skipped: takes.loader.skipped() })
    }

    /// Waits for the thread, if there is one. `None` when that had panicked before.
    fn end(&mut self) -> Result<Option<Box<Takes>>> {
        match std::mem::replace(&mut self.from, From::Nothing) {
            From::Loader(takes) => Ok(Some(takes)),
            From::Thread(batches, thread) => {
                // Without a receiver the thread's next send fails, and it ends.
                drop(batches);
                let ended = thread.join();
                ended.map(Some).map_err(|panic| Error::panicked("the prefetching thread", panic.as_ref()))
            }
            From::Nothing => Ok(None),
        }
    }
}

impl Iterator for Feed {
    type Item = Result<DeviceBatch>;

    /// The next batch; waits until it is there.
    fn next(&mut self) -> Option<Result<DeviceBatch>> {
        let asked = Instant::now();
        match &mut self.from {
            From::Loader(takes) => {
                let batch = takes.loader.next();
                self.waited += asked.elapsed();
                Some(batch?.map_err(Error::from).and_then(|batch| takes.place(&batch)))
            }
            From::Thread(batches, _) => match batches.recv() {
                Ok(received) => Some(received.map(|ready| {
                    // Only while the thread waited too was the wait for data; the rest was for the device.
                    let (from, to) = (ready.waited.0.max(asked), ready.waited.1);
                    self.waited += to.saturating_duration_since(from);
                    ready.batch
                })),
                // The end of the data and a thread that died look alike until the thread is asked.
                Err(_) => match self.end() {
                    Ok(takes) => {
                        self.from = takes.map_or(From::Nothing, From::Loader);
                        None
                    }
                    Err(error) => Some(Err(error)),
                },
            },
            From::Nothing => None,
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // A panic of the thread has nobody left to hear of it.
        let _ = self.end();
    }
}

/// The prefetching thread: ends with the data, after an error, or when nobody receives any more.
fn run(mut takes: Box<Takes>, send: Sender<Result<Ready>>) -> Box<Takes> {
    loop {
        let asked = Instant::now();
        let Some(batch) = takes.loader.next() else { return takes };
        let waited = (asked, Instant::now());
        let batch = batch.map_err(Error::from).and_then(|batch| takes.place(&batch));
        let failed = batch.is_err();
        if send.send(batch.map(|batch| Ready { batch, waited })).is_err() || failed {
            return takes;
        }
    }
}

impl Takes {
    /// Puts a batch on the device.
    fn place(&mut self, batch: &Batch) -> Result<DeviceBatch> {
        let device = self.normalise.device;
        let views = (0..batch.view_count())
            .map(|view| {
                let size = batch.size(view);
                let shape = [batch.len() as i64, i64::from(size.height), i64::from(size.width), 3];
                native::with_pixels(batch.view(view), shape, |pixels| self.normalise.apply(pixels))
            })
            .collect::<Result<Vec<_>>>()?;
        let labels = match batch.labels() {
            Some(labels) => Some(Tensor::f_from_slice(labels)?.f_to_device(device)?),
            None => None,
        };
        let anew = self.loader.skipped_count() > self.reported.len();
        let skipped = if anew { self.loader.skipped() } else { Vec::new() };
        let skipped = skipped
            .into_iter()
            .filter(|skipped| self.reported.insert(skipped.path.clone()))
            .map(|skipped| format!("{}: {}", skipped.path.display(), skipped.reason))
            .collect();
        Ok(DeviceBatch {
            epoch: batch.epoch(),
            index: batch.index(),
            ids: batch.ids().to_vec(),
            labels,
            views,
            samples: batch.len(),
            skipped,
        })
    }
}

/// Bytes [batch, rows, columns, 3] to float [batch, 3, rows, columns]: (x - mean) / std per channel, x in the input's colour space.
pub struct Normalise {
    color: Color,
    /// 1 / std, or of bytes 1 / (255 std), [3, 1, 1].
    scale: Tensor,
    /// -mean / std, [3, 1, 1].
    shift: Tensor,
    device: Device,
}

impl Normalise {
    /// On `device`.
    pub fn new(input: &InputConfig, device: Device) -> Result<Normalise> {
        let per_channel = |value: [f64; 3]| -> Result<Tensor> {
            let value = value.map(|value| value as f32);
            Ok(Tensor::f_from_slice(&value)?.view([3, 1, 1]).f_to_device(device)?)
        };
        let color = Color::new(input.color_space, device)?;
        // In RGB the bytes are scaled with the deviation in one go.
        let unit = if input.color_space == ColorSpace::Rgb { 255.0 } else { 1.0 };
        let scale = per_channel(input.std.map(|std| 1.0 / (unit * std)))?;
        let shift: [f64; 3] = std::array::from_fn(|channel| -input.mean[channel] / input.std[channel]);
        Ok(Normalise { color, scale, shift: per_channel(shift)?, device })
    }

    /// The result shares nothing with `pixels`, and the copy to the device is done when this returns.
    pub fn apply(&self, pixels: &Tensor) -> Result<Tensor> {
        let pixels = pixels.f_to_device(self.device)?;
        // The permuted view keeps the pixels' order in memory, channels last, which convolutions and batch norm prefer.
        let image = self.color.convert(pixels.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?)?;
        Ok(self.shift.f_addcmul(&image, &self.scale)?)
    }
}

/// Memory for the batches of a run on `device`: pinned for a GPU, ordinary for the CPU.
pub(crate) fn memory(device: Device) -> Arc<dyn Allocate> {
    if device.is_cuda() { Arc::new(native::PinnedAllocator { device }) } else { Arc::new(HeapAllocator) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_channels_of_normalised_floats() {
        let (mean, std) = ([0.5, 0.0, 0.25], [0.25, 1.0, 0.5]);
        let input = InputConfig { color_space: ColorSpace::Rgb, mean, std };
        let normalise = Normalise::new(&input, Device::Cpu).unwrap();
        // Two images of one row and two columns.
        let bytes: Vec<u8> = vec![255, 0, 51, 0, 255, 102, 1, 2, 3, 4, 5, 6];
        let images = native::with_pixels(&bytes, [2, 1, 2, 3], |pixels| normalise.apply(pixels)).unwrap();
        assert_eq!(images.size(), [2, 3, 1, 2]);
        for (image, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            for channel in 0..3 {
                let byte = f64::from(bytes[image * 6 + column * 3 + channel]);
                let expected = (byte / 255.0 - input.mean[channel]) / input.std[channel];
                let found = images.double_value(&[image as i64, channel as i64, 0, column as i64]);
                assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
            }
        }
    }
}
