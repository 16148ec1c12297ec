//! Random resized crop: a rectangle of random area, aspect ratio and place, resized to a square.
//!
//! Area is a uniform fraction of the image's, the aspect ratio (width / height) is log-uniform, so that r and 1 / r are as
//! likely. BYOL's code draws once and clamps what sticks out to the image's sides; torchvision draws up to ten
//! times and then falls back to the largest centred rectangle within the ratios; SimCLR's code leaves it to TensorFlow's
//! `sample_distorted_bounding_box`, whose ratios and heights are uniform. BYOL's code resizes by TensorFlow's bicubic, which
//! does not antialias; torchvision's does.

use diptych_resample::{Filter, Resampler};
use diptych_sdk::{Augmentation, Choice, Error, Images, IntoOutput, Parameters, Plan, PlanarF32};
use diptych_sdk::{RandomStream, Region, Rgb8, Scratch, Size};

use crate::resample::Interpolation;

/// What TOML may say.
#[derive(Parameters)]
pub struct RandomResizedCropParameters {
    /// Width and height of the output.
    #[parameter(default = 224, minimum = 1, maximum = 16384, unit = "pixels")]
    size_pixels: u32,
    /// Area of the crop, as a fraction of the image's; drawn uniformly.
    #[parameter(default = [0.08, 1.0], minimum = 0.0001, maximum = 1)]
    area: [f64; 2],
    /// Width divided by height; its logarithm is drawn uniformly.
    #[parameter(default = [0.75, 4.0 / 3.0], minimum = 0.01, maximum = 100)]
    aspect_ratio: [f64; 2],
    /// How the rectangle is drawn. `clamped` cuts one that is larger than the image to the image's sides, as BYOL's code;
    /// `torchvision` draws again, up to ten times, then takes the middle; `tensorflow`, as in SimCLR's code, draws the
    /// aspect ratio uniformly, then the height, up to a hundred times until a tenth of the image is covered, then takes all.
    #[parameter(default = Sampling::Clamped)]
    sampling: Sampling,
    /// How values between pixels are found: `bicubic` or `bilinear`.
    #[parameter(default = Interpolation::Bicubic)]
    interpolation: Interpolation,
    /// Whether shrinking averages over all pixels it covers. `false` is TensorFlow's way and BYOL's, `true` is
    /// Pillow's and torchvision's.
    #[parameter(default = false)]
    antialias: bool,
}

/// What happens when the drawn rectangle is larger than the image.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// One draw, cut to the image.
    Clamped,
    /// Up to ten draws, then a centre crop.
    Torchvision,
    /// Up to a hundred draws, then the whole image; ratio and height are uniform.
    Tensorflow,
}

/// Shapes that torchvision tries.
const TRIES: usize = 10;
/// Shapes that SimCLR's code has TensorFlow try.
const TENSORFLOW_TRIES: usize = 100;

/// See the module.
pub struct RandomResizedCrop {
    parameters: RandomResizedCropParameters,
    resampler: Resampler,
    region: Region,
}

impl Augmentation for RandomResizedCrop {
    const ID: &'static str = "random_resized_crop";
    const DOC: &'static str =
        "Cuts out a rectangle of random area, aspect ratio and place, and resizes it to a square.";
    type Access = IntoOutput<Rgb8, PlanarF32>;
    type Parameters = RandomResizedCropParameters;

    fn new(parameters: RandomResizedCropParameters) -> Result<Self, Error> {
        let filter = match parameters.interpolation {
            Interpolation::Bicubic => Filter::Bicubic,
            Interpolation::Bilinear => Filter::Bilinear,
        };
        let resampler = Resampler::new(filter, parameters.antialias);
        Ok(RandomResizedCrop { parameters, resampler, region: Region::default() })
    }

    fn plan(&mut self, input: Size, random: &mut RandomStream) -> Result<Plan, Error> {
        self.region = self.sample(input, random);
        let side = self.parameters.size_pixels;
        Ok(Plan::crop(self.region, Size { width: side, height: side }))
    }

    fn apply(&mut self, images: Images<'_, Rgb8, PlanarF32>, _: Scratch<'_>) -> Result<(), Error> {
        let Images { input, mut output } = images;
        let Region { width, height, .. } = self.region;
        let (left, top) = (self.region.x - input.region().x, self.region.y - input.region().y);
        let row = |y: usize| input.row(top + y as u32)[left as usize..][..width as usize].as_flattened();
        let (source, target) =
            ((width as usize, height as usize), (output.width() as usize, output.height() as usize));
        let planes = output
            .planes_mut()
            .ok_or_else(|| Error::new("the host passed an output with gaps between its rows"))?;
        self.resampler.resize(source, row, target, planes);
        Ok(())
    }

