//! Trains encoders without labels, and judges what they learned; owns libtorch.
//!
//! [`train`] takes a [`RunConfig`] to a run's folder, [`evaluate`] takes that folder to accuracies, and
//! [`embed`](embed::embed) to features for other programs. The way of a batch: [`prefetch`] puts it on the device,
//! [`method`] makes a loss of it, [`optimizer`] steps under a [`schedule`], [`diagnostics`] and [`metrics`] say how it goes,
//! [`checkpoint`] keeps it, [`weights`] gives the encoder away.
//!
//! Invariant: every number of a run is a function of its configuration and its data. Random draws are keyed, never taken
//! from a generator's running state, so that a resumed run is the same run.

pub mod checkpoint;
mod compose;
pub mod config;
pub mod device;
pub mod diagnostics;
pub mod embed;
mod error;
pub mod evaluate;
mod files;
pub mod method;
pub mod metrics;
mod native;
pub mod optimizer;
pub mod prefetch;
pub mod probe;
mod progress;
mod rehearsal;
mod run_folder;
pub mod schedule;
mod step;
mod train;
mod update;
mod views;
pub mod weights;

pub use config::{EvaluationConfig, RunConfig};
pub use device::DeviceName;
use error::contain;
pub use error::{Error, Result};
pub use evaluate::{Evaluation, EvaluationOptions, evaluate};
pub use rehearsal::Rehearsal;
pub use run_folder::{Begun, RunReport, RunState, read_config};
pub use train::{Outcome, Summary, TrainOptions, train};

/// Version of the libtorch that this was built for; a plugin with tensors must name the same.
pub const TORCH_VERSION: &str = env!("DIPTYCH_TORCH_VERSION");
