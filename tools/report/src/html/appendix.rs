//! What one needs to trust the page: how the arms differ, every run, and where the numbers come from.

use crate::data::{Run, Study};
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

fn differences(study: &Study) -> String {
    let mut tables = String::new();
    for difference in &study.differences {
        let rows = difference.keys.iter().map(|(key, left, right)| {
            format!(
                "<tr><td><code>{}</code></td><td><code>{}</code></td><td><code>{}</code></td></tr>\n",
                escape(key),
                escape(left),
                escape(right)
            )
        });
        tables.push_str(&format!(
            "<div class=\"wide\"><table><thead><tr><th>key</th><th>{}</th><th>{}</th></tr></thead><tbody>{}</tbody></table></div><br>\n",
            escape(&difference.left),
            escape(&difference.right),
            rows.collect::<String>()
        ));
    }
    format!(
        "<details id=\"differences\"><summary>In what the arms' configurations differ</summary>\n<div>{tables}</div></details>\n"
    )
}

fn runs(study: &Study) -> String {
    let heads: String = study
        .metrics
        .iter()
        .map(|metric| format!("<th class=\"n\">{}, %</th>", escape(&metric.label)))
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
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td>{scores}<td>{}</td><td class=\"n\">{}</td><td>{}</td><td><code>{}</code></td></tr>\n",
            escape(study.method_label(&run.method)),
            escape(study.variant_label(&run.variant)),
            run.seed,
            run.stopped.as_deref().map_or(run.state.text().to_string(), escape),
            run.seconds.map_or("\u{2013}".into(), duration),
            text(&run.started),
            text(&run.fingerprint),
        ));
    }
    format!(
        "<details id=\"runs\"><summary>All {} runs</summary>\n<div class=\"wide\"><table><thead><tr><th>method</th><th>variant</th><th class=\"n\">seed</th>{heads}\
         <th>state</th><th class=\"n\">training</th><th>started</th><th>fingerprint</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n",
        study.runs.len()
    )
}
