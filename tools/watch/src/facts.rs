//! What a run is, as its folder says: label and text.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What is known; a run that has just begun has less to say.
pub fn of(folder: &Path) -> Vec<(&'static str, String)> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let report: Value = serde_json::from_str(&read("run.json")).unwrap_or_default();
    let config: Value = toml::from_str(&read("config.toml")).unwrap_or_default();
    let said = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let learning_rate = config["optimizer"]["learning_rate"].as_f64().map(|rate| format!("{rate}"));
    let device = said(&report["device"]).map(|device| {
        said(&report["threads"]).map_or(device.clone(), |threads| format!("{device}, threads: {threads}"))
    });
    let facts = [
        ("configuration", said(&report["name"])),
        ("fingerprint", said(&report["fingerprint"])),
        ("encoder", said(&config["encoder"]["id"])),
        ("target", said(&config["target"]["kind"])),
        ("optimizer", said(&config["optimizer"]["id"])),
        ("learning rate, base", learning_rate),
        ("batch size", said(&config["loader"]["batch_size"])),
        ("seed", said(&config["seed"])),
        ("data", said(&config["data"]["path"])),
        ("device", device),
        ("begun", said(&report["started"])),
        ("ended", said(&report["ended"])),
        ("version", said(&report["version"])),
    ];
    facts.into_iter().filter_map(|(label, text)| Some((label, text?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_tells_what_it_knows_and_half_a_file_tells_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(folder.path()), []);
        fs::write(folder.path().join("config.toml"), "seed = 3\n[encoder]\nid = \"resnet18\"\n").unwrap();
        fs::write(folder.path().join("run.json"), "{\"name\": \"a\", \"device\": \"cpu\", \"threads\": 2}")
            .unwrap();
        let expected =
            [("configuration", "a"), ("encoder", "resnet18"), ("seed", "3"), ("device", "cpu, threads: 2")];
        assert_eq!(of(folder.path()), expected.map(|(label, text)| (label, text.to_string())));
        fs::write(folder.path().join("run.json"), "{\"name\": \"a").unwrap();
        assert_eq!(of(folder.path()).len(), 2);
    }
}
