//! Whole studies, with a shell script in place of the `diptych` binary.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use diptych_study::{Plan, Resolved, Standing, StudyOptions, StudyOutcome};

/// What the script does: logs its arguments; `config show` knows an encoder whose width is 16 unless told otherwise, and
/// refuses a misspelt name; `train`
/// writes a run whose accuracy follows from its folder's name, and is at once done with a finished one; a file `fail`
/// makes it fail where the folder's name holds the file's text; a fifo `hold` makes it tell that it has begun and wait for
/// SIGINT; a file `other` makes it refuse finished runs.
const SCRIPT: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/log"
case "$1 $2" in
  "config show")
    case "$*" in
      *graysacle*) echo 'error: no operator is called `graysacle`, did you mean `grayscale`?' >&2; exit 1 ;;
      *--evaluation*) echo 'k = 20' ;;
      *encoder.width=32*) echo 'encoder = { id = "cnn", width = 32 }' ;;
      *) echo 'encoder = { id = "cnn", width = 16 }' ;;
    esac
    exit 0 ;;
esac
report() { printf '{"state": "%s", "fingerprint": "%s", "seconds": 1.5, "step": 2, "steps": 2}' "$1" "$fingerprint" > "$out/run.json"; }
if [ "$1" = train ]; then
  out="$4"
  mkdir -p "$out"
  fingerprint=$(basename "$out")
  if grep -q finished "$out/run.json" 2>/dev/null; then
    if [ -e "$here/other" ]; then
      printf 'error: %s holds a run with another configuration:\n  seed: 1 in the run, 2 now\n' "$out" >&2
      exit 1
    fi
    exit 0
  fi
  if [ -e "$here/fail" ] && echo "$out" | grep -q "$(cat "$here/fail")"; then
    report failed; echo 'warming up' >&2; echo 'error: out of memory' >&2; exit 1
  fi
  printf 'seed = 0\n' > "$out/config.toml"
  printf '{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n' > "$out/metrics.jsonl"
  if [ -p "$here/hold" ]; then
    trap 'report interrupted; exit 130' INT
    report running
    echo begun > "$here/hold"
    while :; do sleep 0.05; done
  fi
  report finished
fi
if [ "$1" = evaluate ]; then
  fingerprint=$(basename "$2")
  case "$fingerprint" in *a-baseline*) top1=0.9 ;; *b-baseline*) top1=0.8 ;; a-*) top1=0.3 ;; *) top1=0.7 ;; esac
  name=evaluation.json
  step=2
  case "$*" in *--random-init*) name=evaluation_random_init.json; top1=0.2; step=0 ;; esac
  printf '{"fingerprint": "%s", "step": %s, "protocol": {"k": 20}, "classes": ["x", "y", "z", "w"], "linear": {"top1": %s}, "knn": {"top1": 0.5}}' "$fingerprint" "$step" "$top1" > "$2/$name"
fi
"#;

const STUDY: &str = r#"
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

struct Fixture {
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Fixture { folder, stop: Arc::default() };
        symlink(PROGRAM.path().join("diptych"), fixture.path("diptych")).unwrap();
        fs::write(fixture.path("run.toml"), "").unwrap();
        fs::write(fixture.path("evaluation.toml"), "").unwrap();
        fs::write(fixture.path("study.toml"), STUDY).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn options(&self) -> StudyOptions {
        StudyOptions {
            study: self.path("study.toml"),
            out: self.path("out"),
            jobs: Some(2),
            plugin_path: Vec::new(),
            executable: self.path("diptych"),
            stop: Arc::clone(&self.stop),
        }
    }

    fn run(&self) -> StudyOutcome {
        diptych_study::run(&self.options()).unwrap()
    }

    /// Commands since the last call whose first word is `command`.
    fn take_log(&self, command: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().filter(|line| line.split(' ').next() == Some(command)).map(String::from).collect()
    }

    fn forget_log(&self) {
        fs::remove_file(self.path("log")).unwrap();
    }

    fn out(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap()
    }
}

