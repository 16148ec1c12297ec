//! The study file: which base configurations, which variants of each, which seeds, and how they are judged.

use std::path::{Path, PathBuf};

use diptych_config::{Document, Kind, Problems, Table};
use diptych_report::{Reference, ReferenceValue};
use serde::{Deserialize, Serialize};

use crate::plan::PlannedRun;
use crate::variants::{self, Variant};

/// Bytes of the name of an arm. With its seed and a number behind it, it must be the name of a file, which has 255.
const LONGEST_NAME: usize = 200;

/// A study as its file says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// For files and provenance.
    pub name: String,
    /// What the report is called.
    pub title: String,
    /// Keys of the random draws; every arm runs under each.
    pub seeds: Vec<u64>,
    /// Configuration of the evaluation.
    pub evaluation: PathBuf,
    /// Id of the variant that drops are measured from.
    pub baseline: String,
    /// Runs at a time: 0 for one per core; `None` for one per two cores, or for as many as the devices take.
    pub jobs: Option<usize>,
    /// Where runs run; none for where each run's own configuration says.
    pub devices: Vec<String>,
    /// Runs at a time on each of `devices`.
    pub jobs_per_device: usize,
    /// Overrides for every run, before those of bases and variants.
    pub sets: Vec<String>,
    /// Also judge encoders with the weights that runs start from.
    pub random_init: bool,
    /// What is compared.
    pub bases: Vec<Base>,
    /// What each base is put through.
    pub variants: Vec<Variant>,
    /// Published numbers.
    pub reference: Option<Reference>,
}

/// `[bases.ID]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// Part of run names.
    pub id: String,
    /// As tables call it.
    pub label: String,
    /// Configuration of its runs.
    pub config: PathBuf,
    /// Overrides.
    pub sets: Vec<String>,
}

impl StudyConfig {
    /// What tables call the variant that drops are measured from.
    pub fn baseline_label(&self) -> &str {
        let baseline = self.variants.iter().find(|variant| variant.id == self.baseline);
        baseline.map_or(&self.baseline, |variant| &variant.label)
    }

    /// Whether the untrained encoder is evaluated beside the run: one of a seed stands for all arms; where theirs differ, a remark
    /// says whose it is.
    pub fn wants_control(&self, run: &PlannedRun) -> bool {
        self.random_init && run.base == self.bases[0].id && run.variant == self.baseline
    }

    /// Reads and checks the file; every problem in it is reported.
    pub fn load(path: &Path) -> Result<StudyConfig, Problems> {
        let default_name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Document::load(path, &[])?.read(|table| Self::read(table, default_name))
    }

    fn read(table: &mut Table<'_>, default_name: String) -> StudyConfig {
        let name = table.or("name", default_name);
        let bases: Vec<Base> =
            table.named_tables("bases", Base::read).into_iter().map(|(_, base)| base).collect();
        let variants = variants::read_all(table);
        if bases.is_empty() {
            table.problem(
                Some("bases"),
                "found none, expected at least one, as in [bases.byol] config = \"byol.toml\"",
            );
        }
        if variants.is_empty() {
            table.problem(
                Some("variants"),
                "found none, expected at least one, as in [variants.baseline]; or [[axes]]",
            );
        }
        let baseline = table.or("baseline", "baseline".to_string());
        if !variants.is_empty() && variants.iter().all(|variant| variant.id != baseline) {
            let known: Vec<&str> = variants.iter().map(|variant| variant.id.as_str()).collect();
            table.problem(
                Some("baseline"),
                format!("found {baseline:?}, expected one of the variants: {}", known.join(", ")),
            );
        }
        check_run_names(table, &bases, &variants);
        StudyConfig {
            title: table.or("title", name.clone()),
            seeds: read_seeds(table),
            evaluation: read_file(table, "evaluation"),
            jobs: table.optional_in("jobs", 0..=1024_usize),
            devices: read_devices(table),
            jobs_per_device: table.or_in("jobs_per_device", 1, 1..=1024_usize),
            sets: read_policy(table).into_iter().chain(read_sets(table)).collect(),
            random_init: table.or("random_init", true),
            reference: table.table("reference", |table| read_reference(table, &bases, &variants, &baseline)),
            baseline,
            name,
            bases,
            variants,
        }
    }
}

impl Base {
    fn read(id: &str, table: &mut Table<'_>) -> Base {
        check_id(id, table);
        Base {
            id: id.into(),
            label: table.or("label", id.into()),
            config: read_file(table, "config"),
            sets: read_sets(table),
        }
    }
}

