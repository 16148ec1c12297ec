//! Learning and diagnostics curves, with a table of where they end.

use crate::chart::{self, CurveSet};
use crate::data::Study;
use crate::text::escape;

/// With more plots than these a figure is folded away unless it is the first.
const MOST_OPEN: usize = 12;

pub fn section(study: &Study) -> String {
    let sets = chart::curve_sets(study);
    if sets.is_empty() {
        return String::new();
    }
    let figures = sets.iter().enumerate().map(|(index, set)| {
        let plots: String = set.plots.iter().map(|plot| plot.svg.inline(&plot.description) + "\n").collect();
        let title = escape(set.title);
        if set.plots.len() <= MOST_OPEN {
            return format!("<h3>{title}</h3>\n<div class=\"small\">{plots}</div>\n");
        }
        let open = if index == 0 { " open" } else { "" };
        format!("<details{open}><summary>{title}</summary>\n<div class=\"small\">{plots}</div></details>\n")
    });
    format!(
        "<section id=\"curves\"><h2>On the way</h2>\n<p class=\"note\">Lines are means over the seeds that have come so far{}, in a band from \
         the lowest to the highest, over the optimizer's steps; axes are shared within a figure, but not those of losses, which arms may \
         change.</p>\n{}{}{}</section>\n",
        drawn(&sets).map_or(String::new(), |n| format!(" ({n})")),
        if chart::needs_legend(study) { super::legend(study) } else { String::new() },
        figures.collect::<String>(),
        ends(study, &sets),
    )
}

/// `n = 3`, or `n = 1 to 3`: runs that are at work or were interrupted have curves too.
fn drawn(sets: &[CurveSet]) -> Option<String> {
    let points = || sets.iter().flat_map(|set| &set.curves).flat_map(|curve| &curve.points);
    let (least, most) = (points().map(|point| point.n).min()?, points().map(|point| point.n).max()?);
    Some(if least == most { format!("n = {most}") } else { format!("n = {least} to {most}") })
}

/// Where the curves end: one row per arm, one column per figure.
fn ends(study: &Study, sets: &[CurveSet]) -> String {
    let heads: String =
        sets.iter().map(|set| format!("<th class=\"n\" scope=\"col\">{}</th>", escape(set.title))).collect();
    let mut rows = String::new();
    for variant in &study.variants {
        for method in &study.methods {
            let cell = |set: &CurveSet| {
                let arm =
                    |curve: &&chart::ArmCurve| (&curve.method, &curve.variant) == (&method.id, &variant.id);
                let last = set.curves.iter().find(arm).and_then(|curve| curve.points.last());
                last.map_or("<td class=\"n\">\u{2013}</td>".to_string(), |last| {
                    let range = match last.n {
                        1 => "one seed".to_string(),
                        n => format!("{:.3} to {:.3}, n = {n}", last.lowest, last.highest),
                    };
                    format!("<td class=\"n\">{:.3}<br><small>{range}</small></td>", last.mean)
                })
            };
            let cells: String = sets.iter().map(cell).collect();
            let health = study.unhealthy(&method.id, &variant.id);
            let health = health.map(|found| format!(" <small class=\"bad\">{}</small>", found.text()));
            rows.push_str(&format!(
                "<tr><th scope=\"row\">{}, {}{}</th>{cells}</tr>\n",
                escape(&method.label),
                escape(&variant.label),
                health.unwrap_or_default(),
            ));
        }
    }
    format!(
        "<details id=\"ends\"><summary>Where the curves end, in numbers</summary>\n<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">arm</th>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table></div></details>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{State, Variant, Verdict};
    use crate::example;

    #[test]
    fn every_arm_has_a_row_with_where_its_curves_end() {
        let mut study = example::study();
        study.runs[0].verdict = Some(Verdict::Collapsed);
        study.runs[1].verdict = Some(Verdict::Healthy);
        let html = section(&study);
        assert_eq!(html.matches("n = 3</small>").count(), 8 * 3);
        assert!(html.contains("BYOL, baseline <small class=\"bad\">1 of 2 collapsed</small>"), "{html}");
        assert!(html.contains("(n = 3), in a band"), "{html}");
        assert!(!html.contains("class=\"legend\""), "the lines have their names beside them");
    }

    #[test]
    fn curves_of_runs_at_work_count_though_none_has_finished() {
        let mut study = example::study();
        study.runs.iter_mut().for_each(|run| run.state = State::Running);
        study.runs[0].curves.clear();
        assert!(section(&study).contains("(n = 2 to 3), in a band"));
    }

    #[test]
    fn of_many_variants_the_first_figure_alone_is_open() {
        let mut study = example::study();
        study.variants.extend((0..20).map(|index| Variant { id: format!("v{index}"), ..Variant::default() }));
        let html = section(&study);
        assert_eq!((html.matches("<details open>").count(), html.matches("<details>").count()), (1, 2));
    }
}
