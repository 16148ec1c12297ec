//! What a person sees while a run goes on: one live line on a terminal, a plain line per logged step elsewhere.

use std::time::Duration;

use diptych_config::Choice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::diagnostics::Verdict;
use crate::metrics::{self, Record};

/// Shows the run's progress on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    steps: u64,
    started_at: u64,
    clock: std::time::Instant,
}

impl Progress {
    /// For a run of `steps`, of which `step` are done. `quiet` shows nothing.
    pub(crate) fn new(step: u64, steps: u64, quiet: bool) -> Progress {
        let target = ProgressDrawTarget::stderr_with_hz(4);
        let terminal = !target.is_hidden();
        let bar = (terminal && !quiet).then(|| {
            let style =
                ProgressStyle::with_template("{wide_bar:.cyan/dim} {pos}/{len}  {eta} left\n{wide_msg}")
                    .expect("the template is a constant that parses")
                    .progress_chars("━╸─");
            let bar = ProgressBar::with_draw_target(Some(steps), target).with_style(style);
            bar.set_position(step);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let lines = !terminal && !quiet;
        Progress {
            bar: bar.or_else(|| lines.then(ProgressBar::hidden)),
            steps,
            started_at: step,
            clock: std::time::Instant::now(),
        }
    }

    /// One more step is done.
    pub(crate) fn step(&self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    /// A step was logged.
    pub(crate) fn record(&self, record: &Record) {
        let Some(bar) = &self.bar else { return };
        let line = line(record);
        if bar.is_hidden() {
            let done = (record.step - self.started_at).max(1) as f64;
            let left = self.clock.elapsed().as_secs_f64() / done * (self.steps - record.step) as f64;
            eprintln!("step {}/{}  {line}  {} left", record.step, self.steps, duration(left));
        } else {
            bar.set_message(line);
        }
    }

    /// Something that the person should know, above the live line.
    pub(crate) fn say(&self, message: &str) {
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.println(message),
            Some(_) => eprintln!("{message}"),
            None => {}
        }
    }

    /// Takes the live line away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(record: &Record) -> String {
    let mut parts = Vec::new();
    let mut part = |name: &str, show: &dyn Fn(f64) -> String| {
        parts.extend(record.get(name).map(show));
    };
    // The most telling first: a narrow terminal shows the beginning.
    part(metrics::LOSS, &|loss| format!("loss {loss:.4}"));
    part(metrics::Z_STD, &|std| format!("z-std {std:.2}"));
    part(metrics::COLLAPSING, &|number| shown(number));
    part(metrics::IMAGES_PER_SECOND, &|speed| format!("{speed:.0} images/s"));
    part(metrics::WAIT_FRACTION, &|wait| {
        format!("data {:.0} % / computing {:.0} %", wait * 100.0, (1.0 - wait) * 100.0)
    });
    part(metrics::EFFECTIVE_RANK, &|rank| format!("rank {rank:.1}"));
    part(metrics::PROBE_ACCURACY, &|accuracy| format!("probe {:.1} %", accuracy * 100.0));
    parts.join("  ")
}

/// The verdict with this number; one that a person must see is in capitals.
fn shown(number: f64) -> String {
    let verdict = Verdict::ALL.iter().map(|(_, verdict)| *verdict).find(|verdict| verdict.number() == number);
    match verdict.unwrap_or(Verdict::Healthy) {
        Verdict::Healthy => Verdict::Healthy.text().into(),
        ill => ill.text().to_uppercase(),
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_was_recorded_and_nothing_else() {
        let mut record = Record { step: 50, ..Record::default() };
        record.push(metrics::LOSS, 1.25);
        record.push(metrics::WAIT_FRACTION, 0.25);
        assert_eq!(line(&record), "loss 1.2500  data 25 % / computing 75 %");
    }

    #[test]
    fn a_collapse_stands_out_behind_what_tells_it() {
        for verdict in [Verdict::Healthy, Verdict::Collapsing, Verdict::Collapsed] {
            let mut record = Record::default();
            record.push(metrics::COLLAPSING, verdict.number());
            record.push(metrics::Z_STD, 0.5);
            let upper =
                if verdict == Verdict::Healthy { "healthy".into() } else { verdict.text().to_uppercase() };
            assert_eq!(line(&record), format!("z-std 0.50  {upper}"));
        }
    }

    #[test]
    fn durations_read_like_a_clock() {
        assert_eq!([12.4, 75.0, 3720.0].map(duration), ["12 s", "1 min 15 s", "1 h 2 min"]);
    }
}
