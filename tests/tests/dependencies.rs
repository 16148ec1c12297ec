//! Dependencies point one way. The tables here say which; ARCHITECTURE.md says why.

use std::process::Command;

use serde_json::Value;

/// What each crate of the workspace may depend on within it. It need not; but nothing else.
const ALLOWED: &[(&str, &[&str])] = &[
    ("diptych-abi", &[]),
    ("diptych-sdk-macros", &[]),
    ("diptych-sdk", &["diptych-abi", "diptych-sdk-macros"]),
    ("diptych-sdk-tensor", &["diptych-abi", "diptych-sdk"]),
    // Plugins see the SDKs only, never the host or what is built on it.
    ("diptych-resample", &[]),
    ("diptych-augmentations", &["diptych-resample", "diptych-sdk"]),
    ("diptych-encoders", &["diptych-sdk", "diptych-sdk-tensor"]),
    ("diptych-losses", &["diptych-sdk", "diptych-sdk-tensor"]),
    ("diptych-template-plugin", &["diptych-sdk"]),
    // No crate below has a built-in plugin in its row: they are loaded, never linked.
    ("diptych-config", &[]),
    ("diptych-host", &["diptych-abi", "diptych-config"]),
    ("diptych-jpeg", &["diptych-abi"]),
    ("diptych-pipeline", &["diptych-abi", "diptych-config", "diptych-host", "diptych-jpeg"]),
    ("diptych-trainer", &["diptych-abi", "diptych-config", "diptych-host", "diptych-pipeline"]),
    ("diptych-report", &[]),
    ("diptych-study", &["diptych-config", "diptych-host", "diptych-pipeline", "diptych-report"]),
    ("diptych-watch", &["diptych-config", "diptych-report", "diptych-study"]),
    ("diptych-synth", &["diptych-abi"]),
    ("diptych-pack", &["diptych-config", "diptych-host", "diptych-pipeline"]),
    ("diptych-bench", &["diptych-config", "diptych-host", "diptych-pipeline", "diptych-trainer"]),
    (
        "diptych-cli",
        &[
            "diptych-config",
            "diptych-host",
            "diptych-pipeline",
            "diptych-trainer",
            "diptych-study",
            "diptych-report",
            "diptych-synth",
            "diptych-bench",
            "diptych-pack",
            "diptych-watch",
        ],
    ),
    ("xtask", &[]),
    (TEST_SUPPORT, &[]),
    (
        "diptych-tests",
        &[
            "diptych-abi",
            "diptych-config",
            "diptych-host",
            "diptych-pipeline",
            "diptych-trainer",
            "diptych-study",
            "diptych-report",
            "diptych-synth",
        ],
    ),
];

/// libtorch's bindings, and who may use them.
const TENSOR_LIBRARIES: &[&str] = &["tch", "torch-sys"];
const TENSOR_CRATES: &[&str] =
    &["diptych-sdk-tensor", "diptych-encoders", "diptych-losses", "diptych-trainer", "diptych-tests"];

/// The boundary's types must compile anywhere, and set-up must compile before anything is there.
const WITHOUT_ANY_DEPENDENCY: &[&str] = &["diptych-abi", "xtask"];

/// Plugins made to try the host, each a crate of its own under this folder.
const FIXTURES: &str = "/tests/fixtures/";
const FIXTURES_ALLOWED: &[&str] = &["diptych-abi", "diptych-sdk", "diptych-sdk-tensor"];

/// What tests share; it depends on nothing, and tests of any crate may use it.
const TEST_SUPPORT: &str = "diptych-test-support";

struct Package {
    name: String,
    manifest: String,
    dependencies: Vec<String>,
}

/// The workspace's packages; a dependency counts whether it is of the crate, its build script or its tests.
fn packages(metadata: &Value) -> Vec<Package> {
    let text =
        |value: &Value, key: &str| value[key].as_str().expect("cargo metadata has this text").to_owned();
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    packages
        .iter()
        .map(|package| Package {
            name: text(package, "name"),
            manifest: text(package, "manifest_path"),
            dependencies: package["dependencies"]
                .as_array()
                .expect("cargo metadata lists dependencies")
                .iter()
                .map(|dependency| text(dependency, "name"))
                .collect(),
        })
        .collect()
}

