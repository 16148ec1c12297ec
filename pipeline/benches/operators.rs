//! What each built-in operator costs on one view of 224 pixels, through the plugin boundary, with fresh draws each time.
//!
//! ```text
//! cargo bench -p diptych-pipeline --bench operators
//! ```

use std::hint::black_box;

use criterion::Criterion;
use diptych_host::{Image, ImageMut, Parameters, PixelFormat, RandomStream, Region, Registry, Scratch, Size};
use diptych_test_support::built_plugin;

const VIEW: Size = Size { width: 224, height: 224 };
/// Of a photograph.
const SOURCE: Size = Size { width: 500, height: 375 };

fn operators(criterion: &mut Criterion) {
    let registry =
        Registry::load_folders(&[built_plugin("diptych-augmentations")], None).expect("it is built");
    for id in ["color_jitter", "grayscale", "gaussian_blur", "solarize", "horizontal_flip"] {
        in_place(criterion, &registry, id);
    }
    random_resized_crop(criterion, &registry);
}

fn in_place(criterion: &mut Criterion, registry: &Registry, id: &str) {
    let component = registry.augmentation(id).expect("it is built in");
    let parameters = Parameters::defaults(component).expect("all have defaults");
    let mut operator = component.create_augmentation(&parameters).expect("defaults are allowed");
    let mut scratch = Scratch::new();
    let count = 3 * (VIEW.width * VIEW.height) as usize;
    let original: Vec<u8> = (0..count).map(|at| ((at * 2_654_435_761) >> 7) as u8).collect();
    let floats: Vec<f32> = original.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let (mut bytes, mut planes) = (original.clone(), floats.clone());
    let mut draw = 0;
    criterion.bench_function(id, |bencher| {
        bencher.iter(|| {
            draw += 1;
            operator.plan(VIEW, &mut RandomStream::new([draw, 0])).expect("it plans");
            let mut image = match operator.reads() {
                PixelFormat::Rgb8 => ImageMut::rgb8(VIEW, &mut bytes),
                PixelFormat::PlanarF32 => ImageMut::planar_f32(VIEW, &mut planes),
            };
            operator.apply_in_place(&mut image, &mut scratch).expect("it applies");
            if draw % 16 == 0 {
                // Repeated changes drive an image to a flat one.
                planes.copy_from_slice(&floats);
            }
        });
        black_box((&bytes, &planes));
    });
}

fn random_resized_crop(criterion: &mut Criterion, registry: &Registry) {
    let component = registry.augmentation("random_resized_crop").expect("it is built in");
    let parameters = Parameters::defaults(component).expect("all have defaults");
    let mut operator = component.create_augmentation(&parameters).expect("defaults are allowed");
    let mut scratch = Scratch::new();
    let source: Vec<u8> = (0..3 * SOURCE.width * SOURCE.height).map(|at| (at / 7) as u8).collect();
    let mut view = vec![0.0; 3 * (VIEW.width * VIEW.height) as usize];
    let whole = Region { x: 0, y: 0, width: SOURCE.width, height: SOURCE.height };
    let input = Image::rgb8(whole, &source, 3 * SOURCE.width as usize);
    let mut draw = 0;
    criterion.bench_function("random_resized_crop", |bencher| {
        bencher.iter(|| {
            draw += 1;
            operator.plan(SOURCE, &mut RandomStream::new([draw, 0])).expect("it plans");
            operator
                .apply_into(&input, &mut ImageMut::planar_f32(VIEW, &mut view), &mut scratch)
                .expect("it applies");
        });
        black_box(&view);
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    operators(&mut criterion);
    criterion.final_summary();
}
