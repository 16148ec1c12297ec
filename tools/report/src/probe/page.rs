//! The page: one file without any resource but itself.

use crate::chart::Chart;
use crate::html::document;
use crate::text::escape;

use super::{Probe, ProbeCurve, charts};

/// The whole page.
pub(super) fn page(probe: &Probe) -> String {
    let facts: String = probe.facts.iter().map(|fact| format!("<li>{}</li>", escape(fact))).collect();
    let warnings: String =
        probe.warnings.iter().map(|text| format!("<p class=\"error\">{}</p>\n", escape(text))).collect();
    let body = format!(
        "<header>\n<p class=\"eyebrow\"><span class=\"mark\" aria-hidden=\"true\"></span>Diptych probe</p>\n\
         <h1 class=\"headline\">{}</h1>\n<ul class=\"facts\">{facts}</ul>\n{warnings}</header>\n<main>\n{}{}{}</main>\n\
         <footer><p>Made by diptych {}. Beside this page: probe.json, probe.svg and probe.png.</p></footer>\n",
        escape(&probe.title),
        invariance(probe),
        shortcuts(probe),
        table(probe),
        env!("CARGO_PKG_VERSION"),
    );
    document(&probe.title, &body)
}

fn figure(chart: &Chart) -> String {
    format!("<figure>{}</figure>\n", chart.svg.inline(&chart.description))
}

fn invariance(probe: &Probe) -> String {
    let legend = probe.series.iter().zip(charts::SERIES).map(|(series, color)| {
        format!("<span><span class=\"swatch back{color}\"></span>{}</span>", escape(&series.label))
    });
    let plots: String =
        charts::curves(probe).iter().map(|plot| plot.svg.inline(&plot.description) + "\n").collect();
    format!(
        "<section id=\"invariance\"><h2>What changes nothing, and what does</h2>\n<p class=\"note\">Mean cosine of an image and what one \
         operator makes of it. The dashed lines are two different images: an operator that comes down to its line takes an image as far \
         away as another image is.</p>\n<p class=\"legend\">{}</p>\n<div class=\"small\">{plots}</div></section>\n",
        legend.collect::<String>()
    )
}

fn shortcuts(probe: &Probe) -> String {
    let rows = probe.shortcuts.iter().map(|row| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.3}</td><td class=\"n\">{:.2}</td><td>{}</td></tr>\n",
            escape(&row.quantity),
            escape(&row.measure),
            row.trained,
            row.untrained,
            row.chance,
            escape(&row.measured_on)
        )
    });
    format!(
        "<section id=\"shortcuts\"><h2>What a view gives away</h2>\n<p class=\"note\">Linear probes on frozen embeddings, on images that \
         they were not fitted on: what a network could tell views apart by, short of what they show. The large dot is the trained encoder, \
         the small one the encoder that the run started from.</p>\n{}<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">quantity</th><th scope=\"col\">measure</th>\
         <th class=\"n\" scope=\"col\">trained</th><th class=\"n\" scope=\"col\">untrained</th><th class=\"n\" scope=\"col\">guessing</th><th scope=\"col\">measured on</th></tr></thead>\n<tbody>{}</tbody></table></div></section>\n",
        figure(&charts::shortcuts(&probe.shortcuts)),
        rows.collect::<String>()
    )
}

/// All cosines, those that are not drawn too.
fn table(probe: &Probe) -> String {
    let head: String = probe
        .series
        .iter()
        .map(|series| format!("<th class=\"n\" scope=\"col\">{}</th>", escape(&series.label)))
        .collect();
    let row = |label: &str, cosines: &mut dyn Iterator<Item = f64>| {
        let cells: String = cosines.map(|cosine| format!("<td class=\"n\">{cosine:.4}</td>")).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", escape(label))
    };
    let mut rows = row("two different images", &mut probe.series.iter().map(|series| series.pairs));
    let rows_of = |curve: &ProbeCurve| -> String {
        let at = |(index, strength): (usize, &String)| {
            let label = format!("{} {strength}", curve.operator);
            row(&label, &mut curve.cosines.iter().map(|cosines| cosines[index]))
        };
        curve.strengths.iter().enumerate().map(at).collect()
    };
    rows.extend(probe.curves.iter().map(rows_of));
    format!(
        "<section id=\"numbers\"><h2>The numbers</h2>\n<div class=\"wide\" tabindex=\"0\"><table><thead><tr><th scope=\"col\">operator</th>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div></section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::probe;
    use super::*;

    #[test]
    fn the_page_escapes_names_warns_and_has_every_number() {
        let probe = probe();
        let page = page(&probe);
        assert!(page.contains("BYOL &lt;at&gt; step 1200") && !page.contains("<at>"));
        assert!(page.contains("class=\"error\">the untrained network"));
        assert!(page.contains("judged on 250"));
        let cosines = probe.curves.iter().flat_map(|curve| curve.cosines.iter().flatten());
        let table = &page[page.find("id=\"numbers\"").unwrap()..];
        for cosine in cosines.chain(probe.series.iter().map(|series| &series.pairs)) {
            assert!(table.contains(&format!("<td class=\"n\">{cosine:.4}</td>")), "{cosine}");
        }
        // Four strengths, and the row of pairs, of four series.
        assert_eq!(table.matches("<th scope=\"row\">").count(), 5);
        assert_eq!(table.matches("<td class=\"n\">").count(), 5 * 4);
    }

    #[test]
    fn the_page_loads_nothing_from_anywhere() {
        let page = page(&probe());
        for forbidden in ["<script", "@import", "url(", "<link rel=\"stylesheet", "srcset", "<iframe"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\" aria-label=\"").count());
    }
}
