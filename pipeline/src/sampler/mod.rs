//! The sampler: which samples make up which batch.
//!
//! Invariant: a pure function of (seed, epoch, batch). Any batch can be asked for on its own, so that a run
//! resumes in the middle of an epoch and several builders share the work without talking to each other.

use std::ops::Range;

use diptych_host::RandomStream;

use crate::random;

/// In which order an epoch goes through the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Another permutation in every epoch.
    Shuffled,
    /// Another permutation of the [shards](crate::Source::shards) in every epoch, and of the samples within each
    /// `buffer` of them that follow each other there.
    ///
    /// For storage that is read shard by shard. Samples stay within `buffer` places of their shard's turn, so that what
    /// keeps the shards of `buffer` samples (the page cache, a source's own) reads each once an epoch.
    ShardShuffled {
        /// Number of samples, at least 1; far more than a shard holds, lest neighbours stay together.
        buffer: usize,
    },
    /// The source's own order.
    Sequential,
}

/// The part of every batch that one of several processes makes.
///
/// The parts of all ranks together are the batches of a single process whose `batch_size` is that of all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of this process, below `world_size`.
    pub rank: usize,
    /// Number of processes.
    pub world_size: usize,
}

impl Default for Share {
    /// The whole batch.
    fn default() -> Share {
        Share { rank: 0, world_size: 1 }
    }
}

/// A place in a run: the batch that comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Batch within the epoch, from 0.
    pub batch: u64,
}

/// How epochs are cut into batches.
#[derive(Clone, Copy, Debug)]
pub struct SamplerOptions {
    /// The run's seed.
    pub seed: u64,
    /// Order of the samples.
    pub order: Order,
    /// Samples per batch of one rank.
    pub batch_size: usize,
    /// Which part of each batch.
    pub share: Share,
    /// Whether every batch has `batch_size` samples on every rank, and what is left over at an epoch's end goes unused
    /// in that epoch. If not, the last batch's samples are spread over the ranks, which may leave some without any.
    pub drop_last: bool,
}

/// Cuts epochs into batches of sample indices.
#[derive(Clone, Debug)]
pub struct Sampler {
    samples: usize,
    shards: Vec<Range<usize>>,
    options: SamplerOptions,
    /// The epoch that `indices` are for.
    epoch: Option<u64>,
    indices: Vec<u32>,
}

impl Sampler {
    /// A sampler over `samples` samples (at most 2^32), stored in `shards`, which only [`Order::ShardShuffled`] asks for.
    pub fn new(samples: usize, shards: Vec<Range<usize>>, options: SamplerOptions) -> Sampler {
        Sampler { samples, shards, options, epoch: None, indices: Vec::new() }
    }

    /// Number of batches in an epoch, the same on every rank; 0 when there are fewer samples than a batch of all ranks
    /// has and `drop_last`.
    pub fn batches_per_epoch(&self) -> u64 {
        let global = self.global_batch_size();
        let batches =
            if self.options.drop_last { self.samples / global } else { self.samples.div_ceil(global) };
        batches as u64
    }

    /// The cursor `batches` batches after `cursor`.
    pub fn advance(&self, cursor: Cursor, batches: u64) -> Cursor {
        let batch = cursor.batch + batches;
        let per_epoch = self.batches_per_epoch();
        Cursor { epoch: cursor.epoch + batch / per_epoch, batch: batch % per_epoch }
    }

    /// Indices of the samples of this rank's part of one batch.
    pub fn batch(&mut self, cursor: Cursor) -> &[u32] {
        if self.epoch != Some(cursor.epoch) {
            self.arrange(cursor.epoch);
            self.epoch = Some(cursor.epoch);
        }
        let global = self.global_batch_size();
        let start = (cursor.batch as usize).saturating_mul(global).min(self.samples);
        let batch = &self.indices[start..self.samples.min(start.saturating_add(global))];
        let Share { rank, world_size } = self.options.share;
        &batch[batch.len() * rank / world_size..batch.len() * (rank + 1) / world_size]
    }

    /// Puts the indices into the epoch's order.
    fn arrange(&mut self, epoch: u64) {
        let seed = self.options.seed;
        let stream =
            |number: usize, name| RandomStream::new(random::key(seed, epoch, number as u64, 0, name));
        self.indices.clear();
        match self.options.order {
            Order::Sequential => self.indices.extend(0..self.samples as u32),
            Order::Shuffled => {
                self.indices.extend(0..self.samples as u32);
                random::shuffle(&mut self.indices, &mut stream(0, "sampler"));
            }
            Order::ShardShuffled { buffer } => {
                let mut shards = self.shards.clone();
                random::shuffle(&mut shards, &mut stream(0, "shards"));
                self.indices.extend(shards.into_iter().flatten().map(|index| index as u32));
                for (number, samples) in self.indices.chunks_mut(buffer).enumerate() {
                    random::shuffle(samples, &mut stream(number, "shuffle buffer"));
                }
            }
        }
    }

