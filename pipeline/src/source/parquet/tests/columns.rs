//! Names, labels, and files that hold no images.

use super::*;

#[test]
fn names_are_paths_with_the_class_before_them_where_they_have_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train-0.parquet");
    let rows = || {
        let bytes = [&b"A"[..], b"B", b"C", b"D", b"E", b"F"].map(Some).to_vec();
        let paths = vec![
            Some(&b"a.b.png"[..]),
            Some(b"./n1/b.png"),
            None,
            Some(b""),
            Some(b"a.b.jpg"),
            Some(b"a.b.png"),
        ];
        vec![Column::Bytes(bytes), Column::Bytes(paths), numbers(&[1, 1, 0, 0, 1, 0])]
    };
    write_with(&path, noted(NAMES), HUGGING_FACE, &[rows()]);
    let source = open(&path);
    let names = ["train-0.parquet/0", "n1/b", "train-0/2", "train-0/3", "train-0.parquet/4", "cat/a.b"];
    assert_eq!(ids(&source), names.map(id));
    let labels: Vec<i64> = (0..6).map(|index| source.sample(index).label.unwrap()).collect();
    assert_eq!((labels, source.classes().unwrap().join(" ")), (vec![1, 1, 0, 0, 1, 0], "cat dog".into()));

    // Numbers without names are no class names.
    write(&path, HUGGING_FACE, &[rows()]);
    let source = open(&path);
    assert_eq!((source.sample(1).id, source.classes().unwrap().join(" ")), (id("n1/b"), "0 1".into()));
    let one = vec![texts(&["A"]), texts(&["a.png"]), numbers(&[1])];
    write(&path, HUGGING_FACE, &[one]);
    assert_eq!(ids(&open(&path)), [id("a")]);
}

#[test]
fn a_folder_and_a_pattern_name_files_whose_equal_names_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |bytes: &'static str| vec![texts(&[bytes]), texts(&["1.png"]), numbers(&[0])];
    for (name, bytes) in [("train-1", "one"), ("train-0", "zero"), ("test-0", "test")] {
        write(&folder.path().join(format!("data/{name}.parquet")), HUGGING_FACE, &[rows(bytes)]);
    }
    std::fs::write(folder.path().join("README.md"), "none").unwrap();
    let all = open(folder.path());
    let names = ["test-0", "train-0", "train-1"].map(|name| format!("{name}.parquet/0"));
    assert_eq!(ids(&all), names.each_ref().map(|name| id(name)));
    assert_eq!(all.path(1), folder.path().join("data/train-0.parquet/row 0"));
    for pattern in ["data/train-*.parquet", "data/train-{0..1}.parquet"] {
        let train = open(&folder.path().join(pattern));
        assert_eq!((train.len(), read(&train, 0).unwrap(), train.shards().len()), (2, b"zero".to_vec(), 2));
        let summary = train.summary();
        assert!(summary.starts_with("2 images in 2 Parquet files of "), "{summary}");
        assert!(summary.ends_with(", 1 classes"), "{summary}");
    }
    write(&folder.path().join("other/train-0.parquet"), HUGGING_FACE, &[rows("other")]);
    let same = open(&folder.path().join("*/train-0.parquet"));
    assert_eq!(ids(&same), ["data/train-0.parquet/0", "other/train-0.parquet/0"].map(id));
}

#[test]
fn labels_are_texts_or_numbers_of_the_column_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let schema = "message m {
        required binary picture; optional binary kind (UTF8); optional int64 label; required int32 small; optional double score;
    }";
    let columns = vec![
        texts(&["A", "B", "C"]),
        texts(&["dog", "cat", "dog"]),
        Column::Numbers(vec![Some(1), None, Some(0)]),
        Column::Small(vec![Some(2), Some(1), Some(0)]),
        Column::Reals(vec![Some(0.5); 3]),
    ];
    write(&path, schema, &[columns]);

    let fields = |label| ParquetFields { image: "picture", label };
    let labels = |label| {
        let source = ParquetSource::open(&path, fields(label)).unwrap();
        let labels: Vec<Option<i64>> = (0..3).map(|index| source.sample(index).label).collect();
        (labels, source.classes().unwrap_or_default().join(" "), source.summary())
    };
    let (kinds, classes, _) = labels(Some("kind"));
    assert_eq!((kinds, classes.as_str()), (vec![Some(1), Some(0), Some(1)], "cat dog"));
    let (small, classes, _) = labels(Some("small"));
    assert_eq!((small, classes.as_str()), (vec![Some(2), Some(1), Some(0)], "0 1 2"));
    let (partly, _, summary) = labels(None);
    assert_eq!(partly, [None; 3]);
    assert!(summary.ends_with("without labels (1 of 3 samples have none, such as a/1)"), "{summary}");
    assert_eq!(
        refusal(&path, fields(Some("score"))),
        "FILE: found `score`: DOUBLE, expected `score` to be whole numbers or texts; name the columns with image_field and \
         label_field, or write the data set anew with its images in it"
    );
    let missing = refusal(&path, fields(Some("class")));
    let expected = "FILE: found columns picture, kind, label, small, score, expected one of numbers or texts called class; ";
    assert!(missing.starts_with(expected), "{missing}");
}

