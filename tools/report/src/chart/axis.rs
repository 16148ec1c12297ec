//! From values to places, and the ticks in between.

/// A linear scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// Covers all `values` with round ends and about `ticks` steps, drawn from place `from` to place `to`. Values that are
    /// not finite are left out.
    pub fn covering(values: impl IntoIterator<Item = f64>, ticks: f64, from: f64, to: f64) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-9 {
            high = low + 1.0;
        }
        let step = round_step((high - low) / ticks);
        // A hair of slack: a value that is a round number but for rounding needs no further step.
        let low = (low / step + 1e-9).floor() * step;
        let high = (high / step - 1e-9).ceil() * step;
        Axis { low, high, step, from, to }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values of the ticks.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|index| self.low + index as f64 * self.step).collect()
    }

    /// A tick's label, with as many decimals as the steps need.
    pub fn label(&self, tick: f64) -> String {
        let decimals = (-self.step.log10()).ceil().max(0.0) as usize;
        // Adding zero turns -0.0 into 0.0.
        let scale = 10f64.powi(decimals as i32);
        format!("{:.decimals$}", (tick * scale).round() / scale + 0.0).replace('-', "\u{2212}")
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|round| *round >= step * 0.999)
        .unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_round_and_cover_the_values() {
        let axis = Axis::covering([3.0, 97.0], 5.0, 0.0, 200.0);
        assert_eq!(axis.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!([axis.at(0.0), axis.at(50.0), axis.at(100.0)], [0.0, 100.0, 200.0]);
        assert_eq!(axis.label(20.0), "20");
        let small = Axis::covering([-0.02, 0.11], 4.0, 0.0, 1.0);
        assert_eq!(
            small.ticks().iter().map(|tick| small.label(*tick)).collect::<Vec<_>>().join(" "),
            "−0.05 0.00 0.05 0.10 0.15"
        );
    }

    #[test]
    fn no_value_or_one_value_still_gives_an_axis() {
        for values in [vec![], vec![7.0], vec![f64::NAN]] {
            let axis = Axis::covering(values, 4.0, 0.0, 10.0);
            assert!(axis.ticks().len() >= 2 && axis.at(0.5).is_finite());
        }
    }
}
