//! Claims: who is at what, among any number of workers that share a study's folder, on one machine or on several.
//!
//! A claim on NAME is the file `claims/NAME.N` with the largest N. It appears whole and locked, by a hard link that exactly one
//! worker can make, and says who holds it; emptied, it is given back. A claim whose holder is gone is never removed or
//! changed but followed by `NAME.N+1`, which again exactly one worker can make. So there is no moment at which two hold one.
//!
//! A holder is gone, on its own machine, when the file's lock is free: the kernel frees it with the last process that has the file
//! open, and a run inherits it from its worker. On other machines, or without locks, it is when the file has not been touched for
//! [`holder::SILENCE`]; ages are told by the file server's clock. What cannot be read is held: a claim is free, or lost, only where the
//! folder says so.

mod holder;

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use tempfile::TempPath;

pub use holder::Holder;
use holder::{latest, numbers};

/// How often a holder touches its claims.
const BEAT: Duration = Duration::from_secs(20);
/// After which those who wait are told for whom.
const PATIENCE: Duration = Duration::from_secs(2);

/// The claims of a study's folder, as one worker sees and makes them.
pub struct Claims {
    folder: PathBuf,
    this: Holder,
    held: Mutex<Vec<Arc<Held>>>,
    clock: Mutex<Clock>,
}

/// The file server's clock, which may differ from this machine's.
#[derive(Clone, Copy)]
struct Clock {
    server: SystemTime,
    here: SystemTime,
}

struct Held {
    folder: PathBuf,
    name: String,
    number: u64,
    file: File,
    text: String,
    lost: AtomicBool,
}

/// What is held until this is dropped.
pub struct Claim<'a> {
    claims: &'a Claims,
    held: Arc<Held>,
}

/// What came of giving a claim's file its name.
enum Linked {
    /// It is the claim.
    Ours,
    /// Somebody else holds it.
    Held(Holder),
    /// Somebody made a later one, which may be free again.
    Late,
}

impl Claims {
    /// Of the study in `out`; its folder of claims is created.
    pub fn of(out: &Path) -> Result<Claims> {
        let folder = out.join("claims");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let now = SystemTime::now();
        let clock = Mutex::new(Clock { server: now, here: now });
        let claims = Claims { folder, this: Holder::this(), held: Mutex::default(), clock };
        // A file that comes to nothing tells the server's time.
        claims.prepare("", 0)?;
        Ok(claims)
    }

