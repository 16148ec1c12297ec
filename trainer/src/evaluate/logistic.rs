//! Logistic regression on frozen features, fitted by L-BFGS in double precision: mean cross-entropy + lambda / 2 * |W|^2, the
//! bias unpenalised.
//!
//! Multinomial where each sample has one class. Where samples may have several, one against the rest for each class, and the
//! cross-entropies of a sample's classes are added.

use tch::{Kind, Tensor};

use super::lbfgs::{LbfgsOptions, minimise};

/// A fitted linear classifier.
pub struct LinearClassifier {
    /// Double [features, classes].
    weight: Tensor,
    /// Double [classes].
    bias: Tensor,
    /// How the fit ended.
    pub fit: Fit,
}

/// How a minimisation ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Iterations done.
    pub iterations: usize,
    /// Largest component of the gradient at the end.
    pub gradient: f64,
    /// Whether that is below the tolerance.
    pub converged: bool,
}

impl LinearClassifier {
    /// Fits `features` (double [samples, features]) to `labels`: int64 [samples], below `classes`, or where samples may have
    /// several classes double [samples, classes], 1 for those that a sample has. `start` is the
    /// classifier to begin from: along a path of lambdas the last one is near the next.
    pub fn fit(
        features: &Tensor,
        labels: &Tensor,
        classes: i64,
        lambda: f64,
        start: Option<&LinearClassifier>,
    ) -> LinearClassifier {
        let (samples, width) = features.size2().expect("features have two dimensions");
        let several = labels.dim() == 2;
        let targets = if several { labels.shallow_clone() } else { one_hot(labels, classes) };
        // Weight and bias are one [features + 1, classes] matrix, the bias its last row.
        let start = match start {
            Some(start) => Tensor::cat(&[&start.weight, &start.bias.unsqueeze(0)], 0),
            None => Tensor::zeros([width + 1, classes], (Kind::Double, features.device())),
        };
        let options = LbfgsOptions::default();
        let minimum = tch::no_grad(|| {
            minimise(&start, options, |point| {
                let weight = point.narrow(0, 0, width);
                let bias = point.narrow(0, width, 1);
                let logits = features.matmul(&weight) + &bias;
                let penalty = weight.square().sum(Kind::Double) * (lambda / 2.0);
                let value = cross_entropy(&logits, &targets, several) + penalty;
                // d/dlogits of the mean cross-entropy: (softmax or sigmoid - target) / samples.
                let shares = if several { logits.sigmoid() } else { logits.softmax(1, Kind::Double) };
                let residual = (shares - &targets) / samples as f64;
                let weight_gradient = features.tr().matmul(&residual) + &weight * lambda;
                let bias_gradient = residual.sum_dim_intlist(0, true, Kind::Double);
                (value.double_value(&[]), Tensor::cat(&[weight_gradient, bias_gradient], 0))
            })
        });
        LinearClassifier {
            weight: minimum.point.narrow(0, 0, width).copy(),
            bias: minimum.point.narrow(0, width, 1).squeeze_dim(0).copy(),
            fit: Fit {
                iterations: minimum.iterations,
                gradient: minimum.gradient,
                converged: minimum.gradient <= options.gradient_tolerance,
            },
        }
    }

    /// The same classifier: its tensors are shared.
    pub fn shallow_clone(&self) -> LinearClassifier {
        LinearClassifier {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            fit: self.fit,
        }
    }

    /// Logits, double [samples, classes].
    pub fn scores(&self, features: &Tensor) -> Tensor {
        features.matmul(&self.weight) + &self.bias
    }
}

/// Mean over samples, a scalar; of logits and targets [samples, classes].
pub(super) fn cross_entropy(logits: &Tensor, targets: &Tensor, several: bool) -> Tensor {
    let samples = logits.size()[0] as f64;
    let sum = if several {
        // -t log sigmoid(x) - (1 - t) log(1 - sigmoid(x)) = log(1 + exp(x)) - t x, which softplus has without overflow.
        (logits.softplus() - targets * logits).sum(Kind::Double)
    } else {
        -(logits.log_softmax(1, Kind::Double) * targets).sum(Kind::Double)
    };
    sum / samples
}

