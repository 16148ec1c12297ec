//! The arms of a study: those written down in `[variants]`, and those that `leave_one_out`, `cumulative` and `[[axes]]`
//! generate.
//!
//! Invariant: an arm's id follows from what it changes alone, never from its place, so that a longer list leaves the folders of
//! the arms before as they are.

use diptych_config::{Table, Value, choices};
use diptych_report::text::join;
use serde::{Deserialize, Serialize};

use crate::config::{check_id, read_sets};

/// `[variants.ID]`, or an arm that was generated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Part of run names.
    pub id: String,
    /// As tables call it.
    pub label: String,
    /// Overrides, those of `remove`, `only`, `replace` and `add` among them.
    pub sets: Vec<String>,
}

choices! {
    /// How several axes make arms.
    pub enum Combine {
        /// Every value of one with every value of the others, the last axis changing fastest.
        Grid = "grid",
        /// The first values together, the second ones together, and so on.
        Zip = "zip",
    }
}

/// `[[axes]]`: a key and the values that it takes.
struct Axis {
    key: String,
    /// What ids and labels call it.
    name: String,
    /// As overrides write them, and as people do.
    values: Vec<(String, String)>,
}

/// All arms, in the order: written down, leave one out, cumulative, axes.
pub fn read_all(table: &mut Table<'_>) -> Vec<Variant> {
    let mut variants: Vec<Variant> =
        table.named_tables("variants", Variant::read).into_iter().map(|(_, variant)| variant).collect();
    for key in ["leave_one_out", "cumulative"] {
        let names = read_names(table, key).unwrap_or_default();
        let groups: Vec<&[String]> = match key {
            "cumulative" => (1..=names.len()).map(|count| &names[..count]).collect(),
            _ => names.chunks(1).collect(),
        };
        for group in groups {
            add(table, key, &mut variants, removing(group));
        }
    }
    let combine = table.choice("combine", Combine::Grid);
    let axes = table.tables("axes", Axis::read);
    for arm in combined(table, &axes, combine) {
        add(table, "axes", &mut variants, arm);
    }
    variants
}

/// Adds a generated arm. The same arm may be written down, or generated, twice: `cumulative` begins where `leave_one_out` does.
fn add(table: &mut Table<'_>, key: &str, variants: &mut Vec<Variant>, arm: Variant) {
    match variants.iter().find(|known| known.id == arm.id) {
        Some(known) if known.sets == arm.sets => {}
        Some(known) => table.problem(
            Some(key),
            format!(
                "two different arms would be called `{}`: [{}] and [{}]; rename the one in [variants], or give the axis a `name`",
                arm.id,
                known.sets.join(", "),
                arm.sets.join(", ")
            ),
        ),
        None => variants.push(arm),
    }
}

fn removing(names: &[String]) -> Variant {
    let plain: Vec<String> = names.iter().map(|name| identifier(name)).collect();
    let spoken: Vec<String> = names.iter().map(|name| name.replace(['_', '.'], " ")).collect();
    Variant {
        id: format!("remove_{}", plain.join("-")),
        label: format!("remove {}", join(&spoken)),
        sets: vec![names_set("remove", names)],
    }
}

fn combined(table: &mut Table<'_>, axes: &[Axis], combine: Combine) -> Vec<Variant> {
    if axes.is_empty() || axes.iter().any(|axis| axis.values.is_empty()) {
        return Vec::new();
    }
    let counts: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
    let all = match combine {
        Combine::Grid => counts.iter().product(),
        Combine::Zip => counts[0],
    };
    if combine == Combine::Zip && counts.iter().any(|count| *count != counts[0]) {
        let counts: Vec<String> = counts.iter().map(usize::to_string).collect();
        table.problem(
            Some("axes"),
            format!("found {} values, expected the same number in every axis to zip them", join(&counts)),
        );
        return Vec::new();
    }
    (0..all)
        .map(|arm| {
            let mut rest = arm;
            let mut places: Vec<usize> = counts
                .iter()
                .rev()
                .map(|count| match combine {
                    Combine::Zip => arm,
                    Combine::Grid => {
                        let place = rest % count;
                        rest /= count;
                        place
                    }
                })
                .collect();
            places.reverse();
            of_places(axes, &places)
        })
        .collect()
}

fn of_places(axes: &[Axis], places: &[usize]) -> Variant {
    let (mut ids, mut labels, mut sets) = (Vec::new(), Vec::new(), Vec::new());
    for (axis, place) in axes.iter().zip(places) {
        let (written, spoken) = &axis.values[*place];
        ids.push(format!("{}_{}", identifier(&axis.name), identifier(spoken)));
        labels.push(format!("{} {spoken}", axis.name.replace('_', " ")));
        sets.push(format!("{}={written}", axis.key));
    }
    Variant { id: ids.join("-"), label: labels.join(", "), sets }
}

