//! L-BFGS: minimises a smooth function of one vector from its gradients (Nocedal and Wright 2006, algorithms 7.4 and 7.5).
//!
//! Steps are found by bisection for the weak Wolfe conditions (Lewis and Overton 2013), which keeps the
//! curvature `s.y` of every remembered pair positive.

use std::collections::VecDeque;

use tch::Tensor;

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LbfgsOptions {
    /// Most iterations, each with about one evaluation.
    pub maximum_iterations: usize,
    /// Stops when no component of the gradient is larger than this.
    pub gradient_tolerance: f64,
    /// Remembered pairs.
    pub history: usize,
}

impl Default for LbfgsOptions {
    fn default() -> Self {
        LbfgsOptions { maximum_iterations: 500, gradient_tolerance: 1e-6, history: 10 }
    }
}

/// Where a minimisation ended.
pub struct Minimum {
    /// The best point.
    pub point: Tensor,
    /// The function there.
    pub value: f64,
    /// Largest component of the gradient there.
    pub gradient: f64,
    /// Iterations done.
    pub iterations: usize,
}

/// Minimises `function` (value and gradient at a point; both doubles, the gradient shaped like the point) from `start`.
pub fn minimise(
    start: &Tensor,
    options: LbfgsOptions,
    mut function: impl FnMut(&Tensor) -> (f64, Tensor),
) -> Minimum {
    let mut point = start.copy();
    let (mut value, mut gradient) = function(&point);
    let mut pairs: VecDeque<(Tensor, Tensor, f64)> = VecDeque::new();
    let mut iterations = 0;
    while iterations < options.maximum_iterations && largest(&gradient) > options.gradient_tolerance {
        iterations += 1;
        let mut direction = descent_direction(&gradient, &pairs);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding has spoilt the memory: start it again.
            pairs.clear();
            direction = -&gradient;
            slope = dot(&direction, &gradient);
        }
        // Without memory the direction has no scale of its own.
        let first = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let Some((next, next_value, next_gradient)) =
            wolfe_step(&point, value, slope, &direction, first, &mut function)
        else {
            break;
        };
        let step = &next - &point;
        let change = &next_gradient - &gradient;
        let curvature = dot(&step, &change);
        if curvature > 0.0 {
            if pairs.len() == options.history {
                pairs.pop_front();
            }
            pairs.push_back((step, change, curvature));
        }
        (point, value, gradient) = (next, next_value, next_gradient);
    }
    Minimum { gradient: largest(&gradient), point, value, iterations }
}

/// The two-loop recursion: minus the inverse Hessian's estimate times the gradient.
fn descent_direction(gradient: &Tensor, pairs: &VecDeque<(Tensor, Tensor, f64)>) -> Tensor {
    let mut direction = -gradient;
    let mut weights = Vec::with_capacity(pairs.len());
    for (step, change, curvature) in pairs.iter().rev() {
        let weight = dot(step, &direction) / curvature;
        direction -= change * weight;
        weights.push(weight);
    }
    if let Some((_, change, curvature)) = pairs.back() {
        direction *= curvature / dot(change, change);
    }
    for ((step, change, curvature), weight) in pairs.iter().zip(weights.into_iter().rev()) {
        let correction = weight - dot(change, &direction) / curvature;
        direction += step * correction;
    }
    direction
}

/// A point along `direction` with enough decrease and a flatter slope; none when rounding leaves no decrease to find.
fn wolfe_step(
    point: &Tensor,
    value: f64,
    slope: f64,
    direction: &Tensor,
    first: f64,
    function: &mut impl FnMut(&Tensor) -> (f64, Tensor),
) -> Option<(Tensor, f64, Tensor)> {
    const DECREASE: f64 = 1e-4;
    const CURVATURE: f64 = 0.9;
    let (mut low, mut high, mut length) = (0.0, f64::INFINITY, first);
    let mut best = None;
    for _ in 0..40 {
        let candidate = point + direction * length;
        let (candidate_value, candidate_gradient) = function(&candidate);
        // A value that is not a number counts as too high.
        if candidate_value.is_nan() || candidate_value > value + DECREASE * length * slope {
            high = length;
        } else {
            let flat = dot(&candidate_gradient, direction) >= CURVATURE * slope;
            best = Some((candidate, candidate_value, candidate_gradient));
            if flat {
                return best;
            }
            low = length;
        }
        length = if high.is_finite() { (low + high) / 2.0 } else { length * 2.0 };
    }
    best
}

fn dot(left: &Tensor, right: &Tensor) -> f64 {
    left.flatten(0, -1).dot(&right.flatten(0, -1)).double_value(&[])
}

fn largest(tensor: &Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_badly_scaled_quadratic() {
        // f = 1/2 sum_i c_i (x_i - i)^2 has its minimum at x_i = i.
        let scales = Tensor::from_slice(&[1.0f64, 1e2, 1e4, 1e-2]);
        let centre = Tensor::from_slice(&[0.0f64, 1.0, 2.0, 3.0]);
        let start = Tensor::from_slice(&[5.0f64, -4.0, 3.0, -2.0]);
        let options = LbfgsOptions { gradient_tolerance: 1e-9, ..LbfgsOptions::default() };
        let minimum = minimise(&start, options, |x| {
            let offset = x - &centre;
            let gradient = &scales * &offset;
            (0.5 * dot(&gradient, &offset), gradient)
        });
        assert!(largest(&(&minimum.point - &centre)) < 1e-6, "{:?}", Vec::<f64>::try_from(&minimum.point));
        assert!(minimum.iterations < 100, "{}", minimum.iterations);
    }

    #[test]
    fn walks_rosenbrocks_valley_to_its_end() {
        let start = Tensor::from_slice(&[-1.2f64, 1.0]);
        let minimum = minimise(&start, LbfgsOptions::default(), |point| {
            let (x, y) = (point.double_value(&[0]), point.double_value(&[1]));
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            let gradient = [-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)];
            (value, Tensor::from_slice(&gradient))
        });
        assert!((minimum.point.double_value(&[0]) - 1.0).abs() < 1e-5);
        assert!((minimum.point.double_value(&[1]) - 1.0).abs() < 1e-5);
        assert!(minimum.value < 1e-10);
    }
}
