//! Runs one command of the `diptych` binary as a process of its own and waits for it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
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
}

/// What a child is to do, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Go on.
    GoOn,
    /// Write a checkpoint and end, in its own time.
    Stop,
    /// End without another word: what it would write is somebody else's by now.
    Die,
}

/// How a child ended.
#[derive(Debug, PartialEq)]
pub enum Ended {
    /// With success.
    Well,
    /// Because it was told to stop.
    Stopped,
    /// With this message.
    Badly(String),
}

impl Children {
    /// Runs the binary with `arguments` until it ends, and passes on what `order` says meanwhile. It inherits `claim` as its
    /// standard input, so that the run stays claimed as long as it lives, even when this process is killed.
    ///
    /// # Errors
    /// The binary cannot be started.
    pub fn run(&self, arguments: &[OsString], claim: &File, order: impl Fn() -> Order) -> Result<Ended> {
        let mut command = Command::new(&self.executable);
        for path in &self.plugin_path {
            command.arg("--plugin-path").arg(path);
        }
        command.args(arguments).args(["--parent", &std::process::id().to_string()]);
        let claim = claim.try_clone().context("cannot hand a run's claim to it")?;
        // A group of its own: a Ctrl-C in the terminal would else reach the child twice, and the second one ends it
        // without a checkpoint.
        command.stdin(claim).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.executable.display()))?;
        let stderr = collect(child.stderr.take());
        let mut told = Order::GoOn;
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for a run")? {
                break status;
            }
            let order = order();
            if order > told {
                told = order;
                let signal = if order == Order::Die { Signal::SIGKILL } else { Signal::SIGINT };
                // It may have ended just now; then there is nobody left to tell.
                let _ = kill(Pid::from_raw(child.id() as i32), signal);
            }
            thread::sleep(POLL);
        };
        let stderr = stderr.join().unwrap_or_default();
        Ok(if status.success() {
            Ended::Well
        } else if told > Order::GoOn {
            Ended::Stopped
        } else {
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit status {code}"),
                (None, Some(9)) => {
                    "was ended by signal 9, as the system does when memory runs out".to_string()
                }
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
    const LABEL: &str = "error: ";
    let lines: Vec<&str> = stderr.trim().lines().collect();
    if lines.is_empty() {
        return format!("{how} and said nothing");
    }
    // Enough for all the keys in which two configurations differ, not for a backtrace without end.
    match lines.iter().rposition(|line| line.starts_with(LABEL)) {
        Some(at) => {
            let error = lines[at..].iter().take(60).copied().collect::<Vec<_>>().join("\n");
            error[LABEL.len()..].to_string()
        }
        None => format!("{how}: {}", lines[lines.len().saturating_sub(20)..].join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_message() {
        assert_eq!(
            message("note\nerror: one\nerror: no images in x\n  because: y\n", "h"),
            "no images in x\n  because: y"
        );
        assert_eq!(
            message("Segmentation fault\n", "was ended by signal 11"),
            "was ended by signal 11: Segmentation fault"
        );
        assert_eq!(message("", "was ended by signal 9"), "was ended by signal 9 and said nothing");
    }

    #[test]
    fn an_error_that_names_another_one_is_told_whole() {
        let error = "libtorch: CUDA error: an illegal memory access was encountered";
        assert_eq!(message(&format!("error: {error}\n"), "h"), error);
        assert_eq!(message("CUDA error: lost\n", "ended badly"), "ended badly: CUDA error: lost");
    }
}
