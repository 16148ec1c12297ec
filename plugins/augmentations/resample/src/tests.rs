//! The forms against each other, and against the definition in double precision.

use super::*;

/// An image of `3 * width * height` bytes, in rows.
struct Picture {
    size: Size,
    bytes: Vec<u8>,
}

impl Picture {
    fn new(width: usize, height: usize, sample: impl FnMut(usize) -> u8) -> Picture {
        Picture { size: (width, height), bytes: (0..3 * width * height).map(sample).collect() }
    }

    fn noise(width: usize, height: usize) -> Picture {
        let mut state = (width * 7919 + height) as u32 | 1;
        Picture::new(width, height, |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Many at both ends, where cubics overshoot.
            ((state >> 22) as i32 - 384).clamp(0, 255) as u8
        })
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.bytes[3 * self.size.0 * y..][..3 * self.size.0]
    }

    /// Three planes, one after the other.
    fn resized(&self, resampler: &mut Resampler, output: Size) -> Vec<f32> {
        let area = output.0 * output.1;
        let mut planes = vec![f32::NAN; 3 * area];
        let (red, rest) = planes.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        resampler.resize(self.size, |y| self.row(y), output, [red, green, blue]);
        planes
    }
}

const FILTERS: [(Filter, bool); 4] =
    [(Filter::Bicubic, false), (Filter::Bicubic, true), (Filter::Bilinear, false), (Filter::Bilinear, true)];

const SIZES: [(Size, Size); 12] = [
    ((1, 1), (3, 2)),
    ((2, 3), (1, 1)),
    ((3, 2), (17, 9)),
    ((5, 700), (8, 8)),
    ((16, 16), (16, 16)),
    ((31, 20), (32, 32)),
    ((40, 33), (9, 7)),
    ((101, 67), (24, 24)),
    ((224, 180), (224, 224)),
    ((306, 290), (224, 224)),
    ((500, 375), (31, 33)),
    ((1200, 90), (64, 64)),
];

#[test]
fn every_form_gives_the_same_bits() {
    for (filter, antialias) in FILTERS {
        let (mut fastest, mut portable) =
            (Resampler::new(filter, antialias), Resampler::portable(filter, antialias));
        for (input, output) in SIZES {
            let picture = Picture::noise(input.0, input.1);
            let (one, other) =
                (picture.resized(&mut fastest, output), picture.resized(&mut portable, output));
            assert!(one == other, "{filter:?}, antialias {antialias}: {input:?} to {output:?}");
        }
    }
}

