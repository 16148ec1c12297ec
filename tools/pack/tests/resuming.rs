//! Sets that were begun before: the rest is written, what is damaged is found, what is another's is refused.

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use diptych_pack::{Format, PackOptions, ShardLimit, Verification, verify};
use diptych_pipeline::{FolderSource, TarSource};
use support::{files, folder_of_images, options, pack, refused};

fn verified(folder: &Path) -> Verification {
    verify(folder, 2, &|_, _| (), &AtomicBool::new(false)).unwrap().unwrap()
}

/// The file names of damaged shards, and what was found.
fn damaged(folder: &Path) -> Vec<String> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    verified(folder).damaged.iter().map(|(path, found)| format!("{}: {found}", name(path))).collect()
}

#[test]
fn a_set_that_was_stopped_goes_on_to_the_very_bytes_of_an_undisturbed_one() {
    let images = folder_of_images(22);
    let source = FolderSource::open(images.path()).unwrap();
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pack(&source, &options(whole.path()));
    let options = options(stopped.path());
    for (limit, shards) in [(3, 0), (13, 2), (17, 3)] {
        let stop = AtomicBool::new(false);
        let progress = |done, _| stop.store(done >= limit, Ordering::Relaxed);
        let summary = diptych_pack::pack(&source, &options, &progress, &stop).unwrap();
        assert_eq!((summary.complete, summary.shards), (false, shards));
        assert_eq!(files(stopped.path()).len(), shards + 1, "nothing but whole shards and the manifest");
        assert_eq!((verified(stopped.path()).complete, damaged(stopped.path()).len()), (false, 0));
        let message = TarSource::open(stopped.path(), "label").unwrap_err().to_string();
        assert!(message.contains("unfinished") || message.contains("no such file"), "{message}");
    }
    let first = fs::metadata(stopped.path().join("000000.tar")).unwrap().modified().unwrap();
    assert!(pack(&source, &options).complete);
    assert!(files(stopped.path()) == files(whole.path()));
    let now = fs::metadata(stopped.path().join("000000.tar")).unwrap().modified().unwrap();
    assert_eq!(first, now, "what was whole is not written again");
}

#[test]
fn what_a_killed_process_leaves_is_replaced() {
    let images = folder_of_images(12);
    let source = FolderSource::open(images.path()).unwrap();
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pack(&source, &options(whole.path()));
    // Killed before its first manifest.
    fs::write(killed.path().join(".manifest.json.partial"), "{").unwrap();
    let stop = AtomicBool::new(false);
    let progress = |done, _| stop.store(done >= 6, Ordering::Relaxed);
    diptych_pack::pack(&source, &options(killed.path()), &progress, &stop).unwrap();
    // Killed within a shard, and between a shard and the manifest that knows it.
    fs::write(killed.path().join(".000001.tar.partial"), "half").unwrap();
    fs::write(killed.path().join("000001.tar"), "whole, but unknown").unwrap();
    pack(&source, &options(killed.path()));
    assert!(files(killed.path()) == files(whole.path()));
}

#[test]
fn a_whole_set_is_left_as_it_is() {
    let images = folder_of_images(7);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let first = pack(&source, &options(packed.path()));
    let progress = |_, _| panic!("nothing is to be packed");
    let second =
        diptych_pack::pack(&source, &options(packed.path()), &progress, &AtomicBool::new(false)).unwrap();
    assert!(!first.was_there && second.was_there && second.complete);
    assert_eq!((second.samples, second.bytes), (7, first.bytes));
}

#[test]
fn damage_is_found_and_mended_by_packing_again() {
    let images = folder_of_images(22);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let shard = |name: &str| packed.path().join(name);
    pack(&source, &options(packed.path()));
    let before = files(packed.path());
    let Verification { shards, samples, complete, .. } = verified(packed.path());
    assert_eq!((shards, samples, complete, damaged(packed.path()).len()), (5, 22, true, 0));

    let mut bytes = fs::read(shard("000001.tar")).unwrap();
    bytes[600] ^= 1;
    fs::write(shard("000001.tar"), &bytes).unwrap();
    fs::write(shard("000002.tar"), &before["000002.tar"][..700]).unwrap();
    fs::remove_file(shard("000004.tar")).unwrap();
    let length = before["000002.tar"].len();
    assert_eq!(
        damaged(packed.path()),
        [
            "000001.tar: its bytes are not those that were written".to_owned(),
            format!("000002.tar: found 700 bytes, expected {length}"),
            "000004.tar: is missing".to_owned(),
        ]
    );
    // Packing looks at lengths; what verification found besides has to go first.
    fs::remove_file(shard("000001.tar")).unwrap();
    let summary = pack(&source, &options(packed.path()));
    assert!(summary.complete && !summary.was_there);
    assert!(files(packed.path()) == before);
}

