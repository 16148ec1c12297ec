//! `encoder.weights`: the file that an encoder starts from.

use std::path::{Path, PathBuf};

use diptych_config::{Table, file_fingerprint};

const KEY: &str = "weights";
const HASH_KEY: &str = "weights_hash";

/// A safetensors file and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsConfig {
    /// Where it is.
    pub path: PathBuf,
    /// [`file_fingerprint`] of its contents. In the run's fingerprint, in the path's place.
    pub hash: String,
}

impl WeightsConfig {
    /// Reads `weights`. The hash beside it, which the resolved configuration has, is believed here, so that a run can be looked
    /// at without the file; using the file checks it.
    pub(super) fn read(table: &mut Table<'_>) -> Option<WeightsConfig> {
        let noted: Option<String> = table.optional(HASH_KEY);
        let Some(path) = table.optional::<String>(KEY) else {
            if noted.is_some() && !table.has(KEY) {
                table.problem(Some(HASH_KEY), format!("found without {KEY}; add {KEY} or remove it"));
            }
            return None;
        };
        let hash = noted.map_or_else(|| file_fingerprint(Path::new(&path)), Ok);
        let hash = hash.unwrap_or_else(|error| {
            let message = format!(
                "cannot read {path:?}: {error}; give the path of a safetensors file, from the working directory"
            );
            table.problem(Some(KEY), message);
            String::new()
        });
        Some(WeightsConfig { path: path.into(), hash })
    }

    pub(super) fn insert(&self, table: &mut toml::Table) {
        table.insert(KEY.into(), self.path.display().to_string().into());
        table.insert(HASH_KEY.into(), self.hash.clone().into());
    }
}
