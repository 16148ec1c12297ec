//! Files that extend files, and overrides.

use std::path::{Path, PathBuf};

use diptych_config::{Document, Problems, differences, file_fingerprint, fingerprint};
use tempfile::TempDir;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir, file: &str, sets: &[&str]) -> Result<Document, Problems> {
    Document::load(&folder.path().join(file), &sets.iter().map(ToString::to_string).collect::<Vec<_>>())
}

/// The problems of loading, without the temporary folder's name.
fn failure(folder: &TempDir, file: &str, sets: &[&str]) -> String {
    let text = load(folder, file, sets).unwrap_err().to_string();
    let canonical = folder.path().canonicalize().unwrap();
    text.replace(&format!("{}/", canonical.display()), "")
        .replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_file_extends_another_table_by_table() {
    let folder = folder(&[
        ("base.toml", "[a]\nx = 1\ny = 2\nlist = [1, 2, 3]"),
        ("middle.toml", "extends = \"base.toml\"\n[a]\ny = 3\nlist = [4]"),
        ("run.toml", "extends = [\"middle.toml\"]\nz = 5\n[a]\nx = 6"),
    ]);
    let read = load(&folder, "run.toml", &[]).unwrap().read(|table| {
        let a = table.table("a", |a| {
            let list: Vec<i64> = a.required("list");
            (a.required::<i64>("x"), a.required::<i64>("y"), list)
        });
        (a.unwrap(), table.required::<i64>("z"))
    });
    assert_eq!(read.unwrap(), ((6, 3, vec![4]), 5));
}

#[test]
fn a_problem_names_the_file_that_the_value_stands_in() {
    let folder = folder(&[("base.toml", "\nx = true\n"), ("run.toml", "extends = \"base.toml\"\ny = true")]);
    let problems = load(&folder, "run.toml", &["z=true"]).unwrap().read(|table| {
        for key in ["z", "y", "x"] {
            table.required::<i64>(key);
        }
    });
    let lines: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
    assert!(lines[0].contains("run.toml:2: y: "), "{lines:?}");
    assert!(lines[1].contains("base.toml:2: x: "), "{lines:?}");
    assert!(lines[2].starts_with("--set z=true: z: found true, expected"), "{lines:?}");
}

#[test]
fn a_circle_of_extends_is_refused() {
    let folder = folder(&[("a.toml", "extends = \"b.toml\""), ("b.toml", "extends = \"a.toml\"")]);
    assert_eq!(
        failure(&folder, "a.toml", &[]),
        "b.toml:1: extends: a.toml extends itself in a circle: a.toml extends b.toml extends a.toml"
    );
}

#[test]
fn a_missing_file_and_a_missing_base_are_told_apart() {
    let folder = folder(&[("run.toml", "extends = \"nowhere.toml\"\nbad")]);
    assert!(failure(&folder, "absent.toml", &[]).starts_with("absent.toml: cannot be read: "));
    let found = failure(&folder, "run.toml", &[]);
    let lines: Vec<&str> = found.lines().collect();
    assert!(lines[0].starts_with("run.toml:1: extends: nowhere.toml cannot be read: "), "{found}");
    assert!(lines[1].starts_with("run.toml:2: not valid TOML: "), "{found}");
}

#[test]
fn overrides_take_toml_values_bare_words_and_indices() {
    let folder = folder(&[("run.toml", "[encoder]\nid = \"small\"\n[[losses]]\nweight = 1.0")]);
    let sets = ["encoder.id=resnet50", "losses[0].weight=0.5", "new.key=[1, 2]", "device=cuda:0"];
    let read = load(&folder, "run.toml", &sets).unwrap().read(|table| {
        assert_eq!(table.table("encoder", |table| table.required::<String>("id")).unwrap(), "resnet50");
        assert_eq!(table.tables("losses", |table| table.required::<f64>("weight")), [0.5]);
        assert_eq!(table.table("new", |table| table.required::<Vec<i64>>("key")).unwrap(), [1, 2]);
        assert_eq!(table.required::<String>("device"), "cuda:0");
    });
    read.unwrap();
}

#[test]
fn a_wrong_override_says_so() {
    let folder = folder(&[("run.toml", "a = 1\nlist = [1]")]);
    let set = |set: &str| failure(&folder, "run.toml", &[set]);
    assert!(set("a").starts_with("--set a: found no `=`"));
    assert_eq!(set("a.b=1"), "--set a.b=1: `a` is not a table");
    assert_eq!(set("list[3]=1"), "--set list[3]=1: found index 3, but `list` has 1 items");
    assert!(set("a=[1,").contains("not valid TOML"));
    assert!(set("a b=1").contains("`a b` is no key"));
}

#[test]
fn a_path_is_relative_to_its_own_file_and_an_override_to_the_working_directory() {
    let folder = folder(&[
        ("base/base.toml", "data = \"../photos\""),
        ("runs/run.toml", "extends = \"../base/base.toml\""),
        ("photos/a.txt", ""),
    ]);
    let path = |sets: &[&str]| -> PathBuf {
        load(&folder, "runs/run.toml", sets).unwrap().read(|table| table.required("data")).unwrap()
    };
    assert_eq!(path(&[]), folder.path().join("photos").canonicalize().unwrap());
    assert_eq!(path(&["data=src"]), Path::new("src").canonicalize().unwrap());
    assert_eq!(path(&["data=nowhere/at/all"]), std::env::current_dir().unwrap().join("nowhere/at/all"));
}

#[test]
fn a_table_can_stand_in_a_file_of_its_own() {
    let folder = folder(&[
        ("set.toml", "extends = \"more.toml\"\n[[views]]\nn = 1"),
        ("more.toml", "extra = 1"),
        ("run.toml", "[a]\nset = \"set.toml\"\nother = \"none.toml\""),
    ]);
    let problems = load(&folder, "run.toml", &[]).unwrap().read(|table| {
        table.table("a", |table| {
            let read = table.file("set", |set| set.tables("views", |view| view.required::<i64>("n")));
            assert_eq!(read, Some(vec![1]));
            assert_eq!(table.file("absent", |_| ()), None);
            table.file("other", |_| ());
        });
    });
    let lines: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("run.toml:3: a.other: "), "{lines:?}");
    assert!(lines[0].contains("none.toml cannot be read: "), "{lines:?}");
    assert!(lines[1].ends_with("more.toml:1: extra: unknown key, expected one of views"), "{lines:?}");
}

