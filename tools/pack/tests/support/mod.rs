//! What the tests of packed sets share.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use diptych_config::Document;
use diptych_host::Registry;
use diptych_pack::{PackOptions, ShardLimit, Summary};
use diptych_pipeline::{Source, ViewSet};
use diptych_test_support::built_plugin;
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// `count` JPEGs of different sizes in three classes, whose names have dots.
pub fn folder_of_images(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..count {
        let class = folder.path().join(format!("class.{}", index % 3));
        fs::create_dir_all(&class).unwrap();
        let (width, height) = (24 + (index % 5) as u32, 20 + (index % 7) as u32);
        picture(width, height, index as u32).save(class.join(format!("{index:03}.jpg"))).unwrap();
    }
    folder
}

pub fn picture(width: u32, height: u32, number: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let value = x * 9 + y * 5 + 31 * number;
        Rgb([value as u8, (value / 2 + 17 * y) as u8, 255 - (x * 7) as u8])
    })
}

/// A JPEG stored with this size, which its EXIF tag says to turn by a quarter.
pub fn turned_jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture(width, height, 1).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    let bytes = bytes.into_inner();
    // One entry: orientation (0x0112), a short (3), once, 6.
    let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&bytes[..2], exif, &bytes[2..]].concat()
}

/// Files as they are, five to a shard, two workers.
pub fn options(folder: &Path) -> PackOptions {
    PackOptions { shards: ShardLimit::Samples(5), workers: 2, ..PackOptions::new(folder) }
}

pub fn pack(source: &dyn Source, options: &PackOptions) -> Summary {
    diptych_pack::pack(source, options, &|_, _| (), &AtomicBool::new(false)).unwrap()
}

pub fn refused(source: &dyn Source, options: &PackOptions) -> String {
    diptych_pack::pack(source, options, &|_, _| (), &AtomicBool::new(false)).unwrap_err().to_string()
}

/// Every file by its name; the lock, which holds nothing, is left out.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
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

/// Two views with every kind of operator.
pub fn views() -> ViewSet {
    let text = r#"
        [[views]]
        operators = [
            { id = "random_resized_crop", size_pixels = 16 },
            { id = "horizontal_flip", probability = 0.5 },
            { id = "color_jitter", probability = 0.8 },
        ]
        [[views]]
        operators = [
            { id = "random_resized_crop", size_pixels = 12 },
            { id = "gaussian_blur", probability = 0.5, kernel_pixels = 3 },
            { id = "grayscale", probability = 0.2 },
        ]
    "#;
    let registry = Registry::load_folders(&[built_plugin("diptych-augmentations")], None).unwrap();
    let document = Document::parse(text, "views.toml");
    document.and_then(|document| document.read(|table| ViewSet::read(table, &registry))).unwrap()
}
