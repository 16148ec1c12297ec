//! Loads plugins and makes their components safe to use.
//!
//! [`Registry::load`] opens every library on a [`SearchPath`], checks it, and copies out what it says of its
//! [`Component`]s. [`read_parameters`] turns a TOML table into a component's validated [`Parameters`], from which it
//! creates instances: [`Augmentation`], [`Encoder`], [`Loss`].
//!
//! Invariants: nothing that a library hands out is used unchecked; libraries are never unloaded; an instance that panicked
//! is not called again. What a plugin does wrong is met in `library.rs` (loading), `descriptor.rs` (what it says of itself),
//! `instance.rs` and `call.rs` (creating and calling). The host links no plugin and no libtorch.

mod augmentation;
mod call;
mod component;
mod describe;
mod descriptor;
mod encoder;
mod image;
mod instance;
mod library;
mod loss;
mod parameters;
mod registry;
mod search;

pub use augmentation::{Augmentation, Plan};
pub use call::{Failure, InstanceError};
pub use component::{Component, Kind, LibraryInfo, Parameter, ParameterKind, Value};
pub use diptych_abi::{BorrowedTensor, LossView, OwnedTensor, RandomStream, Region, Size};
pub use encoder::Encoder;
pub use image::{Image, ImageMut, PixelFormat, Scratch};
pub use library::LibraryError;
pub use loss::{Loss, LossBatch, LossDimensions};
pub use parameters::{MissingValue, Parameters, read_parameters};
pub use registry::{LoadError, LoadProblem, Registry, UnknownComponent};
pub use search::{NamedBy, PLUGIN_PATH_VARIABLE, SearchPath};