    fn global_batch_size(&self) -> usize {
        self.options.batch_size.saturating_mul(self.options.share.world_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Share = Share { rank: 0, world_size: 1 };

    fn sampler(seed: u64, order: Order, samples: usize, batch_size: usize, drop_last: bool) -> Sampler {
        let shards = vec![0..samples / 3, samples / 3..samples / 2, samples / 2..samples];
        Sampler::new(samples, shards, SamplerOptions { seed, order, batch_size, share: WHOLE, drop_last })
    }

    fn epoch(sampler: &mut Sampler, epoch: u64) -> Vec<u32> {
        (0..sampler.batches_per_epoch())
            .flat_map(|batch| sampler.batch(Cursor { epoch, batch }).to_vec())
            .collect()
    }

    #[test]
    fn every_epoch_holds_every_sample_once_in_another_order() {
        for order in [Order::Shuffled, Order::ShardShuffled { buffer: 40 }] {
            let mut sampler = sampler(3, order, 100, 7, false);
            let (first, second) = (epoch(&mut sampler, 0), epoch(&mut sampler, 1));
            assert_ne!(first, second);
            for mut indices in [first, second] {
                indices.sort();
                assert_eq!(indices, (0..100).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_epoch_depends_on_nothing_but_seed_and_number() {
        for order in [Order::Shuffled, Order::ShardShuffled { buffer: 20 }] {
            let mut one = sampler(3, order, 50, 10, true);
            let mut other = sampler(3, order, 50, 5, true);
            epoch(&mut other, 0);
            assert_eq!(epoch(&mut one, 4), epoch(&mut other, 4));
            assert_ne!(epoch(&mut one, 4), epoch(&mut sampler(4, order, 50, 10, true), 4));
        }
    }

    #[test]
    fn shards_come_whole_in_another_order_and_are_mixed_within_the_buffer() {
        let shards: Vec<Range<usize>> = (0..10).map(|shard| 8 * shard..8 * shard + 8).collect();
        let options = |buffer| SamplerOptions {
            seed: 1,
            order: Order::ShardShuffled { buffer },
            batch_size: 80,
            share: WHOLE,
            drop_last: true,
        };
        let order = epoch(&mut Sampler::new(80, shards.clone(), options(16)), 0);
        let turns: Vec<Vec<u32>> = order
            .chunks(16)
            .map(|buffer| {
                let mut shards: Vec<u32> = buffer.iter().map(|index| index / 8).collect();
                assert!(!shards.is_sorted(), "two shards are mixed: {buffer:?}");
                shards.sort();
                shards.dedup();
                shards
            })
            .collect();
        assert!(turns.iter().all(|shards| shards.len() == 2), "{turns:?}");
        assert!(!turns.concat().is_sorted(), "{turns:?}");
        // A buffer of one sample leaves the shards as they are stored.
        let unmixed = epoch(&mut Sampler::new(80, shards, options(1)), 0);
        assert!(unmixed.chunks(8).all(|shard| shard.is_sorted() && shard[7] == shard[0] + 7));
    }

    #[test]
    fn the_ranks_parts_are_disjoint_and_make_up_the_batch_of_one_process() {
        for (samples, drop_last) in [(50, true), (50, false), (49, false), (8, true), (1, false)] {
            let of = |share: Share, batch_size| {
                let options =
                    SamplerOptions { seed: 5, order: Order::Shuffled, batch_size, share, drop_last };
                Sampler::new(samples, Vec::new(), options)
            };
            let mut one = of(WHOLE, 8);
            let mut ranks: Vec<Sampler> = (0..4).map(|rank| of(Share { rank, world_size: 4 }, 2)).collect();
            assert!(ranks.iter().all(|rank| rank.batches_per_epoch() == one.batches_per_epoch()));
            for batch in 0..one.batches_per_epoch() {
                let cursor = Cursor { epoch: 3, batch };
                let parts: Vec<Vec<u32>> = ranks.iter_mut().map(|rank| rank.batch(cursor).to_vec()).collect();
                assert_eq!(parts.concat(), one.batch(cursor));
                let sizes = parts.iter().map(Vec::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1, "{parts:?}");
            }
        }
    }

    #[test]
    fn what_is_left_over_is_a_smaller_batch_or_dropped() {
        let mut keeps = sampler(0, Order::Sequential, 10, 4, false);
        assert_eq!(keeps.batches_per_epoch(), 3);
        assert_eq!(keeps.batch(Cursor { epoch: 0, batch: 2 }), [8, 9]);
        assert_eq!(keeps.advance(Cursor { epoch: 1, batch: 2 }, 2), Cursor { epoch: 2, batch: 1 });
        let drops = sampler(0, Order::Sequential, 10, 4, true);
        assert_eq!(drops.batches_per_epoch(), 2);
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut sampler = sampler(9, Order::Shuffled, 4, 4, true);
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
