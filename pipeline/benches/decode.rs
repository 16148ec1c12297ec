//! What decoding costs by format, for a picture of a photograph's size and statistics: bright and dark, edges and grain.
//!
//! ```text
//! cargo bench -p diptych-pipeline --bench decode
//! ```
//!
//! JPEG apart: the whole image, the middle quarter as a crop wants it, the last corner (which is reading past the
//! entropy-coded data and little else), the portable forms, and zune-jpeg, the fastest decoder in plain Rust, beside them.

use std::hint::black_box;
use std::io::Cursor;

use criterion::Criterion;
use diptych_host::Region;
use diptych_jpeg::Decoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_jpeg::zune_core::bytestream::ZCursor;

const WIDTH: u32 = 500;
const HEIGHT: u32 = 375;

fn decode(criterion: &mut Criterion) {
    let picture = picture();
    let mut jpeg = Vec::new();
    let mut encoder = Encoder::new(&mut jpeg, 90);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&picture, WIDTH as u16, HEIGHT as u16, ColorType::Rgb).expect("it encodes");

    let middle = Region { x: WIDTH / 4, y: HEIGHT / 4, width: WIDTH / 2, height: HEIGHT / 2 };
    let corner = Region { x: WIDTH - 8, y: HEIGHT - 8, width: 8, height: 8 };
    let mut jpegs = criterion.benchmark_group("jpeg");
    let mut bench = |name: &str, mut decoder: Decoder, region: Option<Region>| {
        let mut out = Vec::new();
        jpegs.bench_function(name, |bencher| {
            bencher.iter(|| decoder.decode(black_box(&jpeg), region, &mut out).expect("it decodes"));
        });
    };
    bench("whole", Decoder::new(), None);
    bench("middle quarter", Decoder::new(), Some(middle));
    bench("last corner", Decoder::new(), Some(corner));
    bench("whole, portable", Decoder::portable(), None);
    jpegs.bench_function("whole, zune-jpeg", |bencher| {
        bencher.iter(|| {
            let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(black_box(&jpeg)));
            decoder.decode().expect("it decodes")
        });
    });
    jpegs.finish();

    let picture = RgbImage::from_raw(WIDTH, HEIGHT, picture).expect("as many bytes as pixels want");
    let picture = DynamicImage::ImageRgb8(picture);
    let mut others = criterion.benchmark_group("lossless");
    for (name, format) in [("png", ImageFormat::Png), ("webp", ImageFormat::WebP)] {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).expect("it encodes");
        let file = file.into_inner();
        others.bench_function(name, |bencher| {
            bencher
                .iter(|| image::load_from_memory_with_format(black_box(&file), format).expect("it decodes"));
        });
    }
    others.finish();
}

/// Waves of several lengths, a hard edge, and grain that is stronger in the bright parts.
fn picture() -> Vec<u8> {
    let mut grain = 1_u32;
    let mut pixels = Vec::with_capacity(3 * (WIDTH * HEIGHT) as usize);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let (u, v) = (f64::from(x), f64::from(y));
            let waves = (u / 61.0).sin() + (v / 47.0).cos() + 0.5 * ((u + 2.0 * v) / 9.0).sin();
            let edge = if (x * HEIGHT + y * WIDTH) / (WIDTH * HEIGHT) == 0 { 0.4 } else { -0.3 };
            for channel in 0..3 {
                grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = f64::from(grain >> 16) / 65536.0 - 0.5;
                let level = 0.5 + 0.12 * waves * (1.0 + 0.2 * f64::from(channel)) + 0.3 * edge;
                pixels.push((255.0 * (level + 0.1 * noise * level)).clamp(0.0, 255.0) as u8);
            }
        }
    }
    pixels
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decode(&mut criterion);
    criterion.final_summary();
}
