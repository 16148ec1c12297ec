//! A builder: one of the threads that have batches made.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;
use diptych_host::{RandomStream, Size};
use rayon::prelude::*;

use super::LoaderOptions;
use super::skip::{SkipLog, Unreadable};
use crate::collate::{Allocate, Batch, Ring};
use crate::counters::Meters;
use crate::error::{Error, ReadError};
use crate::random;
use crate::sampler::{Cursor, Order, Sampler};
use crate::source::Source;
use crate::worker::{Failure, Worker};

/// Draws for a substitute before a slot is given up: with half of all images unreadable, one slot in 10^19.
const SUBSTITUTES: usize = 64;

/// What all threads of a loader share.
pub(super) struct Shared {
    pub source: Arc<dyn Source>,
    pub allocator: Arc<dyn Allocate>,
    pub options: LoaderOptions,
    /// One per thread of the pool, which alone locks it.
    pub workers: Vec<Mutex<Worker>>,
    pub sizes: Vec<Size>,
    pub skips: SkipLog,
    /// The consumer is gone: finish nothing.
    pub stop: AtomicBool,
    pub meters: Meters,
}

pub(super) struct Builder {
    pub shared: Arc<Shared>,
    pub pool: Arc<rayon::ThreadPool>,
    pub sampler: Sampler,
    pub ring: Ring,
    pub queue: Sender<Result<Batch, Error>>,
}

/// Why a batch was not made.
enum Ending {
    Failed(Error),
    /// Nobody waits for it any more.
    Stopped,
}

impl From<Error> for Ending {
    fn from(error: Error) -> Ending {
        Ending::Failed(error)
    }
}

/// Id and label of the sample that a slot holds; `None` when it was left out.
type Filled = Option<(u64, Option<i64>)>;

impl Builder {
    /// Makes every `stride`th batch from batch `first` (counted from the start cursor) on, until the last
    /// epoch ends, an error or the consumer's end.
    pub fn run(mut self, first: u64, stride: u64) {
        let end = self.shared.options.epochs.unwrap_or(u64::MAX);
        let mut cursor = self.sampler.advance(self.shared.options.start, first);
        while cursor.epoch < end {
            let made = catch_unwind(AssertUnwindSafe(|| self.batch(cursor)));
            let result = match made {
                Ok(Ok(batch)) => Ok(batch),
                Ok(Err(Ending::Failed(error))) => Err(error),
                Ok(Err(Ending::Stopped)) => return,
                Err(panic) => Err(Error::Panicked(panic_text(panic.as_ref()))),
            };
            let failed = result.is_err();
            let start = Instant::now();
            // A closed queue means that the consumer is gone.
            let sent = self.queue.send(result).is_ok();
            self.shared.meters.collate.waited_for_output(start);
            if failed || !sent {
                return;
            }
            cursor = self.sampler.advance(cursor, stride);
        }
    }

    fn batch(&mut self, cursor: Cursor) -> Result<Batch, Ending> {
        let shared = &*self.shared;
        let start = Instant::now();
        let indices = self.sampler.batch(cursor);
        shared.meters.sampler.worked(start);

        let start = Instant::now();
        let mut draft = self.ring.draft(cursor, shared.allocator.as_ref()).map_err(Error::Memory)?;
        let mut slots = draft.slots(indices.len());
        shared.meters.collate.spent(start);

        let start = Instant::now();
        let filled = self.pool.install(|| {
            slots
                .par_chunks_mut(shared.sizes.len())
                .zip(indices)
                .with_max_len(shared.samples_per_task())
                .map(|(slots, index)| shared.fill(*index as usize, cursor.epoch, slots))
                .collect::<Result<Vec<Filled>, Ending>>()
        })?;
        shared.meters.collate.waited_for_input(start);

        let start = Instant::now();
        let batch = draft.finish(&filled);
        shared.meters.collate.worked(start);
        Ok(batch)
    }
}

impl Shared {
    /// How many samples a thread takes at once: one, unless their views are so small that taking them would count.
    fn samples_per_task(&self) -> usize {
        const BYTES: usize = 1 << 16;
        let bytes: usize = self.sizes.iter().map(|size| 3 * size.width as usize * size.height as usize).sum();
        (BYTES / bytes.max(1)).clamp(1, 16)
    }

    /// Makes the views of sample `index` in their slots, or of what takes its place. Runs on a thread of
    /// the pool.
    fn fill(&self, index: usize, epoch: u64, slots: &mut [&mut [u8]]) -> Result<Filled, Ending> {
        // The pool's threads are the only ones that get here, and there is a worker for each.
        let thread = rayon::current_thread_index().unwrap_or(0);
        // A worker that panicked ends the run; what it left behind is not used.
        let mut worker = self.workers[thread].lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.source.sample(index).id;
        let mut random = RandomStream::new(random::key(self.options.seed, epoch, id, 0, "substitute"));
        let mut candidate = index;
        for _ in 0..=SUBSTITUTES {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Ending::Stopped);
            }
            let sample = self.source.sample(candidate);
            let Some(reason) = self.render(&mut worker, candidate, epoch, slots)? else {
                return Ok(Some((sample.id, sample.label)));
            };
            match self.options.unreadable {
                Unreadable::Error => {
                    return Err(Error::Unreadable { path: self.source.path(candidate), reason }.into());
                }
                Unreadable::Skip { .. } => self.skips.note(candidate, self.source.path(candidate), reason)?,
            }
            if self.options.order == Order::Sequential {
                return Ok(None);
            }
            candidate = random.below(self.source.len() as u64) as usize;
        }
        Err(Error::Options(format!(
            "found no readable image among {SUBSTITUTES} drawn in place of {}; too many files are damaged",
            self.source.path(index).display()
        ))
        .into())
    }

    /// Makes the views of one sample; `Some` with the reason when it cannot be read.
    fn render(
        &self,
        worker: &mut Worker,
        index: usize,
        epoch: u64,
        slots: &mut [&mut [u8]],
    ) -> Result<Option<ReadError>, Error> {
        let source = self.source.as_ref();
        let result = worker.plan(source, index, self.options.seed, epoch, &self.meters).and_then(|()| {
            self.check_sizes(worker, index).map_err(Failure::Fatal)?;
            worker.render(source, index, &self.meters, slots)
        });
        match result {
            Ok(()) => Ok(None),
            Err(Failure::Unreadable(reason)) => Ok(Some(reason)),
            Err(Failure::Fatal(error)) => Err(error),
        }
    }

    fn check_sizes(&self, worker: &Worker, index: usize) -> Result<(), Error> {
        match (0..self.sizes.len()).find(|view| worker.sizes[*view] != self.sizes[*view]) {
            None => Ok(()),
            Some(view) => Err(Error::Sizes {
                view: worker.chains[view].name.clone(),
                path: self.source.path(index),
                found: worker.sizes[view],
                expected: self.sizes[view],
            }),
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| text.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".into())
}
