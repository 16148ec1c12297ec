//! A study as it is run: killed and started again, shared by several workers, and given to Slurm. Each time its results are those
//! of an undisturbed study, byte for byte. What depends on the clock stands in `times.csv` alone, which is not compared.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use diptych_tests::{built_plugin, built_program, repository};
use tempfile::TempDir;

/// Two arms under two seeds, of which the second one collapses and is stopped early.
const STUDY: &str = r#"
name = "small"
seeds = [0, 1]
evaluation = "evaluation.toml"
jobs = 2
set = ["threads=1"]

[bases.byol]
config = "run.toml"

[variants.baseline]

[variants.collapsing]
set = [
    "predictor.kind=\"none\"",
    "target.kind=\"none\"",
    "projector.norm=\"none\"",
    "projector.output_norm=\"none\"",
    "optimizer.learning_rate=0.03",
    "diagnostics.stop_collapsed=\"collapsed\"",
    "diagnostics.patience_steps=10",
    "diagnostics.every_steps=5",
]
"#;

const FILES: [&str; 3] = ["results.csv", "differences.csv", "results.md"];

/// Images, configurations, and the results of an undisturbed study.
struct Surroundings {
    folder: TempDir,
    undisturbed: [String; 3],
    /// What the whole study comes to, as [`progress`] counts it.
    whole: usize,
}

