use super::holder::SILENCE;
use super::*;

/// A claim as a worker of another machine left it, `age` ago by this machine's clock.
fn of_another_machine(out: &Path, age: Duration) {
    let holder = r#"{"host": "far", "boot": "another", "pid": 1, "locked": true}"#;
    claim_file(out, holder, age);
}

fn claim_file(out: &Path, text: &str, age: Duration) {
    let path = out.join("claims/a.4");
    fs::write(&path, text).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn takes(claims: &Claims) -> bool {
    claims.take("a").unwrap().is_ok()
}

/// What the workers get that ask at the same time. All have asked before any gives back.
fn ask_at_once(workers: &[Claims]) -> usize {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            workers.iter().map(|worker| scope.spawn(|| worker.take("a").unwrap().ok())).collect();
        let got: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        got.iter().flatten().count()
    })
}

#[test]
fn one_of_many_gets_it_and_the_next_one_when_it_is_given_back() {
    let out = tempfile::tempdir().unwrap();
    let workers: Vec<Claims> = (0..8).map(|_| Claims::of(out.path()).unwrap()).collect();
    for _ in 0..20 {
        assert_eq!(ask_at_once(&workers), 1);
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
    assert!(matches!(claims.link(&fresh, &held, None), Ok(Linked::Ours)));
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
    assert_eq!(ask_at_once(&workers), 1, "one of those that wait takes it over");
}

#[test]
fn without_locks_the_age_decides_on_the_same_machine_too() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    let unlocked = Holder::this().text(false).unwrap();
    claim_file(out.path(), &unlocked, SILENCE / 2);
    assert!(!takes(&claims));
    claim_file(out.path(), &unlocked, SILENCE * 2);
    assert!(takes(&claims));
}

#[test]
fn ages_are_told_by_the_file_servers_clock() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    // As when this machine's clock is ahead, and when it is behind.
    let here = SystemTime::now();
    *lock(&claims.clock) = Clock { server: here - SILENCE, here };
    of_another_machine(out.path(), SILENCE * 3 / 2);
    assert!(!takes(&claims) && claims.holders().unwrap().contains_key("a"));
    *lock(&claims.clock) = Clock { server: here + SILENCE, here };
    of_another_machine(out.path(), SILENCE / 2);
    assert!(claims.holders().unwrap().is_empty());
}

#[test]
fn who_finds_only_by_the_servers_clock_that_it_is_held_is_told_by_whom() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    of_another_machine(out.path(), Duration::ZERO);
    let here = SystemTime::now();
    *lock(&claims.clock) = Clock { server: here + 2 * SILENCE, here };
    assert_eq!(claims.take("a").unwrap().err().unwrap().host, "far");
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
fn a_folder_that_cannot_be_read_now_takes_nothing_from_anybody() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    let claim = claims.take("a").unwrap().ok().unwrap();
    let (folder, away) = (out.path().join("claims"), out.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    claim.held.touch();
    assert!(!claim.is_lost());
    assert!(claims.take("b").is_err());
    fs::rename(&away, &folder).unwrap();
    assert!(!takes(&Claims::of(out.path()).unwrap()));
}

#[test]
fn a_claim_that_cannot_be_read_is_held_until_its_silence() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    claim_file(out.path(), "of a version to come", SILENCE / 2);
    assert_eq!(claims.take("a").unwrap().err().unwrap().to_string(), "a process on an unknown machine");
    claim_file(out.path(), "of a version to come", SILENCE * 2);
    assert!(takes(&claims));
    // A link to itself can be neither opened nor asked for its age.
    std::os::unix::fs::symlink("b.1", out.path().join("claims/b.1")).unwrap();
    assert!(claims.take("b").is_err());
}

#[test]
fn who_looked_long_ago_cannot_take_what_was_taken_and_given_back_since() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    let (fresh, held) = claims.prepare("a", 1).unwrap();
    for _ in 0..3 {
        assert!(takes(&claims));
    }
    assert!(matches!(claims.link(&fresh, &held, None), Ok(Linked::Late)));
    assert_eq!(numbers(&out.path().join("claims")).unwrap(), [("a".to_string(), 3)]);
}

#[test]
fn many_that_come_and_go_at_once_hinder_nobody() {
    let out = tempfile::tempdir().unwrap();
    let workers: Vec<Claims> = (0..8).map(|_| Claims::of(out.path()).unwrap()).collect();
    let at_it = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in &workers {
            scope.spawn(|| {
                for _ in 0..50 {
                    // A claim that was removed between two looks is no error.
                    if let Ok(claim) = worker.take("a").unwrap() {
                        assert_eq!(at_it.fetch_add(1, Ordering::SeqCst), 0, "it is held by one");
                        at_it.fetch_sub(1, Ordering::SeqCst);
                        drop(claim);
                    }
                }
            });
        }
    });
}

#[test]
fn who_waits_says_for_whom_and_can_be_stopped() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    of_another_machine(out.path(), Duration::ZERO);
    let (stop, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let say = |text: &str| {
        lock(&told).push(text.to_string());
        stop.store(true, Ordering::SeqCst);
    };
    assert!(claims.wait_for("a", &stop, say).unwrap().is_none());
    assert_eq!(*lock(&told), ["waiting for process 1 on far, which is at the a"]);
    assert!(claims.wait_for("b", &stop, |_| ()).unwrap().is_some(), "what is free is taken all the same");
}

#[test]
fn a_panic_in_the_work_ends_the_beat() {
    let out = tempfile::tempdir().unwrap();
    let claims = Claims::of(out.path()).unwrap();
    let work = std::panic::AssertUnwindSafe(|| claims.while_alive(|| panic!("as if of a slot")));
    assert!(std::panic::catch_unwind(work).is_err());
}
