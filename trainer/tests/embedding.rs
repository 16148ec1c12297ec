//! Features of a whole run as files: read back by their formats' own readers.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use common::{REGISTRY, config, images, run};
use diptych_pipeline::SourceConfig;
use diptych_trainer::Error;
use diptych_trainer::config::{Layer, NetworkRole};
use diptych_trainer::embed::{EmbedOptions, Embedded, embed};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};
use safetensors::SafeTensors;
use serde_json::Value;
use tempfile::TempDir;

/// A run of a few steps, its images beside it.
static RUN: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    run(&config(&images(folder.path()), 6, &[]), &folder.path().join("run"), false).unwrap();
    folder
});

fn options() -> EmbedOptions {
    EmbedOptions {
        data: SourceConfig::new(RUN.path().join("images")),
        views: None,
        network: NetworkRole::Online,
        layer: Layer::Embedding,
        random_init: false,
        device: None,
        batch_size: 20,
        workers: 1,
    }
}

fn write(out: &Path, options: &EmbedOptions) -> Result<Embedded, Error> {
    embed(&RUN.path().join("run"), out, options, &REGISTRY, &AtomicBool::new(false))
}

struct Read {
    features: Vec<f32>,
    shape: Vec<usize>,
    labels: Option<Vec<i64>>,
    names: Vec<String>,
    metadata: HashMap<String, String>,
}

fn read(path: &Path) -> Read {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let metadata = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    let features = file.tensor("features").unwrap();
    let numbers = |bytes: &[u8]| -> Vec<i64> {
        bytes.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    Read {
        features: features
            .data()
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect(),
        shape: features.shape().to_vec(),
        labels: file.tensor("labels").ok().map(|labels| numbers(labels.data())),
        names: serde_json::from_slice(file.tensor("names").unwrap().data()).unwrap(),
        metadata,
    }
}

fn out(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

#[test]
fn both_forms_hold_the_same_features_labels_and_names() {
    let folder = TempDir::new().unwrap();
    let (tensors, table) = (out(&folder, "a.safetensors"), out(&folder, "a.parquet"));
    let embedded = write(&tensors, &options()).unwrap();
    assert_eq!((embedded.images, embedded.skipped), (48, 0));
    write(&table, &options()).unwrap();
    let found = read(&tensors);
    assert_eq!(found.shape, [48, embedded.features]);
    let labels = found.labels.unwrap();
    assert_eq!((labels[0], labels[47], found.names[0].as_str()), (0, 1, "class0/0"));
    let classes: Vec<String> = serde_json::from_str(&found.metadata["classes"]).unwrap();
    assert_eq!(classes, ["class0", "class1"]);
    let about: Value = serde_json::from_str(&found.metadata["diptych"]).unwrap();
    assert_eq!((&about["step"], &about["layer"]), (&6.into(), &"embedding".into()));
    assert_eq!(about["view_size"], serde_json::json!([32, 32]), "the size that the run trained at");

    let file = SerializedFileReader::new(std::fs::File::open(&table).unwrap()).unwrap();
    let notes = file.metadata().file_metadata().key_value_metadata().unwrap();
    let note = |key: &str| notes.iter().find(|note| note.key == key).and_then(|note| note.value.clone());
    assert_eq!(note("classes").as_ref(), found.metadata.get("classes"));
    assert_eq!(note("diptych").as_ref(), found.metadata.get("diptych"));
    let mut values = Vec::new();
    for (index, row) in file.get_row_iter(None).unwrap().enumerate() {
        let row = row.unwrap();
        assert_eq!(row.get_string(0).unwrap(), &found.names[index]);
        assert_eq!(row.get_long(1).unwrap(), labels[index]);
        let list = row.get_list(2).unwrap();
        assert_eq!(list.elements().len(), embedded.features);
        values.extend(list.elements().iter().map(|field| match field {
            Field::Float(value) => *value,
            other => panic!("{other:?}"),
        }));
    }
    assert_eq!(values, found.features);
}

#[test]
fn network_layer_and_weights_give_features_of_their_own() {
    let folder = TempDir::new().unwrap();
    let plain = options();
    let cases = [
        plain.clone(),
        EmbedOptions { network: NetworkRole::Target, ..plain.clone() },
        EmbedOptions { random_init: true, ..plain.clone() },
        EmbedOptions { layer: Layer::Projection, ..plain },
    ];
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for options in &cases {
        let path = out(&folder, "a.safetensors");
        write(&path, options).unwrap();
        let found = read(&path);
        assert!(!seen.contains(&found.features));
        seen.push(found.features);
    }
    assert_eq!(seen[3].len(), 48 * 16, "as wide as projector.output");
}

#[test]
fn images_without_labels_are_embedded_without_them() {
    let folder = TempDir::new().unwrap();
    let data = SourceConfig::new(RUN.path().join("images/class1"));
    let (tensors, table) = (out(&folder, "a.safetensors"), out(&folder, "a.parquet"));
    let options = EmbedOptions { data, ..options() };
    write(&tensors, &options).unwrap();
    write(&table, &options).unwrap();
    let found = read(&tensors);
    assert!(found.labels.is_none() && !found.metadata.contains_key("classes"));
    let file = SerializedFileReader::new(std::fs::File::open(&table).unwrap()).unwrap();
    let row = file.get_row_iter(None).unwrap().next().unwrap().unwrap();
    assert!(row.get_column_iter().any(|(name, field)| name == "label" && *field == Field::Null));
}

#[test]
fn mistakes_are_told_and_leave_what_was_there() {
    let folder = TempDir::new().unwrap();
    let message = write(&out(&folder, "a.csv"), &options()).unwrap_err().to_string();
    assert!(message.contains("a.csv") && message.contains("FILE.safetensors or FILE.parquet"), "{message}");
    let message = write(&out(&folder, "no/such/a.parquet"), &options()).unwrap_err().to_string();
    assert!(message.contains("no/such is no folder"), "{message}");

    let path = out(&folder, "a.parquet");
    std::fs::write(&path, "before").unwrap();
    let stopped =
        embed(&RUN.path().join("run"), &path, &options(), &REGISTRY, &AtomicBool::new(true)).unwrap_err();
    assert!(stopped.to_string().contains("stopped before its end"), "{stopped}");
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    let nowhere = embed(folder.path(), &path, &options(), &REGISTRY, &AtomicBool::new(false)).unwrap_err();
    assert!(nowhere.to_string().contains("holds no run"), "{nowhere}");
}
