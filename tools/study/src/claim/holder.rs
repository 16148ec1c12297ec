//! Who holds a claim, by the claims' files.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// After which a holder on another machine counts as gone. Network file systems may show times that are a minute old.
pub const SILENCE: Duration = Duration::from_secs(300);

/// Who holds a claim. Displayed, it is what a person can look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine, for people.
    pub host: String,
    /// The machine since it was started.
    boot: String,
    /// The worker.
    pid: u32,
    /// Whether the file is locked too.
    locked: bool,
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            0 => write!(formatter, "a process on {}", self.host),
            pid => write!(formatter, "process {pid} on {}", self.host),
        }
    }
}

impl Holder {
    /// This process.
    pub fn this() -> Holder {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        Holder {
            host: text("/proc/sys/kernel/hostname"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            pid: std::process::id(),
            locked: true,
        }
    }

    /// As its file says it.
    pub fn text(&self, locked: bool) -> io::Result<String> {
        Ok(serde_json::to_string(&Holder { locked, ..self.clone() })?)
    }

    /// Of a claim that cannot be read, as when it is somebody else's.
    fn unknown() -> Holder {
        Holder { host: "an unknown machine".into(), boot: String::new(), pid: 0, locked: false }
    }

    /// The holder that the file of a claim names, unless there is no file, or the claim was given back, or its holder is gone, as
    /// `this` process sees it at the time `now`. Of a claim that cannot be read the age decides alone.
    ///
    /// # Errors
    /// Not even the age can be told.
    pub fn of_file(path: &Path, this: &Holder, now: SystemTime) -> io::Result<Option<Holder>> {
        let holder = match read(path) {
            Ok((file, holder)) => match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => return Ok(Some(holder)),
                Ok(()) if holder.locked && holder.boot == this.boot => return Ok(None),
                _ => holder,
            },
            Err(_) => Holder::unknown(),
        };
        match fs::metadata(path) {
            Ok(found) if found.len() == 0 => Ok(None),
            Ok(found) => {
                let age = now.duration_since(found.modified()?).unwrap_or_default();
                Ok((age < SILENCE).then_some(holder))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn read(path: &Path) -> io::Result<(File, Holder)> {
    let file = File::open(path)?;
    let holder = serde_json::from_str(&io::read_to_string(&file)?)?;
    Ok((file, holder))
}

/// The largest number of a claim on `name`.
pub fn latest(folder: &Path, name: &str) -> io::Result<Option<u64>> {
    Ok(numbers(folder)?.into_iter().filter(|(other, _)| other == name).map(|(_, number)| number).max())
}

/// Names and numbers of all claims in the folder.
pub fn numbers(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let Ok(file) = entry?.file_name().into_string() else { continue };
        // Without its name yet.
        if file.starts_with('.') {
            continue;
        }
        if let Some((name, number)) = file.rsplit_once('.')
            && let Ok(number) = number.parse()
        {
            found.push((name.to_string(), number));
        }
    }
    Ok(found)
}