#[test]
fn every_run_is_trained_and_evaluated_and_stands_in_the_results() {
    let fixture = Fixture::new();
    let outcome = fixture.run();
    assert_eq!((outcome.planned, outcome.finished, outcome.skipped), (8, 8, 0));
    assert!(outcome.is_complete() && outcome.failed.is_empty() && !outcome.interrupted);

    let train = fixture.take_log("train");
    assert_eq!(train.len(), 8);
    let gray = train.iter().find(|line| line.contains("b-no_gray-seed1")).unwrap();
    assert!(gray.ends_with("--set augmentations.remove=[\"grayscale\"] --set seed=1"), "{gray}");
    assert!(gray.contains("--resume --quiet --set threads="), "{gray}");
    let random = fixture.take_log("evaluate").into_iter().filter(|line| line.contains("--random-init"));
    assert_eq!(random.count(), 2, "one untrained encoder per seed");

    let csv = fixture.out("results.csv");
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.contains("a,no_gray,1,0.3,0.5,a-no_gray-seed1,1.5,finished"), "{csv}");
    let page = fixture.out("report.html");
    assert!(
        page.contains("With “no gray”, A loses 60.0\u{a0}points of linear probe accuracy and B 10.0"),
        "headline"
    );
    assert!(page.contains("chance 25.0") && page.contains("untrained encoder 20.0"));
    assert!(fixture.out("results.md").contains("| no gray | 60.0 (60.0 to 60.0) | 10.0 (10.0 to 10.0) |"));
    let differences = fixture.out("differences.csv");
    assert!(differences.contains("linear,a,b,no_gray,2,50,50,50,,,,"), "{differences}");
    assert!(fixture.path("out/charts.svg").exists() && fixture.path("out/charts.png").exists());
}

#[test]
fn what_is_done_is_not_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    let first = fixture.out("results.csv");
    fixture.forget_log();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 8));
    assert_eq!(fixture.take_log("evaluate"), Vec::<String>::new());
    assert_eq!(fixture.out("results.csv"), first);
}

#[test]
fn an_evaluation_under_another_protocol_is_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    let old = fixture.path("out/runs/a-baseline-seed0/evaluation.json");
    fs::write(&old, fs::read_to_string(&old).unwrap().replace("\"k\": 20", "\"k\": 5")).unwrap();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 7));
    assert_eq!(fixture.take_log("evaluate").len(), 1);
}

#[test]
fn an_evaluation_of_weights_of_another_step_or_of_none_that_it_names_is_done_again() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    for (run, step) in [("a-baseline-seed0", "\"step\": 1, "), ("b-baseline-seed0", "")] {
        let old = fixture.path("out/runs").join(run).join("evaluation.json");
        let text = fs::read_to_string(&old).unwrap();
        fs::write(&old, text.replace("\"step\": 2, ", step)).unwrap();
    }
    let report = diptych_study::report(&fixture.options()).unwrap();
    assert_eq!(report.finished, 6, "a report alone does not use them");
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 6));
    assert_eq!(fixture.take_log("evaluate").len(), 2);
}

#[test]
fn encoders_are_compared_as_they_are_resolved_not_as_they_are_written() {
    for (width, evaluated) in [(16, 2), (32, 0)] {
        let fixture = Fixture::new();
        let base = format!("[bases.b]\nset = [\"encoder.width={width}\"]");
        fs::write(fixture.path("study.toml"), STUDY.replace("[bases.b]", &base)).unwrap();
        assert!(fixture.run().is_complete());
        let random = fixture.take_log("evaluate").into_iter().filter(|line| line.contains("--random-init"));
        assert_eq!(random.count(), evaluated, "width {width}");
        let remark = "The arms have different encoders, so no untrained encoder was evaluated.";
        assert_eq!(fixture.out("report.html").contains(remark), evaluated == 0, "width {width}");
    }
}

