//! A study with invented but plausible numbers, to test the report with and to look at it.

use std::collections::BTreeMap;

use crate::data::{
    ArmDifference, Curve, Method, Metric, RandomEncoder, Reference, ReferenceValue, Run, State, Study,
    Variant,
};

/// Linear and kNN accuracy in percent, by method and variant, for seeds 0, 1 and 2.
const SCORES: [(&str, &str, [f64; 3], [f64; 3]); 8] = [
    ("byol", "baseline", [66.1, 61.6, 63.4], [58.2, 54.5, 56.0]),
    ("byol", "remove_grayscale", [46.8, 49.9, 48.1], [38.8, 39.2, 38.0]),
    ("byol", "remove_color", [49.1, 50.0, 50.3], [36.1, 40.5, 37.9]),
    ("byol", "crop_only", [49.2, 53.6, 50.8], [35.6, 42.1, 38.8]),
    ("simclr", "baseline", [98.9, 99.3, 99.0], [94.1, 96.6, 95.2]),
    ("simclr", "remove_grayscale", [65.7, 71.5, 69.9], [55.5, 56.7, 57.1]),
    ("simclr", "remove_color", [36.0, 41.5, 38.8], [29.6, 29.1, 30.5]),
    ("simclr", "crop_only", [32.8, 41.2, 37.7], [28.6, 30.4, 29.3]),
];

/// ImageNet, in percent: baseline, remove grayscale, remove colour, crop only.
const PUBLISHED: [(&str, [f64; 4]); 2] =
    [("byol", [72.5, 70.3, 63.4, 59.4]), ("simclr", [67.9, 61.9, 45.7, 40.3])];

const VARIANTS: [(&str, &str, &[&str]); 4] = [
    ("baseline", "baseline", &[]),
    ("remove_grayscale", "remove grayscale", &["augmentations.remove=[\"grayscale\"]"]),
    ("remove_color", "remove colour", &["augmentations.remove=[\"color_jitter\", \"grayscale\"]"]),
    ("crop_only", "crop only", &["augmentations.only=[\"random_resized_crop\"]"]),
];

/// Two methods, four variants, three seeds, all finished; no pictures.
pub fn study() -> Study {
    Study {
        name: "example".into(),
        title: "What BYOL and SimCLR owe to their transformations".into(),
        methods: [("byol", "BYOL"), ("simclr", "SimCLR")]
            .map(|(id, label)| Method { id: id.into(), label: label.into() })
            .to_vec(),
        variants: VARIANTS
            .map(|(id, label, sets)| Variant {
                id: id.into(),
                label: label.into(),
                sets: sets.iter().map(|set| set.to_string()).collect(),
            })
            .to_vec(),
        baseline: "baseline".into(),
        seeds: vec![0, 1, 2],
        metrics: [("linear", "linear probe"), ("knn", "nearest neighbours")]
            .map(|(id, label)| Metric { id: id.into(), label: label.into(), ..Metric::default() })
            .to_vec(),
        runs: runs(),
        chance: Some(0.125),
        random_encoders: [(0, 0.302), (1, 0.287), (2, 0.311)]
            .map(|(seed, linear)| RandomEncoder {
                seed,
                scores: BTreeMap::from([("linear".into(), linear), ("knn".into(), linear - 0.03)]),
            })
            .to_vec(),
        reference: Some(Reference {
            source: "Grill et al. 2020: ImageNet linear top-1 in %, ResNet-50, 300 epochs".into(),
            values: published(),
        }),
        sheets: Vec::new(),
        differences: vec![ArmDifference {
            left: "BYOL, baseline".into(),
            right: "BYOL, crop only".into(),
            keys: vec![(
                "augmentations.views.first.operators.grayscale".into(),
                "probability 0.2".into(),
                "absent".into(),
            )],
        }],
        provenance: vec![
            ("version".into(), "0.1.0".into()),
            ("libtorch".into(), "2.11.0".into()),
            ("device".into(), "cpu, 1 thread a run".into()),
        ],
        remarks: Vec::new(),
    }
}

fn published() -> Vec<ReferenceValue> {
    let mut values = Vec::new();
    for (method, percents) in PUBLISHED {
        for ((variant, ..), percent) in VARIANTS.iter().zip(percents) {
            values.push(ReferenceValue {
                method: method.into(),
                variant: variant.to_string(),
                percent,
                baseline: None,
            });
        }
    }
    values
}

fn runs() -> Vec<Run> {
    let mut runs = Vec::new();
    for (arm, (method, variant, linear, knn)) in SCORES.into_iter().enumerate() {
        for seed in 0..3_usize {
            runs.push(Run {
                method: method.into(),
                variant: variant.into(),
                seed: seed as u64,
                state: State::Finished,
                error: None,
                stopped: None,
                verdict: None,
                fingerprint: Some(format!(
                    "{:016x}",
                    0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((arm * 3 + seed + 1) as u64)
                )),
                seconds: Some(55.0 + (arm * 3 + seed) as f64),
                started: Some(format!("2026-01-01T12:{:02}:00Z", arm * 3 + seed)),
                ended: Some(format!("2026-01-01T12:{:02}:55Z", arm * 3 + seed)),
                scores: BTreeMap::from([
                    ("linear".into(), linear[seed] / 100.0),
                    ("knn".into(), knn[seed] / 100.0),
                ]),
                curves: curves(method == "byol", linear[seed] / 100.0, arm * 3 + seed),
            });
        }
    }
    runs
}

fn curves(byol: bool, accuracy: f64, run: usize) -> Vec<Curve> {
    let curve = |name: &str, value: &dyn Fn(f64) -> f64| Curve {
        name: name.into(),
        points: (1..=30)
            .map(|line| {
                let progress = f64::from(line) / 30.0;
                let wiggle = ((line as usize * 7 + run * 13) % 11) as f64 / 11.0 - 0.5;
                (progress * 1500.0, value(progress) * (1.0 + 0.04 * wiggle))
            })
            .collect(),
    };
    let (first, last) = if byol { (3.6, 0.9) } else { (4.8, 3.1) };
    vec![
        curve("loss", &|progress| last + (first - last) * (-5.0 * progress).exp()),
        curve("z_std", &|progress| 1.0 - 0.25 * (-4.0 * progress).exp()),
        curve("probe_accuracy", &|progress| 0.125 + (accuracy - 0.125) * (1.0 - (-4.0 * progress).exp())),
    ]
}
