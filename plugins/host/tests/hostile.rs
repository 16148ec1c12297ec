//! Plugins that misbehave: each is met with one clear error that names it, and the process goes on.

mod common;

use common::{Plugins, parse, run_in_place};
use diptych_host::{Augmentation, Failure, InstanceError, Parameters, RandomStream, Registry, Size};

/// What loading complains of.
fn load_error(plugins: &Plugins, torch_version: Option<&str>) -> String {
    let result = Registry::load_folders(&[plugins.path().to_owned()], torch_version);
    result.map(|_| ()).expect_err("loading must fail").to_string()
}

/// Loading the hostile plugin with `defines` fails, and the error names the file and says `expected`.
fn refused(defines: &[&str], expected: &str) {
    let plugins = Plugins::new().with_c("hostile", "hostile", defines);
    let error = load_error(&plugins, Some("2.11.0"));
    let start = format!("{}: ", plugins.library("hostile").canonicalize().unwrap().display());
    assert!(error.starts_with(&start) && error.contains(expected), "with {defines:?}: {error}");
}

#[test]
fn another_major_version_is_refused_and_both_are_named() {
    refused(
        &["MAJOR=2"],
        "built for version 2.1 of the plugin boundary, this program has version 1.1; update Diptych",
    );
    refused(
        &["MAJOR=0", "MINOR=9"],
        "built for version 0.9 of the plugin boundary, this program has version 1.1; rebuild",
    );
}

#[test]
fn a_higher_minor_version_is_refused_and_both_are_named() {
    refused(&["MINOR=7"], "built for version 1.7 of the plugin boundary, this program has version 1.1");
}

#[test]
fn another_libtorch_is_refused_and_both_are_named() {
    refused(&["TORCH=\"1.9.0\""], "built for libtorch 1.9.0, this program has libtorch 2.11.0");
}

#[test]
fn null_functions_are_refused_when_the_library_is_loaded() {
    refused(&["OPEN=NULL"], "open is null");
    refused(&["GET_FACTORY=NULL"], "get_factory is null");
    refused(&["CREATE=NULL"], "create of the augmentation factory is null");
}

#[test]
fn a_truncated_entry_is_refused() {
    refused(&["ENTRY_SIZE=16"], "struct_size of diptych_plugin_entry is too small");
}

#[test]
fn texts_ids_and_defaults_are_checked_when_the_library_is_loaded() {
    refused(&["NAME=\"\\xff\""], "name or version is not valid UTF-8");
    refused(&["ID=\"Not-snake\""], "the augmentation id \"Not-snake\" is not in snake_case");
    refused(&["ID=\"\\xff\""], "the id of augmentation number 0 is not valid UTF-8");
    refused(&["DEFAULT=1.5"], "the default 1.5 of amount is not a number from 0 to 1");
    refused(
        &["PARAMETER=\"probability\""],
        "\"probability\" of augmentation \"hostile\" is there twice, or a key that",
    );
}

#[test]
fn a_library_without_a_known_component_is_refused() {
    refused(&["KIND=\"augmentation/2\""], "no component of any kind that this version knows");
}

#[test]
fn a_plugin_that_refuses_to_open_says_why_even_in_broken_utf_8() {
    refused(&["OPEN_STATUS=DIPTYCH_STATUS_ERROR"], "refuses to start: a\u{fffd}b");
}

#[test]
fn a_library_that_was_cut_short_is_refused_before_it_is_mapped() {
    let plugins = Plugins::new().with_c("hostile", "hostile", &[]);
    let path = plugins.library("hostile");
    let whole = std::fs::read(&path).unwrap();
    for length in [3000, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = load_error(&plugins, None);
        assert!(error.contains(&format!("the file ends early, after {length} of at least")), "{error}");
    }
}

#[test]
fn a_file_that_is_no_library_or_no_plugin_is_named() {
    let plugins = Plugins::new();
    std::fs::write(plugins.library("text"), "no library").unwrap();
    std::fs::write(plugins.path().join("notes.txt"), "not looked at").unwrap();
    let source = plugins.path().join("empty.c");
    std::fs::write(&source, "int nothing;\n").unwrap();
    diptych_test_support::compile_c_plugin(source.to_str().unwrap(), &[], &plugins.library("zero"));
    let error = load_error(&plugins, None);
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].contains("text.so: can't be loaded: "), "{error}");
    assert!(
        lines[1].contains("zero.so: is no Diptych plugin, for it exports no `diptych_plugin_entry`"),
        "{error}"
    );
}

#[test]
fn one_id_in_two_libraries_is_refused_and_both_are_named() {
    let plugins = Plugins::new().with_c("hostile", "one", &["NAME=\"first\""]).with_c(
        "hostile",
        "two",
        &["NAME=\"second\""],
    );
    let error = load_error(&plugins, None);
    assert!(error.starts_with("augmentation \"hostile\" is in two libraries, first 0 ("), "{error}");
    assert!(error.contains("one.so) and second 0 (") && error.contains("two.so)"), "{error}");
}

#[test]
fn a_component_for_libtorch_is_listed_without_it_but_not_created() {
    let registry = Plugins::new().with_c("hostile", "hostile", &["TORCH=\"2.11.0\""]).load();
    let component = registry.augmentation("hostile").unwrap();
    let error = component.create_augmentation(&Parameters::defaults(component).unwrap()).err().unwrap();
    assert_eq!(error.failure, Failure::NoTorch("2.11.0".to_owned()));
}

