//! The forms of the decoder against each other; `pipeline/tests/decode.rs` compares with Pillow.

use std::fs;
use std::path::PathBuf;

use super::*;

fn references() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/decode");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "jpg"));
    let files: Vec<_> = files
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    assert!(files.len() > 100);
    files
}

fn reference(name: &str) -> Vec<u8> {
    references().into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn the_portable_form_gives_the_pixels_of_the_vectorised_one() {
    let (mut fastest, mut portable) = (Decoder::new(), Decoder::portable());
    let (mut one, mut other) = (Vec::new(), Vec::new());
    for (name, file) in references() {
        fastest.decode(&file, None, &mut one).unwrap();
        portable.decode(&file, None, &mut other).unwrap();
        assert!(one == other, "{name}");
    }
}

#[test]
fn damage_gives_the_same_pixels_or_errors_in_both_forms_and_never_panics() {
    let (mut fastest, mut portable) = (Decoder::new(), Decoder::portable());
    let (mut one, mut other) = (Vec::new(), Vec::new());
    let mut state = 7_u64;
    let mut accepted = 0;
    for name in
        ["baseline_420_q35.jpg", "progressive_422.jpg", "restart_444.jpg", "ycck.jpg", "two_scans.jpg"]
    {
        let file = reference(name);
        for _ in 0..1500 {
            let mut damaged = file.clone();
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            damaged[2 + (state >> 33) as usize % (file.len() - 2)] ^= 1 << (state >> 61);
            // A damaged size may ask for gigabytes.
            if Header::read(&damaged).is_ok_and(|header| header.size.width * header.size.height > 1 << 20) {
                continue;
            }
            let found = fastest.decode(&damaged, None, &mut one);
            assert_eq!(found, portable.decode(&damaged, None, &mut other), "{name}");
            if found.is_ok() {
                assert!(one == other, "{name}");
                accepted += 1;
            }
        }
    }
    assert!(accepted > 1000, "most damage of one bit cannot be noticed");
}

#[test]
fn a_decoder_keeps_nothing_of_the_last_file() {
    let mut decoder = Decoder::new();
    let mut pixels = Vec::new();
    let file = reference("baseline_420_q92.jpg");
    decoder.decode(&file, None, &mut pixels).unwrap();
    // The same file without its Huffman tables.
    let mut bare = file[..2].to_vec();
    let mut at = 2;
    loop {
        let segment = Segment::after(&file, at).unwrap();
        if segment.marker != 0xC4 {
            bare.extend(&file[at..segment.next]);
        }
        at = segment.next;
        if segment.marker == header::SOS {
            break;
        }
    }
    bare.extend(&file[at..]);
    let error = decoder.decode(&bare, None, &mut pixels).unwrap_err();
    assert_eq!(error.to_string(), "DC Huffman table 0 is used and not defined");
}

#[test]
fn kinds_that_are_not_decoded_are_named() {
    let mut file = reference("baseline_420_q92.jpg");
    let frame = file.windows(2).position(|marker| marker == [0xFF, 0xC0]).unwrap();
    let message = |change: fn(&mut [u8])| {
        let mut file = file.clone();
        change(&mut file[frame..]);
        match Decoder::new().decode(&file, None, &mut Vec::new()) {
            Err(Error::Unsupported(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    assert!(message(|frame| frame[1] = 0xC9).starts_with("arithmetic coding"));
    assert!(message(|frame| frame[1] = 0xC3).starts_with("lossless"));
    assert!(message(|frame| frame[4] = 12).starts_with("samples of 12 bits"));
    assert!(message(|frame| frame[9] = 2).starts_with("2 components"));
    // Luma twice a line, one chroma three times: no whole factor between them.
    assert!(message(|frame| frame[14] = 0x31).contains("fraction"));
    // What frames do not know of at all.
    file[frame + 11] = 0x52;
    assert!(matches!(Decoder::new().decode(&file, None, &mut Vec::new()), Err(Error::Corrupt(_))));
}

#[test]
fn a_restart_marker_out_of_turn_is_damage() {
    let mut file = reference("restart_420.jpg");
    let marker = file.windows(2).position(|marker| marker == [0xFF, 0xD1]).unwrap();
    file[marker + 1] = 0xD2;
    let error = Decoder::new().decode(&file, None, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "marker d2 where restart marker d1 is due");
}
