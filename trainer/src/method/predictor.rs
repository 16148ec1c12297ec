//! The predictor: what turns the online network's projections z into predictions q of the target's projections z'.
//!
//! | kind | q |
//! |---|---|
//! | `mlp` | a trained head of z (BYOL); without hidden layers a linear one |
//! | `optimal_linear` | z W, with W the least-squares solution on the batch |
//! | `none` | z itself |
//!
//! The optimal linear predictor (Grill et al. 2020, section 5 and appendix F) is solved anew in each step. With Z the online
//! projections of all ordered pairs of views, stacked, and T the target projections they predict, L2-normalised as the loss
//! compares them,
//!
//! ```text
//! W = argmin |Z W - T|^2 + ridge * mean(diag(Z'Z)) |W|^2 = (Z'Z + ridge * mean(diag(Z'Z)) I)^-1 Z'T
//! ```
//!
//! No gradient flows through the solution: the loss sees z W with W fixed. It wants batches of more samples than a projection has
//! dimensions: of fewer, W fits every target exactly.

use diptych_config::{Choice, Table, choices};
use tch::{Kind, Tensor};

use super::head::{Head, HeadConfig};
use super::networks::ViewOutputs;
use super::variable::Variable;
use crate::Result;

choices! {
    /// Which predictor.
    pub enum PredictorKind {
        /// A trained head.
        Mlp = "mlp",
        /// Least squares on the batch.
        OptimalLinear = "optimal_linear",
        /// Predictions are the projections.
        None = "none",
    }
}

/// `[predictor]`; a section that is left out is [`PredictorConfig::None`].
#[derive(Clone, Debug, PartialEq)]
pub enum PredictorConfig {
    /// Predictions are the projections.
    None,
    /// A trained head.
    Mlp {
        /// Its shape.
        head: HeadConfig,
        /// Times the learning rate, for its variables alone.
        learning_rate_multiplier: f64,
        /// Whether its learning rate stays at the schedule's top throughout, as SimSiam's.
        constant_learning_rate: bool,
    },
    /// Least squares on the batch.
    OptimalLinear {
        /// See the module.
        ridge: f64,
    },
}

impl PredictorConfig {
    /// Reads the section. The keys of an `mlp` may stay where another kind takes its place, as in an arm of a study.
    pub(crate) fn read(table: &mut Table<'_>) -> PredictorConfig {
        let kind = table.choice("kind", PredictorKind::Mlp);
        let head = HeadConfig::read(table);
        let learning_rate_multiplier = table.or_in("learning_rate_multiplier", 1.0, 0.0..);
        let constant_learning_rate = table.or("constant_learning_rate", false);
        match kind {
            PredictorKind::None => PredictorConfig::None,
            PredictorKind::Mlp => {
                PredictorConfig::Mlp { head, learning_rate_multiplier, constant_learning_rate }
            }
            PredictorKind::OptimalLinear => {
                PredictorConfig::OptimalLinear { ridge: table.or_in("ridge", 1e-6, 0.0..) }
            }
        }
    }

    /// The section, complete; none for no predictor.
    pub(crate) fn to_toml(&self) -> Option<toml::Table> {
        let (kind, mut table) = match self {
            PredictorConfig::None => return None,
            PredictorConfig::Mlp { head, learning_rate_multiplier, constant_learning_rate } => {
                let mut table = head.to_toml();
                table.insert("constant_learning_rate".into(), (*constant_learning_rate).into());
                table.insert("learning_rate_multiplier".into(), (*learning_rate_multiplier).into());
                (PredictorKind::Mlp, table)
            }
            PredictorConfig::OptimalLinear { ridge } => (
                PredictorKind::OptimalLinear,
                toml::Table::from_iter([("ridge".to_owned(), (*ridge).into())]),
            ),
        };
        table.insert("kind".into(), kind.text().into());
        Some(table)
    }

