//! The page: one file without any resource but itself, readable on a phone, in the dark and on paper.

mod appendix;
mod curves;
mod tables;
mod views;

use crate::chart::{self, COLORS, Chart, Look, SHARED_STYLE};
use crate::data::Study;
use crate::findings::{Findings, findings};
use crate::text::{duration, escape, seeds};

/// The whole page.
pub fn page(study: &Study) -> String {
    let found = findings(study);
    let mut body = header(study, &found);
    body.push_str("<main>\n");
    body.push_str(&charts(study));
    body.push_str(&findings_section(study, &found));
    body.push_str(&tables::section(study));
    body.push_str(&views::section(study));
    body.push_str(&curves::section(study));
    body.push_str(&appendix::section(study));
    body.push_str("</main>\n");
    body.push_str(&footer(study));
    document(&study.title, &body)
}

/// A page without any resource but itself, in the report's style.
pub(crate) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"diptych {}\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        escape(title),
        style()
    )
}

/// The style of all pages, for light and dark: classes `fillN`, `strokeN` and `backN` have the colour of method N.
pub fn style() -> String {
    format!("{}{SHARED_STYLE}{}", include_str!("style.css"), colors())
}

/// The methods' colours, for light and dark pages; paper is always light.
fn colors() -> String {
    let rules = |pick: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        let rule = |(index, pair): (usize, &(&'static str, &'static str))| {
            let color = pick(pair);
            format!(
                ".fill{index}{{fill:{color}}}.stroke{index}{{stroke:{color}}}.back{index}{{background:{color}}}"
            )
        };
        COLORS.iter().enumerate().map(rule).collect()
    };
    let (light, dark) = (rules(|(light, _)| light), rules(|(_, dark)| dark));
    format!("\n{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}\n")
}

fn header(study: &Study, found: &Findings) -> String {
    let finished = study.runs.iter().filter(|run| run.state.is_result()).count();
    let training: f64 = study.runs.iter().filter_map(|run| run.seconds).sum();
    let mut facts = vec![
        format!("<b>{finished}</b> of {} runs", study.runs.len()),
        format!(
            "<b>{}</b> method{}, <b>{}</b> variants",
            study.methods.len(),
            if study.methods.len() == 1 { "" } else { "s" },
            study.variants.len()
        ),
        format!("n = <b>{}</b>", study.seeds_behind()),
    ];
    if training > 0.0 {
        facts.push(format!("<b>{}</b> of training", duration(training)));
    }
    let facts: String = facts.iter().map(|fact| format!("<li>{fact}</li>")).collect();
    let lede = found
        .levels
        .as_ref()
        .map_or(String::new(), |text| format!("<p class=\"lede\">{}</p>\n", escape(text)));
    format!(
        "<header>\n<p class=\"eyebrow\"><span class=\"mark\" aria-hidden=\"true\"></span>Diptych study: {}</p>\n<h1>{}</h1>\n\
         <p class=\"headline\" id=\"headline\">{}</p>\n{lede}<ul class=\"facts\">{facts}</ul>\n</header>\n",
        escape(&study.name),
        escape(&study.title),
        escape(&found.headline)
    )
}

fn figure(chart: &Chart) -> String {
    format!("<figure>{}</figure>\n", chart.svg.inline(&chart.description))
}

fn charts(study: &Study) -> String {
    let Some(metric) = study.main_metric() else { return String::new() };
    let (levels, drops) = (chart::levels(study, metric), chart::drops(study, metric));
    let scans: String = chart::scans(study, metric).iter().map(figure).collect();
    let scans = if scans.is_empty() { scans } else { format!("<div class=\"scans\">\n{scans}</div>\n") };
    format!(
        "<div id=\"charts\">\n{scans}<div class=\"diptych\">\n{}{}</div>\n<p class=\"note\">The numbers behind these charts are in the \
         <a href=\"#tables\">tables</a>; the figures of single seeds show under the pointer.</p></div>\n",
        figure(&levels),
        figure(&drops)
    )
}

