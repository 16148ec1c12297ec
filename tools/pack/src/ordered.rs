//! Work on many threads whose results come in order.

use std::collections::VecDeque;
use std::iter;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, bounded, unbounded};

use crate::error::Error;

/// Samples in the making for each worker: enough that one that takes long, or a pause of the consumer's, leaves no other
/// worker without work.
const AHEAD: usize = 4;

/// Why there is nobody at a channel's other end, which is otherwise there till the end.
const PANICKED: &str = "a worker that panics has said why";

/// The number of threads that `workers` stands for: itself, or for 0 one per core.
pub(crate) fn threads(workers: usize) -> usize {
    if workers == 0 { thread::available_parallelism().map_or(1, usize::from) } else { workers }
}

/// Calls `work` for each of `items` on `workers` threads, and hands the results to `consume` in the order of the items.
/// There are never more than a few results for each worker; when `consume` returns, the rest is dropped.
///
/// # Panics
/// When `work` panics.
pub(crate) fn map<S, T: Send, R>(
    workers: usize,
    items: impl Iterator<Item = usize>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    consume: impl FnOnce(&mut dyn Iterator<Item = T>) -> Result<R, Error>,
) -> Result<R, Error> {
    let left = AtomicBool::new(false);
    thread::scope(|scope| {
        let (jobs, queue) = unbounded::<(usize, crossbeam_channel::Sender<T>)>();
        for _ in 0..workers {
            let (queue, state, work, left) = (queue.clone(), &state, &work, &left);
            let run = move || {
                let mut state = state();
                for (item, answer) in queue {
                    if left.load(Ordering::Relaxed) {
                        break;
                    }
                    // The consumer may have left meanwhile.
                    let _ = answer.send(work(&mut state, item));
                }
            };
            thread::Builder::new()
                .name("diptych-pack".into())
                .spawn_scoped(scope, run)
                .map_err(|error| Error::Threads { workers, reason: error.to_string() })?;
        }
        drop(queue);
        let mut items = items.fuse();
        let mut waiting: VecDeque<Receiver<T>> = VecDeque::new();
        let mut results = iter::from_fn(move || {
            while waiting.len() < AHEAD * workers
                && let Some(item) = items.next()
            {
                let (sender, receiver) = bounded(1);
                jobs.send((item, sender)).expect(PANICKED);
                waiting.push_back(receiver);
            }
            let result = waiting.pop_front()?;
            Some(result.recv().expect(PANICKED))
        });
        let result = consume(&mut results);
        left.store(true, Ordering::Relaxed);
        result
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn results_come_in_order_and_never_many_ahead() {
        for workers in [1, 2, 7] {
            let begun = AtomicUsize::new(0);
            let work = |count: &mut usize, item: usize| {
                begun.fetch_add(1, Ordering::SeqCst);
                *count += 1;
                thread::sleep(std::time::Duration::from_micros(((item * 7) % 5) as u64 * 50));
                (item * 2, *count)
            };
            let found = map(
                workers,
                0..200,
                || 0,
                work,
                |results| {
                    let mut found = Vec::new();
                    for (result, _) in results {
                        found.push(result);
                        assert!(begun.load(Ordering::SeqCst) <= found.len() + AHEAD * workers);
                    }
                    Ok(found)
                },
            );
            assert_eq!(found.unwrap(), (0..200).map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_consumer_that_leaves_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let work = |_: &mut (), _: usize| begun.fetch_add(1, Ordering::SeqCst);
        map(2, 0..1_000_000, || (), work, |results| Ok(results.take(3).count())).unwrap();
        assert!(begun.load(Ordering::SeqCst) <= 3 + AHEAD * 2);
    }

    #[test]
    #[should_panic(expected = "a worker that panics")]
    fn a_workers_panic_is_the_consumers() {
        let work = |_: &mut (), item: usize| assert!(item < 5, "on purpose");
        let _ = map(2, 0..10, || (), work, |results| Ok(results.count()));
    }
}
