//! Images that cannot be read, operators that fail, consumers that leave.

mod support;

use std::sync::Arc;

use diptych_pipeline::{LoaderOptions, Order, Unreadable};
use support::{VIEWS, images, options, run, source, start, try_views, views};

const SKIP: Unreadable = Unreadable::Skip { limit_fraction: 0.2 };

/// 20 images of which `count` end early.
fn images_with_damage(count: usize) -> tempfile::TempDir {
    let folder = images(20);
    for index in 0..count {
        let path = folder.path().join(format!("class{}/{:03}.jpg", index % 3, index));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    folder
}

#[test]
fn an_unreadable_image_is_an_error_that_names_it() {
    let folder = images_with_damage(1);
    let error = run(&source(&folder), &views(VIEWS), options()).unwrap_err().to_string();
    assert!(error.contains("class0/000.jpg: JPEG file ends early"), "{error}");
    assert!(error.contains("data.unreadable = \"skip\""), "{error}");
}

#[test]
fn skipped_images_are_replaced_alike_for_any_number_of_workers_and_listed() {
    let folder = images_with_damage(3);
    let source = source(&folder);
    let with = |workers| {
        let options = LoaderOptions { workers, unreadable: SKIP, ..options() };
        let mut loader = start(&source, &views(VIEWS), options).unwrap();
        let mut batches = Vec::new();
        while let Some(batch) = loader.next() {
            batches.push(support::content(&batch.unwrap()));
        }
        let names: Vec<String> = loader
            .skipped()
            .iter()
            .map(|skipped| skipped.path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        (batches, names, loader.skipped()[0].reason.clone())
    };
    let (one, names, reason) = with(1);
    assert_eq!(one.len(), 8);
    assert!(one.iter().all(|batch| batch.ids.len() == 5), "batches keep their size");
    let damaged: Vec<u64> = (0..20)
        .filter(|index| names.iter().any(|name| source.path(*index).ends_with(name)))
        .map(|index| source.sample(index).id)
        .collect();
    assert_eq!(damaged.len(), 3);
    assert!(one.iter().flat_map(|batch| &batch.ids).all(|id| !damaged.contains(id)));
    assert_eq!(names, ["000.jpg", "001.jpg", "002.jpg"]);
    assert!(reason.starts_with("JPEG file ends early"), "{reason}");
    assert_eq!(one, with(7).0);
}

#[test]
fn too_many_skipped_images_end_the_run() {
    let folder = images_with_damage(5);
    let options = LoaderOptions { unreadable: SKIP, ..options() };
    let error = run(&source(&folder), &views(VIEWS), options).unwrap_err().to_string();
    assert!(
        error.starts_with("5 of 20 images could not be read, more than the allowed fraction of 0.2"),
        "{error}"
    );
}

#[test]
fn in_sequential_order_skipped_images_are_left_out() {
    let folder = images_with_damage(3);
    let source = source(&folder);
    let options = LoaderOptions {
        unreadable: SKIP,
        order: Order::Sequential,
        drop_last: false,
        epochs: Some(1),
        batch_size: 6,
        ..options()
    };
    let batches = run(&source, &views(VIEWS), options.clone()).unwrap();
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.ids.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 17);
    assert_eq!(sizes.len(), 4);
    // What is left is what an undamaged folder gives for the same samples.
    let whole = run(&support::source(&images(20)), &views(VIEWS), options).unwrap();
    for (batch, whole) in batches.iter().zip(&whole) {
        for (slot, id) in batch.ids.iter().enumerate() {
            let place = whole.ids.iter().position(|other| other == id).unwrap();
            let bytes = 16 * 16 * 3;
            let (left, right) = (&batch.views[0][slot * bytes..], &whole.views[0][place * bytes..]);
            assert_eq!(left[..bytes], right[..bytes]);
        }
        assert_eq!(batch.labels.as_ref().unwrap().len(), batch.ids.len());
    }
}

#[test]
fn a_folder_in_which_nothing_can_be_read_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jpg", "b.jpg"] {
        std::fs::write(folder.path().join(name), [0xFF, 0xD8, 0xFF, 0xE0]).unwrap();
    }
    let options = LoaderOptions { batch_size: 1, unreadable: SKIP, ..options() };
    let error = start(&source(&folder), &views(VIEWS), options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("a.jpg: "), "{error}");
}

