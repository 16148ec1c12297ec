//! The results for programs: one row per run, one per difference, one per point of a curve.
//!
//! Invariant: what depends on the clock is in the table of times alone, so that the same study gives the others again byte for byte.

use std::path::Path;

use anyhow::{Context, Result};
use diptych_report::{Metric, POINTS, Sample, Study, arm_curves, difference_of_drops, drop};

use crate::frame::{Cell, Frame, Kind};

/// Writes all tables into `out`, each as CSV and as Parquet.
pub fn write(study: &Study, out: &Path) -> Result<()> {
    for (name, frame) in [
        ("results", results(study)),
        ("times", times(study)),
        ("differences", differences(study)),
        ("curves", curves(study)),
    ] {
        let parquet = frame.parquet().with_context(|| format!("{name} cannot be written as Parquet"))?;
        diptych_report::replace(&out.join(format!("{name}.csv")), frame.csv().as_bytes())?;
        diptych_report::replace(&out.join(format!("{name}.parquet")), &parquet)?;
    }
    Ok(())
}

/// One row per run; accuracies as fractions of 1, absent where there is none.
fn results(study: &Study) -> Frame {
    let mut columns =
        vec![("base".to_string(), Kind::Text), ("variant".into(), Kind::Text), ("seed".into(), Kind::Whole)];
    let column = |metric: &Metric| (format!("{}_{}", metric.id, metric.measure.id()), Kind::Real);
    columns.extend(study.metrics.iter().map(column));
    columns.extend(columns_of([("fingerprint", Kind::Text), ("state", Kind::Text), ("verdict", Kind::Text)]));
    let mut frame = Frame::new(columns);
    for run in &study.runs {
        // A seed is at most what TOML holds, an i64.
        let mut row: Vec<Cell> =
            vec![run.method.as_str().into(), run.variant.as_str().into(), Cell::Whole(run.seed as i64)];
        row.extend(study.metrics.iter().map(|metric| run.scores.get(&metric.id).copied().into()));
        row.extend([
            run.fingerprint.as_deref().into(),
            run.state.text().into(),
            run.verdict.map(|verdict| verdict.text()).into(),
        ]);
        frame.push(row);
    }
    frame
}

/// One row per run: seconds of training, when it last began and when it ended (RFC 3339).
fn times(study: &Study) -> Frame {
    let mut frame = Frame::new(columns_of([
        ("base", Kind::Text),
        ("variant", Kind::Text),
        ("seed", Kind::Whole),
        ("seconds", Kind::Real),
        ("started", Kind::Text),
        ("ended", Kind::Text),
    ]));
    for run in &study.runs {
        frame.push(vec![
            run.method.as_str().into(),
            run.variant.as_str().into(),
            Cell::Whole(run.seed as i64),
            run.seconds.into(),
            run.started.as_deref().into(),
            run.ended.as_deref().into(),
        ]);
    }
    frame
}

/// One row per metric, method and variant: the drop from the baseline in points, paired by seed; then one per two methods: what
/// the first loses above the second. Absent where too few seeds give an interval.
fn differences(study: &Study) -> Frame {
    let mut frame = Frame::new(columns_of([
        ("metric", Kind::Text),
        ("base", Kind::Text),
        ("above", Kind::Text),
        ("variant", Kind::Text),
        ("n", Kind::Whole),
        ("mean", Kind::Real),
        ("lowest", Kind::Real),
        ("highest", Kind::Real),
        ("bootstrap_low", Kind::Real),
        ("bootstrap_high", Kind::Real),
        ("student_half_width", Kind::Real),
        ("published", Kind::Real),
    ]));
    let mut add = |names: [Cell; 4], sample: &Sample, published: Option<f64>| {
        let (range, interval) = (sample.range(), sample.interval());
        let mut row = names.to_vec();
        row.push(sample.n().into());
        row.extend(
            [
                sample.mean(),
                range.map(|(low, _)| low),
                range.map(|(_, high)| high),
                interval.map(|(low, _)| low),
                interval.map(|(_, high)| high),
                sample.student_half_width(),
                published,
            ]
            .map(Cell::from),
        );
        frame.push(row);
    };
    for metric in &study.metrics {
        for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
            let names = |base: &str, above: Option<&str>| -> [Cell; 4] {
                [metric.id.as_str().into(), base.into(), above.into(), variant.id.as_str().into()]
            };
            for method in &study.methods {
                let sample = drop(study, &metric.id, &method.id, &variant.id);
                let published = study.published_drop(&method.id, &variant.id);
                add(names(&method.id, None), &sample, published);
            }
            for (more, less) in study.pairs() {
                let sample = difference_of_drops(study, &metric.id, &variant.id, &more.id, &less.id);
                let [of_more, of_less] =
                    [more, less].map(|method| study.published_drop(&method.id, &variant.id));
                let published = of_more.zip(of_less).map(|(of_more, of_less)| of_more - of_less);
                add(names(&more.id, Some(&less.id)), &sample, published);
            }
        }
    }
    frame
}