    fn describe_draws(&self) -> String {
        let Region { x, y, width, height } = self.region;
        format!("{width}x{height} at ({x}, {y})")
    }
}

impl RandomResizedCrop {
    /// Ten shapes and a place are drawn whichever of them count. TensorFlow's further tries are drawn behind.
    fn sample(&self, input: Size, random: &mut RandomStream) -> Region {
        let RandomResizedCropParameters { area, aspect_ratio, sampling, .. } = &self.parameters;
        let shapes: [[f64; 2]; TRIES] = std::array::from_fn(|_| [random.unit(), random.unit()]);
        let (right, down) = (random.unit(), random.unit());
        let within = |[low, high]: [f64; 2], unit: f64| low + (high - low) * unit;
        let shape = |[first, second]: [f64; 2]| {
            let area = f64::from(input.width) * f64::from(input.height) * within(*area, first);
            let ratio = within(aspect_ratio.map(f64::ln), second).exp();
            ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even())
        };
        let place = |width: u32, height: u32| Region {
            x: (right * f64::from(input.width - width + 1)) as u32,
            y: (down * f64::from(input.height - height + 1)) as u32,
            width,
            height,
        };
        match sampling {
            Sampling::Clamped => {
                let (width, height) = shape(shapes[0]);
                place((width as u32).clamp(1, input.width), (height as u32).clamp(1, input.height))
            }
            Sampling::Torchvision => {
                let fits = |&(width, height): &(f64, f64)| {
                    (1.0..=f64::from(input.width)).contains(&width)
                        && (1.0..=f64::from(input.height)).contains(&height)
                };
                match shapes.map(shape).into_iter().find(fits) {
                    Some((width, height)) => place(width as u32, height as u32),
                    None => largest_centred(input, *aspect_ratio),
                }
            }
            Sampling::Tensorflow => {
                let further = (TRIES..TENSORFLOW_TRIES).map(|_| [random.unit(), random.unit()]);
                let tries = shapes.into_iter().chain(further);
                let found = tries
                    .filter_map(|[first, second]| {
                        tensorflow_shape(input, *area, within(*aspect_ratio, first), second)
                    })
                    .find(|&(width, height)| covers_enough(input, width, height));
                match found {
                    // TensorFlow never draws the last place.
                    Some((width, height)) => Region {
                        x: (right * f64::from(input.width - width)) as u32,
                        y: (down * f64::from(input.height - height)) as u32,
                        width,
                        height,
                    },
                    None => Region { x: 0, y: 0, width: input.width, height: input.height },
                }
            }
        }
    }
}

/// One try of TensorFlow's `sample_distorted_bounding_box`: of the heights that give `ratio` an area within `areas`, one is
/// drawn uniformly. `None` when there is none.
fn tensorflow_shape(input: Size, areas: [f64; 2], ratio: f64, unit: f64) -> Option<(u32, u32)> {
    let [width, height] = [input.width, input.height].map(f64::from);
    let [least, most] = areas.map(|area| area * width * height);
    let round = |value: f64| value.round_ties_even();
    let mut highest = round((most / ratio).sqrt());
    if round(highest * ratio) > width {
        highest = ((width + 0.5 - 1e-7) / ratio).floor();
        if round(highest * ratio) > width {
            highest -= 1.0;
        }
    }
    let highest = highest.min(height);
    let lowest = round((least / ratio).sqrt()).min(highest);
    let mut rows = lowest + (unit * (highest - lowest + 1.0)).floor();
    let area = |rows: f64| rows * round(rows * ratio);
    // Rounding may have led just out of the range.
    if area(rows) < least {
        rows += 1.0;
    }
    if area(rows) > most {
        rows -= 1.0;
    }
    let columns = round(rows * ratio);
    let fits = (1.0..=width).contains(&columns) && (1.0..=height).contains(&rows);
    (fits && (least..=most).contains(&area(rows))).then_some((columns as u32, rows as u32))
}

/// SimCLR's code asks for a tenth of the object, which is the whole image.
fn covers_enough(input: Size, width: u32, height: u32) -> bool {
    let area = |width: u32, height: u32| f64::from(width) * f64::from(height);
    area(width, height) >= 0.1 * area(input.width, input.height)
}

