//! What a person sees while a study runs: a live table of its runs on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Stderr, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use console::Term;
use diptych_report::text::duration;

use crate::live::{Overview, Pace, Watched};
use crate::plan::PlannedRun;
use crate::screen::Screen;
use crate::table::{self, Doing, Extent};

/// From one frame to the next.
const FRAME: Duration = Duration::from_millis(250);
/// From one look at the runs' folders to the next, at least.
const LOOK: Duration = Duration::from_secs(1);
/// A look that takes long is followed by a pause of so many times that: a study of hundreds of runs leaves the cores to them.
const PAUSE: u32 = 20;
/// Bytes of metrics that one look may read.
const BUDGET: usize = 1 << 24;

/// Shows progress on standard error.
pub struct Progress {
    live: Option<Live>,
    width: usize,
    total: usize,
    began: Instant,
}

/// The thread that draws.
struct Live {
    content: Arc<Content>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the drawing thread is told.
struct Content {
    told: Mutex<Told>,
    stop: Arc<AtomicBool>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Told {
    /// Lines that are to scroll past.
    above: Vec<String>,
    doing: Doing,
}

impl Content {
    fn told(&self) -> MutexGuard<'_, Told> {
        // Lines that a thread left when it panicked are still lines.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One run at work.
pub struct Line {
    id: String,
    content: Option<Arc<Content>>,
}

/// Writes a line where no live table stands.
pub fn say(text: &str) {
    // A terminal that went away ends nothing.
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Whether a study shows a live table: standard error is a terminal that can place its cursor.
pub fn is_live() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

impl Progress {
    /// For the study in `out`, which consists of `runs`. A raised `stop` is told.
    pub fn new(runs: &[PlannedRun], out: &Path, stop: &Arc<AtomicBool>) -> Progress {
        // Where the thread that draws cannot be started there are plain lines.
        let live = if is_live() { Live::start(out.to_path_buf(), Arc::clone(stop)).ok() } else { None };
        let width = runs.iter().map(|run| run.id.len()).max().unwrap_or(0);
        Progress { live, width, total: runs.len(), began: Instant::now() }
    }

    /// A run begins.
    pub fn begin(&self, name: &str) -> Line {
        let content = self.live.as_ref().map(|live| Arc::clone(&live.content));
        let line = Line { id: name.to_string(), content };
        line.show(|| "at work".into());
        line
    }

    /// A run ended as `what` says; `done` of all have, `worked` of them in this very process.
    pub fn end(&self, line: Option<Line>, name: &str, what: &str, done: usize, worked: usize) {
        drop(line);
        let left = self.left(done, worked).filter(|_| self.live.is_none());
        let left = left.map_or(String::new(), |left| format!("  ({left})"));
        let digits = self.total.to_string().len();
        self.say(&format!("[{done:digits$}/{}] {name:width$}  {what}{left}", self.total, width = self.width));
    }

    /// Writes a line above the live ones.
    pub fn say(&self, text: &str) {
        match &self.live {
            Some(live) => live.content.told().above.extend(text.lines().map(String::from)),
            None => say(text),
        }
    }

    /// Takes the live lines away.
    pub fn finish(&self) {
        if let Some(live) = &self.live {
            live.finish();
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

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Line {
    /// What the run is doing where its folder does not say it.
    pub fn show(&self, what: impl FnOnce() -> String) {
        if let Some(content) = &self.content {
            content.told().doing.insert(self.id.clone(), what());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(content) = &self.content {
            content.told().doing.remove(&self.id);
        }
    }
}

impl Live {
    fn start(out: PathBuf, stop: Arc<AtomicBool>) -> std::io::Result<Live> {
        let content = Arc::new(Content { told: Mutex::default(), stop, ended: AtomicBool::new(false) });
        let shown = Arc::clone(&content);
        let thread = std::thread::Builder::new().name("progress".into()).spawn(move || draw(&out, &shown))?;
        Ok(Live { content, thread: Mutex::new(Some(thread)) })
    }

    fn finish(&self) {
        self.content.ended.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It has nobody to report a panic to but the terminal, which has it.
        if let Some(thread) = thread {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// Draws until the end, then leaves only what scrolled past.
fn draw(out: &Path, content: &Content) {
    let terminal = Term::stderr();
    let mut screen: Screen<Stderr> = Screen::new(std::io::stderr());
    let mut watched = Watched::open(out).ok();
    let mut overview: Option<Overview> = None;
    let mut pace = Pace::new(LOOK, PAUSE);
    loop {
        let ended = content.ended.load(Ordering::SeqCst);
        if !ended && pace.is_due() {
            overview = pace.look(|| watched.as_mut().map(|watched| watched.look(&mut { BUDGET })));
        }
        let (rows, columns) = terminal.size();
        let extent = Extent { rows: rows.into(), columns: columns.into() };
        let stopping = content.stop.load(Ordering::SeqCst);
        let note = stopping.then_some("stopping, each run writes a checkpoint; Ctrl-C again stops at once");
        let (above, block) = {
            let mut told = content.told();
            let block = overview.clone().filter(|_| !ended).map(|mut overview| {
                overview.at_work(|id| told.doing.contains_key(id));
                table::lines(&overview, &told.doing, extent, note)
            });
            (std::mem::take(&mut told.above), block.unwrap_or_default())
        };
        screen.draw(&above, &block, extent.columns);
        if ended {
            return;
        }
        std::thread::park_timeout(FRAME);
    }
}
