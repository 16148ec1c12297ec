//! What the binary writes to the terminal beside its results.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

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

/// Writes `text` to standard output. A reader that left (`| head`) ends the process quietly, any other failure with a message.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let Err(failure) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) else { return };
    if failure.kind() == ErrorKind::BrokenPipe {
        end(0);
    }
    error(&anyhow::anyhow!("standard output can't be written: {failure}"));
    end(1);
}

/// Ends the process, without the destructors of libtorch's globals, which other threads may still be using.
fn end(status: u8) -> ! {
    low_level::exit(status.into())
}

/// A flag that the first SIGINT, SIGTERM or SIGHUP raises, which says `stopping`, if anything; the second one ends the process at once.
pub fn stop_flag(stopping: impl Into<Option<&'static str>>) -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let stopping = stopping.into();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        for _ in signals.forever() {
            if raised.swap(true, Ordering::SeqCst) {
                end(INTERRUPTED);
            }
            if let Some(stopping) = stopping {
                let _ = writeln!(std::io::stderr(), "\n{stopping}; press Ctrl-C again to stop at once");
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(stop)
}

/// The exit status of a run that a signal ended, as shells have it for SIGINT.
pub const INTERRUPTED: u8 = 130;
