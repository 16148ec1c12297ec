//! A run's configuration: what one TOML file says, checked, complete, and with a fingerprint of what changes the numbers.

mod composition;
mod evaluation;
mod forward;
mod optimization;
mod patches;
mod sections;
mod weights;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use diptych_config::{Document, Problems, Table};
use diptych_host::{Component, Parameters, Registry, UnknownComponent, read_parameters};
use diptych_pipeline::{Cursor, LoaderOptions, Share, ViewSet};

pub use evaluation::{
    EvaluationConfig, FineTuneConfig, HeldOut, HeldOutSize, KnnConfig, Layer, LinearConfig, LinearSgdConfig,
    Metric, NetworkRole, SemiSupervisedConfig, TrainingConfig,
};
pub use forward::ForwardConfig;
pub use optimization::{Decay, Interval, OptimizerConfig, OptimizerKind, Scaling, ScheduleConfig};
pub use sections::{
    CheckpointConfig, ColorSpace, DataConfig, DiagnosticsConfig, InitialWeights, InputConfig, Labels,
    LoaderConfig, MomentumSchedule, Patience, ProbeConfig, ReadingConfig, StopCollapsed, TargetConfig,
    TargetKind, Unreadable,
};
pub use weights::WeightsConfig;

use patches::check_patches;

use crate::device::DeviceName;
use crate::method::head::HeadConfig;
use crate::method::{PatchesConfig, PredictorConfig};

/// Everything that a run is told.
#[derive(Clone)]
pub struct RunConfig {
    /// What tables call the run.
    pub name: String,
    /// Key of every random draw.
    pub seed: u64,
    /// Where to compute.
    pub device: DeviceName,
    /// libtorch's threads within one operation; 0 for one per core, or as many as the run that is resumed began with. Another
    /// number gives other roundings.
    pub threads: usize,
    /// `[data]`
    pub data: DataConfig,
    /// `[loader]`
    pub loader: LoaderConfig,
    /// `[augmentations]`, resolved.
    pub views: ViewSet,
    /// `[input]`
    pub input: InputConfig,
    /// `[encoder]`
    pub encoder: ComponentConfig,
    /// `encoder.weights`; absent for drawn ones.
    pub weights: Option<WeightsConfig>,
    /// `[projector]`
    pub projector: HeadConfig,
    /// `[patches]`; absent where no view is a mosaic.
    pub patches: Option<PatchesConfig>,
    /// `[predictor]`
    pub predictor: PredictorConfig,
    /// `[target]`
    pub target: TargetConfig,
    /// `forward.views`
    pub forward: ForwardConfig,
    /// `[[losses]]`, at least one.
    pub losses: Vec<LossConfig>,
    /// `[optimizer]`
    pub optimizer: OptimizerConfig,
    /// `[schedule]`
    pub schedule: ScheduleConfig,
    /// `[probe]`
    pub probe: ProbeConfig,
    /// `[diagnostics]`
    pub diagnostics: DiagnosticsConfig,
    /// `logging.every_steps`: steps from one line of metrics to the next.
    pub log_every_steps: u64,
    /// `[checkpoint]`
    pub checkpoint: CheckpointConfig,
}

/// A plugin's component with its parameters.
#[derive(Clone)]
pub struct ComponentConfig {
    /// The component that the id names.
    pub component: Component,
    /// Complete and within their bounds.
    pub parameters: Parameters,
}

/// One of `[[losses]]`.
#[derive(Clone)]
pub struct LossConfig {
    /// The loss.
    pub loss: ComponentConfig,
    /// Factor in the sum.
    pub weight: f64,
}

/// The keys that never change the numbers of a run on the same device, and so are left out of its fingerprint.
const WITHOUT_EFFECT: [&str; 15] = [
    "device",
    "threads",
    "data.path",
    // What these change shows in the data's identity.
    "data.format",
    "data.split",
    "data.image_field",
    "data.label_field",
    "data.coarse_labels",
    "data.unreadable",
    "data.unreadable_limit",
    "loader.workers",
    "loader.queue_batches",
    "logging",
    "checkpoint",
    "name",
];

impl RunConfig {
    /// Reads and checks a whole configuration; every problem in it is reported.
    pub fn read(document: &Document, registry: &Registry) -> Result<RunConfig, Problems> {
        let config = document.read(|table| RunConfig::read_table(table, registry))?;
        // Only problems leave a part out, and with problems `read` does not get here.
        Ok(config.expect("a configuration without problems is whole"))
    }

    /// Optimizer steps in a pass over data that are `batches` of this run.
    pub fn steps_per_epoch(&self, batches: u64) -> f64 {
        batches as f64 / f64::from(self.optimizer.micro_batches)
    }