    /// Times the learning rate, for the predictor's variables.
    pub(crate) fn learning_rate_multiplier(&self) -> f64 {
        match self {
            PredictorConfig::Mlp { learning_rate_multiplier, .. } => *learning_rate_multiplier,
            PredictorConfig::None | PredictorConfig::OptimalLinear { .. } => 1.0,
        }
    }

    /// Whether the predictor's learning rate stays at the schedule's top.
    pub(crate) fn has_constant_learning_rate(&self) -> bool {
        matches!(self, PredictorConfig::Mlp { constant_learning_rate: true, .. })
    }
}

/// A predictor that runs.
pub enum Predictor {
    /// Predictions are the projections.
    None,
    /// A trained head.
    Mlp(Head),
    /// Least squares on the batch.
    OptimalLinear {
        /// See the module.
        ridge: f64,
    },
}

impl Predictor {
    /// What one pass can predict from its projections alone, [batch, dimensions].
    pub(super) fn forward(&mut self, projection: &Tensor) -> Result<Tensor> {
        match self {
            Predictor::Mlp(head) => head.forward(projection, true),
            Predictor::None | Predictor::OptimalLinear { .. } => Ok(projection.shallow_clone()),
        }
    }

    /// What needs the projections of all views.
    pub(crate) fn finish(&self, views: &mut [ViewOutputs]) -> Result<()> {
        let Predictor::OptimalLinear { ridge } = self else { return Ok(()) };
        let weight = optimal_weight(views, *ridge)?;
        for view in views {
            view.prediction = view.projection.f_mm(&weight)?;
        }
        Ok(())
    }

    pub(super) fn variables(&self) -> Vec<Variable> {
        match self {
            Predictor::Mlp(head) => head.variables(),
            Predictor::None | Predictor::OptimalLinear { .. } => Vec::new(),
        }
    }
}

