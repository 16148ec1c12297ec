//! When to look again.

use std::time::{Duration, Instant};

/// Looks that are apart: by `least`, and by `pause` times what the last one took, for the cores are the runs'.
#[derive(Debug)]
pub struct Pace {
    least: Duration,
    pause: u32,
    due: Instant,
}

impl Pace {
    /// The first look is due at once.
    pub fn new(least: Duration, pause: u32) -> Pace {
        Pace { least, pause, due: Instant::now() }
    }

    /// Whether it is time for the next look.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Looks, and counts from then.
    pub fn look<T>(&mut self, look: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let seen = look();
        self.due = Instant::now() + self.least.max(self.pause * began.elapsed());
        seen
    }
}
