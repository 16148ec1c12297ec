//! Augmenting: views, each a chain of operators that plugins provide.

mod chain;
mod convert;
mod edits;
mod view_set;

pub(crate) use chain::{Buffers, Chain, ChainError};
pub use edits::{EditError, UnknownOperator};
pub(crate) use view_set::plan_all;
pub use view_set::{Operator, View, ViewSet};
