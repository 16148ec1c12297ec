//! What the runs of a study come to, by whoever can read configurations, before any of them runs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::config::StudyConfig;
use crate::metrics;
use crate::plan::PlannedRun;

/// Reads configurations as the runs themselves do.
pub trait Resolver {
    /// The configuration of a run.
    fn run(&mut self, run: &PlannedRun) -> Result<Resolved>;

    /// The evaluation's configuration, every key of it.
    fn evaluation(&mut self, path: &Path) -> Result<toml::Table>;
}

/// What is known of a run before it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resolved {
    /// How long it trains: `1200`, or `300 epochs` where no data are there to count.
    pub length: String,
    /// Of all that changes its numbers; without data, of all but those.
    pub fingerprint: String,
    /// Why the data cannot be opened.
    pub missing_data: Option<String>,
    /// Every key of its configuration.
    pub config: toml::Table,
}

/// A study with what its runs and its evaluation come to.
pub struct ResolvedStudy {
    pub study: StudyConfig,
    pub runs: Vec<(PlannedRun, Resolved)>,
    /// The evaluation, every key of it.
    pub protocol: Value,
}

impl ResolvedStudy {
    /// Resolves everything.
    ///
    /// # Errors
    /// All that is wrong with any of the configurations, each problem once.
    pub fn of(
        study: StudyConfig,
        runs: Vec<PlannedRun>,
        resolver: &mut dyn Resolver,
    ) -> Result<ResolvedStudy> {
        let (protocol, mut problems) = match evaluation(&study.evaluation, resolver) {
            Ok(protocol) => (protocol, Vec::new()),
            Err(error) => (Value::Null, vec![format!("the evaluation cannot be used: {error:#}")]),
        };
        // The seeds of an arm, and the arms of a base, have their problems in common.
        let mut of_arms: Vec<(String, Vec<String>)> = Vec::new();
        let mut resolved = Vec::new();
        for run in runs {
            match resolver.run(&run) {
                Ok(known) => resolved.push((run, known)),
                Err(error) => {
                    let problem = format!("{error:#}");
                    match of_arms.iter_mut().find(|(known, _)| *known == problem) {
                        Some((_, arms)) if arms.contains(&run.variant) => {}
                        Some((_, arms)) => arms.push(run.variant),
                        None => of_arms.push((problem, vec![run.variant])),
                    }
                }
            }
        }
        for (problem, arms) in of_arms {
            let is_of_all = study.variants.iter().all(|variant| arms.contains(&variant.id));
            problems.push(if is_of_all {
                problem
            } else {
                format!("in the arm {}: {problem}", arms.join(", "))
            });
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        Ok(ResolvedStudy { study, runs: resolved, protocol })
    }

    /// Fingerprints by run id; none where there are no data to be part of them.
    pub fn fingerprints(&self) -> BTreeMap<String, String> {
        let known = self.runs.iter().filter(|(_, resolved)| resolved.missing_data.is_none());
        known.map(|(run, resolved)| (run.id.clone(), resolved.fingerprint.clone())).collect()
    }

    /// Whether one untrained encoder stands for all arms.
    pub fn encoders_agree(&self) -> bool {
        let encoder = |(_, resolved): &(PlannedRun, Resolved)| {
            ["encoder", "input"].map(|section| resolved.config.get(section).cloned())
        };
        self.runs.windows(2).all(|pair| encoder(&pair[0]) == encoder(&pair[1]))
    }

    /// Arms that are one and the same under another name, in sentences.
    pub fn twins(&self) -> Vec<String> {
        let mut arms: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let first = self.study.seeds.first();
        for (run, resolved) in self.runs.iter().filter(|(run, _)| Some(&run.seed) == first) {
            arms.entry(&resolved.fingerprint).or_default().push(&run.id);
        }
        let mut twins: Vec<String> = arms
            .into_values()
            .filter(|runs| runs.len() > 1)
            .map(|runs| {
                format!(
                    "{} resolve to the same configuration, and each runs: leave all but one out of the study, unless they are meant to be alike.",
                    diptych_report::text::join(&runs.into_iter().map(String::from).collect::<Vec<_>>())
                )
            })
            .collect();
        twins.sort();
        twins
    }

    /// The first thing that keeps the study from running.
    pub fn missing_data(&self) -> Option<&str> {
        self.runs.iter().find_map(|(_, resolved)| resolved.missing_data.as_deref())
    }
}

/// The evaluation in the file `path`, every key of it. It must say something of an encoder: that is what runs are compared by.
fn evaluation(path: &Path, resolver: &mut dyn Resolver) -> Result<Value> {
    let protocol = serde_json::to_value(resolver.evaluation(path)?)?;
    if metrics::of(&protocol).is_empty() {
        let tables = metrics::PROTOCOLS.map(|table| format!("[{table}]"));
        bail!(
            "{}: found no table that judges an encoder, expected one of {}",
            path.display(),
            tables.join(", ")
        );
    }
    Ok(protocol)
}

/// Whether two resolved evaluations give the same numbers; the loader's threads never change them.
pub fn same_protocol(left: &Value, right: &Value) -> bool {
    let relevant = |protocol: &Value| {
        let mut protocol = protocol.clone();
        if let Some(protocol) = protocol.as_object_mut() {
            protocol.remove("loader");
        }
        protocol
    };
    relevant(left) == relevant(right)
}
