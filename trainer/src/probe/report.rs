//! What a probing found: as JSON and as a table. Every number stands beside what it was measured on.

use std::fmt;

use serde_json::{Value, json};

use super::{Both, Cosine, Curve, Measure, Outputs, Pairs, Point, Shortcut};

/// What a probing found.
#[derive(Clone, Debug, PartialEq)]
pub struct Probing {
    /// Name of the run.
    pub run: String,
    /// Of all that changes the run's numbers.
    pub fingerprint: String,
    /// The checkpoint's step.
    pub step: u64,
    /// What the data hold, in a line.
    pub data: String,
    /// The data's own hash.
    pub data_identity: String,
    /// Images that everything was measured on.
    pub images: usize,
    /// Images that were left out because they can't be read.
    pub skipped: usize,
    /// Side of the views in pixels.
    pub side: u32,
    /// Key of the draws.
    pub seed: u64,
    /// The cosine of different images; none before it was measured.
    pub pairs: Option<Both<Pairs>>,
    /// By operator.
    pub curves: Vec<Curve>,
    /// By quantity.
    pub shortcuts: Vec<Shortcut>,
}

impl Probing {
    /// Outputs to whose network all images are one point, in words.
    pub fn collapsed(&self) -> Vec<String> {
        let Some(pairs) = &self.pairs else { return Vec::new() };
        let all = [
            ("embedding", "checkpoint", pairs.trained.embedding),
            ("projection", "checkpoint", pairs.trained.projection),
            ("embedding", "untrained network", pairs.untrained.embedding),
            ("projection", "untrained network", pairs.untrained.projection),
        ];
        all.into_iter()
            .filter(|(_, _, pairs)| pairs.collapsed())
            .map(|(output, network, pairs)| {
                format!(
                    "the {network}'s {output}s are collapsed: different images have a cosine of {:.4}, \
                     so that a cosine near 1 under an operator says nothing",
                    pairs.cosine
                )
            })
            .collect()
    }

    /// For other programs, and for `probe.json`.
    pub fn to_json(&self) -> Value {
        let pairs = self.pairs.map(|pairs| {
            both(&pairs.map(|pairs| json!({ "cosine": pairs.cosine, "collapsed": pairs.collapsed() })))
        });
        let curves = self.curves.iter().map(|curve| {
            let points = curve.points.iter().map(|point| self.point(point));
            json!({
                "operator": curve.operator,
                "strength": curve.strength,
                "of_run": curve.of_run,
                "points": points.collect::<Vec<_>>(),
            })
        });
        json!({
            "run": self.run,
            "fingerprint": self.fingerprint,
            "step": self.step,
            "data": { "summary": self.data, "identity": self.data_identity },
            "images": self.images,
            "skipped": self.skipped,
            "view_pixels": self.side,
            "seed": self.seed,
            "random_pairs": pairs,
            "invariance": curves.collect::<Vec<_>>(),
            "shortcuts": self.shortcuts.iter().map(shortcut).collect::<Vec<_>>(),
            "collapsed": self.collapsed(),
        })
    }

    fn point(&self, point: &Point) -> Value {
        let value = |cosine: &Cosine, pairs: Option<&Pairs>| {
            json!({
                "cosine": cosine.mean,
                "deviation": cosine.deviation,
                "invariance": pairs.and_then(|pairs| pairs.invariance(cosine)),
                "images": self.images,
            })
        };
        let values = match &self.pairs {
            Some(pairs) => point.cosine.zip(pairs, |cosine, pairs| value(cosine, Some(pairs))),
            None => point.cosine.map(|cosine| value(cosine, None)),
        };
        json!({ "strength": point.strength, "values": both(&values) })
    }
}

fn both(values: &Both<Value>) -> Value {
    let outputs =
        |values: &Outputs<Value>| json!({ "embedding": values.embedding, "projection": values.projection });
    json!({ "trained": outputs(&values.trained), "untrained": outputs(&values.untrained) })
}

fn shortcut(shortcut: &Shortcut) -> Value {
    let (measure, chance) = match shortcut.measure {
        Measure::R2 => ("r2", 0.0),
        Measure::Accuracy { chance } => ("accuracy", chance),
    };
    json!({
        "quantity": shortcut.quantity,
        "measure": measure,
        "chance": chance,
        "trained": shortcut.trained,
        "untrained": shortcut.untrained,
        "views": shortcut.views,
        "fitted_on": shortcut.fitted_on,
        "judged_on": shortcut.judged_on,
    })
}

impl fmt::Display for Probing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Probing { run, step, images, side, data, .. } = self;
        writeln!(formatter, "{run} at step {step}, on {images} images at {side} pixels: {data}")?;
        if self.skipped > 0 {
            writeln!(formatter, "{} images could not be read and were left out", self.skipped)?;
        }
        for text in self.collapsed() {
            writeln!(formatter, "{text}")?;
        }
        self.write_invariance(formatter)?;
        self.write_shortcuts(formatter)
    }
}

