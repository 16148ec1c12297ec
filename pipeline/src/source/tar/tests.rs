use std::path::{Path, PathBuf};

use diptych_host::Size;

use super::*;

const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 1];

fn shard(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Longer names become GNU's long ones.
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn write(folder: &Path, name: &str, members: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, shard(members)).unwrap();
    path
}

fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar");
    std::fs::write(&path, bytes).unwrap();
    TarSource::open(&path, "label").unwrap_err().to_string().replace(&path.display().to_string(), "SHARD")
}

/// Member, label and id of each sample, by its content.
fn samples(source: &TarSource) -> Vec<(String, Option<i64>, u64)> {
    let mut data = SampleData::default();
    (0..source.len())
        .map(|index| {
            source.read(index, &mut data).unwrap();
            let sample = source.sample(index);
            (String::from_utf8_lossy(&data.bytes).into_owned(), sample.label, sample.id)
        })
        .collect()
}

#[test]
fn members_of_one_name_are_one_sample_in_whatever_order_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}/x", "deep".repeat(60));
    let image = format!("{long}.png");
    let class = format!("{long}.cls");
    write(
        folder.path(),
        "s-1.tar",
        &[
            ("./n1/a.cls", b"1\n"),
            ("./n1/a.JPG", b"first"),
            (&image, b"third"),
            ("n1/b.left.jpg", b"not alone"),
            ("__notes__/1.jpg", b"a note"),
            ("n1/c.tif", b"second"),
            ("n1/c.json", br#"{"label": 7}"#),
            ("n1/c.cls", b"0"),
            (&class, b"2"),
        ],
    );
    write(folder.path(), "s-0.tar", &[("z.webp", b"zeroth"), ("z.json", br#"{"label": 1, "x": []}"#)]);
    let source = TarSource::open(folder.path(), "label").unwrap();
    let id = |name: &str| random::sample_id(name.as_bytes());
    let expected = [("zeroth", 1, "z"), ("first", 1, "n1/a"), ("third", 2, &long), ("second", 0, "n1/c")];
    assert_eq!(samples(&source), expected.map(|(text, label, name)| (text.into(), Some(label), id(name))));
    assert_eq!(source.classes().unwrap(), ["0", "1", "2"]);
    assert_eq!(source.shards(), [0..1, 1..4]);
    assert_eq!(source.path(1), folder.path().join("s-1.tar/n1/a.JPG"));
    assert_eq!([0, 1, 2, 3].map(|index| source.name(index)), expected.map(|(.., name)| name.as_bytes()));
    let summary = source.summary();
    assert!(summary.starts_with("4 images in 2 tar shards of "), "{summary}");
    assert!(summary.ends_with(", 3 classes; left out 1 names without an image (such as n1/b)"), "{summary}");
}

#[test]
fn names_in_pax_headers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("path", "long/other.jpg".as_bytes())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(5);
    builder.append_data(&mut header, "short.jpg", &b"other"[..]).unwrap();
    std::fs::write(folder.path().join("a.tar"), builder.into_inner().unwrap()).unwrap();
    let source = TarSource::open(folder.path(), "label").unwrap();
    assert_eq!(samples(&source), [("other".into(), None, random::sample_id(b"long/other"))]);
}

#[test]
fn a_name_in_two_shards_gives_two_ids() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "0.tar", &[("000.jpg", b"a"), ("001.jpg", b"b")]);
    write(folder.path(), "1.tar", &[("000.jpg", b"c")]);
    let source = TarSource::open(folder.path(), "label").unwrap();
    let ids: Vec<u64> = (0..3).map(|index| source.sample(index).id).collect();
    let names = ["0.tar/000.jpg", "001", "1.tar/000.jpg"];
    assert_eq!(ids, names.map(|name| random::sample_id(name.as_bytes())));
    assert_eq!([0, 1, 2].map(|index| source.name(index)), names.map(str::as_bytes));
}