impl Axis {
    fn read(table: &mut Table<'_>) -> Axis {
        let key: String = table.required("key");
        let has_key = |part: &str| !part.is_empty() && !part.contains(['=', ' ']);
        if !key.is_empty() && !key.split('.').all(has_key) {
            table.problem(
                Some("key"),
                format!("found {key:?}, expected a key of a configuration, as in \"loader.batch_size\""),
            );
        }
        let last = key.rsplit('.').next().unwrap_or(&key).to_string();
        let name = table.or("name", last);
        let items: Vec<Value<'_>> = table
            .value("values")
            .and_then(|value| value.items())
            .map(|items| items.collect())
            .unwrap_or_default();
        if items.is_empty() {
            table.problem(Some("values"), "expected an array of at least one value, as in [256, 512]");
        }
        let mut values = Vec::new();
        for item in items {
            let Some(value) = item.to_toml() else { continue };
            let spoken = match &value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Table(_) | toml::Value::Array(_) => value.to_string(),
                _ => item.to_string(),
            };
            let written = value.to_string();
            if values.iter().any(|(known, _)| *known == written) {
                table.problem(Some("values"), format!("found {written} twice, expected each value once"));
            }
            values.push((written, spoken));
        }
        Axis { key, name, values }
    }
}

impl Variant {
    fn read(id: &str, table: &mut Table<'_>) -> Variant {
        check_id(id, table);
        let mut sets = Vec::new();
        for key in ["remove", "only"] {
            if let Some(names) = read_names(table, key) {
                sets.push(names_set(key, &names));
            }
        }
        for (key, place) in [("replace", "operator"), ("add", "after")] {
            let operators: Vec<toml::Value> =
                table.tables(key, |table| read_operator(table, place)).into_iter().flatten().collect();
            if table.has(key) {
                sets.push(format!("augmentations.{key}={}", toml::Value::Array(operators)));
            }
        }
        sets.extend(read_sets(table));
        Variant { id: id.into(), label: table.or("label", id.replace('_', " ")), sets }
    }
}

/// An operator as an augmentation set writes it, and the name of its `place`. Its parameters are checked when the arm is resolved.
fn read_operator(table: &mut Table<'_>, place: &str) -> Option<toml::Value> {
    let _: String = table.required(place);
    let _: String = table.required("id");
    let mut operator = toml::Table::new();
    for key in table.keys() {
        operator.insert(key.clone(), table.value(&key)?.to_toml()?);
    }
    Some(toml::Value::Table(operator))
}

/// Names of operators, each once and none empty.
fn read_names(table: &mut Table<'_>, key: &str) -> Option<Vec<String>> {
    let names: Vec<String> = table.optional(key)?;
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() || names[..index].contains(name) {
            table.problem(
                Some(key),
                format!("found {name:?} at place {index}, expected names of operators, each once"),
            );
        }
    }
    Some(names)
}

fn names_set(key: &str, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| toml::Value::from(name.clone()).to_string()).collect();
    format!("augmentations.{key}=[{}]", names.join(", "))
}