/// Every dependency that points the wrong way, in words.
fn violations(packages: &[Package]) -> Vec<String> {
    let mut found = Vec::new();
    for Package { name, manifest, dependencies } in packages {
        let fixture = manifest.contains(FIXTURES);
        let row = ALLOWED.iter().find(|(of, _)| of == name).map(|(_, allowed)| *allowed);
        let Some(allowed) = row.or(fixture.then_some(FIXTURES_ALLOWED)) else {
            found.push(format!("{name} has no row in ALLOWED: add one that keeps the direction"));
            continue;
        };
        for dependency in dependencies.iter().map(String::as_str) {
            let ours = packages.iter().any(|package| package.name == dependency);
            if WITHOUT_ANY_DEPENDENCY.contains(&name.as_str()) {
                found.push(format!("{name} must depend on nothing, and depends on {dependency}"));
            } else if ours && dependency != TEST_SUPPORT && !allowed.contains(&dependency) {
                found.push(format!("{name} must not depend on {dependency}"));
            } else if TENSOR_LIBRARIES.contains(&dependency)
                && !fixture
                && !TENSOR_CRATES.contains(&name.as_str())
            {
                found.push(format!("{name} must not depend on libtorch, and depends on {dependency}"));
            }
        }
    }
    found
}

#[test]
fn no_crate_depends_against_the_direction() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run, since it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let packages = packages(&serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON"));
    assert!(packages.len() >= ALLOWED.len(), "only {} packages were found", packages.len());
    assert_eq!(violations(&packages), Vec::<String>::new());
}

#[test]
fn every_kind_of_wrong_dependency_is_found() {
    let packages = |manifest: &str, name: &str, dependency: &str| {
        let mut packages: Vec<Package> = ALLOWED
            .iter()
            .map(|(name, _)| Package { name: (*name).into(), manifest: String::new(), dependencies: vec![] })
            .collect();
        packages.retain(|package| package.name != name);
        packages.push(Package {
            name: name.into(),
            manifest: manifest.into(),
            dependencies: vec![dependency.into()],
        });
        violations(&packages)
    };
    let ours = |name, dependency| packages("", name, dependency);
    assert_eq!(ours("diptych-host", "diptych-abi"), Vec::<String>::new());
    assert_eq!(ours("diptych-trainer", "tch"), Vec::<String>::new());
    assert_eq!(ours("diptych-losses", "diptych-host"), ["diptych-losses must not depend on diptych-host"]);
    assert_eq!(ours("diptych-cli", "diptych-encoders"), ["diptych-cli must not depend on diptych-encoders"]);
    assert_eq!(
        ours("diptych-pipeline", "tch"),
        ["diptych-pipeline must not depend on libtorch, and depends on tch"]
    );
    assert_eq!(ours("xtask", "anyhow"), ["xtask must depend on nothing, and depends on anyhow"]);
    assert_eq!(
        ours("diptych-new", "anyhow"),
        ["diptych-new has no row in ALLOWED: add one that keeps the direction"]
    );

    let fixture = |dependency| packages("/repository/tests/fixtures/loud/Cargo.toml", "loud", dependency);
    assert_eq!(fixture("diptych-sdk"), Vec::<String>::new());
    assert_eq!(fixture("diptych-host"), ["loud must not depend on diptych-host"]);
}

#[test]
fn the_rows_allow_no_circle() {
    fn reaches(from: &str, to: &str) -> bool {
        let (_, allowed) =
            ALLOWED.iter().find(|(name, _)| *name == from).expect("every allowed crate has a row");
        allowed.iter().any(|next| *next == to || reaches(next, to))
    }
    for (name, _) in ALLOWED {
        assert!(!reaches(name, name), "{name} is allowed to depend on itself");
    }
}