#[test]
fn a_column_label_that_holds_something_else_is_left_out_and_the_summary_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let schema = "message m { required binary image; required double label; }";
    write(&path, schema, &[vec![texts(&["A"]), Column::Reals(vec![Some(0.5)])]]);
    let source = open(&path);
    assert_eq!((source.classes(), read(&source, 0).unwrap()), (None, b"A".to_vec()));
    assert!(source.summary().ends_with("without labels (column label is DOUBLE)"), "{}", source.summary());
}

#[test]
fn files_whose_class_names_differ_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = || vec![texts(&["A"]), texts(&["1.png"]), numbers(&[0])];
    write_with(&folder.path().join("0.parquet"), noted(NAMES), HUGGING_FACE, &[rows()]);
    write(&folder.path().join("1.parquet"), HUGGING_FACE, &[rows()]);
    assert_eq!(open(folder.path()).classes().unwrap(), ["cat", "dog"]);
    let others = NAMES.replace("dog", "cow");
    write_with(&folder.path().join("2.parquet"), noted(&others), HUGGING_FACE, &[rows()]);
    let text = refusal(folder.path(), ParquetFields::default());
    let expected =
        "FILE/2.parquet: found class names in its notes that differ, expected those of FILE/0.parquet; ";
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn files_without_such_images_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let refused = |schema: &str, groups: &[Vec<Column>]| {
        write(&path, schema, groups);
        refusal(&path, ParquetFields::default())
    };
    let remedy = "; name the columns with image_field and label_field, or write the data set anew with its images in it";
    assert_eq!(
        refused("message m { required binary img; optional int64 label; }", &[]),
        format!("FILE: found columns img, label, expected one called image{remedy}")
    );
    let expected = format!(", expected `image` to be bytes, or a struct of `bytes` and `path`{remedy}");
    for (schema, found) in [
        ("message m { required binary image (UTF8); }", "`image`: texts"),
        ("message m { required int64 image; }", "`image`: INT64"),
        ("message m { repeated binary image; }", "`image`: lists of bytes"),
        ("message m { required group image { required binary path (UTF8); } }", "`image` without `bytes`"),
        ("message m { required group image { required int32 bytes; } }", "`image.bytes`: INT32"),
    ] {
        assert_eq!(refused(schema, &[]), format!("FILE: found {found}{expected}"));
    }
    assert_eq!(
        refused(HUGGING_FACE, &[]),
        "FILE: found no rows, expected one for each image; fetch or write the data set again"
    );
    write(&path, HUGGING_FACE, &[vec![texts(&["A"]), texts(&["a.png"]), numbers(&[0])]]);
    let whole = std::fs::read(&path).unwrap();
    for wrong in [&b""[..], b"PAR1", &whole[..whole.len() - 9], &[9; 700]] {
        std::fs::write(&path, wrong).unwrap();
        let text = refusal(&path, ParquetFields::default());
        assert!(text.ends_with(", expected a whole Parquet file; fetch or write it again"), "{text}");
    }
    let nowhere = refusal(&folder.path().join("b.parquet"), ParquetFields::default());
    assert!(nowhere.starts_with("cannot read FILE"), "{nowhere}");
}

#[test]
fn identity_follows_the_content_and_not_the_place() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = |folder: &Path, bytes: &str, path: &str, label: i64| {
        let file = folder.join("a.parquet");
        write(&file, HUGGING_FACE, &[vec![texts(&[bytes]), texts(&[path]), numbers(&[label])]]);
        open(&file).identity()
    };
    let first = identity(here.path(), "A", "a.png", 1);
    assert_eq!(first, identity(there.path(), "A", "a.png", 1));
    assert_ne!(first, identity(there.path(), "AB", "a.png", 1));
    assert_ne!(first, identity(there.path(), "A", "b.png", 1));
    assert_ne!(first, identity(there.path(), "A", "a.png", 0));
}
