//! Images: whatever they are stored like, and as little of it as can be.

use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterVersion};
use sha2::{Digest, Sha256};

use super::super::super::FolderSource;
use super::*;

#[test]
fn files_of_pyarrow_hold_the_same_samples_as_a_folder_of_the_same_images() {
    let expected = std::fs::read_to_string(reference("expected.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').collect()).collect();
    for name in ["snappy.parquet", "stored.parquet", "zstd.parquet"] {
        let source = open(&reference(name));
        assert_eq!(source.classes().unwrap(), ["cat", "dog", "grass snake"]);
        assert_eq!(source.shards(), [0..3, 3..6, 6..8]);
        assert_eq!(source.path(4), reference(name).join("row 4"));
        let unpacked = tempfile::tempdir().unwrap();
        for (index, row) in rows.iter().enumerate() {
            let [class, path, digest] = row[..] else { panic!("three fields expected") };
            assert_eq!(source.classes().unwrap()[source.sample(index).label.unwrap() as usize], class);
            if path == "-" {
                assert_eq!(read(&source, index).unwrap_err(), "holds no image (null)");
                continue;
            }
            let bytes = read(&source, index).unwrap();
            let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(found, digest, "{name}, row {index}");
            std::fs::create_dir_all(unpacked.path().join(class)).unwrap();
            std::fs::write(unpacked.path().join(class).join(path), bytes).unwrap();
        }
        let folder = FolderSource::open(unpacked.path()).unwrap();
        assert_eq!(folder.len(), rows.len() - 1);
        let mut found = ids(&source);
        assert_eq!(found.remove(5), id(&format!("{}/5", name.strip_suffix(".parquet").unwrap())));
        let mut expected = ids(&folder);
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}

#[test]
fn every_way_to_store_a_column_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    // Large and small, equal ones, empty ones and nulls.
    let images: Vec<Vec<u8>> = (0..40)
        .map(|number| noise([90_000, 17, 70_000, 0, 3000][number as usize % 5], number % 13))
        .collect();
    let rows: Vec<Option<&[u8]>> = images
        .iter()
        .enumerate()
        .map(|(number, bytes)| (number % 7 != 3).then_some(bytes.as_slice()))
        .collect();
    let schema = "message m { optional binary image; }";
    let groups: Vec<Vec<Column>> = rows.chunks(20).map(|rows| vec![Column::Bytes(rows.to_vec())]).collect();
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(Default::default()),
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
        Compression::BROTLI(Default::default()),
    ];
    let encodings = [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY];
    for codec in codecs {
        for (version, dictionary, indexed) in [
            (WriterVersion::PARQUET_1_0, true, false),
            (WriterVersion::PARQUET_1_0, false, false),
            (WriterVersion::PARQUET_2_0, true, true),
            (WriterVersion::PARQUET_2_0, false, true),
        ] {
            for encoding in encodings {
                let properties = WriterProperties::builder()
                    .set_compression(codec)
                    .set_writer_version(version)
                    .set_dictionary_enabled(dictionary)
                    .set_dictionary_page_size_limit(600_000)
                    .set_encoding(encoding)
                    .set_offset_index_disabled(!indexed)
                    .set_statistics_enabled(if indexed {
                        EnabledStatistics::Page
                    } else {
                        EnabledStatistics::Chunk
                    })
                    .set_data_page_row_count_limit(6)
                    .set_write_batch_size(2);
                write_with(&path, properties, schema, &groups);
                let source = open(&path);
                // In an order that comes back to every page.
                for index in (0..40).map(|number| number * 27 % 40) {
                    let found = read(&source, index);
                    let case = format!("{codec} {version:?} {dictionary} {encoding}, row {index}");
                    match rows[index] {
                        Some(bytes) => assert!(found.as_deref() == Ok(bytes), "{case}"),
                        None => assert_eq!(found.unwrap_err(), "holds no image (null)", "{case}"),
                    }
                }
            }
        }
    }
}

#[test]
fn an_image_is_read_by_its_place_and_the_rest_of_its_page_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Vec<u8>> = (0..10).map(|number| noise(100_000, number)).collect();
    let rows = || vec![Column::Bytes(images.iter().map(|bytes| Some(bytes.as_slice())).collect())];
    for (codec, by_place) in [
        (Compression::UNCOMPRESSED, true),
        (Compression::SNAPPY, true),
        (Compression::ZSTD(Default::default()), false),
    ] {
        for dictionary in [false, true] {
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_dictionary_enabled(dictionary)
                .set_dictionary_page_size_limit(usize::MAX)
                .set_data_page_size_limit(usize::MAX);
            write_with(&path, properties, "message m { required binary image; }", &[rows()]);
            let source = open(&path);
            assert_eq!(read(&source, 0).unwrap(), images[0]);
            blank(&path, 400_000..900_000);
            for (index, image) in images.iter().enumerate().take(3) {
                let found = read(&source, index);
                assert_eq!(found.as_ref() == Ok(image), by_place, "{codec}, row {index}, {:?}", found.err());
            }
            assert_ne!(read(&source, 6).as_ref(), Ok(&images[6]), "read from somewhere else than the file");
        }
    }
}

