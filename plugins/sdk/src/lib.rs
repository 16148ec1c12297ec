//! What the author of a pixel plugin uses: a plugin is one readable file that ends in one export line.
//!
//! - [`Parameters`], derived from a documented struct, is what TOML can say;
//! - [`Augmentation`] is the operator, which sees pixels as safe views ([`Image`], [`ImageMut`]);
//! - [`export_plugin!`] makes the shared library that `diptych` finds through `--plugin-path`;
//! - [`testing`] runs an operator in a unit test.
//!
//! `plugins/template` is the smallest whole plugin. Panics, error texts and versions are taken care of here (in
//! `boundary.rs`); a plugin that uses the SDK contains no `unsafe`.

mod augmentation;
mod augmentation_factory;
mod boundary;
mod error;
mod image;
mod parameters;
mod scratch;
pub mod testing;

pub use augmentation::{Access, Augmentation, Images, InPlace, IntoOutput, Plan};
pub use diptych_abi::{RandomStream, Region, Size};
pub use diptych_sdk_macros::{Choice, Parameters};
pub use error::Error;
pub use image::{Image, ImageMut, Pixels, PlanarF32, Rgb8};
pub use parameters::{Choice, ParameterType, Parameters};
pub use scratch::{Scratch, ScratchSample};

/// What `export_plugin!`, the derives and `diptych-sdk-tensor` build on; not for plugins.
#[doc(hidden)]
pub mod __private {
    pub use crate::augmentation_factory::{Create as CreateAugmentation, augmentation, augmentation_factory};
    pub use crate::boundary::{
        Cell, Component, ComponentList, call, count, creator, describe, descriptor, entry, guard, hand_out,
        kind_is, read_parameters, release,
    };
    pub use crate::parameters::{expect_values, parameter, read_choice};
    pub use diptych_abi as abi;
}

/// Exports the library's components: the last line of a plugin.
///
/// ```text
/// diptych_sdk::export_plugin! { augmentations: [Grayscale, Solarize] }
/// ```
///
/// The library's name and version are those of its Cargo package, whose `crate-type` must be `["cdylib"]`.
/// Encoders and losses are exported by `diptych_sdk_tensor::export_plugin!`, which takes augmentations too.
#[macro_export]
macro_rules! export_plugin {
    (augmentations: [$($augmentation:ty),+ $(,)?] $(,)?) => {
        $crate::__plugin_entry! {
            torch_abi: ::core::option::Option::None,
            factories: {
                $crate::__private::abi::KIND_AUGMENTATION =>
                    $crate::__private::abi::AugmentationFactory = $crate::__augmentation_factory!($($augmentation),+),
            }
        }
    };
}

/// The factory over a list of augmentations, as a constant expression.
#[doc(hidden)]
#[macro_export]
macro_rules! __augmentation_factory {
    ($($augmentation:ty),+ $(,)?) => {{
        struct Augmentations;
        impl $crate::__private::ComponentList for Augmentations {
            type Create = $crate::__private::CreateAugmentation;
            const COMPONENTS: &'static [$crate::__private::Component<Self::Create>] =
                &[$($crate::__private::augmentation::<$augmentation>()),+];
        }
        $crate::__private::augmentation_factory::<Augmentations>()
    }};
}

/// The exported static, with one factory per kind of component.
#[doc(hidden)]
#[macro_export]
macro_rules! __plugin_entry {
    (torch_abi: $torch_abi:expr, factories: { $($kind:expr => $factory_type:ty = $factory:expr),+ $(,)? }) => {
        const _: () = {
            unsafe extern "C" fn get_factory(
                kind: *const ::core::ffi::c_char,
            ) -> *const ::core::ffi::c_void {
                $({
                    static FACTORY: $factory_type = $factory;
                    // SAFETY: the host passes a zero-terminated text.
                    if unsafe { $crate::__private::kind_is(kind, $kind) } {
                        return ::core::ptr::from_ref(&FACTORY).cast();
                    }
                })+
                ::core::ptr::null()
            }

            #[unsafe(no_mangle)]
            #[allow(non_upper_case_globals)]
            static diptych_plugin_entry: $crate::__private::abi::PluginEntry = $crate::__private::entry(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::env!("CARGO_PKG_VERSION"),
                $torch_abi,
                get_factory,
            );
        };
    };
}
