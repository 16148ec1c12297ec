//! The results as files for programs and for reading: `results.csv`, `times.csv`, `differences.csv`, `results.md`.
//!
//! Invariant: what depends on the clock is in `times.csv` alone, so that the same study gives the other files again byte for byte.

use std::fmt::Write;

use diptych_report::text::{number, seeds};
use diptych_report::{
    Metric, Sample, Study, difference_of_drops, drop, findings, interval, level, random_level,
};

use crate::gather::METRICS;

/// One row per run; accuracies as fractions of 1, empty where there is none.
pub fn csv(study: &Study) -> String {
    let mut text = String::from("base,variant,seed");
    for (id, _) in METRICS {
        write!(text, ",{id}_top1").expect("writing to a String cannot fail");
    }
    text.push_str(",fingerprint,state\n");
    for run in &study.runs {
        // Ids, numbers and states need no quotes.
        write!(text, "{},{},{}", run.method, run.variant, run.seed).expect("writing to a String cannot fail");
        for (id, _) in METRICS {
            text.push(',');
            text.push_str(&run.scores.get(id).map_or(String::new(), |score| fraction(*score)));
        }
        let fingerprint = run.fingerprint.as_deref().unwrap_or_default();
        writeln!(text, ",{fingerprint},{}", run.state.text()).expect("writing to a String cannot fail");
    }
    text
}

/// One row per run: seconds of training, when it last began and when it ended (RFC 3339).
pub fn times_csv(study: &Study) -> String {
    let mut text = String::from("base,variant,seed,seconds,started,ended\n");
    for run in &study.runs {
        let seconds = run.seconds.map_or(String::new(), |seconds| format!("{seconds:.1}"));
        let known = |time: &Option<String>| time.clone().unwrap_or_default();
        text.push_str(&format!(
            "{},{},{},{seconds},{},{}\n",
            run.method,
            run.variant,
            run.seed,
            known(&run.started),
            known(&run.ended)
        ));
    }
    text
}

/// One row per metric, method and variant: the drop from the baseline in points, paired by seed; then one per two methods: what
/// the first loses above the second. Empty where too few seeds give an interval.
pub fn differences_csv(study: &Study) -> String {
    let mut text = String::from(
        "metric,base,above,variant,n,mean,lowest,highest,bootstrap_low,bootstrap_high,student_half_width,published\n",
    );
    let mut add = |names: [&str; 4], sample: &Sample, published: Option<f64>| {
        let known = |value: Option<f64>| value.map_or(String::new(), fraction);
        let (range, interval) = (sample.range(), sample.interval());
        let numbers = [
            sample.mean(),
            range.map(|(low, _)| low),
            range.map(|(_, high)| high),
            interval.map(|(low, _)| low),
            interval.map(|(_, high)| high),
            sample.student_half_width(),
            published,
        ];
        text.push_str(&format!("{},{},{}\n", names.join(","), sample.n(), numbers.map(known).join(",")));
    };
    for metric in &study.metrics {
        for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
            for method in &study.methods {
                let sample = drop(study, &metric.id, &method.id, &variant.id);
                let published = study.reference_drop(&method.id, &variant.id);
                add([&metric.id, &method.id, "", &variant.id], &sample, published);
            }
            for (more, less) in study.pairs() {
                let sample = difference_of_drops(study, &metric.id, &variant.id, &more.id, &less.id);
                let [of_more, of_less] =
                    [more, less].map(|method| study.reference_drop(&method.id, &variant.id));
                let published = of_more.zip(of_less).map(|(of_more, of_less)| of_more - of_less);
                add([&metric.id, &more.id, &less.id, &variant.id], &sample, published);
            }
        }
    }
    text
}

/// Six decimals tell a million test images apart.
fn fraction(score: f64) -> String {
    ((score * 1e6).round() / 1e6).to_string()
}

/// Headline, what holds and what not, levels and drops.
pub fn markdown(study: &Study) -> String {
    let found = findings(study);
    let mut text = format!("# {}\n\n{}\n", study.title, found.headline);
    if let Some(levels) = &found.levels {
        text.push_str(&format!("\n{levels}\n"));
    }
    for (title, items) in [
        ("As published", &found.holds),
        ("Not as published", &found.does_not_hold),
        ("To keep in mind", &found.notes),
    ] {
        if !items.is_empty() {
            text.push_str(&format!("\n## {title}\n\n"));
            items.iter().for_each(|item| text.push_str(&format!("- {item}\n")));
        }
    }
    for metric in &study.metrics {
        text.push_str(&format!(
            "\n## Accuracy by {}, %: mean (range) over {}\n\n",
            metric.label,
            seeds(study.seeds.len())
        ));
        let levels = |method: &str, variant: &str| {
            let early = study.stopped_early(method, variant);
            let label = early.map_or(String::new(), |label| format!(", {label}"));
            cell(&level(study, &metric.id, method, variant)) + &label
        };
        text.push_str(&table(study, levels, true));
        let random = random_level(study, &metric.id);
        if random.n() > 0 {
            text.push_str(&format!("\nUntrained encoder: {}.", cell(&random)));
        }
        if let Some(chance) = study.chance {
            text.push_str(&format!(" Chance: {}.", number(chance * 100.0)));
        }
        text.push_str(&format!(
            "\n\n## Drop from the baseline by {}, points, paired by seed: mean (range) [{:.0} % interval]\n\n",
            metric.label,
            interval::CONFIDENCE * 100.0
        ));
        let drops = |method: &str, variant: &str| {
            let published = study.reference_drop(method, variant).map(number);
            let published = published.map_or(String::new(), |drop| format!(", published {drop}"));
            paired_cell(&drop(study, &metric.id, method, variant)) + &published
        };
        text.push_str(&table(study, drops, false));
        if study.methods.len() > 1 {
            text.push_str(&differences(study, metric));
        }
    }
    if let Some(reference) = &study.reference {
        text.push_str(&format!("\nPublished: {}.\n", reference.source.trim_end_matches('.')));
    }
    let early: Vec<_> = study.runs.iter().filter(|run| run.stopped.is_some()).collect();
    if !early.is_empty() {
        text.push_str("\n## Runs that were stopped early\n\n");
        for run in early {
            let how = run.stopped.as_deref().unwrap_or_default();
            text.push_str(&format!("- {} {} seed {}: {how}\n", run.method, run.variant, run.seed));
        }
    }
    let missing: Vec<_> = study.runs.iter().filter(|run| !run.state.is_result()).collect();
    if !missing.is_empty() {
        text.push_str("\n## Runs that are missing\n\n");
        for run in missing {
            let error =
                run.error.as_ref().map_or(String::new(), |error| format!(": {}", error.replace('\n', " ")));
            text.push_str(&format!(
                "- {} {} seed {}: {}{error}\n",
                run.method,
                run.variant,
                run.seed,
                run.state.text()
            ));
        }
    }
    text
}