#[test]
fn a_shard_that_comes_out_otherwise_than_before_is_refused() {
    let images = folder_of_images(12);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    pack(&source, &options(packed.path()));
    // An image of other pixels and the same length, which the source's identity does not tell.
    let image = images.path().join("class.0/003.jpg");
    let mut bytes = fs::read(&image).unwrap();
    let at = bytes.windows(2).position(|pair| pair == [0xFF, 0xDB]).unwrap();
    bytes[at + 30] ^= 3;
    fs::write(&image, bytes).unwrap();
    fs::remove_file(packed.path().join("000000.tar")).unwrap();
    let message = refused(&source, &options(packed.path()));
    assert!(message.contains("000000.tar: written anew, it differs"), "{message}");
    assert!(!packed.path().join("000000.tar").exists());
}

#[test]
fn other_options_or_another_source_are_refused_by_name() {
    let (images, more) = (folder_of_images(7), folder_of_images(8));
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    pack(&source, &options(packed.path()));
    let text = |message: String| message.replace(&packed.path().display().to_string(), "DST");
    let other = PackOptions {
        format: Format::Raw,
        short_side: Some(9),
        shards: ShardLimit::Bytes(77),
        ..options(packed.path())
    };
    assert_eq!(
        text(refused(&source, &other)),
        "DST holds another set (format is keep, not raw; quality is 90, not unset; short_side is unset, not 9; \
         shard_bytes is unset, not 77; shard_samples is 5, not unset): remove that folder, or choose another"
    );
    let message = text(refused(&FolderSource::open(more.path()).unwrap(), &options(packed.path())));
    assert!(message.contains("(the source is 7 images in "), "{message}");
    assert!(message.contains(", not 8 images in "), "{message}");
    support::picture(9, 9, 7).save(images.path().join("class.0/000.png")).unwrap();
    fs::remove_file(images.path().join("class.0/000.jpg")).unwrap();
    let message = text(refused(&FolderSource::open(images.path()).unwrap(), &options(packed.path())));
    assert!(message.contains("(the files have changed since in the source, 7 images in "), "{message}");
    // Neither makes a difference to the bytes.
    let same = PackOptions { workers: 3, skip_unreadable: true, ..options(packed.path()) };
    let unchanged = folder_of_images(7);
    assert!(pack(&FolderSource::open(unchanged.path()).unwrap(), &same).was_there);
}

#[test]
fn folders_of_something_else_are_refused_and_left_alone() {
    let images = folder_of_images(3);
    let source = FolderSource::open(images.path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let refusal =
        |place: &Path| refused(&source, &options(place)).replace(&folder.path().display().to_string(), "DIR");
    fs::write(folder.path().join("holiday.jpg"), "mine").unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR holds other files (such as holiday.jpg): choose a new or empty folder"
    );
    assert_eq!(
        refusal(&folder.path().join("holiday.jpg")),
        "DIR/holiday.jpg is a file: choose another folder"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    fs::write(folder.path().join("manifest.json"), "{\"name\": \"web app\"}").unwrap();
    assert_eq!(
        refusal(folder.path()),
        "DIR/manifest.json: found another program's file, expected what `diptych pack` writes; \
         choose another folder, or remove this one"
    );
    fs::write(folder.path().join("manifest.json"), "{\"format\": \"diptych pack\", \"version\": 9}").unwrap();
    assert!(
        refusal(folder.path())
            .contains("found version 9, expected what `diptych pack` writes; use the program")
    );
    fs::write(folder.path().join("manifest.json"), "{\"format\": \"diptych pack\", \"version\": 1}").unwrap();
    assert!(refusal(folder.path()).contains("found missing field"));
    let nothing = verify(&folder.path().join("nowhere"), 1, &|_, _| (), &AtomicBool::new(false)).unwrap_err();
    assert!(nothing.to_string().contains("nowhere holds no packed set: found no manifest.json"), "{nothing}");
}

#[test]
fn two_processes_do_not_write_into_one_folder() {
    let images = folder_of_images(3);
    let source = FolderSource::open(images.path()).unwrap();
    let packed = tempfile::tempdir().unwrap();
    let lock = fs::File::create(packed.path().join(".lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(refused(&source, &options(packed.path())).contains("is being written by another process"));
    drop(lock);
    pack(&source, &options(packed.path()));
}