/// The sum over all input positions of the filter at their distances, normalised, along one axis.
fn exact_weights(filter: Filter, antialias: bool, input: usize, output: usize) -> Vec<Vec<f64>> {
    let scale = input as f64 / output as f64;
    let stretch = if antialias { scale.max(1.0) } else { 1.0 };
    let value = |x: f64| match (filter, x.abs()) {
        (Filter::Bilinear, x) => (1.0 - x).max(0.0),
        (Filter::Bicubic, x) if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        (Filter::Bicubic, x) if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        _ => 0.0,
    };
    let position = |at: usize| {
        let centre = (at as f64 + 0.5) * scale - 0.5;
        let weights: Vec<f64> = (0..input).map(|place| value((place as f64 - centre) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    };
    (0..output).map(position).collect()
}

#[test]
fn agrees_with_the_definition_to_a_fraction_of_a_step_of_eight_bits() {
    for (filter, antialias) in FILTERS {
        let mut resampler = Resampler::new(filter, antialias);
        for (input, output) in SIZES {
            let picture = Picture::noise(input.0, input.1);
            let found = picture.resized(&mut resampler, output);
            let across = exact_weights(filter, antialias, input.0, output.0);
            let down = exact_weights(filter, antialias, input.1, output.1);
            // Every pixel of small outputs, some of large ones.
            for at in (0..output.0 * output.1).step_by(1 + output.0 * output.1 / 300) {
                let (x, y) = (at % output.0, at / output.0);
                for channel in 0..3 {
                    let mut sum = 0.0;
                    for (row, down) in down[y].iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                        let bytes = picture.row(row);
                        let weighed = across[x].iter().enumerate();
                        let weighed = weighed.map(|(x, weight)| weight * f64::from(bytes[3 * x + channel]));
                        sum += down * weighed.sum::<f64>();
                    }
                    let found = f64::from(found[channel * output.0 * output.1 + at]) * 255.0;
                    let difference = (found - sum.clamp(0.0, 255.0)).abs();
                    assert!(
                        difference < 0.15,
                        "{filter:?}, antialias {antialias}: {input:?} to {output:?}, ({x}, {y}): found {found}, {sum}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_flat_image_stays_flat_to_the_bit() {
    for (filter, antialias) in FILTERS {
        let mut resampler = Resampler::new(filter, antialias);
        for (input, output) in SIZES {
            let picture = Picture::new(input.0, input.1, |at| [9, 130, 255][at % 3]);
            let found = picture.resized(&mut resampler, output);
            for (plane, expected) in found.chunks(output.0 * output.1).zip([9.0, 130.0, 255.0]) {
                let expected: f32 = expected / 255.0;
                assert!(
                    plane.iter().all(|sample| (sample - expected).abs() < 1e-7),
                    "{input:?} to {output:?}"
                );
            }
        }
    }
}

#[test]
fn an_image_of_the_same_size_is_itself() {
    let picture = Picture::noise(37, 21);
    for (filter, antialias) in FILTERS {
        let found = picture.resized(&mut Resampler::new(filter, antialias), picture.size);
        for (channel, plane) in found.chunks(37 * 21).enumerate() {
            let bytes = plane.iter().map(|sample| (sample * 255.0).round() as u8);
            assert!(bytes.eq(picture.bytes.iter().skip(channel).step_by(3).copied()));
        }
    }
}

#[test]
fn what_overshoots_is_clipped() {
    let edge = Picture::new(12, 12, |at| if at / 3 % 12 < 6 { 0 } else { 255 });
    let found = edge.resized(&mut Resampler::new(Filter::Bicubic, false), (40, 40));
    assert!(found.iter().all(|sample| (0.0..=1.0).contains(sample)));
    assert!(found.contains(&0.0) && found.contains(&1.0));
}

/// Every resized image of `file` against the resizer, in steps of 8 bits; `unit` says what a value there is worth.
fn agrees_with(file: &str, antialias: bool, unit: f32, tolerance: f32) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../tests/reference");
    let file = std::fs::read(format!("{folder}/{file}")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let image = tensors.tensor("image").unwrap();
    let picture = Picture { size: (image.shape()[1], image.shape()[0]), bytes: image.data().to_vec() };
    let mut compared = 0;
    for (prefix, filter) in [("bicubic.", Filter::Bicubic), ("bilinear.", Filter::Bilinear)] {
        for (name, expected) in tensors.tensors().iter().filter(|(name, _)| name.starts_with(prefix)) {
            let [height, width, 3] = *expected.shape() else { panic!("{name}") };
            let found = picture.resized(&mut Resampler::new(filter, antialias), (width, height));
            let expected = expected.data().as_chunks::<4>().0;
            for (at, expected) in expected.iter().map(|bytes| unit * f32::from_le_bytes(*bytes)).enumerate() {
                let found = 255.0 * found[at % 3 * width * height + at / 3];
                let difference = (found - expected).abs();
                assert!(difference < tolerance, "{name}, {at}: found {found}, expected {expected}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000);
}

#[test]
fn without_antialiasing_agrees_with_tensorflow_itself() {
    // TensorFlow looks cubic weights up in a table of 1024 steps between two pixels.
    agrees_with("tensorflow_reference.safetensors", false, 1.0, 0.4);
}

#[test]
fn with_antialiasing_agrees_with_torchvision_itself() {
    agrees_with("torchvision_reference.safetensors", true, 255.0, 0.15);
}