#[test]
fn pixels_of_a_ppm_are_read_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "0.tar",
        &[("a.ppm", b"P6\n# x\n2 1\n255\n\x01\x02\x03\x04\x05\x06"), ("b.jpg", PNG)],
    );
    let source = TarSource::open(&path, "label").unwrap();
    let mut data = SampleData::default();
    source.read(0, &mut data).unwrap();
    assert_eq!(
        (data.form, &data.bytes[..]),
        (Form::Rgb8(Size { width: 2, height: 1 }), &[1, 2, 3, 4, 5, 6][..])
    );
    source.read(1, &mut data).unwrap();
    assert_eq!((data.form, &data.bytes[..]), (Form::Encoded, PNG));
    let gray = refusal(&shard(&[("a.ppm", b"P5\n1 1\n255\n\0")]));
    assert_eq!(
        gray,
        "SHARD: found netpbm's P5 in a.ppm, expected a PPM of kind P6 with values up to 255; store it so, or as PNG"
    );
}

#[test]
fn a_manifest_beside_the_shards_has_the_names_of_the_classes() {
    let folder = tempfile::tempdir().unwrap();
    let shard = write(folder.path(), "0.tar", &[("a%2Eb.jpg", b"a"), ("a%2Eb.cls", b"1")]);
    let manifest = |text: &str| {
        std::fs::write(folder.path().join(packed::MANIFEST), text).unwrap();
        let open = |path: &Path| TarSource::open(path, "label").map_err(|error| error.to_string());
        (open(folder.path()), open(&shard))
    };
    let ours = r#"{"format": "diptych pack", "version": 1, "complete": true, "classes": ["cat", "dog"]}"#;
    let (source, alone) = manifest(ours);
    let (source, alone) = (source.unwrap(), alone.unwrap());
    assert_eq!(
        (source.classes().unwrap(), source.sample(0).label),
        (&["cat".into(), "dog".into()][..], Some(1))
    );
    assert_eq!((source.name(0), source.sample(0).id), (b"a.b".to_vec(), random::sample_id(b"a.b")));
    assert_eq!(source.classes(), alone.classes());

    let (unfinished, alone) = manifest(&ours.replace("true", "false"));
    let unfinished = unfinished.unwrap_err();
    assert!(
        unfinished.contains("found an unfinished set, expected all of it; give the command"),
        "{unfinished}"
    );
    assert_eq!(alone.unwrap().classes().unwrap(), ["cat", "dog"]);
    let newer = manifest(&ours.replace('1', "2")).0.unwrap_err();
    assert!(newer.contains("found version 2, expected version 1"), "{newer}");
    let fewer = manifest(&ours.replace(r#", "dog""#, "")).0.unwrap_err();
    assert!(fewer.contains("found label 1 for a.b, expected 0 to 0"), "{fewer}");
    assert!(manifest("{").0.unwrap_err().contains("manifest.json: found EOF"));
    // Somebody else's, of whatever form.
    for strangers in ["[]", r#"{"format": "other", "version": 7}"#] {
        let source = manifest(strangers).0.unwrap();
        assert_eq!((source.classes().unwrap().join(" "), source.name(0)), ("0 1".into(), b"a%2Eb".to_vec()));
    }
}

#[test]
fn packed_sets_under_one_folder_need_the_same_classes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        write(
            &folder.path().join(name),
            "0.tar",
            &[(&format!("{name}.jpg"), b"a"), (&format!("{name}.cls"), b"0")],
        );
        let text = r#"{"format": "diptych pack", "version": 1, "complete": true, "classes": ["cat"]}"#;
        std::fs::write(folder.path().join(name).join(packed::MANIFEST), text).unwrap();
    }
    assert_eq!(TarSource::open(folder.path(), "label").unwrap().classes().unwrap(), ["cat"]);
    let path = folder.path().join("two").join(packed::MANIFEST);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("cat", "dog")).unwrap();
    let differ = TarSource::open(folder.path(), "label").unwrap_err().to_string();
    assert!(differ.contains("two/manifest.json: found classes that differ, expected those of "), "{differ}");
    for name in ["two", "one"] {
        std::fs::rename(folder.path().join(name).join(packed::MANIFEST), folder.path().join("aside"))
            .unwrap();
        assert_eq!(TarSource::open(folder.path(), "label").unwrap().classes().unwrap(), ["0"]);
        std::fs::rename(folder.path().join("aside"), folder.path().join(name).join(packed::MANIFEST))
            .unwrap();
    }
}

