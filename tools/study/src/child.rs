//! Runs one command of the `diptych` binary as a process of its own and waits for it.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(100);

/// What all children share.
pub struct Children {
    /// The `diptych` binary.
    pub executable: PathBuf,
    /// Handed on as `--plugin-path`.
    pub plugin_path: Vec<PathBuf>,
    /// Raised when the study shall end.
    pub stop: std::sync::Arc<AtomicBool>,
    /// Holds the study's lock. Every child inherits it as its standard input, so that the lock lasts as long as any of
    /// them does, even when the study itself is killed.
    pub lock: File,
}

/// How a child ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// With success, and this on standard output.
    Well(String),
    /// Because the study was told to stop.
    Stopped,
    /// With this message.
    Badly(String),
}

impl Children {
    /// Runs the binary with `arguments` until it ends; calls `look` now and then. A raised stop flag is handed on once
    /// as SIGINT, and the child is left to end in its own time.
    pub fn run(&self, arguments: &[String], mut look: impl FnMut()) -> Result<Ended> {
        let mut command = Command::new(&self.executable);
        for path in &self.plugin_path {
            command.arg("--plugin-path").arg(path);
        }
        command.args(arguments);
        let lock = self.lock.try_clone().context("cannot hand the study's lock to a run")?;
        // A group of its own: a Ctrl-C in the terminal would else reach the child twice, and the second one ends it
        // without a checkpoint.
        command.stdin(lock).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.executable.display()))?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let mut told = false;
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a run")? {
                break status;
            }
            if self.stop.load(Ordering::SeqCst) && !told {
                told = true;
                // It may have ended just now; then there is nobody left to tell.
                let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
            }
            look();
            thread::sleep(POLL);
        };
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        Ok(if status.success() {
            Ended::Well(stdout)
        } else if told {
            Ended::Stopped
        } else {
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit status {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended badly".to_string(),
            };
            Ended::Badly(message(&stderr, &how))
        })
    }
}

/// Everything that comes out of a pipe, read beside the child so that it never blocks on a full one.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The last error in what a child wrote, or how it ended when it wrote none.
fn message(stderr: &str, how: &str) -> String {
    let text = stderr.rfind("error: ").map_or(stderr, |at| &stderr[at + "error: ".len()..]).trim();
    if text.is_empty() {
        return format!("{how} and said nothing");
    }
    let lines: Vec<&str> = text.lines().collect();
    // Enough for all the keys in which two configurations differ, not for a backtrace without end.
    let from = if stderr.contains("error: ") { 0 } else { lines.len().saturating_sub(20) };
    lines[from..].iter().take(60).copied().collect::<Vec<_>>().join("\n")
}

/// Opens and takes the lock of the study's folder.
pub fn lock(out: &Path) -> Result<File> {
    let path = out.join(".lock");
    let file = File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => anyhow::bail!(
            "another study, or a run that one left behind, is at work in {}; wait for it or end it",
            out.display()
        ),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Whether a study, or a run that one left behind, holds the lock of the folder.
pub fn is_at_work(out: &Path) -> bool {
    let lock = File::open(out.join(".lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn the_last_error_is_the_message() {
        assert_eq!(
            message("note\nerror: no images in x\n  because: y\n", "h"),
            "no images in x\n  because: y"
        );
        assert_eq!(message("Segmentation fault\n", "h"), "Segmentation fault");
        assert_eq!(message("", "was ended by signal 9"), "was ended by signal 9 and said nothing");
    }
}
