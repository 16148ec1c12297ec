//! The loader: the stages put together, on threads.
//!
//! Two builders take turns at batches: one's first samples begin while the other's last ones end, so that
//! no worker idles at a batch's border. A builder asks the sampler for a batch, lets the workers (a rayon
//! pool) read, decode and augment its samples straight into their slots, and puts it into its own bounded
//! queue; the consumer takes from the queues in turn, so that batches come in order.
//!
//! Invariants:
//! - Every queue is bounded and carries `Result`s: a slow consumer blocks the builders, an error ends
//!   the run.
//! - A builder ends by closing its queue, after its last batch, an error or a panic: the consumer never
//!   waits for ever.
//! - Dropping the loader closes the queues and joins every thread.
//! - What a batch holds depends on (source, views, seed, cursor) alone, not on threads.

mod builder;
mod skip;

pub use skip::{Skipped, Unreadable};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded};
use diptych_host::Size;

use crate::augment::ViewSet;
use crate::collate::{Allocate, Batch, Ring};
use crate::counters::{Counters, Meters};
use crate::decode::DecodeOptions;
use crate::error::Error;
use crate::sampler::{Cursor, Order, Sampler, SamplerOptions, Share};
use crate::source::Source;
use crate::worker::{Failure, Worker};
use builder::{Builder, Shared};
use skip::SkipLog;

/// Number of batches in the making at once.
const BUILDERS: usize = 2;

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Samples per batch, at least 1.
    pub batch_size: usize,
    /// Worker threads; 0 for one per core. More than cores help where files come from a slow disk or network.
    pub workers: usize,
    /// Finished batches that wait for the consumer, rounded up to an even number; more smooth out uneven
    /// speed and cost their memory.
    pub queue_batches: usize,
    /// The run's seed: of the order and of every operator's draws.
    pub seed: u64,
    /// Order of the samples within an epoch.
    pub order: Order,
    /// The part of every batch that is made here, of a run on several processes; `batch_size` is that of this part.
    pub share: Share,
    /// Whether an epoch's last batch is left out when it is smaller than the others.
    pub drop_last: bool,
    /// What happens to images that cannot be read.
    pub unreadable: Unreadable,
    /// Where to start: a run that resumes gives the cursor of the first batch that it has not used.
    pub start: Cursor,
    /// Number of epochs of the whole run, counted from epoch 0; `None` to go on until the loader is dropped.
    pub epochs: Option<u64>,
    /// Images with more pixels (width times height) count as unreadable.
    pub maximum_pixels: u64,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions {
            batch_size: 64,
            workers: 0,
            queue_batches: 4,
            seed: 0,
            order: Order::Shuffled,
            share: Share::default(),
            drop_last: true,
            unreadable: Unreadable::Error,
            start: Cursor::default(),
            epochs: None,
            maximum_pixels: DecodeOptions::default().maximum_pixels,
        }
    }
}

/// Batches, made ahead on threads of its own.
pub struct Loader {
    shared: Arc<Shared>,
    queues: Vec<Receiver<Result<Batch, Error>>>,
    /// Number of batches that were taken from the queues.
    taken: u64,
    ended: bool,
    threads: Vec<JoinHandle<()>>,
    sampler: Sampler,
    observer: Observer,
    /// When `next` last returned.
    returned: Instant,
}

/// Reads a loader's counters, from any thread.
#[derive(Clone)]
pub struct Observer {
    shared: Arc<Shared>,
    started: Instant,
}

impl Observer {
    /// What every stage did so far.
    pub fn counters(&self) -> Counters {
        self.shared.meters.counters(self.started.elapsed(), self.shared.workers.len(), BUILDERS)
    }
}

impl Loader {
    /// Starts the threads. They begin with the first batches at once.
    ///
    /// # Errors
    /// The options don't fit the data; an operator cannot be created; no image tells the views' sizes.
    pub fn start(
        source: Arc<dyn Source>,
        views: &ViewSet,
        options: LoaderOptions,
        allocator: Arc<dyn Allocate>,
    ) -> Result<Loader, Error> {
        check(&options, source.as_ref(), views)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let worker_count = if options.workers == 0 { cores } else { options.workers };
        let mut workers = (0..worker_count)
            .map(|_| Worker::new(views, options.maximum_pixels))
            .collect::<Result<Vec<_>, _>>()?;
        let sizes = view_sizes(source.as_ref(), &mut workers[0], &options)?;

        let mut threads = Vec::new();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(worker_count)
            .spawn_handler(|thread| {
                let name = format!("diptych-worker-{}", thread.index());
                threads.push(std::thread::Builder::new().name(name).spawn(|| thread.run())?);
                Ok(())
            })
            .build()
            .map_err(|error| Error::Threads(error.to_string()))?;

        let sampler = Sampler::new(
            source.len(),
            source.shards(),
            SamplerOptions {
                seed: options.seed,
                order: options.order,
                batch_size: options.batch_size,
                share: options.share,
                drop_last: options.drop_last,
            },
        );
        let queue = options.queue_batches.div_ceil(BUILDERS);
        // What the queues and the builders hold: a consumer that takes a batch for each that it gives back never fills it.
        let ring = Ring::new(sizes.clone(), options.batch_size, BUILDERS * (queue + 1));
        let limit = match options.unreadable {
            Unreadable::Error => 0.0,
            Unreadable::Skip { limit_fraction } => limit_fraction,
        };
        let shared = Arc::new(Shared {
            skips: SkipLog::new(source.len(), limit),
            source,
            allocator,
            options,
            workers: workers.into_iter().map(Into::into).collect(),
            sizes,
            stop: AtomicBool::new(false),
            meters: Meters::default(),
        });
        // The builders own the pool together: its threads end when the last builder has ended.
        let pool = Arc::new(pool);
        let mut queues = Vec::new();
        for lane in 0..BUILDERS as u64 {
            let (sender, receiver) = bounded(queue);
            queues.push(receiver);
            let builder = Builder {
                shared: Arc::clone(&shared),
                pool: Arc::clone(&pool),
                sampler: sampler.clone(),
                ring: ring.clone(),
                queue: sender,
            };
            let thread = std::thread::Builder::new()
                .name(format!("diptych-builder-{lane}"))
                .spawn(move || builder.run(lane, BUILDERS as u64))
                .map_err(|error| {
                    shared.stop.store(true, Ordering::Relaxed);
                    Error::Threads(error.to_string())
                })?;
            threads.push(thread);
        }
        let now = Instant::now();
        let observer = Observer { shared: Arc::clone(&shared), started: now };
        Ok(Loader { shared, queues, taken: 0, ended: false, threads, sampler, observer, returned: now })
    }