/// `[reference]`
fn read_reference(table: &mut Table<'_>, bases: &[Base], variants: &[Variant], baseline: &str) -> Reference {
    let source = table.required("source");
    let mut values = Vec::new();
    table.table("values", |table| {
        for base in bases {
            table.table(&base.id, |table| {
                for variant in variants {
                    let known = read_published(table, &variant.id, baseline);
                    values.extend(known.map(|(percent, baseline)| ReferenceValue {
                        method: base.id.clone(),
                        variant: variant.id.clone(),
                        percent,
                        baseline,
                    }));
                }
            });
        }
    });
    Reference { source, values }
}

/// A number, or a table with a baseline of its own.
fn read_published(table: &mut Table<'_>, variant: &str, baseline: &str) -> Option<(f64, Option<f64>)> {
    const PERCENT: std::ops::RangeInclusive<f64> = 0.0..=100.0;
    if table.value(variant).is_none_or(|value| value.kind() != Kind::Table) {
        return table.optional_in(variant, PERCENT).map(|percent| (percent, None));
    }
    if variant == baseline {
        table.problem(
            Some(variant),
            "found a table, expected a number: it is what other drops are taken from",
        );
    }
    table.table(variant, |table| {
        (table.required_in("percent", PERCENT), Some(table.required_in("baseline", PERCENT)))
    })
}

/// Ids become folder names and columns.
pub(crate) fn check_id(id: &str, table: &mut Table<'_>) {
    let begins_well = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if !begins_well || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        table.problem(
            None,
            "expected a name of letters, digits, `_` and `-` that begins with a letter or a digit; put what people read into `label`",
        );
    }
}

/// `a` with `b-c` and `a-b` with `c` would share a folder.
fn check_run_names(table: &mut Table<'_>, bases: &[Base], variants: &[Variant]) {
    let mut names = Vec::new();
    for base in bases {
        for variant in variants {
            let name = format!("{}-{}", base.id, variant.id);
            if name.len() > LONGEST_NAME {
                table.problem(
                    Some("variants"),
                    format!(
                        "found {} characters in the name of the arm `{name}`, expected at most {LONGEST_NAME}; write long values of an \
                         axis down as arms of their own, with shorter names",
                        name.len()
                    ),
                );
            }
            if names.contains(&name) {
                table.problem(
                    Some("variants"),
                    format!("two arms would be called `{name}`; rename one of them"),
                );
            }
            names.push(name);
        }
    }
}

fn read_seeds(table: &mut Table<'_>) -> Vec<u64> {
    let seeds: Vec<u64> = table.or("seeds", vec![0]);
    let mut sorted = seeds.clone();
    sorted.sort_unstable();
    if seeds.is_empty()
        || sorted.windows(2).any(|pair| pair[0] == pair[1])
        || sorted.last() > Some(&(i64::MAX as u64))
    {
        table.problem(Some("seeds"), "expected one or more whole numbers from 0, each once, as in [0, 1, 2]");
    }
    seeds
}

fn read_devices(table: &mut Table<'_>) -> Vec<String> {
    let devices: Vec<String> = table.or("devices", Vec::new());
    let is_known = |device: &str| {
        let number = device.strip_prefix("cuda:");
        matches!(device, "cpu" | "cuda") || number.is_some_and(|number| number.parse::<usize>().is_ok())
    };
    if let Some(device) = devices.iter().find(|device| !is_known(device)) {
        table.problem(
            Some("devices"),
            format!(
                "found {device:?}, expected \"cpu\", \"cuda\" or \"cuda:N\", as in [\"cuda:0\", \"cuda:1\"]"
            ),
        );
    }
    devices
}

/// `[policy]` as overrides of every run; what they may be is checked with the runs.
fn read_policy(table: &mut Table<'_>) -> Vec<String> {
    let mut sets = Vec::new();
    table.table("policy", |table| {
        let stop: Option<String> = table.optional("stop_collapsed");
        sets.extend(stop.map(|stop| format!("diagnostics.stop_collapsed={}", toml::Value::from(stop))));
        for key in ["patience_steps", "every_steps"] {
            let steps: Option<u64> = table.optional_in(key, 1..);
            sets.extend(steps.map(|steps| format!("diagnostics.{key}={steps}")));
        }
    });
    sets
}

pub(crate) fn read_sets(table: &mut Table<'_>) -> Vec<String> {
    let sets: Vec<String> = table.or("set", Vec::new());
    if let Some(set) = sets.iter().find(|set| !set.contains('=')) {
        table.problem(
            Some("set"),
            format!("found {set:?}, expected key=value, as in \"loader.batch_size=64\""),
        );
    }
    sets
}

