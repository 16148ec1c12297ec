//! Which figures of a run are drawn together, and what is to be known to read them.

use diptych_study::live::{Curves, Point};
use serde::Serialize;
use serde_json::Number;

/// One chart, over the optimizer's steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// How to read it; may be empty.
    pub note: &'static str,
    /// Whether values are shares of 1, which people read as percent.
    pub percent: bool,
    /// Whether the axis begins at 0.
    pub from_zero: bool,
    /// Whether it is one of the few that everybody looks at.
    pub first: bool,
    /// Its lines.
    pub series: Vec<Series>,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What it is; empty where the chart's title says it.
    pub label: String,
    /// How it is told from the others: its place among the lines that the chart could have.
    pub style: usize,
    /// Step and value.
    pub points: Vec<(u64, Number)>,
}

/// A chart as it could be, if the run has its figures.
struct Plan {
    title: &'static str,
    note: &'static str,
    percent: bool,
    from_zero: bool,
    /// Name of the figure and label.
    series: &'static [(&'static str, &'static str)],
}

const PLANS: [Plan; 10] = [
    Plan { title: "Loss", note: "", percent: false, from_zero: false, series: &[("loss", "")] },
    Plan {
        title: "z-std",
        note: "Spread of the vectors on the sphere: 1 healthy, 0 collapsed.",
        percent: false,
        from_zero: true,
        series: &[
            ("z_std", "projection"),
            ("target_projection/z_std", "target projection"),
            ("embedding/z_std", "embedding"),
            ("target_embedding/z_std", "target embedding"),
        ],
    },
    Plan {
        title: "Effective rank",
        note: "Dimensions that the vectors of a batch use.",
        percent: false,
        from_zero: true,
        series: &[
            ("effective_rank", "projection"),
            ("target_projection/effective_rank", "target projection"),
            ("embedding/effective_rank", "embedding"),
            ("target_embedding/effective_rank", "target embedding"),
        ],
    },
    Plan {
        title: "Accuracy on the way",
        note: "Of embeddings, on the training batches.",
        percent: true,
        from_zero: true,
        series: &[
            ("probe_accuracy", "linear probe"),
            ("neighbour_accuracy", "neighbours"),
            ("untrained_neighbour_accuracy", "neighbours, untrained"),
        ],
    },
    Plan {
        title: "Cosines",
        note: "Different images near 1 are a collapse.",
        percent: false,
        from_zero: true,
        series: &[("positive_cosine", "two views of an image"), ("random_cosine", "different images")],
    },
    Plan {
        title: "Predictor gap",
        note: "Error of the predictor less that of the batch's best linear one.",
        percent: false,
        from_zero: true,
        series: &[("predictor_gap", "")],
    },
    Plan {
        title: "Learning rate",
        note: "",
        percent: false,
        from_zero: true,
        series: &[("learning_rate", "")],
    },
    Plan {
        title: "Images per second",
        note: "",
        percent: false,
        from_zero: true,
        series: &[("images_per_second", "")],
    },
    Plan {
        title: "Waiting",
        note: "A step that waits wants more workers; a loader that waits is faster than needed.",
        percent: true,
        from_zero: true,
        series: &[("wait_fraction", "step, for data"), ("loader_wait_fraction", "loader, for room")],
    },
    Plan {
        title: "Batches in the queue",
        note: "Finished ones that lay ready when the step asked; 0 starves it.",
        percent: false,
        from_zero: true,
        series: &[("queue_batches", "")],
    },
];

/// Not worth a chart: the step's other name, and what the state says in words.
const LEFT_OUT: [&str; 2] = ["epoch", "collapsing"];

/// The charts of a run: first those that everybody looks at, then one for each of its other figures.
pub fn of(curves: &Curves) -> Vec<Chart> {
    let planned = PLANS.iter().map(|plan| Chart {
        title: plan.title.into(),
        note: plan.note,
        percent: plan.percent,
        from_zero: plan.from_zero,
        first: true,
        series: plan
            .series
            .iter()
            .enumerate()
            .map(|(style, (name, label))| series(style, label, curves.points(name)))
            .filter(|series| !series.points.is_empty())
            .collect(),
    });
    let is_planned =
        |name: &str| PLANS.iter().any(|plan| plan.series.iter().any(|(known, _)| *known == name));
    let others =
        curves.names().filter(|name| !is_planned(name) && !LEFT_OUT.contains(name)).map(|name| Chart {
            title: name.into(),
            note: "",
            percent: false,
            from_zero: false,
            first: false,
            series: vec![series(0, "", curves.points(name))],
        });
    planned.filter(|chart| !chart.series.is_empty()).chain(others).collect()
}

fn series(style: usize, label: &str, points: Vec<Point>) -> Series {
    let points = points.into_iter().filter_map(|(step, value)| Some((step, short(value)?)));
    Series { label: label.into(), style, points: points.collect() }
}

/// With as many digits as a chart can show.
fn short(value: f64) -> Option<Number> {
    let short: f64 = format!("{value:.5e}").parse().ok()?;
    Number::from_f64(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_drawn_together_as_planned_and_no_other_one_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let line = "{\"step\":5,\"epoch\":0.1,\"loss\":1.23456789,\"embedding/z_std\":0.5,\"byol_regression/x\":2,\"collapsing\":0}\n";
        std::fs::write(folder.path().join("metrics.jsonl"), line).unwrap();
        let mut curves = Curves::of_run(folder.path());
        curves.read(&mut { usize::MAX });
        let charts = of(&curves);
        let titles: Vec<&str> = charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["Loss", "z-std", "byol_regression/x"]);
        assert_eq!(charts[0].series[0].points[0].1.to_string(), "1.23457");
        // The style is that of embeddings, whether or not there are projections.
        assert_eq!((charts[1].series[0].label.as_str(), charts[1].series[0].style), ("embedding", 2));
        assert_eq!(charts.iter().map(|chart| chart.first).collect::<Vec<_>>(), [true, true, false]);
    }
}
