//! From a run's latest checkpoint to a file with the encoder alone.
//!
//! Names, shapes and kinds are the encoder's, buffers included. The file's metadata says what it is: `format` (`pt`, as PyTorch's own
//! safetensors files), `network`, `encoder`, `step`, `fingerprint`.

use std::collections::HashMap;
use std::path::Path;

use crate::checkpoint::{Checkpoints, State, read_tensors, write_tensors_with};
use crate::run_folder::{Begun, read_config};
use crate::{Error, Result, files};

diptych_config::choices! {
    /// Which of a run's encoders.
    pub enum ExportedNetwork {
        /// The trained one.
        Online = "online",
        /// Its moving average, of an `ema` target.
        Target = "target",
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Number of tensors.
    pub tensors: usize,
    /// Id of the encoder.
    pub encoder: String,
    /// Optimizer steps behind the weights.
    pub step: u64,
}

/// Writes the encoder of the run in the folder `run`, as its latest checkpoint has it, to the new file `out`.
///
/// # Errors
/// The folder holds no checkpoint, the run has no such network, or `out` exists.
pub fn export(run: &Path, network: ExportedNetwork, out: &Path) -> Result<Exported> {
    use diptych_config::Choice;
    let begun = Begun::require(run)?;
    let latest = Checkpoints::of_run(run).require_latest(run)?;
    if out.exists() {
        let message = format!("{} exists; remove it, or choose another name with --out", out.display());
        return Err(Error::Unfit(message));
    }
    let prefix = match network {
        ExportedNetwork::Online => "encoder.",
        ExportedNetwork::Target => "target.encoder.",
    };
    let tensors: Vec<_> = read_tensors(&latest.join("model.safetensors"))?
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)))
        .collect();
    let config = read_config(run)?;
    let text = |section: &str, key: &str| {
        let value = config.get(section).and_then(|section| section.get(key)).and_then(toml::Value::as_str);
        value.unwrap_or("unknown").to_owned()
    };
    if tensors.is_empty() {
        return Err(Error::Unfit(format!(
            "{} has no {} network (target.kind = \"{}\"); export the online one",
            run.display(),
            network.text(),
            text("target", "kind")
        )));
    }
    let (step, encoder) = (State::read(&latest)?.step, text("encoder", "id"));
    let metadata = HashMap::from([
        ("format".to_owned(), "pt".to_owned()),
        ("network".to_owned(), network.text().to_owned()),
        ("encoder".to_owned(), encoder.clone()),
        ("step".to_owned(), step.to_string()),
        ("fingerprint".to_owned(), begun.fingerprint),
    ]);
    files::replace_by(out, |fresh| write_tensors_with(fresh, &tensors, Some(metadata)))?;
    Ok(Exported { tensors: tensors.len(), encoder, step })
}
