//! BYOL's whole recipe, as the pipeline computes it, against the plainest form of its definition: one pixel at a time, in double
//! precision, colours through HSV and back, all 23 taps of the blur, bytes once at the end.
//!
//! Nothing of the operators' code is used, only the random streams, so that the test also says what each draw is for.

mod support;

use std::collections::BTreeMap;

use diptych_host::RandomStream;
use diptych_pipeline::{FolderSource, Preview, Source, random};
use support::views;

const SEED: u64 = 29;
const SIDE: usize = 64;
const KERNEL: usize = 23;

/// BYOL's set at a smaller size, with every operator often enough.
const RECIPE: &str = r#"
    [[views]]
    operators = [
        { id = "random_resized_crop", size_pixels = 64 },
        { id = "horizontal_flip", probability = 0.5 },
        { id = "color_jitter", probability = 0.8, brightness = 0.4, contrast = 0.4, saturation = 0.2, hue = 0.1 },
        { id = "grayscale", probability = 0.2 },
        { id = "gaussian_blur", probability = 0.5, sigma = [0.1, 2.0], kernel_pixels = 23 },
        { id = "solarize", probability = 0.2 },
    ]
"#;

/// Red, green, blue.
type Pixel = [f64; 3];

/// Row by row, in [0, 1].
struct Picture {
    width: usize,
    pixels: Vec<Pixel>,
}

impl Picture {
    fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    fn at(&self, x: usize, y: usize) -> Pixel {
        self.pixels[y * self.width + x]
    }

    fn map(&mut self, change: impl Fn(Pixel) -> Pixel) {
        self.pixels.iter_mut().for_each(|pixel| *pixel = change(*pixel));
    }

    /// Clipped, as after each change of colour.
    fn map_clipped(&mut self, change: impl Fn(Pixel) -> Pixel) {
        self.map(|pixel| change(pixel).map(|sample| sample.clamp(0.0, 1.0)));
    }
}

/// The stream of an operator in the only view of epoch 0, behind the draw that decides; `None` when that leaves it out.
fn applied(sample: u64, operator: &str, probability: f64) -> Option<RandomStream> {
    let mut stream = RandomStream::new(random::key(SEED, 0, sample, 0, operator));
    (stream.unit() < probability).then_some(stream)
}

fn recipe(photograph: &Picture, sample: u64) -> (Vec<u8>, Vec<&'static str>) {
    let mut operators = vec!["random_resized_crop"];
    let mut stream = applied(sample, "random_resized_crop", 1.0).unwrap();
    let mut view = crop(photograph, &mut stream);
    if applied(sample, "horizontal_flip", 0.5).is_some() {
        operators.push("horizontal_flip");
        view.pixels.chunks_mut(SIDE).for_each(<[Pixel]>::reverse);
    }
    if let Some(mut stream) = applied(sample, "color_jitter", 0.8) {
        operators.push("color_jitter");
        jitter(&mut view, &mut stream);
    }
    if applied(sample, "grayscale", 0.2).is_some() {
        operators.push("grayscale");
        view.map(|[r, g, b]| [0.2989 * r + 0.5870 * g + 0.1140 * b; 3]);
    }
    if let Some(mut stream) = applied(sample, "gaussian_blur", 0.5) {
        operators.push("gaussian_blur");
        view = blur(&view, stream.uniform(0.1, 2.0));
    }
    if applied(sample, "solarize", 0.2).is_some() {
        operators.push("solarize");
        view.map(|pixel| pixel.map(|x| if x >= 0.5 { 1.0 - x } else { x }));
    }
    let byte = |x: &f64| (255.0 * x.clamp(0.0, 1.0) + 0.5).floor() as u8;
    (view.pixels.as_flattened().iter().map(byte).collect(), operators)
}

