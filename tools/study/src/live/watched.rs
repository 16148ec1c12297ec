//! The folder that is watched: one run, or all runs of a study.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use diptych_config::Choice;
use serde::Serialize;

use super::run::{Known, RunReader, RunStatus, State};
use crate::kept::Kept;
use crate::plan::{PlannedRun, plan, run_folder};
use crate::standing::Standing;
use crate::survey;

/// Id of the only run of a folder that is no study's.
const ONLY: &str = "run";

/// A folder that is looked at from time to time.
#[derive(Debug)]
pub struct Watched {
    folder: PathBuf,
    study: Option<Study>,
    runs: Vec<RunReader>,
}

/// What is known of a study that is watched, with its runs in the order of their readers.
#[derive(Debug)]
struct Study {
    kept: Kept,
    planned: Vec<PlannedRun>,
}

impl Study {
    fn of(kept: Kept) -> Study {
        Study { planned: plan(&kept.study), kept }
    }

    /// One for each run.
    fn readers(&self, folder: &Path) -> Vec<RunReader> {
        let reader = |run: &PlannedRun| {
            RunReader::new(&run.id, &run.id, Some(&run.base), &run_folder(folder, &run.id))
        };
        self.planned.iter().map(reader).collect()
    }
}

/// One of the things that a study compares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// As in the study file.
    pub id: String,
    /// As people call it.
    pub label: String,
}

/// All runs at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// What people call it.
    pub title: String,
    /// Whether it is a study.
    pub is_study: bool,
    /// Of a study, in the order of their colours.
    pub methods: Vec<Method>,
    /// In the order in which they run.
    pub runs: Vec<RunStatus>,
    /// Until all runs are done, as far as can be told.
    pub seconds_left: Option<f64>,
    /// Whether there is more to read than was read now.
    pub behind: bool,
}

impl Watched {
    /// The run or the study in `folder`.
    ///
    /// # Errors
    /// It is neither.
    pub fn open(folder: &Path) -> Result<Watched> {
        let is_run =
            ["config.toml", "run.json", "metrics.jsonl"].iter().any(|file| folder.join(file).is_file());
        let study = if is_run { None } else { Some(Self::study(folder)?) };
        let runs = match &study {
            None => {
                let name = folder.canonicalize().unwrap_or_default();
                let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
                vec![RunReader::new(ONLY, &name, None, folder)]
            }
            Some(study) => study.readers(folder),
        };
        Ok(Watched { folder: folder.to_path_buf(), study, runs })
    }

    fn study(folder: &Path) -> Result<Study> {
        if !folder.join("study.json").is_file() {
            let what = if folder.is_dir() { "holds neither a run nor a study" } else { "does not exist" };
            bail!(
                "{} {what}: expected the folder of a run (with run.json) or of a study (with study.json); begin one with \
                 `diptych train` or `diptych study`, or name another folder",
                folder.display()
            );
        }
        Ok(Study::of(Kept::read(folder)?))
    }

    /// Folder of the run `id`, if there is such a run.
    pub fn folder_of(&self, id: &str) -> Option<&Path> {
        self.runs.iter().find(|run| run.id() == id).map(RunReader::folder)
    }

    /// A study may be begun again with other runs.
    fn follow(&mut self) {
        let Some(known) = &self.study else { return };
        // One whose file cannot be read now is looked at again.
        let Some(found) = Kept::read(&self.folder).ok().filter(|found| *found != known.kept) else { return };
        let found = Study::of(found);
        if found.planned != known.planned {
            self.runs = found.readers(&self.folder);
        }
        self.study = Some(found);
    }

    /// Reads what is new, at most `budget` bytes of metrics.
    pub fn look(&mut self, budget: &mut usize) -> Overview {
        self.follow();
        let known: Vec<Option<Known>> = match &self.study {
            None => vec![None],
            Some(Study { kept, planned }) => {
                survey::standings(kept, planned, &self.folder).iter().map(known).map(Some).collect()
            }
        };
        let readers = self.runs.iter_mut().zip(known);
        let runs: Vec<RunStatus> = readers.map(|(reader, known)| reader.look(budget, known)).collect();
        let study = self.study.as_ref().map(|study| &study.kept.study);
        Overview {
            title: study.map_or_else(|| runs[0].label.clone(), |study| study.title.clone()),
            is_study: study.is_some(),
            methods: study.into_iter().flat_map(|study| &study.bases).map(method).collect(),
            seconds_left: seconds_left(&runs),
            behind: self.runs.iter().any(RunReader::is_behind),
            runs,
        }
    }
}