fn table(text: &str) -> toml::Table {
    text.parse().unwrap()
}

#[test]
fn the_fingerprint_ignores_order_and_sees_every_value() {
    let one = fingerprint(&table("a = 1\n[b]\nx = 0.1\ny = [true]"));
    assert_eq!(one.len(), 16);
    // With everything the other way round.
    assert_eq!(one, fingerprint(&table("# a comment\nb = { y = [true], x = 1e-1 }\na = 0x1")));
    for other in
        ["a = 2\n[b]\nx = 0.1\ny = [true]", "a = 1.0\n[b]\nx = 0.1\ny = [true]", "a = 1\n[b]\nx = 0.1"]
    {
        assert_ne!(one, fingerprint(&table(other)), "{other}");
    }
}

#[test]
fn a_files_fingerprint_is_that_of_its_contents_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::write(&one, "abc").unwrap();
    std::fs::write(&other, "abc").unwrap();
    // SHA-256 of "abc", FIPS 180-2.
    assert_eq!(file_fingerprint(&one).unwrap(), "ba7816bf8f01cfea");
    assert_eq!(file_fingerprint(&other).unwrap(), "ba7816bf8f01cfea");
    assert!(file_fingerprint(&folder.path().join("none")).is_err());
}

#[test]
fn differences_name_their_paths_and_both_sides() {
    let found = differences(&table("a = 1\nl = [1, 2]\n[t]\nx = 1"), &table("l = [1, 3]\nb = 2\n[t]\nx = 1"));
    let found: Vec<String> =
        found.iter().map(|(path, left, right)| format!("{path}: {left}, {right}")).collect();
    assert_eq!(found, ["a: 1, absent", "l[1]: 2, 3", "b: absent, 2"]);
}