    /// How the pipeline makes this run's batches, from `start` on.
    pub fn loader_options(&self, start: Cursor) -> LoaderOptions {
        LoaderOptions {
            batch_size: self.loader.batch_size as usize,
            workers: self.loader.workers,
            queue_batches: self.loader.queue_batches,
            seed: self.seed,
            order: self.loader.order(),
            share: Share::default(),
            drop_last: true,
            unreadable: self.data.reading.policy(),
            start,
            epochs: None,
            maximum_pixels: self.data.reading.maximum_pixels,
        }
    }

    fn read_table(table: &mut Table<'_>, registry: &Registry) -> Option<RunConfig> {
        let name = table.or("name", "run".to_owned());
        let seed = table.or_in("seed", 0, 0..=i64::MAX as u64);
        let device = read_device(table);
        let threads = table.or("threads", 0);
        let data = table.table_or_empty("data", DataConfig::read);
        let loader = table.table_or_empty("loader", LoaderConfig::read);
        let views = table.table_or_empty("augmentations", |table| {
            let views = ViewSet::read(table, registry);
            if views.views.len() == 1 {
                table.problem(
                    None,
                    "found one view, expected at least two: a method compares the views of an image",
                );
            }
            views
        });
        let input = table.table_or_empty("input", InputConfig::read);
        let (encoder, weights) = table.table_or_empty("encoder", |table| {
            let encoder = ComponentConfig::read(table, |id| registry.encoder(id));
            (encoder, WeightsConfig::read(table))
        });
        let projector = table.table_or_empty("projector", HeadConfig::read);
        let patches = table.table("patches", PatchesConfig::read);
        let predictor = table.table("predictor", PredictorConfig::read).unwrap_or(PredictorConfig::None);
        let target = table.table_or_empty("target", TargetConfig::read);
        let forward = table.table_or_empty("forward", ForwardConfig::read);
        if let Some(patches) = &patches {
            check_patches(table, patches, &views, &projector, forward.views);
        }
        let losses = table.tables("losses", |table| LossConfig::read(table, registry));
        if losses.is_empty() {
            table.problem(
                Some("losses"),
                "found none, expected at least one, as in [[losses]] id = \"nt_xent\"",
            );
        }
        let optimizer = table.table_or_empty("optimizer", OptimizerConfig::read);
        let schedule = table.table_or_empty("schedule", ScheduleConfig::read);
        let probe = table.table_or_empty("probe", ProbeConfig::read);
        let diagnostics = table.table_or_empty("diagnostics", DiagnosticsConfig::read);
        let log_every_steps = table.table_or_empty("logging", |table| table.or_in("every_steps", 50, 1..));
        let checkpoint = table.table_or_empty("checkpoint", CheckpointConfig::read);
        let losses: Option<Vec<LossConfig>> = losses.into_iter().collect();
        let samples = u64::from(loader.batch_size) * views.views.len() as u64;
        forward::check_forward(table, &forward, &views, &predictor, &target);
        composition::check_heads(table, &projector, &predictor, &target, samples);
        if let Some(losses) = &losses {
            composition::check_losses(table, losses, &predictor, &target, data.labels);
        }
        Some(RunConfig {
            name,
            seed,
            device,
            threads,
            data,
            loader,
            views,
            input,
            encoder: encoder?,
            weights,
            projector,
            patches,
            predictor,
            target,
            forward,
            losses: losses?,
            optimizer,
            schedule,
            probe,
            diagnostics,
            log_every_steps,
            checkpoint,
        })
    }

