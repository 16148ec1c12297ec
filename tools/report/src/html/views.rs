//! Contact sheets: what encoders saw, one sheet for all arms that saw the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::data::{Sheet, Study};
use crate::text::{escape, join};

/// More sheets than these are folded away, all but the first two.
const MOST_OPEN: usize = 8;
/// Longer lists of arms are counted instead.
const MOST_NAMED: usize = 8;

pub fn section(study: &Study) -> String {
    if study.sheets.is_empty() {
        return String::new();
    }
    let (open, folded) = match study.sheets.len() {
        count if count > MOST_OPEN => study.sheets.split_at(2),
        _ => study.sheets.split_at(study.sheets.len()),
    };
    let sheets = |sheets: &[Sheet]| {
        let figures: String = sheets.iter().map(|sheet| figure(study, sheet)).collect();
        format!("<div class=\"sheets\">\n{figures}</div>\n")
    };
    let more = match folded.len() {
        0 => String::new(),
        count => format!("<details><summary>{count} more sheets</summary>\n{}</details>\n", sheets(folded)),
    };
    format!(
        "<section id=\"views\"><h2>What the encoder saw</h2>\n<p class=\"note\">The same images with the same draws in every arm: \
         the original, then its views. Whatever differs between the sheets is what the arm changed; arms that saw the very same \
         share a sheet.</p>\n{}{more}</section>\n",
        sheets(open)
    )
}

fn figure(study: &Study, sheet: &Sheet) -> String {
    let names = names(study, sheet);
    let also = match &names[1..] {
        [] => String::new(),
        // The alternative text has them all.
        rest if rest.len() > MOST_NAMED => {
            format!(" <span>also seen by {} other variants</span>", rest.len())
        }
        rest => format!(" <span>also seen by {}</span>", escape(&join(rest))),
    };
    format!(
        "<figure><img src=\"data:{};base64,{}\" width=\"{}\" height=\"{}\" decoding=\"async\" alt=\"{}\">\
         <figcaption><b>{}</b>{also}</figcaption></figure>\n",
        escape(&sheet.media_type),
        STANDARD.encode(&sheet.image),
        sheet.width,
        sheet.height,
        escape(&format!("Contact sheet of {}: {}", join(&names), sheet.description)),
        escape(&names[0]),
    )
}

/// The arms of a sheet: variants, with the methods behind them where not all methods saw it.
fn names(study: &Study, sheet: &Sheet) -> Vec<String> {
    let name = |variant: &String| {
        let label = study.variant_label(variant).to_string();
        let arms = sheet.arms.iter().filter(|(_, of)| of == variant);
        let methods: Vec<String> = arms.map(|(method, _)| study.method_label(method).to_string()).collect();
        if methods.len() == study.methods.len() {
            return label;
        }
        format!("{label} ({})", join(&methods))
    };
    let mut variants: Vec<String> = Vec::new();
    for (_, variant) in &sheet.arms {
        if !variants.contains(variant) {
            variants.push(variant.clone());
        }
    }
    if variants.len() > 1 && sheet.arms.len() == study.methods.len() * study.variants.len() {
        return vec![format!("all {} variants", variants.len())];
    }
    let names: Vec<String> = variants.iter().map(name).collect();
    if names.is_empty() { vec!["views".to_string()] } else { names }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn sheet(arms: &[(&str, &str)]) -> Sheet {
        let arms: Vec<(String, String)> =
            arms.iter().map(|(method, variant)| (method.to_string(), variant.to_string())).collect();
        Sheet { image: arms.len().to_le_bytes().to_vec(), arms, ..Sheet::default() }
    }

    fn captions(sheets: Vec<Sheet>) -> Vec<String> {
        let study = Study { sheets, ..example::study() };
        study.sheets.iter().map(|sheet| names(&study, sheet).join("; ")).collect()
    }

    #[test]
    fn a_caption_names_methods_only_where_not_all_of_them_saw_the_views() {
        assert_eq!(
            captions(vec![
                sheet(&[("byol", "baseline"), ("simclr", "baseline"), ("byol", "crop_only")]),
                sheet(&[("simclr", "crop_only")]),
            ]),
            ["baseline; crop only (BYOL)", "crop only (SimCLR)"]
        );
    }

    #[test]
    fn one_sheet_for_everything_says_so() {
        let of = |method: &'static str| {
            ["baseline", "remove_grayscale", "remove_color", "crop_only"].map(|arm| (method, arm))
        };
        assert_eq!(captions(vec![sheet(&[of("byol"), of("simclr")].concat())]), ["all 4 variants"]);
        assert_eq!(
            captions(vec![sheet(&of("byol"))]),
            ["baseline (BYOL); remove grayscale (BYOL); remove colour (BYOL); crop only (BYOL)"],
            "SimCLR has none yet"
        );
    }

    #[test]
    fn a_long_list_of_arms_is_counted_and_stands_in_the_alternative_text() {
        let ids: Vec<String> = (0..12).map(|index| format!("v{index}")).collect();
        let seen: Vec<(&str, &str)> = ids.iter().map(|id| ("byol", &**id)).collect();
        let mut study = Study { sheets: vec![sheet(&seen)], ..example::study() };
        study.methods.truncate(1);
        let html = section(&study);
        assert!(html.contains("<b>v0</b> <span>also seen by 11 other variants</span>"), "{html}");
        assert!(
            html.contains("alt=\"Contact sheet of v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10 and v11: "),
            "{html}"
        );
    }

    #[test]
    fn many_sheets_are_folded_away() {
        let arms = ["baseline", "remove_grayscale", "remove_color", "crop_only"];
        let study = |count: usize| Study {
            sheets: (0..count).map(|index| sheet(&[("byol", arms[index % 4])])).collect(),
            ..example::study()
        };
        assert!(!section(&study(8)).contains("<details>"));
        assert!(section(&study(12)).contains("<summary>10 more sheets</summary>"));
    }
}
