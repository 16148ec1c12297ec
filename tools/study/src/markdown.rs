//! The results for reading: `results.md`.

use diptych_report::text::{number, seeds};
use diptych_report::{
    Metric, Sample, Study, difference_of_drops, drop, findings, interval, level, random_level,
};

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
        text.push_str(&table(
            study,
            |method, variant| {
                let condition = study.condition(method, variant);
                let condition = condition.map_or(String::new(), |condition| format!(", {condition}"));
                cell(&level(study, &metric.id, method, variant)) + &condition
            },
            true,
        ));
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
    use diptych_report::{Verdict, example};

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
    #[test]
    fn a_collapsed_arm_says_so_beside_its_level() {
        let mut study = example::study();
        for run in study.runs.iter_mut().filter(|run| run.variant == "crop_only" && run.method == "byol") {
            run.verdict = Some(Verdict::Collapsed);
        }
        assert!(markdown(&study).contains("| crop only | 51.2 (49.2 to 53.6), collapsed | 37.2"));
    }
}
