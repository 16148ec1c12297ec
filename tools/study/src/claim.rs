//! Claims: who is at what, among any number of workers that share a study's folder, on one machine or on several.
//!
//! A claim on NAME is the file `claims/NAME.N` with the largest N. It appears whole and locked, by a hard link that exactly one
//! worker can make, and says who holds it; emptied, it is given back. A claim whose holder is gone is never removed or
//! changed but followed by `NAME.N+1`, which again exactly one worker can make. So there is no moment at which two hold one.
//!
//! A holder is gone, on its own machine, when the file's lock is free: the kernel frees it with the last process that has the file
//! open, and a run inherits it from its worker. On other machines, or without locks, it is when the file has not been touched for
//! [`SILENCE`]; ages are told by the file server's clock.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tempfile::TempPath;

/// How often a holder touches its claims.
pub const BEAT: Duration = Duration::from_secs(20);
/// After which a holder on another machine counts as gone. Network file systems may show times that are a minute old.
pub const SILENCE: Duration = Duration::from_secs(300);

/// Who holds a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine, for people.
    pub host: String,
    /// The machine since it was started.
    boot: String,
    /// The worker.
    pub pid: u32,
    /// Whether the file is locked too.
    locked: bool,
}

impl Holder {
    fn this() -> Holder {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_string();
        Holder {
            host: text("/proc/sys/kernel/hostname"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            pid: std::process::id(),
            locked: true,
        }
    }
}

/// The claims of a study's folder, as one worker sees and makes them.
pub struct Claims {
    folder: PathBuf,
    this: Holder,
    held: Mutex<Vec<Arc<Held>>>,
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

impl Claims {
    /// Of the study in `out`; its folder of claims is created.
    pub fn of(out: &Path) -> Result<Claims> {
        let folder = out.join("claims");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Claims { folder, this: Holder::this(), held: Mutex::default() })
    }

    /// Takes the claim, or tells who holds it.
    ///
    /// # Errors
    /// The folder cannot be written, or its file system has no hard links.
    pub fn take(&self, name: &str) -> Result<std::result::Result<Claim<'_>, Holder>> {
        loop {
            let latest = latest(&self.folder, name);
            // By this machine's clock first: it saves a file where the claim is held beyond doubt.
            if let Some(holder) = latest.and_then(|number| self.holder(name, number, SystemTime::now())) {
                return Ok(Err(holder));
            }
            let number = latest.map_or(1, |number| number + 1);
            let (fresh, held) = self.prepare(name, number)?;
            let linked = self.link(&fresh, &held, latest);
            match linked {
                Ok(true) => {
                    self.remove_before(name, number);
                    lock(&self.held).push(Arc::clone(&held));
                    return Ok(Ok(Claim { claims: self, held }));
                }
                // Somebody was faster: look again who.
                Ok(false) => {}
                Err(error) => {
                    let place = self.folder.display();
                    return Err(error).with_context(|| {
                        format!("cannot claim {name} in {place}; the study's folder must be on a file system with hard links")
                    });
                }
            }
        }
    }

    /// As [`Claims::take`], and waits while another holds it.
    pub fn wait_for(&self, name: &str) -> Result<Claim<'_>> {
        loop {
            match self.take(name)? {
                Ok(claim) => return Ok(claim),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Touches what is held, every [`BEAT`] until `done`, so that other machines see that this worker is alive.
    pub fn keep_alive(&self, done: &AtomicBool) {
        let mut touched = std::time::Instant::now();
        while !done.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(50));
            if touched.elapsed() >= BEAT {
                touched = std::time::Instant::now();
                lock(&self.held).iter().for_each(|held| held.touch());
            }
        }
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
            let locked = file.try_lock().is_ok();
            let text = serde_json::to_string(&Holder { locked, ..self.this.clone() })?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_all()?;
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

    /// Gives the prepared file the name that its number says; false when another has it, or a later one.
    fn link(&self, fresh: &Path, held: &Held, latest_seen: Option<u64>) -> io::Result<bool> {
        let now = held.file.metadata()?.modified()?;
        if latest_seen.is_some_and(|number| self.holder(&held.name, number, now).is_some()) {
            return Ok(false);
        }
        let path = held.path();
        match fs::hard_link(fresh, &path) {
            Ok(()) => {}
            // A network file system may have done it and lost the answer.
            Err(_) if held.file.metadata()?.nlink() == 2 => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error),
        }
        // Whoever looked long ago may have made one that was already over, and removed.
        let is_latest = latest(&self.folder, &held.name) == Some(held.number);
        if !is_latest {
            fs::remove_file(&path)?;
        }
        Ok(is_latest)
    }

    /// Who holds the claim `name` of this number at the time `now`.
    fn holder(&self, name: &str, number: u64, now: SystemTime) -> Option<Holder> {
        holder(&self.folder.join(format!("{name}.{number}")), &self.this, now)
    }

    /// Claims that are over need no file.
    fn remove_before(&self, name: &str, number: u64) {
        for (other, known) in numbers(&self.folder) {
            if other == name && known < number {
                // It stays where it is, and means nothing.
                drop(fs::remove_file(self.folder.join(format!("{name}.{known}"))));
            }
        }
    }
}

