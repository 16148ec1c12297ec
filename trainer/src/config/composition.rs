//! Which sections fit each other: what does not is told before the run rather than after it.

use diptych_abi::{LOSS_READS_LABELS, LOSS_READS_PREDICTION, LOSS_READS_TARGET};
use diptych_config::Table;

use super::{Labels, LossConfig, TargetConfig, TargetKind};
use crate::method::head::{HeadConfig, Initialization};
use crate::method::{BatchStatistics, PredictorConfig};

/// Reports heads that can't work together; `samples` are those of all views of a batch.
pub(super) fn check_heads(
    table: &mut Table<'_>,
    projector: &HeadConfig,
    predictor: &PredictorConfig,
    target: &TargetConfig,
    samples: u64,
) {
    let width = projector.width();
    match predictor {
        PredictorConfig::Mlp { head, .. } if head.width() != width => {
            let message = format!(
                "predictor.output = {} but projector.output = {width}: predictions are compared with projections, so the two must \
                 be equal",
                head.width()
            );
            table.problem(Some("predictor"), message);
        }
        PredictorConfig::OptimalLinear { .. } if samples > 0 && samples <= u64::from(width) => {
            let message = format!(
                "\"optimal_linear\" fits {samples} samples (a batch in all views) of {width} dimensions exactly, whatever the \
                 encoder does; make loader.batch_size larger, or projector.output smaller than half of these samples"
            );
            table.problem(Some("predictor"), message);
        }
        _ => {}
    }
    if projector.initialization == Initialization::BatchStatistics
        && target.batch_statistics == BatchStatistics::Averaged
    {
        let message = "\"averaged\" passes the target as in evaluation, where projector.initialization = \"batch_statistics\" \
             sets nothing; leave one of the two out";
        table.problem(Some("target"), message);
    }
}

/// Reports what no loss reads, for it would train nothing, and losses without their labels.
pub(super) fn check_losses(
    table: &mut Table<'_>,
    losses: &[LossConfig],
    predictor: &PredictorConfig,
    target: &TargetConfig,
    labels: Labels,
) {
    let any = |flag: u32| losses.iter().any(|loss| loss.loss.component.flags() & flag != 0);
    let named = || losses.iter().map(|loss| loss.loss.component.id()).collect::<Vec<_>>().join(", ");
    if losses.is_empty() {
        return;
    }
    if *predictor != PredictorConfig::None && !any(LOSS_READS_PREDICTION) {
        let message =
            format!("no loss reads predictions ({}); remove the section or use another loss", named());
        table.problem(Some("predictor"), message);
    }
    if target.kind != TargetKind::None && !any(LOSS_READS_TARGET) {
        let message = format!("no loss reads the target ({}); set target.kind = \"none\"", named());
        table.problem(Some("target"), message);
    }
    if labels == Labels::None && any(LOSS_READS_LABELS) {
        let message = format!(
            "data.labels = \"none\", but labels are read by a loss ({}); remove the key or use another loss",
            named()
        );
        table.problem(Some("data"), message);
    }
}
