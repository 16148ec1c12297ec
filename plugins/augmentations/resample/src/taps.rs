//! Which input positions make up each output position, along one axis.

use crate::{Filter, WEIGHT_BITS};

/// For each output position the first of equally many input positions, and their weights.
#[derive(Debug, Default)]
pub struct Taps {
    /// Weights per output position, an even number: what is too many weighs nothing.
    count: usize,
    starts: Vec<usize>,
    weights: Vec<i16>,
    /// The weights of one position before rounding.
    exact: Vec<f64>,
}

impl Taps {
    /// For `input` positions that become `output`.
    pub fn set(&mut self, input: usize, output: usize, filter: Filter, antialias: bool) {
        let scale = input as f64 / output as f64;
        let stretch = if antialias { scale.max(1.0) } else { 1.0 };
        let (radius, weight): (f64, fn(f64) -> f64) = match filter {
            Filter::Bicubic => (2.0 * stretch, keys),
            Filter::Bilinear => (stretch, triangle),
        };
        let most = ((2.0 * radius).floor() as usize + 1).min(input);
        self.count = if stretch == 1.0 { 2 * radius as usize } else { most.next_multiple_of(2) };
        let used = self.count.min(input);
        self.starts.clear();
        self.weights.clear();
        for position in 0..output {
            let centre = (position as f64 + 0.5) * scale - 0.5;
            // The first position whose distance is below the radius, at which the weight is 0.
            let first = floor(centre - radius) + 1;
            let start = first.clamp(0, (input - used) as isize) as usize;
            if stretch == 1.0 && start as isize == first && used == self.count {
                // All taps are inside: their weights add up to 1 as they are.
                let before = centre - floor(centre) as f64;
                match filter {
                    Filter::Bicubic => self.push_whole(keys_at(before)),
                    Filter::Bilinear => self.push_whole([1.0 - before, before]),
                }
                self.starts.push(start);
                continue;
            }
            self.exact.clear();
            self.exact.extend((start..start + used).map(|at| weight((at as f64 - centre) / stretch)));
            self.starts.push(start);
            self.push_rounded();
        }
    }

    /// Start and weights of output position `position`. Of the taps beyond the input's end, the weights are 0.
    pub fn at(&self, position: usize) -> (usize, &[i16]) {
        (self.starts[position], &self.weights[position * self.count..][..self.count])
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Rounds weights that add up to 1, as [`Taps::push_rounded`] does.
    fn push_whole<const TAPS: usize>(&mut self, weights: [f64; TAPS]) {
        let (mut sum, mut rounded_sum) = (0.5, 0);
        self.weights.extend(weights.map(|weight| {
            sum += weight * f64::from(1 << WEIGHT_BITS);
            // No partial sum is below 0 by more than a cubic overshoots, a sixteenth: cut after adding one.
            let weight = (sum + f64::from(1 << WEIGHT_BITS)) as i32 - (1 << WEIGHT_BITS) - rounded_sum;
            rounded_sum += weight;
            weight as i16
        }));
    }

    /// Normalises and rounds the exact weights, so that every partial sum is right to half a bit: the whole one is exact, and
    /// a flat image stays flat.
    fn push_rounded(&mut self) {
        let scale = f64::from(1 << WEIGHT_BITS) / self.exact.iter().sum::<f64>();
        let (mut sum, mut rounded_sum) = (0.0, 0);
        self.weights.extend(self.exact.iter().map(|weight| {
            sum += weight * scale;
            let weight = floor(sum + 0.5) - rounded_sum;
            rounded_sum += weight;
            weight as i16
        }));
        self.weights.resize(self.starts.len() * self.count, 0);
    }
}

/// The largest whole number that is not above `value`; unlike `f64::floor` no call on the oldest machines.
fn floor(value: f64) -> isize {
    let cut = value as isize;
    if cut as f64 > value { cut - 1 } else { cut }
}

/// Keys' cubic convolution kernel with a = -0.5.
fn keys(distance: f64) -> f64 {
    match distance.abs() {
        x @ ..1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x @ ..2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}

/// [`keys`] at the four distances `1 + before`, `before`, `1 - before` and `2 - before`, for `before` in [0, 1).
fn keys_at(before: f64) -> [f64; 4] {
    let after = 1.0 - before;
    let product = 0.5 * before * after;
    let near = |x: f64| (1.5 * x - 2.5) * x * x + 1.0;
    [-product * after, near(before), near(after), -product * before]
}

fn triangle(distance: f64) -> f64 {
    (1.0 - distance.abs()).max(0.0)
}
