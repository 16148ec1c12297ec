//! A real run, watched as a person's browser watches it.

#[path = "report/browser.rs"]
#[allow(dead_code)] // the reports' tests use the rest
mod browser;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use browser::Browser;
use diptych_tests::{built_plugin, built_program, repository};
use serde_json::{Value, json};
use tempfile::TempDir;

fn diptych(arguments: &[&str]) -> Command {
    let mut command = Command::new(built_program());
    for package in ["diptych-augmentations", "diptych-encoders", "diptych-losses"] {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    command.env_remove("DIPTYCH_PLUGIN_PATH").current_dir(repository()).args(arguments);
    command
}

/// Ended with the test, however that ends.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A watching process and where it listens.
struct Watch {
    _process: Ending,
    address: String,
}

impl Watch {
    fn start(folder: &Path) -> Watch {
        let mut child = diptych(&["watch", folder.to_str().unwrap(), "--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_else(|| panic!("{line:?}")).to_string();
        Watch { _process: Ending(child), address }
    }

    /// Status, head and body.
    fn ask(&self, method: &str, target: &str, host: &str) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{method} {target} HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, bytes[end + 4..].to_vec())
    }

    fn get(&self, target: &str) -> (u16, String, Vec<u8>) {
        self.ask("GET", target, &self.address)
    }

    fn state(&self) -> Value {
        let (status, _, body) = self.get("/run/run/state.json");
        assert_eq!(status, 200);
        serde_json::from_slice(&body).unwrap()
    }

    /// The first state for which `is_so`.
    fn wait_for(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            let state = self.state();
            if is_so(&state) {
                return state;
            }
            sleep(Duration::from_millis(100));
        }
        panic!("{what} never came: {}", self.state()["run"]);
    }
}