/// `text` as a part of a folder's name: runs of what is no letter, digit or `-` become one `_`.
fn identifier(text: &str) -> String {
    let mut found = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() || character == '-' {
            found.push(character);
        } else if !found.ends_with('_') {
            found.push('_');
        }
    }
    found.trim_matches('_').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diptych_config::Document;

    fn read(text: &str) -> Result<Vec<Variant>, String> {
        let document = Document::parse(text, "study.toml").unwrap();
        document.read(read_all).map_err(|problems| problems.to_string())
    }

    /// Ids with their overrides.
    fn arms(text: &str) -> Vec<String> {
        let line = |variant: &Variant| format!("{}: {}", variant.id, variant.sets.join(" "));
        read(text).unwrap().iter().map(line).collect()
    }

    #[test]
    fn leave_one_out_removes_each_and_cumulative_the_first_the_first_two_and_so_on() {
        assert_eq!(
            arms(
                "leave_one_out = [\"blur\", \"view2.flip\"]\ncumulative = [\"blur\", \"flip\"]\n[variants.baseline]"
            ),
            [
                "baseline: ",
                "remove_blur: augmentations.remove=[\"blur\"]",
                "remove_view2_flip: augmentations.remove=[\"view2.flip\"]",
                "remove_blur-flip: augmentations.remove=[\"blur\", \"flip\"]",
            ]
        );
        let labels = read("cumulative = [\"gaussian_blur\", \"horizontal_flip\"]").unwrap();
        assert_eq!(labels[1].label, "remove gaussian blur and horizontal flip");
    }

    #[test]
    fn axes_make_a_grid_whose_last_axis_changes_fastest_or_are_zipped() {
        let axes = "[[axes]]\nkey = \"loader.batch_size\"\nvalues = [256, 512]\n\
                    [[axes]]\nkey = \"target.momentum\"\nname = \"tau\"\nvalues = [0.99, 0.9]\n";
        assert_eq!(
            arms(axes),
            [
                "batch_size_256-tau_0_99: loader.batch_size=256 target.momentum=0.99",
                "batch_size_256-tau_0_9: loader.batch_size=256 target.momentum=0.9",
                "batch_size_512-tau_0_99: loader.batch_size=512 target.momentum=0.99",
                "batch_size_512-tau_0_9: loader.batch_size=512 target.momentum=0.9",
            ]
        );
        assert_eq!(
            arms(&format!("combine = \"zip\"\n{axes}")),
            [
                "batch_size_256-tau_0_99: loader.batch_size=256 target.momentum=0.99",
                "batch_size_512-tau_0_9: loader.batch_size=512 target.momentum=0.9",
            ]
        );
        assert_eq!(read(axes).unwrap()[0].label, "batch size 256, tau 0.99");
    }

    #[test]
    fn the_id_of_an_arm_does_not_depend_on_its_place() {
        let of = |values: &str| arms(&format!("[[axes]]\nkey = \"encoder\"\nvalues = [{values}]"));
        let (small, large) = ("{ id = \"vit_small\" }", "{ id = \"vit_base\" }");
        let alone = of(large);
        assert_eq!(alone, ["encoder_id_vit_base: encoder={ id = \"vit_base\" }"]);
        assert_eq!(of(&format!("{small}, {large}"))[1], alone[0]);
    }

    #[test]
    fn a_variant_removes_keeps_replaces_and_adds_operators_before_its_own_overrides() {
        let text = "[variants.x]\nset = [\"a=1\"]\nremove = [\"blur\"]\n\
                    replace = [{ operator = \"gray\", id = \"solarize\", probability = 0.2 }]\n\
                    add = [{ after = \"crop\", id = \"blur\", sigma = [0.1, 2.0] }]\n";
        assert_eq!(
            read(text).unwrap()[0].sets,
            [
                "augmentations.remove=[\"blur\"]",
                "augmentations.replace=[{ operator = \"gray\", id = \"solarize\", probability = 0.2 }]",
                "augmentations.add=[{ after = \"crop\", id = \"blur\", sigma = [0.1, 2.0] }]",
                "a=1",
            ]
        );
    }

    #[test]
    fn everything_wrong_is_reported_at_once_with_its_line() {
        let problems = read(
            "leave_one_out = [\"blur\", \"blur\"]\ncombine = \"zipp\"\n[[axes]]\nkey = \"a b\"\nvalues = []\n\
             [[axes]]\nkey = \"k\"\nvalues = [1, 1]\nvalue = 3\n[variants.remove_blur]\nadd = [{ id = \"x\" }]\n",
        )
        .unwrap_err();
        for expected in [
            "study.toml:1: leave_one_out: found \"blur\" at place 1, expected names of operators, each once",
            "study.toml:1: leave_one_out: two different arms would be called `remove_blur`",
            "study.toml:2: combine: found \"zipp\", expected one of \"grid\", \"zip\"; did you mean \"zip\"?",
            "study.toml:4: axes[0].key: found \"a b\", expected a key of a configuration",
            "study.toml:5: axes[0].values: expected an array of at least one value",
            "study.toml:8: axes[1].values: found 1 twice",
            "study.toml:9: axes[1].value: unknown key, did you mean `values`?",
            "study.toml:11: variants.remove_blur.add[0].after: missing",
        ] {
            assert!(problems.contains(expected), "{expected}\nnot in\n{problems}");
        }
    }

    #[test]
    fn axes_of_different_lengths_cannot_be_zipped() {
        let axes = "combine = \"zip\"\n[[axes]]\nkey = \"a\"\nvalues = [1, 2]\n[[axes]]\nkey = \"b\"\nvalues = [1]\n";
        assert!(
            read(axes)
                .unwrap_err()
                .contains("axes: found 2 and 1 values, expected the same number in every axis"),
            "{}",
            read(axes).unwrap_err()
        );
    }
}
