//! The numbers behind the charts: levels with their ranges, and drops beside the published ones.

use crate::chart::Look;
use crate::data::{Method, Metric, Study};
use crate::statistics::{Sample, difference_of_drops, drop, interval, level, random_level};
use crate::text::{escape, number};

pub fn section(study: &Study) -> String {
    let Some(metric) = study.main_metric() else { return String::new() };
    let mut html = String::from("<section id=\"tables\"><h2>The numbers</h2>\n");
    html.push_str(&format!(
        "<p class=\"note\">Mean over seeds (n = {}), with the range beneath, and of drops the {:.0}\u{a0}% bootstrap interval where at least {} paired seeds give one. \
         A drop is what the baseline has above the variant under the same seed.</p>\n",
        study.seeds_behind(),
        interval::CONFIDENCE * 100.0,
        interval::LEAST_SEEDS
    ));
    html.push_str(&format!("<h3>{}, %</h3>\n", metric.measure.title()));
    html.push_str(&levels(study));
    html.push_str("<h3>Drop from the baseline, points</h3>\n");
    html.push_str(&drops(study));
    if study.methods.len() > 1 {
        html.push_str("<h3>Difference of drops between methods, points</h3>\n");
        html.push_str(&differences(study));
    }
    html.push_str("</section>\n");
    html
}

/// Two header rows: methods, and below each of them what it has.
fn head(study: &Study, below: &[String]) -> String {
    let methods = study.methods.iter().map(|method| {
        format!(
            "<th class=\"g\" scope=\"colgroup\" colspan=\"{}\">{}{}</th>",
            below.len(),
            Look::of(study, &method.id).swatch(),
            escape(&method.label)
        )
    });
    let below = below.iter().enumerate().map(|(index, text)| {
        format!("<th class=\"{}\" scope=\"col\">{}</th>", class(index == 0), escape(text))
    });
    let below: String = below.collect();
    format!(
        "<thead><tr><td></td>{}</tr>\n<tr><th scope=\"col\">variant</th>{}</tr></thead>\n",
        methods.collect::<String>(),
        below.repeat(study.methods.len())
    )
}

/// Numbers, with some room before the first of a method.
fn class(first: bool) -> &'static str {
    if first { "n g" } else { "n" }
}

/// Mean, range and n.
fn cell(sample: &Sample, first: bool) -> String {
    let class = class(first);
    let (Some(mean), Some((low, high))) = (sample.mean(), sample.range()) else {
        return format!("<td class=\"{class}\">\u{2013}</td>");
    };
    let below = match sample.n() {
        1 => "one seed".to_string(),
        n => format!("{} to {}, n\u{a0}=\u{a0}{n}", number(low), number(high)),
    };
    format!("<td class=\"{class}\">{}<br><small>{below}</small></td>", number(mean))
}

/// As [`cell`], with the interval of the mean.
fn paired_cell(sample: &Sample, first: bool) -> String {
    let cell = cell(sample, first);
    let Some((low, high)) = sample.interval() else { return cell };
    let interval = format!("<br>[{}, {}]</small></td>", number(low), number(high));
    cell.replace("</small></td>", &interval)
}

/// The cells of one method, one per metric.
fn cells(study: &Study, sample: impl Fn(&Metric) -> Sample) -> String {
    let metrics = study.metrics.iter().enumerate();
    metrics.map(|(index, metric)| cell(&sample(metric), index == 0)).collect()
}

fn row(label: &str, cells: &str) -> String {
    format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(label))
}

fn table(study: &Study, labels: &[String], rows: &str) -> String {
    format!(
        "<div class=\"wide\" tabindex=\"0\"><table class=\"first\">{}<tbody>{rows}</tbody></table></div>\n",
        head(study, labels)
    )
}

