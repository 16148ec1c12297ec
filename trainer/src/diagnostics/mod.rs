//! Is the representation collapsing? Figures of one batch, computed only when a step is logged.
//!
//! Of embedding and projection, of the online and, where it is a network of its own, the target network: how their vectors are
//! [spread](Spread). Beside them:
//!
//! - predictor gap: the mean squared distance between normalised predictions and targets, less what it would be with the best
//!   linear predictor of this batch ([`optimal_weight`]). It is near 0 where the predictor is as good as that; below 0 where it is better
//!   because it is not linear, or where the batch has fewer samples than a projection dimensions;
//! - target distance: |theta - xi| / |theta| over the averaged parameters, theta the online network's and xi the target's;
//! - neighbours: how often the weighted vote of the k nearest other samples in the batch gives a sample's class, by embeddings;
//!   beside it the same of the network before its first step.

mod neighbours;
mod spread;

use diptych_config::choices;
use tch::{Kind, Tensor};

pub use neighbours::neighbour_accuracy;
pub use spread::Spread;
use spread::normalised;

use crate::Result;
use crate::method::predictor::optimal_weight;
use crate::method::{Networks, Predictor, ViewOutputs};
use crate::metrics::{self, Record};

/// Projections of more dimensions have no predictor gap: solving for it would take longer than the step.
const WIDEST_SOLVED: i64 = 2048;

choices! {
    /// What the figures of a step come to.
    #[derive(Default)]
    pub enum Verdict {
        /// No sign of collapse.
        #[default]
        Healthy = "healthy",
        /// The loss fell and the projections have lost most of their spread.
        Collapsing = "collapsing",
        /// The loss fell and the projections have lost all of it.
        Collapsed = "collapsed",
    }
}

impl Verdict {
    /// By the projections' spread. Never from the loss alone: it must have fallen below what it was first, and the std be below a
    /// tenth of healthy, or the effective rank below a twentieth of what it could be; for a collapse that is complete, below a
    /// hundredth, or below 1.5.
    pub fn of(projection: &Spread, first_loss: f64, loss: f64) -> Verdict {
        let Spread { std, effective_rank, rank_limit, .. } = *projection;
        if loss >= first_loss {
            Verdict::Healthy
        } else if std < 0.01 || effective_rank < 1.5 && rank_limit > 2.0 {
            Verdict::Collapsed
        } else if std < 0.1 || effective_rank < 0.05 * rank_limit {
            Verdict::Collapsing
        } else {
            Verdict::Healthy
        }
    }

    /// As the metric [`metrics::COLLAPSING`].
    pub fn number(self) -> f64 {
        match self {
            Verdict::Healthy => 0.0,
            Verdict::Collapsing => 1.0,
            Verdict::Collapsed => 2.0,
        }
    }
}

/// Figures of one batch; see the module.
pub struct Diagnostics {
    /// Of the online projections.
    pub projection: Spread,
    /// Of the others, by the place that their metrics are named after.
    others: Vec<(&'static str, Spread)>,
    predictor_gap: Option<f64>,
    target_distance: Option<f64>,
}

impl Diagnostics {
    /// Of the first two of `views`, which `networks` made.
    pub fn of(networks: &Networks, views: &[ViewOutputs]) -> Result<Diagnostics> {
        let [first, second, ..] = views else { panic!("a method has at least two views") };
        let mut others = vec![("embedding/", Spread::of(&first.embedding, &second.embedding))];
        if let (Some(one), Some(other)) = (&first.target_embedding, &second.target_embedding) {
            others.push(("target_embedding/", Spread::of(one, other)));
            let spread = Spread::of(&first.target_projection, &second.target_projection);
            others.push(("target_projection/", spread));
        }
        let solvable = first.projection.size()[1] <= WIDEST_SOLVED;
        let predictor_gap = match networks.predictor {
            Predictor::Mlp(_) if solvable => Some(predictor_gap(views)?),
            _ => None,
        };
        Ok(Diagnostics {
            projection: Spread::of(&first.projection, &second.projection),
            others,
            predictor_gap,
            target_distance: networks.target_distance()?,
        })
    }