    /// Takes the claim, or tells who holds it.
    ///
    /// # Errors
    /// The folder cannot be read or written, or its file system has no hard links.
    pub fn take(&self, name: &str) -> Result<std::result::Result<Claim<'_>, Holder>> {
        let cannot_read = || format!("cannot read {}", self.folder.display());
        let mut known = None;
        loop {
            known = latest(&self.folder, name).with_context(cannot_read)?.max(known);
            // By the clock as it was known last first: it saves a file where the claim is held beyond doubt.
            if let Some(number) = known
                && let Some(holder) = self.holder(name, number).with_context(cannot_read)?
            {
                return Ok(Err(holder));
            }
            let number = known.map_or(1, |number| number + 1);
            let (fresh, held) = self.prepare(name, number)?;
            let linked = self.link(&fresh, &held, known).with_context(|| {
                let place = self.folder.display();
                format!("cannot claim {name} in {place}; the study's folder must be on a file system with hard links")
            })?;
            match linked {
                Linked::Ours => {
                    self.remove_before(name, number);
                    lock(&self.held).push(Arc::clone(&held));
                    return Ok(Ok(Claim { claims: self, held }));
                }
                Linked::Held(holder) => return Ok(Err(holder)),
                // A folder that is read from a network's cache may not show that one yet.
                Linked::Late => known = Some(number),
            }
        }
    }

    /// As [`Claims::take`], and waits while another holds it, whom `say` is told; `None` once `stop` is raised.
    pub fn wait_for(&self, name: &str, stop: &AtomicBool, say: impl Fn(&str)) -> Result<Option<Claim<'_>>> {
        let began = Instant::now();
        let mut told = None;
        loop {
            let holder = match self.take(name)? {
                Ok(claim) => return Ok(Some(claim)),
                Err(holder) => holder,
            };
            if stop.load(Ordering::SeqCst) {
                return Ok(None);
            }
            if told.as_ref() != Some(&holder) && began.elapsed() >= PATIENCE {
                say(&format!("waiting for {holder}, which is at the {name}"));
                told = Some(holder);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Does `work`, and meanwhile touches what is held every [`BEAT`], so that other machines see that this worker is alive.
    pub fn while_alive<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.beat(&done));
            // Also when `work` panics: this scope waits for the beat to end.
            let _raised = RaisedAtEnd(&done);
            work()
        })
    }

    fn beat(&self, done: &AtomicBool) {
        // By the clock that goes on while a machine is suspended: whoever wakes looks at once what was taken over.
        let mut touched = SystemTime::now();
        while !done.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
            if touched.elapsed().map_or(true, |elapsed| elapsed >= BEAT) {
                touched = SystemTime::now();
                lock(&self.held).iter().for_each(|held| held.touch());
            }
        }
    }

    /// Who is at what, by name.
    pub fn holders(&self) -> io::Result<BTreeMap<String, Holder>> {
        all_holders(&self.folder, &self.this, self.now())
    }

    /// A claim's file before it has its name, locked and with its text.
    fn prepare(&self, name: &str, number: u64) -> Result<(TempPath, Arc<Held>)> {
        let prepare = || -> io::Result<(File, TempPath, String)> {
            let mut builder = tempfile::Builder::new();
            // As of any file: workers may be other people's.
            let fresh =
                builder.prefix(".").permissions(Permissions::from_mode(0o666)).tempfile_in(&self.folder)?;
            let (file, fresh) = fresh.into_parts();
            // Of a file system without locks the age of the file decides.
            let text = self.this.text(file.try_lock().is_ok())?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_all()?;
            *lock(&self.clock) = Clock { server: file.metadata()?.modified()?, here: SystemTime::now() };
            Ok((file, fresh, text))
        };
        let (file, fresh, text) = prepare().with_context(|| {
            format!(
                "cannot write into {}; check that the folder is writable and the disk not full",
                self.folder.display()
            )
        })?;
        let lost = AtomicBool::new(false);
        let held = Held { folder: self.folder.clone(), name: name.into(), number, file, text, lost };
        Ok((fresh, Arc::new(held)))
    }

    /// Gives the prepared file the name that its number says, unless another has it, or a later one.
    fn link(&self, fresh: &Path, held: &Held, latest_seen: Option<u64>) -> io::Result<Linked> {
        // The server's clock is known better now.
        if let Some(number) = latest_seen
            && let Some(holder) = self.holder(&held.name, number)?
        {
            return Ok(Linked::Held(holder));
        }
        let path = held.path();
        match fs::hard_link(fresh, &path) {
            Ok(()) => {}
            // A network file system may have done it and lost the answer.
            Err(_) if held.file.metadata()?.nlink() == 2 => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Linked::Late),
            Err(error) => return Err(error),
        }
        // Whoever looked long ago may have made one that was already over, and removed.
        let latest = latest(&self.folder, &held.name);
        if matches!(latest, Ok(Some(latest)) if latest <= held.number) {
            return Ok(Linked::Ours);
        }
        match fs::remove_file(&path) {
            // Whoever holds the later one has removed it.
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => latest.map(|_| Linked::Late),
        }
    }

    /// Who holds the claim `name` of this number.
    fn holder(&self, name: &str, number: u64) -> io::Result<Option<Holder>> {
        Holder::of_file(&self.folder.join(format!("{name}.{number}")), &self.this, self.now())
    }

    /// By the file server's clock.
    fn now(&self) -> SystemTime {
        let clock = *lock(&self.clock);
        match SystemTime::now().duration_since(clock.here) {
            Ok(since) => clock.server + since,
            // This machine's clock was put back.
            Err(_) => clock.server,
        }
    }

    /// Claims that are over need no file.
    fn remove_before(&self, name: &str, number: u64) {
        for (other, known) in numbers(&self.folder).unwrap_or_default() {
            if other == name && known < number {
                // It stays where it is, and means nothing.
                drop(fs::remove_file(self.folder.join(format!("{name}.{known}"))));
            }
        }
    }
}

/// Raises its flag when it is dropped.
struct RaisedAtEnd<'a>(&'a AtomicBool);

impl Drop for RaisedAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Held {
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.{}", self.name, self.number))
    }

    fn touch(&self) {
        if matches!(latest(&self.folder, &self.name), Ok(Some(latest)) if latest > self.number) {
            self.lost.store(true, Ordering::SeqCst);
        } else {
            // The same text again: the file server dates it. What cannot be written now may be with the next beat.
            drop(self.file.write_all_at(self.text.as_bytes(), 0).and_then(|()| self.file.sync_all()));
        }
    }
}

impl Claim<'_> {
    /// For a process that shall keep the claim alive while it lives.
    pub fn file(&self) -> &File {
        &self.held.file
    }

    /// Whether another worker took it over, because this one was silent for too long.
    pub fn is_lost(&self) -> bool {
        self.held.lost.load(Ordering::SeqCst)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.claims.held);
        held.retain(|other| !Arc::ptr_eq(other, &self.held));
        // Else others find out by the lock, or by the file's age.
        drop(self.held.file.set_len(0));
    }
}

/// Who is at what in a study's folder, by name. Writes nothing, and so tells ages by this machine's clock; without claims, or where
/// they cannot be read, nobody is.
pub fn holders(out: &Path) -> BTreeMap<String, Holder> {
    all_holders(&out.join("claims"), &Holder::this(), SystemTime::now()).unwrap_or_default()
}

fn all_holders(folder: &Path, this: &Holder, now: SystemTime) -> io::Result<BTreeMap<String, Holder>> {
    let mut last = BTreeMap::new();
    for (name, number) in numbers(folder)? {
        let known = last.entry(name).or_insert(number);
        *known = number.max(*known);
    }
    let mut holders = BTreeMap::new();
    for (name, number) in last {
        if let Some(holder) = Holder::of_file(&folder.join(format!("{name}.{number}")), this, now)? {
            holders.insert(name, holder);
        }
    }
    Ok(holders)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread that panicked left is still a list, or a time.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests;
