//! Well-behaved plugins, in Rust and in C, from TOML to pixels.

mod common;

use std::path::PathBuf;

use common::{Plugins, parse, run_in_place};
use diptych_host::{Kind, Parameters, RandomStream, Registry, SearchPath, Value};

#[test]
fn a_strangers_plugin_works_from_toml_alone() {
    let registry = Plugins::new().with_built("diptych-template-plugin").load();
    let posterize = registry.augmentation("posterize").unwrap();
    let parameters = parse(posterize, "bits = 3").unwrap();
    let mut operator = posterize.create_augmentation(&parameters).unwrap();
    let mut bytes = [0, 31, 32, 100, 200, 255];
    run_in_place(&mut operator, &mut bytes, &mut RandomStream::new([1, 2])).unwrap();
    assert_eq!(bytes, [0, 0, 32, 96, 192, 224]);
}

#[test]
fn a_plugin_in_c_draws_what_rust_draws() {
    let registry = Plugins::new().with_c("threshold", "threshold", &[]).load();
    let threshold = registry.augmentation("threshold").unwrap();
    let parameters = parse(threshold, "level = [0.25, 0.5]").unwrap();
    let mut operator = threshold.create_augmentation(&parameters).unwrap();
    for draw in 1..50 {
        let key = [draw * 77, 3];
        let stream = RandomStream { key, draw: 1 };
        let (mut theirs, mut ours) = (stream, stream);
        let mut bytes = [0, 64, 100, 128, 200, 255];
        let level = ours.uniform(0.25, 0.5);
        let expected = bytes.map(|sample| if f64::from(sample) >= level * 255.0 { 255 } else { 0 });
        run_in_place(&mut operator, &mut bytes, &mut theirs).unwrap();
        assert_eq!(operator.describe_draws().parse(), Ok(level));
        assert_eq!(bytes, expected);
        assert_eq!(theirs, ours);
    }
}

#[test]
fn the_header_compiles_as_c_plus_plus() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("plugin.cpp");
    std::fs::write(
        &source,
        "#include \"diptych_plugin.h\"\n#include \"diptych_plugin.h\"\n\
         static DiptychStr NAME = DIPTYCH_STR(\"name\");\n\
         uint64_t draw(DiptychRandomStream *random) { return diptych_below(random, NAME.length); }\n",
    )
    .unwrap();
    let compiled = std::process::Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
        .args(["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(diptych_test_support::repository().join("plugins/abi/include"))
        .arg(&source)
        .status()
        .expect("a C++ compiler (c++, or what CXX names) can be started");
    assert!(compiled.success());
}

#[test]
fn an_error_of_a_plugin_names_component_library_and_reason() {
    let plugins = Plugins::new().with_c("threshold", "threshold", &[]);
    let registry = plugins.load();
    let threshold = registry.augmentation("threshold").unwrap();
    let mut operator = threshold.create_augmentation(&Parameters::defaults(threshold).unwrap()).unwrap();
    let error = run_in_place(&mut operator, &mut [0; 39], &mut RandomStream::new([1, 2])).unwrap_err();
    let path = threshold.library().path.display();
    assert_eq!(
        error.to_string(),
        format!(
            "augmentation \"threshold\" of threshold 1.0 ({path}) failed: thirteen columns bring bad luck"
        )
    );
    run_in_place(&mut operator, &mut [0; 36], &mut RandomStream::new([1, 2])).expect("an error is no panic");
}

#[test]
fn every_mistake_in_the_parameters_is_reported_at_once() {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let component = registry.augmentation("panicking").unwrap();
    let problems =
        parse(component, "place = \"aply\"\ncomplaint = 3\nsigma = [2, 1]\nradios = 4").unwrap_err();
    assert_eq!(
        problems.to_string().lines().collect::<Vec<_>>(),
        [
            "test.toml:1: place: found \"aply\", expected one of \"nowhere\", \"create\", \"plan\", \"apply\", \
             \"describe\", \"drop\"; did you mean \"apply\"?",
            "test.toml:2: complaint: found 3, expected text in quotes",
            "test.toml:3: sigma: found [2, 1], expected a range [low, high] of numbers from 0.1 to 10",
            "test.toml:4: radios: unknown key, did you mean `radius`?",
            "test.toml: radius: missing, expected a whole number from 1 to 9",
        ]
    );
}

#[test]
fn bounds_are_inclusive_and_checked_with_kinds() {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let component = registry.augmentation("panicking").unwrap();
    let radius = |text: &str| parse(component, &format!("radius = {text}")).map(|p| p.get("radius").cloned());
    assert_eq!(radius("1"), Ok(Some(Value::Integer(1))));
    assert_eq!(radius("9"), Ok(Some(Value::Integer(9))));
    for wrong in ["0", "10", "1.5", "true", "\"1\"", "[1]"] {
        let error = radius(wrong).unwrap_err().to_string();
        assert!(error.ends_with(&format!("found {wrong}, expected a whole number from 1 to 9")), "{error}");
    }
}

#[test]
fn resolved_parameters_hold_the_defaults_and_read_back_the_same() {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let component = registry.augmentation("panicking").unwrap();
    let parameters = parse(component, "radius = 2").unwrap();
    let mut table = toml::Table::new();
    parameters.to_toml(&mut table);
    assert_eq!(table.len(), 4);
    assert_eq!(table["sigma"].to_string(), "[0.5, 2.0]");
    assert_eq!(parse(component, &table.to_string()).unwrap(), parameters);
}

#[test]
fn a_required_parameter_has_no_default() {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let error = Parameters::defaults(registry.augmentation("panicking").unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "panicking needs a value for radius, which has no default");
}

#[test]
fn an_unknown_component_is_answered_with_the_nearest_and_the_places_searched() {
    let plugins = Plugins::new().with_c("threshold", "threshold", &[]);
    let registry = plugins.load();
    let error = registry.augmentation("treshold").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no augmentation is called \"treshold\"; did you mean \"threshold\"? (known: threshold); plugins were \
             looked for in {}; add a place with --plugin-path",
            plugins.path().display()
        )
    );
    let error = registry.loss("nt_xent").unwrap_err().to_string();
    assert!(error.contains("no plugin with any loss was found"), "{error}");
}