impl Held {
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.{}", self.name, self.number))
    }

    fn touch(&self) {
        if latest(&self.folder, &self.name) != Some(self.number) {
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

/// Who is at what in a study's folder, by name. Writes nothing.
pub fn holders(out: &Path) -> std::collections::BTreeMap<String, Holder> {
    let folder = out.join("claims");
    let this = Holder::this();
    let mut last = std::collections::BTreeMap::new();
    for (name, number) in numbers(&folder) {
        let known = last.entry(name).or_insert(number);
        *known = number.max(*known);
    }
    let of = |(name, number): (String, u64)| {
        let holder = holder(&folder.join(format!("{name}.{number}")), &this, SystemTime::now())?;
        Some((name, holder))
    };
    last.into_iter().filter_map(of).collect()
}

/// The holder that the file names, unless it gave the claim back or is gone.
fn holder(path: &Path, this: &Holder, now: SystemTime) -> Option<Holder> {
    let file = File::open(path).ok()?;
    let holder: Holder = serde_json::from_str(&io::read_to_string(&file).ok()?).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => return Some(holder),
        Ok(()) if holder.locked && holder.boot == this.boot => return None,
        _ => {}
    }
    let age = now.duration_since(file.metadata().and_then(|data| data.modified()).ok()?).unwrap_or_default();
    (age < SILENCE).then_some(holder)
}

fn latest(folder: &Path, name: &str) -> Option<u64> {
    numbers(folder).into_iter().filter(|(other, _)| other == name).map(|(_, number)| number).max()
}

/// Names and numbers of all claims in the folder.
fn numbers(folder: &Path) -> Vec<(String, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| {
        let file = entry.file_name().into_string().ok()?;
        let (name, number) = file.rsplit_once('.')?;
        Some((name.to_string(), number.parse().ok()?)).filter(|(name, _)| !name.starts_with('.'))
    };
    entries.filter_map(read).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a thread that panicked left is still a list.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A claim as a worker of another machine left it, `age` ago.
    fn of_another_machine(out: &Path, age: Duration) {
        let holder = Holder { host: "far".into(), boot: "another".into(), pid: 1, locked: true };
        let path = out.join("claims/a.4");
        fs::write(&path, serde_json::to_string(&holder).unwrap()).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    fn takes(claims: &Claims) -> bool {
        claims.take("a").unwrap().is_ok()
    }

    #[test]
    fn one_of_many_gets_it_and_the_next_one_when_it_is_given_back() {
        let out = tempfile::tempdir().unwrap();
        let workers: Vec<Claims> = (0..8).map(|_| Claims::of(out.path()).unwrap()).collect();
        for _ in 0..20 {
            let got = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    workers.iter().map(|worker| scope.spawn(|| worker.take("a").unwrap().ok())).collect();
                // All are asked for before any is given back.
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            assert_eq!(got.iter().flatten().count(), 1);
        }
        let claim = workers[0].take("a").unwrap().ok().unwrap();
        assert_eq!(workers[1].take("a").unwrap().err(), Some(Holder::this()));
        assert_eq!(holders(out.path()).keys().collect::<Vec<_>>(), ["a"]);
        assert!(workers[1].take("b").unwrap().is_ok(), "another name is another claim");
        drop(claim);
        assert_eq!(holders(out.path()).len(), 0);
    }

    #[test]
    fn a_process_that_inherited_it_keeps_it_after_its_worker() {
        let out = tempfile::tempdir().unwrap();
        let (claims, other) = (Claims::of(out.path()).unwrap(), Claims::of(out.path()).unwrap());
        let (fresh, held) = claims.prepare("a", 1).unwrap();
        assert!(claims.link(&fresh, &held, None).unwrap());
        let inherited = held.file.try_clone().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(inherited).spawn().unwrap();
        // As when the worker is killed: its files are closed, and nothing is given back.
        drop(held);
        assert!(!takes(&other));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(takes(&other));
    }

    #[test]
    fn a_worker_of_another_machine_is_gone_after_its_silence() {
        let out = tempfile::tempdir().unwrap();
        let claims = Claims::of(out.path()).unwrap();
        of_another_machine(out.path(), SILENCE / 2);
        assert_eq!(claims.take("a").unwrap().err().unwrap().host, "far");
        of_another_machine(out.path(), SILENCE * 2);
        let workers: Vec<Claims> = (0..8).map(|_| Claims::of(out.path()).unwrap()).collect();
        let got = std::thread::scope(|scope| {
            let threads: Vec<_> =
                workers.iter().map(|worker| scope.spawn(|| worker.take("a").unwrap().ok())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(got.iter().flatten().count(), 1, "one of those that wait takes it over");
    }

    #[test]
    fn who_was_taken_over_learns_it() {
        let out = tempfile::tempdir().unwrap();
        let claims = Claims::of(out.path()).unwrap();
        let claim = claims.take("a").unwrap().ok().unwrap();
        claim.held.touch();
        assert!(!claim.is_lost());
        fs::write(out.path().join("claims/a.2"), "").unwrap();
        claim.held.touch();
        assert!(claim.is_lost());
    }

    #[test]
    fn who_looked_long_ago_cannot_take_what_was_taken_and_given_back_since() {
        let out = tempfile::tempdir().unwrap();
        let claims = Claims::of(out.path()).unwrap();
        let (fresh, held) = claims.prepare("a", 1).unwrap();
        for _ in 0..3 {
            assert!(takes(&claims));
        }
        assert!(!claims.link(&fresh, &held, None).unwrap());
        assert_eq!(numbers(&out.path().join("claims")), [("a".to_string(), 3)]);
    }
}
