//! The results for reading: `results.md`.

use diptych_report::text::number;
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
            "\n## {} by {}, %: mean (range; n) over {}\n\n",
            metric.measure.title(),
            metric.label,
            study.seeds_behind()
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
        let random = (random.n() > 0).then(|| format!("Untrained encoder: {}.", cell(&random)));
        let chance = study.chance.map(|chance| format!("Chance: {}.", number(chance * 100.0)));
        let floors: Vec<String> = random.into_iter().chain(chance).collect();
        if !floors.is_empty() {
            text.push_str(&format!("\n{}\n", floors.join(" ")));
        }
        text.push_str(&format!(
            "\n## Drop from the baseline by {}, points, paired by seed: mean (range; n) [{:.0} % interval]\n\n",
            metric.label,
            interval::CONFIDENCE * 100.0
        ));
        let drops = |method: &str, variant: &str| {
            let published = study.published_drop(method, variant).map(number);
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

/// `51.2 (49.2 to 53.6; n = 3)`
fn cell(sample: &Sample) -> String {
    match (sample.mean(), sample.range()) {
        (Some(mean), Some((low, high))) if sample.n() > 1 => {
            format!("{} ({} to {}; n = {})", number(mean), number(low), number(high), sample.n())
        }
        (Some(mean), _) => format!("{} (one seed)", number(mean)),
        _ => "–".into(),
    }
}

/// A label as it stands in a table: a bar would begin another cell.
fn label(text: &str) -> String {
    text.replace('|', "\\|")
}

/// As [`cell`], with the interval of the mean where there is one.
fn paired_cell(sample: &Sample) -> String {
    let interval = sample.interval().map(|(low, high)| format!(" [{}, {}]", number(low), number(high)));
    cell(sample) + &interval.unwrap_or_default()
}

/// What the first of two methods loses above the second.
fn differences(study: &Study, metric: &Metric) -> String {
    let mut text = format!(
        "\n## Difference of drops by {}, points, paired by seed\n\n| variant | methods | difference |\n|---|---|---|\n",
        metric.label
    );
    for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
        for (more, less) in study.pairs() {
            let sample = difference_of_drops(study, &metric.id, &variant.id, &more.id, &less.id);
            text.push_str(&format!(
                "| {} | {} above {} | {} |\n",
                label(&variant.label),
                label(&more.label),
                label(&less.label),
                paired_cell(&sample)
            ));
        }
    }
    text
}

fn table(study: &Study, cell: impl Fn(&str, &str) -> String, with_baseline: bool) -> String {
    let labels: Vec<String> = study.methods.iter().map(|method| label(&method.label)).collect();
    let mut text = format!("| variant | {} |\n|---|{}\n", labels.join(" | "), "---|".repeat(labels.len()));
    for variant in study.variants.iter().filter(|variant| with_baseline || variant.id != study.baseline) {
        let cells: Vec<String> = study.methods.iter().map(|method| cell(&method.id, &variant.id)).collect();
        text.push_str(&format!("| {} | {} |\n", label(&variant.label), cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use diptych_report::{Verdict, example};

    #[test]
    fn the_table_has_levels_and_drops_with_ranges_and_their_n_and_the_published_numbers() {
        let text = markdown(&example::study());
        assert!(
            text.contains("| crop only | 51.2 (49.2 to 53.6; n = 3) | 37.2 (32.8 to 41.2; n = 3) |"),
            "{text}"
        );
        assert!(text.contains(
            "| crop only | 12.5 (8.0 to 16.9; n = 3) [8.0, 16.9], published 13.1 | 61.8 (58.1 to 66.1; n = 3) [58.1, 66.1], published 27.6 |"
        ), "{text}");
        assert!(
            text.contains("| crop only | BYOL above SimCLR | −49.3 (−50.1 to −48.7; n = 3) [−50.1, −48.7] |"),
            "{text}"
        );
        assert!(
            text.contains("\n\nUntrained encoder: 30.0 (28.7 to 31.1; n = 3). Chance: 12.5.\n\n"),
            "{text}"
        );
    }

    #[test]
    fn what_is_known_of_guessing_alone_is_a_line_of_its_own() {
        let text = markdown(&Study { random_encoders: Vec::new(), ..example::study() });
        assert!(text.contains("|\n\nChance: 12.5.\n\n## Drop"), "{text}");
    }

    #[test]
    fn remarks_are_among_what_to_keep_in_mind() {
        let study = Study { remarks: vec!["Two builds.".into()], ..example::study() };
        assert!(markdown(&study).contains("- Two builds.\n"));
    }

    #[test]
    fn a_bar_in_a_label_begins_no_cell() {
        let mut study = example::study();
        study.variants[3].label = "crop | only".into();
        study.methods[0].label = "B|OL".into();
        let text = markdown(&study);
        assert!(
            text.contains("| variant | B\\|OL | SimCLR |") && text.contains("| crop \\| only | 51.2"),
            "{text}"
        );
        assert!(text.contains("| crop \\| only | B\\|OL above SimCLR |"), "{text}");
    }

    #[test]
    fn a_seed_that_is_missing_is_missing_in_the_n_of_its_arm() {
        let mut study = example::study();
        study.runs.retain(|run| run.seed < 1 || run.variant != "crop_only" || run.method != "byol");
        let text = markdown(&study);
        assert!(text.contains("| crop only | 49.2 (one seed) | 37.2 (32.8 to 41.2; n = 3) |"), "{text}");
    }

    #[test]
    fn a_collapsed_arm_says_so_beside_its_level() {
        let mut study = example::study();
        for run in study.runs.iter_mut().filter(|run| run.variant == "crop_only" && run.method == "byol") {
            run.verdict = Some(Verdict::Collapsed);
        }
        assert!(markdown(&study).contains("| crop only | 51.2 (49.2 to 53.6; n = 3), collapsed | 37.2"));
    }
}
