use std::collections::HashMap;

use super::*;
use crate::testing::{
    assert_close, byol_images, changed, draws_of, planar, random_planar, stream, torchvision_image,
    with_defaults,
};

const SIZE: Size = Size { width: 8, height: 8 };

fn jitter(brightness: f64, contrast: f64, saturation: f64, hue: f64) -> ColorJitter {
    let defaults = ColorJitterParameters::defaults().unwrap();
    ColorJitter::new(ColorJitterParameters { brightness, contrast, saturation, hue, ..defaults }).unwrap()
}

/// Does to `image` what a jitter does that `set` gave its only change.
fn change_alone(image: &mut ImageMut<'_, PlanarF32>, set: impl FnOnce(&mut ColorJitter)) {
    let mut jitter = jitter(0.0, 0.0, 0.0, 0.0);
    set(&mut jitter);
    jitter.change(image);
}

fn change_brightness(image: &mut ImageMut<'_, PlanarF32>, shift: f32, mode: BrightnessMode) {
    change_alone(image, |jitter| {
        (jitter.parameters.brightness, jitter.parameters.brightness_mode) = (1.0, mode);
        jitter.draws.brightness = shift;
    });
}

fn change_contrast(image: &mut ImageMut<'_, PlanarF32>, factor: f32, mode: ContrastMode) {
    change_alone(image, |jitter| {
        (jitter.parameters.contrast, jitter.parameters.contrast_mode) = (1.0, mode);
        jitter.draws.contrast = factor;
    });
}

fn change_saturation(image: &mut ImageMut<'_, PlanarF32>, factor: f32, mode: SaturationMode) {
    change_alone(image, |jitter| {
        (jitter.parameters.saturation, jitter.parameters.saturation_mode) = (1.0, mode);
        jitter.draws.saturation = factor;
    });
}

fn change_hue(image: &mut ImageMut<'_, PlanarF32>, turns: f32) {
    change_alone(image, |jitter| {
        jitter.parameters.hue = 0.5;
        jitter.draws.hue = turns;
    });
}

