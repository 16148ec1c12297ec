//! Reports as people meet them: opened in a browser, on a phone and on a screen.

mod browser;
mod generated;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use diptych_study::PlannedRun;
use diptych_tests::{built_plugin, built_program, repository};
use serde_json::Value;
use tempfile::TempDir;

use browser::Browser;

const AUDIT: &str = include_str!("audit.js");
/// Width and height of a phone's window, and of a desktop's.
const WINDOWS: [(u32, u32); 2] = [(390, 844), (1280, 900)];

fn diptych(arguments: &[&str]) {
    let mut command = Command::new(built_program());
    for package in ["diptych-augmentations", "diptych-encoders", "diptych-losses"] {
        command.arg("--plugin-path").arg(built_plugin(package));
    }
    let output =
        command.env_remove("DIPTYCH_PLUGIN_PATH").current_dir(repository()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A small labelled set in the folder.
fn images(folder: &TempDir) -> PathBuf {
    let set = folder.path().join("set");
    diptych(&["synth", text(&set), "--split", "train=96", "--split", "test=48"]);
    set
}

/// Writes a study that comes with Diptych into `folder`, with `change` applied to its text.
fn study(folder: &TempDir, name: &str, change: impl Fn(String) -> String) -> PathBuf {
    let configs = repository().join("configs");
    let original = fs::read_to_string(configs.join("studies").join(name)).unwrap();
    let placed = original.replace("\"../", &format!("\"{}/", configs.display()));
    let file = folder.path().join(name);
    fs::write(&file, change(placed)).unwrap();
    file
}

/// Opens the report at both widths: nothing is asked of the network, nothing complains, everything is drawn. Returns the
/// headline.
fn look(browser: &mut Browser, report: &Path) -> String {
    let mut headline = String::new();
    for (width, height) in WINDOWS {
        browser.open(report, width, height);
        let page = browser.evaluate(AUDIT);
        // Requests of what was folded away would come now.
        browser.evaluate("new Promise(done => setTimeout(done, 200))");
        let address = format!("file://{}", report.display());
        let outside: Vec<&str> = browser
            .requests()
            .into_iter()
            .filter(|url| *url != address && !url.starts_with("data:"))
            .collect();
        assert_eq!(outside, Vec::<&str>::new(), "the page loads nothing but itself");
        assert_eq!(browser.complaints(), Vec::<&Value>::new());
        assert!(page["overflow"].as_i64().unwrap() <= 0, "wider than {width} pixels: {}", page["overflow"]);
        let charts = page["charts"].as_array().unwrap();
        assert!(charts.len() > 2, "levels, drops and curves: {}", charts.len());
        for chart in charts {
            assert!(chart["marks"].as_u64().unwrap() > 0, "nothing is drawn: {chart:#}");
            assert!(chart["description"].as_str().unwrap().len() > 20, "{chart:#}");
            assert_eq!(
                chart["clashes"],
                Value::Array(Vec::new()),
                "{width} pixels: {}",
                chart["description"]
            );
            assert_eq!(
                chart["outside"],
                Value::Array(Vec::new()),
                "{width} pixels: {}",
                chart["description"]
            );
        }
        let pictures = page["images"].as_array().unwrap();
        assert!(!pictures.is_empty());
        for picture in pictures {
            assert!(picture["width"].as_u64().unwrap() > 0 && picture["alternative"] != "", "{picture}");
        }
        headline = page["headline"].as_str().unwrap().to_owned();
    }
    headline
}

/// Accuracy in percent by base, variant and seed, as `results.csv` has it.
fn accuracies(out: &Path) -> BTreeMap<(String, String, u64), f64> {
    let csv = fs::read_to_string(out.join("results.csv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let key = (cells[0].to_owned(), cells[1].to_owned(), cells[2].parse().unwrap());
        (key, cells[3].parse::<f64>().unwrap() * 100.0)
    };
    csv.lines().skip(1).map(row).collect()
}

/// By seed, what `base` loses in `variant`.
fn drops(accuracies: &BTreeMap<(String, String, u64), f64>, base: &str, variant: &str) -> Vec<f64> {
    let of = |variant: &str, seed: u64| accuracies[&(base.to_owned(), variant.to_owned(), seed)];
    let mut seeds: Vec<u64> = accuracies.keys().map(|(_, _, seed)| *seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    seeds.into_iter().map(|seed| of("baseline", seed) - of(variant, seed)).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// As the page writes it, without a sign.
fn number(value: f64) -> String {
    format!("{:.1}", value.abs())
}

#[test]
fn the_quick_starts_report_opens_whole_and_its_sentence_is_that_of_its_tables() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let set = images(&folder);
    let evaluation = folder.path().join("evaluation.toml");
    let data = format!("[data]\ntrain = \"{0}/train\"\ntest = \"{0}/test\"\n", set.display());
    let base = repository().join("configs/evaluate/demo.toml");
    fs::write(&evaluation, format!("extends = \"{}\"\n{data}", base.display())).unwrap();
    let overrides = format!(
        "seeds = [0, 1]\nset = [\"data.path={}/train\", \"schedule.steps=3\", \"schedule.warmup_steps=1\", \
         \"loader.batch_size=16\", \"logging.every_steps=1\", \"checkpoint.every_epochs=1000\"]",
        set.display()
    );
    let file = study(&folder, "quickstart.toml", |file| {
        let evaluated = format!("{}/evaluate/demo.toml", repository().join("configs").display());
        file.replace("seeds = [0, 1, 2]", &overrides).replace(&evaluated, text(&evaluation))
    });
    let out = folder.path().join("out");
    diptych(&["study", text(&file), "--out", text(&out)]);

    let headline = look(&mut browser, &out.join("report.html"));
    let accuracies = accuracies(&out);
    let variants = [
        ("remove grayscale", "remove_grayscale"),
        ("remove colour", "remove_color"),
        ("crop only", "crop_only"),
    ];
    let difference = |variant: &str| -> Vec<f64> {
        let [of_byol, of_simclr] = ["byol", "simclr"].map(|base| drops(&accuracies, base, variant));
        of_byol.into_iter().zip(of_simclr).map(|(one, other)| one - other).collect()
    };
    let agrees =
        |values: &[f64]| values.iter().all(|value| *value > 0.0) || values.iter().all(|value| *value < 0.0);
    let named = variants.iter().find(|(label, _)| headline.contains(&format!("“{label}”")));
    let Some((_, variant)) = named else {
        assert!(headline.starts_with("No difference between the methods shows"), "{headline}");
        assert!(variants.iter().all(|(_, variant)| !agrees(&difference(variant))), "{headline}");
        return;
    };
    assert!(agrees(&difference(variant)), "{headline}");
    for (label, base) in [("BYOL", "byol"), ("SimCLR", "simclr")] {
        let lost = number(mean(&drops(&accuracies, base, variant)));
        assert!(headline.contains(label) && headline.contains(&lost), "{label} {lost}: {headline}");
    }
    let apart = format!("a difference of {}", number(mean(&difference(variant))));
    assert!(headline.contains(&apart), "{apart}: {headline}");
}

#[test]
fn the_report_of_the_study_of_collapse_labels_what_collapsed_and_draws_its_axes() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let set = images(&folder);
    let file = study(&folder, "collapse.toml", |text| text);
    let out = folder.path().join("out");
    let collapsed = ["predictor_only", "target_only", "neither", "lambda_0"];
    generated::write(&file, &out, &set.join("train"), |run: &PlannedRun| {
        let collapsed = collapsed.contains(&&*run.variant);
        let place = run.variant.bytes().map(usize::from).sum::<usize>() % 20;
        let accuracy = if run.variant == "baseline" { 0.8 } else { 0.5 + place as f64 / 100.0 };
        let accuracy = if collapsed { 0.26 } else { accuracy } + run.seed as f64 / 100.0;
        generated::MadeUp { accuracy, collapsed }
    });
    diptych(&["study", "report", text(&out)]);

    let headline = look(&mut browser, &out.join("report.html"));
    let accuracies = accuracies(&out);
    let (_, worst) = accuracies
        .keys()
        .map(|(base, variant, _)| (mean(&drops(&accuracies, base, variant)), variant))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .unwrap();
    let lost = drops(&accuracies, "byol", worst);
    let expected = format!(": {}\u{a0}points of linear probe accuracy (mean of 2 seeds", number(mean(&lost)));
    assert!(
        headline.starts_with("BYOL loses most with") && headline.contains(&expected),
        "{expected}: {headline}"
    );
    let labelled = browser.evaluate(
        "[...document.querySelectorAll('#charts text')].filter(text => text.textContent.endsWith('collapsed')).length",
    );
    assert_eq!(labelled, 2 * collapsed.len(), "in the chart of levels and in that of drops");
    let titles = browser
        .evaluate("[...document.querySelectorAll('.scans .title')].map(text => text.textContent).join()");
    for key in ["target.momentum", "predictor.learning_rate_multiplier"] {
        assert!(titles.as_str().unwrap().contains(key), "{key}: {titles}");
    }
}

#[test]
fn the_report_of_two_hundred_runs_stays_small_and_whole() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = TempDir::new().unwrap();
    let set = images(&folder);
    let file = study(&folder, "quickstart.toml", |text| {
        let operators = "[\"horizontal_flip\", \"color_jitter\", \"grayscale\"]";
        let rates: Vec<String> =
            (1..=12).map(|step| format!("{}", f64::from(step * step) / 1000.0)).collect();
        let start = text.find("[variants.remove_grayscale]").unwrap();
        let head = text[..start].replace("seeds = [0, 1, 2]", "seeds = [0, 1, 2, 3, 4]").replace(
            "[bases.byol]",
            &format!("leave_one_out = {operators}\ncumulative = {operators}\n[bases.byol]"),
        );
        let axes = |key: &str, values: &[String]| {
            format!("[[axes]]\nkey = \"{key}\"\nvalues = [{}]\n", values.join(", "))
        };
        format!(
            "{head}{}[variants.longer]\nset = [\"schedule.steps=2400\"]\n[variants.crop_only]\nonly = [\"random_resized_crop\"]\n",
            axes("optimizer.learning_rate", &rates)
        )
    });
    let out = folder.path().join("out");
    generated::write(&file, &out, &set.join("train"), |run: &PlannedRun| {
        let place = (run.id.bytes().map(usize::from).sum::<usize>() * 37) % 60;
        generated::MadeUp { accuracy: 0.3 + place as f64 / 100.0, collapsed: place == 7 }
    });
    diptych(&["study", "report", text(&out)]);

    let report = out.join("report.html");
    assert_eq!(accuracies(&out).len(), 200);
    let size = fs::metadata(&report).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes");
    look(&mut browser, &report);
}