#[test]
fn a_batch_larger_than_the_data_set_is_refused() {
    let folder = images(3);
    let error = start(&source(&folder), &views(VIEWS), options()).map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, "found 3 images, fewer than the batch_size of 5; lower batch_size or add images");
}

#[test]
fn views_of_different_sizes_are_an_error_with_its_remedy() {
    let folder = images(20);
    let views = views("[[views]]\noperators = [{ id = \"horizontal_flip\" }]");
    let error = run(&source(&folder), &views, options()).unwrap_err().to_string();
    assert!(error.starts_with("view view1 comes out at "), "{error}");
    assert!(error.ends_with("add a random_resized_crop, or a resize and a center_crop"), "{error}");
}

#[test]
fn an_operator_that_panics_ends_the_run_with_an_error() {
    let folder = images(20);
    for place in ["plan", "apply"] {
        let text = format!(
            "[[views]]\noperators = [{{ id = \"resize\", size_pixels = 8 }}, {{ id = \"center_crop\", size_pixels = 8 }}, \
             {{ id = \"panicking\", radius = 3, place = \"{place}\" }}]"
        );
        let result = run(&source(&folder), &views(&text), options());
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("view view1, operator panicking, on "), "{error}");
        assert!(error.contains("panics with radius 3"), "{error}");
    }
}

#[test]
fn the_mistakes_in_a_view_set_are_reported_at_once() {
    let text = "\
        [[views]]\n\
        operators = [\n\
          { id = \"grayscal\", probability = 2, strength = 1 },\n\
          { id = \"grayscale\", probability = 1.5 },\n\
          { id = \"grayscale\", probabilty = 0.5 },\n\
          { id = \"random_resized_crop\", probability = 0.5, size = 3 },\n\
          { name = \"x\" },\n\
        ]\n\
        [other]\n";
    let problems = try_views(text).unwrap_err();
    let lines: Vec<&str> = problems.lines().collect();
    let expected = [
        "views.toml:3: views[0].operators[0].id: no augmentation is called \"grayscal\"; did you mean \"grayscale\"?",
        "views.toml:3: views[0].operators[0].probability: found 2, expected a number from 0 to 1",
        "views.toml:4: views[0].operators[1].probability: found 1.5, expected a number from 0 to 1",
        "views.toml:5: views[0].operators[2].probabilty: unknown key, did you mean `probability`?",
        "views.toml:5: views[0].operators[2]: a second operator is called `grayscale` in this view",
        "views.toml:6: views[0].operators[3].probability: `random_resized_crop` is always applied",
        "views.toml:6: views[0].operators[3].size: unknown key",
        "views.toml:7: views[0].operators[4].id: missing",
        "views.toml:9: other: unknown key",
    ];
    assert_eq!(lines.len(), expected.len(), "{problems}");
    for expected in expected {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected}\nnot in\n{problems}");
    }
}

#[test]
fn an_operator_that_is_not_there_cannot_be_removed() {
    let error = try_views(&format!("remove = [\"grayscal\"]\n{VIEWS}")).unwrap_err();
    assert!(
        error
            .starts_with("views.toml:1: remove: no operator is called `grayscal`, did you mean `grayscale`?"),
        "{error}"
    );
    let kept = try_views(&format!("only = [\"random_resized_crop\", \"horizontal_flip\"]\n{VIEWS}")).unwrap();
    let names: Vec<Vec<&str>> = kept
        .views
        .iter()
        .map(|view| view.operators.iter().map(|operator| operator.name.as_str()).collect())
        .collect();
    assert_eq!(names, [["random_resized_crop", "horizontal_flip"]; 2]);
}

fn names_of(set: &str) -> Vec<Vec<String>> {
    let set = try_views(&format!("{set}\n{VIEWS}")).unwrap();
    let names = |view: &diptych_pipeline::View| {
        view.operators.iter().map(|operator| operator.name.clone()).collect::<Vec<_>>()
    };
    set.views.iter().map(names).collect()
}