/// The hostile plugin compiled with `defines`, created.
fn hostile(defines: &[&str]) -> Result<Augmentation, InstanceError> {
    let registry = Plugins::new().with_c("hostile", "hostile", defines).load();
    let component = registry.augmentation("hostile").unwrap();
    component.create_augmentation(&Parameters::defaults(component).unwrap())
}

fn misbehaviour(error: InstanceError) -> String {
    match error.failure {
        Failure::Misbehaved(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failing_create_says_why_even_in_broken_utf_8() {
    let error = hostile(&["CREATE_STATUS=DIPTYCH_STATUS_ERROR"]).err().unwrap();
    assert_eq!(error.failure, Failure::Failed("a\u{fffd}b".to_owned()));
}

#[test]
fn an_instance_that_is_null_or_lacks_a_function_is_refused() {
    assert_eq!(misbehaviour(hostile(&["INSTANCE=NULL"]).err().unwrap()), "create answered no instance");
    assert_eq!(misbehaviour(hostile(&["APPLY=NULL"]).err().unwrap()), "apply of the instance is null");
}

#[test]
fn plans_that_contradict_the_input_are_refused() {
    let plan = |defines: &[&str]| {
        let mut operator = hostile(defines).unwrap();
        let input = Size { width: 8, height: 6 };
        misbehaviour(operator.plan(input, &mut RandomStream::new([1, 2])).unwrap_err())
    };
    let in_place = plan(&["CHANGE_PLAN=plan->output.width=9"]);
    assert!(in_place.starts_with("it works in place and plans"), "{in_place}");
    let outside = plan(&["FLAGS=0", "CHANGE_PLAN=plan->region.x=1"]);
    assert!(outside.starts_with("it plans to read Region { x: 1"), "{outside}");
    let wrapped = plan(&["FLAGS=0", "CHANGE_PLAN=plan->region.y=UINT32_MAX"]);
    assert!(wrapped.starts_with("it plans to read"), "{wrapped}");
    let empty = plan(&["FLAGS=0", "CHANGE_PLAN=plan->output.height=0"]);
    assert!(empty.contains("expected 1 to 65536 pixels a side"), "{empty}");
    let scratch = plan(&["CHANGE_PLAN=plan->scratch_bytes=SIZE_MAX"]);
    assert!(scratch.contains("bytes of scratch memory"), "{scratch}");
    assert_eq!(plan(&["PLAN_STATUS=77"]), "it answered the unknown status 77");
}

/// The fixture that panics in `place`.
fn panicking(place: &str) -> Result<Augmentation, InstanceError> {
    let registry = Plugins::new().with_built("diptych-fixture-panicking").load();
    let component = registry.augmentation("panicking").unwrap();
    let parameters = parse(component, &format!("radius = 3\nplace = \"{place}\"")).unwrap();
    component.create_augmentation(&parameters)
}

fn panic_text(failure: Failure) -> String {
    match failure {
        Failure::Panicked(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_in_create_is_an_error_with_its_message_and_place() {
    let error = panicking("create").err().unwrap();
    assert!(
        error.to_string().contains("augmentation \"panicking\" of diptych-fixture-panicking 0.1.0 ("),
        "{error}"
    );
    let text = panic_text(error.failure);
    assert!(text.starts_with("panics with radius 3 and sigma [0.5, 2.0], as told at "), "{text}");
    assert!(text.contains("src/lib.rs:"), "{text}");
}

#[test]
fn a_panic_in_any_call_poisons_the_instance() {
    for place in ["plan", "apply"] {
        let mut operator = panicking(place).unwrap();
        let mut run = || run_in_place(&mut operator, &mut [1, 2, 3], &mut RandomStream::new([1, 2]));
        let text = panic_text(run().unwrap_err().failure);
        for _ in 0..2 {
            assert_eq!(run().unwrap_err().failure, Failure::Poisoned(text.clone()), "{place}");
        }
        assert_eq!(operator.describe_draws(), "");
    }
    let mut operator = panicking("describe").unwrap();
    assert_eq!(operator.describe_draws(), "");
    let error = operator.plan(Size { width: 1, height: 1 }, &mut RandomStream::new([1, 2])).unwrap_err();
    assert!(matches!(error.failure, Failure::Poisoned(_)), "{error}");
}

#[test]
fn a_poisoned_instance_leaves_others_of_its_library_alone() {
    let mut poisoned = panicking("plan").unwrap();
    let mut sound = panicking("nowhere").unwrap();
    let mut bytes = [1, 2, 255];
    run_in_place(&mut poisoned, &mut bytes, &mut RandomStream::new([1, 2])).unwrap_err();
    run_in_place(&mut sound, &mut bytes, &mut RandomStream::new([1, 2])).unwrap();
    assert_eq!(bytes, [2, 3, 0]);
    assert_eq!(sound.describe_draws(), "drew nothing");
}

#[test]
fn a_panic_while_an_instance_is_dropped_stays_inside_the_plugin() {
    let mut operator = panicking("drop").unwrap();
    run_in_place(&mut operator, &mut [1, 2, 3], &mut RandomStream::new([1, 2])).unwrap();
    drop(operator);
    panicking("nowhere").expect("the process and the library are sound");
}
