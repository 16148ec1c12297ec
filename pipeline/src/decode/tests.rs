//! Files of every format, written here by encoders or taken from `tests/reference` (Pillow's).

use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::*;

macro_rules! reference {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/reference/", $name)).as_slice()
    };
}

/// Every pixel differs from its neighbours, and no symmetry hides a wrong turn.
fn pattern(width: u32, height: u32, channels: usize) -> Vec<u8> {
    (0..width as usize * height as usize * channels).map(|i| (i * 37 + i / 7 * 11) as u8).collect()
}

fn png(pixels: &[u8], width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(pixels, width, height, color).unwrap();
    file
}

fn jpeg(pixels: &[u8], width: u32, height: u32, quality: u8) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(pixels, width, height, ExtendedColorType::Rgb8)
        .unwrap();
    file
}

/// An uncompressed little-endian RGB TIFF of one strip.
fn tiff(pixels: &[u8], width: u32, height: u32, orientation: u16) -> Vec<u8> {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    let entries = 10;
    let bits_at = 8 + 2 + entries * 12 + 4;
    let pixels_at = bits_at + 6;
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((entries as u16).to_le_bytes());
    let mut tag = |id: u16, kind: u16, count: u32, value: u32| {
        file.extend(id.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    };
    tag(256, LONG, 1, width);
    tag(257, LONG, 1, height);
    tag(258, SHORT, 3, bits_at as u32);
    tag(259, SHORT, 1, 1);
    tag(262, SHORT, 1, 2);
    tag(273, LONG, 1, pixels_at as u32);
    tag(274, SHORT, 1, orientation.into());
    tag(277, SHORT, 1, 3);
    tag(278, LONG, 1, height);
    tag(279, LONG, 1, pixels.len() as u32);
    file.extend([0; 4]);
    file.extend([8, 0, 8, 0, 8, 0]);
    file.extend(pixels);
    file
}

/// A big-endian EXIF block with nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

fn with_exif(mut encoder: impl ImageEncoder, orientation: u8, pixels: &[u8], width: u32, height: u32) {
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    encoder.write_image(pixels, width, height, ExtendedColorType::Rgb8).unwrap();
}

/// Decodes, having checked that `probe` foretells the size.
fn check(file: &[u8]) -> Result<DecodedImage, DecodeError> {
    let mut image = DecodedImage::default();
    decode(file, &DecodeOptions::default(), &mut image)?;
    assert_eq!(probe(file).unwrap(), image.size());
    assert_eq!(image.pixels.len(), 3 * image.width as usize * image.height as usize);
    Ok(image)
}

fn upright(pixels: &[u8], width: usize, height: usize, orientation: u8) -> (usize, usize, Vec<u8>) {
    let (columns, rows) = if orientation >= 5 { (height, width) } else { (width, height) };
    let mut out = Vec::new();
    for y in 0..rows {
        for x in 0..columns {
            // EXIF 2.3, table 6: which side of the stored image the upright top and left are.
            let (stored_x, stored_y) = match orientation {
                1 => (x, y),
                2 => (width - 1 - x, y),
                3 => (width - 1 - x, height - 1 - y),
                4 => (x, height - 1 - y),
                5 => (y, x),
                6 => (y, height - 1 - x),
                7 => (width - 1 - y, height - 1 - x),
                8 => (width - 1 - y, x),
                _ => unreachable!(),
            };
            let at = 3 * (stored_y * width + stored_x);
            out.extend(&pixels[at..at + 3]);
        }
    }
    (columns, rows, out)
}

#[test]
fn tells_formats_apart_by_their_first_bytes() {
    let pixels = pattern(3, 2, 3);
    let mut bmp = Vec::new();
    BmpEncoder::new(&mut bmp).encode(&pixels, 3, 2, ExtendedColorType::Rgb8).unwrap();
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).encode(&pixels, 3, 2, ExtendedColorType::Rgb8).unwrap();
    let files = [
        (jpeg(&pixels, 3, 2, 90), Format::Jpeg),
        (png(&pixels, 3, 2, ExtendedColorType::Rgb8), Format::Png),
        (webp, Format::WebP),
        (bmp, Format::Bmp),
        (tiff(&pixels, 3, 2, 1), Format::Tiff),
    ];
    for (file, format) in files {
        assert_eq!(format_of(&file[..12]), Some(format));
    }
    assert_eq!(format_of(b"GIF89a......"), None);
    assert_eq!(format_of(b""), None);
}

