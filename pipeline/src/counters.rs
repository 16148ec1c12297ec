//! Where the time goes: what each stage did and what it waited for.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One stage's running totals, written by its threads.
#[derive(Default)]
pub(crate) struct Meter {
    items: AtomicU64,
    busy: AtomicU64,
    waiting_for_input: AtomicU64,
    waiting_for_output: AtomicU64,
}

impl Meter {
    /// Counts one item and the time since `start` as work.
    pub fn worked(&self, start: Instant) {
        self.items.fetch_add(1, Relaxed);
        self.busy.fetch_add(nanoseconds(start), Relaxed);
    }

    /// Counts the time since `start` as work on an item that is not done yet.
    pub fn spent(&self, start: Instant) {
        self.busy.fetch_add(nanoseconds(start), Relaxed);
    }

    /// Counts the time since `start` as waiting for the stage before.
    pub fn waited_for_input(&self, start: Instant) {
        self.waiting_for_input.fetch_add(nanoseconds(start), Relaxed);
    }

    /// Counts the time since `start` as waiting for the stage after.
    pub fn waited_for_output(&self, start: Instant) {
        self.waiting_for_output.fetch_add(nanoseconds(start), Relaxed);
    }

    fn read(&self, name: &'static str, threads: usize) -> StageCounters {
        let duration = |counter: &AtomicU64| Duration::from_nanos(counter.load(Relaxed));
        StageCounters {
            name,
            threads,
            items: self.items.load(Relaxed),
            busy: duration(&self.busy),
            waiting_for_input: duration(&self.waiting_for_input),
            waiting_for_output: duration(&self.waiting_for_output),
        }
    }
}

fn nanoseconds(start: Instant) -> u64 {
    // 584 years fit.
    start.elapsed().as_nanos() as u64
}

/// The meters of a loader.
#[derive(Default)]
pub(crate) struct Meters {
    pub sampler: Meter,
    pub read: Meter,
    pub decode: Meter,
    pub augment: Meter,
    pub collate: Meter,
    pub step: Meter,
    asked: AtomicU64,
    ready: AtomicU64,
}

impl Meters {
    /// A batch is asked for while `ready` ones lie in the queue.
    pub fn asked(&self, ready: usize) {
        self.asked.fetch_add(1, Relaxed);
        self.ready.fetch_add(ready as u64, Relaxed);
    }

    pub fn counters(&self, elapsed: Duration, workers: usize, builders: usize) -> Counters {
        let stages = vec![
            self.sampler.read("sampler", builders),
            self.read.read("read", workers),
            self.decode.read("decode", workers),
            self.augment.read("augment", workers),
            self.collate.read("collate", builders),
            self.step.read("step", 1),
        ];
        let (asked, ready) = (self.asked.load(Relaxed), self.ready.load(Relaxed));
        Counters { elapsed, workers, builders, asked, ready, stages }
    }
}

/// What one stage did so far, summed over its threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageCounters {
    /// `sampler`, `read`, `decode`, `augment`, `collate` or `step` (whoever asks for batches).
    pub name: &'static str,
    /// Number of threads that share the stage; `read`, `decode` and `augment` share the same ones.
    pub threads: usize,
    /// Samples for `read`, `decode` and `augment`; batches for the others.
    pub items: u64,
    /// Time at work.
    pub busy: Duration,
    /// Time blocked because the stage before had nothing ready.
    pub waiting_for_input: Duration,
    /// Time blocked because the stage after had no room.
    pub waiting_for_output: Duration,
}

/// What every stage did since the loader started, in the order of the data's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Time since the loader started.
    pub elapsed: Duration,
    /// Number of worker threads.
    pub workers: usize,
    /// Batches in the making at once.
    pub builders: usize,
    /// How often a batch was asked for.
    pub asked: u64,
    /// Finished batches that lay ready then, summed over all times.
    pub ready: u64,
    /// One entry per stage.
    pub stages: Vec<StageCounters>,
}

impl Counters {
    /// What was done since `earlier`, counters of the same loader.
    pub fn since(mut self, earlier: &Counters) -> Counters {
        self.elapsed -= earlier.elapsed;
        self.asked -= earlier.asked;
        self.ready -= earlier.ready;
        for (stage, before) in self.stages.iter_mut().zip(&earlier.stages) {
            stage.items -= before.items;
            stage.busy -= before.busy;
            stage.waiting_for_input -= before.waiting_for_input;
            stage.waiting_for_output -= before.waiting_for_output;
        }
        self
    }