/// W, [dimensions, dimensions], solved in double precision, without gradient.
pub(crate) fn optimal_weight(views: &[ViewOutputs], ridge: f64) -> Result<Tensor> {
    tch::no_grad(|| {
        let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
        let (mut square, mut product): (Option<Tensor>, Option<Tensor>) = (None, None);
        let add = |sum: &mut Option<Tensor>, term: Tensor| -> Result<()> {
            *sum = Some(match sum.take() {
                Some(sum) => sum.f_add(&term)?,
                None => term,
            });
            Ok(())
        };
        let unit = |target: &Tensor| -> Result<Tensor> {
            let target = double(target)?;
            let norms = target.f_norm_scalaropt_dim(2.0, [1].as_slice(), true)?;
            Ok(target.f_div(&norms.f_clamp_min(1e-12)?)?)
        };
        let targets = views.iter().map(|view| unit(&view.target_projection)).collect::<Result<Vec<_>>>()?;
        for (index, view) in views.iter().enumerate() {
            let z = double(&view.projection)?;
            let others: Vec<&Tensor> =
                targets.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, t)| t).collect();
            let sum = Tensor::f_stack(&others, 0)?.f_sum_dim_intlist([0].as_slice(), false, Kind::Double)?;
            add(&mut square, z.f_tr()?.f_mm(&z)?.f_mul_scalar(others.len() as f64)?)?;
            add(&mut product, z.f_tr()?.f_mm(&sum)?)?;
        }
        let (square, product) =
            (square.expect("there are at least two views"), product.expect("there are at least two views"));
        let dimensions = square.size()[0];
        let strength = square.f_diagonal(0, 0, 1)?.f_mean(None)?.f_mul_scalar(ridge)?;
        let penalty = Tensor::f_eye(dimensions, (Kind::Double, square.device()))?.f_mul(&strength)?;
        // By the pseudo-inverse: collapsed projections have no inverse, and still a least-squares solution.
        let inverse = square.f_add(&penalty)?.f_linalg_pinv(1e-12, true)?;
        Ok(inverse.f_mm(&product)?.f_to_kind(views[0].projection.kind())?)
    })
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn view(projection: Tensor, target: Tensor) -> ViewOutputs {
        ViewOutputs {
            embedding: projection.shallow_clone(),
            prediction: projection.shallow_clone(),
            projection,
            target_projection: target,
            target_embedding: None,
        }
    }

    /// Two views of 40 samples in 4 dimensions.
    fn projections() -> [Tensor; 2] {
        let waves = |factor: f64| (Tensor::arange(160, CPU) * factor).sin().view([40, 4]);
        [waves(1.7), waves(2.3)]
    }

    fn predicted(views: &mut [ViewOutputs]) {
        Predictor::OptimalLinear { ridge: 0.0 }.finish(views).unwrap();
    }

    fn residual(views: &[ViewOutputs]) -> f64 {
        let unit = |x: &Tensor| x / x.norm_scalaropt_dim(2.0, [1].as_slice(), true);
        let pair = |a: &ViewOutputs, b: &ViewOutputs| {
            (&a.prediction - unit(&b.target_projection)).square().sum(Kind::Float).double_value(&[])
        };
        pair(&views[0], &views[1]) + pair(&views[1], &views[0])
    }

    #[test]
    fn targets_that_are_linear_in_the_projections_are_predicted_exactly() {
        // Rotations keep lengths, so that normalising the targets changes nothing.
        let (cosine, sine) = (0.6f32, 0.8f32);
        #[rustfmt::skip]
        let turn = Tensor::from_slice(&[
            cosine, sine, 0.0, 0.0,
            -sine, cosine, 0.0, 0.0,
            0.0, 0.0, 0.0, 1.0,
            0.0, 0.0, 1.0, 0.0,
        ]).view([4, 4]);
        let z = projections()[0].shallow_clone();
        let z = &z / z.norm_scalaropt_dim(2.0, [1].as_slice(), true);
        let target = z.matmul(&turn);
        let mut views = [view(z.copy(), target.copy()), view(z, target)];
        predicted(&mut views);
        assert!(residual(&views) < 1e-6, "{}", residual(&views));
        // In single precision, through an inverse.
        assert!(views[0].prediction.allclose(&views[1].target_projection, 1e-4, 1e-4, false));
    }

    #[test]
    fn no_other_matrix_predicts_better() {
        let [first, second] = projections();
        let mut views = [view(first.copy(), first), view(second.copy(), second)];
        predicted(&mut views);
        let best = residual(&views);
        for direction in 0..8 {
            let change = (Tensor::arange(16, CPU) * (direction as f64 + 0.5)).cos().view([4, 4]) * 0.01;
            let changed: Vec<ViewOutputs> = views
                .iter()
                .map(|one| ViewOutputs {
                    prediction: &one.prediction + one.projection.matmul(&change),
                    ..view(one.projection.copy(), one.target_projection.copy())
                })
                .collect();
            assert!(residual(&changed) > best, "{direction}");
        }
    }

    #[test]
    fn the_gradient_passes_by_the_solution() {
        let [first, second] = projections();
        let first = first.set_requires_grad(true);
        let mut views = [view(first.shallow_clone(), second.copy()), view(second.copy(), second)];
        predicted(&mut views);
        views[0].prediction.sum(Kind::Float).backward();
        // Of sum(z W), W fixed: each row's gradient is the same, W's row sums.
        let gradient = first.grad();
        assert!(gradient.get(0).allclose(&gradient.get(7), 1e-5, 1e-6, false));
        assert!(gradient.abs().max().double_value(&[]) > 1e-3);
    }

    #[test]
    fn collapsed_projections_are_no_error() {
        let flat = Tensor::ones([6, 4], CPU);
        let mut views = [view(flat.copy(), flat.copy()), view(flat.copy(), flat)];
        predicted(&mut views);
        let found = views[0].prediction.shallow_clone();
        assert!(found.allclose(&(found.ones_like() * 0.5), 1e-5, 1e-5, false), "{found}");
    }
}
