use diptych_sdk::testing::OwnedImage;

use super::*;
use crate::testing::{
    changed, draws_of, pillow_image, pillow_images, random_rgb8, rgb8, stream, with_defaults,
};

const SIZE: Size = Size { width: 12, height: 9 };

/// What `operation` makes of `image`.
fn made_by(operation: Operation, image: &mut OwnedImage<Rgb8>) -> Vec<[u8; 3]> {
    let mut copy = vec![[0; 3]; (image.size().width * image.size().height) as usize];
    operation.apply(&mut image.view_mut(), &mut copy);
    image.pixels()
}

/// `operation.amount.interpolation` as the reference names it.
fn parse(name: &str) -> Operation {
    let (kind, rest) = name.split_once('.').unwrap_or((name, ""));
    let (amount, interpolation) = match rest.rsplit_once('.') {
        Some((amount, "bilinear")) => (amount, Interpolation::Bilinear),
        Some((amount, "bicubic")) => (amount, Interpolation::Bicubic),
        _ => (rest, Interpolation::Bilinear),
    };
    let number: f64 = amount.parse().unwrap_or(0.0);
    match kind {
        "auto_contrast" => Operation::AutoContrast,
        "equalize" => Operation::Equalize,
        "invert" => Operation::Invert,
        "posterize" => Operation::Posterize(number as u32),
        "solarize" => Operation::Solarize(number as u32),
        "solarize_add" => Operation::SolarizeAdd(number as u32),
        "color" => Operation::Color(number as f32),
        "contrast" => Operation::Contrast(number as f32),
        "brightness" => Operation::Brightness(number as f32),
        "sharpness" => Operation::Sharpness(number as f32),
        "rotate" => Operation::Rotate(number, interpolation),
        "shear_x" => Operation::ShearX(number, interpolation),
        "shear_y" => Operation::ShearY(number, interpolation),
        "translate_x" => Operation::TranslateX(number, interpolation),
        "translate_y" => Operation::TranslateY(number, interpolation),
        _ => panic!("{name} is no operation"),
    }
}

