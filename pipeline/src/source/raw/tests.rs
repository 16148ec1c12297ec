use std::path::Path;

use super::*;

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn refusal(result: Result<RawSource, SourceError>, folder: &Path) -> String {
    result.unwrap_err().to_string().replace(&folder.display().to_string(), "SET")
}

fn read(source: &RawSource, index: usize) -> SampleData {
    // What an earlier sample left must not shine through.
    let mut data = SampleData { form: Form::Encoded, bytes: vec![99; 7] };
    source.read(index, &mut data).unwrap();
    data
}

/// The pixel at (x, y) of a sample.
fn pixel(data: &SampleData, x: usize, y: usize) -> [u8; 3] {
    let Form::Rgb8(size) = data.form else { panic!("expected pixels") };
    assert_eq!(data.bytes.len(), 3 * size.width as usize * size.height as usize);
    let at = 3 * (y * size.width as usize + x);
    [data.bytes[at], data.bytes[at + 1], data.bytes[at + 2]]
}

/// The value of a channel of image `number` at (x, y): tells x, y and channel apart.
fn value(number: usize, channel: usize, x: usize, y: usize) -> u8 {
    (number * 101 + channel * 67 + x * 3 + y * 5) as u8
}

fn planes(number: usize, side: usize, by_columns: bool) -> Vec<u8> {
    let place = |at: usize| if by_columns { (at / side, at % side) } else { (at % side, at / side) };
    (0..3 * side * side)
        .map(|at| {
            let (x, y) = place(at % (side * side));
            value(number, at / (side * side), x, y)
        })
        .collect()
}

fn check_pixels(data: &SampleData, number: usize, side: usize) {
    assert_eq!(data.form, Form::Rgb8(Size { width: side as u32, height: side as u32 }));
    for (x, y) in [(0, 0), (1, 0), (0, 1), (7, 13), (side - 1, side - 1)] {
        assert_eq!(pixel(data, x, y), [0, 1, 2].map(|channel| value(number, channel, x, y)), "({x}, {y})");
    }
}

fn cifar10(folder: &Path) {
    let mut number = 0;
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"]
    {
        let mut records = Vec::new();
        for _ in 0..2 {
            records.push((number % 10) as u8);
            records.extend(planes(number, 32, false));
            number += 1;
        }
        write(folder, &format!("{file}.bin"), &records);
    }
}

#[test]
fn cifar_10_has_its_files_in_order_and_its_planes_interleaved() {
    let folder = tempfile::tempdir().unwrap();
    cifar10(folder.path());
    let numbered = RawSource::cifar10(folder.path(), Split::Train).unwrap();
    assert_eq!(numbered.classes().unwrap().len(), 10);
    write(folder.path(), "batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    let source = RawSource::cifar10(folder.path(), Split::Train).unwrap();
    assert_eq!((source.len(), source.classes().unwrap()[9].as_str()), (10, "j"));
    for number in 0..10 {
        check_pixels(&read(&source, number), number, 32);
        assert_eq!(source.sample(number).label, Some(number as i64));
    }
    assert_eq!(source.path(3), folder.path().join("data_batch_2.bin/1"));
    assert_eq!(source.sample(3).id, random::sample_id(b"data_batch_2/1"));
    assert_eq!(source.name(3), b"data_batch_2/1");
    let test = RawSource::cifar10(folder.path(), Split::Test).unwrap();
    assert_eq!((test.len(), test.sample(1).label), (2, Some(1)));
    check_pixels(&read(&test, 1), 11, 32);
    assert_ne!(source.identity(), test.identity());
    assert!(source.summary().starts_with("10 images of 32x32 pixels (CIFAR-10 train) in "));
}

#[test]
fn cifar_100_has_fine_and_coarse_labels() {
    let folder = tempfile::tempdir().unwrap();
    let records = [vec![3, 14], planes(0, 32, false), vec![19, 99], planes(1, 32, false)].concat();
    write(folder.path(), "train.bin", &records);
    let names = |count: usize| (0..count).map(|name| format!("name{name}\n")).collect::<String>();
    write(folder.path(), "fine_label_names.txt", names(100).as_bytes());
    write(folder.path(), "coarse_label_names.txt", names(20).as_bytes());
    let fine = RawSource::cifar100(folder.path(), Split::Train, false).unwrap();
    let coarse = RawSource::cifar100(folder.path(), Split::Train, true).unwrap();
    assert_eq!((fine.sample(1).label, fine.classes().unwrap().len()), (Some(99), 100));
    assert_eq!((coarse.sample(1).label, coarse.classes().unwrap().len()), (Some(19), 20));
    check_pixels(&read(&fine, 1), 1, 32);
    assert_eq!(fine.sample(0).id, coarse.sample(0).id);
    assert_ne!(fine.identity(), coarse.identity());
}

#[test]
fn stl_10_is_transposed_and_its_labels_count_from_one() {
    let folder = tempfile::tempdir().unwrap();
    let images = |first: usize| [planes(first, 96, true), planes(first + 1, 96, true)].concat();
    write(folder.path(), "train_X.bin", &images(0));
    write(folder.path(), "train_y.bin", &[1, 10]);
    write(folder.path(), "unlabeled_X.bin", &images(2));
    write(
        folder.path(),
        "class_names.txt",
        b"airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n",
    );
    let train = RawSource::stl10(folder.path(), Split::Train).unwrap();
    check_pixels(&read(&train, 1), 1, 96);
    assert_eq!((train.sample(0).label, train.sample(1).label), (Some(0), Some(9)));
    assert_eq!(train.classes().unwrap()[9], "truck");
    let unlabeled = RawSource::stl10(folder.path(), Split::Unlabeled).unwrap();
    check_pixels(&read(&unlabeled, 0), 2, 96);
    assert_eq!((unlabeled.sample(0).label, unlabeled.classes()), (None, None));
    let both = RawSource::stl10(folder.path(), Split::TrainAndUnlabeled).unwrap();
    assert_eq!((both.len(), both.classes(), both.sample(1).id), (4, None, train.sample(1).id));
    check_pixels(&read(&both, 3), 3, 96);
    write(folder.path(), "train_y.bin", &[1]);
    assert_eq!(
        refusal(RawSource::stl10(folder.path(), Split::Train), folder.path()),
        "SET/train_y.bin: found 1 labels, expected one for each of 2 images; \
         unpack the data set again, its binary version"
    );
}

fn idx(magic: u32, dimensions: &[u32], content: &[u8]) -> Vec<u8> {
    let words = [magic].into_iter().chain(dimensions.iter().copied());
    words.flat_map(u32::to_be_bytes).chain(content.iter().copied()).collect()
}

#[test]
fn idx_gray_becomes_three_equal_channels() {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..3 * 5 * 4).collect();
    write(folder.path(), "train-images-idx3-ubyte", &idx(0x803, &[3, 5, 4], &content));
    let unlabelled = RawSource::idx(folder.path(), Split::Train).unwrap();
    assert_eq!((unlabelled.len(), unlabelled.classes()), (3, None));
    write(folder.path(), "train-labels-idx1-ubyte", &idx(0x801, &[3], &[7, 0, 2]));
    write(folder.path(), "emnist-test-images.idx3-ubyte", &idx(0x803, &[1, 5, 4], &content[..20]));
    let train = RawSource::idx(folder.path(), Split::Train).unwrap();
    let data = read(&train, 1);
    assert_eq!(data.form, Form::Rgb8(Size { width: 4, height: 5 }));
    assert_eq!((pixel(&data, 0, 0), pixel(&data, 3, 4)), ([20; 3], [39; 3]));
    assert_eq!((train.sample(0).label, train.classes().unwrap().len()), (Some(7), 8));
    assert_eq!(RawSource::idx(folder.path(), Split::Test).unwrap().len(), 1);
    let direct = RawSource::idx(&folder.path().join("train-images-idx3-ubyte"), Split::Test).unwrap();
    assert_eq!((direct.len(), direct.sample(2).label), (3, Some(2)));
}

