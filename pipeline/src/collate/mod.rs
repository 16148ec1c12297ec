//! Collating: batches whose memory goes round in a ring.
//!
//! Lifecycle: a builder takes buffers from the ring (or allocates, until as many exist as are ever used at
//! once), workers write each view of each sample straight into its slot, the consumer reads the batch, and
//! dropping it gives the buffers back.

mod memory;

pub use memory::{Allocate, HeapAllocator, Memory};

use crossbeam_channel::{Receiver, Sender, bounded};
use diptych_host::Size;

use crate::sampler::Cursor;

/// One buffer per view.
type Buffers = Vec<Box<dyn Memory>>;

/// A batch of augmented views. Dropping it gives its memory back for a later batch.
pub struct Batch {
    cursor: Cursor,
    ids: Vec<u64>,
    labels: Option<Vec<i64>>,
    sizes: Vec<Size>,
    buffers: Buffers,
    ring: Sender<Buffers>,
}

impl Batch {
    /// Epoch that the batch belongs to.
    pub fn epoch(&self) -> u64 {
        self.cursor.epoch
    }

    /// Index of the batch in its epoch.
    pub fn index(&self) -> u64 {
        self.cursor.batch
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether every sample of the batch was left out as unreadable.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Ids of the samples.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Labels of the samples; `None` when the source has none.
    pub fn labels(&self) -> Option<&[i64]> {
        self.labels.as_deref()
    }

    /// Number of views.
    pub fn view_count(&self) -> usize {
        self.sizes.len()
    }

    /// Width and height of view `index` in pixels.
    pub fn size(&self, index: usize) -> Size {
        self.sizes[index]
    }

    /// Pixels of view `index` of all samples: contiguous [batch, height, width, 3], 8-bit RGB, at the start
    /// of the buffer that the loader's allocator gave.
    pub fn view(&self, index: usize) -> &[u8] {
        &self.buffers[index].bytes()[..self.len() * bytes_per_sample(self.sizes[index])]
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // A ring that is full, or gone with its loader, lets the memory be freed.
        let _ = self.ring.try_send(std::mem::take(&mut self.buffers));
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Batch")
            .field("cursor", &self.cursor)
            .field("ids", &self.ids)
            .field("labels", &self.labels)
            .field("sizes", &self.sizes)
            .finish_non_exhaustive()
    }
}

fn bytes_per_sample(size: Size) -> usize {
    3 * size.width as usize * size.height as usize
}

/// Where a builder takes its buffers from, and where batches give them back.
#[derive(Clone)]
pub(crate) struct Ring {
    free: Receiver<Buffers>,
    give_back: Sender<Buffers>,
    sizes: Vec<Size>,
    batch_size: usize,
}

/// A batch that is being filled.
pub(crate) struct Draft<'a> {
    ring: &'a Ring,
    cursor: Cursor,
    buffers: Buffers,
}

impl Ring {
    /// A ring that keeps the memory of at most `capacity` batches for later ones.
    pub fn new(sizes: Vec<Size>, batch_size: usize, capacity: usize) -> Ring {
        let (give_back, free) = bounded(capacity);
        Ring { free, give_back, sizes, batch_size }
    }

    /// A batch to fill. The number of buffers is bounded by who holds batches: the builders, the bounded
    /// queues and the consumer.
    pub fn draft(&self, cursor: Cursor, allocator: &dyn Allocate) -> Result<Draft<'_>, String> {
        let buffers = match self.free.try_recv() {
            Ok(buffers) => buffers,
            Err(_) => self
                .sizes
                .iter()
                .map(|size| allocator.allocate(self.batch_size * bytes_per_sample(*size)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Draft { ring: self, cursor, buffers })
    }
}

impl<'a> Draft<'a> {
    /// The slots of `count` samples, sample after sample, each with one slice per view.
    pub fn slots(&mut self, count: usize) -> Vec<&mut [u8]> {
        let mut views: Vec<_> = self
            .buffers
            .iter_mut()
            .zip(&self.ring.sizes)
            .map(|(buffer, size)| buffer.bytes_mut().chunks_exact_mut(bytes_per_sample(*size)))
            .collect();
        let mut slots = Vec::with_capacity(count * views.len());
        for _ in 0..count {
            slots.extend(views.iter_mut().filter_map(Iterator::next));
        }
        slots
    }

    /// The finished batch. `filled` says of each slot which sample (id and label) it holds; slots of
    /// samples that were left out are closed up.
    pub fn finish(mut self, filled: &[Option<(u64, Option<i64>)>]) -> Batch {
        let kept: Vec<usize> = (0..filled.len()).filter(|slot| filled[*slot].is_some()).collect();
        for (buffer, size) in self.buffers.iter_mut().zip(&self.ring.sizes) {
            let bytes = bytes_per_sample(*size);
            for (to, from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
                buffer.bytes_mut().copy_within(from * bytes..(from + 1) * bytes, to * bytes);
            }
        }
        Batch {
            cursor: self.cursor,
            ids: filled.iter().flatten().map(|(id, _)| *id).collect(),
            labels: filled.iter().flatten().map(|(_, label)| *label).collect(),
            sizes: self.ring.sizes.clone(),
            buffers: self.buffers,
            ring: self.ring.give_back.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURSOR: Cursor = Cursor { epoch: 1, batch: 2 };

    fn ring() -> Ring {
        ring_of(4)
    }

    fn ring_of(capacity: usize) -> Ring {
        Ring::new(vec![Size { width: 2, height: 1 }, Size { width: 1, height: 1 }], 3, capacity)
    }

    /// A batch of three in which the sample in `missing` was left out and sample n is all n.
    fn batch(ring: &Ring, missing: Option<usize>) -> Batch {
        let mut draft = ring.draft(CURSOR, &HeapAllocator).unwrap();
        for (index, slot) in draft.slots(3).into_iter().enumerate() {
            slot.fill(index as u8 / 2);
        }
        let filled: Vec<_> =
            (0..3).map(|slot| (Some(slot) != missing).then_some((slot as u64 + 10, Some(7)))).collect();
        draft.finish(&filled)
    }

    #[test]
    fn views_are_contiguous_and_each_of_its_own_size() {
        let batch = batch(&ring(), None);
        assert_eq!((batch.epoch(), batch.index(), batch.len(), batch.view_count()), (1, 2, 3, 2));
        assert_eq!(batch.view(0), [[0; 6], [1; 6], [2; 6]].concat());
        assert_eq!(batch.view(1), [[0; 3], [1; 3], [2; 3]].concat());
        assert_eq!(batch.labels(), Some(&[7, 7, 7][..]));
    }

    #[test]
    fn samples_that_were_left_out_are_closed_up() {
        let batch = batch(&ring(), Some(1));
        assert_eq!(batch.ids(), [10, 12]);
        assert_eq!(batch.view(0), [[0; 6], [2; 6]].concat());
    }

    #[test]
    fn a_dropped_batch_gives_its_memory_to_the_next() {
        let ring = ring();
        let first = batch(&ring, None);
        let memory = first.view(0).as_ptr();
        drop(first);
        assert_eq!(batch(&ring, None).view(0).as_ptr(), memory);
    }

    #[test]
    fn a_full_ring_frees_memory_and_blocks_nobody() {
        let ring = ring_of(2);
        let kept: Vec<Batch> = (0..5).map(|_| batch(&ring, None)).collect();
        drop(kept);
        assert_eq!(ring.free.len(), 2);
    }

    #[test]
    fn a_batch_outlives_its_ring() {
        let batch = batch(&ring(), None);
        assert_eq!(batch.view(1)[8], 2);
    }
}