impl Overview {
    /// Takes the runs for which `is_at_work` for running, where their folders do not tell it: one that begins, or is evaluated.
    pub fn at_work(&mut self, is_at_work: impl Fn(&str) -> bool) {
        for run in self.runs.iter_mut().filter(|run| run.state != State::Running && is_at_work(&run.id)) {
            (run.state, run.verdict) = (State::Running, None);
            run.seconds_left = run.steps.filter(|steps| run.step >= *steps).map(|_| 0.0);
        }
        self.seconds_left = seconds_left(&self.runs);
    }

    /// How many runs there are in each state that any is in, and the state's name.
    pub fn counts(&self) -> Vec<(usize, &'static str)> {
        let count = |state| self.runs.iter().filter(|run| run.state == state).count();
        State::ALL
            .iter()
            .map(|(text, state)| (count(*state), *text))
            .filter(|(count, _)| *count > 0)
            .collect()
    }
}

fn method(base: &crate::config::Base) -> Method {
    Method { id: base.id.clone(), label: base.label.clone() }
}

/// How far an interrupted run came stands beside it anyway.
fn known(standing: &Standing) -> Known {
    let (state, detail) = match standing {
        Standing::Finished => (State::Finished, None),
        Standing::StoppedEarly(_) => (State::StoppedEarly, None),
        Standing::Running(_) => (State::Running, None),
        Standing::Interrupted(_) => (State::Interrupted, None),
        Standing::Failed(error) => (State::Failed, Some(error.clone())),
        Standing::Planned => (State::Planned, None),
    };
    Known { state, detail }
}

