//! Levels, drops paired by seed, and differences of drops between methods.
//!
//! Invariant: an interval needs three paired seeds; below that there are means and ranges only.

pub mod interval;

use crate::data::Study;

/// Differences by less than this are rounding.
pub(crate) const ROUNDING: f64 = 1e-9;

/// On which side of zero all seeds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Above zero, by more than rounding.
    Above,
    /// Below zero.
    Below,
    /// At zero, but for rounding.
    Equal,
    /// Not on the same one.
    Mixed,
    /// There is no seed.
    Absent,
}

/// Values of one quantity, one per seed, in percent or points.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Seed and value, in the order of the study's seeds.
    pub values: Vec<(u64, f64)>,
}

impl Sample {
    /// Number of seeds.
    pub fn n(&self) -> usize {
        self.values.len()
    }

    /// Arithmetic mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.n() > 0).then(|| self.values.iter().map(|(_, value)| value).sum::<f64>() / self.n() as f64)
    }

    /// Smallest and largest value; `None` without values.
    pub fn range(&self) -> Option<(f64, f64)> {
        let values = || self.values.iter().map(|(_, value)| *value);
        let low = values().reduce(f64::min)?;
        let high = values().reduce(f64::max)?;
        Some((low, high))
    }

    /// Bootstrap interval of the mean, low and high: see [`interval::bootstrap`]. `None` of fewer than three seeds.
    pub fn interval(&self) -> Option<(f64, f64)> {
        interval::bootstrap(&self.numbers())
    }

    /// Half the width of Student's interval around the mean. `None` of fewer than three seeds.
    pub fn student_half_width(&self) -> Option<f64> {
        interval::student_half_width(&self.numbers())
    }

    fn numbers(&self) -> Vec<f64> {
        self.values.iter().map(|(_, value)| *value).collect()
    }

    /// This minus `other`, for the seeds that both have.
    pub fn paired_minus(&self, other: &Sample) -> Sample {
        let values = self.values.iter().filter_map(|(seed, value)| {
            let (_, other) = other.values.iter().find(|(known, _)| known == seed)?;
            Some((*seed, value - other))
        });
        Sample { values: values.collect() }
    }

    /// The values of the seeds that `other` has too.
    pub fn of_the_seeds_of(&self, other: &Sample) -> Sample {
        let shared = |(seed, _): &&(u64, f64)| other.values.iter().any(|(known, _)| known == seed);
        Sample { values: self.values.iter().filter(shared).copied().collect() }
    }

    /// What all seeds agree on.
    pub fn direction(&self) -> Direction {
        let all = |test: fn(f64) -> bool| self.values.iter().all(|(_, value)| test(*value));
        match () {
            () if self.values.is_empty() => Direction::Absent,
            () if all(|value| value > ROUNDING) => Direction::Above,
            () if all(|value| value < -ROUNDING) => Direction::Below,
            () if all(|value| value.abs() <= ROUNDING) => Direction::Equal,
            () => Direction::Mixed,
        }
    }
}

/// Accuracy in percent of a method in a variant, by seed.
pub fn level(study: &Study, metric: &str, method: &str, variant: &str) -> Sample {
    let mut values = Vec::new();
    for seed in &study.seeds {
        let run =
            study.runs.iter().find(|run| (&*run.method, &*run.variant, run.seed) == (method, variant, *seed));
        if let Some(score) = run.and_then(|run| run.scores.get(metric)) {
            values.push((*seed, score * 100.0));
        }
    }
    Sample { values }
}

/// Points lost against the baseline of the same method under the same seed: positive for a loss.
pub fn drop(study: &Study, metric: &str, method: &str, variant: &str) -> Sample {
    let baseline = level(study, metric, method, &study.baseline);
    baseline.paired_minus(&level(study, metric, method, variant))
}

/// Points that `more` loses above what `less` loses, both against their own baselines, by seed.
pub fn difference_of_drops(study: &Study, metric: &str, variant: &str, more: &str, less: &str) -> Sample {
    drop(study, metric, more, variant).paired_minus(&drop(study, metric, less, variant))
}

/// Accuracy in percent of the randomly initialised encoders, by seed.
pub fn random_level(study: &Study, metric: &str) -> Sample {
    let scores = study.random_encoders.iter();
    let values = scores.filter_map(|random| Some((random.seed, random.scores.get(metric)? * 100.0)));
    Sample { values: values.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn sample(values: &[f64]) -> Sample {
        Sample { values: values.iter().enumerate().map(|(seed, value)| (seed as u64, *value)).collect() }
    }

    #[test]
    fn mean_and_range_match_a_hand_computed_case() {
        let sample = sample(&[66.1, 61.6, 63.3]);
        assert!((sample.mean().unwrap() - 63.666_666_666_666_67).abs() < 1e-12);
        assert_eq!(sample.range(), Some((61.6, 66.1)));
        assert_eq!(Sample::default().mean(), None);
        assert_eq!(Sample::default().range(), None);
    }

    #[test]
    fn drops_are_paired_by_seed_and_leave_out_a_seed_without_partner() {
        let mut study = example::study();
        // BYOL: baseline 66.1, 61.6, 63.4; crop only 49.2, 53.6, 50.8.
        let paired = drop(&study, "linear", "byol", "crop_only");
        let rounded: Vec<(u64, f64)> =
            paired.values.iter().map(|(seed, value)| (*seed, (value * 10.0).round() / 10.0)).collect();
        assert_eq!(rounded, [(0, 16.9), (1, 8.0), (2, 12.6)]);

        let run = study
            .runs
            .iter_mut()
            .find(|run| run.variant == "crop_only" && run.method == "byol" && run.seed == 1);
        run.unwrap().scores.clear();
        let paired = drop(&study, "linear", "byol", "crop_only");
        assert_eq!(paired.values.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [0, 2]);
        assert!((paired.mean().unwrap() - 14.75).abs() < 1e-9);
    }

    #[test]
    fn the_difference_of_drops_is_paired_by_seed_and_changes_its_sign_with_the_order() {
        let mut study = example::study();
        let of = |study: &Study, more: &str, less: &str| {
            difference_of_drops(study, "linear", "crop_only", more, less)
        };
        let found = of(&study, "simclr", "byol");
        // SimCLR loses 66.1, 58.1, 61.3; BYOL 16.9, 8.0, 12.6.
        let rounded: Vec<f64> = found.values.iter().map(|(_, value)| (value * 10.0).round() / 10.0).collect();
        assert_eq!(rounded, [49.2, 50.1, 48.7]);
        assert_eq!(found.interval().map(|(low, _)| (low * 10.0).round()), Some(487.0));
        let mean = found.mean().unwrap();
        assert!((mean + of(&study, "byol", "simclr").mean().unwrap()).abs() < 1e-9);

        study.runs.retain(|run| run.seed > 0 || run.method == "byol");
        let found = of(&study, "simclr", "byol");
        assert_eq!((found.n(), found.interval()), (2, None));
    }

    #[test]
    fn a_direction_needs_every_seed_and_rounding_is_none() {
        assert_eq!(sample(&[1.0, 0.1]).direction(), Direction::Above);
        assert_eq!(sample(&[-1.0, -0.1]).direction(), Direction::Below);
        assert_eq!(sample(&[1.0, -0.1]).direction(), Direction::Mixed);
        assert_eq!(sample(&[1.0, 0.0]).direction(), Direction::Mixed);
        assert_eq!(sample(&[7e-15, -7e-15]).direction(), Direction::Equal);
        assert_eq!(Sample::default().direction(), Direction::Absent);
    }
}
