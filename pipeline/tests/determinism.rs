//! What batches hold depends on seed and cursor, and on nothing else.

mod support;

use diptych_pipeline::{Cursor, LoaderOptions, Order, Preview};
use support::{VIEWS, images, options, registry, run, source, start, views};

#[test]
fn batches_are_bit_identical_for_1_2_and_7_workers() {
    let folder = images(23);
    let (source, views) = (source(&folder), views(VIEWS));
    let with = |workers| run(&source, &views, LoaderOptions { workers, ..options() }).unwrap();
    let one = with(1);
    assert_eq!(one.len(), 8, "two epochs of 23 / 5 batches");
    assert_eq!(one[0].views[0].len(), 5 * 16 * 16 * 3);
    assert_eq!(one[0].views[1].len(), 5 * 12 * 12 * 3);
    assert_eq!(one, with(2));
    assert_eq!(one, with(7));
}

#[test]
fn epochs_and_seeds_differ() {
    let folder = images(10);
    let (source, views) = (source(&folder), views(VIEWS));
    let options = LoaderOptions { order: Order::Sequential, ..options() };
    let first = run(&source, &views, options.clone()).unwrap();
    assert_eq!(first[0].ids, first[2].ids, "the same samples in both epochs");
    assert_ne!(first[0].views, first[2].views, "drawn anew");
    let other = run(&source, &views, LoaderOptions { seed: 12, ..options }).unwrap();
    assert_ne!(first[0].views, other[0].views);
}

#[test]
fn a_run_that_resumes_sees_the_batches_that_would_have_followed() {
    let folder = images(23);
    let (source, views) = (source(&folder), views(VIEWS));
    let whole = run(&source, &views, options()).unwrap();
    let mut loader = start(&source, &views, options()).unwrap();
    for used in [1, 4, 5] {
        while whole[used].place != (loader.cursor().epoch, loader.cursor().batch) {
            loader.next().unwrap().unwrap();
        }
        let resumed = run(&source, &views, LoaderOptions { start: loader.cursor(), ..options() }).unwrap();
        assert_eq!(resumed, whole[used..]);
    }
    assert_eq!(loader.cursor(), Cursor { epoch: 1, batch: 1 });
}

#[test]
fn removing_an_operator_leaves_the_draws_of_the_others_as_they_were() {
    let folder = images(12);
    let source = source(&folder);
    let full = views(VIEWS);
    for removed in ["random_resized_crop", "color_jitter", "grayscale", "horizontal_flip"] {
        let mut rest = full.clone();
        rest.remove(&[removed.to_string()]).unwrap();
        let (mut before, mut after) = (Preview::new(&full).unwrap(), Preview::new(&rest).unwrap());
        let mut applied = 0;
        for (epoch, index) in (0..3).flat_map(|epoch| (0..source.len()).map(move |index| (epoch, index))) {
            let before = before.render_sample(source.as_ref(), index, 5, epoch).unwrap();
            let after = after.render_sample(source.as_ref(), index, 5, epoch).unwrap();
            for (before, after) in before.into_iter().zip(after) {
                let kept: Vec<_> = before.draws.iter().filter(|(name, _)| name != removed).cloned().collect();
                if removed == "random_resized_crop" {
                    // Without the crop the sizes differ, and so may what is drawn from them; the coins may
                    // not.
                    let coins = |draws: &[(String, Option<String>)]| -> Vec<_> {
                        draws.iter().map(|(name, draw)| (name.clone(), draw.is_some())).collect()
                    };
                    assert_eq!(coins(&kept), coins(&after.draws));
                    continue;
                }
                assert_eq!(kept, after.draws);
                let was_applied = before.draws.iter().any(|(name, draw)| name == removed && draw.is_some());
                applied += usize::from(was_applied);
                if !was_applied {
                    assert_eq!(
                        before.pixels, after.pixels,
                        "{removed} was not applied and made a difference"
                    );
                }
            }
        }
        assert!(applied > 0 || removed == "random_resized_crop", "{removed} was never applied");
    }
}

#[test]
fn removing_an_operator_leaves_the_order_of_the_samples_as_it_was() {
    let folder = images(23);
    let source = source(&folder);
    let mut fewer = views(VIEWS);
    fewer.remove(&["grayscale".into(), "color_jitter".into()]).unwrap();
    let ids = |views| -> Vec<Vec<u64>> {
        run(&source, views, options()).unwrap().into_iter().map(|batch| batch.ids).collect()
    };
    assert_eq!(ids(&views(VIEWS)), ids(&fewer));
}

#[test]
fn a_preview_shows_what_the_loader_makes() {
    let folder = images(10);
    let (source, views) = (source(&folder), views(VIEWS));
    let batches = run(&source, &views, options()).unwrap();
    let mut preview = Preview::new(&views).unwrap();
    for batch in &batches {
        for (slot, id) in batch.ids.iter().enumerate() {
            let index = (0..source.len()).find(|index| source.sample(*index).id == *id).unwrap();
            let rendered = preview.render_sample(source.as_ref(), index, 11, batch.place.0).unwrap();
            for (view, rendered) in batch.views.iter().zip(rendered) {
                let bytes = view.len() / batch.ids.len();
                assert_eq!(&view[slot * bytes..(slot + 1) * bytes], rendered.pixels);
            }
        }
    }
}

#[test]
fn a_set_that_was_written_as_toml_reads_back_as_itself() {
    let set = views(VIEWS);
    let text = toml::to_string(&set.to_toml()).unwrap();
    assert_eq!(views(&text), set);
    assert!(registry().components().count() > 0);
}