impl Probing {
    fn write_invariance(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |curve: &Curve, point: &Point| match (curve.of_run, &*point.strength) {
            (true, _) => format!("{} as in the run", curve.operator),
            (false, _) if curve.strength.is_empty() => curve.operator.clone(),
            (false, strength) => format!("{} {strength}", curve.operator),
        };
        let rows: Vec<(String, &Point)> = self
            .curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(move |point| (name(curve, point), point)))
            .collect();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(24);
        writeln!(
            formatter,
            "\ncosine of an image and what an operator makes of it\n\n{:width$}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}",
            "operator", "embedding", "untrained", "projection", "untrained", "invariance"
        )?;
        if let Some(pairs) = &self.pairs {
            let cosines = pairs.map(|pairs| pairs.cosine);
            writeln!(formatter, "{:width$}  {}", "(two different images)", columns(&cosines))?;
        }
        for (name, point) in rows {
            let cosines = columns(&point.cosine.map(|cosine| cosine.mean));
            let invariance = self
                .pairs
                .and_then(|pairs| pairs.trained.embedding.invariance(&point.cosine.trained.embedding));
            let invariance = invariance.map_or("-".to_owned(), |value| format!("{value:.3}"));
            writeln!(formatter, "{name:width$}  {cosines}  {invariance:>10}")?;
        }
        writeln!(
            formatter,
            "\ninvariance, of the embedding: 1 where the operator changes nothing, 0 where it takes an image as far away as\nanother image is"
        )
    }

    fn write_shortcuts(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "\nwhat a linear probe reads off the embedding of a view\n\n{:24}  {:>8}  {:>8}  {:>10}  {:>8}  {:>9}",
            "quantity", "measure", "trained", "untrained", "chance", "judged on"
        )?;
        for Shortcut { quantity, measure, trained, untrained, judged_on, .. } in &self.shortcuts {
            let (measure, chance) = match measure {
                Measure::R2 => ("R2", 0.0),
                Measure::Accuracy { chance } => ("accuracy", *chance),
            };
            writeln!(
                formatter,
                "{quantity:24}  {measure:>8}  {trained:>8.3}  {untrained:>10.3}  {chance:>8.3}  {judged_on:>9}"
            )?;
        }
        Ok(())
    }
}

/// Embedding and projection, each of the trained and of the untrained network.
fn columns(values: &Both<f64>) -> String {
    let Both { trained, untrained } = values;
    let all = [trained.embedding, untrained.embedding, trained.projection, untrained.projection];
    all.map(|value| format!("{value:>10.4}")).join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every output has this cosine under flips, and this one between images.
    fn probing(flip: f64, pairs: f64) -> Probing {
        let all = |value: f64| {
            let outputs = Outputs { embedding: value, projection: value };
            Both { trained: outputs, untrained: outputs }
        };
        Probing {
            run: "BYOL".into(),
            fingerprint: "0".into(),
            step: 3,
            data: "20 images".into(),
            data_identity: "1".into(),
            images: 20,
            skipped: 0,
            side: 32,
            seed: 0,
            pairs: Some(all(pairs).map(|cosine| Pairs { cosine: *cosine })),
            curves: vec![Curve {
                operator: "flip".into(),
                strength: String::new(),
                of_run: false,
                points: vec![Point {
                    strength: "flipped".into(),
                    cosine: all(flip).map(|mean| Cosine { mean: *mean, deviation: 0.0 }),
                }],
            }],
            shortcuts: vec![Shortcut {
                quantity: "orientation".into(),
                measure: Measure::Accuracy { chance: 0.25 },
                views: "all".into(),
                fitted_on: 60,
                judged_on: 20,
                trained: 0.5,
                untrained: 0.3,
            }],
        }
    }

    #[test]
    fn invariance_is_told_beside_the_cosine_of_different_images() {
        let found = probing(0.9, 0.6);
        let json = found.to_json();
        let point = &json["invariance"][0]["points"][0]["values"]["trained"]["embedding"];
        assert!((point["invariance"].as_f64().unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(point["images"], 20);
        let text = found.to_string();
        assert!(text.contains("(two different images)") && text.contains("0.750"), "{text}");
        assert!(found.collapsed().is_empty());
    }

    #[test]
    fn a_collapsed_network_is_labelled_and_has_no_invariance() {
        let found = probing(1.0, 0.999);
        assert_eq!(found.collapsed().len(), 4);
        let json = found.to_json();
        assert_eq!(json["random_pairs"]["trained"]["embedding"]["collapsed"], true);
        assert!(json["invariance"][0]["points"][0]["values"]["trained"]["embedding"]["invariance"].is_null());
        assert!(found.to_string().contains("the checkpoint's embeddings are collapsed"), "{found}");
    }
}
