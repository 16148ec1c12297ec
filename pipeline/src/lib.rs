//! From files to batches of augmented views.
//!
//! The folders are the data's way: [`source`] knows the files, [`sampler`] their order, [`decode`] makes
//! pixels of them, [`augment`] views of the pixels, [`collate`] batches of the views. [`Loader`] puts the
//! stages together on threads; [`Preview`] renders single samples for people to look at. There is no tensor
//! library here, and no
//! `unsafe`.

#![forbid(unsafe_code)]

pub mod augment;
pub mod collate;
pub mod decode;
pub mod random;
pub mod sampler;
pub mod source;

mod counters;
mod error;
mod loader;
mod preview;
mod sheet;
mod worker;

pub use augment::{EditError, Operator, UnknownOperator, View, ViewSet};
pub use collate::{Allocate, Batch, HeapAllocator, Memory};
pub use counters::{Counters, StageCounters};
pub use diptych_host::{Region, Size};
pub use error::{Error, ReadError};
pub use loader::{Loader, LoaderOptions, Observer, Skipped, Unreadable};
pub use preview::{Preview, RenderedView};
pub use sampler::{Cursor, Order, Share};
pub use sheet::{ContactSheet, Tile};
pub use source::{
    FolderSource, Form, Format, ListFields, ListSource, MultiLabels, ParquetFields, ParquetSource, RawSource,
    SampleData, SampleInfo, Source, SourceConfig, SourceError, Split, TarSource, WithoutLabels,
};