fn levels(study: &Study) -> String {
    let labels: Vec<String> = study.metrics.iter().map(|metric| metric.label.clone()).collect();
    let mut rows = String::new();
    for variant in &study.variants {
        let of = |method: &Method| {
            let cells = cells(study, |metric| level(study, &metric.id, &method.id, &variant.id));
            match study.condition(&method.id, &variant.id) {
                // Below the first of the method's numbers.
                Some(condition) => {
                    cells.replacen("<br>", &format!("<br><small class=\"bad\">{condition}</small><br>"), 1)
                }
                None => cells,
            }
        };
        rows.push_str(&row(&variant.label, &study.methods.iter().map(of).collect::<String>()));
    }
    // What an encoder that learned nothing gets is the same for every method.
    if !study.random_encoders.is_empty() {
        let random = cells(study, |metric| random_level(study, &metric.id));
        rows.push_str(&row("untrained encoder", &random.repeat(study.methods.len())));
    }
    if let Some(chance) = study.chance {
        let one = |first| format!("<td class=\"{}\">{}</td>", class(first), number(chance * 100.0));
        let chance: String = (0..study.metrics.len()).map(|index| one(index == 0)).collect();
        rows.push_str(&row("chance", &chance.repeat(study.methods.len())));
    }
    table(study, &labels, &rows)
}

fn drops(study: &Study) -> String {
    let mut labels: Vec<String> = study.metrics.iter().map(|metric| metric.label.clone()).collect();
    let published = study.reference.is_some();
    if published {
        labels.push("published".into());
    }
    let mut rows = String::new();
    for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
        let of = |method: &Method| {
            let metrics = study.metrics.iter().enumerate();
            let mut cells: String = metrics
                .map(|(index, metric)| {
                    paired_cell(&drop(study, &metric.id, &method.id, &variant.id), index == 0)
                })
                .collect();
            if published {
                let drop = study.published_drop(&method.id, &variant.id);
                cells.push_str(&format!("<td class=\"n\">{}</td>", drop.map_or("\u{2013}".into(), number)));
            }
            cells
        };
        rows.push_str(&row(&variant.label, &study.methods.iter().map(of).collect::<String>()));
    }
    table(study, &labels, &rows)
}

/// One row per variant and pair of methods; what the first loses above the second. Many are folded away.
fn differences(study: &Study) -> String {
    const MOST_OPEN: usize = 40;
    let heads = study
        .metrics
        .iter()
        .map(|metric| format!("<th class=\"n\" scope=\"col\">{}</th>", escape(&metric.label)));
    let mut rows = Vec::new();
    for variant in study.variants.iter().filter(|variant| variant.id != study.baseline) {
        for (more, less) in study.pairs() {
            let cells = study.metrics.iter().map(|metric| {
                paired_cell(&difference_of_drops(study, &metric.id, &variant.id, &more.id, &less.id), false)
            });
            let label = format!("{}: {} above {}", variant.label, more.label, less.label);
            rows.push(row(&label, &cells.collect::<String>()));
        }
    }
    let table = format!(
        "<div class=\"wide\" tabindex=\"0\"><table class=\"first\"><thead><tr><th scope=\"col\">variant</th>{}</tr></thead><tbody>{}</tbody></table></div>\n",
        heads.collect::<String>(),
        rows.concat()
    );
    match rows.len() {
        count if count > MOST_OPEN => {
            format!("<details><summary>{count} differences</summary>\n{table}</details>\n")
        }
        _ => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Run, Verdict};
    use crate::example;

    #[test]
    fn every_number_says_its_n_and_a_collapsed_arm_that_it_collapsed() {
        let mut study = example::study();
        let of_arm = |run: &&mut Run| (&*run.method, &*run.variant) == ("byol", "crop_only");
        study.runs.iter_mut().filter(of_arm).for_each(|run| run.verdict = Some(Verdict::Collapsed));
        let html = section(&study);
        // Two metrics of eight arms and one untrained encoder for each of two methods, six drops, three differences.
        assert_eq!(html.matches("n\u{a0}=\u{a0}3").count(), 2 * (8 + 2 + 6 + 3));
        assert_eq!(html.matches("51.2<br><small class=\"bad\">collapsed</small>").count(), 1, "{html}");
        assert_eq!(html.matches("class=\"bad\"").count(), 1);
    }

    #[test]
    fn differences_of_many_pairs_are_folded_away() {
        let mut study = example::study();
        assert!(!section(&study).contains("<details>"));
        study.methods.extend((0..8).map(|index| Method { id: format!("m{index}"), label: String::new() }));
        assert!(section(&study).contains("<summary>135 differences</summary>"));
    }
}