#[test]
fn a_failed_run_is_recorded_and_the_others_go_on() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    let outcome = fixture.run();
    assert_eq!(outcome.finished, 7);
    assert_eq!(outcome.failed, [("a-no_gray-seed1".to_string(), "out of memory".to_string())]);
    assert!(!outcome.is_complete());
    assert!(outcome.to_string().contains("failed: a-no_gray-seed1: out of memory"));
    assert!(fixture.out("results.csv").contains("a,no_gray,1,,,a-no_gray-seed1,1.5,failed"));
    assert!(fixture.out("report.html").contains("out of memory"));
    assert!(fixture.out("results.md").contains("- a no_gray seed 1: failed: out of memory"));

    fs::remove_file(fixture.path("fail")).unwrap();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.skipped), (8, 7));
}

#[test]
fn a_stopped_study_ends_its_runs_cleanly_and_goes_on_later() {
    let fixture = Fixture::new();
    let fifo = fixture.path("hold");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let outcome = std::thread::scope(|scope| {
        let study =
            scope.spawn(|| diptych_study::run(&StudyOptions { jobs: Some(1), ..fixture.options() }).unwrap());
        // Reading ends when the first run has begun.
        assert_eq!(fs::read_to_string(&fifo).unwrap(), "begun\n");
        fixture.stop.store(true, Ordering::SeqCst);
        study.join().unwrap()
    });
    assert!(outcome.interrupted);
    assert_eq!((outcome.finished, outcome.failed.len()), (0, 0));
    assert!(outcome.to_string().contains("the same command goes on from here"));
    assert!(fixture.out("runs/a-baseline-seed0/run.json").contains("interrupted"));
    assert_eq!(fixture.take_log("train").len(), 1, "no run begins after the stop");
    let csv = fixture.out("results.csv");
    assert_eq!((csv.matches(",interrupted").count(), csv.matches(",not begun").count()), (1, 7), "{csv}");

    fs::remove_file(&fifo).unwrap();
    fixture.stop.store(false, Ordering::SeqCst);
    assert!(fixture.run().is_complete());
}

#[test]
fn a_folder_with_another_configuration_is_refused_by_its_keys_and_its_results_are_not_used() {
    let fixture = Fixture::new();
    fixture.run();
    fs::write(fixture.path("other"), "").unwrap();
    let outcome = fixture.run();
    assert_eq!((outcome.finished, outcome.failed.len()), (0, 8));
    let (_, error) = &outcome.failed[0];
    assert!(
        error.contains("seed: 1 in the run, 2 now") && error.contains("or choose another folder with --out"),
        "{error}"
    );
    assert!(!fixture.out("results.csv").contains("0.9"));
}

#[test]
fn a_mistake_in_a_variant_is_told_before_anything_runs() {
    let fixture = Fixture::new();
    fs::write(fixture.path("study.toml"), STUDY.replace("grayscale", "graysacle")).unwrap();
    let error = diptych_study::run(&fixture.options()).unwrap_err().to_string();
    assert_eq!(error, "no operator is called `graysacle`, did you mean `grayscale`?");
    assert_eq!(fixture.take_log("train"), Vec::<String>::new());
}

#[test]
fn the_report_alone_runs_nothing_and_uses_only_what_the_study_asked_for() {
    let fixture = Fixture::new();
    fixture.run();
    fixture.forget_log();
    let outcome = diptych_study::report(&fixture.options()).unwrap();
    assert_eq!(outcome.finished, 8);
    assert!(!fixture.path("log").exists());

    fs::write(fixture.path("study.toml"), STUDY.replace("\"grayscale\"", "\"blur\"")).unwrap();
    let outcome = diptych_study::report(&fixture.options()).unwrap();
    assert_eq!((outcome.finished, outcome.failed.len()), (4, 4));
}

#[test]
fn two_studies_cannot_work_in_one_folder() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("out")).unwrap();
    let lock = fs::File::create(fixture.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    let error = diptych_study::run(&fixture.options()).unwrap_err().to_string();
    assert!(error.starts_with("another study, or a run that one left behind, is at work in"), "{error}");
    drop(lock);
    assert!(fixture.run().is_complete());
}

/// The standing of every run, by id.
fn standings(fixture: &Fixture) -> std::collections::BTreeMap<String, Standing> {
    let status = diptych_study::status(&fixture.path("out")).unwrap();
    status.runs.into_iter().map(|(run, standing)| (run.id, standing)).collect()
}