#[test]
fn every_operation_agrees_with_pillow_to_the_byte() {
    let mut seen = 0;
    for input in ["picture", "pale"] {
        for (name, expected) in pillow_images(input) {
            let found = made_by(parse(&name), &mut pillow_image(input));
            let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert_eq!(found.len(), expected.len());
            assert_eq!(wrong, None, "{input}.{name}: first at this pixel");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * (3 + 3 + 4 + 3 + 16 + 2 * 12));
}

#[test]
fn amounts_at_the_ends_and_the_middle_are_as_computed_by_hand() {
    let at = |kind, magnitude| Operation::new(kind, magnitude, -1.0, Interpolation::Bicubic);
    assert_eq!(at(Kind::Posterize, 10.0), Operation::Posterize(4));
    assert_eq!(at(Kind::Posterize, 9.99), Operation::Posterize(3));
    assert_eq!(at(Kind::Solarize, 10.0), Operation::Solarize(256));
    assert_eq!(at(Kind::Solarize, 5.0), Operation::Solarize(128));
    assert_eq!(at(Kind::SolarizeAdd, 10.0), Operation::SolarizeAdd(110));
    assert_eq!(at(Kind::Sharpness, 0.0), Operation::Sharpness(0.1));
    assert_eq!(at(Kind::Contrast, 10.0), Operation::Contrast(1.9));
    assert_eq!(at(Kind::Rotate, 10.0), Operation::Rotate(-30.0, Interpolation::Bicubic));
    assert_eq!(at(Kind::ShearX, 5.0), Operation::ShearX(-0.15, Interpolation::Bicubic));
    assert_eq!(at(Kind::TranslateY, 10.0), Operation::TranslateY(-0.45, Interpolation::Bicubic));
}

#[test]
fn a_row_of_pixels_is_as_computed_by_hand() {
    let row = |operation| made_by(operation, &mut rgb8(2, 1, &[[10, 130, 200], [60, 255, 0]]));
    assert_eq!(row(Operation::SolarizeAdd(110)), [[120, 130, 200], [170, 255, 110]]);
    assert_eq!(row(Operation::Posterize(1)), [[0, 128, 128], [0, 128, 0]]);
    assert_eq!(row(Operation::Posterize(0)), [[0; 3], [0; 3]], "no bit is kept");
    assert_eq!(row(Operation::Brightness(1.9)), [[19, 247, 255], [114, 255, 0]]);
    assert_eq!(row(Operation::Sharpness(1.9)), [[10, 130, 200], [60, 255, 0]], "there is nothing but edge");
    // By half the width to the left: the second pixel comes first, and what comes after it is filled.
    let half = Operation::TranslateX(0.5, Interpolation::Bilinear);
    assert_eq!(row(half), [[60, 255, 0], warp::FILL]);
}

#[test]
fn a_flat_image_of_the_fills_colour_is_left_alone_by_warps_and_blends() {
    for kind in
        [Kind::Rotate, Kind::ShearX, Kind::TranslateY, Kind::Sharpness, Kind::AutoContrast, Kind::Equalize]
    {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let mut image = rgb8(12, 9, &[warp::FILL; 108]);
            let made = made_by(Operation::new(kind, 7.0, 1.0, interpolation), &mut image);
            assert_eq!(made, [warp::FILL; 108], "{kind:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_operations_and_another_seed_others() {
    let make = |seed| {
        let mut image = random_rgb8(14, 11, 4);
        changed(&mut with_defaults::<RandAugment>(), &mut image, seed);
        image.pixels()
    };
    assert_eq!(make(3), make(3));
    assert!((0..8).any(|seed| make(seed) != make(3)));
}

#[test]
fn draws_as_often_whatever_the_parameters() {
    let defaults = || RandAugmentParameters::defaults().unwrap();
    for parameters in [
        defaults(),
        RandAugmentParameters { operations: 0, ..defaults() },
        RandAugmentParameters { operations: 8, magnitude_deviation: 0.0, ..defaults() },
        RandAugmentParameters { operation_probability: 0.0, color: false, ..defaults() },
    ] {
        assert_eq!(draws_of(&mut RandAugment::new(parameters).unwrap(), SIZE), 48);
    }
}

/// What was drawn for each of `count` seeds.
fn all_drawn(parameters: RandAugmentParameters, count: u32) -> Vec<Operation> {
    let mut operator = RandAugment::new(parameters).unwrap();
    (0..count)
        .flat_map(|seed| {
            operator.plan(SIZE, &mut stream(seed)).unwrap();
            operator.drawn.into_iter().flatten()
        })
        .collect()
}

#[test]
fn half_of_two_operations_are_applied_each_kind_as_often_and_half_of_the_magnitudes_are_cut() {
    let drawn = all_drawn(RandAugmentParameters::defaults().unwrap(), 15_000);
    // Five standard deviations.
    assert!(drawn.len().abs_diff(15_000) < 450, "{}", drawn.len());
    let turns: Vec<f64> = drawn
        .iter()
        .filter_map(|operation| match operation {
            Operation::Rotate(degrees, _) => Some(*degrees),
            _ => None,
        })
        .collect();
    assert!(turns.len().abs_diff(1000) < 160, "{}", turns.len());
    let part = |is: fn(&f64) -> bool| turns.iter().copied().filter(is).count() as f64 / turns.len() as f64;
    assert!((part(|degrees| *degrees > 0.0) - 0.5).abs() < 0.08);
    assert!((part(|degrees| degrees.abs() == 30.0) - 0.5).abs() < 0.08);
    // One standard deviation below the mean is magnitude 9.5, 28.5 degrees.
    assert!((part(|degrees| degrees.abs() < 28.5) - 0.1587).abs() < 0.06);
}

#[test]
fn without_colours_nothing_changes_them() {
    let parameters = RandAugmentParameters { color: false, ..RandAugmentParameters::defaults().unwrap() };
    let drawn = all_drawn(parameters, 400);
    assert!(drawn.contains(&Operation::Identity) && drawn.contains(&Operation::AutoContrast));
    assert!(!drawn.iter().any(|operation| matches!(
        operation,
        Operation::Equalize
            | Operation::Invert
            | Operation::Color(_)
            | Operation::Brightness(_)
            | Operation::Contrast(_)
            | Operation::Posterize(_)
            | Operation::Solarize(_)
            | Operation::SolarizeAdd(_)
    )));
}

#[test]
fn previews_are_told_operations_and_amounts() {
    let mut operator = with_defaults::<RandAugment>();
    assert_eq!(operator.describe_draws(), "nothing");
    operator.drawn[0] = Some(Operation::Rotate(-12.34, Interpolation::Bilinear));
    operator.drawn[1] = Some(Operation::Posterize(4));
    assert_eq!(operator.describe_draws(), "rotate -12.3 degrees, posterize 4 bits");
}