/// One draw of area and ratio, cut to the image, bicubic without antialiasing.
fn crop(photograph: &Picture, stream: &mut RandomStream) -> Picture {
    let (width, height) = (photograph.width as f64, photograph.height() as f64);
    let area = stream.uniform(0.08, 1.0) * width * height;
    let ratio = stream.uniform(0.75_f64.ln(), (4.0_f64 / 3.0).ln()).exp();
    // Nine further shapes, for the ways of drawing that try again.
    for _ in 0..18 {
        stream.unit();
    }
    let crop_width = (area * ratio).sqrt().round_ties_even().min(width);
    let crop_height = (area / ratio).sqrt().round_ties_even().min(height);
    let left = (stream.unit() * (width - crop_width + 1.0)).floor() as usize;
    let top = (stream.unit() * (height - crop_height + 1.0)).floor() as usize;
    let (columns, rows) = (taps(crop_width as usize), taps(crop_height as usize));
    let mut pixels = Vec::new();
    for row in &rows {
        for column in &columns {
            let mut sum = [0.0; 3];
            for (y, down) in row {
                for (x, across) in column {
                    let pixel = photograph.at(left + x, top + y);
                    (0..3).for_each(|channel| sum[channel] += down * across * pixel[channel]);
                }
            }
            pixels.push(sum.map(|sample| sample.clamp(0.0, 1.0)));
        }
    }
    Picture { width: SIDE, pixels }
}

/// For each of `SIDE` positions over `input` ones, what it is made of: Keys' cubic, a = -0.5.
fn taps(input: usize) -> Vec<Vec<(usize, f64)>> {
    let keys = |x: f64| match x.abs() {
        x if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        x if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        _ => 0.0,
    };
    let position = |at: usize| {
        let centre = (at as f64 + 0.5) * input as f64 / SIDE as f64 - 0.5;
        let taps: Vec<_> = (0..input).map(|place| (place, keys(place as f64 - centre))).collect();
        let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
        taps.into_iter().filter(|tap| tap.1 != 0.0).map(|(place, weight)| (place, weight / sum)).collect()
    };
    (0..SIDE).map(position).collect()
}

fn jitter(view: &mut Picture, stream: &mut RandomStream) {
    let brightness = stream.uniform(-0.4, 0.4);
    let contrast = 1.0 + stream.uniform(-0.4, 0.4);
    let saturation = 1.0 + stream.uniform(-0.2, 0.2);
    let hue = stream.uniform(-0.1, 0.1);
    let mut order = [0, 1, 2, 3];
    for last in (1..4).rev() {
        order.swap(last, stream.below(last as u64 + 1) as usize);
    }
    for change in order {
        match change {
            0 => view.map_clipped(|pixel| pixel.map(|x| x + brightness)),
            1 => {
                let mut mean = [0.0; 3];
                for pixel in &view.pixels {
                    (0..3).for_each(|channel| mean[channel] += pixel[channel] / view.pixels.len() as f64);
                }
                view.map_clipped(|pixel| std::array::from_fn(|c| (pixel[c] - mean[c]) * contrast + mean[c]));
            }
            2 => view.map_clipped(|pixel| {
                let [h, s, v] = to_hsv(pixel);
                from_hsv([h, (s * saturation).clamp(0.0, 1.0), v])
            }),
            _ => view.map_clipped(|pixel| {
                let [h, s, v] = to_hsv(pixel);
                from_hsv([(h + hue).rem_euclid(1.0), s, v])
            }),
        }
    }
}

/// Hue in turns, saturation, value (Smith 1978).
fn to_hsv([r, g, b]: Pixel) -> [f64; 3] {
    let v = r.max(g).max(b);
    let range = v - r.min(g).min(b);
    if range == 0.0 {
        return [0.0, 0.0, v];
    }
    let sixths = match v {
        v if v == r => (g - b) / range,
        v if v == g => (b - r) / range + 2.0,
        _ => (r - g) / range + 4.0,
    };
    [(sixths / 6.0).rem_euclid(1.0), range / v, v]
}

