//! What a person sees while a study runs: a live line per run on a terminal, plain lines elsewhere.

use std::io::Write;
use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use diptych_report::text::duration;

/// Shows progress on standard error.
pub struct Progress {
    bars: Option<(MultiProgress, ProgressBar)>,
    width: usize,
    total: usize,
    began: Instant,
}

/// One run at work.
pub struct Line {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For a study of `total` runs, whose names have up to `width` characters.
    pub fn new(total: usize, width: usize) -> Progress {
        let target = ProgressDrawTarget::stderr_with_hz(4);
        let bars = (!target.is_hidden()).then(|| {
            let multi = MultiProgress::with_draw_target(target);
            let style = ProgressStyle::with_template("{wide_bar:.cyan/dim} {pos}/{len} runs  {msg}")
                .expect("the template is a constant that parses")
                .progress_chars("━╸─");
            let whole = multi.add(ProgressBar::new(total as u64).with_style(style));
            whole.tick();
            (multi, whole)
        });
        Progress { bars, width, total, began: Instant::now() }
    }

    /// A run begins.
    pub fn begin(&self, name: &str) -> Line {
        let bar = self.bars.as_ref().map(|(multi, whole)| {
            let template = format!("  {{spinner:.cyan}} {{prefix:{}}}  {{msg}}", self.width);
            let style =
                ProgressStyle::with_template(&template).expect("the template differs in a number only");
            let bar = multi.insert_before(whole, ProgressBar::new_spinner().with_style(style));
            bar.set_prefix(name.to_string());
            bar.enable_steady_tick(std::time::Duration::from_millis(150));
            bar
        });
        Line { bar }
    }

    /// A run ended as `what` says; `done` of all have, `worked` of them in this very process.
    pub fn end(&self, line: Option<Line>, name: &str, what: &str, done: usize, worked: usize) {
        if let Some(bar) = line.and_then(|line| line.bar) {
            bar.finish_and_clear();
        }
        let left = self.left(done, worked);
        if let Some((_, whole)) = &self.bars {
            whole.set_position(done as u64);
            whole.set_message(left.clone().unwrap_or_default());
        }
        let digits = self.total.to_string().len();
        let left = left.filter(|_| self.bars.is_none()).map_or(String::new(), |left| format!("  ({left})"));
        self.say(&format!("[{done:digits$}/{}] {name:width$}  {what}{left}", self.total, width = self.width));
    }

    /// Writes a line above the live ones.
    pub fn say(&self, text: &str) {
        match &self.bars {
            // A terminal that went away ends nothing.
            Some((multi, _)) => drop(multi.println(text)),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Takes the live lines away.
    pub fn finish(&self) {
        if let Some((multi, whole)) = &self.bars {
            whole.finish_and_clear();
            drop(multi.clear());
        }
    }

    fn left(&self, done: usize, worked: usize) -> Option<String> {
        let left = self.total - done;
        if worked == 0 || left == 0 {
            return None;
        }
        let each = self.began.elapsed().as_secs_f64() / worked as f64;
        Some(format!("about {} left", duration(each * left as f64)))
    }
}

impl Line {
    /// What the run is doing.
    pub fn show(&self, what: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(what());
        }
    }
}