/// The largest rectangle in the middle of `input` whose aspect ratio is within `ratios`.
fn largest_centred(input: Size, [lowest, highest]: [f64; 2]) -> Region {
    let (columns, rows) = (f64::from(input.width), f64::from(input.height));
    let ratio = columns / rows;
    let (width, height) = if ratio < lowest {
        (input.width, ((columns / lowest).round_ties_even() as u32).clamp(1, input.height))
    } else if ratio > highest {
        (((rows * highest).round_ties_even() as u32).clamp(1, input.width), input.height)
    } else {
        (input.width, input.height)
    };
    Region { x: (input.width - width) / 2, y: (input.height - height) / 2, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{draws_of, made, random_rgb8, reference_crops, rgb8, stream, with_defaults};

    fn parameters() -> RandomResizedCropParameters {
        RandomResizedCropParameters::defaults().unwrap()
    }

    fn crop(parameters: RandomResizedCropParameters) -> RandomResizedCrop {
        RandomResizedCrop::new(parameters).unwrap()
    }

    fn region(operator: &mut RandomResizedCrop, input: Size, seed: u32) -> Region {
        operator.plan(input, &mut stream(seed)).unwrap().region
    }

    #[test]
    fn a_fixed_shape_has_the_size_computed_by_hand() {
        let half = |sampling| {
            crop(RandomResizedCropParameters {
                area: [0.5; 2],
                aspect_ratio: [2.0; 2],
                sampling,
                ..parameters()
            })
        };
        // Half of 100 x 100 at ratio 2: width = sqrt(5000 * 2) = 100, height = sqrt(5000 / 2) = 50.
        let square = Size { width: 100, height: 100 };
        let found = region(&mut half(Sampling::Clamped), square, 3);
        assert_eq!((found.width, found.height, found.x), (100, 50, 0));
        // Half of 50 x 200: as before, but the image is only 50 wide. BYOL cuts; torchvision takes the middle 50 x 25.
        let tall = Size { width: 50, height: 200 };
        let found = region(&mut half(Sampling::Clamped), tall, 3);
        assert_eq!((found.width, found.height, found.x), (50, 50, 0));
        let found = region(&mut half(Sampling::Torchvision), tall, 3);
        assert_eq!(found, Region { x: 0, y: 87, width: 50, height: 25 });
    }

    #[test]
    fn torchvision_tries_again_where_byol_cuts() {
        let wide = Size { width: 300, height: 60 };
        let mut clamped = crop(RandomResizedCropParameters { area: [0.3, 0.6], ..parameters() });
        let mut tried = crop(RandomResizedCropParameters {
            area: [0.3, 0.6],
            sampling: Sampling::Torchvision,
            ..parameters()
        });
        let differ =
            (0..50).filter(|&seed| region(&mut clamped, wide, seed) != region(&mut tried, wide, seed));
        assert!(differ.count() > 10);
        let roomy = Size { width: 100, height: 100 };
        for seed in 0..50 {
            assert_eq!(
                region(&mut clamped, roomy, seed),
                region(&mut tried, roomy, seed),
                "nothing sticks out"
            );
        }
    }

    /// BYOL's means are from 300,000 draws of its loop, rewritten in Python with Python's own generator, the others from 100,000
    /// draws of the libraries themselves (`tests/reference/torchvision_reference.py`, `tensorflow_reference.py`).
    #[test]
    fn regions_lie_inside_and_are_distributed_as_the_codes_distribute_them() {
        let (usual, wide) = (Size { width: 400, height: 300 }, Size { width: 400, height: 100 });
        for (sampling, size, [mean_area, mean_log_ratio, mean_left]) in [
            (Sampling::Clamped, usual, [0.5179, 0.0259, 0.5]),
            (Sampling::Torchvision, usual, reference_crops("torchvision", "crop")),
            (Sampling::Torchvision, wide, reference_crops("torchvision", "crop_wide")),
            (Sampling::Tensorflow, usual, reference_crops("tensorflow", "crop")),
        ] {
            let mut operator = crop(RandomResizedCropParameters { sampling, ..parameters() });
            let (mut area, mut log_ratio, mut left, mut with_room) = (0.0, 0.0, 0.0, 0);
            let count = 20_000;
            for seed in 0..count {
                let found = region(&mut operator, size, seed);
                assert!(found.x + found.width <= size.width && found.y + found.height <= size.height);
                area += f64::from(found.width * found.height) / f64::from(size.width * size.height);
                log_ratio += (f64::from(found.width) / f64::from(found.height)).ln();
                if found.width < size.width {
                    left += f64::from(found.x) / f64::from(size.width - found.width);
                    with_room += 1;
                }
            }
            let near = |found: f64, mean: f64, tolerance: f64| {
                assert!((found - mean).abs() < tolerance, "{sampling:?}: found {found}, expected {mean}");
            };
            // About five standard errors.
            near(area / f64::from(count), mean_area, 0.009);
            near(log_ratio / f64::from(count), mean_log_ratio, 0.007);
            near(left / f64::from(with_room), mean_left, 0.011);
        }
    }

    #[test]
    fn extreme_images_still_give_a_pixel() {
        for sampling in [Sampling::Clamped, Sampling::Torchvision, Sampling::Tensorflow] {
            let mut operator = crop(RandomResizedCropParameters { sampling, size_pixels: 4, ..parameters() });
            for (width, height) in [(1, 1), (1, 500), (700, 1), (2, 3)] {
                for seed in 0..20 {
                    let image = made(&mut operator, &random_rgb8(width, height, seed), seed);
                    assert_eq!(image.size(), Size { width: 4, height: 4 });
                }
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_crop_and_another_seed_another() {
        let make =
            |seed| made(&mut with_defaults::<RandomResizedCrop>(), &random_rgb8(60, 40, 1), seed).pixels();
        assert_eq!(make(5), make(5));
        assert_ne!(make(5), make(6));
    }

    #[test]
    fn draws_as_often_whatever_the_parameters_unless_it_tries_further() {
        let size = Size { width: 50, height: 400 };
        for sampling in [Sampling::Clamped, Sampling::Torchvision] {
            let operator = RandomResizedCropParameters { sampling, area: [0.5, 1.0], ..parameters() };
            assert_eq!(draws_of(&mut crop(operator), size), 22);
        }
    }

    /// TensorFlow's `resize` with half-pixel centres, `bicubic` without antialiasing, in f64, from its definition.
    fn tensorflow_bicubic(pixels: &[[u8; 3]], width: usize, height: usize, side: usize) -> Vec<[f64; 3]> {
        fn keys(distance: f64) -> f64 {
            let x = distance.abs();
            match x {
                ..1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
                ..2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
                _ => 0.0,
            }
        }
        let taps = |out: usize, count: usize| -> Vec<(usize, f64)> {
            let centre = (out as f64 + 0.5) * count as f64 / side as f64 - 0.5;
            let all: Vec<(usize, f64)> = (0..count).map(|at| (at, keys(at as f64 - centre))).collect();
            let sum: f64 = all.iter().map(|tap| tap.1).sum();
            all.into_iter().map(|(at, weight)| (at, weight / sum)).collect()
        };
        let mut out = Vec::new();
        for y in 0..side {
            for x in 0..side {
                let mut pixel = [0.0; 3];
                for (row, down) in taps(y, height) {
                    for (column, across) in taps(x, width) {
                        for (channel, sum) in pixel.iter_mut().enumerate() {
                            *sum += down * across * f64::from(pixels[row * width + column][channel]);
                        }
                    }
                }
                out.push(pixel.map(|value| value.clamp(0.0, 255.0)));
            }
        }
        out
    }

    #[test]
    fn resizes_as_tensorflow_defines_it_both_up_and_down() {
        for (width, height, side) in [(7, 5, 12), (40, 33, 9), (16, 16, 16)] {
            let whole = [1.0; 2];
            let mut operator = crop(RandomResizedCropParameters {
                size_pixels: side,
                area: whole,
                aspect_ratio: [f64::from(width) / f64::from(height); 2],
                ..parameters()
            });
            let pixels: Vec<[u8; 3]> = (0..width * height)
                .map(|i| {
                    let (x, y) = (f64::from(i % width), f64::from(i / width));
                    [
                        (128.0 + 90.0 * (x * 0.9).sin()) as u8,
                        (128.0 + 90.0 * (y * 0.7 + x * 0.2).cos()) as u8,
                        (60.0 + x * 2.0 + y) as u8,
                    ]
                })
                .collect();
            let mut image = made(&mut operator, &rgb8(width, height, &pixels), 0);
            let expected = tensorflow_bicubic(&pixels, width as usize, height as usize, side as usize);
            for (found, expected) in image.pixels().iter().zip(expected) {
                for channel in 0..3 {
                    let difference = (255.0 * f64::from(found[channel]) - expected[channel]).abs();
                    assert!(
                        difference <= 0.1,
                        "{width}x{height} to {side}: {found:?}, expected {expected:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_lies_outside_of_the_crop_has_no_influence() {
        let mut operator =
            crop(RandomResizedCropParameters { area: [0.2, 0.3], size_pixels: 9, ..parameters() });
        let mut image = random_rgb8(50, 50, 2);
        let inside = region(&mut operator, Size { width: 50, height: 50 }, 4);
        let original = image.pixels();
        let masked: Vec<[u8; 3]> = original
            .iter()
            .enumerate()
            .map(|(index, &pixel)| {
                let (x, y) = (index as u32 % 50, index as u32 / 50);
                let kept = (inside.x..inside.x + inside.width).contains(&x)
                    && (inside.y..inside.y + inside.height).contains(&y);
                if kept { pixel } else { [255, 0, 255] }
            })
            .collect();
        let other = rgb8(50, 50, &masked);
        let made = |operator: &mut RandomResizedCrop, image| made(operator, image, 4).pixels();
        assert_eq!(made(&mut operator, &image), made(&mut operator, &other));
    }
}