#[test]
fn an_operator_can_be_taken_out_of_one_view_replaced_and_followed_by_another() {
    let all = names_of("");

    let one_view = names_of("remove = [\"view2.grayscale\"]");
    assert_eq!(one_view, [all[0].clone(), vec!["random_resized_crop".into(), "horizontal_flip".into()]]);

    let replaced =
        names_of("replace = [{ operator = \"horizontal_flip\", id = \"solarize\", name = \"other\" }]");
    let expected = all
        .iter()
        .map(|names| names.iter().map(|name| name.replace("horizontal_flip", "other")).collect::<Vec<_>>());
    assert_eq!(replaced, expected.collect::<Vec<_>>());

    let added =
        names_of("add = [{ after = \"view1.random_resized_crop\", id = \"solarize\", name = \"other\" }]");
    assert_eq!((added[0][1].as_str(), added[0].len()), ("other", all[0].len() + 1));
    assert_eq!(added[1], all[1]);
}

#[test]
fn what_is_wrong_with_an_added_or_replaced_operator_is_told_where_it_stands() {
    let problem = |edit: &str| try_views(&format!("{edit}\n{VIEWS}")).unwrap_err();
    for (edit, expected) in [
        (
            "add = [{ after = \"grayscal\", id = \"solarize\" }]",
            "views.toml:1: add[0].after: no operator is called `grayscal`, did you mean `grayscale`?",
        ),
        ("add = [{ id = \"solarize\" }]", "views.toml:1: add[0].after: missing"),
        (
            "replace = [{ operator = \"horizontal_flip\", id = \"solarise\" }]",
            "views.toml:1: replace[0].id: no augmentation is called \"solarise\"",
        ),
        (
            "add = [{ after = \"horizontal_flip\", id = \"grayscale\" }]",
            "views.toml:1: add[0].after: view `view1` already has an operator called `grayscale`; give the new one a `name`",
        ),
    ] {
        let problems = problem(edit);
        assert!(problems.starts_with(expected), "{expected}\nnot in\n{problems}");
    }
}

#[test]
fn a_consumer_that_leaves_ends_everything() {
    let folder = images(20);
    let source = source(&folder);
    for taken in [0, 1, 3] {
        // Endless, so that the builders are at work or blocked on full queues.
        let options = LoaderOptions { epochs: None, queue_batches: 2, ..options() };
        let mut loader = start(&source, &views(VIEWS), options).unwrap();
        let batches: Vec<_> = (0..taken).map(|_| loader.next().unwrap().unwrap()).collect();
        drop(loader);
        assert_eq!(Arc::strong_count(&source), 1, "no thread holds the source any more");
        assert!(batches.iter().all(|batch| batch.len() == 5), "batches outlive their loader");
    }
}

#[test]
fn a_consumer_that_keeps_its_batches_does_not_wait_for_ever() {
    let folder = images(20);
    let mut loader =
        start(&source(&folder), &views(VIEWS), LoaderOptions { queue_batches: 1, ..options() }).unwrap();
    let mut kept = Vec::new();
    while let Some(batch) = loader.next() {
        kept.push(batch.unwrap());
    }
    assert_eq!(kept.len(), 8);
}

#[test]
fn every_stage_is_counted() {
    let folder = images(20);
    let mut loader = start(&source(&folder), &views(VIEWS), options()).unwrap();
    while let Some(batch) = loader.next() {
        batch.unwrap();
    }
    let counters = loader.counters();
    let items: Vec<(&str, u64)> = counters.stages.iter().map(|stage| (stage.name, stage.items)).collect();
    let expected =
        [("sampler", 8), ("read", 40), ("decode", 40), ("augment", 40), ("collate", 8), ("step", 8)];
    assert_eq!(items, expected);
    assert!(counters.stages.iter().all(|stage| !stage.busy.is_zero()), "{counters}");
    assert_eq!(counters.asked, 9, "each batch, and the end");
    assert!(counters.to_string().lines().count() == 8, "{counters}");
}
