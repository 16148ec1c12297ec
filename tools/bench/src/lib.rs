//! Measures the pipeline, [`pipeline`] from files to batches, stage by stage, [`operators`] one by one; and the optimizer's
//! [`step`].
//!
//! Nothing is asserted here and nothing is compared with a stored figure: a measurement tells about this machine, now.

pub mod operators;
pub mod pipeline;
pub mod step;
