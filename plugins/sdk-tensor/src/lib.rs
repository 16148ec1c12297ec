//! What the author of an encoder or a loss uses: networks and losses in terms of [`tch::Tensor`].
//!
//! - [`Encoder`] and [`Loss`] are what a component implements; their parameters derive `diptych_sdk::Parameters`;
//! - [`Variables`] names and draws weights and buffers; [`layers`] are built on it;
//! - [`export_plugin!`] makes the shared library;
//! - [`ScriptModule`] runs a TorchScript module;
//! - [`testing`] builds a component in a unit test and checks its gradients.
//!
//! Tensors cross the boundary as `at::Tensor*`, with autograd intact: plugin and host share one libtorch, whose
//! version ([`TORCH_VERSION`]) the host compares as an exact string. All of this crate's `unsafe` is in `encoder.rs`
//! and `loss.rs` below the traits, in `tensor.rs`, and in `script.rs`, which wraps the C++ in `native/`; panics are
//! contained by `diptych-sdk`.

mod encoder;
pub mod layers;
mod loss;
mod script;
mod tensor;
pub mod testing;
mod variables;

pub use diptych_sdk::Error;
pub use encoder::{Encoder, Outputs};
pub use loss::{Dimensions, Loss, LossInputs, LossOutput, LossView};
pub use script::{ScriptModule, ScriptVariable};
pub use variables::{Initial, Role, Variable, Variables};

use std::ffi::CStr;

/// Version of the libtorch that this crate was built with (`2.11.0`). A plugin and its host must have the same.
pub const TORCH_VERSION: &str = env!("DIPTYCH_TORCH_VERSION");

/// What [`export_plugin!`] builds on; not for plugins.
#[doc(hidden)]
pub mod __private {
    pub use crate::encoder::{Create as CreateEncoder, encoder, encoder_factory};
    pub use crate::loss::{Create as CreateLoss, loss, loss_factory};
    pub use diptych_sdk as sdk;

    use super::CStr;

    /// [`crate::TORCH_VERSION`], as the boundary wants it.
    pub const TORCH_ABI: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("DIPTYCH_TORCH_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("libtorch's version holds a zero"),
        };
}

/// Exports the library's components: the last line of a plugin. Kinds that the library lacks are left out, the others stand
/// in this order.
///
/// ```ignore
/// diptych_sdk_tensor::export_plugin! {
///     augmentations: [Cutout],
///     encoders: [SmallCnn],
///     losses: [NtXent],
/// }
/// ```
///
/// The library's name and version are those of its Cargo package, whose `crate-type` must be `["cdylib"]`.
#[macro_export]
macro_rules! export_plugin {
    (
        $(augmentations: [$($augmentation:ty),+ $(,)?] $(,)?)?
        $(encoders: [$($encoder:ty),+ $(,)?] $(,)?)?
        $(losses: [$($loss:ty),+ $(,)?] $(,)?)?
    ) => {
        $crate::__private::sdk::__plugin_entry! {
            torch_abi: ::core::option::Option::Some($crate::__private::TORCH_ABI),
            factories: {
                $($crate::__private::sdk::__private::abi::KIND_AUGMENTATION =>
                    $crate::__private::sdk::__private::abi::AugmentationFactory =
                        $crate::__private::sdk::__augmentation_factory!($($augmentation),+),)?
                $($crate::__private::sdk::__private::abi::KIND_ENCODER =>
                    $crate::__private::sdk::__private::abi::EncoderFactory = {
                        struct Encoders;
                        impl $crate::__private::sdk::__private::ComponentList for Encoders {
                            type Create = $crate::__private::CreateEncoder;
                            const COMPONENTS: &'static [$crate::__private::sdk::__private::Component<Self::Create>] =
                                &[$($crate::__private::encoder::<$encoder>()),+];
                        }
                        $crate::__private::encoder_factory::<Encoders>()
                    },)?
                $($crate::__private::sdk::__private::abi::KIND_LOSS =>
                    $crate::__private::sdk::__private::abi::LossFactory = {
                        struct Losses;
                        impl $crate::__private::sdk::__private::ComponentList for Losses {
                            type Create = $crate::__private::CreateLoss;
                            const COMPONENTS: &'static [$crate::__private::sdk::__private::Component<Self::Create>] =
                                &[$($crate::__private::loss::<$loss>()),+];
                        }
                        $crate::__private::loss_factory::<Losses>()
                    },)?
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn libtorch_runs_and_its_version_is_known() {
        let sum = tch::Tensor::from_slice(&[1.0f32, 2.0]).sum(tch::Kind::Float).double_value(&[]);
        assert_eq!(sum, 3.0);
        assert_eq!(super::TORCH_VERSION, "2.11.0");
    }
}