#[test]
fn lossless_formats_give_the_exact_pixels_in_every_orientation() {
    let (width, height) = (5, 3);
    let pixels = pattern(width, height, 3);
    for orientation in 1..=8 {
        let mut png = Vec::new();
        with_exif(PngEncoder::new(&mut png), orientation, &pixels, width, height);
        let mut webp = Vec::new();
        with_exif(WebPEncoder::new_lossless(&mut webp), orientation, &pixels, width, height);
        let expected = upright(&pixels, width as usize, height as usize, orientation);
        for file in [png, webp, tiff(&pixels, width, height, orientation.into())] {
            let image = check(&file).unwrap();
            let found = (image.width as usize, image.height as usize, image.pixels);
            assert_eq!(found, expected, "orientation {orientation} of {:?}", format_of(&file));
        }
    }
}

#[test]
fn a_jpeg_is_turned_upright_in_every_orientation() {
    let (width, height) = (40, 24);
    let pixels: Vec<u8> =
        (0..width * height).flat_map(|i| [(i % width * 6) as u8, (i / width * 10) as u8, 90]).collect();
    let plain = check(&jpeg(&pixels, width, height, 95)).unwrap();
    for orientation in 1..=8 {
        let mut file = Vec::new();
        with_exif(JpegEncoder::new_with_quality(&mut file, 95), orientation, &pixels, width, height);
        let image = check(&file).unwrap();
        let expected = upright(&plain.pixels, width as usize, height as usize, orientation);
        assert_eq!((image.width as usize, image.height as usize, image.pixels), expected);
    }
}

#[test]
fn an_orientation_that_exif_does_not_know_counts_as_upright() {
    let pixels = pattern(5, 3, 3);
    for orientation in [0, 9, 255] {
        let mut file = Vec::new();
        with_exif(PngEncoder::new(&mut file), orientation, &pixels, 5, 3);
        assert_eq!(check(&file).unwrap().pixels, pixels);
    }
}

#[test]
fn bitmaps_give_the_exact_pixels() {
    let pixels = pattern(7, 4, 3);
    let mut file = Vec::new();
    BmpEncoder::new(&mut file).encode(&pixels, 7, 4, ExtendedColorType::Rgb8).unwrap();
    assert_eq!(check(&file).unwrap().pixels, pixels);
}

#[test]
fn gray_is_replicated_and_alpha_is_dropped() {
    let gray = png(&[10, 200], 2, 1, ExtendedColorType::L8);
    assert_eq!(check(&gray).unwrap().pixels, [10, 10, 10, 200, 200, 200]);
    let gray_alpha = png(&[10, 0, 200, 7], 2, 1, ExtendedColorType::La8);
    assert_eq!(check(&gray_alpha).unwrap().pixels, [10, 10, 10, 200, 200, 200]);
    let transparent = png(&[1, 2, 3, 0, 4, 5, 6, 128], 2, 1, ExtendedColorType::Rgba8);
    assert_eq!(check(&transparent).unwrap().pixels, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn sixteen_bit_samples_keep_their_high_byte() {
    let samples: Vec<u8> = [0x0000_u16, 0x12FF, 0xFFFF].iter().flat_map(|s| s.to_ne_bytes()).collect();
    assert_eq!(check(&png(&samples, 1, 1, ExtendedColorType::Rgb16)).unwrap().pixels, [0, 0x12, 0xFF]);
    assert_eq!(
        check(&png(&samples, 3, 1, ExtendedColorType::L16)).unwrap().pixels,
        [0, 0, 0, 0x12, 0x12, 0x12, 0xFF, 0xFF, 0xFF]
    );
}

#[test]
fn a_palette_is_expanded() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 3, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_palette(vec![1, 2, 3, 40, 50, 60, 250, 240, 230]);
    encoder.set_trns(vec![0, 255, 255]);
    encoder.write_header().unwrap().write_image_data(&[0b10_00_01_00]).unwrap();
    assert_eq!(check(&file).unwrap().pixels, [250, 240, 230, 1, 2, 3, 40, 50, 60]);
}

#[test]
fn an_animation_gives_its_first_frame() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[1, 2, 3]).unwrap();
    writer.write_image_data(&[4, 5, 6]).unwrap();
    writer.finish().unwrap();
    assert_eq!(check(&file).unwrap().pixels, [1, 2, 3]);

    // Two lossless frames, the second the first's negative.
    let image = check(reference!("webp/animated.webp")).unwrap();
    assert_eq!(image.size(), Size { width: 40, height: 24 });
    assert_eq!(image.pixels[3 * (5 * 40 + 7)..][..3], [46, 55, 49]);
}

