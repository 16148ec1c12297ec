//! From a configuration to the networks and losses that it names.
//!
//! Every component draws its weights under a seed of its own name, so that leaving one out leaves the others' as they were.

use diptych_host::LossDimensions;
use diptych_pipeline::random;
use tch::Device;

use crate::Result;
use crate::config::{InitialWeights, RunConfig, TargetKind};
use crate::method::head::{Head, HeadConfig};
use crate::method::{
    Average, Branch, Encoder, Method, Networks, Patches, Predictor, PredictorConfig, Probe, Target,
    WeightedLoss,
};
use crate::weights::Weights;

/// Sets up the process for computing: libtorch's threads within one operation (0 means one per core), and an allocator that
/// keeps its memory. Answers the number of threads.
pub(crate) fn prepare_process(threads: usize) -> usize {
    crate::native::keep_freed_memory();
    let threads =
        if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    threads
}

/// The encoder of the `role` (`online`, `target`), with weights drawn for it.
fn encoder(config: &RunConfig, role: &str, device: Device) -> Result<Box<dyn Encoder>> {
    let seed = random::seed(config.seed, &format!("weights/encoder/{role}"));
    let encoder = &config.encoder;
    let instance = encoder.component.create_encoder(&encoder.parameters, seed, &name(device))?;
    Ok(Box::new(instance))
}

/// Everything that is trained. `classes` of the data, for the probe and for losses that read labels; none without labels. The
/// online encoder starts from `weights` where there are some, and with it a target whose initial weights are shared.
pub(crate) fn method(
    config: &RunConfig,
    classes: Option<usize>,
    weights: Option<&Weights>,
    device: Device,
) -> Result<Method> {
    let mut online = branch(config, "online", device)?;
    if let Some(weights) = weights {
        weights.copy_into(&online.encoder.variables()?)?;
    }
    let target = match config.target.kind {
        TargetKind::Ema | TargetKind::Fixed => {
            let shared = config.target.initial_weights == InitialWeights::Shared;
            let statistics = config.target.batch_statistics;
            let network = branch(config, "target", device)?;
            Target::Network(Average::new(network, &mut online, shared, statistics)?)
        }
        TargetKind::StopGradient => Target::StopGradient,
        TargetKind::None => Target::Online,
    };
    let predictor = match &config.predictor {
        PredictorConfig::Mlp { head: shape, .. } => {
            let inputs = i64::from(config.projector.width());
            Predictor::Mlp(head(config, "predictor/online", shape, inputs, device)?)
        }
        PredictorConfig::OptimalLinear { ridge } => Predictor::OptimalLinear { ridge: *ridge },
        PredictorConfig::None => Predictor::None,
    };
    let dimensions = LossDimensions {
        embedding: online.encoder.feature_count() as u32,
        projection: config.projector.width(),
        classes: classes.unwrap_or(0) as u32,
    };
    let losses = config.losses.iter().enumerate().map(|(index, loss)| {
        let seed = random::seed(config.seed, &format!("loss/{index}"));
        let component = &loss.loss.component;
        Ok(WeightedLoss {
            id: component.id().to_owned(),
            weight: loss.weight,
            loss: Box::new(component.create_loss(&loss.loss.parameters, seed, &name(device), dimensions)?),
        })
    });
    let losses = losses.collect::<Result<Vec<_>>>()?;
    let probe = match classes.filter(|_| config.probe.enabled) {
        Some(classes) => Some(Probe::new(online.encoder.feature_count(), classes as i64, device)?),
        None => None,
    };
    let patches = match &config.patches {
        Some(patches) => {
            let names = config.views.views.iter().map(|view| patches.views.contains(&view.name));
            let seeds = ["projector", "linear"]
                .map(|part| random::seed(config.seed, &format!("weights/patches/{part}/online")));
            let features = online.encoder.feature_count();
            Some(Patches::new(patches, names.collect(), features, seeds, device)?)
        }
        None => None,
    };
    let passing = config.forward.passing(&config.views);
    let networks = Networks { online, predictor, target, views: config.forward.views, passing, patches };
    Ok(Method { networks, losses, probe })
}

/// The online encoder and projector as the run starts: drawn, or with the weights of its file.
pub(crate) fn starting_branch(config: &RunConfig, device: Device) -> Result<Branch> {
    let mut online = branch(config, "online", device)?;
    if let Some(weights) = &config.weights {
        Weights::read(weights)?.copy_into(&online.encoder.variables()?)?;
    }
    Ok(online)
}

/// The encoder and the projector of the `role` (`online`, `target`), with weights drawn for them.
pub(crate) fn branch(config: &RunConfig, role: &str, device: Device) -> Result<Branch> {
    let encoder = encoder(config, role, device)?;
    let projector =
        head(config, &format!("projector/{role}"), &config.projector, encoder.feature_count(), device)?;
    Ok(Branch { encoder, projector })
}

fn head(config: &RunConfig, place: &str, shape: &HeadConfig, inputs: i64, device: Device) -> Result<Head> {
    Head::new(shape, inputs, random::seed(config.seed, &format!("weights/{place}")), device)
}

/// As plugins are told it.
fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}
