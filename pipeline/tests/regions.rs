//! Decoding only what the views read changes none of them.

mod support;

use std::fs;
use std::path::PathBuf;

use diptych_pipeline::decode::{DecodeOptions, DecodedImage, decode};
use diptych_pipeline::{Preview, ViewSet};
use support::{VIEWS, source, views};
use tempfile::TempDir;

/// First operators of every kind: one that reads a part, none, one in place on bytes and on floats.
const FIRST_OPERATORS: &str = r#"
    [[views]]
    operators = [{ id = "center_crop", size_pixels = 16 }, { id = "grayscale" }]
    [[views]]
    operators = []
    [[views]]
    operators = [{ id = "horizontal_flip", probability = 0.5 }, { id = "random_resized_crop", size_pixels = 8 }]
    [[views]]
    operators = [{ id = "grayscale", probability = 0.5 }, { id = "center_crop", size_pixels = 20 }]
"#;

/// Two views of which both are cut out of the middle.
const MIDDLE: &str = r#"
    [[views]]
    operators = [{ id = "center_crop", size_pixels = 16 }]
    [[views]]
    operators = [{ id = "horizontal_flip", probability = 0.0 }, { id = "center_crop", size_pixels = 9 }]
"#;

fn reference(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/decode");
    fs::read(folder.join(name)).unwrap()
}

/// JPEGs, and under the same names (a file's name doesn't say its format) PNGs of their pixels: these are decoded whole.
fn both_forms() -> (TempDir, TempDir) {
    let (jpegs, pngs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let kinds = [
        "baseline_444_q92",
        "baseline_422_q35",
        "baseline_420_q100",
        "progressive_420",
        "restart_420",
        "gray",
        "ycck",
    ];
    let turned = (2..=8).map(|orientation| format!("orientation_{orientation}"));
    for name in kinds.into_iter().map(String::from).chain(turned) {
        let name = format!("{name}.jpg");
        let file = reference(&name);
        fs::write(jpegs.path().join(&name), &file).unwrap();
        let mut image = DecodedImage::default();
        decode(&file, &DecodeOptions::default(), &mut image).unwrap();
        let png = image::RgbImage::from_raw(image.width, image.height, image.pixels).unwrap();
        png.save_with_format(pngs.path().join(&name), image::ImageFormat::Png).unwrap();
    }
    (jpegs, pngs)
}

#[test]
fn views_of_partly_decoded_images_are_those_of_whole_ones() {
    let (jpegs, pngs) = both_forms();
    let (jpegs, pngs) = (source(&jpegs), source(&pngs));
    for views in [VIEWS, FIRST_OPERATORS, MIDDLE].map(views) {
        let render = |source: &dyn diptych_pipeline::Source, views: &ViewSet| {
            let mut preview = Preview::new(views).unwrap();
            let mut all = Vec::new();
            for (epoch, index) in (0..4).flat_map(|epoch| (0..source.len()).map(move |index| (epoch, index)))
            {
                all.push(preview.render_sample(source, index, 3, epoch).unwrap());
            }
            all
        };
        assert!(render(jpegs.as_ref(), &views) == render(pngs.as_ref(), &views));
    }
}

#[test]
fn what_no_view_reads_is_not_decoded() {
    let file = reference("photograph_420.jpg");
    let folder = tempfile::tempdir().unwrap();
    let cut = [&file[..file.len() * 3 / 4], &[0xFF, 0xD9]].concat();
    fs::write(folder.path().join("cut.jpg"), &cut).unwrap();
    let source = source(&folder);
    let mut whole = Preview::new(&views(
        VIEWS.replace("{ id = \"random_resized_crop\", size_pixels = 16 },", "").as_str(),
    ))
    .unwrap();
    assert!(whole.render_sample(source.as_ref(), 0, 0, 0).is_err(), "the image's lower part is missing");
    let mut middle =
        Preview::new(&views(&MIDDLE.replace("{ id = \"horizontal_flip\", probability = 0.0 }, ", "")))
            .unwrap();
    assert_eq!(middle.render_sample(source.as_ref(), 0, 0, 0).unwrap().len(), 2);
}
