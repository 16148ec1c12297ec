use std::path::Path;

use diptych_pipeline::FolderSource;
use image::{Rgb, RgbImage};

use super::*;

fn gradient(width: u32, height: u32, shift: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 + shift, y as u8, (x * y) as u8]))
}

/// A set with one of everything that is wrong.
fn set(root: &Path) {
    for class in ["cat", "dog"] {
        std::fs::create_dir_all(root.join(class)).unwrap();
    }
    gradient(40, 50, 0).save(root.join("cat/1.png")).unwrap();
    std::fs::copy(root.join("cat/1.png"), root.join("dog/same_bytes.png")).unwrap();
    gradient(40, 50, 0).save(root.join("dog/same_pixels.bmp")).unwrap();
    gradient(200, 20, 9).save(root.join("dog/long.png")).unwrap();
    RgbImage::from_pixel(70, 64, Rgb([7; 3])).save(root.join("dog/gray.jpg")).unwrap();
    let png = std::fs::read(root.join("cat/1.png")).unwrap();
    std::fs::write(root.join("cat/cut.png"), &png[..png.len() / 2]).unwrap();
}

fn checked(root: &Path, workers: usize) -> Report {
    let source = FolderSource::open(root).unwrap();
    check(&source, workers, &|_, _| (), &AtomicBool::new(false)).unwrap().unwrap()
}

#[test]
fn the_report_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    set(folder.path());
    let report = checked(folder.path(), 2);
    let text = report.to_string().replace(&folder.path().display().to_string(), "DIR");
    let bytes = ByteSizeOf(&report).to_string();
    let expected = format!(
        "\
6 images in DIR, 2 classes
  readable     5 of 6 images, {bytes}
  formats      BMP 1, JPEG 1, PNG 3; 1 without colour
  smallest     40x50  DIR/cat/1.png
  largest      70x64  DIR/dog/gray.jpg
  longest      200x20  DIR/dog/long.png
  tiny         1 with a short side below 32 pixels
  elongated    1 longer than 4:1
  short side      16 to 31     1  ##########
                  32 to 63     3  ##############################
                  64 to 127    1  ##########
  classes      2, 2 to 4 images each, 1:2.0
               dog 4, cat 2
  same bytes   1 group, 1 image too many; 1 of them in different classes
    DIR/cat/1.png = DIR/dog/same_bytes.png
  same pixels  1 group, 1 image too many; 1 of them in different classes
    DIR/cat/1.png = DIR/dog/same_pixels.bmp
  broken       1 image
    DIR/cat/cut.png: PNG file ends early: {} bytes, and the image goes on after them
",
        std::fs::metadata(folder.path().join("cat/cut.png")).unwrap().len()
    );
    assert_eq!(text, expected);
}

struct ByteSizeOf<'a>(&'a Report);

impl std::fmt::Display for ByteSizeOf<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        crate::options::ByteSize(self.0.bytes).fmt(formatter)
    }
}

#[test]
fn the_report_is_the_same_whatever_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    set(folder.path());
    assert_eq!(checked(folder.path(), 1), checked(folder.path(), 5));
}

#[test]
fn long_lists_are_cut_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..14_u8 {
        let class = folder.path().join(format!("class{number:02}"));
        std::fs::create_dir_all(&class).unwrap();
        gradient(33, 33, number).save(class.join("good.png")).unwrap();
        std::fs::write(class.join("bad.png"), [&b"\x89PNG\r\n\x1A\n"[..], &[number]].concat()).unwrap();
    }
    gradient(33, 33, 99).save(folder.path().join("class03/more.png")).unwrap();
    let report = checked(folder.path(), 2);
    let text = report.to_string();
    assert!(text.contains("broken       14 images\n"), "{text}");
    assert!(text.contains("    and 4 more, which --json lists\n"), "{text}");
    assert!(
        text.contains("class03 3, class00 2, class01 2, class02 2, class04 2, ..., class09 2, "),
        "{text}"
    );
    assert!(text.contains("same bytes   none\n"), "{text}");
    assert_eq!(report.broken.len(), 14);
}

#[test]
fn what_is_stopped_has_no_report() {
    let folder = tempfile::tempdir().unwrap();
    set(folder.path());
    let source = FolderSource::open(folder.path()).unwrap();
    assert_eq!(check(&source, 2, &|_, _| (), &AtomicBool::new(true)).unwrap(), None);
}
