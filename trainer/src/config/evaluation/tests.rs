//! Reading evaluations without any plugin.

use diptych_config::Document;
use diptych_host::Registry;

use super::*;

const DATA: &str = "[data]\ntrain = \"a\"\ntest = \"b\"\n[augmentations]\nviews = [{ operators = [] }]\n";

fn read(protocols: &str) -> Result<EvaluationConfig, Problems> {
    let registry = Registry::load_folders(&[], None).unwrap();
    let document = Document::parse(&format!("{DATA}{protocols}"), "evaluation.toml").unwrap();
    EvaluationConfig::read(&document, &registry)
}

fn refusal(protocols: &str) -> String {
    read(protocols).err().map(|problems| problems.to_string()).unwrap_or_default()
}

#[test]
fn each_protocol_is_a_table_of_its_own_and_one_is_needed() {
    let config = read("[knn]\n").unwrap();
    assert_eq!(config.protocols().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["knn"]);
    let message = refusal("");
    assert!(message.contains("names no protocol") && message.contains("[fine_tune]"), "{message}");
}

#[test]
fn the_papers_numbers_are_the_defaults() {
    let views = "augmentations = { views = [{ operators = [] }] }\n";
    let config = read(&format!("[linear_sgd]\n{views}[semi_supervised]\n{views}")).unwrap();
    let linear = config.linear_sgd.unwrap();
    assert_eq!((linear.epochs, linear.training.batch_size, linear.training.momentum), (80, 1024, 0.9));
    assert_eq!(linear.training.learning_rates, [0.4, 0.3, 0.2, 0.1, 0.05]);
    let semi = config.semi_supervised.unwrap();
    assert_eq!((semi.fractions, semi.epochs), (vec![0.01, 0.1], vec![30, 50]));
    assert_eq!((semi.training.learning_rates.len(), semi.weight_decay), (5, 0.0));
}

#[test]
fn a_spaced_grid_has_both_ends_and_equal_ratios() {
    let linear = read("[linear]\nl2 = { from = 1e-6, to = 1e5, count = 45 }\n").unwrap().linear.unwrap();
    assert_eq!(linear.l2.len(), 45);
    assert_eq!([linear.l2[0], linear.l2[8], linear.l2[44]], [1e-6, 1e-4, 1e5]);
    let ratios = linear.l2.windows(2).map(|pair| pair[1] / pair[0]);
    assert!(ratios.into_iter().all(|ratio| (ratio / 10f64.powf(0.25) - 1.0).abs() < 1e-9));
    let views = "augmentations = { views = [{ operators = [] }] }\n";
    let decays = "weight_decays = { from = 1e-6, to = 1e-3, count = 7, none = true }\n";
    let fine_tune = read(&format!("[fine_tune]\n{decays}{views}")).unwrap().fine_tune.unwrap();
    assert_eq!((fine_tune.weight_decays.len(), fine_tune.weight_decays[0]), (8, 0.0));
}

#[test]
fn what_is_wrong_in_a_protocol_is_named() {
    let cases = [
        ("[linear]\nl2 = [-1.0]\n", "linear.l2: found [-1.0], expected one or more numbers from 0"),
        (
            "[linear]\nl2 = { from = 1.0, to = 0.1, count = 3 }\n",
            "linear.l2.to: found 0.1, expected more than",
        ),
        ("[linear]\nheld_out_images = 3\nheld_out_fraction = 0.1\n", "expected one of the two"),
        ("[knn]\nk = [20, 20]\n", "knn.k: found [20, 20], expected different numbers"),
        ("[semi_supervised]\nfractions = [1.5]\n", "semi_supervised.fractions: found [1.5]"),
        ("[fine_tune]\n", "fine_tune.augmentations: names no views"),
        ("[linear]\n[knnn]\n", "did you mean `knn`?"),
    ];
    for (protocols, expected) in cases {
        let message = refusal(protocols);
        assert!(message.contains(expected), "expected {expected:?} in: {message}");
    }
}

#[test]
fn a_resolved_evaluation_reads_back_as_the_same() {
    let views = "augmentations = { views = [{ operators = [] }] }\n";
    let protocols = format!(
        "[linear]\nl2 = {{ from = 1e-3, to = 1.0, count = 4 }}\n[knn]\nk = [5, 20]\n[linear_sgd]\nheld_out_images = 7\n{views}\
         [semi_supervised]\n{views}[fine_tune]\n{views}"
    );
    let resolved = read(&protocols).unwrap().to_toml();
    let registry = Registry::load_folders(&[], None).unwrap();
    let document = Document::parse(&toml::to_string(&resolved).unwrap(), "resolved.toml").unwrap();
    assert_eq!(EvaluationConfig::read(&document, &registry).unwrap().to_toml(), resolved);
}
