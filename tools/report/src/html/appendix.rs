//! What one needs to trust the page: how the arms differ, every run, and where the numbers come from.

use crate::data::{ArmDifference, Run, Study, Verdict};
use crate::text::{duration, escape, number};

pub fn section(study: &Study) -> String {
    let mut html = String::from("<section id=\"provenance\"><h2>Where this comes from</h2>\n");
    html.push_str(&facts(study));
    let failed: Vec<&Run> = study.runs.iter().filter(|run| !run.state.is_result()).collect();
    if !failed.is_empty() {
        html.push_str(&format!(
            "<h3>Runs that are missing ({})</h3>\n<dl>{}</dl>\n",
            failed.len(),
            missing(study, &failed)
        ));
    }
    html.push_str("<h3>Details</h3>\n");
    if !study.differences.is_empty() {
        html.push_str(&differences(study));
    }
    html.push_str(&runs(study));
    html.push_str("</section>\n");
    html
}

fn facts(study: &Study) -> String {
    if study.provenance.is_empty() {
        return String::new();
    }
    let facts = study
        .provenance
        .iter()
        .map(|(label, text)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(label), escape(text)));
    format!("<dl>{}</dl>\n", facts.collect::<String>())
}

fn arm(study: &Study, run: &Run) -> String {
    format!("{}, {}, seed {}", study.method_label(&run.method), study.variant_label(&run.variant), run.seed)
}

fn missing(study: &Study, runs: &[&Run]) -> String {
    let rows = runs.iter().map(|run| {
        let error = run
            .error
            .as_ref()
            .map_or(String::new(), |error| format!(": <span class=\"error\">{}</span>", escape(error)));
        format!("<dt>{}</dt><dd>{}{error}</dd>\n", escape(&arm(study, run)), run.state.text())
    });
    rows.collect()
}

/// One table for each arm that others are compared with: key, its value, the other's value.
fn differences(study: &Study) -> String {
    let mut lefts: Vec<&str> = Vec::new();
    for difference in &study.differences {
        if !lefts.contains(&&*difference.left) {
            lefts.push(&difference.left);
        }
    }
    let table = |left: &&str| {
        let of_left = study.differences.iter().filter(|difference| difference.left == **left);
        format!(
            "<div class=\"wide\" tabindex=\"0\"><table class=\"first\"><thead><tr><th scope=\"col\">arm</th><th scope=\"col\">key</th><th scope=\"col\">{}</th>\
             <th scope=\"col\">this arm</th></tr></thead>{}</table></div>\n",
            escape(left),
            of_left.map(arm_rows).collect::<String>()
        )
    };
    format!(
        "<details id=\"differences\"><summary>In what the arms' configurations differ</summary>\n{}</details>\n",
        lefts.iter().map(table).collect::<String>()
    )
}

/// The rows of one arm, its name before the first.
fn arm_rows(difference: &ArmDifference) -> String {
    let code = |text: &str| format!("<td><code>{}</code></td>", escape(text));
    let mut rows: Vec<String> = difference
        .keys
        .iter()
        .map(|(key, left, right)| format!("{}{}{}</tr>\n", code(key), code(left), code(right)))
        .collect();
    if rows.is_empty() {
        rows.push("<td colspan=\"3\">nothing: the resolved configurations are the same</td></tr>\n".into());
    }
    let name =
        format!("<th scope=\"rowgroup\" rowspan=\"{}\">{}</th>", rows.len(), escape(&difference.right));
    format!("<tbody><tr>{name}{}</tbody>\n", rows.join("<tr>"))
}

fn runs(study: &Study) -> String {
    let heads: String = study
        .metrics
        .iter()
        .map(|metric| format!("<th class=\"n\" scope=\"col\">{}, %</th>", escape(&metric.label)))
        .collect();
    let mut rows = String::new();
    for run in &study.runs {
        let scores: String = study
            .metrics
            .iter()
            .map(|metric| {
                let score =
                    run.scores.get(&metric.id).map_or("\u{2013}".into(), |score| number(score * 100.0));
                format!("<td class=\"n\">{score}</td>")
            })
            .collect();
        let text = |value: &Option<String>| value.as_deref().map_or("\u{2013}".to_string(), escape);
        rows.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td>{scores}<td>{}</td><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
            escape(study.method_label(&run.method)),
            escape(study.variant_label(&run.variant)),
            run.seed,
            run.stopped.as_deref().map_or(run.state.text().to_string(), escape),
            run.verdict.map_or("\u{2013}", Verdict::text),
            run.seconds.map_or("\u{2013}".into(), duration),
            text(&run.started),
            text(&run.ended),
            text(&run.fingerprint),
        ));
    }
    format!(
        "<details id=\"runs\"><summary>All {} runs</summary>\n<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">method</th><th scope=\"col\">variant</th><th class=\"n\" scope=\"col\">seed</th>{heads}\
         <th scope=\"col\">state</th><th scope=\"col\">representation</th><th class=\"n\" scope=\"col\">training</th><th scope=\"col\">started</th><th scope=\"col\">ended</th><th scope=\"col\">fingerprint</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n",
        study.runs.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn arms_that_are_compared_with_the_same_one_share_a_table() {
        let mut study = example::study();
        let difference = |left: &str, right: &str, keys: &[&str]| ArmDifference {
            left: left.into(),
            right: right.into(),
            keys: keys.iter().map(|key| (key.to_string(), "1".into(), "<2>".into())).collect(),
        };
        study.differences = vec![
            difference("BYOL", "SimCLR", &["target"]),
            difference("BYOL, baseline", "BYOL, a", &["x", "y"]),
            difference("BYOL, baseline", "BYOL, b", &[]),
        ];
        let html = differences(&study);
        assert_eq!((html.matches("<table").count(), html.matches("<tbody>").count()), (2, 3));
        assert!(html.contains("rowspan=\"2\">BYOL, a</th><td><code>x</code></td><td><code>1</code></td><td><code>&lt;2&gt;</code>"), "{html}");
        assert!(html.contains("BYOL, b</th><td colspan=\"3\">nothing"), "{html}");
    }
}
