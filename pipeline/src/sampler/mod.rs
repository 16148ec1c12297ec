//! The sampler: which samples make up which batch.
//!
//! Invariant: a pure function of (seed, epoch, batch). Any batch can be asked for on its own, so that a run
//! resumes in the middle of an epoch and several builders share the work without talking to each other.

use diptych_host::RandomStream;

use crate::random;

/// In which order an epoch goes through the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Another permutation in every epoch.
    Shuffled,
    /// The source's own order.
    Sequential,
}

/// A place in a run: the batch that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batch within the epoch, from 0.
    pub batch: u64,
}

/// Cuts epochs into batches of sample indices.
#[derive(Clone, Debug)]
pub struct Sampler {
    seed: u64,
    order: Order,
    samples: usize,
    batch_size: usize,
    drop_last: bool,
    /// The epoch that `indices` are for.
    epoch: Option<u64>,
    indices: Vec<u32>,
}

impl Sampler {
    /// A sampler over `samples` samples (at most 2^32). With `drop_last` every batch has `batch_size`
    /// samples, and what is left over at an epoch's end goes unused in that epoch.
    pub fn new(seed: u64, order: Order, samples: usize, batch_size: usize, drop_last: bool) -> Sampler {
        Sampler { seed, order, samples, batch_size, drop_last, epoch: None, indices: Vec::new() }
    }

    /// Number of batches in an epoch; 0 when there are fewer samples than `batch_size` and `drop_last`.
    pub fn batches_per_epoch(&self) -> u64 {
        let batches = if self.drop_last {
            self.samples / self.batch_size
        } else {
            self.samples.div_ceil(self.batch_size)
        };
        batches as u64
    }

    /// The cursor `batches` batches after `cursor`.
    pub fn advance(&self, cursor: Cursor, batches: u64) -> Cursor {
        let batch = cursor.batch + batches;
        let per_epoch = self.batches_per_epoch();
        Cursor { epoch: cursor.epoch + batch / per_epoch, batch: batch % per_epoch }
    }

    /// Indices of the samples of one batch.
    pub fn batch(&mut self, cursor: Cursor) -> &[u32] {
        if self.epoch != Some(cursor.epoch) {
            self.indices.clear();
            self.indices.extend(0..self.samples as u32);
            if self.order == Order::Shuffled {
                let key = random::key(self.seed, cursor.epoch, 0, 0, "sampler");
                random::shuffle(&mut self.indices, &mut RandomStream::new(key));
            }
            self.epoch = Some(cursor.epoch);
        }
        let start = (cursor.batch as usize).saturating_mul(self.batch_size).min(self.samples);
        &self.indices[start..self.samples.min(start + self.batch_size)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(sampler: &mut Sampler, epoch: u64) -> Vec<u32> {
        (0..sampler.batches_per_epoch())
            .flat_map(|batch| sampler.batch(Cursor { epoch, batch }).to_vec())
            .collect()
    }

    #[test]
    fn every_epoch_holds_every_sample_once_in_another_order() {
        let mut sampler = Sampler::new(3, Order::Shuffled, 100, 7, false);
        let (first, second) = (epoch(&mut sampler, 0), epoch(&mut sampler, 1));
        assert_ne!(first, second);
        for mut indices in [first, second] {
            indices.sort();
            assert_eq!(indices, (0..100).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_epoch_depends_on_nothing_but_seed_and_number() {
        let mut one = Sampler::new(3, Order::Shuffled, 50, 10, true);
        let mut other = Sampler::new(3, Order::Shuffled, 50, 5, true);
        epoch(&mut other, 0);
        assert_eq!(epoch(&mut one, 4), epoch(&mut other, 4));
        assert_ne!(epoch(&mut one, 4), epoch(&mut Sampler::new(4, Order::Shuffled, 50, 10, true), 4));
    }

    #[test]
    fn what_is_left_over_is_a_smaller_batch_or_dropped() {
        let mut keeps = Sampler::new(0, Order::Sequential, 10, 4, false);
        assert_eq!(keeps.batches_per_epoch(), 3);
        assert_eq!(keeps.batch(Cursor { epoch: 0, batch: 2 }), [8, 9]);
        assert_eq!(keeps.advance(Cursor { epoch: 1, batch: 2 }, 2), Cursor { epoch: 2, batch: 1 });
        let drops = Sampler::new(0, Order::Sequential, 10, 4, true);
        assert_eq!(drops.batches_per_epoch(), 2);
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut sampler = Sampler::new(9, Order::Shuffled, 4, 4, true);
        let mut counts = [[0_u32; 4]; 4];
        for number in 0..4000 {
            for (place, index) in epoch(&mut sampler, number).into_iter().enumerate() {
                counts[place][index as usize] += 1;
            }
        }
        // 1000 expected; the standard deviation is 27.
        assert!(counts.iter().flatten().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