#[test]
fn a_run_is_watched_while_it_goes_on_and_after_it_was_killed() {
    let folder = TempDir::new().unwrap();
    let (set, out) = (folder.path().join("set"), folder.path().join("run"));
    let made = diptych(&["synth", set.to_str().unwrap(), "--split", "train=96"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let data = format!("data.path={}", set.join("train").display());
    let mut train = diptych(&["train", "configs/pretrain/byol_demo.toml", "--quiet", "--out"]);
    train.arg(&out).args(["--set", &data]);
    for set in ["schedule.steps=100000", "loader.batch_size=16", "logging.every_steps=1", "threads=1"] {
        train.args(["--set", set]);
    }
    let mut train = Ending(train.spawn().unwrap());
    while !out.join("metrics.jsonl").is_file() {
        assert!(train.0.try_wait().unwrap().is_none(), "the run ended at once");
        sleep(Duration::from_millis(50));
    }

    let watch = Watch::start(&out);
    let first = watch.wait_for("a first line", |state| state["run"]["step"].as_u64() > Some(0));
    let run = &first["run"];
    assert_eq!((&run["state"], &run["steps"]), (&"running".into(), &100_000.into()));
    for name in ["loss", "images_per_second", "z_std", "effective_rank", "seconds_left"] {
        assert!(run[name].as_f64().is_some_and(f64::is_finite), "{name}: {run}");
    }
    assert!(run["verdict"].is_string() && run["last_line"].is_number(), "{run}");
    let step = run["step"].as_u64();
    let later = watch.wait_for("a further step", |state| state["run"]["step"].as_u64() > step);
    let titles: Vec<&str> =
        later["charts"].as_array().unwrap().iter().map(|chart| chart["title"].as_str().unwrap()).collect();
    for title in [
        "Loss",
        "z-std",
        "Effective rank",
        "Predictor gap",
        "Learning rate",
        "Waiting",
        "Batches in the queue",
    ] {
        assert!(titles.contains(&title), "{title} is not among {titles:?}");
    }
    watch.wait_for("a picture of the views", |state| state["views"].is_u64());
    let (status, _, png) = watch.get("/run/run/views.png");
    assert_eq!((status, &png[..4]), (200, &b"\x89PNG"[..]));

    train.0.kill().unwrap();
    train.0.wait().unwrap();
    let last = watch.wait_for("the end", |state| state["run"]["state"] == "interrupted");
    assert_eq!(last["run"]["detail"], "its process is gone");
    let lines = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let line = lines.lines().rev().find_map(|line| serde_json::from_str::<Value>(line).ok());
    assert_eq!(last["run"]["step"], line.unwrap()["step"]);
}

/// A study in the folder, of which nothing has run.
fn begin_study(folder: &Path, bases: &[&str]) {
    let base = |id: &&str| json!({ "id": id, "label": id.to_uppercase(), "config": "run.toml", "sets": [] });
    let study = json!({
        "name": "small", "title": "A small study", "seeds": [0], "evaluation": "e.toml", "baseline": "baseline",
        "jobs": null, "devices": [], "jobs_per_device": 1, "sets": [], "random_init": false, "reference": null,
        "bases": bases.iter().map(base).collect::<Vec<_>>(),
        "variants": [{ "id": "baseline", "label": "baseline", "sets": [] }],
    });
    let kept = json!({ "fingerprints": {}, "protocol": {}, "remarks": [], "study": study });
    fs::write(folder.join("fresh"), kept.to_string()).unwrap();
    fs::rename(folder.join("fresh"), folder.join("study.json")).unwrap();
}

/// Waits until an expression in the page is `expected`.
fn wait_in_page(browser: &mut Browser, expression: &str, expected: &str) {
    let mut found = Value::Null;
    for _ in 0..600 {
        found = browser.evaluate(expression);
        if found == expected {
            return;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("{expression} never was {expected:?}: {found}");
}

#[test]
fn the_pages_of_a_study_that_is_begun_again_show_what_there_is_now() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    begin_study(folder.path(), &["a", "b"]);
    let watch = Watch::start(folder.path());
    let texts = |which: &str| {
        format!("[...document.querySelectorAll('{which}')].map(node => node.textContent).join(' ')")
    };
    browser.visit(&format!("http://{}/", watch.address), 1000, 800);
    wait_in_page(&mut browser, &texts("tbody th a"), "a-baseline-seed0 b-baseline-seed0");
    begin_study(folder.path(), &["c", "a"]);
    wait_in_page(&mut browser, &texts("tbody th a"), "c-baseline-seed0 a-baseline-seed0");
    wait_in_page(&mut browser, &texts(".legend > span"), "C A");

    browser.visit(&format!("http://{}/run/c-baseline-seed0", watch.address), 1000, 800);
    wait_in_page(&mut browser, &texts("#title"), "c-baseline-seed0");
    begin_study(folder.path(), &["a"]);
    let trouble = "document.getElementById('lost').textContent.slice(0, 21)";
    wait_in_page(&mut browser, trouble, "there is nothing here");
}

#[test]
fn the_server_is_for_this_machine_and_for_looking_only() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("run.json"), "{\"state\": \"finished\", \"step\": 3, \"steps\": 3}")
        .unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let watch = Watch::start(folder.path());
    assert!(watch.address.starts_with("127.0.0.1:"), "{}", watch.address);
    let port = watch.address.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    // Sockets that listen (0A), as ADDRESS:PORT in hexadecimal.
    let listening =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    let ours: Vec<&str> = listening
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| line.split_whitespace().nth(3) == Some("0A"))
        .filter_map(|line| line.split_whitespace().nth(1))
        .filter(|local| local.ends_with(&format!(":{port:04X}")))
        .collect();
    assert_eq!(ours, [format!("0100007F:{port:04X}")]);

    let (status, head, _) = watch.get("/");
    assert_eq!(status, 200);
    assert!(head.contains("Content-Security-Policy: default-src 'none'; script-src 'self'"), "{head}");
    assert!(head.contains("Cross-Origin-Resource-Policy: same-origin"), "{head}");
    let (status, _, body) = watch.ask("HEAD", "/", &watch.address);
    assert_eq!((status, body.len()), (200, 0));
    let (status, head, _) = watch.ask("POST", "/", &watch.address);
    assert_eq!(status, 405);
    assert!(head.contains("Allow: GET, HEAD"), "{head}");
    assert_eq!(watch.ask("GET", "/state.json", "attacker.example").0, 403);
    for target in ["/secret", "/run/run/../secret", "/run/run/..%2fsecret", "/../secret", "/run/run/secret"] {
        let (status, _, body) = watch.get(target);
        assert_eq!(status, 404, "{target}");
        assert!(!body.windows(6).any(|window| window == b"secret"), "{target}");
    }
}

#[test]
fn a_folder_without_a_run_is_refused_with_what_is_expected() {
    let folder = TempDir::new().unwrap();
    let output = diptych(&["watch", folder.path().to_str().unwrap()]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(error.contains("holds neither a run nor a study") && error.contains("diptych train"), "{error}");
}