/// Double [samples, classes].
pub(super) fn one_hot(labels: &Tensor, classes: i64) -> Tensor {
    Tensor::zeros([labels.size()[0], classes], (Kind::Double, labels.device())).scatter_value(
        1,
        &labels.unsqueeze(1),
        1.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_features_the_bias_gives_the_classes_frequencies() {
        // Known optimum: with constant zero features, softmax(bias) is the frequency of each class.
        let features = Tensor::zeros([10, 3], (Kind::Double, tch::Device::Cpu));
        let labels = Tensor::from_slice(&[0i64, 0, 0, 0, 0, 1, 1, 1, 2, 2]);
        let classifier = LinearClassifier::fit(&features, &labels, 3, 1e-3, None);
        let shares = Vec::<f64>::try_from(classifier.bias.softmax(0, Kind::Double)).unwrap();
        for (share, expected) in shares.iter().zip([0.5, 0.3, 0.2]) {
            assert!((share - expected).abs() < 1e-5, "{shares:?}");
        }
    }

    #[test]
    fn two_points_meet_the_optimum_worked_out_by_hand() {
        // x = +-1 with labels 1 and 0: by symmetry bias 0 and w = (-v, v), the margin m = 2v. Minimise
        // ln(1 + exp(-m)) + lambda / 2 * m^2 / 2: the optimum has sigmoid(-m) = lambda * m / 2.
        let features = Tensor::from_slice(&[1.0f64, -1.0]).view([2, 1]);
        let labels = Tensor::from_slice(&[1i64, 0]);
        let lambda = 0.1;
        let classifier = LinearClassifier::fit(&features, &labels, 2, lambda, None);
        let margin = classifier.weight.double_value(&[0, 1]) - classifier.weight.double_value(&[0, 0]);
        let left = 1.0 / (1.0 + margin.exp());
        assert!((left - lambda * margin / 2.0).abs() < 1e-6, "margin {margin}");
        assert!(margin > 0.0);
    }

    #[test]
    fn several_classes_are_as_many_regressions_of_one_against_the_rest() {
        // For two classes, one against the other with weights +-v has the margin 2v; here v alone meets sigmoid(-v) = lambda v.
        let features = Tensor::from_slice(&[1.0f64, -1.0]).view([2, 1]);
        let targets = Tensor::from_slice(&[1.0f64, 0.0, 0.0, 1.0]).view([2, 2]);
        let lambda = 0.1;
        let classifier = LinearClassifier::fit(&features, &targets, 2, lambda, None);
        let weight = Vec::<f64>::try_from(classifier.weight.view([-1])).unwrap();
        assert!((weight[0] + weight[1]).abs() < 1e-5, "{weight:?}");
        // Each class's mean cross-entropy is log(1 + exp(-v)).
        let left = 1.0 / (1.0 + weight[0].exp());
        assert!(weight[0] > 0.0 && (left - lambda * weight[0]).abs() < 1e-5, "{weight:?}");
    }

    #[test]
    fn solutions_are_scikit_learns() {
        let path =
            format!("{}/../tests/reference/scikit_learn_reference.safetensors", env!("CARGO_MANIFEST_DIR"));
        let reference: std::collections::HashMap<String, Tensor> =
            Tensor::read_safetensors(path).unwrap().into_iter().collect();
        let (features, labels) = (&reference["features"], &reference["labels"]);
        for name in ["weak", "middle", "strong"] {
            let expected = |part: &str| &reference[&format!("{name}.{part}")];
            let lambda = expected("lambda").double_value(&[0]);
            let found = LinearClassifier::fit(features, labels, 4, lambda, None);
            assert!(found.fit.converged, "{name}: {:?}", found.fit);
            let far = |found: &Tensor, part: &str| (found - expected(part)).abs().max().double_value(&[]);
            let weight = far(&found.weight, "weight");
            assert!(weight < 1e-3, "{name}: weights differ by {weight}");
            // Adding one number to all biases changes no probability.
            let bias = &found.bias - found.bias.mean(Kind::Double) + expected("bias").mean(Kind::Double);
            let bias = far(&bias, "bias");
            assert!(bias < 1e-3, "{name}: biases differ by {bias}");
            let probabilities = far(&found.scores(features).softmax(1, Kind::Double), "probabilities");
            assert!(probabilities < 1e-4, "{name}: probabilities differ by {probabilities}");
        }
    }

    #[test]
    fn a_warm_start_ends_where_a_cold_one_does() {
        let features = Tensor::from_slice(&[0.1f64, 0.9, -0.4, 0.3, -0.8, 0.2, 0.6, -0.5]).view([4, 2]);
        let labels = Tensor::from_slice(&[0i64, 1, 1, 0]);
        let cold = LinearClassifier::fit(&features, &labels, 2, 1e-2, None);
        let other = LinearClassifier::fit(&features, &labels, 2, 1.0, None);
        let warm = LinearClassifier::fit(&features, &labels, 2, 1e-2, Some(&other));
        assert!((&cold.weight - &warm.weight).abs().max().double_value(&[]) < 1e-4);
    }
}