    /// Appends the figures under their metric names.
    pub(crate) fn record(&self, record: &mut Record) {
        self.projection.record("", record);
        for (place, spread) in &self.others {
            spread.record(place, record);
        }
        if let Some(gap) = self.predictor_gap {
            record.push(metrics::PREDICTOR_GAP, gap);
        }
        if let Some(distance) = self.target_distance {
            record.push(metrics::TARGET_DISTANCE, distance);
        }
    }
}

/// Mean over ordered pairs of views of |n(q) - n(z')|^2, less the same of the best linear predictor.
fn predictor_gap(views: &[ViewOutputs]) -> Result<f64> {
    let weight = optimal_weight(views, 1e-6)?;
    let best = tch::no_grad(|| -> Result<Vec<Tensor>> {
        views.iter().map(|view| Ok(view.projection.f_mm(&weight)?)).collect()
    })?;
    let actual: Vec<Tensor> = views.iter().map(|view| view.prediction.detach()).collect();
    // One number at the end, so that the device is waited for once.
    let error = |predictions: &[Tensor]| {
        let mut distances = Vec::new();
        for (index, prediction) in predictions.iter().enumerate() {
            for (_, other) in views.iter().enumerate().filter(|(other, _)| *other != index) {
                let distance = normalised(prediction) - normalised(&other.target_projection);
                distances.push(distance.square().sum_dim_intlist(1, false, Kind::Double).mean(Kind::Double));
            }
        }
        Tensor::stack(&distances, 0).mean(Kind::Double)
    };
    Ok((error(&actual) - error(&best)).double_value(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::testing::{CPU, byol, networks};
    use crate::method::{ForwardViews, Target};

    fn views() -> [Tensor; 2] {
        let first = (Tensor::arange(6 * 12, CPU) * 0.7).cos().view([6, 3, 2, 2]);
        let second = (&first * 3.0).sin();
        [first, second]
    }

    fn recorded(networks: &mut Networks) -> Record {
        let outputs = networks.forward(&views()).unwrap();
        let mut record = Record::default();
        Diagnostics::of(networks, &outputs).unwrap().record(&mut record);
        record
    }

    #[test]
    fn collapse_needs_a_falling_loss_and_a_lost_spread() {
        let healthy = Spread {
            std: 0.9,
            effective_rank: 60.0,
            rank_limit: 64.0,
            alignment: 0.1,
            uniformity: -3.0,
            positive_cosine: 0.95,
            random_cosine: 0.0,
            dead_dimensions: 0.0,
        };
        let fading = Spread { std: 0.05, effective_rank: 10.0, ..healthy };
        let thin = Spread { effective_rank: 3.0, ..healthy };
        let point = Spread { std: 0.002, effective_rank: 3.0, ..healthy };
        let line = Spread { effective_rank: 1.2, ..healthy };
        let verdict = |spread: &Spread| Verdict::of(spread, 8.0, 0.1);
        assert_eq!(
            [&healthy, &fading, &thin, &point, &line].map(verdict),
            [
                Verdict::Healthy,
                Verdict::Collapsing,
                Verdict::Collapsing,
                Verdict::Collapsed,
                Verdict::Collapsed,
            ]
        );
        assert_eq!(Verdict::of(&point, 8.0, 8.5), Verdict::Healthy);
    }

    #[test]
    fn a_target_network_has_figures_of_its_own_and_a_distance() {
        let record = recorded(&mut byol());
        for name in
            ["z_std", "embedding/z_std", "target_projection/effective_rank", "target_embedding/alignment"]
        {
            assert!(record.get(name).is_some_and(f64::is_finite), "{name}");
        }
        assert!(record.get(metrics::PREDICTOR_GAP).is_some());
        let mut networks = byol();
        let before = networks.target_distance().unwrap().unwrap();
        networks.update_target(0.5).unwrap();
        let after = networks.target_distance().unwrap().unwrap();
        assert!((after - 0.5 * before).abs() < 1e-5 * before, "{before}, then {after}");
    }

    #[test]
    fn without_a_target_network_and_a_predictor_there_is_less_to_say() {
        let record = recorded(&mut networks(|_| Target::StopGradient, false, ForwardViews::Separate));
        assert!(record.get("embedding/z_std").is_some());
        let absent = ["target_projection/z_std", metrics::PREDICTOR_GAP, metrics::TARGET_DISTANCE];
        assert!(absent.iter().all(|name| record.get(name).is_none()));
    }

    #[test]
    fn the_predictor_gap_is_zero_for_the_best_linear_predictor_and_above_for_a_worse_one() {
        let mut networks = networks(|_| Target::StopGradient, false, ForwardViews::Separate);
        let mut outputs = networks.forward(&views()).unwrap();
        Predictor::OptimalLinear { ridge: 1e-6 }.finish(&mut outputs).unwrap();
        assert!(predictor_gap(&outputs).unwrap().abs() < 1e-5);
        for view in &mut outputs {
            view.prediction = -&view.prediction;
        }
        assert!(predictor_gap(&outputs).unwrap() > 0.1);
    }
}
