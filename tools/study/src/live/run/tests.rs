use std::fs;

use super::*;

struct Fixture {
    folder: tempfile::TempDir,
    reader: RunReader,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let reader = RunReader::new("run", "a run", None, folder.path());
        Fixture { folder, reader }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn look(&mut self) -> RunStatus {
        self.reader.look(&mut { usize::MAX }, None)
    }
}

const CONFIG: &str = "[loader]\nbatch_size = 32\n[optimizer]\nmicro_batches = 2\n";

fn line(step: u64, speed: f64) -> String {
    format!(
        "{{\"step\":{step},\"loss\":{},\"images_per_second\":{speed},\"z_std\":0.5,\"effective_rank\":12,\"collapsing\":1}}\n",
        10.0 / step as f64
    )
}

#[test]
fn a_folder_that_is_not_there_or_empty_is_a_run_that_has_not_begun() {
    let mut fixture = Fixture::new();
    let status = fixture.look();
    assert_eq!((status.state, status.step, status.steps), (State::Planned, 0, None));
    assert_eq!((status.loss, status.last_line, status.seconds_left), (None, None, None));
    let mut absent = RunReader::new("run", "a run", None, &fixture.folder.path().join("absent"));
    assert_eq!(absent.look(&mut { usize::MAX }, None).state, State::Planned);
}

#[test]
fn a_run_whose_log_is_locked_runs_and_one_that_was_killed_does_not() {
    let mut fixture = Fixture::new();
    fixture.write("log.txt", "");
    let lock = File::open(fixture.folder.path().join("log.txt")).unwrap();
    lock.lock().unwrap();
    assert_eq!(fixture.look().state, State::Running, "before there is a report");
    fixture.write("run.json", "{\"state\":\"running\",\"step\":0,\"steps\":100}");
    fixture.write("config.toml", CONFIG);
    fixture.write("metrics.jsonl", &(line(10, 100.0) + &line(20, 300.0) + &line(30, 200.0)));
    let status = fixture.look();
    assert_eq!((status.state, status.step, status.steps), (State::Running, 30, Some(100)));
    assert_eq!(
        (status.loss, status.z_std, status.effective_rank),
        (Some(10.0 / 30.0), Some(0.5), Some(12.0))
    );
    assert_eq!((status.verdict, status.images_per_second), (Some(Verdict::Collapsing), Some(200.0)));
    // 70 steps of 64 samples.
    assert_eq!(status.seconds_left, Some(70.0 * 64.0 / 200.0));
    assert_eq!(status.loss_curve.len(), 3);
    drop(lock);
    let status = fixture.look();
    assert_eq!((status.state, status.detail.as_deref()), (State::Interrupted, Some("its process is gone")));
    assert_eq!(status.seconds_left, None);
}

#[test]
fn every_ending_is_told_with_its_reason() {
    let mut fixture = Fixture::new();
    for (text, state, detail) in [
        ("finished", State::Finished, None),
        ("stopped_early", State::StoppedEarly, None),
        ("interrupted", State::Interrupted, None),
        ("failed", State::Failed, Some("out of memory")),
    ] {
        fixture.write(
            "run.json",
            &format!("{{\"state\":\"{text}\",\"error\":\"out of memory\",\"seconds\":2}}"),
        );
        let status = fixture.look();
        assert_eq!((status.state, status.detail.as_deref()), (state, detail));
        assert_eq!(status.seconds, Some(2.0));
    }
    fixture.write("run.json", "{\"state\":\"fini");
    assert_eq!(fixture.look().state, State::Planned, "half a file is none");
}

#[test]
fn a_run_that_only_lacks_its_evaluation_is_trained() {
    let mut fixture = Fixture::new();
    let of_study = || Some(Known { state: State::Interrupted, detail: Some("not evaluated".into()) });
    let mut look = |state: &str| {
        fixture.write("run.json", &format!("{{\"state\":\"{state}\",\"step\":2,\"steps\":2}}"));
        let status = fixture.reader.look(&mut { usize::MAX }, of_study());
        (status.state, status.detail)
    };
    assert_eq!(look("finished"), (State::Trained, None));
    assert_eq!(look("stopped_early"), (State::Trained, None));
    assert_eq!(look("interrupted"), (State::Interrupted, Some("not evaluated".into())));
}

#[test]
fn a_resumed_run_that_went_back_is_where_its_last_line_says() {
    let mut fixture = Fixture::new();
    fixture.write("metrics.jsonl", &(line(10, 1.0) + &line(20, 1.0) + &line(30, 1.0)));
    assert_eq!(fixture.look().step, 30);
    fixture.write("fresh", &(line(10, 5.0) + "{\"step\":20,\"lo"));
    let path = fixture.folder.path();
    fs::rename(path.join("fresh"), path.join("metrics.jsonl")).unwrap();
    let status = fixture.look();
    assert_eq!((status.step, status.images_per_second), (10, Some(5.0)));
    assert_eq!(status.loss_curve, [(10, 1.0)]);
}