#[test]
fn a_place_may_be_one_library_and_a_library_named_twice_is_loaded_once() {
    let plugins = Plugins::new().with_c("threshold", "one", &[]);
    let places = [plugins.library("one"), plugins.path().to_owned()];
    let registry = Registry::load_folders(&places, None).unwrap();
    assert_eq!(registry.libraries().count(), 1);
    assert_eq!(
        registry.components().map(|component| component.kind()).collect::<Vec<_>>(),
        [Kind::Augmentation]
    );
}

#[test]
fn a_file_that_a_component_reads_is_hashed_and_a_hash_beside_it_is_believed() {
    let plugins = Plugins::new().with_built("diptych-encoders");
    let registry = plugins.load();
    let encoder = registry.encoder("torchscript").unwrap();
    let file = plugins.path().join("network.txt");
    std::fs::write(&file, "abc").unwrap();
    let resolved = |text: &str| {
        let mut table = toml::Table::new();
        parse(encoder, text).map(|parameters| parameters.to_toml(&mut table)).map(|()| table)
    };
    let table = resolved(&format!("path = {file:?}")).unwrap();
    // SHA-256 of "abc".
    assert_eq!(table["path_hash"].as_str(), Some("ba7816bf8f01cfea"));
    let table = resolved("path = \"gone.pt\"\npath_hash = \"00ff\"").unwrap();
    assert_eq!(table["path_hash"].as_str(), Some("00ff"));

    let problems = |text: &str| resolved(text).unwrap_err().to_string();
    let found = problems("path = \"gone.pt\"");
    assert!(found.contains("test.toml:1: path: cannot read \"gone.pt\": No such file"), "{found}");
    assert!(found.contains("give the path of a file, from the working directory"), "{found}");
    assert!(problems("path = 3").contains("found 3, expected the path of a file in quotes"));
    assert!(problems("").contains("path: missing, expected the path of a file in quotes"));
}

#[test]
fn a_named_place_that_is_missing_is_an_error() {
    let missing = PathBuf::from("/no/such/folder");
    let error = Registry::load_folders(&[missing], None).unwrap_err().to_string();
    assert!(error.contains("/no/such/folder") && error.contains("named by --plugin-path"), "{error}");
}

#[test]
fn the_search_ends_beside_the_program() {
    let places: Vec<PathBuf> =
        SearchPath::resolve(&[PathBuf::from("a")]).places().map(PathBuf::from).collect();
    assert_eq!(places[0], PathBuf::from("a"));
    assert_eq!(places.last(), Some(&std::env::current_exe().unwrap().parent().unwrap().join("plugins")));
}

#[test]
fn a_component_is_described_for_terminal_and_documentation() {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let component = registry.augmentation("panicking").unwrap();
    assert_eq!(component.summary(), "Adds one to each sample.");
    let page = component.describe();
    for line in [
        "augmentation panicking",
        "  radius  a whole number from 1 to 9, in pixels, required",
        "      A number without a default.",
        "  sigma  a range [low, high] of numbers from 0.1 to 10, default [0.5, 2.0]",
        "  probability  a number from 0 to 1, default 1",
        "  { id = \"panicking\", probability = 0.5, radius = .., place = \"nowhere\" }",
    ] {
        assert!(page.lines().any(|found| found == line), "{line:?} is missing in\n{page}");
    }
    let markdown = component.describe_markdown();
    let row = "| `radius` | a whole number from 1 to 9 | required | pixels | A number without a default. |";
    assert!(markdown.lines().any(|found| found == row), "{markdown}");
}