fn from_hsv([h, s, v]: [f64; 3]) -> Pixel {
    let sector = (6.0 * h).floor();
    let within = 6.0 * h - sector;
    let (p, q, t) = (v * (1.0 - s), v * (1.0 - within * s), v * (1.0 - (1.0 - within) * s));
    match sector as u32 % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

/// All taps, zeros beyond the edges, both axes at once.
fn blur(view: &Picture, sigma: f64) -> Picture {
    let half = (KERNEL / 2) as isize;
    let weights: Vec<f64> =
        (-half..=half).map(|at| (-((at * at) as f64) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let side = SIDE as isize;
    let mut pixels = Vec::new();
    for y in 0..side {
        for x in 0..side {
            let mut blurred = [0.0; 3];
            for down in (-half..=half).filter(|down| (0..side).contains(&(y + down))) {
                for across in (-half..=half).filter(|across| (0..side).contains(&(x + across))) {
                    let weight = weights[(down + half) as usize] * weights[(across + half) as usize];
                    let pixel = view.at((x + across) as usize, (y + down) as usize);
                    (0..3).for_each(|c| blurred[c] += weight / (sum * sum) * pixel[c]);
                }
            }
            pixels.push(blurred);
        }
    }
    Picture { width: SIDE, pixels }
}

/// Flat parts, slopes, hard edges, grain, and every hue.
fn photograph(number: u32) -> image::RgbImage {
    let mut grain = 7 + number;
    image::RgbImage::from_fn(150 + 9 * number, 130 - 3 * number, |x, y| {
        grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (grain >> 27) as u8;
        match (x / 40 + y / 30 + number) % 4 {
            0 => image::Rgb([(x * 3) as u8, (y * 2) as u8, (255 - x) as u8]),
            1 => image::Rgb([200 + noise, 30 + noise, 90]),
            2 => image::Rgb([noise * 8, 255 - noise * 4, (x * y) as u8]),
            _ => image::Rgb([120; 3]),
        }
    })
}

#[test]
fn views_are_those_of_the_plain_form_within_a_step_of_eight_bits() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..6 {
        photograph(number).save(folder.path().join(format!("{number}.png"))).unwrap();
    }
    let source = FolderSource::open(folder.path()).unwrap();
    let (mut seen, mut differ, mut samples) = (BTreeMap::new(), 0, 0);
    // Each sample under eight ids: what is drawn follows the id.
    for round in 0..8 {
        let renamed = tempfile::tempdir().unwrap();
        for index in 0..source.len() {
            std::fs::copy(source.path(index), renamed.path().join(format!("{round}-{index}.png"))).unwrap();
        }
        let source = FolderSource::open(renamed.path()).unwrap();
        let mut preview = Preview::new(&views(RECIPE)).unwrap();
        for index in 0..source.len() {
            let pixels = image::open(source.path(index)).unwrap().into_rgb8();
            let picture = Picture {
                width: pixels.width() as usize,
                pixels: pixels.pixels().map(|pixel| pixel.0.map(|byte| f64::from(byte) / 255.0)).collect(),
            };
            let (expected, operators) = recipe(&picture, source.sample(index).id);
            let found = &preview.render_sample(&source, index, SEED, 0).unwrap()[0];
            operators.iter().for_each(|operator| *seen.entry(*operator).or_insert(0) += 1);
            for (at, (found, expected)) in found.pixels.iter().zip(&expected).enumerate() {
                assert!(
                    found.abs_diff(*expected) <= 1,
                    "round {round}, image {index}, sample {at}: found {found}, expected {expected}; {operators:?}"
                );
                differ += u32::from(found != expected);
                samples += 1;
            }
        }
    }
    // Where they differ, the exact value lies next to the border between two bytes.
    assert!(f64::from(differ) < 0.02 * f64::from(samples), "{differ} of {samples} samples differ");
    assert!(seen.len() == 6 && seen.values().all(|count| *count >= 4), "{seen:?}");
}
