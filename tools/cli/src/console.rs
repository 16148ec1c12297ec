//! What the binary writes to the terminal beside its results.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes `error` and its causes to standard error, each cause once.
pub fn error(error: &anyhow::Error) {
    let label = if std::io::stderr().is_terminal() { "\x1b[1;31merror:\x1b[0m" } else { "error:" };
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors already end with the text of their cause.
        if !text.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
    }
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{label} {text}");
}

/// Writes `text` to standard error, for what is no error and still worth knowing.
pub fn note(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// Writes `text` to standard output. A reader that left (`| head`) ends the process quietly.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A flag that the first SIGINT or SIGTERM raises, which says `stopping`, if anything; the second one ends the process at once.
pub fn stop_flag(stopping: impl Into<Option<&'static str>>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let stopping = stopping.into();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        if let Some(stopping) = stopping {
            let _ = writeln!(std::io::stderr(), "\n{stopping}; press Ctrl-C again to stop at once");
        }
    })?;
    Ok(stop)
}

/// The exit status of a run that a signal ended, as shells have it for SIGINT.
pub const INTERRUPTED: u8 = 130;