/// One row per figure, arm and step: the mean over the seeds that reached it, and their range.
fn curves(study: &Study) -> Frame {
    let mut frame = Frame::new(columns_of([
        ("figure", Kind::Text),
        ("base", Kind::Text),
        ("variant", Kind::Text),
        ("step", Kind::Whole),
        ("n", Kind::Whole),
        ("mean", Kind::Real),
        ("lowest", Kind::Real),
        ("highest", Kind::Real),
    ]));
    for curve in arm_curves(study, POINTS) {
        for point in &curve.points {
            frame.push(vec![
                curve.figure.as_str().into(),
                curve.method.as_str().into(),
                curve.variant.as_str().into(),
                Cell::Whole(point.step as i64),
                point.n.into(),
                point.mean.into(),
                point.lowest.into(),
                point.highest.into(),
            ]);
        }
    }
    frame
}

fn columns_of<const N: usize>(columns: [(&str, Kind); N]) -> impl Iterator<Item = (String, Kind)> {
    columns.map(|(name, kind)| (name.to_string(), kind)).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diptych_report::{Verdict, example};

    #[test]
    fn the_results_have_a_row_per_run_with_its_numbers() {
        let mut study = example::study();
        study.runs[0].verdict = Some(Verdict::Healthy);
        let csv = results(&study).csv();
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows.len(), 25);
        assert_eq!(rows[0], "base,variant,seed,linear_top1,knn_top1,fingerprint,state,verdict");
        assert!(
            rows[1].starts_with("byol,baseline,0,0.661,0.582,") && rows[1].ends_with(",finished,healthy"),
            "{}",
            rows[1]
        );
        assert_eq!(times(&example::study()).csv().lines().nth(1).unwrap().split(',').nth(3), Some("55"));
    }

    #[test]
    fn differences_say_n_and_leave_out_intervals_of_two_seeds() {
        let mut study = example::study();
        let row = |study: &Study, start: &str| {
            differences(study).csv().lines().find(|line| line.starts_with(start)).unwrap().to_string()
        };
        assert!(
            row(&study, "linear,byol,simclr,crop_only,").starts_with("linear,byol,simclr,crop_only,3,-49.3")
        );
        assert_eq!(differences(&study).csv().lines().count(), 1 + 2 * 3 * 3);
        study.runs.retain(|run| run.seed < 2);
        assert_eq!(row(&study, "linear,byol,,crop_only,"), "linear,byol,,crop_only,2,12.45,8,16.9,,,,13.1");
    }

    #[test]
    fn curves_have_a_row_per_step_with_the_range_over_seeds() {
        let csv = curves(&example::study()).csv();
        assert_eq!(csv.lines().count(), 1 + 3 * 8 * 30);
        let last: Vec<&str> = csv
            .lines()
            .find(|line| line.starts_with("loss,byol,baseline,1500,"))
            .unwrap()
            .split(',')
            .collect();
        let [mean, lowest, highest] = [5, 6, 7].map(|at: usize| last[at].parse::<f64>().unwrap());
        assert_eq!(last[4], "3");
        assert!(lowest < mean && mean < highest, "{last:?}");
    }
}
