//! In what the arms of a study differ, by their resolved configurations.

use diptych_report::ArmDifference;
use toml::{Table, Value};

use crate::config::StudyConfig;
use crate::folder::Folder;
use crate::plan::PlannedRun;

/// Keys that differ by design, or by the slot that a run happened to get. Others that never change the numbers are there because
/// somebody wrote them.
const LEFT_OUT: [&str; 5] = ["name", "seed", "device", "threads", "loader.workers"];

/// The methods against each other at the baseline, then every variant against its own baseline, all under the first seed
/// for which both sides have finished.
pub fn of_arms(study: &StudyConfig, finished: &[(&PlannedRun, Folder)]) -> Vec<ArmDifference> {
    let config = |base: &str, variant: &str, seed: u64| {
        let (_, folder) = finished
            .iter()
            .find(|(run, _)| (&*run.base, &*run.variant, run.seed) == (base, variant, seed))?;
        folder.config()
    };
    let compare = |left: (&str, &str), right: (&str, &str), names: (String, String)| {
        let both = |seed: &u64| Some((config(left.0, left.1, *seed)?, config(right.0, right.1, *seed)?));
        let (of_left, of_right) = study.seeds.iter().find_map(both)?;
        let mut keys = diptych_config::differences(&by_name(of_left), &by_name(of_right));
        keys.retain(|(key, ..)| !LEFT_OUT.contains(&key.as_str()));
        Some(ArmDifference { left: names.0, right: names.1, keys })
    };
    let baseline = &*study.baseline;
    let mut found = Vec::new();
    let first = &study.bases[0];
    for other in &study.bases[1..] {
        let names = (first.label.clone(), other.label.clone());
        found.extend(compare((&first.id, baseline), (&other.id, baseline), names));
    }
    for variant in study.variants.iter().filter(|variant| variant.id != baseline) {
        for base in &study.bases {
            let names = (format!("{}, baseline", base.label), format!("{}, {}", base.label, variant.label));
            found.extend(compare((&base.id, baseline), (&base.id, &variant.id), names));
        }
    }
    found
}

/// The configuration with arrays of named things (views, operators, losses) as tables by name: a removed operator then is
/// one absent key instead of an array that differs as a whole.
fn by_name(table: Table) -> Table {
    table.into_iter().map(|(key, value)| (key, named(value))).collect()
}

fn named(value: Value) -> Value {
    match value {
        Value::Table(table) => Value::Table(by_name(table)),
        Value::Array(items) => {
            let name = |item: &Value| {
                let table = item.as_table()?;
                Some(table.get("name").or_else(|| table.get("id"))?.as_str()?.to_string())
            };
            let names: Option<Vec<String>> = items.iter().map(name).collect();
            match names {
                Some(names) if !names.is_empty() && distinct(&names) => {
                    Value::Table(names.into_iter().zip(items.into_iter().map(named)).collect())
                }
                _ => Value::Array(items.into_iter().map(named).collect()),
            }
        }
        other => other,
    }
}

fn distinct(names: &[String]) -> bool {
    names.iter().enumerate().all(|(index, name)| !names[..index].contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_operator_is_one_difference_per_view() {
        let config = |operators: &str| -> Table {
            format!("[[augmentations.views]]\nname = \"first\"\noperators = [{operators}]").parse().unwrap()
        };
        let left = by_name(config(
            "{id = \"crop\", name = \"crop\"}, {id = \"gray\", name = \"gray\", probability = 0.2}",
        ));
        let right = by_name(config("{id = \"crop\", name = \"crop\"}"));
        let found = diptych_config::differences(&left, &right);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].0.as_str(), found[0].2.as_str()),
            ("augmentations.views.first.operators.gray", "absent")
        );
    }
}