fn findings_section(study: &Study, found: &Findings) -> String {
    let list = |class: &str, title: &str, items: &[String]| {
        if items.is_empty() {
            return String::new();
        }
        let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
        format!("<div class=\"{class}\"><h3>{title}</h3>\n<ul>{items}</ul></div>\n")
    };
    let source = study.reference.as_ref().map_or(String::new(), |reference| {
        format!(
            "<p class=\"note\">Published: {}. Another data set at another scale: directions can be compared, levels cannot.</p>\n",
            escape(reference.source.trim_end_matches('.'))
        )
    });
    format!(
        "<section id=\"findings\"><h2>What holds, and what does not</h2>\n{source}<div class=\"findings\">\n{}{}{}</div></section>\n",
        list("holds", "As published", &found.holds),
        list("fails", "Not as published", &found.does_not_hold),
        list("mind", "To keep in mind", &found.notes)
    )
}

fn legend(study: &Study) -> String {
    let methods = study.methods.iter().map(|method| {
        format!("<span>{}{}</span>", Look::of(study, &method.id).swatch(), escape(&method.label))
    });
    format!("<p class=\"legend\">{}</p>\n", methods.collect::<String>())
}

fn footer(study: &Study) -> String {
    format!(
        "<footer><p>Made by diptych {} from {} under {}. Beside this page: results, differences and curves as CSV and Parquet, results.md, \
         and the charts and curves as SVG and PNG.</p></footer>\n",
        env!("CARGO_PKG_VERSION"),
        if study.runs.len() == 1 { "one run".to_string() } else { format!("{} runs", study.runs.len()) },
        seeds(study.seeds.len())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sheet;
    use crate::example;

    #[test]
    fn the_page_loads_nothing_from_anywhere() {
        let mut study = example::study();
        study.sheets.push(Sheet {
            image: vec![1, 2, 3],
            media_type: "image/webp".into(),
            width: 4,
            height: 4,
            ..Sheet::default()
        });
        let page = page(&study);
        let outside: Vec<&str> =
            page.match_indices("://").map(|(at, _)| &page[at.saturating_sub(40)..at + 20]).collect();
        // The name of SVG's namespace is no address that a browser loads.
        assert!(outside.iter().all(|text| text.contains("xmlns=\"http://www.w3.org")), "{outside:?}");
        for forbidden in ["<script", "@import", "url(", "<link rel=\"stylesheet", "srcset", "<iframe"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("data:image/webp;base64,AQID"));
    }

    #[test]
    fn every_run_is_in_the_charts_the_curves_and_the_table_of_runs() {
        let study = example::study();
        let page = page(&study);
        let metric_marks = page.matches(" seed\"").count();
        assert_eq!(metric_marks, 24 + 24);
        assert_eq!(page.matches("<polyline class=\"stroke0 curve\"").count(), 3 * 4);
        for run in &study.runs {
            assert!(page.contains(run.fingerprint.as_ref().unwrap()));
        }
    }

    #[test]
    fn every_picture_has_a_text_alternative() {
        let mut study = example::study();
        study.sheets.push(Sheet {
            arms: vec![("byol".into(), "baseline".into())],
            description: "two stripes".into(),
            ..Sheet::default()
        });
        let page = page(&study);
        assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\" aria-label=\"").count());
        assert!(!page.contains("aria-label=\"\""));
        assert!(page.contains("alt=\"Contact sheet of baseline (BYOL): two stripes\""));
    }

    #[test]
    fn every_head_of_a_table_says_of_what_and_every_wide_table_can_be_scrolled_by_keys() {
        let page = page(&example::study());
        assert_eq!(
            page.matches("<th").count() - page.matches("<thead").count(),
            page.matches(" scope=\"").count()
        );
        assert_eq!(
            page.matches("class=\"wide\"").count(),
            page.matches("class=\"wide\" tabindex=\"0\"").count()
        );
    }

    #[test]
    fn names_and_errors_cannot_break_the_page() {
        let mut study = example::study();
        study.title = "<script>alert(1)</script>".into();
        study.methods[0].label = "a<b".into();
        study.runs[0].state = crate::data::State::Failed;
        study.runs[0].error = Some("found </table> & \"more\"".into());
        let page = page(&study);
        assert!(!page.contains("<script>") && !page.contains("a<b") && !page.contains("found </table>"));
        assert!(page.contains("found &lt;/table&gt; &amp; &quot;more&quot;"));
    }

    #[test]
    fn the_headline_stands_in_the_page_as_the_findings_have_it() {
        let study = example::study();
        assert!(
            page(&study).contains(&format!("id=\"headline\">{}</p>", escape(&findings(&study).headline)))
        );
    }

    #[test]
    fn a_study_without_anything_is_still_a_page() {
        let page = page(&Study::default());
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    }
}
