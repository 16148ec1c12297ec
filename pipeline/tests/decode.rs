//! Images of every kind, from `tests/reference/decode`, against Pillow's pixels.

use std::fs;
use std::path::PathBuf;

use diptych_abi::{Region, Size};
use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode, decode_region, probe};
use sha2::{Digest, Sha256};

struct Expected {
    name: String,
    size: Size,
    sha256: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/decode")
}

fn read(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn expected() -> Vec<Expected> {
    let table = String::from_utf8(read("expected.tsv")).unwrap();
    let rows: Vec<Expected> = table
        .lines()
        .skip(1)
        .map(|line| {
            let [name, width, height, sha256] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let size = Size { width: width.parse().unwrap(), height: height.parse().unwrap() };
            Expected { name: name.into(), size, sha256: sha256.into() }
        })
        .collect();
    assert!(rows.len() > 150);
    rows
}

fn whole(name: &str) -> DecodedImage {
    let mut image = DecodedImage::default();
    decode(&read(name), &DecodeOptions::default(), &mut image)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    image
}

#[test]
fn every_kind_of_file_is_decoded_to_the_very_pixels_that_pillow_gives() {
    let mut differ = Vec::new();
    for Expected { name, size, sha256 } in expected() {
        let image = whole(&name);
        assert_eq!(image.size(), size, "{name}");
        assert_eq!(probe(&read(&name)).unwrap(), size, "{name}");
        let found: String = Sha256::digest(&image.pixels).iter().map(|byte| format!("{byte:02x}")).collect();
        // Checked below.
        if found != sha256 && name != "lossy.webp" {
            differ.push(name);
        }
    }
    assert_eq!(differ, Vec::<String>::new());
}

#[test]
fn lossy_webp_differs_from_pillow_by_rounding_alone() {
    let (found, expected) = (whole("lossy.webp"), whole("lossy.webp.png"));
    assert_eq!(found.size(), expected.size());
    let most = found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most <= Some(3), "{most:?}");
}

/// Regions from a fixed sequence, with all the corners and the smallest.
fn regions(size: Size) -> impl Iterator<Item = Region> {
    let mut state = u64::from(size.width) << 32 | u64::from(size.height);
    (0..40).map(move |round| {
        let mut below = |end: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % u64::from(end)) as u32
        };
        let (width, height) = match round % 4 {
            0 => (1, 1),
            _ => (1 + below(size.width), 1 + below(size.height)),
        };
        let (right, below_it) = (size.width - width, size.height - height);
        let (x, y) = match round % 5 {
            0 => (0, 0),
            1 => (right, below_it),
            _ => (below(right + 1), below(below_it + 1)),
        };
        Region { x, y, width, height }
    })
}

/// `region` of an image that holds more.
fn cut(image: &DecodedImage, region: Region) -> Vec<u8> {
    let held = image.region;
    let stride = 3 * held.width as usize;
    let (x, y) = ((region.x - held.x) as usize, (region.y - held.y) as usize);
    let rows = (y..y + region.height as usize)
        .map(|row| &image.pixels[row * stride + 3 * x..][..3 * region.width as usize]);
    rows.flatten().copied().collect()
}

#[test]
fn a_region_has_the_pixels_of_the_whole_image() {
    let mut image = DecodedImage::default();
    let mut smaller = 0;
    for Expected { name, size, .. } in expected() {
        let (file, whole) = (read(&name), whole(&name));
        for region in regions(size) {
            decode_region(&file, &DecodeOptions::default(), region, &mut image).unwrap();
            assert_eq!(image.size(), size);
            assert!(cut(&image, region) == cut(&whole, region), "{region:?} of {name}");
            smaller += usize::from(image.pixels.len() < whole.pixels.len());
        }
    }
    assert!(smaller > 4000, "only {smaller} regions were decoded without the rest of their image");
}

#[test]
fn a_file_that_ends_early_is_an_error_whatever_the_region() {
    let mut image = DecodedImage::default();
    let region = Region { x: 3, y: 2, width: 4, height: 1 };
    for name in ["baseline_420_q92.jpg", "restart_444.jpg", "progressive_422.jpg", "a_scan_per_component.jpg"]
    {
        let file = read(name);
        decode_region(&file, &DecodeOptions::default(), region, &mut image).unwrap();
        for end in 0..file.len() - 1 {
            let found = decode_region(&file[..end], &DecodeOptions::default(), region, &mut image);
            assert!(found.is_err(), "{name} cut to {end} of {} bytes was accepted", file.len());
        }
    }
}

#[test]
fn a_region_that_sticks_out_is_an_error() {
    let mut image = DecodedImage::default();
    for (x, y, width, height) in
        [(0, 0, 54, 1), (53, 0, 1, 1), (0, 36, 1, 2), (0, 0, 0, 1), (u32::MAX, 0, 2, 2)]
    {
        let region = Region { x, y, width, height };
        let found = decode_region(&read("gray.jpg"), &DecodeOptions::default(), region, &mut image);
        assert!(found.is_err(), "{region:?}");
    }
}
