//! The manifest beside the shards: what the set was made of, and what is there of it.
//!
//! It is written anew after each shard, so that it never names one that isn't whole. `format`, `version`, `complete` and
//! `classes` are read by the pipeline, too: see [`diptych_pipeline::source::packed`].

use std::fs;
use std::io;
use std::path::Path;

use diptych_pipeline::Source;
use diptych_pipeline::source::packed::{FORMAT, MANIFEST, VERSION};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::files;
use crate::options::{PackOptions, ShardLimit};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u64,
    /// Whether all shards were written.
    pub complete: bool,
    options: Recipe,
    source: Origin,
    /// In the order of the labels; none without labels.
    classes: Option<Vec<String>>,
    pub shards: Vec<Shard>,
    pub skipped: Vec<Skipped>,
}

/// The options that make a difference to the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Recipe {
    format: String,
    quality: Option<u8>,
    short_side: Option<u32>,
    shard_bytes: Option<u64>,
    shard_samples: Option<u64>,
    maximum_pixels: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    identity: String,
    summary: String,
    samples: usize,
}

/// One whole shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub name: String,
    pub samples: u64,
    pub bytes: u64,
    pub sha256: String,
    /// The source's samples that it was made of, from `first` on and before `end`; those that were skipped count.
    pub first: usize,
    pub end: usize,
}

/// An image that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its index in the source.
    pub index: usize,
    /// Where it lies.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl Manifest {
    /// Of a set without a shard yet.
    pub fn new(source: &dyn Source, options: &PackOptions) -> Manifest {
        let (shard_bytes, shard_samples) = match options.shards {
            ShardLimit::Bytes(bytes) => (Some(bytes), None),
            ShardLimit::Samples(samples) => (None, Some(samples)),
        };
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            complete: false,
            options: Recipe {
                format: options.format.name().into(),
                quality: options.format.quality(),
                short_side: options.short_side,
                shard_bytes,
                shard_samples,
                maximum_pixels: options.maximum_pixels,
            },
            source: Origin { identity: source.identity(), summary: source.summary(), samples: source.len() },
            classes: source.classes().map(<[String]>::to_vec),
            shards: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// The manifest in `folder`; `None` when there is none.
    pub fn load(folder: &Path) -> Result<Option<Manifest>, Error> {
        let path = folder.join(MANIFEST);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::reading(&path)(error)),
        };
        let refuse = |found: String, remedy| Error::Manifest {
            path: path.clone(),
            found,
            expected: "what `diptych pack` writes",
            remedy,
        };
        let another = "choose another folder, or remove this one";
        let value: Value =
            serde_json::from_slice(&text).map_err(|error| refuse(error.to_string(), another))?;
        if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Err(refuse("another program's file".into(), another));
        }
        if value.get("version").and_then(Value::as_u64) != Some(VERSION) {
            let found = format!("version {}", value.get("version").unwrap_or(&Value::Null));
            return Err(refuse(found, "use the program that wrote it"));
        }
        serde_json::from_value(value).map(Some).map_err(|error| refuse(error.to_string(), another))
    }

    /// Writes it into `folder`, whole or not at all.
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let text = format!("{:#}\n", serde_json::json!(self));
        files::replace(&folder.join(MANIFEST), text.as_bytes())
    }

    /// Refuses to go on with a set that began otherwise.
    pub fn check_same(&self, wanted: &Manifest, folder: &Path) -> Result<(), Error> {
        let mut differences = Vec::new();
        let (found, asked) = (serde_json::json!(self.options), serde_json::json!(wanted.options));
        for (key, asked) in asked.as_object().into_iter().flatten() {
            if found[key] != *asked {
                let text = |value: &Value| match value {
                    Value::Null => "unset".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                differences.push(format!("{key} is {}, not {}", text(&found[key]), text(asked)));
            }
        }
        let (source, other) = (&self.source, &wanted.source);
        if (&source.identity, source.samples, &self.classes)
            != (&other.identity, other.samples, &wanted.classes)
        {
            differences.push(if source.summary == other.summary {
                format!("the files have changed since in the source, {}", source.summary)
            } else {
                format!("the source is {}, not {}", source.summary, other.summary)
            });
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::AnotherSet { folder: folder.to_owned(), differences: differences.join("; ") })
    }

    /// Number of samples in whole shards.
    pub fn samples(&self) -> u64 {
        self.shards.iter().map(|shard| shard.samples).sum()
    }

    /// Bytes of whole shards.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// The source's first sample that no whole shard has.
    pub fn end(&self) -> usize {
        self.shards.last().map_or(0, |shard| shard.end)
    }
}
