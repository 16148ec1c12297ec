//! A study's surroundings: a shell script in place of the `diptych` binary, and configurations that resolve without it.

#![allow(dead_code)] // each test program uses its own part

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use diptych_study::{PlannedRun, Resolved, Resolver, SlotOptions, Standing, StudyOptions, StudyOutcome};

/// What the script does: logs its arguments. `train` writes a run whose accuracy follows from its folder's name, and whose
/// fingerprint is that name, with `-blur` behind it when an argument names a blur; it is at once done with a run that is over,
/// and refuses one of another fingerprint. Files beside it change that: `fail`, `fail_control` and `collapse` hold text of names of
/// folders, whose runs or untrained encoders fail, or which are stopped early; with `wedge` a failure cannot be noted, with `mute` an
/// evaluation writes nothing; a fifo `hold` makes a run tell that it has begun and wait for SIGINT, which is logged, or for a file
/// `go`; `slow` makes each take half a second. `protocol` is what evaluations say of how they were made.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/log"
report() { printf '{"state": "%s", "fingerprint": "%s", "build": "b", "seconds": 1.5, "step": %s, "steps": 2}' "$1" "$fingerprint" "$2" > "$out/run.json"; }
named() { [ -e "$here/$1" ] && echo "$out" | grep -q "$(cat "$here/$1")"; }
if [ "$1" = train ]; then
  out="$4"
  mkdir -p "$out"
  fingerprint=$(basename "$out")
  case "$*" in *blur*) fingerprint="$fingerprint-blur" ;; esac
  if grep -qE 'finished|stopped_early' "$out/run.json" 2>/dev/null; then
    grep -q "\"$fingerprint\"" "$out/run.json" && exit 0
    printf 'error: %s holds a run with another configuration:\n  seed: 1 in the run, 2 now\n' "$out" >&2
    exit 1
  fi
  if named fail; then
    [ -e "$here/wedge" ] && mkdir -p "$out/failure.json/full"
    report failed 1; echo 'warming up' >&2; echo 'error: out of memory' >&2; exit 1
  fi
  printf 'seed = 0\n' > "$out/config.toml"
  printf '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n' > "$out/metrics.jsonl"
  report running 0
  if [ -p "$here/hold" ]; then
    trap 'echo stopped >> "$here/log"; report interrupted 1; exit 130' INT
    echo begun > "$here/hold"
    while [ ! -e "$here/go" ]; do sleep 0.05; done
  fi
  [ -e "$here/slow" ] && sleep 0.5
  if named collapse; then report stopped_early 1; else report finished 2; fi
fi
if [ "$1" = evaluate ]; then
  out="$2"
  [ -e "$here/mute" ] && exit 0
  case "$*" in *--random-init*) if named fail_control; then echo 'error: no weights' >&2; exit 1; fi ;; esac
  fingerprint=$(sed 's/.*"fingerprint": "\([^"]*\)".*/\1/' "$2/run.json")
  step=$(sed 's/.*"step": \([0-9]*\).*/\1/' "$2/run.json")
  case "$fingerprint" in *a-baseline*) top1=0.9 ;; *b-baseline*) top1=0.8 ;; a-*) top1=0.3 ;; *) top1=0.7 ;; esac
  name=evaluation.json
  case "$*" in *--random-init*) name=evaluation_random_init.json; top1=0.2; step=0 ;; esac
  printf '{"fingerprint": "%s", "step": %s, "protocol": %s, "classes": ["x", "y", "z", "w"], "linear": {"top1": %s}, "linear_sgd": {"top1": %s}, "knn": {"top1": 0.5}}' "$fingerprint" "$step" "$(cat "$here/protocol")" "$top1" "$top1" > "$2/$name"
fi
"#;

pub const STUDY: &str = r#"
name = "small"
seeds = [0, 1]
evaluation = "evaluation.toml"
[bases.a]
config = "run.toml"
label = "A"
[bases.b]
config = "run.toml"
label = "B"
[variants.baseline]
[variants.no_gray]
remove = ["grayscale"]
"#;

/// The script's folder. Written once, before any test starts a process: one that is started while the file is open for
/// writing inherits it, and then the script is too busy to be run.
static PROGRAM: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("diptych");
    fs::write(&script, SCRIPT).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    folder
});

pub struct Fixture {
    folder: tempfile::TempDir,
    pub stop: Arc<AtomicBool>,
}

/// Resolves as the script runs: `graysacle` is no operator, encoders have a width of 16 unless told otherwise.
pub struct Fake;

impl Resolver for Fake {
    fn run(&mut self, run: &PlannedRun) -> anyhow::Result<Resolved> {
        let sets = run.sets.join(" ");
        if sets.contains("graysacle") {
            anyhow::bail!("no operator is called `graysacle`, did you mean `grayscale`?");
        }
        let width = if sets.contains("encoder.width=32") { 32 } else { 16 };
        Ok(Resolved {
            length: format!("{} sets", run.sets.len()),
            fingerprint: format!("{}{}", run.id, if sets.contains("blur") { "-blur" } else { "" }),
            missing_data: sets.contains("data.path=nowhere").then(|| "there is no folder nowhere".into()),
            config: format!("encoder = {{ id = \"cnn\", width = {width} }}").parse()?,
        })
    }

    fn evaluation(&mut self, path: &Path) -> anyhow::Result<toml::Table> {
        Ok(fs::read_to_string(path)?.parse()?)
    }
}

impl Fixture {
    pub fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Fixture { folder, stop: Arc::default() };
        symlink(PROGRAM.path().join("diptych"), fixture.path("diptych")).unwrap();
        fs::write(fixture.path("run.toml"), "").unwrap();
        fixture.evaluation("linear = {}\nknn = { k = [20] }\n");
        fixture.study(STUDY);
        fixture
    }

    pub fn study(&self, text: &str) {
        fs::write(self.path("study.toml"), text).unwrap();
    }

    /// The tables of the evaluation.
    pub fn evaluation(&self, text: &str) {
        fs::write(self.path("evaluation.toml"), text).unwrap();
        let protocol: serde_json::Value = toml::from_str(text).unwrap();
        fs::write(self.path("protocol"), protocol.to_string()).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn options(&self) -> StudyOptions {
        StudyOptions {
            study: self.path("study.toml"),
            out: self.path("out"),
            slots: SlotOptions { jobs: Some(2), ..SlotOptions::default() },
            only: Vec::new(),
            retry_failed: false,
            waits: true,
            plugin_path: Vec::new(),
            executable: self.path("diptych"),
            stop: Arc::clone(&self.stop),
        }
    }

    pub fn run(&self) -> StudyOutcome {
        diptych_study::run(&self.options(), &mut Fake).unwrap()
    }

    pub fn retry(&self) -> StudyOutcome {
        diptych_study::run(&StudyOptions { retry_failed: true, ..self.options() }, &mut Fake).unwrap()
    }

    /// Commands so far whose first word is `command`.
    pub fn logged(&self, command: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| line.split(' ').next() == Some(command)).map(String::from).collect()
    }

    pub fn forget_log(&self) {
        fs::remove_file(self.path("log")).unwrap();
    }

    pub fn out(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap()
    }

    /// The standing of every run, by id.
    pub fn standings(&self) -> BTreeMap<String, Standing> {
        let status = diptych_study::status(&self.path("out")).unwrap();
        status.runs.into_iter().map(|(run, standing)| (run.id, standing)).collect()
    }
}
