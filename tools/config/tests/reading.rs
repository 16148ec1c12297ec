//! What a person gets to read about a configuration with mistakes.

use std::path::PathBuf;

use diptych_config::{Document, Table, choices};

choices! {
    /// What the target is.
    pub enum Target {
        /// A moving average.
        Ema = "ema",
        /// The online network, detached.
        StopGradient = "stop_gradient",
    }
}

/// The problems that reading `text` with `read` reports, one per line; empty when there are none.
fn problems<T>(text: &str, read: impl FnOnce(&mut Table<'_>) -> T) -> String {
    match Document::parse(text, "run.toml").and_then(|document| document.read(read)) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn reads_every_kind_of_value() {
    let text = r#"
        flag = true
        whole = 1_000
        number = 2
        text = "a"
        pair = [0.5, 1]
        list = ["x", "y"]
        target = "stop_gradient"
        [table]
        depth = 3
        [[rows]]
        n = 1
        [[rows]]
        n = 2
        [bases.second]
        n = 2
        [bases.first]
        n = 1
    "#;
    let document = Document::parse(text, "run.toml").unwrap();
    document
        .read(|table| {
            assert!(table.required::<bool>("flag"));
            assert_eq!(table.required::<usize>("whole"), 1000);
            assert_eq!(table.required::<f64>("number"), 2.0);
            assert_eq!(table.required::<String>("text"), "a");
            assert_eq!(table.required::<[f64; 2]>("pair"), [0.5, 1.0]);
            assert_eq!(table.required::<Vec<String>>("list"), ["x", "y"]);
            assert_eq!(table.choice("target", Target::Ema), Target::StopGradient);
            assert_eq!(table.or("absent", 7_u64), 7);
            assert_eq!(table.table("table", |table| table.required::<i64>("depth")), Some(3));
            assert_eq!(table.table("nothing", |_| ()), None);
            assert_eq!(table.table_or_empty("nothing", |table| table.or("x", 1.5)), 1.5);
            assert_eq!(table.tables("rows", |table| table.required::<u32>("n")), [1, 2]);
            let bases = table.named_tables("bases", |_, table| table.required::<u32>("n"));
            assert_eq!(bases, [("second".to_string(), 2), ("first".to_string(), 1)]);
        })
        .unwrap();
}

#[test]
fn rejects_an_unknown_key_and_names_the_nearest() {
    let found = problems("[loader]\nbatchsize = 3", |table| {
        table.table_or_empty("loader", |table| table.or("batch_size", 1_usize))
    });
    assert_eq!(found, "run.toml:2: loader.batchsize: unknown key, did you mean `batch_size`?");
}

#[test]
fn an_unknown_key_unlike_any_other_is_told_what_there_is() {
    let found = problems("zebra = 3", |table| (table.or("seed", 0_u64), table.or("name", String::new())));
    assert_eq!(found, "run.toml:1: zebra: unknown key, expected one of seed, name");
}

#[test]
fn a_wrong_type_says_what_was_found_and_expected() {
    let found = problems("seed = \"one\"\nlist = [1, \"b\"]\ntable = 3\nwhole = 1.5\nless = -1", |table| {
        table.required::<u64>("seed");
        table.required::<Vec<f64>>("list");
        table.table("table", |_| ());
        table.required::<i64>("whole");
        table.required::<u32>("less");
    });
    assert_eq!(
        found,
        "run.toml:1: seed: found \"one\", expected a whole number\n\
         run.toml:2: list[1]: found \"b\", expected a number\n\
         run.toml:3: table: found 3, expected a table\n\
         run.toml:4: whole: found 1.5, expected a whole number\n\
         run.toml:5: less: found -1, expected a whole number from 0 to 4294967295"
    );
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    let found =
        problems("[[views]]\noperators = [\n  { id = \"a\" },\n  { probability = 1.5 },\n]", |table| {
            table.tables("views", |view| {
                view.tables("operators", |operator| {
                    operator.or("id", String::new());
                    operator.or_in("probability", 1.0, 0.0..=1.0)
                })
            })
        });
    assert_eq!(
        found,
        "run.toml:4: views[0].operators[1].probability: found 1.5, expected a number from 0 to 1"
    );
    assert_eq!(
        problems("n = 0", |table| table.required_in("n", 1_usize..)),
        "run.toml:1: n: found 0, expected a whole number of at least 1"
    );
    assert!(problems("x = nan", |table| table.required::<f64>("x")).contains("expected a finite number"));
    assert!(problems("x = 1e999", |table| table.required::<f64>("x")).contains("expected a finite number"));
    assert!(problems("x = 99999999999999999999", |table| table.required::<i64>("x")).contains("64 bits"));
}

#[test]
fn a_missing_key_is_reported_at_its_table() {
    let found = problems("seed = 1\n\n[data]\nlabels = true", |table| {
        table.or("seed", 0_u64);
        table.table_or_empty("data", |table| {
            table.or("labels", false);
            table.required::<PathBuf>("path")
        });
        table.table_or_empty("encoder", |table| table.required::<String>("id"))
    });
    assert_eq!(
        found,
        "run.toml:3: data.path: missing, expected a path in quotes\n\
         run.toml: encoder.id: missing, expected text in quotes"
    );
}

#[test]
fn a_wrong_choice_lists_the_choices_and_the_nearest() {
    assert_eq!(
        problems("kind = \"emma\"", |table| table.choice("kind", Target::Ema)),
        "run.toml:1: kind: found \"emma\", expected one of \"ema\", \"stop_gradient\"; did you mean \"ema\"?"
    );
}

#[test]
fn several_problems_come_at_once_in_the_order_of_the_file() {
    let found = problems("b = 1\na = \"x\"\n[t]\nc = 2\nd = true", |table| {
        table.table("t", |table| table.required::<String>("d"));
        table.required::<i64>("a");
    });
    let lines: Vec<&str> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["run.toml:1", "run.toml:2", "run.toml:4", "run.toml:5"]);
}

#[test]
fn what_the_caller_finds_wrong_is_reported_at_the_key() {
    let found = problems("a = 1\nb = 2", |table| {
        let (a, b) = (table.required::<i64>("a"), table.required::<i64>("b"));
        if b > a {
            table.problem(Some("b"), "must not be above `a`");
        }
    });
    assert_eq!(found, "run.toml:2: b: must not be above `a`");
}

#[test]
fn a_table_whose_reader_is_lost_can_accept_any_key() {
    assert_eq!(problems("id = \"x\"\nsigma = 1", |table| table.accept_any_key()), "");
}

#[test]
fn a_syntax_error_has_its_line() {
    let found = problems("a = 1\nb = \n", |_| ());
    assert!(found.starts_with("run.toml:2: not valid TOML: "), "{found}");
}

#[test]
fn a_key_given_twice_is_an_error() {
    let found = problems("a = 1\na = 2\n", |table| table.or("a", 0_i64));
    assert!(found.starts_with("run.toml:2: not valid TOML: "), "{found}");
}

#[test]
fn a_value_can_be_written_elsewhere_as_it_stands() {
    let text = "x = { id = \"crop\", area = [0.08, 1], on = true, since = 2026-01-01 }";
    let document = Document::parse(text, "x.toml").unwrap();
    let value = document.read(|table| table.value("x").unwrap().to_toml().unwrap()).unwrap();
    assert_eq!(Some(&value), text.parse::<toml::Table>().unwrap().get("x"));
}