/// Values at (0, 0), (7, 5), (20, 12) and the last pixel, as Pillow 13.0 (libjpeg-turbo) decodes them, after
/// `exif_transpose` and `convert("RGB")`; decoders may differ by the rounding of the inverse DCT and of chroma.
#[test]
fn lossy_files_of_every_kind_agree_with_pillow() {
    let cases = [
        (
            "baseline_420.jpg",
            reference!("jpeg/baseline_420.jpg"),
            [[0, 0, 0], [45, 54, 49], [132, 132, 132], [255, 253, 255]],
        ),
        ("cmyk.jpg", reference!("jpeg/cmyk.jpg"), [[0, 0, 0], [34, 41, 37], [98, 100, 99], [191, 191, 191]]),
        (
            "gray.jpg",
            reference!("jpeg/gray.jpg"),
            [[0, 0, 0], [51, 51, 51], [132, 132, 132], [255, 255, 255]],
        ),
        (
            "orientation_6.jpg",
            reference!("jpeg/orientation_6.jpg"),
            [[1, 255, 95], [32, 177, 86], [78, 34, 61], [254, 0, 160]],
        ),
        (
            "progressive.jpg",
            reference!("jpeg/progressive.jpg"),
            [[0, 0, 0], [45, 54, 49], [131, 133, 132], [255, 255, 255]],
        ),
        (
            "restart.jpg",
            reference!("jpeg/restart.jpg"),
            [[0, 0, 0], [45, 54, 49], [132, 132, 132], [255, 253, 255]],
        ),
        (
            "ycck.jpg",
            reference!("jpeg/ycck.jpg"),
            [[191, 90, 191], [191, 95, 191], [88, 97, 86], [0, 100, 0]],
        ),
        (
            "lossy.webp",
            reference!("webp/lossy.webp"),
            [[255, 252, 255], [211, 201, 209], [123, 123, 125], [0, 0, 0]],
        ),
    ];
    for (name, file, expected) in cases {
        let image = check(file).unwrap();
        let (width, height) = (image.width as usize, image.height as usize);
        let places = [(0, 0), (7, 5), (20, 12), (width - 1, height - 1)];
        for ((x, y), pixel) in places.into_iter().zip(expected) {
            let at = 3 * (y * width + x);
            let found = &image.pixels[at..at + 3];
            let close = found.iter().zip(pixel).all(|(&a, b)| a.abs_diff(b) <= 3);
            assert!(close, "{name} at ({x}, {y}): found {found:?}, Pillow has {pixel:?}");
        }
    }
}

#[test]
fn a_truncated_file_is_an_error_wherever_it_ends() {
    let pixels = pattern(64, 48, 3);
    let mut webp = Vec::new();
    WebPEncoder::new_lossless(&mut webp).encode(&pixels, 64, 48, ExtendedColorType::Rgb8).unwrap();
    let mut bmp = Vec::new();
    BmpEncoder::new(&mut bmp).encode(&pixels, 64, 48, ExtendedColorType::Rgb8).unwrap();
    let files = [
        jpeg(&pixels, 64, 48, 80),
        reference!("jpeg/progressive.jpg").to_vec(),
        reference!("jpeg/baseline_420.jpg").to_vec(),
        reference!("jpeg/restart.jpg").to_vec(),
        png(&pixels, 64, 48, ExtendedColorType::Rgb8),
        webp,
        reference!("webp/lossy.webp").to_vec(),
        reference!("webp/animated.webp").to_vec(),
        bmp,
        tiff(&pixels, 64, 48, 1),
    ];
    for file in files {
        check(&file).unwrap();
        for end in (0..file.len() - 16).step_by(7).chain([file.len() - 2]) {
            // A PNG's last 12 bytes are its empty end chunk: the image itself is whole without them.
            if format_of(&file) == Some(Format::Png) && end + 12 >= file.len() {
                continue;
            }
            let found = check(&file[..end]);
            assert!(
                found.is_err(),
                "{:?} cut to {end} of {} bytes was accepted",
                format_of(&file),
                file.len()
            );
        }
    }
}