    /// The next batch; waits until it is there. `None` after the last epoch, and after an error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Batch, Error>> {
        if self.ended {
            return None;
        }
        self.shared.meters.asked(self.queues.iter().map(Receiver::len).sum());
        let meter = &self.shared.meters.step;
        if self.taken > 0 {
            meter.worked(self.returned);
        }
        let asked = Instant::now();
        let received = self.queues[(self.taken % BUILDERS as u64) as usize].recv();
        meter.waited_for_input(asked);
        self.taken += 1;
        self.returned = Instant::now();
        // A closed queue is the end: a builder that fails says so before it closes its queue.
        let result = received.ok();
        self.ended = !matches!(result, Some(Ok(_)));
        result
    }

    /// Number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> u64 {
        self.sampler.batches_per_epoch()
    }

    /// The cursor of the batch that `next` gives next.
    pub fn cursor(&self) -> Cursor {
        self.sampler.advance(self.shared.options.start, self.taken)
    }

    /// What every stage did so far.
    pub fn counters(&self) -> Counters {
        self.observer.counters()
    }

    /// What reads the counters while another thread takes the batches.
    pub fn observer(&self) -> Observer {
        self.observer.clone()
    }

    /// Number of images that were skipped so far.
    pub fn skipped_count(&self) -> usize {
        self.shared.skips.count()
    }

    /// The images that were skipped so far, each once, in the order of the source.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.shared.skips.list()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.queues.clear();
        for thread in self.threads.drain(..).rev() {
            // A panic in a thread was already reported as an error, and `drop` has nobody to tell.
            let _ = thread.join();
        }
    }
}

fn check(options: &LoaderOptions, source: &dyn Source, views: &ViewSet) -> Result<(), Error> {
    let samples = source.len();
    if options.batch_size == 0 {
        return Err(Error::Options("found batch_size 0, expected at least 1".into()));
    }
    if views.views.is_empty() {
        return Err(Error::Options("found no views, expected at least one".into()));
    }
    if u32::try_from(samples).is_err() {
        return Err(Error::Options(format!("found {samples} images, expected at most {}", u32::MAX)));
    }
    let Share { rank, world_size } = options.share;
    if rank >= world_size {
        return Err(Error::Options(format!(
            "found rank {rank} of {world_size}, expected it below the world size"
        )));
    }
    let global = options.batch_size.saturating_mul(world_size);
    if samples == 0 || options.drop_last && samples < global {
        let ranks = if world_size == 1 { String::new() } else { format!(" times {world_size} ranks") };
        return Err(Error::Options(format!(
            "found {samples} images, fewer than the batch_size of {}{ranks}; lower batch_size or add images",
            options.batch_size
        )));
    }
    if let Order::ShardShuffled { buffer } = options.order {
        if buffer == 0 {
            return Err(Error::Options("found a shuffle buffer of 0 samples, expected at least 1".into()));
        }
        if source.shards().is_empty() {
            return Err(Error::Options(
                "found a source whose samples are single files, expected shards to shuffle; leave the shuffle buffer out"
                    .into(),
            ));
        }
    }
    Ok(())
}

/// The sizes that views have, from the first image that can be read. When none can, the first one's reason
/// is the error.
fn view_sizes(source: &dyn Source, worker: &mut Worker, options: &LoaderOptions) -> Result<Vec<Size>, Error> {
    let mut first_error = None;
    for index in 0..source.len() {
        match worker.plan(source, index, options.seed, options.start.epoch, &Meters::default()) {
            Ok(()) => return Ok(worker.sizes.clone()),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Unreadable(reason)) => {
                let error = Error::Unreadable { path: source.path(index), reason };
                if options.unreadable == Unreadable::Error {
                    return Err(error);
                }
                first_error.get_or_insert(error);
            }
        }
    }
    // `check` refuses an empty source, so that there is a first image.
    Err(first_error.unwrap_or_else(|| Error::Options("found no images".into())))
}
