//! A figure over the steps, thinned as it grows: of each stretch of steps the lowest and the highest value stay, so that no spike is lost.
//!
//! Invariant: never more points than asked for, however long the run; all stretches but the last cover equally many values.

/// Step and value.
pub type Point = (u64, f64);

/// A curve of at most so many points.
#[derive(Clone, Debug)]
pub struct Curve {
    most: usize,
    /// Values per stretch.
    stride: u32,
    stretches: Vec<Stretch>,
    last: Option<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    count: u32,
    low: Point,
    high: Point,
    /// Its last step.
    end: u64,
}

impl Stretch {
    fn with(self, other: Stretch) -> Stretch {
        Stretch {
            count: self.count + other.count,
            low: if other.low.1 < self.low.1 { other.low } else { self.low },
            high: if other.high.1 > self.high.1 { other.high } else { self.high },
            end: other.end,
        }
    }
}

impl Curve {
    /// Without a value yet, for at most `most` points, at least 3.
    pub fn new(most: usize) -> Curve {
        Curve { most, stride: 1, stretches: Vec::new(), last: None }
    }

    /// Appends a value. One of a step that is there already, or passed, voids those from there on. What is no number is left out.
    pub fn push(&mut self, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.last.is_some_and(|(last, _)| step <= last) {
            self.stretches.retain(|stretch| stretch.end < step);
        }
        let one = Stretch { count: 1, low: (step, value), high: (step, value), end: step };
        match self.stretches.last_mut() {
            Some(stretch) if stretch.count < self.stride => *stretch = stretch.with(one),
            _ => self.stretches.push(one),
        }
        self.last = Some((step, value));
        // Two points each, and the last one.
        if 2 * self.stretches.len() + 1 > self.most {
            self.stretches = self
                .stretches
                .chunks(2)
                .map(|pair| pair.iter().copied().reduce(Stretch::with).expect("a chunk is not empty"))
                .collect();
            self.stride *= 2;
        }
    }

    /// By step; the last value is always there.
    pub fn points(&self) -> Vec<Point> {
        let mut points = Vec::with_capacity(2 * self.stretches.len() + 1);
        for Stretch { low, high, .. } in &self.stretches {
            let (first, second) = if low.0 <= high.0 { (low, high) } else { (high, low) };
            points.push(*first);
            if second.0 != first.0 {
                points.push(*second);
            }
        }
        if let Some(last) = self.last.filter(|last| points.last().is_none_or(|point| point.0 < last.0)) {
            points.push(last);
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(most: usize, points: impl IntoIterator<Item = Point>) -> Curve {
        let mut curve = Curve::new(most);
        points.into_iter().for_each(|(step, value)| curve.push(step, value));
        curve
    }

    #[test]
    fn a_short_curve_is_kept_as_it_is() {
        let points = [(10, 1.0), (20, -2.0), (30, 0.5)];
        assert_eq!(curve(100, points).points(), points);
    }

    #[test]
    fn a_million_values_leave_a_thousand_points_with_every_spike() {
        let value = |step: u64| match step {
            123_457 => 50.0,
            876_543 => -50.0,
            step => (step as f64 / 1e5).sin(),
        };
        let points = curve(1000, (0..1_000_000).map(|step| (step, value(step)))).points();
        assert!(points.len() <= 1000 && points.len() > 400, "{}", points.len());
        assert!(points.contains(&(123_457, 50.0)) && points.contains(&(876_543, -50.0)));
        assert_eq!(points.last(), Some(&(999_999, value(999_999))));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0), "the steps rise");
        assert!(points.windows(2).all(|pair| pair[1].0 - pair[0].0 < 10_000), "no stretch is left out");
    }

    #[test]
    fn the_bound_holds_for_every_length() {
        let mut curve = Curve::new(7);
        for step in 0..5000 {
            curve.push(step, f64::from(step as u32 % 17));
            assert!(curve.points().len() <= 7, "at {step}");
        }
    }

    #[test]
    fn a_run_that_went_back_goes_on_from_there() {
        let points = [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (3, 30.0), (4, 40.0)];
        assert_eq!(curve(100, points).points(), [(1, 1.0), (2, 2.0), (3, 30.0), (4, 40.0)]);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        assert_eq!(curve(100, [(1, 1.0), (2, f64::NAN), (3, 3.0)]).points(), [(1, 1.0), (3, 3.0)]);
    }
}