#[test]
fn a_truncated_jpeg_says_so() {
    let file = jpeg(&pattern(64, 48, 3), 64, 48, 80);
    let error = check(&file[..file.len() - 2]).unwrap_err();
    assert_eq!(error, DecodeError::Truncated { format: Format::Jpeg, bytes: file.len() - 2 });
    assert!(error.to_string().starts_with("JPEG file ends early"));
}

#[test]
fn damage_never_panics_and_never_yields_another_size() {
    let pixels = pattern(32, 24, 3);
    let files = [
        jpeg(&pixels, 32, 24, 85),
        reference!("jpeg/progressive.jpg").to_vec(),
        reference!("jpeg/ycck.jpg").to_vec(),
    ];
    let mut image = DecodedImage::default();
    let mut state = 1_u32;
    for file in files {
        for _ in 0..3000 {
            let mut damaged = file.clone();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = 2 + state as usize % (file.len() - 2);
            damaged[at] ^= 1 << (state >> 29);
            let options = DecodeOptions { maximum_pixels: 1 << 20 };
            if decode(&damaged, &options, &mut image).is_ok() {
                assert_eq!(image.pixels.len(), 3 * image.width as usize * image.height as usize);
                assert_eq!(probe(&damaged).unwrap(), image.size());
            }
        }
    }
}

#[test]
fn a_damaged_checksum_is_an_error_with_its_reason() {
    let mut file = png(&pattern(16, 16, 3), 16, 16, ExtendedColorType::Rgb8);
    let data = file.windows(4).position(|window| window == b"IDAT").unwrap();
    file[data + 20] ^= 0x55;
    let error = check(&file).unwrap_err();
    assert!(matches!(&error, DecodeError::Corrupt { format: Format::Png, .. }), "{error}");
    assert!(error.to_string().starts_with("damaged PNG file: "), "{error}");
}

#[test]
fn too_many_pixels_are_refused_before_decoding() {
    let file = png(&pattern(10, 10, 3), 10, 10, ExtendedColorType::Rgb8);
    let mut image = DecodedImage::default();
    decode(&file, &DecodeOptions { maximum_pixels: 100 }, &mut image).unwrap();
    let mut fresh = DecodedImage::default();
    let error = decode(&file, &DecodeOptions { maximum_pixels: 99 }, &mut fresh).unwrap_err();
    assert_eq!(
        error.to_string(),
        "PNG image of 10x10 pixels is larger than the 99 pixels allowed; raise maximum_pixels or resize the file"
    );
    assert_eq!(fresh.pixels.capacity(), 0, "memory was taken for a refused image");
    // The header of a JPEG alone decides: there is no image data behind it.
    let whole = jpeg(&pattern(64, 48, 3), 64, 48, 80);
    let error = decode(&whole[..700], &DecodeOptions { maximum_pixels: 99 }, &mut fresh).unwrap_err();
    assert!(matches!(error, DecodeError::TooManyPixels { width: 64, height: 48, .. }), "{error}");
}

#[test]
fn what_is_no_image_is_named_by_its_first_bytes() {
    let error = check(b"<html>").unwrap_err();
    assert!(error.to_string().contains("found 3c 68 74 6d 6c 3e"), "{error}");
    assert!(check(b"").unwrap_err().to_string().contains("found an empty file"));
}

#[test]
fn stray_bytes_between_jpeg_segments_are_skipped() {
    let file = jpeg(&pattern(64, 48, 3), 64, 48, 80);
    // After JFIF's segment of 18 bytes.
    let mut stray = file[..20].to_vec();
    stray.extend([7; 9]);
    stray.extend(&file[20..]);
    assert_eq!(check(&stray).unwrap().pixels, check(&file).unwrap().pixels);
}

#[test]
fn a_buffer_is_reused_for_images_of_other_sizes() {
    let mut image = DecodedImage::default();
    for (width, height) in [(9, 4), (3, 3), (12, 5)] {
        let pixels = pattern(width, height, 3);
        let file = png(&pixels, width, height, ExtendedColorType::Rgb8);
        decode(&file, &DecodeOptions::default(), &mut image).unwrap();
        assert_eq!((image.width, image.height), (width, height));
        assert_eq!(image.pixels, pixels);
    }
}
