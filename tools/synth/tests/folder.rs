//! The whole set on disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use diptych_synth::{ImageSize, RECORD, Split, SynthOptions, Texture, write};

fn options(folder: &Path) -> SynthOptions {
    SynthOptions {
        splits: vec![Split { name: "train".into(), count: 40 }, Split { name: "test".into(), count: 24 }],
        ..SynthOptions::new(folder)
    }
}

/// Every file of the set by its path within.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn made(name: &str, change: impl FnOnce(&mut SynthOptions)) -> BTreeMap<String, Vec<u8>> {
    let place = tempfile::tempdir().unwrap();
    let mut options = options(&place.path().join(name));
    change(&mut options);
    write(&options, |_, _| ()).unwrap();
    files(&options.folder)
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads() {
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| made("demo", |_| ()))
    };
    let one = with_threads(1);
    assert_eq!(one.len(), 40 + 24 + 1);
    assert!(one == with_threads(3));
}

#[test]
fn another_seed_gives_other_images() {
    let (first, second) = (made("demo", |_| ()), made("demo", |options| options.seed = 1));
    let images = |files: BTreeMap<String, Vec<u8>>| -> Vec<Vec<u8>> {
        files.into_iter().filter(|(name, _)| name.ends_with(".jpg")).map(|(_, bytes)| bytes).collect()
    };
    let (first, second) = (images(first), images(second));
    assert!(first.iter().all(|image| !second.contains(image)));
}

#[test]
fn a_larger_split_begins_with_the_smaller_one_and_splits_share_no_image() {
    let small = made("demo", |_| ());
    let large = made("demo", |options| options.splits[0].count = 60);
    let images =
        |split: &str| small.iter().filter(move |(name, _)| name.starts_with(split)).collect::<Vec<_>>();
    assert!(images("train").iter().all(|(name, bytes)| large.get(*name) == Some(*bytes)));
    for (_, test) in images("test") {
        assert!(images("train").iter().all(|(_, train)| *train != test));
    }
}

#[test]
fn every_image_decodes_to_the_size_asked_for() {
    let size = ImageSize { width: 50, height: 37 };
    let files = made("demo", |options| options.size = size);
    let images = files.iter().filter(|(name, _)| name.ends_with(".jpg"));
    let mut count = 0;
    for (name, bytes) in images {
        let image = image::load_from_memory(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (image.width(), image.height(), image.color()),
            (50, 37, image::ColorType::Rgb8),
            "{name}"
        );
        count += 1;
    }
    assert_eq!(count, 64);
}

#[test]
fn classes_are_drawn_uniformly() {
    let place = tempfile::tempdir().unwrap();
    let mut options = options(&place.path().join("demo"));
    options.splits = vec![Split { name: "train".into(), count: 1600 }];
    options.size = ImageSize { width: 8, height: 8 };
    let summary = write(&options, |_, _| ()).unwrap();
    let counts = &summary.splits[0].1;
    assert_eq!(counts.iter().sum::<u64>(), 1600);
    // 200 expected; four standard deviations of a binomial with p = 1/8.
    assert!(counts.iter().all(|count| (147..=253).contains(count)), "{counts:?}");
    for (texture, count) in Texture::ALL.iter().zip(counts) {
        let folder = options.folder.join("train").join(texture.name());
        assert_eq!(fs::read_dir(folder).unwrap().count() as u64, *count);
    }
}

#[test]
fn the_texture_survives_jpeg() {
    let options = options(Path::new("unused"));
    let files = made("demo", |_| ());
    let luma = |pixel: &image::Rgb<u8>| {
        pixel
            .0
            .iter()
            .zip([0.299, 0.587, 0.114])
            .map(|(&value, weight)| f64::from(value) * weight)
            .sum::<f64>()
    };
    for number in 0..40 {
        let (class, drawn) = diptych_synth::draw(&options, "train", number);
        let name = format!("train/{}/{number:06}.jpg", class.name());
        let decoded = image::load_from_memory(&files[&name]).unwrap().to_rgb8();
        // Foreground and background are told apart by their luma, half-way between 0.35 and 0.65.
        let bright = |pixel: &image::Rgb<u8>| luma(pixel) > 127.5;
        let agreeing = drawn.pixels().zip(decoded.pixels()).filter(|(a, b)| bright(a) == bright(b)).count();
        assert!(agreeing > 1014, "{name}: only {agreeing} of 1024 pixels stay on their side");
    }
}

#[test]
fn progress_ends_at_the_total() {
    let place = tempfile::tempdir().unwrap();
    let seen = std::sync::Mutex::new(Vec::new());
    write(&options(&place.path().join("demo")), |done, total| seen.lock().unwrap().push((done, total)))
        .unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=64).map(|done| (done, 64)).collect::<Vec<_>>());
}

#[test]
fn a_set_that_is_there_already_is_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let options = options(&place.path().join("deep/demo"));
    let first = write(&options, |_, _| ()).unwrap();
    let second = write(&options, |_, _| panic!("nothing is to be written")).unwrap();
    assert!(!first.was_there && second.was_there);
    assert_eq!((first.images, &first.splits), (second.images, &second.splits));
}

#[test]
fn a_folder_of_something_else_is_refused_and_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("demo");
    let error = |change: fn(&mut SynthOptions)| {
        let mut options = options(&folder);
        change(&mut options);
        write(&options, |_, _| ()).unwrap_err().to_string().replace(folder.to_str().unwrap(), "DIR")
    };

    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("holiday.jpg"), "mine").unwrap();
    assert_eq!(error(|_| ()), "DIR holds other files: choose a new or empty folder");
    assert_eq!(files(&folder).len(), 1);

    fs::remove_file(folder.join("holiday.jpg")).unwrap();
    write(&options(&folder), |_, _| ()).unwrap();
    assert_eq!(
        error(|options| {
            options.seed = 5;
            options.splits[1].count = 25;
        }),
        "DIR holds another set (seed is 0, not 5; images.test is 24, not 25): remove that folder, or choose another"
    );

    let class = fs::read_dir(folder.join("train")).unwrap().next().unwrap().unwrap().path();
    let image = fs::read_dir(&class).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(image).unwrap();
    assert_eq!(
        error(|_| ()),
        "DIR: split `train` has 39 images where 40 were written: remove that folder, and make it again"
    );
}

#[test]
fn what_an_interrupted_run_left_is_replaced_and_a_failed_run_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let left = place.path().join(".demo.partial");
    fs::create_dir_all(left.join("train/dots")).unwrap();
    fs::write(left.join(RECORD), "").unwrap();
    write(&options(&place.path().join("demo")), |_, _| ()).unwrap();
    assert!(!left.exists());

    fs::write(place.path().join("file"), "").unwrap();
    let error = write(&options(&place.path().join("file")), |_, _| ()).unwrap_err().to_string();
    assert!(error.ends_with("file is a file: choose another folder"), "{error}");
    let error = write(&options(&place.path().join("file/demo")), |_, _| ()).unwrap_err().to_string();
    assert!(error.ends_with("choose another folder") || error.ends_with("that you may write to"), "{error}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
}
