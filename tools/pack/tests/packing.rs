//! A packed set against the folder that it was made of.

mod support;

use std::sync::Arc;

use diptych_pack::{Format, PackOptions, ShardLimit};
use diptych_pipeline::{
    FolderSource, Form, HeapAllocator, Loader, LoaderOptions, Preview, SampleData, Size, Source,
    SourceConfig, Split, TarSource,
};
use support::{files, folder_of_images, options, pack, refused, turned_jpeg, views};

const LOSSLESS: [Format; 3] = [Format::Keep { quality: 90 }, Format::WebPLossless, Format::Raw];

#[test]
fn lossless_forms_have_the_same_ids_labels_and_views_bit_for_bit() {
    let (images, views) = (folder_of_images(23), views());
    let source = FolderSource::open(images.path()).unwrap();
    for format in LOSSLESS {
        let packed = tempfile::tempdir().unwrap();
        pack(&source, &PackOptions { format, ..options(packed.path()) });
        let shards = TarSource::open(packed.path(), "label").unwrap();
        assert_eq!((shards.len(), shards.shards().len()), (23, 5));
        assert_eq!(shards.classes(), source.classes());
        let mut preview = Preview::new(&views).unwrap();
        for index in 0..source.len() {
            assert_eq!(shards.sample(index), source.sample(index), "{format:?}");
            assert_eq!(shards.name(index), source.name(index));
            let before = preview.render_sample(&source, index, 11, 3).unwrap();
            let after = preview.render_sample(&shards, index, 11, 3).unwrap();
            assert!(before == after, "{format:?}: views of {} differ", shards.path(index).display());
        }
    }
}

#[test]
fn a_loader_gives_the_same_batches() {
    let (images, views) = (folder_of_images(23), views());
    let source: Arc<dyn Source> = Arc::new(FolderSource::open(images.path()).unwrap());
    let packed = tempfile::tempdir().unwrap();
    pack(source.as_ref(), &PackOptions { format: Format::Raw, ..options(packed.path()) });
    let batches = |source: &Arc<dyn Source>| {
        let options =
            LoaderOptions { batch_size: 5, workers: 2, epochs: Some(2), ..LoaderOptions::default() };
        let mut loader = Loader::start(Arc::clone(source), &views, options, Arc::new(HeapAllocator)).unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = loader.next() {
            let batch = batch.unwrap();
            let labels = batch.labels().map(<[i64]>::to_vec);
            batches.push((batch.ids().to_vec(), labels, batch.view(0).to_vec(), batch.view(1).to_vec()));
        }
        batches
    };
    let shards = SourceConfig::new(packed.path()).open(Split::Train).unwrap();
    let (before, after) = (batches(&source), batches(&shards));
    assert_eq!(before.len(), 8);
    assert!(before == after);
}

#[test]
fn kept_files_are_the_very_bytes() {
    let images = folder_of_images(9);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    pack(&source, &options(packed.path()));
    let shards = TarSource::open(packed.path(), "label").unwrap();
    let (mut one, mut other) = (SampleData::default(), SampleData::default());
    for index in 0..source.len() {
        source.read(index, &mut one).unwrap();
        shards.read(index, &mut other).unwrap();
        assert!(one.bytes == other.bytes);
    }
    assert!(shards.path(0).ends_with("000000.tar/class%2E0/000.jpg"), "{}", shards.path(0).display());
}

#[test]
fn pixels_are_read_without_decoding_and_stand_upright() {
    let images = tempfile::tempdir().unwrap();
    std::fs::write(images.path().join("a.jpg"), turned_jpeg(20, 30)).unwrap();
    let source = FolderSource::open(images.path()).unwrap();
    for (short_side, size) in [(None, (30, 20)), (Some(10), (15, 10)), (Some(20), (30, 20))] {
        let packed = tempfile::tempdir().unwrap();
        pack(&source, &PackOptions { format: Format::Raw, short_side, ..options(packed.path()) });
        let shards = TarSource::open(packed.path(), "label").unwrap();
        assert_eq!((shards.classes(), shards.sample(0).label), (None, None));
        let mut data = SampleData::default();
        shards.read(0, &mut data).unwrap();
        assert_eq!(data.form, Form::Rgb8(Size { width: size.0, height: size.1 }));
        assert_eq!(data.bytes.len(), 3 * (size.0 * size.1) as usize);
    }
}

