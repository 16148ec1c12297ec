//! What each operator of an augmentation set costs, with fresh draws for every image, through the plugin boundary.

use std::fmt;
use std::time::{Duration, Instant};

use diptych_host::{
    Image, ImageMut, InstanceError, Parameters, PixelFormat, RandomStream, Region, Scratch, Size,
};
use diptych_pipeline::ViewSet;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// What one operator costs.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorCost {
    /// Name of its view.
    pub view: String,
    /// Its name in the view.
    pub name: String,
    /// Chance of being applied.
    pub probability: f64,
    /// What it was given.
    pub input: Size,
    /// What it made of it.
    pub output: Size,
    /// Median over rounds of the time on a core of one plan and apply.
    pub time: Duration,
}

impl OperatorCost {
    /// Mean time per source image: the time times the chance that it is spent.
    pub fn expected(&self) -> Duration {
        self.time.mul_f64(self.probability)
    }
}

/// What all operators of a set cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Size of the source image.
    pub input: Size,
    /// In the order of the set.
    pub operators: Vec<OperatorCost>,
}

/// An operator fails.
#[derive(Debug, thiserror::Error)]
#[error("view {view}, operator {operator}: {error}")]
pub struct OperatorFailed {
    view: String,
    operator: String,
    error: Box<InstanceError>,
}

/// Measures every operator of `set` for about `duration` each, on an image of `input` pixels that goes through the
/// set's operators in their order.
///
/// # Errors
/// An operator can't be created, or fails.
pub fn measure(set: &ViewSet, input: Size, duration: Duration) -> Result<Costs, OperatorFailed> {
    let mut operators = Vec::new();
    for view in &set.views {
        let mut size = input;
        for operator in &view.operators {
            let (time, output) =
                time_of(&operator.parameters, size, duration).map_err(|error| OperatorFailed {
                    view: view.name.clone(),
                    operator: operator.name.clone(),
                    error: error.into(),
                })?;
            operators.push(OperatorCost {
                view: view.name.clone(),
                name: operator.name.clone(),
                probability: operator.probability.unwrap_or(1.0),
                input: size,
                output,
                time,
            });
            size = output;
        }
    }
    Ok(Costs { input, operators })
}

/// Applications whose times are summed for one entry of the median.
const ROUND: u32 = 16;

/// Time of one plan and apply, and the output's size.
fn time_of(
    parameters: &Parameters,
    input: Size,
    duration: Duration,
) -> Result<(Duration, Size), InstanceError> {
    let mut operator = parameters.component().create_augmentation(parameters)?;
    let mut output = operator.plan(input, &mut RandomStream::new([0, 0]))?.output;
    let bytes = picture(input);
    let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
    let (mut scratch, mut draw, mut rounds) = (Scratch::new(), 0, Vec::new());
    let (mut changed, mut result) = (Pixels::default(), Pixels::default());
    let region = Region { x: 0, y: 0, width: input.width, height: input.height };
    let begun = Instant::now();
    while rounds.len() < 3 || begun.elapsed() < duration {
        // What works in place begins each round with the picture: changes of changes would make it flat.
        changed.bytes.clone_from(&bytes);
        changed.floats.clone_from(&floats);
        let start = processor_time();
        for _ in 0..ROUND {
            draw += 1;
            output = operator.plan(input, &mut RandomStream::new([draw, 0]))?.output;
            if operator.in_place() {
                let mut image = changed.image_mut(operator.reads(), input);
                operator.apply_in_place(&mut image, &mut scratch)?;
            } else {
                let image = match operator.reads() {
                    PixelFormat::Rgb8 => Image::rgb8(region, &bytes, 3 * input.width as usize),
                    PixelFormat::PlanarF32 => Image::planar_f32(region, &floats),
                };
                let mut written = result.image_mut(operator.writes(), output);
                operator.apply_into(&image, &mut written, &mut scratch)?;
            }
        }
        rounds.push((processor_time() - start) / ROUND);
    }
    rounds.sort();
    Ok((rounds[rounds.len() / 2], output))
}

/// The time that this thread has spent on a core. What other programs take of it does not count.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock");
    time.into()
}

#[derive(Default)]
struct Pixels {
    bytes: Vec<u8>,
    floats: Vec<f32>,
}