    /// The stage called `name`, if there is one.
    pub fn stage(&self, name: &str) -> Option<&StageCounters> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Fraction of the time, 0 to 1, that the step spent waiting for batches.
    pub fn wait_fraction(&self) -> f64 {
        let waiting = self.stage("step").map_or(0.0, |step| step.waiting_for_input.as_secs_f64());
        (waiting / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// Finished batches that lay ready when one was asked for, on average: 0 to the length of the queue.
    pub fn ready_batches(&self) -> f64 {
        self.ready as f64 / self.asked.max(1) as f64
    }

    /// Fraction of the time, 0 to 1, that the builders of batches spent waiting for room in the queue.
    pub fn full_fraction(&self) -> f64 {
        let waiting = self.stage("collate").map_or(0.0, |collate| collate.waiting_for_output.as_secs_f64());
        let time = self.elapsed.as_secs_f64() * self.builders as f64;
        (waiting / time.max(f64::MIN_POSITIVE)).min(1.0)
    }

    /// One sentence on what limits the speed.
    pub fn bottleneck(&self) -> String {
        let waiting = 100.0 * self.wait_fraction();
        if waiting < 5.0 {
            return format!("the step is the bottleneck: it waits for data {waiting:.0} % of the time");
        }
        let per_sample =
            self.stages.iter().filter(|stage| ["read", "decode", "augment"].contains(&stage.name));
        let Some(slowest) = per_sample.clone().max_by_key(|stage| stage.busy) else {
            return "nothing was measured yet".into();
        };
        let total: Duration = per_sample.map(|stage| stage.busy).sum();
        let share = 100.0 * slowest.busy.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
        format!(
            "{} is the bottleneck: it takes {share:.0} % of the work of {} workers, and the step waits for data \
             {waiting:.0} % of the time",
            slowest.name, self.workers
        )
    }
}

impl std::fmt::Display for Counters {
    /// A table with one row per stage, then the bottleneck.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            formatter,
            "{:<8} {:>7} {:>9} {:>9} {:>11} {:>16} {:>17}",
            "stage", "threads", "items", "busy s", "ms per item", "waits for input", "waits for output"
        )?;
        for stage in &self.stages {
            let busy = stage.busy.as_secs_f64();
            writeln!(
                formatter,
                "{:<8} {:>7} {:>9} {:>9.2} {:>11.3} {:>14.2} s {:>15.2} s",
                stage.name,
                stage.threads,
                stage.items,
                busy,
                1e3 * busy / stage.items.max(1) as f64,
                stage.waiting_for_input.as_secs_f64(),
                stage.waiting_for_output.as_secs_f64()
            )?;
        }
        formatter.write_str(&self.bottleneck())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(waiting: u64, decode: u64, augment: u64) -> Counters {
        let meters = Meters::default();
        meters.decode.busy.store(decode, Relaxed);
        meters.augment.busy.store(augment, Relaxed);
        meters.step.waiting_for_input.store(waiting, Relaxed);
        meters.counters(Duration::from_nanos(1000), 2, 1)
    }

    #[test]
    fn the_queue_is_as_deep_as_it_was_found_on_average_since_the_last_look() {
        let meters = Meters::default();
        meters.asked(4);
        let first = meters.counters(Duration::from_nanos(100), 2, 2);
        [0, 1].into_iter().for_each(|ready| meters.asked(ready));
        meters.collate.waiting_for_output.store(50, Relaxed);
        let second = meters.counters(Duration::from_nanos(300), 2, 2);
        assert_eq!((first.ready_batches(), first.full_fraction()), (4.0, 0.0));
        let between = second.since(&first);
        // Of two builders, each with 200 ns.
        assert_eq!((between.ready_batches(), between.full_fraction()), (0.5, 0.125));
    }

    #[test]
    fn the_step_is_the_bottleneck_when_it_never_waits() {
        assert!(
            counters(20, 900, 900)
                .bottleneck()
                .starts_with("the step is the bottleneck: it waits for data 2 %")
        );
    }

    #[test]
    fn the_stage_that_works_most_is_the_bottleneck_when_the_step_waits() {
        assert_eq!(
            counters(500, 900, 300).bottleneck(),
            "decode is the bottleneck: it takes 75 % of the work of 2 workers, and the step waits for data \
             50 % of the time"
        );
        assert!(counters(500, 300, 900).bottleneck().starts_with("augment is the bottleneck"));
    }
}