#[test]
fn a_short_side_re_encodes_what_is_larger_and_keeps_the_rest() {
    let images = tempfile::tempdir().unwrap();
    let write = |name: &str, width, height| {
        support::picture(width, height, 3).save(images.path().join(name)).unwrap();
    };
    write("large.jpg", 90, 60);
    write("large.png", 60, 90);
    write("small.bmp", 40, 100);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    pack(&source, &PackOptions { short_side: Some(40), ..options(packed.path()) });
    let shards = TarSource::open(packed.path(), "label").unwrap();
    let found: Vec<(String, Size)> = (0..3)
        .map(|index| {
            let mut data = SampleData::default();
            shards.read(index, &mut data).unwrap();
            let member = shards.path(index).file_name().unwrap().to_string_lossy().into_owned();
            (member, diptych_pipeline::decode::probe(&data.bytes).unwrap())
        })
        .collect();
    // Two files share the name up to the suffix, which therefore belongs to it.
    let expected = [("large%2Ejpg.jpg", 60, 40), ("large%2Epng.webp", 40, 60), ("small.bmp", 40, 100)];
    assert_eq!(found, expected.map(|(name, width, height)| (name.to_owned(), Size { width, height })));
    assert_eq!([0, 1, 2].map(|index| shards.sample(index)), [0, 1, 2].map(|index| source.sample(index)));
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_workers_or_on_the_place() {
    let images = folder_of_images(17);
    let source = FolderSource::open(images.path()).unwrap();
    let with = |workers| {
        let packed = tempfile::tempdir().unwrap();
        let format = Format::Jpeg { quality: 80 };
        pack(&source, &PackOptions { workers, format, short_side: Some(18), ..options(packed.path()) });
        files(packed.path())
    };
    let one = with(1);
    let names: Vec<&str> = one.keys().map(String::as_str).collect();
    assert_eq!(names, ["000000.tar", "000001.tar", "000002.tar", "000003.tar", "manifest.json"]);
    assert!(one == with(2) && one == with(7));
}

#[test]
fn shards_end_with_the_sample_that_fills_them() {
    let images = folder_of_images(12);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let shards = ShardLimit::Bytes(6000);
    let summary = pack(&source, &PackOptions { shards, format: Format::Raw, ..options(packed.path()) });
    let lengths: Vec<usize> = files(packed.path())
        .iter()
        .filter(|(name, _)| name.ends_with(".tar"))
        .map(|(_, bytes)| bytes.len())
        .collect();
    assert_eq!((lengths.len(), lengths.iter().sum::<usize>() as u64), (summary.shards, summary.bytes));
    // A sample of 24x20 pixels and its label take 3072 bytes, the archive's end 1024.
    assert!(lengths[..lengths.len() - 1].iter().all(|bytes| (7000..11000).contains(bytes)), "{lengths:?}");
    assert_eq!(TarSource::open(packed.path(), "label").unwrap().len(), 12);
}

#[test]
fn a_packed_set_can_be_packed_again() {
    let images = folder_of_images(11);
    let source = FolderSource::open(images.path()).unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pack(&source, &options(first.path()));
    let shards = ShardLimit::Samples(4);
    pack(&TarSource::open(first.path(), "label").unwrap(), &PackOptions { shards, ..options(second.path()) });
    let again = TarSource::open(second.path(), "label").unwrap();
    assert_eq!(again.classes(), source.classes());
    for index in 0..11 {
        assert_eq!(again.sample(index), source.sample(index));
    }
}

#[test]
fn an_image_that_cannot_be_read_is_an_error_or_left_out_and_listed() {
    let images = folder_of_images(12);
    let cut = images.path().join("class.1/007.jpg");
    let whole = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let message = refused(&source, &options(packed.path()));
    assert!(message.starts_with(&format!("{}: JPEG file ends early", cut.display())), "{message}");
    assert!(message.contains("--skip-unreadable; then the same command goes on"), "{message}");

    let summary = pack(&source, &PackOptions { skip_unreadable: true, ..options(packed.path()) });
    assert_eq!((summary.samples, summary.skipped.len(), summary.complete), (11, 1, true));
    assert_eq!(summary.skipped[0].path, cut.display().to_string());
    let shards = TarSource::open(packed.path(), "label").unwrap();
    let ids = |source: &dyn Source| -> Vec<u64> {
        (0..source.len()).map(|index| source.sample(index).id).collect()
    };
    let mut expected = ids(&source);
    expected.remove(summary.skipped[0].index);
    assert_eq!(ids(&shards), expected);
}

#[test]
fn a_set_without_a_readable_image_is_refused() {
    let images = tempfile::tempdir().unwrap();
    std::fs::write(images.path().join("a.png"), b"\x89PNG\r\n\x1A\n").unwrap();
    let packed = tempfile::tempdir().unwrap();
    let source = FolderSource::open(images.path()).unwrap();
    let message = refused(&source, &PackOptions { skip_unreadable: true, ..options(packed.path()) });
    assert!(message.starts_with("none of the 1 images can be read, such as "), "{message}");
}

#[test]
fn a_path_that_is_listed_twice_is_two_samples() {
    let images = folder_of_images(2);
    let list = images.path().join("list.csv");
    std::fs::write(&list, "path\nclass.0/000.jpg\nclass.1/001.jpg\nclass.0/000.jpg\n").unwrap();
    let source = SourceConfig::new(&list).open(Split::Train).unwrap();
    let packed = tempfile::tempdir().unwrap();
    pack(source.as_ref(), &options(packed.path()));
    let shards = SourceConfig::new(packed.path()).open(Split::Train).unwrap();
    for index in 0..3 {
        assert_eq!(shards.sample(index), source.sample(index));
    }
    assert_eq!(shards.name(2), b"class.0/000.jpg#2");
}

#[test]
fn two_samples_of_one_name_are_refused() {
    let images = tempfile::tempdir().unwrap();
    // The first two share `a` and are called by their whole names, which is the third one's name.
    for name in ["a.jpg", "a.png", "a.jpg.bmp"] {
        let format = image::ImageFormat::from_path(name).unwrap();
        support::picture(8, 8, 1).save_with_format(images.path().join(name), format).unwrap();
    }
    let packed = tempfile::tempdir().unwrap();
    let message = refused(&FolderSource::open(images.path()).unwrap(), &options(packed.path()));
    assert!(message.ends_with(" have the same name, a.jpg: rename one of them"), "{message}");
}