/// `change` applied to pixels in one row.
fn changed_by(pixels: &[[f32; 3]], change: impl FnOnce(&mut ImageMut<'_, PlanarF32>)) -> Vec<[f32; 3]> {
    let mut image = planar(pixels.len() as u32, 1, pixels);
    change(&mut image.view_mut());
    image.pixels()
}

#[test]
fn brightness_agrees_with_a_hand_computation() {
    let pixels = [[0.0, 0.5, 1.0]];
    let additive =
        |shift| changed_by(&pixels, |image| change_brightness(image, shift, BrightnessMode::Additive));
    assert_close(&additive(0.25), &[[0.25, 0.75, 1.0]], 1e-6);
    assert_close(&additive(-0.25), &[[0.0, 0.25, 0.75]], 1e-6);
    let multiplied =
        |shift| changed_by(&pixels, |image| change_brightness(image, shift, BrightnessMode::Multiplicative));
    assert_close(&multiplied(0.25), &[[0.0, 0.625, 1.0]], 1e-6);
    assert_close(&multiplied(-0.25), &[[0.0, 0.375, 0.75]], 1e-6);
}

#[test]
fn contrast_agrees_with_a_hand_computation() {
    let pixels = [[0.25, 0.5, 0.9], [0.75, 0.5, 0.9]];
    // Channel means 0.5, 0.5, 0.9.
    let own = changed_by(&pixels, |image| change_contrast(image, 1.5, ContrastMode::ChannelMean));
    assert_close(&own, &[[0.125, 0.5, 0.9], [0.875, 0.5, 0.9]], 1e-6);
    // Gray mean 0.2989 * 0.5 + 0.5870 * 0.5 + 0.1140 * 0.9 = 0.54555.
    let gray = changed_by(&pixels, |image| change_contrast(image, 0.5, ContrastMode::GrayMean));
    let middle = |sample: f32| 0.5 * sample + 0.5 * 0.54555;
    assert_close(&gray, &pixels.map(|pixel| pixel.map(middle)), 1e-6);
}

#[test]
fn saturation_agrees_with_a_hand_computation() {
    // V = 0.8, range 0.6, S = 0.75. Half of it: samples halve their distance to V.
    let pixels = [[0.8, 0.2, 0.5], [0.4, 0.4, 0.4], [0.0, 0.0, 0.0]];
    let halved = changed_by(&pixels, |image| change_saturation(image, 0.5, SaturationMode::Hsv));
    assert_close(&halved, &[[0.8, 0.5, 0.65], [0.4; 3], [0.0; 3]], 1e-6);
    // S cannot exceed 1: distances grow by 1 / 0.75 only.
    let doubled = changed_by(&pixels, |image| change_saturation(image, 2.0, SaturationMode::Hsv));
    assert_close(&doubled, &[[0.8, 0.0, 0.4], [0.4; 3], [0.0; 3]], 1e-6);
    // Gray 0.2989 * 0.8 + 0.5870 * 0.2 + 0.1140 * 0.5 = 0.41352.
    let blended = changed_by(&pixels[..1], |image| change_saturation(image, 0.5, SaturationMode::Blend));
    assert_close(&blended, &[[0.60676, 0.30676, 0.45676]], 1e-6);
}

#[test]
fn a_third_of_a_turn_of_hue_permutes_the_channels() {
    let pixels = [[0.9, 0.3, 0.1], [0.2, 0.7, 0.7], [0.5, 0.5, 0.5], [0.1, 0.0, 1.0]];
    let third = changed_by(&pixels, |image| change_hue(image, 1.0 / 3.0));
    assert_close(&third, &pixels.map(|[red, green, blue]| [blue, red, green]), 1e-6);
    let back = changed_by(&pixels, |image| change_hue(image, -1.0 / 3.0));
    assert_close(&back, &pixels.map(|[red, green, blue]| [green, blue, red]), 1e-6);
}

#[test]
fn changes_by_nothing_keep_the_image() {
    let mut image = random_planar(31, 7, 2);
    let original = image.pixels();
    {
        let view = &mut image.view_mut();
        change_brightness(view, 0.0, BrightnessMode::Additive);
        change_brightness(view, 0.0, BrightnessMode::Multiplicative);
        change_contrast(view, 1.0, ContrastMode::ChannelMean);
        change_contrast(view, 1.0, ContrastMode::GrayMean);
        change_saturation(view, 1.0, SaturationMode::Hsv);
        change_saturation(view, 1.0, SaturationMode::Blend);
        change_hue(view, 0.0);
    }
    assert_close(&image.pixels(), &original, 1e-5);
}

#[test]
fn strengths_of_zero_keep_the_image_to_the_bit() {
    let mut image = random_planar(9, 9, 2);
    let original = image.pixels();
    changed(&mut jitter(0.0, 0.0, 0.0, 0.0), &mut image, 3);
    assert_eq!(image.pixels(), original);
}

#[test]
fn samples_stay_in_their_range_at_the_largest_strengths() {
    for (seed, (brightness_mode, contrast_mode, saturation_mode)) in [
        (BrightnessMode::Additive, ContrastMode::ChannelMean, SaturationMode::Hsv),
        (BrightnessMode::Multiplicative, ContrastMode::GrayMean, SaturationMode::Blend),
    ]
    .into_iter()
    .cycle()
    .take(100)
    .enumerate()
    {
        let modes = ColorJitterParameters {
            brightness: 1.0,
            contrast: 10.0,
            saturation: 10.0,
            hue: 0.5,
            brightness_mode,
            contrast_mode,
            saturation_mode,
        };
        let mut image = random_planar(19, 5, seed as u32);
        changed(&mut ColorJitter::new(modes).unwrap(), &mut image, seed as u32);
        for sample in image.pixels().as_flattened() {
            assert!((-1e-6..=1.0 + 1e-6).contains(sample), "{sample}");
        }
    }
}

#[test]
fn agrees_with_the_byol_authors_code() {
    let agrees = |name: &str, change: &dyn Fn(&mut ImageMut<'_, PlanarF32>)| {
        for (mut image, reference) in byol_images(name) {
            change(&mut image.view_mut());
            assert_close(&image.pixels(), &reference, 1e-5);
        }
    };
    for shift in [-0.35, 0.22] {
        agrees(&format!("brightness_additive.{shift}"), &|image| {
            change_brightness(image, shift, BrightnessMode::Additive);
        });
    }
    for factor in [0.63, 1.37] {
        agrees(&format!("contrast_channel_mean.{factor}"), &|image| {
            change_contrast(image, factor, ContrastMode::ChannelMean);
        });
    }
    for factor in [0.0, 0.81, 1.19] {
        agrees(&format!("saturation_hsv.{factor:?}"), &|image| {
            change_saturation(image, factor, SaturationMode::Hsv);
        });
    }
    for turns in [-0.09, 0.1, 0.37] {
        agrees(&format!("hue_hsv.{turns}"), &|image| change_hue(image, turns));
    }
}

/// Recorded from Pillow 13.0's `ImageEnhance`, which torchvision's functions on PIL images call. Pillow rounds
/// the gray image, its mean and the result to 8 bits.
#[test]
fn the_other_modes_agree_with_pillow() {
    const PIXELS: [[u8; 3]; 4] = [[10, 200, 30], [90, 80, 70], [255, 0, 128], [33, 66, 99]];
    let unit = |pixels: [[u8; 3]; 4]| pixels.map(|pixel| pixel.map(|sample| f32::from(sample) / 255.0));
    let pixels = unit(PIXELS);
    let cases = [
        (
            "brightness",
            [[6, 120, 18], [54, 48, 42], [153, 0, 76], [19, 39, 59]],
            [[13, 255, 39], [116, 104, 91], [255, 0, 166], [42, 85, 128]],
        ),
        (
            "contrast",
            [[41, 155, 53], [89, 83, 77], [188, 35, 112], [55, 75, 95]],
            [[0, 233, 12], [90, 77, 64], [255, 0, 139], [16, 59, 102]],
        ),
        (
            "saturation",
            [[55, 169, 67], [86, 80, 74], [189, 36, 113], [43, 63, 83]],
            [[0, 222, 1], [92, 79, 66], [255, 0, 139], [24, 67, 110]],
        ),
    ];
    for (name, weaker, stronger) in cases {
        for (factor, expected) in [(0.6, weaker), (1.3, stronger)] {
            let found = changed_by(&pixels, |image| match name {
                "brightness" => change_brightness(image, factor - 1.0, BrightnessMode::Multiplicative),
                "contrast" => change_contrast(image, factor, ContrastMode::GrayMean),
                _ => change_saturation(image, factor, SaturationMode::Blend),
            });
            assert_close(&found, &unit(expected), 1.5 / 255.0);
        }
    }
}

#[test]
fn the_other_modes_agree_with_torchvision() {
    let agrees = |name: &str, change: &dyn Fn(&mut ImageMut<'_, PlanarF32>)| {
        let (mut image, expected) = torchvision_image(name);
        change(&mut image.view_mut());
        assert_close(&image.pixels(), &expected, 1e-5);
    };
    for factor in [0.6, 1.3] {
        agrees(&format!("brightness.{factor}"), &|image| {
            change_brightness(image, factor - 1.0, BrightnessMode::Multiplicative);
        });
        agrees(&format!("contrast.{factor}"), &|image| {
            change_contrast(image, factor, ContrastMode::GrayMean);
        });
        agrees(&format!("saturation.{factor}"), &|image| {
            change_saturation(image, factor, SaturationMode::Blend);
        });
    }
    for turns in [-0.37, -0.1, 0.08, 0.5] {
        agrees(&format!("hue.{turns}"), &|image| change_hue(image, turns));
    }
}

#[test]
fn in_every_order_all_changes_at_once_are_one_after_the_other_to_the_bit() {
    let modes = [
        (BrightnessMode::Additive, ContrastMode::ChannelMean, SaturationMode::Hsv),
        (BrightnessMode::Multiplicative, ContrastMode::GrayMean, SaturationMode::Blend),
    ];
    for (brightness, contrast, saturation) in modes {
        let mut orders = std::collections::HashSet::new();
        for seed in 0..200 {
            let mut all = with_defaults::<ColorJitter>();
            all.parameters.brightness_mode = brightness;
            all.parameters.contrast_mode = contrast;
            all.parameters.saturation_mode = saturation;
            // 37 columns: whole vectors and a rest.
            all.plan(Size { width: 37, height: 5 }, &mut stream(seed)).unwrap();
            let mut together = random_planar(37, 5, seed);
            let mut apart = random_planar(37, 5, seed);
            all.change(&mut together.view_mut());
            let draws = &all.draws;
            for change in draws.order {
                let image = &mut apart.view_mut();
                match change {
                    Change::Brightness => change_brightness(image, draws.brightness, brightness),
                    Change::Contrast => change_contrast(image, draws.contrast, contrast),
                    Change::Saturation => change_saturation(image, draws.saturation, saturation),
                    Change::Hue => change_hue(image, draws.hue),
                }
            }
            assert_eq!(together.pixels(), apart.pixels(), "{:?}", draws.order);
            orders.insert(format!("{:?}", draws.order));
        }
        assert_eq!(orders.len(), 24);
    }
}

#[test]
fn the_same_seed_gives_the_same_image_and_another_seed_another() {
    let make = |seed| {
        let mut image = random_planar(20, 20, 1);
        changed(&mut with_defaults::<ColorJitter>(), &mut image, seed);
        image.pixels()
    };
    assert_eq!(make(5), make(5));
    assert_ne!(make(5), make(6));
}

#[test]
fn a_changed_strength_leaves_the_other_draws_as_they_were() {
    let (mut whole, mut without) = (jitter(0.4, 0.4, 0.2, 0.1), jitter(0.4, 0.0, 0.2, 0.1));
    assert_eq!(draws_of(&mut whole, SIZE), 7);
    assert_eq!(draws_of(&mut without, SIZE), 7);
    for seed in 0..50 {
        whole.plan(SIZE, &mut stream(seed)).unwrap();
        without.plan(SIZE, &mut stream(seed)).unwrap();
        let shared = |jitter: &ColorJitter| {
            let Draws { brightness, saturation, hue, order, .. } = jitter.draws;
            (brightness, saturation, hue, order)
        };
        assert_eq!(shared(&whole), shared(&without));
    }
}

#[test]
fn amounts_fill_their_ranges_and_all_orders_occur() {
    let mut jitter = jitter(0.4, 1.5, 0.2, 0.1);
    let mut orders = HashMap::new();
    let (mut lowest, mut highest) = ([f32::MAX; 4], [f32::MIN; 4]);
    for seed in 0..4800 {
        jitter.plan(SIZE, &mut stream(seed)).unwrap();
        let Draws { brightness, contrast, saturation, hue, order } = jitter.draws;
        *orders.entry(format!("{order:?}")).or_insert(0) += 1;
        for (index, value) in [brightness, contrast, saturation, hue].into_iter().enumerate() {
            lowest[index] = lowest[index].min(value);
            highest[index] = highest[index].max(value);
        }
    }
    assert_close(&[[lowest[0], lowest[1], lowest[2]]], &[[-0.4, 0.0, 0.8]], 0.01);
    assert_close(&[[highest[0], highest[1], highest[2]]], &[[0.4, 2.5, 1.2]], 0.01);
    assert!((lowest[3] + 0.1).abs() < 0.01 && (highest[3] - 0.1).abs() < 0.01);
    assert_eq!(orders.len(), 24);
    // 200 are expected of each; six standard deviations are 83.
    assert!(orders.values().all(|count| (117..=283).contains(count)), "{orders:?}");
}