fn read_file(table: &mut Table<'_>, key: &str) -> PathBuf {
    let path: PathBuf = table.required(key);
    if path != PathBuf::new() && !path.is_file() {
        table.problem(Some(key), format!("there is no file {}", path.display()));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn load(text: &str) -> Result<StudyConfig, Problems> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.toml"), "").unwrap();
        let path = folder.path().join("study.toml");
        fs::write(&path, text).unwrap();
        StudyConfig::load(&path)
    }

    fn problems_of(text: &str) -> String {
        load(text).unwrap_err().to_string()
    }

    #[test]
    fn everything_wrong_is_reported_at_once_with_its_line() {
        let text = "evaluation = \"run.toml\"\ndevices = [\"gpu\"]\nseeds = [1, 1]\nbaseline = \"base\"\n[bases.a]\nconfig = \"gone.toml\"\n\
                    [variants.baseline]\nremoev = [\"x\"]\n[variants.\"a b\"]\nset = [\"oops\"]\n";
        let problems = problems_of(text);
        for expected in [
            "study.toml:2: devices: found \"gpu\", expected \"cpu\", \"cuda\" or \"cuda:N\"",
            "study.toml:3: seeds: expected one or more whole numbers",
            "study.toml:4: baseline: found \"base\", expected one of the variants: baseline, a b",
            "study.toml:6: bases.a.config: there is no file",
            "variants.baseline.remoev: unknown key, did you mean `remove`?",
            "expected a name of letters",
            "set: found \"oops\", expected key=value",
        ] {
            assert!(problems.contains(expected), "{expected}\n---\n{problems}");
        }
    }

    #[test]
    fn arms_that_would_share_a_folder_are_refused() {
        let text = "evaluation = \"run.toml\"\nbaseline = \"c\"\n[bases.a]\nconfig = \"run.toml\"\n[bases.a-b]\nconfig = \"run.toml\"\n\
                    [variants.b-c]\n[variants.c]\n";
        assert!(problems_of(text).contains("two arms would be called `a-b-c`"));
    }

    #[test]
    fn names_that_no_option_or_file_could_have_are_refused() {
        let head = "evaluation = \"run.toml\"\n[variants.baseline]\n";
        for id in ["\"\"", "-a", "_a"] {
            let problems = problems_of(&format!("{head}[bases.{id}]\nconfig = \"run.toml\"\n"));
            assert!(problems.contains("that begins with a letter or a digit"), "{id}: {problems}");
        }
        let text = format!(
            "{head}[bases.a]\nconfig = \"run.toml\"\n[[axes]]\nkey = \"x\"\nvalues = [\"{}\"]\n",
            "v".repeat(300)
        );
        assert!(problems_of(&text).contains("expected at most 200"));
    }

    #[test]
    fn a_reference_for_an_arm_that_does_not_exist_is_refused() {
        let text = "evaluation = \"run.toml\"\n[bases.a]\nconfig = \"run.toml\"\n[variants.baseline]\n\
                    [reference]\nsource = \"x\"\n[reference.values.a]\nbaselin = 72.5\n";
        assert!(
            problems_of(text).contains("reference.values.a.baselin: unknown key, did you mean `baseline`?")
        );
    }

    #[test]
    fn a_published_number_may_have_a_baseline_of_its_own_and_that_is_checked() {
        let study = |values: &str| {
            format!(
                "evaluation = \"run.toml\"\n[bases.a]\nconfig = \"run.toml\"\n[variants.baseline]\n[variants.x]\n\
                 [reference]\nsource = \"y\"\n[reference.values.a]\n{values}\n"
            )
        };
        let reference =
            load(&study("baseline = 72.5\nx = { percent = 73.9, baseline = 74.3 }")).unwrap().reference;
        let values: Vec<(f64, Option<f64>)> =
            reference.unwrap().values.iter().map(|value| (value.percent, value.baseline)).collect();
        assert_eq!(values, [(72.5, None), (73.9, Some(74.3))]);
        for (values, problem) in [
            (
                "x = { percent = 73.9 }",
                "reference.values.a.x.baseline: missing, expected a number from 0 to 100",
            ),
            (
                "x = { percent = 73.9, baseline = 101 }",
                "x.baseline: found 101, expected a number from 0 to 100",
            ),
            ("x = { percnt = 73.9, baseline = 7 }", "x.percnt: unknown key, did you mean `percent`?"),
            ("x = \"high\"", "reference.values.a.x: found \"high\", expected a number"),
            ("baseline = { percent = 1, baseline = 2 }", "a.baseline: found a table, expected a number"),
        ] {
            let problems = load(&study(values)).unwrap_err().to_string();
            assert!(problems.contains(problem), "{problem}\n---\n{problems}");
        }
    }
}
