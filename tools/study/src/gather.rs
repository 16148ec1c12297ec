//! From run folders to the report's plain data.

use std::collections::BTreeMap;
use std::path::Path;

use diptych_report as report;
use diptych_report::text::duration;
use report::{Measure, Metric, State, Verdict};
use serde::Deserialize;
use serde_json::Value;

use crate::folder::{Folder, Weights};
use crate::kept::Kept;
use crate::metrics;
use crate::plan::{PlannedRun, run_folder};
use crate::standing::Standing;
use crate::survey;

/// What the report draws of a line of `metrics.jsonl`, which has many more figures.
#[derive(Deserialize)]
struct Line {
    step: f64,
    loss: Option<f64>,
    z_std: Option<f64>,
    effective_rank: Option<f64>,
    probe_accuracy: Option<f64>,
}

/// A figure's name, and its value in a line.
type Figure = (&'static str, fn(&Line) -> Option<f64>);

const CURVES: [Figure; 4] = [
    ("loss", |line| line.loss),
    ("z_std", |line| line.z_std),
    ("effective_rank", |line| line.effective_rank),
    ("probe_accuracy", |line| line.probe_accuracy),
];

/// Reads everything, from the folders of the runs alone.
pub fn gather(kept: &Kept, runs: &[PlannedRun], out: &Path) -> report::Study {
    let study = &kept.study;
    let folder = |run: &PlannedRun| Folder::new(run_folder(out, &run.id));
    let standings = survey::standings_of_results(kept, runs, out);
    let mut metrics = metrics::of(&kept.protocol);
    let read: Vec<report::Run> = runs
        .iter()
        .zip(&standings)
        .map(|(run, standing)| read_run(run, &folder(run), standing, &metrics))
        .collect();
    let finished = || runs.iter().zip(&read).filter(|(_, read)| read.state.is_result()).map(|(run, _)| run);
    let evaluations: Vec<Value> =
        finished().filter_map(|run| folder(run).evaluation(Weights::Trained)).collect();
    for metric in &mut metrics {
        let measured = evaluations.iter().find_map(|evaluation| metrics::score(evaluation, metric));
        metric.measure = measured.map_or(Measure::default(), |(measure, _)| measure);
    }
    let classes = evaluations.first().and_then(|evaluation| evaluation["classes"].as_array()).map(Vec::len);
    // Of guessing among several classes of an image nothing so simple can be said.
    let classes =
        classes.filter(|count| *count > 0 && metrics.iter().all(|metric| metric.measure == Measure::Top1));
    let counts = |run: &&PlannedRun| {
        kept.study.wants_control(run) && kept.wanted(run).is_evaluated(&folder(run), Weights::Random)
    };
    let random_encoders = finished().filter(counts).filter_map(|run| {
        let scores = scores(&folder(run).evaluation(Weights::Random)?, &metrics);
        Some(report::RandomEncoder { seed: run.seed, scores })
    });
    report::Study {
        name: study.name.clone(),
        title: study.title.clone(),
        methods: study
            .bases
            .iter()
            .map(|base| report::Method { id: base.id.clone(), label: base.label.clone() })
            .collect(),
        variants: study
            .variants
            .iter()
            .map(|variant| report::Variant {
                id: variant.id.clone(),
                label: variant.label.clone(),
                sets: variant.sets.clone(),
            })
            .collect(),
        baseline: study.baseline.clone(),
        seeds: study.seeds.clone(),
        chance: classes.map(|count| 1.0 / count as f64),
        random_encoders: random_encoders.collect(),
        metrics,
        reference: study.reference.clone(),
        sheets: Vec::new(),
        differences: crate::differences::of_arms(
            study,
            &finished().map(|run| (run, folder(run))).collect::<Vec<_>>(),
        ),
        provenance: provenance(finished().map(folder), evaluations.first()),
        remarks: kept.remarks.iter().cloned().chain(builds(finished().map(folder))).collect(),
        runs: read,
    }
}

fn read_run(run: &PlannedRun, folder: &Folder, standing: &Standing, metrics: &[Metric]) -> report::Run {
    let json = folder.run().unwrap_or_default();
    let (state, error) = match standing {
        Standing::Finished => (State::Finished, None),
        Standing::StoppedEarly(_) => (State::StoppedEarly, None),
        Standing::Running(_) => (State::Running, None),
        Standing::Interrupted(_) => (State::Interrupted, None),
        Standing::Failed(error) => (State::Failed, Some(error.clone())),
        Standing::Planned => (State::Planned, None),
    };
    let text = |key: &str| json[key].as_str().map(String::from);
    let evaluation = standing.is_result().then(|| folder.evaluation(Weights::Trained)).flatten();
    report::Run {
        method: run.base.clone(),
        variant: run.variant.clone(),
        seed: run.seed,
        state,
        error,
        stopped: match standing {
            Standing::StoppedEarly(how) => Some(how.clone()),
            _ => None,
        },
        verdict: json["verdict"].as_str().and_then(Verdict::of_text).filter(|_| state != State::Failed),
        fingerprint: text("fingerprint"),
        seconds: json["seconds"].as_f64(),
        started: text("started"),
        ended: text("ended"),
        scores: evaluation.map(|evaluation| scores(&evaluation, metrics)).unwrap_or_default(),
        curves: if state == State::Failed { Vec::new() } else { curves(folder) },
    }
}

fn scores(evaluation: &Value, metrics: &[Metric]) -> BTreeMap<String, f64> {
    let score = |metric: &Metric| Some((metric.id.clone(), metrics::score(evaluation, metric)?.1));
    metrics.iter().filter_map(score).collect()
}

fn curves(folder: &Folder) -> Vec<report::Curve> {
    let lines: Vec<Line> = folder.metrics();
    let curve = |(name, value): Figure| report::Curve {
        name: name.into(),
        points: lines.iter().filter_map(|line| Some((line.step, value(line)?))).collect(),
    };
    CURVES.into_iter().map(curve).filter(|curve| !curve.points.is_empty()).collect()
}

/// Facts that hold for the runs: one text where they agree, all of them where they do not.
fn provenance(folders: impl Iterator<Item = Folder>, evaluation: Option<&Value>) -> Vec<(String, String)> {
    let runs: Vec<Value> = folders.filter_map(|folder| folder.run()).collect();
    let mut facts = Vec::new();
    let mut add = |label: &str, values: Vec<String>| {
        let mut distinct: Vec<String> = Vec::new();
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        if !distinct.is_empty() {
            facts.push((label.to_string(), distinct.join("; ")));
        }
    };
    let texts =
        |key: &str| runs.iter().filter_map(|run| run[key].as_str().map(String::from)).collect::<Vec<_>>();
    add("diptych", texts("version"));
    add("build", texts("build"));
    add("libtorch", texts("torch_version"));
    let device = |run: &Value| {
        Some(format!("{}, {} threads a run", run["device"].as_str()?, run["threads"].as_u64()?))
    };
    add(
        "device",
        runs.iter().filter_map(device).map(|text| text.replace(", 1 threads", ", 1 thread")).collect(),
    );
    let plugins = |run: &Value| {
        let names: Vec<&str> = run["plugins"].as_array()?.iter().filter_map(Value::as_str).collect();
        Some(names.join(", "))
    };
    add("plugins", runs.iter().filter_map(plugins).collect());
    add("machine", texts("machine"));
    add("data", texts("data_identity"));
    let mut speeds: Vec<f64> = runs.iter().filter_map(|run| run["images_per_second"].as_f64()).collect();
    speeds.sort_by(f64::total_cmp);
    if let (Some(low), Some(high)) = (speeds.first(), speeds.last()) {
        add("speed", vec![format!("{low:.0} to {high:.0} images per second in each run")]);
    }
    let (mut started, mut ended) = (texts("started"), texts("ended"));
    started.sort();
    ended.sort();
    if let (Some(first), Some(last)) = (started.first(), ended.last()) {
        let training: f64 = runs.iter().filter_map(|run| run["seconds"].as_f64()).sum();
        add(
            "time",
            vec![format!("{first} to {last}; {} of training, summed over the runs", duration(training))],
        );
    }
    if let Some(evaluation) = evaluation {
        let (train, test) = (&evaluation["train_samples"], &evaluation["test_samples"]);
        let tunes =
            ["fine_tune", "semi_supervised"].iter().any(|table| evaluation["protocol"].get(table).is_some());
        let how = if tunes { "" } else { ", with frozen features" };
        add("judged on", vec![format!("{test} images, by classifiers fitted on {train}{how}")]);
        if let Some(knn) = evaluation.get("knn") {
            add("nearest neighbours", vec![format!("k = {}, temperature {}", knn["k"], knn["temperature"])]);
        }
    }
    facts
}

/// Builds of one version may differ in their code, and fingerprints do not tell them apart.
fn builds(folders: impl Iterator<Item = Folder>) -> Option<String> {
    let builds: std::collections::BTreeSet<String> =
        folders.filter_map(|folder| Some(folder.run()?["build"].as_str()?.to_string())).collect();
    (builds.len() > 1).then(|| {
        format!(
            "The runs were made by {} builds of diptych: its code may have changed between them.",
            builds.len()
        )
    })
}
