//! Probing a run's checkpoint: what is measured, on what, and what is refused.

mod common;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, config, images, run};
use diptych_config::Document;
use diptych_pipeline::SourceConfig;
use diptych_test_support::repository;
use diptych_trainer::Error;
use diptych_trainer::probe::config::ProbingConfig;
use diptych_trainer::probe::{Measure, Probing, probe};

fn probing_config(sets: &[&str]) -> ProbingConfig {
    let path = repository().join("configs/probe/default.toml");
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    ProbingConfig::read(&Document::load(&path, &sets).unwrap(), &REGISTRY)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn probed(out: &Path, images: &Path, sets: &[&str]) -> Result<Probing, Error> {
    let data = SourceConfig::new(images.to_path_buf());
    probe(out, &data, &probing_config(sets), &REGISTRY, None, &AtomicBool::new(false))
}

#[test]
fn every_operator_and_every_quantity_is_measured_on_all_images_whatever_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (images(folder.path()), folder.path().join("run"));
    run(&config(&images, 3, &[]), &out, false).unwrap();
    let found = probed(&out, &images, &["workers=1", "batch_size=7"]).unwrap();
    assert_eq!((found.images, found.skipped, found.step, found.side), (48, 0, 3, 32));
    // The demo's views have four operators, the same in both.
    let own = found.curves.iter().filter(|curve| curve.of_run).count();
    assert_eq!((found.curves.len() - own, own), (9, 4));
    let quantities: Vec<&str> = found.shortcuts.iter().map(|shortcut| &*shortcut.quantity).collect();
    let expected = [
        "colour histogram",
        "crop position, x",
        "crop position, y",
        "crop scale",
        "blur, sigma",
        "orientation",
    ];
    assert_eq!(quantities, expected);
    for shortcut in &found.shortcuts {
        let rows = if matches!(shortcut.measure, Measure::R2) { 48 } else { 4 * 48 };
        assert_eq!(shortcut.fitted_on + shortcut.judged_on, rows, "{shortcut:?}");
        assert!(shortcut.trained.is_finite() && shortcut.untrained.is_finite(), "{shortcut:?}");
    }
    for point in found.curves.iter().flat_map(|curve| &curve.points) {
        for outputs in [point.cosine.trained, point.cosine.untrained] {
            for cosine in [outputs.embedding, outputs.projection] {
                assert!((-1.0..=1.0 + 1e-9).contains(&cosine.mean), "{point:?}");
            }
        }
    }
    // The whole image, cropped: nothing but the interpolation differs.
    let whole = found.curves[0].points[0].cosine.trained.embedding;
    assert!(whole.mean > 0.99, "{whole:?}");

    let other = probed(&out, &images, &["workers=3", "batch_size=7"]).unwrap();
    assert_eq!(found, other);
}

#[test]
fn an_operator_of_strength_zero_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (images, out) = (images(folder.path()), folder.path().join("run"));
    run(&config(&images, 2, &[]), &out, false).unwrap();
    let nothing = "curves=[{ operator = \"nothing\", views = [{ name = \"0\", operators = [{ id = \"color_jitter\", \
                   brightness = 0.0, contrast = 0.0, saturation = 0.0, hue = 0.0 }] }] }]";
    let found = probed(&out, &images, &[nothing]).unwrap();
    let cosine = found.curves[0].points[0].cosine.trained;
    assert!((cosine.embedding.mean - 1.0).abs() < 1e-6, "{cosine:?}");
    assert!((cosine.projection.mean - 1.0).abs() < 1e-6, "{cosine:?}");
}

#[test]
fn a_folder_without_a_run_and_too_few_images_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let images = images(folder.path());
    let message = probed(folder.path(), &images, &[]).unwrap_err().to_string();
    assert!(message.contains("holds no run") && message.contains("diptych train"), "{message}");

    let out = folder.path().join("run");
    run(&config(&images, 2, &[]), &out, false).unwrap();
    let few = folder.path().join("few");
    std::fs::create_dir(&few).unwrap();
    for number in 0..5 {
        std::fs::copy(images.join(format!("class0/{number}.png")), few.join(format!("{number}.png")))
            .unwrap();
    }
    let whole = std::fs::read(images.join("class0/0.png")).unwrap();
    std::fs::write(few.join("broken.png"), &whole[..whole.len() / 2]).unwrap();
    let message = probed(&out, &few, &[]).unwrap_err().to_string();
    assert!(message.contains("found 5 images") && message.contains("at least 16"), "{message}");
    assert!(message.contains("broken.png"), "{message}");
}

#[test]
fn wrong_keys_of_a_probing_are_reported_together_with_their_lines() {
    let text = "images = 3\n[fit]\nridge = []\n[crop]\nviews = [{ operators = [] }, { operators = [] }]\n\
                [blur]\nviews = [{ name = \"soft\", operators = [] }, { name = \"1\", operators = [] }]";
    let document = Document::parse(text, "probe.toml").unwrap();
    let Err(problems) = ProbingConfig::read(&document, &REGISTRY) else { panic!("read without problems") };
    let text = problems.to_string();
    for expected in [
        "probe.toml:1: images: found 3",
        "probe.toml:3: fit.ridge: found []",
        "crop.views: found 2 views, expected one",
        "found a view called \"soft\", expected its sigma",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}