/// Runs that are left take as long as the others do on average, as many at a time as are at work now.
fn seconds_left(runs: &[RunStatus]) -> Option<f64> {
    let of = |state| runs.iter().filter(move |run| run.state == state);
    let whole = |run: &RunStatus| {
        let (left, steps) = (run.seconds_left?, run.steps?);
        let undone = steps.saturating_sub(run.step);
        (undone > 0).then(|| left * steps as f64 / undone as f64)
    };
    let finished = of(State::Finished).filter_map(|run| run.seconds);
    let known: Vec<f64> = finished.chain(of(State::Running).filter_map(whole)).collect();
    let at_work = of(State::Running).count();
    if at_work == 0 || known.is_empty() {
        return None;
    }
    let each = known.iter().sum::<f64>() / known.len() as f64;
    let begun = || of(State::Running).map(|run| run.seconds_left.unwrap_or(each));
    let waiting = (of(State::Planned).count() + of(State::Interrupted).count()) as f64;
    let total = begun().sum::<f64>() + waiting * each;
    Some(begun().fold(total / at_work as f64, f64::max))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const STUDY: &str = r#"{"fingerprints": {}, "protocol": {}, "remarks": [], "study": {
        "name": "small", "title": "A small study", "seeds": [0], "evaluation": "e.toml",
        "baseline": "baseline", "jobs": null, "devices": [], "jobs_per_device": 1, "sets": [], "random_init": false,
        "reference": null,
        "bases": [{"id": "a", "label": "A", "config": "a.toml", "sets": []},
                  {"id": "b", "label": "B", "config": "b.toml", "sets": []}],
        "variants": [{"id": "baseline", "label": "baseline", "sets": []}]}}"#;

    #[test]
    fn a_folder_that_is_neither_is_refused_with_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let error = Watched::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds neither a run nor a study: expected the folder of a run"), "{error}");
        let error = Watched::open(&folder.path().join("gone")).unwrap_err().to_string();
        assert!(error.contains("gone does not exist"), "{error}");
    }

    #[test]
    fn a_run_of_a_study_is_watched_as_a_run() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.json"), "{\"base\": \"a\"}").unwrap();
        fs::write(folder.path().join("config.toml"), "").unwrap();
        let overview = Watched::open(folder.path()).unwrap().look(&mut 0);
        assert!(!overview.is_study);
        assert_eq!(overview.runs[0].id, "run");
    }

    #[test]
    fn a_study_shows_all_its_runs_with_their_methods_before_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.json"), STUDY).unwrap();
        let mut watched = Watched::open(folder.path()).unwrap();
        let overview = watched.look(&mut { usize::MAX });
        assert_eq!((overview.title.as_str(), overview.counts()), ("A small study", vec![(2, "not begun")]));
        let ids: Vec<&str> = overview.runs.iter().map(|run| run.id.as_str()).collect();
        assert_eq!(ids, ["a-baseline-seed0", "b-baseline-seed0"]);
        assert_eq!(overview.runs[1].method.as_deref(), Some("b"));
        assert_eq!(overview.methods[1], Method { id: "b".into(), label: "B".into() });
        assert_eq!(watched.folder_of("../a"), None);
        assert!(watched.folder_of("a-baseline-seed0").unwrap().ends_with("runs/a-baseline-seed0"));

        let run = folder.path().join("runs/a-baseline-seed0");
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("run.json"), "{\"state\":\"interrupted\",\"step\":1}").unwrap();
        fs::write(run.join("metrics.jsonl"), "{\"step\":5,\"loss\":1.5}\n").unwrap();
        let overview = watched.look(&mut { usize::MAX });
        assert_eq!(overview.counts(), [(1, "interrupted"), (1, "not begun")]);
        assert_eq!((overview.runs[0].step, overview.runs[0].loss), (5, Some(1.5)));
    }

    #[test]
    fn a_study_that_was_begun_again_with_other_runs_shows_those() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("study.json"), text).unwrap();
        write(STUDY);
        let mut watched = Watched::open(folder.path()).unwrap();
        write("{\"name\": \"sm");
        assert_eq!(watched.look(&mut 0).runs.len(), 2, "half a file changes nothing");
        write(&STUDY.replace("\"seeds\": [0]", "\"seeds\": [0, 7]"));
        assert_eq!(watched.look(&mut 0).runs.len(), 4);
        assert!(watched.folder_of("a-baseline-seed7").is_some());
    }

    #[test]
    fn a_run_that_is_evaluated_counts_as_running_with_nothing_left_to_train() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.json"), STUDY).unwrap();
        let run = folder.path().join("runs/a-baseline-seed0");
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("run.json"), "{\"state\":\"finished\",\"step\":4,\"steps\":4,\"seconds\":2}")
            .unwrap();
        let mut overview = Watched::open(folder.path()).unwrap().look(&mut 0);
        assert_eq!(overview.counts(), [(1, "trained"), (1, "not begun")]);
        overview.at_work(|id| id == "a-baseline-seed0");
        assert_eq!(overview.counts(), [(1, "running"), (1, "not begun")]);
        assert_eq!(overview.runs[0].seconds_left, Some(0.0));
    }

    #[test]
    fn the_time_left_counts_what_is_begun_and_what_waits() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.json"), STUDY).unwrap();
        let mut runs = Watched::open(folder.path()).unwrap().look(&mut 0).runs;
        assert_eq!(seconds_left(&runs), None, "nothing is at work");
        runs[0].state = State::Running;
        assert_eq!(seconds_left(&runs), None, "its speed is not known yet");
        (runs[0].step, runs[0].steps, runs[0].seconds_left) = (75, Some(100), Some(10.0));
        // The quarter that is left, and the other run as long as this whole one.
        assert_eq!(seconds_left(&runs), Some(50.0));
        runs[1].state = State::Running;
        (runs[1].step, runs[1].steps, runs[1].seconds_left) = (0, Some(100), Some(40.0));
        assert_eq!(seconds_left(&runs), Some(40.0));
        // As long as the other as a whole.
        runs[1].seconds_left = None;
        assert_eq!(seconds_left(&runs), Some(40.0));
    }
}