impl Pixels {
    /// Memory of `size`, in `format`.
    fn image_mut(&mut self, format: PixelFormat, size: Size) -> ImageMut<'_> {
        match format {
            PixelFormat::Rgb8 => {
                self.bytes.resize(samples(size), 0);
                ImageMut::rgb8(size, &mut self.bytes)
            }
            PixelFormat::PlanarF32 => {
                self.floats.resize(samples(size), 0.0);
                ImageMut::planar_f32(size, &mut self.floats)
            }
        }
    }
}

fn samples(size: Size) -> usize {
    3 * size.width as usize * size.height as usize
}

/// Smooth shapes of several colours with some grain, as interleaved bytes.
fn picture(size: Size) -> Vec<u8> {
    let mut noise = 1_u32;
    let mut sample = |x: u32, y: u32, channel: u32| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let wave = (x as f32 * 0.021 * (1 + channel) as f32).sin() * (y as f32 * 0.017).cos();
        (118.0 + 110.0 * wave) as u8 ^ (noise % 16) as u8
    };
    let pixels = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| [0, 1, 2].map(|channel| sample(x, y, channel))).collect()
}

impl Costs {
    /// Mean time of all operators per source image, on one core.
    pub fn expected(&self) -> Duration {
        self.operators.iter().map(OperatorCost::expected).sum()
    }

    /// For other programs.
    pub fn to_json(&self) -> Value {
        let size = |size: Size| json!([size.width, size.height]);
        let operators = self.operators.iter().map(|operator| {
            json!({
                "view": operator.view,
                "operator": operator.name,
                "probability": operator.probability,
                "input": size(operator.input),
                "output": size(operator.output),
                "microseconds": operator.time.as_secs_f64() * 1e6,
                "expected_microseconds": operator.expected().as_secs_f64() * 1e6,
            })
        });
        json!({
            "input": size(self.input),
            "operators": operators.collect::<Vec<_>>(),
            "expected_microseconds": self.expected().as_secs_f64() * 1e6,
        })
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |text: fn(&OperatorCost) -> &String| {
            self.operators.iter().map(|operator| text(operator).chars().count()).max().unwrap_or(0).max(8)
        };
        let (view, name) = (longest(|operator| &operator.view), longest(|operator| &operator.name));
        let Size { width, height } = self.input;
        writeln!(formatter, "one core, an image of {width}x{height} pixels\n")?;
        writeln!(
            formatter,
            "{:view$}  {:name$}  {:>9}  {:>9}  {:>9}  {:>12}  {:>14}",
            "view", "operator", "input", "output", "us", "probability", "us per image"
        )?;
        for operator in &self.operators {
            let size = |size: Size| format!("{}x{}", size.width, size.height);
            writeln!(
                formatter,
                "{:view$}  {:name$}  {:>9}  {:>9}  {:>9.1}  {:>12}  {:>14.1}",
                operator.view,
                operator.name,
                size(operator.input),
                size(operator.output),
                operator.time.as_secs_f64() * 1e6,
                operator.probability,
                operator.expected().as_secs_f64() * 1e6
            )?;
        }
        write!(formatter, "\nall operators: {:.1} us per image", self.expected().as_secs_f64() * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use diptych_config::Document;
    use diptych_host::Registry;
    use diptych_test_support::built_plugin;

    use super::*;

    #[test]
    fn every_operator_is_measured_at_the_size_that_reaches_it() {
        let registry = Registry::load_folders(&[built_plugin("diptych-augmentations")], None).unwrap();
        let set = "views = [{ operators = [
            { id = \"horizontal_flip\", probability = 0.5 },
            { id = \"random_resized_crop\", size_pixels = 8 },
            { id = \"color_jitter\", probability = 0.25 },
        ] }]";
        let set = Document::parse(set, "set").unwrap().read(|table| ViewSet::read(table, &registry)).unwrap();
        let costs = measure(&set, Size { width: 20, height: 12 }, Duration::ZERO).unwrap();
        let sizes =
            costs.operators.iter().map(|cost| (cost.name.as_str(), cost.input.width, cost.output.width));
        let expected = [("horizontal_flip", 20, 20), ("random_resized_crop", 20, 8), ("color_jitter", 8, 8)];
        assert_eq!(sizes.collect::<Vec<_>>(), expected);
        let [flip, crop, jitter] = &costs.operators[..] else { panic!("three operators") };
        assert!(costs.operators.iter().all(|cost| cost.time > Duration::ZERO));
        let sum = flip.time / 2 + crop.time + jitter.time / 4;
        assert!(costs.expected().abs_diff(sum) < Duration::from_nanos(3));
        assert!(costs.to_string().contains("all operators"));
    }
}