#[test]
fn files_of_another_kind_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let images = |bytes: &[u8]| {
        write(folder.path(), "train-images-idx3-ubyte", bytes);
        refusal(RawSource::idx(folder.path(), Split::Train), folder.path())
    };
    let packed = images(&[0x1F, 0x8B, 8, 0, 0]);
    assert!(packed.contains("found a file compressed with gzip, expected 0x00000803"), "{packed}");
    assert!(packed.ends_with("; decompress it (gunzip)"), "{packed}");
    assert!(images(&idx(0x801, &[3, 5, 4], &[])).contains("found 0x00000801 at its begin"));
    assert!(images(&idx(0x803, &[3, 5, 4], &[0; 40])).contains("found 2 images, expected 3, as its header"));
    assert!(
        images(&idx(0x803, &[3, 5, 4], &[0; 41])).contains("found 57 bytes, expected whole records of 20")
    );
    assert!(images(&idx(0x803, &[3, 0, 4], &[])).contains("found images of 4x0 pixels"));
    let nothing = refusal(RawSource::idx(folder.path(), Split::Test), folder.path());
    assert!(nothing.starts_with("SET: found none, expected t10k-images-idx3-ubyte; decompress"), "{nothing}");

    cifar10(folder.path());
    write(folder.path(), "data_batch_3.bin", &[0; 3072]);
    assert_eq!(
        refusal(RawSource::cifar10(folder.path(), Split::Train), folder.path()),
        "SET/data_batch_3.bin: found 3072 bytes, expected whole records of 3073 (labels and 32x32 RGB pixels); \
         unpack the data set again, its binary version"
    );
    std::fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
    let missing = refusal(RawSource::cifar10(folder.path(), Split::Train), folder.path());
    assert!(missing.starts_with("cannot read SET/data_batch_3.bin: "), "{missing}");
    let split = refusal(RawSource::cifar10(folder.path(), Split::Unlabeled), folder.path());
    assert!(split.contains("found split \"unlabeled\", expected one that the data set has: train, test"));
}

#[test]
fn reading_allocates_nothing_after_the_first_sample() {
    let folder = tempfile::tempdir().unwrap();
    cifar10(folder.path());
    let source = RawSource::cifar10(folder.path(), Split::Train).unwrap();
    let mut data = SampleData::default();
    source.read(0, &mut data).unwrap();
    let (memory, capacity) = (data.bytes.as_ptr(), data.bytes.capacity());
    for index in 0..source.len() {
        source.read(index, &mut data).unwrap();
    }
    assert_eq!((data.bytes.as_ptr(), data.bytes.capacity()), (memory, capacity));
}
