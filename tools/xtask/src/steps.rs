//! The steps of a command as the user sees them: `[2/5] building (release)`, and how long each took.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Counts and times the steps.
pub struct Steps {
    total: usize,
    current: usize,
    begin: Instant,
    step_begin: Instant,
    bold: bool,
}

impl Steps {
    /// A command of so many steps.
    pub fn new(total: usize) -> Steps {
        let now = Instant::now();
        let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Steps { total, current: 0, begin: now, step_begin: now, bold }
    }

    /// Ends the current step and begins the next.
    pub fn next(&mut self, name: &str) {
        self.end_step();
        self.current += 1;
        self.step_begin = Instant::now();
        self.print(&format!("[{}/{}] {name}", self.current, self.total));
    }

    /// Ends the last step; `message` says what the user can do now.
    pub fn done(mut self, message: &str) {
        self.end_step();
        self.print(&format!("done in {}: {message}", elapsed(self.begin.elapsed())));
    }

    fn end_step(&mut self) {
        let took = self.step_begin.elapsed();
        // Steps that only looked are not worth a line.
        if self.current > 0 && took >= Duration::from_secs(1) {
            println!("      took {}", elapsed(took));
        }
    }

    fn print(&self, line: &str) {
        if self.bold {
            println!("\x1b[1m{line}\x1b[0m");
        } else {
            println!("{line}");
        }
    }
}

/// As `8s`, `3m 20s` or `1h 05m`.
fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_units_one_would_say() {
        let told = |seconds| elapsed(Duration::from_secs(seconds));
        assert_eq!(told(8), "8s");
        assert_eq!(told(200), "3m 20s");
        assert_eq!(told(3900), "1h 05m");
    }
}
