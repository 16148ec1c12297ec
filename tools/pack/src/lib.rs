//! Packs images into tar shards, shrunk and encoded once instead of in every epoch, and checks sets of images.
//!
//! A packed set is WebDataset's: `000000.tar` and so on, with members `NAME.jpg` and `NAME.cls`. It has the samples of its
//! source in their order and under their names, so that ids, and with them all random draws, are the same. The same
//! options give the same bytes whatever the number of workers.
//!
//! A shard appears whole or not at all, and then the manifest beside it, which says what the set is made of: the same call
//! goes on where another one ended.

#![forbid(unsafe_code)]

pub mod check;

mod encode;
mod error;
mod files;
mod manifest;
mod options;
mod ordered;
mod pack;
mod sample;
mod shard;
mod shrink;
mod verify;

pub use error::Error;
pub use manifest::Skipped;
pub use options::{ByteSize, Format, PackOptions, ShardLimit};
pub use pack::{Summary, pack};
pub use sample::Fault;
pub use verify::{Verification, verify};