#[test]
fn labels_come_from_the_json_field_that_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(
        folder.path(),
        "0.tar",
        &[
            ("a.jpg", b"a"),
            ("a.json", br#"{"label": 3, "kind": "dog"}"#),
            ("b.jpg", b"b"),
            ("b.json", br#"{"kind": "cat"}"#),
        ],
    );
    let kinds = TarSource::open(&path, "kind").unwrap();
    assert_eq!(kinds.classes().unwrap(), ["cat", "dog"]);
    assert_eq!((kinds.sample(0).label, kinds.sample(1).label), (Some(1), Some(0)));
    let partly = TarSource::open(&path, "label").unwrap();
    assert_eq!((partly.classes(), partly.sample(0).label), (None, None));
    assert!(partly.summary().ends_with("without labels (1 of 2 samples have none, such as b)"));
    assert_ne!(kinds.identity(), partly.identity());
}

#[test]
fn shards_that_are_not_whole_or_not_plain_are_refused_with_the_remedy() {
    let whole = shard(&[("a.jpg", &[7; 700]), ("b.jpg", &[8; 700])]);
    assert_eq!(
        refusal(&whole[..2600]),
        "SHARD: found 2600 bytes, and b.jpg goes on after them, expected a whole tar archive; fetch or write it again"
    );
    let mut flipped = whole.clone();
    flipped[1536 + 3] ^= 1;
    assert!(refusal(&flipped).contains("checksum"), "{}", refusal(&flipped));
    let mut within_header = refusal(&whole[..1600]);
    within_header.truncate(13);
    assert_eq!(within_header, "SHARD: found ");
    assert!(
        refusal(&[0x1F, 0x8B, 8, 0, 0])
            .starts_with("SHARD: found a file compressed with gzip, expected a plain")
    );
    assert!(refusal(&shard(&[])).starts_with("SHARD: found no samples, expected members that end with .jpg"));
    let only_text = refusal(&shard(&[("a.txt", b"x")]));
    assert!(only_text.contains("found 1 names without an image (such as a)"), "{only_text}");
    let two = refusal(&shard(&[("a.jpg", PNG), ("a.png", PNG)]));
    assert!(two.contains("found both a.jpg and a.png, expected one image"), "{two}");
    let class = refusal(&shard(&[("a.jpg", PNG), ("a.cls", b"dog")]));
    assert!(class.contains("found \"dog\" in a.cls, expected the number of a class"), "{class}");
    let json = refusal(&shard(&[("a.jpg", PNG), ("a.json", b"{")]));
    assert!(json.contains("of a.json, expected JSON"), "{json}");
}

#[test]
fn a_shard_that_was_cut_after_opening_costs_its_own_samples_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "0.tar", &[("a.jpg", b"a"), ("b.jpg", b"b")]);
    let source = TarSource::open(&path, "label").unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1024).unwrap();
    let mut data = SampleData::default();
    source.read(0, &mut data).unwrap();
    assert_eq!(data.bytes, b"a");
    assert!(matches!(source.read(1, &mut data), Err(ReadError::File(_))));
}

#[test]
fn identity_follows_the_content_and_not_the_place() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = |folder: &Path, members: &[(&str, &[u8])]| {
        TarSource::open(&write(folder, "0.tar", members), "label").unwrap().identity()
    };
    let first = identity(here.path(), &[("a.jpg", b"a"), ("a.cls", b"1")]);
    assert_eq!(first, identity(there.path(), &[("a.jpg", b"a"), ("a.cls", b"1")]));
    assert_ne!(first, identity(there.path(), &[("b.jpg", b"a"), ("b.cls", b"1")]));
    assert_ne!(first, identity(there.path(), &[("a.jpg", b"ab"), ("a.cls", b"1")]));
    assert_ne!(first, identity(there.path(), &[("a.jpg", b"a"), ("a.cls", b"0")]));
}