#[test]
fn opening_touches_no_image_and_reading_no_other_row_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Vec<u8>> = (0..4).map(|number| noise(50_000, number)).collect();
    for indexed in [false, true] {
        let group = |rows: Range<usize>| {
            let bytes = images[rows.clone()].iter().map(|bytes| Some(bytes.as_slice())).collect();
            let paths = rows.map(|_| Some(b"x.png".as_slice())).collect();
            vec![Column::Bytes(bytes), Column::Bytes(paths), numbers(&[0, 1])]
        };
        let properties = WriterProperties::builder().set_offset_index_disabled(!indexed);
        write_with(&path, properties, HUGGING_FACE, &[group(0..2), group(2..4)]);
        // The first row group's images, headers of pages included.
        blank(&path, 4..90_000);
        let source = open(&path);
        assert_eq!(source.shards(), [0..2, 2..4]);
        assert_eq!(read(&source, 3).unwrap(), images[3]);
        assert!(read(&source, 0).is_err());
    }
}

#[test]
fn with_an_index_no_page_is_touched_but_the_one_that_holds_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Vec<u8>> = (0..4).map(|number| noise(50_000, number)).collect();
    for indexed in [false, true] {
        let rows = images.iter().map(|bytes| Some(bytes.as_slice())).collect();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(1)
            .set_write_batch_size(1)
            .set_offset_index_disabled(!indexed);
        write_with(&path, properties, "message m { optional binary image; }", &[vec![Column::Bytes(rows)]]);
        // The second page, its header included.
        blank(&path, 60_000..90_000);
        blank(&path, 50_000..50_200);
        let source = open(&path);
        assert_eq!(read(&source, 2).as_ref() == Ok(&images[2]), indexed);
    }
}

#[test]
fn workers_that_begin_with_the_same_page_all_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Vec<u8>> = (0..16).map(|number| noise(30_000, number)).collect();
    let rows = images.iter().map(|bytes| Some(bytes.as_slice())).collect();
    write(&path, "message m { required binary image; }", &[vec![Column::Bytes(rows)]]);
    for _ in 0..20 {
        let source = open(&path);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (source, images) = (&source, &images);
                scope.spawn(move || {
                    for index in (worker..16).step_by(4) {
                        assert!(read(source, index).as_ref() == Ok(&images[index]));
                    }
                });
            }
        });
    }
}

#[test]
fn images_that_are_not_in_the_file_are_errors_of_their_own_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let bytes = vec![Some(&b"A"[..]), None, None];
    let paths = vec![Some(&b"a.png"[..]), Some(b"/far/b.png"), None];
    write(&path, HUGGING_FACE, &[vec![Column::Bytes(bytes), Column::Bytes(paths), numbers(&[0, 0, 0])]]);
    let source = open(&path);
    assert_eq!(read(&source, 0).unwrap(), b"A");
    let mut data = SampleData::default();
    assert!(matches!(source.read(1, &mut data), Err(ReadError::Stored(_))));
    assert_eq!(
        read(&source, 1).unwrap_err(),
        "holds no bytes, only the path \"/far/b.png\", which is not followed (write the data set anew with its images in it)"
    );
    assert_eq!(read(&source, 2).unwrap_err(), "holds no image (null)");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(4).unwrap();
    assert!(matches!(source.read(0, &mut data), Err(ReadError::File(_))));
    assert!(matches!(try_open(&path).unwrap_err(), SourceError::Unfit { .. }));
}

#[test]
fn no_damaged_byte_is_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    for name in ["snappy.parquet", "stored.parquet", "zstd.parquet"] {
        let whole = std::fs::read(reference(name)).unwrap();
        // All of them take a minute.
        for at in (0..whole.len()).step_by(11) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xFF;
            std::fs::write(&path, bytes).unwrap();
            if let Ok(source) = try_open(&path) {
                (0..source.len()).for_each(|index| drop(read(&source, index)));
            }
        }
    }
}