fn cell(sample: &Sample) -> String {
    match (sample.mean(), sample.range()) {
        (Some(mean), Some((low, high))) if sample.n() > 1 => {
            format!("{} ({} to {})", number(mean), number(low), number(high))
        }
        (Some(mean), _) => number(mean),
        _ => "–".into(),
    }
}

/// As [`cell`], with the interval of the mean where there is one.
fn paired_cell(sample: &Sample) -> String {
    let interval = sample.interval().map(|(low, high)| format!(" [{}, {}]", number(low), number(high)));
    cell(sample) + &interval.unwrap_or_default()
}

/// What the first of two methods loses above the second.
fn differences(study: &Study, metric: &Metric) -> String {
    let mut text = format!(
        "\n## Difference of drops by {}, points, paired by seed\n\n| variant | methods | difference | n |\n|---|---|---|---|\n",
        metric.label
    );
    for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
        for (more, less) in study.pairs() {
            let sample = difference_of_drops(study, &metric.id, &variant.id, &more.id, &less.id);
            text.push_str(&format!(
                "| {} | {} above {} | {} | {} |\n",
                variant.label,
                more.label,
                less.label,
                paired_cell(&sample),
                sample.n()
            ));
        }
    }
    text
}

fn table(study: &Study, cell: impl Fn(&str, &str) -> String, with_baseline: bool) -> String {
    let labels: Vec<&str> = study.methods.iter().map(|method| method.label.as_str()).collect();
    let mut text = format!("| variant | {} |\n|---|{}\n", labels.join(" | "), "---|".repeat(labels.len()));
    for variant in study.variants.iter().filter(|variant| with_baseline || variant.id != study.baseline) {
        let cells: Vec<String> = study.methods.iter().map(|method| cell(&method.id, &variant.id)).collect();
        text.push_str(&format!("| {} | {} |\n", variant.label, cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use diptych_report::example;

    #[test]
    fn the_csv_has_a_row_per_run_with_its_numbers() {
        let csv = csv(&example::study());
        let rows: Vec<&str> = csv.lines().collect();
        assert_eq!(rows.len(), 25);
        assert_eq!(rows[0], "base,variant,seed,linear_top1,knn_top1,fingerprint,state");
        assert!(
            rows[1].starts_with("byol,baseline,0,0.661,0.582,") && rows[1].ends_with(",finished"),
            "{}",
            rows[1]
        );
        assert_eq!(times_csv(&example::study()).lines().nth(1).unwrap().split(',').nth(3), Some("55.0"));
    }

    #[test]
    fn the_csv_of_differences_says_n_and_leaves_out_intervals_of_two_seeds() {
        let mut study = example::study();
        let row = |study: &Study, start: &str| {
            differences_csv(study).lines().find(|line| line.starts_with(start)).unwrap().to_string()
        };
        assert!(
            row(&study, "linear,byol,simclr,crop_only,").starts_with("linear,byol,simclr,crop_only,3,-49.3")
        );
        assert_eq!(differences_csv(&study).lines().count(), 1 + 2 * 3 * 3);
        study.runs.retain(|run| run.seed < 2);
        assert_eq!(row(&study, "linear,byol,,crop_only,"), "linear,byol,,crop_only,2,12.45,8,16.9,,,,13.1");
    }

    #[test]
    fn the_table_has_levels_and_drops_with_ranges_and_the_published_numbers() {
        let text = markdown(&example::study());
        assert!(text.contains("| crop only | 51.2 (49.2 to 53.6) | 37.2 (32.8 to 41.2) |"), "{text}");
        assert!(text.contains(
            "| crop only | 12.5 (8.0 to 16.9) [8.0, 16.9], published 13.1 | 61.8 (58.1 to 66.1) [58.1, 66.1], published 27.6 |"
        ), "{text}");
        assert!(
            text.contains("| crop only | BYOL above SimCLR | −49.3 (−50.1 to −48.7) [−50.1, −48.7] | 3 |"),
            "{text}"
        );
        assert!(text.contains("Untrained encoder: 30.0 (28.7 to 31.1). Chance: 12.5."));
    }
}