    /// The resolved configuration: every key, defaults included; reading it again gives the same run.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("name".into(), self.name.clone().into());
        table.insert("seed".into(), (self.seed as i64).into());
        table.insert("device".into(), self.device.to_string().into());
        table.insert("threads".into(), (self.threads as i64).into());
        table.insert("data".into(), self.data.to_toml().into());
        table.insert("loader".into(), self.loader.to_toml().into());
        table.insert("augmentations".into(), self.views.to_toml().into());
        table.insert("input".into(), self.input.to_toml().into());
        let mut encoder = self.encoder.to_toml();
        if let Some(weights) = &self.weights {
            weights.insert(&mut encoder);
        }
        table.insert("encoder".into(), encoder.into());
        table.insert("projector".into(), self.projector.to_toml().into());
        if let Some(patches) = &self.patches {
            table.insert("patches".into(), patches.to_toml().into());
        }
        if let Some(predictor) = self.predictor.to_toml() {
            table.insert("predictor".into(), predictor.into());
        }
        table.insert("target".into(), self.target.to_toml().into());
        table.insert("forward".into(), self.forward.to_toml().into());
        let losses: Vec<toml::Value> = self.losses.iter().map(|loss| loss.to_toml().into()).collect();
        table.insert("losses".into(), losses.into());
        table.insert("optimizer".into(), self.optimizer.to_toml().into());
        table.insert("schedule".into(), self.schedule.to_toml().into());
        table.insert("probe".into(), self.probe.to_toml().into());
        table.insert("diagnostics".into(), self.diagnostics.to_toml().into());
        let mut logging = toml::Table::new();
        logging.insert("every_steps".into(), (self.log_every_steps as i64).into());
        table.insert("logging".into(), logging.into());
        table.insert("checkpoint".into(), self.checkpoint.to_toml().into());
        table
    }

    /// What changes the numbers: the resolved configuration without the keys that only say how fast, how often or
    /// where, with `data_identity` (the source's own hash) in place of the data's path, hashes of other files in place of
    /// their paths, and with the versions of Diptych and of the plugins that are used.
    pub fn effective(&self, data_identity: &str) -> toml::Table {
        effective(self.to_toml(), data_identity, self.plugins().into())
    }

    /// Name and version of each library that a component of this configuration comes from, sorted.
    pub(crate) fn plugins(&self) -> Vec<String> {
        let operators = self.views.views.iter().flat_map(|view| &view.operators);
        let components = operators
            .map(|operator| operator.parameters.component())
            .chain([&self.encoder.component])
            .chain(self.losses.iter().map(|loss| &loss.loss.component));
        let names = components.map(|component| {
            let library = component.library();
            format!("{} {}", library.name, library.version)
        });
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Fingerprint of [`RunConfig::effective`].
    pub fn fingerprint(&self, data_identity: &str) -> String {
        diptych_config::fingerprint(&self.effective(data_identity))
    }
}

/// [`RunConfig::effective`] of a resolved configuration.
pub(crate) fn effective(mut table: toml::Table, data_identity: &str, plugins: toml::Value) -> toml::Table {
    for key in WITHOUT_EFFECT {
        match key.split_once('.') {
            None => drop(table.remove(key)),
            Some((section, key)) => {
                if let Some(toml::Value::Table(section)) = table.get_mut(section) {
                    section.remove(key);
                }
            }
        }
    }
    if let Some(toml::Value::Table(data)) = table.get_mut("data") {
        data.insert("identity".into(), data_identity.into());
    }
    without_named_files(&mut table);
    table.insert("diptych".into(), env!("CARGO_PKG_VERSION").into());
    table.insert("plugins".into(), plugins);
    table
}

/// Leaves out the path of a file whose hash stands beside it: what it holds counts, not where it lies.
fn without_named_files(table: &mut toml::Table) {
    let hashed: Vec<String> =
        table.keys().filter_map(|key| Some(key.strip_suffix("_hash")?.to_owned())).collect();
    hashed.iter().for_each(|key| drop(table.remove(key)));
    fn visit(value: &mut toml::Value) {
        match value {
            toml::Value::Table(table) => without_named_files(table),
            toml::Value::Array(items) => items.iter_mut().for_each(visit),
            _ => {}
        }
    }
    table.iter_mut().for_each(|(_, value)| visit(value));
}

pub(crate) fn read_device(table: &mut Table<'_>) -> DeviceName {
    let text: String = table.or("device", "cpu".to_owned());
    DeviceName::parse(&text).unwrap_or_else(|| {
        table.problem(Some("device"), format!("found {text:?}, expected \"cpu\", \"cuda\" or \"cuda:N\""));
        DeviceName::Cpu
    })
}

impl ComponentConfig {
    /// Reads `id` and the component's parameters.
    fn read<'r>(
        table: &mut Table<'_>,
        find: impl FnOnce(&str) -> Result<&'r Component, UnknownComponent>,
    ) -> Option<ComponentConfig> {
        let missing = !table.has("id");
        let id: String = table.required("id");
        let component = if missing || id.is_empty() { None } else { Some(find(&id)) };
        match component {
            Some(Ok(component)) => {
                let parameters = read_parameters(component, table);
                Some(ComponentConfig { component: component.clone(), parameters })
            }
            Some(Err(unknown)) => {
                table.problem(Some("id"), unknown);
                table.accept_any_key();
                None
            }
            None => {
                table.accept_any_key();
                None
            }
        }
    }

    /// Id and every parameter.
    pub fn to_toml(&self) -> toml::Table {
        let mut table = toml::Table::new();
        table.insert("id".into(), self.component.id().into());
        self.parameters.to_toml(&mut table);
        table
    }
}

impl LossConfig {
    fn read(table: &mut Table<'_>, registry: &Registry) -> Option<LossConfig> {
        let weight = table.or("weight", 1.0);
        if !f64::is_finite(weight) {
            table.problem(Some("weight"), format!("found {weight}, expected a finite number"));
        }
        let loss = ComponentConfig::read(table, |id| registry.loss(id))?;
        Some(LossConfig { loss, weight })
    }

    fn to_toml(&self) -> toml::Table {
        let mut table = self.loss.to_toml();
        table.insert("weight".into(), self.weight.into());
        table
    }
}
