//! Reads the configurations of a study's runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use diptych_config::Document;
use diptych_host::Registry;
use diptych_study::{PlannedRun, Resolved};
use diptych_trainer::config::{DataConfig, Interval};
use diptych_trainer::{EvaluationConfig, RunConfig};

/// Reads each arm once, whatever the number of its seeds, and each data set once, for they take a while to list.
pub struct Resolver {
    registry: Registry,
    arms: BTreeMap<(PathBuf, Vec<String>), RunConfig>,
    data: Vec<(DataConfig, Data)>,
}

/// Number of images and identity, or why there are none.
type Data = Result<(u64, String), String>;

impl Resolver {
    /// With the components of `registry`.
    pub fn new(registry: Registry) -> Resolver {
        Resolver { registry, arms: BTreeMap::new(), data: Vec::new() }
    }

    /// The configuration of a run; its seed is all that differs between those of an arm.
    fn config(&mut self, run: &PlannedRun) -> Result<RunConfig> {
        let sets = run.sets.split_last().map_or(&[][..], |(_seed, of_arm)| of_arm);
        let arm = (run.config.clone(), sets.to_vec());
        if !self.arms.contains_key(&arm) {
            let config = RunConfig::read(&Document::load(&run.config, sets)?, &self.registry)?;
            self.arms.insert(arm.clone(), config);
        }
        Ok(RunConfig { seed: run.seed, ..self.arms[&arm].clone() })
    }

    fn data(&mut self, config: &RunConfig) -> Data {
        if let Some((_, known)) = self.data.iter().find(|(known, _)| *known == config.data) {
            return known.clone();
        }
        let found = config.data.open().map(|source| (source.len() as u64, source.identity()));
        let found = found.map_err(|error| error.to_string());
        self.data.push((config.data.clone(), found.clone()));
        found
    }
}

impl diptych_study::Resolver for Resolver {
    fn run(&mut self, run: &PlannedRun) -> Result<Resolved> {
        let config = self.config(run)?;
        let data = self.data(&config);
        let length = match (config.schedule.length, &data) {
            (Interval::Epochs(epochs), Err(_)) => format!("{epochs} epochs"),
            (length, data) => {
                let images = data.as_ref().map_or(0, |(images, _)| *images);
                let batches = images / u64::from(config.loader.batch_size);
                length.steps(config.steps_per_epoch(batches)).to_string()
            }
        };
        // Without data their place must do, to tell arms apart.
        let place = || config.data.source.path.to_string_lossy().into_owned();
        let identity = data.as_ref().map_or_else(|_| place(), |(_, identity)| identity.clone());
        Ok(Resolved {
            length,
            fingerprint: config.fingerprint(&identity),
            missing_data: data.err(),
            config: config.to_toml(),
        })
    }

    fn evaluation(&mut self, path: &Path) -> Result<toml::Table> {
        Ok(EvaluationConfig::read(&Document::load(path, &[])?, &self.registry)?.to_toml())
    }
}
