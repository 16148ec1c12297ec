//! What is going on in the folder of a run or of a study: read while it is written, and without disturbing who writes.
//!
//! Lifecycle: [`Watched::open`] tells which of the two a folder is; [`Watched::look`] reads what is new since the last look and
//! answers an [`Overview`]. [`Curves`] keeps every figure of one run over its steps.
//!
//! Invariants: nothing is written and no lock is kept. Of `metrics.jsonl` only what was appended is read, and memory does not grow with
//! a run's length. Files may be absent, half written or replaced at any moment.

mod curve;
mod curves;
mod pace;
mod run;
mod tail;
mod watched;

pub use curve::Point;
pub use curves::Curves;
pub use pace::Pace;
pub use run::{RunStatus, State};
pub use watched::{Method, Overview, Watched};
