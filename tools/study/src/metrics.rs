//! By what encoders are judged: a number for each table of the evaluation, and for each value of one that has a section for each.

use diptych_report::{Measure, Metric};
use serde_json::Value;

/// The tables of an evaluation that judge encoders; the report is about the first that there is.
pub const PROTOCOLS: [&str; 5] = ["linear", "linear_sgd", "knn", "fine_tune", "semi_supervised"];

/// What an evaluation under `protocol`, resolved, says of an encoder, each with its section's name as its id. None where it has
/// none of the tables.
pub fn of(protocol: &Value) -> Vec<Metric> {
    let known = PROTOCOLS.iter().filter_map(|table| Some((*table, protocol.get(table)?)));
    known.flat_map(|(table, settings)| sections(table, settings)).collect()
}

fn sections(table: &str, settings: &Value) -> Vec<Metric> {
    let metric = |id: String, label: String| Metric { id, label, measure: Measure::default() };
    let numbers = |key: &str| settings[key].as_array().cloned().unwrap_or_default();
    match table {
        "linear" => vec![metric(table.into(), "linear probe".into())],
        "linear_sgd" => vec![metric(table.into(), "linear classifier (SGD)".into())],
        "fine_tune" => vec![metric(table.into(), "fine-tuning".into())],
        "knn" => {
            let further = numbers("k").into_iter().skip(1);
            let first = metric(table.into(), "nearest neighbours".into());
            let further = further.map(|k| metric(format!("knn_k{k}"), format!("{k} nearest neighbours")));
            std::iter::once(first).chain(further).collect()
        }
        _ => numbers("fractions")
            .iter()
            .filter_map(Value::as_f64)
            .map(|fraction| {
                // As sections are named: without the digits that multiplying by 100 leaves behind.
                let percent = (fraction * 1e8).round() / 1e6;
                metric(format!("semi_supervised_{percent}_percent"), format!("semi-supervised ({percent} %)"))
            })
            .collect(),
    }
}

/// What the section of a metric measured, and its number, from 0 to 1.
pub fn score(evaluation: &Value, metric: &Metric) -> Option<(Measure, f64)> {
    let number = |measure: Measure| Some((measure, evaluation[&metric.id][measure.id()].as_f64()?));
    number(Measure::Top1).or_else(|| number(Measure::MeanAveragePrecision))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(protocol: &Value) -> Vec<String> {
        of(protocol).into_iter().map(|metric| metric.id).collect()
    }

    #[test]
    fn every_table_of_an_evaluation_gives_the_sections_that_it_writes() {
        assert_eq!(ids(&json!({ "knn": { "k": [20, 200] }, "linear": {} })), ["linear", "knn", "knn_k200"]);
        assert_eq!(ids(&json!({ "linear_sgd": {}, "data": {} })), ["linear_sgd"]);
        assert_eq!(
            ids(&json!({ "semi_supervised": { "fractions": [0.01, 0.07] }, "fine_tune": {} })),
            ["fine_tune", "semi_supervised_1_percent", "semi_supervised_7_percent"]
        );
        assert!(ids(&json!({ "data": {} })).is_empty());
    }

    #[test]
    fn images_of_several_classes_are_judged_by_mean_average_precision() {
        let linear = &of(&json!({ "linear": {} }))[0];
        let section = |key: &str| json!({ "linear": { key: 0.5 } });
        assert_eq!(score(&section("top1"), linear), Some((Measure::Top1, 0.5)));
        let several = section("mean_average_precision");
        assert_eq!(score(&several, linear), Some((Measure::MeanAveragePrecision, 0.5)));
        assert_eq!(score(&json!({}), linear), None);
    }
}
