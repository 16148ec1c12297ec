//! `diptych pack` and `diptych data check` as a user has them: good input, bad input, and interruptions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use diptych_tests::built_program;
use tempfile::TempDir;

/// A small labelled set, made once by the binary itself.
static IMAGES: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("set");
    succeeds(&["synth", text(&set), "--split", "train=96", "--size", "64x48"]);
    folder
});

fn images() -> String {
    text(&IMAGES.path().join("set/train")).to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(built_program());
    command.args(arguments);
    command
}

/// Standard output of a command that must end well.
fn succeeds(arguments: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// One message, no panic, status 1; the message.
fn fails(arguments: &[&str], expected: &[&str]) -> String {
    let output = command(arguments).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in expected {
        assert!(message.contains(part), "expected {part:?} in: {message}");
    }
    assert!(message.starts_with("error: ") && !message.contains("panicked"), "{message}");
    message
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name != ".lock" {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_set_is_packed_verified_checked_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let (images, packed) = (images(), folder.path().join("deep/packed"));
    let arguments = ["pack", &images, text(&packed), "--short-side", "32", "--shard-samples", "40"];
    let said = succeeds(&arguments);
    assert!(said.contains("holds 96 samples in 3 shards, "), "{said}");
    assert!(succeeds(&arguments).contains("already holds 96 samples in 3 shards, "));
    let said = succeeds(&["pack", "--verify", text(&packed)]);
    assert!(said.contains("is whole: 96 samples in 3 shards, "), "{said}");

    let report = succeeds(&["data", "check", text(&packed)]);
    assert!(report.contains("96 images in 3 tar shards of ") && report.contains(", 8 classes\n"), "{report}");
    assert!(
        report.contains("  formats      JPEG 96\n") && report.contains("  broken       none\n"),
        "{report}"
    );
    assert!(report.contains("  smallest     42x32  "), "{report}");
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(&["data", "check", text(&packed), "--json"])).unwrap();
    assert_eq!((&json["images"], &json["broken"]), (&96.into(), &serde_json::json!([])));
    let dots = json["classes"].as_array().unwrap().iter().find(|class| class["name"] == "dots").unwrap();
    let count = fs::read_dir(IMAGES.path().join("set/train/dots")).unwrap().count();
    assert_eq!(dots["images"], count);
}

#[test]
fn a_killed_command_goes_on_to_the_very_bytes_of_an_undisturbed_one() {
    let folder = TempDir::new().unwrap();
    let images = images();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let arguments = |packed: &Path, workers: &str| -> Vec<String> {
        // Lossless, which takes its time, and single samples, so that there is always one to interrupt.
        let options = ["--format", "webp-lossless", "--shard-samples", "1", "--workers", workers];
        let head = ["pack", &images, text(packed)];
        head.iter().chain(&options).map(|argument| (*argument).to_owned()).collect()
    };
    let run = |arguments: &[String]| succeeds(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    run(&arguments(&whole, "2"));
    let expected = files(&whole);
    assert_eq!(expected.len(), 97);

    for signal in ["-KILL", "-INT"] {
        let shards = || fs::read_dir(&killed).map_or(0, |entries| entries.count());
        let before = shards();
        let mut child = command(&[])
            .args(arguments(&killed, "1"))
            .stderr(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while shards() < before + 5
            && child.try_wait().unwrap().is_none()
            && start.elapsed() < Duration::from_secs(60)
        {
            thread::sleep(Duration::from_millis(1));
        }
        // It may have come to its end by now; what is there must be the same in any case.
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).status();
        let status = child.wait().unwrap();
        assert!(signal != "-INT" || matches!(status.code(), Some(130 | 0)), "{status}");
    }
    run(&arguments(&killed, "2"));
    assert!(files(&killed) == expected, "{:?}", files(&killed).keys());
    succeeds(&["pack", "--verify", text(&killed)]);
}

#[test]
fn a_damaged_shard_is_found_and_written_anew() {
    let folder = TempDir::new().unwrap();
    let (images, packed) = (images(), folder.path().join("packed"));
    let arguments = ["pack", &images, text(&packed), "--shard-samples", "40"];
    succeeds(&arguments);
    let expected = files(&packed);
    let shard = packed.join("000001.tar");
    let mut bytes = expected["000001.tar"].clone();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&shard, bytes).unwrap();
    let output = command(&["pack", "--verify", text(&packed)]).output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(listed.ends_with("000001.tar: its bytes are not those that were written\n"), "{listed}");
    fails(&["pack", "--verify", text(&packed)], &["1 of 3 shards", "remove them"]);
    fs::remove_file(&shard).unwrap();
    succeeds(&arguments);
    assert!(files(&packed) == expected);
}

#[test]
fn broken_images_are_reported_left_out_or_an_error() {
    let folder = TempDir::new().unwrap();
    let (set, packed) = (folder.path().join("set"), folder.path().join("packed"));
    fs::create_dir(&set).unwrap();
    let dots = IMAGES.path().join("set/train/dots");
    LazyLock::force(&IMAGES);
    let first = fs::read_dir(&dots).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(first).unwrap();
    for name in ["one.jpg", "two.jpg"] {
        fs::write(set.join(name), &whole).unwrap();
    }
    fs::write(set.join("cut.jpg"), &whole[..whole.len() / 2]).unwrap();

    let output = command(&["data", "check", text(&set)]).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
    assert!(report.contains("one.jpg = ") && report.contains("cut.jpg: JPEG file ends early"), "{report}");

    let arguments = ["pack", text(&set), text(&packed)];
    fails(&arguments, &["cut.jpg", "ends early", "--skip-unreadable"]);
    let said = succeeds(&with(&arguments, &["--skip-unreadable"]));
    assert!(said.contains("holds 2 samples in 1 shards"), "{said}");
    assert!(said.contains("left out 1 that cannot be read:\n  ") && said.contains("cut.jpg: JPEG"), "{said}");
}

#[test]
fn mistakes_end_in_one_clear_message() {
    let folder = TempDir::new().unwrap();
    let (images, packed) = (images(), folder.path().join("packed"));
    let (empty, other) = (folder.path().join("empty"), folder.path().join("other"));
    fs::create_dir(&empty).unwrap();
    fs::create_dir(&other).unwrap();
    fs::write(other.join("thesis.tex"), "mine").unwrap();
    let begin = ["pack", &images, text(&packed)];
    succeeds(&with(&begin, &["--shard-samples", "50", "--short-side", "32"]));

    fails(&["pack", "/no/such/folder", text(&packed)], &["/no/such/folder"]);
    fails(&["pack", text(&empty), text(&packed)], &["no images in ", "an empty folder"]);
    fails(&["pack", &images, text(&other)], &["holds other files (such as thesis.tex)", "empty folder"]);
    let message = fails(
        &with(&begin, &["--short-side", "16", "--quality", "80"]),
        &[
            "holds another set (",
            "quality is 90, not 80",
            "short_side is 32, not 16",
            "shard_samples is 50, not unset",
        ],
    );
    assert!(message.contains("remove that folder, or choose another"), "{message}");
    fails(&with(&begin, &["--quality", "101"]), &["found quality 101, expected 1 to 100"]);
    fails(
        &with(&begin, &["--quality", "90", "--format", "raw"]),
        &["--quality", "loses nothing", "leave it out"],
    );
    fails(&with(&begin, &["--shard-samples", "0"]), &["found shards of 0 samples, expected at least 1"]);
    fails(&["pack", "--verify", text(&other)], &["holds no packed set"]);
    fails(&["data", "check", text(&other)], &["no images in ", "thesis.tex"]);

    let size = command(&with(&begin, &["--shard-bytes", "lots"])).output().unwrap();
    assert!(
        stderr(&size).contains("found size \"lots\", expected bytes, or a number with kB"),
        "{}",
        stderr(&size)
    );
    let nothing = command(&["pack"]).output().unwrap();
    assert!(stderr(&nothing).contains("<SRC> <DST>"), "{}", stderr(&nothing));
}

#[test]
fn a_set_that_is_packed_again_keeps_its_classes_and_its_pixels() {
    let folder = TempDir::new().unwrap();
    let (images, packed) = (images(), folder.path().join("packed"));
    succeeds(&["pack", &images, text(&packed), "--format", "raw"]);
    let again = folder.path().join("again");
    succeeds(&["pack", text(&packed), text(&again), "--format", "keep"]);
    let classes = |folder: &Path| -> serde_json::Value {
        let manifest = fs::read(folder.join("manifest.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&manifest).unwrap()["classes"].clone()
    };
    assert_eq!(classes(&again), classes(&packed));
    assert!(classes(&again).as_array().unwrap().contains(&"dots".into()));
    assert_eq!(files(&again)["000000.tar"], files(&packed)["000000.tar"]);
}