fn plan(fixture: &Fixture, problem: Option<&str>) -> Result<Plan, String> {
    let resolve = |_: &Path, sets: &[String]| match problem {
        Some(problem) => anyhow::bail!("{problem}"),
        None => Ok(Resolved { length: format!("{} sets", sets.len()), fingerprint: Some("0123".into()) }),
    };
    diptych_study::plan_of(&fixture.path("study.toml"), &fixture.path("out"), resolve)
        .map_err(|error| error.to_string())
}

#[test]
fn a_plan_lists_every_run_with_its_state_and_runs_nothing() {
    let fixture = Fixture::new();
    let text = plan(&fixture, None).unwrap().to_string();
    assert!(!fixture.path("log").exists() && !fixture.path("out").exists());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10, "{text}");
    let words: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(words, ["a-no_gray-seed0", "a", "no_gray", "0", "2", "sets", "0123", "not", "begun"]);
    assert_eq!(lines[9], "8 runs: 8 not begun");

    fixture.run();
    assert!(plan(&fixture, None).unwrap().to_string().ends_with("8 runs: 8 finished"));
}

#[test]
fn a_plan_tells_what_is_wrong_with_an_arm_once() {
    let error = plan(&Fixture::new(), Some("run.toml:1: x: unknown key")).unwrap_err();
    assert_eq!(error, "run.toml:1: x: unknown key");
}

#[test]
fn the_folder_alone_tells_where_its_runs_stand_and_writes_its_report() {
    let fixture = Fixture::new();
    fs::write(fixture.path("fail"), "a-no_gray-seed1").unwrap();
    fixture.run();
    fs::remove_file(fixture.path("study.toml")).unwrap();
    fs::remove_dir_all(fixture.path("out/runs/b-baseline-seed0")).unwrap();
    fs::remove_file(fixture.path("out/runs/b-baseline-seed1/evaluation.json")).unwrap();
    let killed = fixture.path("out/runs/b-no_gray-seed0/run.json");
    fs::write(&killed, fs::read_to_string(&killed).unwrap().replace("finished", "running")).unwrap();

    let found = standings(&fixture);
    assert_eq!(found["a-baseline-seed0"], Standing::Finished);
    assert_eq!(found["a-no_gray-seed1"], Standing::Failed("out of memory".into()));
    assert_eq!(found["b-baseline-seed0"], Standing::Planned);
    assert_eq!(found["b-baseline-seed1"], Standing::Interrupted("trained, not evaluated".into()));
    assert_eq!(found["b-no_gray-seed0"], Standing::Interrupted("step 2 of 2".into()));
    let text = diptych_study::status(&fixture.path("out")).unwrap().to_string();
    assert!(text.contains("a-no_gray-seed1   failed       out of memory\n"), "{text}");
    assert!(text.ends_with("8 runs: 4 finished, 2 interrupted, 1 failed, 1 not begun"), "{text}");

    let lock = fs::File::create(fixture.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(standings(&fixture)["b-no_gray-seed0"], Standing::Running("step 2 of 2".into()));
    drop(lock);

    fs::remove_file(fixture.path("out/report.html")).unwrap();
    let outcome = diptych_study::report_of_folder(&fixture.path("out"), &[]).unwrap();
    assert_eq!((outcome.planned, outcome.finished), (8, 4));
    assert!(fixture.path("out/report.html").exists());
}

#[test]
fn a_folder_without_a_study_is_refused() {
    let error = diptych_study::status(&Fixture::new().path("out")).unwrap_err().to_string();
    assert!(error.contains("is no folder of a study: it has no study.json; run the study first"), "{error}");
}

#[test]
fn a_missing_binary_is_an_error_that_names_it() {
    let fixture = Fixture::new();
    fs::remove_file(fixture.path("diptych")).unwrap();
    let error = format!("{:#}", diptych_study::run(&fixture.options()).unwrap_err());
    assert!(
        error.starts_with(&format!("cannot start {}", Path::new(&fixture.path("diptych")).display())),
        "{error}"
    );
}
