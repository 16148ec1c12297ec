//! The same images from every kind of source that can hold files: the same samples, and the same views bit for bit.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use diptych_pack::{Format, PackOptions};
use diptych_pipeline::{Preview, RenderedView, Source, SourceConfig, Split};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use support::{folder_of_images, options, pack, views};

/// A file below the folder of images.
struct Image {
    /// With `/` between folders.
    path: String,
    label: i64,
    bytes: Vec<u8>,
}

fn images(source: &dyn Source, folder: &Path) -> Vec<Image> {
    let image = |index| {
        let path = source.path(index);
        let label = source.sample(index).label.unwrap();
        let bytes = fs::read(&path).unwrap();
        Image { path: path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), label, bytes }
    };
    (0..source.len()).map(image).collect()
}

/// As WebDataset writes them: members in order, the class's number beside the image.
fn write_tar(folder: &Path, images: &[Image]) {
    for (number, images) in images.chunks(9).enumerate() {
        let mut shard = tar::Builder::new(File::create(folder.join(format!("set-{number:06}.tar"))).unwrap());
        let mut append = |name: &str, content: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            shard.append_data(&mut header, name, content).unwrap();
        };
        for image in images {
            append(&image.path, &image.bytes);
            append(&image.path.replace(".jpg", ".cls"), image.label.to_string().as_bytes());
        }
        shard.into_inner().unwrap();
    }
}

/// As Hugging Face stores them, in row groups of nine.
fn write_parquet(folder: &Path, images: &[Image]) {
    let message = "message m {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let schema = Arc::new(parse_message_type(message).unwrap());
    let file = File::create(folder.join("train-00000-of-00001.parquet")).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, schema, Arc::new(WriterProperties::builder().build())).unwrap();
    for images in images.chunks(9) {
        let mut group = writer.next_row_group().unwrap();
        for read in [|image: &Image| image.bytes.clone(), |image: &Image| image.path.clone().into_bytes()] {
            let values: Vec<ByteArray> = images.iter().map(|image| read(image).into()).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&vec![2; values.len()]), None).unwrap();
            column.close().unwrap();
        }
        let labels: Vec<i64> = images.iter().map(|image| image.label).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; labels.len()]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn write_lists(csv: &Path, json_lines: &Path, images: &[Image]) {
    let rows = images.iter().map(|image| format!("{},{}\n", image.path, image.label));
    fs::write(csv, format!("path,label\n{}", rows.collect::<String>())).unwrap();
    let lines =
        images.iter().map(|image| format!("{{\"path\": {:?}, \"label\": {}}}\n", image.path, image.label));
    fs::write(json_lines, lines.collect::<String>()).unwrap();
}

/// Label and views of each sample, by its id.
fn samples(source: &dyn Source) -> BTreeMap<u64, (Option<i64>, Vec<RenderedView>)> {
    let mut preview = Preview::new(&views()).unwrap();
    let sample = |index| {
        let sample = source.sample(index);
        (sample.id, (sample.label, preview.render_sample(source, index, 11, 3).unwrap()))
    };
    (0..source.len()).map(sample).collect()
}

#[test]
fn every_kind_of_source_gives_the_same_samples_and_the_same_views() {
    let folder = folder_of_images(23);
    let open = |path: &Path| SourceConfig::new(path).open(Split::Train).unwrap();
    let source = open(folder.path());
    let expected = samples(source.as_ref());
    assert_eq!(expected.len(), 23);

    let images = images(source.as_ref(), folder.path());
    let [tar, parquet, packed, raw] = [(); 4].map(|()| tempfile::tempdir().unwrap());
    write_tar(tar.path(), &images);
    write_parquet(parquet.path(), &images);
    let (csv, json_lines) = (folder.path().join("list.csv"), folder.path().join("list.jsonl"));
    write_lists(&csv, &json_lines, &images);
    pack(source.as_ref(), &options(packed.path()));
    pack(source.as_ref(), &PackOptions { format: Format::Raw, ..options(raw.path()) });

    for path in [tar.path(), parquet.path(), packed.path(), raw.path(), &csv, &json_lines] {
        let found = samples(open(path).as_ref());
        assert!(found.keys().eq(expected.keys()), "{}: other ids", path.display());
        assert!(found == expected, "{}: other labels or views", path.display());
    }
}