static SURROUNDINGS: LazyLock<Surroundings> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = command(&["synth", &text(&path("set")), "--split", "train=64", "--split", "test=32"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let configs = repository().join("configs");
    let run = format!(
        "extends = {:?}\n[data]\npath = \"set/train\"\n[loader]\nbatch_size = 16\n[encoder]\nwidth = 4\n\
         [projector]\nhidden = [32]\noutput = 16\n[predictor]\nhidden = [32]\noutput = 16\n\
         [schedule]\nsteps = 60\nwarmup_steps = 2\n[logging]\nevery_steps = 5\n[checkpoint]\nevery_steps = 7\n",
        text(&configs.join("pretrain/byol_demo.toml"))
    );
    fs::write(path("run.toml"), run).unwrap();
    let evaluation = format!(
        "extends = {:?}\n[data]\ntrain = \"set/train\"\ntest = \"set/test\"\n",
        text(&configs.join("evaluate/demo.toml"))
    );
    fs::write(path("evaluation.toml"), evaluation).unwrap();
    fs::write(path("study.toml"), STUDY).unwrap();
    let out = path("undisturbed");
    let output = study(&path("study.toml"), &out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let (undisturbed, whole) = (results(&out), progress(&out));
    Surroundings { folder, undisturbed, whole }
});

impl Surroundings {
    fn study(&self) -> PathBuf {
        self.folder.path().join("study.toml")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(built_program());
    for package in ["diptych-augmentations", "diptych-encoders", "diptych-losses"] {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    command.env_remove("DIPTYCH_PLUGIN_PATH").args(arguments);
    command
}

fn study(file: &Path, out: &Path) -> Command {
    command(&["study", "run", &text(file), "--out", &text(out)])
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn results(out: &Path) -> [String; 3] {
    FILES.map(|file| fs::read_to_string(out.join(file)).unwrap())
}

/// How often each run of the folder began or went on: a line of its log says so.
fn beginnings(out: &Path) -> Vec<usize> {
    let folders = fs::read_dir(out.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.collect();
    folders.sort();
    let count = |folder: &PathBuf| {
        let log = fs::read_to_string(folder.join("log.txt")).unwrap();
        log.lines().filter(|line| line.contains(" from step ")).count()
    };
    folders.iter().map(count).collect()
}

/// How far the study in the folder is: lines of metrics and evaluations. An interrupted run goes back to its last checkpoint.
fn progress(out: &Path) -> usize {
    let folders = fs::read_dir(out.join("runs")).into_iter().flatten().flatten();
    let count = |folder: PathBuf| {
        let lines = fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default().lines().count();
        let evaluations = ["evaluation.json", "evaluation_random_init.json"];
        lines + evaluations.iter().filter(|file| folder.join(file).exists()).count()
    };
    folders.map(|folder| count(folder.path())).sum()
}

/// Waits until `is_so`, and gives up after minutes.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..30_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} never came");
}

/// A field of what `/proc` says of a process, of those behind its name.
fn stat(pid: u32, field: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().nth(field)?.to_string())
}

/// One that has ended and that nobody has asked for its status (Z) is not at work.
fn is_at_work(pid: u32) -> bool {
    stat(pid, 0).is_some_and(|state| state != "Z")
}

/// The process and all that it started, by the parents that `/proc` names.
fn tree(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let parent = |pid: u32| -> Option<u32> { stat(pid, 1)?.parse().ok() };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<(u32, u32)> = processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut place = 0;
    while let Some(pid) = tree.get(place).copied() {
        tree.extend(all.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| child));
        place += 1;
    }
    tree
}

/// SIGKILL to all of them at once.
fn kill(processes: &[u32]) {
    let mut command = Command::new("kill");
    command.arg("-9").args(processes.iter().map(u32::to_string)).stderr(Stdio::null());
    // One that has just ended is none to kill.
    command.status().unwrap();
}

/// Starts the study, and kills it once it is as far as `progress_then`.
fn kill_at(progress_then: usize, whole_tree: bool, out: &Path) {
    let surroundings = &*SURROUNDINGS;
    let mut child: Child =
        study(&surroundings.study(), out).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the moment to kill it", || progress(out) >= progress_then);
    assert!(child.try_wait().unwrap().is_none(), "the study is over");
    if whole_tree {
        kill(&tree(child.id()));
    } else {
        // Then its runs live on for a moment, and whoever comes next must not do them a second time.
        child.kill().unwrap();
    }
    child.wait().unwrap();
}

#[test]
fn a_study_killed_at_ten_random_moments_gives_the_very_results_of_an_undisturbed_one() {
    let surroundings = &*SURROUNDINGS;
    let csv = &surroundings.undisturbed[0];
    assert_eq!(csv.matches(",finished").count(), 2, "{csv}");
    assert_eq!(csv.matches(",stopped early").count(), 2, "{csv}");
    let out = surroundings.out("killed");
    let mut random: u64 = 2026;
    let mut moments: Vec<usize> = (0..10)
        .map(|_| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Enough is left for the study not to be over before it is killed.
            (random >> 33) as usize % (surroundings.whole * 3 / 4)
        })
        .collect();
    moments.sort_unstable();
    for (attempt, moment) in moments.into_iter().enumerate() {
        let whole_tree = attempt % 2 == 0;
        let whom = if whole_tree { "the whole tree" } else { "the worker alone" };
        println!("kill {attempt}: at {moment} of {}, {whom}", surroundings.whole);
        kill_at(moment, whole_tree, &out);
    }
    let output = study(&surroundings.study(), &out).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(results(&out), surroundings.undisturbed);
}

#[test]
fn a_killed_worker_leaves_nothing_at_work_and_every_run_with_a_checkpoint() {
    let surroundings = &*SURROUNDINGS;
    let out = surroundings.out("orphans");
    let mut worker =
        study(&surroundings.study(), &out).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_until("a first line", || progress(&out) > 0);
    let runs: Vec<u32> = tree(worker.id()).into_iter().filter(|pid| *pid != worker.id()).collect();
    assert!(!runs.is_empty());
    worker.kill().unwrap();
    worker.wait().unwrap();
    wait_until("the end of its runs", || runs.iter().all(|pid| !is_at_work(*pid)));
    let folders = fs::read_dir(out.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|folder| folder.join("run.json").exists()) {
        let run = fs::read_to_string(folder.join("run.json")).unwrap();
        assert!(!run.contains("\"running\""), "{run}");
        assert!(folder.join("checkpoints/latest/state.toml").exists(), "{}", folder.display());
    }
}

#[test]
fn two_workers_on_one_folder_do_each_run_once_and_give_the_same_results() {
    let surroundings = &*SURROUNDINGS;
    let out = surroundings.out("shared");
    let start = || {
        let mut worker = study(&surroundings.study(), &out);
        worker.args(["--jobs", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let workers = [start(), start()];
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}{}", stderr(&output));
        assert!(told.contains("4 of 4 runs are done"), "{told}");
    }
    assert_eq!(beginnings(&out), [1; 4]);
    assert_eq!(results(&out), surroundings.undisturbed);
}

#[test]
fn a_job_array_has_a_task_for_each_run_that_is_left_and_the_tasks_do_the_study() {
    let surroundings = &*SURROUNDINGS;
    let out = surroundings.out("array");
    let first = study(&surroundings.study(), &out).args(["--only", "byol-baseline-seed0"]).output().unwrap();
    assert!(first.status.success(), "{}", stderr(&first));

    let script = surroundings.out("array.sbatch");
    let slurm = format!("--slurm={}", text(&script));
    let (file, folder) = (text(&surroundings.study()), text(&out));
    let output =
        command(&["study", "plan", &file, "--out", &folder, &slurm, "--device", "cpu"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let written = fs::read_to_string(&script).unwrap();
    assert!(
        written.contains("\n#SBATCH --array=0-2\n") && !written.contains("byol-baseline-seed0"),
        "{written}"
    );
    for task in 0..3 {
        let mut bash = Command::new("bash");
        let output = bash.arg(&script).env("SLURM_ARRAY_TASK_ID", task.to_string()).output().unwrap();
        assert!(output.status.success(), "task {task}: {}", stderr(&output));
        assert!(!out.join("report.html").exists(), "a task writes no report");
    }
    assert_eq!(beginnings(&out), [1; 4]);
    let output = command(&["study", "report", &folder]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(results(&out), surroundings.undisturbed);

    let output = command(&["study", "plan", &file, "--out", &folder, &slurm]).output().unwrap();
    assert!(stderr(&output).contains("nothing for Slurm to do"), "{}", stderr(&output));
}
