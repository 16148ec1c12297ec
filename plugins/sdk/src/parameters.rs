//! Parameters: what a component can be told from TOML.

use std::path::PathBuf;

use diptych_abi as abi;
use diptych_abi::{ParameterDescriptor, ParameterKind, ParameterValue, Str};

use crate::Error;

/// The parameters of a component, derived from a struct whose fields are documented:
///
/// ```
/// # use diptych_sdk::{Choice, Parameters};
/// #[derive(Parameters)]
/// struct BlurParameters {
///     /// Standard deviation of the Gaussian, drawn uniformly for each image.
///     #[parameter(default = [0.1, 2.0], minimum = 0.01, maximum = 100, unit = "pixels")]
///     sigma: [f64; 2],
///     /// What lies beyond the image's edges.
///     #[parameter(default = Edge::Zero)]
///     edge: Edge,
///     /// Width of the kernel. Without a default, TOML must give it.
///     #[parameter(minimum = 1, unit = "pixels")]
///     kernel_size: u32,
/// }
///
/// /// TOML says `edge = "zero"` or `edge = "reflect"`.
/// #[derive(Choice, Clone, Copy)]
/// enum Edge {
///     Zero,
///     Reflect,
/// }
/// ```
///
/// A field is a number (`f64`, `f32`, `i64`, `i32`, `u64`, `u32`, `usize`), a `bool`, a `String`, a range of numbers
/// (`[f64; 2]`, `[f32; 2]`: low and high), a file that is read when the component is made (`PathBuf`), or an enum with
/// `#[derive(Choice)]`. Its name is the TOML key
/// (`id = "..."` renames it), its doc comment is what users read. The host checks kind and bounds before the
/// component sees a value. What contradicts itself doesn't compile: a default outside its bounds,
///
/// ```compile_fail
/// #[derive(diptych_sdk::Parameters)]
/// struct BlurParameters {
///     /// Standard deviation of the Gaussian.
///     #[parameter(default = 0.0, minimum = 0.01)]
///     sigma: f64,
/// }
/// ```
///
/// bounds of a text or a choice, or a parameter that nobody described:
///
/// ```compile_fail
/// #[derive(diptych_sdk::Parameters)]
/// struct BlurParameters {
///     #[parameter(default = 1.0)]
///     sigma: f64,
/// }
/// ```
pub trait Parameters: Sized {
    /// One descriptor per parameter.
    #[doc(hidden)]
    const DESCRIPTORS: &'static [ParameterDescriptor];

    /// Reads values that stand in the descriptors' order.
    #[doc(hidden)]
    fn from_values(values: &[ParameterValue]) -> Result<Self, Error>;

    /// The defaults, for tests; an error names a parameter that has none.
    fn defaults() -> Result<Self, Error> {
        let mut values = Vec::new();
        for descriptor in Self::DESCRIPTORS {
            if descriptor.required != 0 {
                // SAFETY: descriptors made by the derive hold static text.
                let id = unsafe { descriptor.id.as_str() }.unwrap_or_default();
                return Err(Error::new(format_args!("parameter {id} is required and has no default")));
            }
            values.push(descriptor.default);
        }
        Self::from_values(&values)
    }
}

impl Parameters for () {
    const DESCRIPTORS: &'static [ParameterDescriptor] = &[];

    fn from_values(values: &[ParameterValue]) -> Result<Self, Error> {
        expect_values(values, 0)
    }
}

/// The type of a field of [`Parameters`].
pub trait ParameterType: Sized {
    /// The kind that the host validates.
    #[doc(hidden)]
    const KIND: ParameterKind;
    /// Smallest number that the type itself can hold.
    #[doc(hidden)]
    const MINIMUM: f64 = f64::NEG_INFINITY;
    /// Largest number that the type itself can hold.
    #[doc(hidden)]
    const MAXIMUM: f64 = f64::INFINITY;
    /// The texts of a choice.
    #[doc(hidden)]
    const CHOICES: &'static [Str] = &[];

    /// The value of parameter `id`.
    #[doc(hidden)]
    fn read(value: &ParameterValue, id: &str) -> Result<Self, Error>;
}

/// An enum that a parameter can be: derive it for variants without data. TOML gives a variant's name in
/// snake_case, or what `#[choice("...")]` above the variant says.
pub trait Choice: Copy + 'static {
    /// What TOML says, in the order of the variants.
    #[doc(hidden)]
    const TEXTS: &'static [&'static str];
    /// The variants.
    #[doc(hidden)]
    const VARIANTS: &'static [Self];
}

fn expect_kind(value: &ParameterValue, kind: ParameterKind, id: &str) -> Result<(), Error> {
    if value.kind == kind {
        Ok(())
    } else {
        Err(Error::new(format_args!(
            "the host passed kind {} for parameter {id}, expected {kind}",
            value.kind
        )))
    }
}

fn not_finite(number: f64, id: &str) -> Error {
    Error::new(format_args!("parameter {id} is {number}, expected a finite number that its type can hold"))
}

macro_rules! float_parameter {
    ($($float:ty),*) => {$(
        impl ParameterType for $float {
            const KIND: ParameterKind = abi::PARAMETER_FLOAT;

            fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
                expect_kind(value, Self::KIND, id)?;
                let number = value.float[0] as $float;
                if number.is_finite() { Ok(number) } else { Err(not_finite(value.float[0], id)) }
            }
        }

        impl ParameterType for [$float; 2] {
            const KIND: ParameterKind = abi::PARAMETER_RANGE;

            fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
                expect_kind(value, Self::KIND, id)?;
                let [low, high] = value.float.map(|bound| bound as $float);
                if !low.is_finite() {
                    return Err(not_finite(value.float[0], id));
                }
                if !high.is_finite() {
                    return Err(not_finite(value.float[1], id));
                }
                Ok([low, high])
            }
        }
    )*};
}
float_parameter!(f64, f32);

macro_rules! integer_parameter {
    ($($integer:ty: $minimum:expr, $maximum:expr;)*) => {$(
        impl ParameterType for $integer {
            const KIND: ParameterKind = abi::PARAMETER_INTEGER;
            const MINIMUM: f64 = $minimum;
            const MAXIMUM: f64 = $maximum;

            fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
                expect_kind(value, Self::KIND, id)?;
                <$integer>::try_from(value.integer).map_err(|_| {
                    Error::new(format_args!(
                        "parameter {id} is {}, expected {} to {}",
                        value.integer,
                        <$integer>::MIN,
                        <$integer>::MAX
                    ))
                })
            }
        }
    )*};
}
integer_parameter! {
    i64: f64::NEG_INFINITY, f64::INFINITY;
    u64: 0.0, f64::INFINITY;
    usize: 0.0, f64::INFINITY;
    i32: i32::MIN as f64, i32::MAX as f64;
    u32: 0.0, u32::MAX as f64;
}

impl ParameterType for bool {
    const KIND: ParameterKind = abi::PARAMETER_BOOLEAN;

    fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
        expect_kind(value, Self::KIND, id)?;
        Ok(value.integer != 0)
    }
}

impl ParameterType for String {
    const KIND: ParameterKind = abi::PARAMETER_TEXT;

    fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
        expect_kind(value, Self::KIND, id)?;
        // SAFETY: the boundary promises that a value's text is readable for the call that passes it.
        match unsafe { value.text.as_str() } {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::new(format_args!("the text of parameter {id} is not valid UTF-8"))),
        }
    }
}

impl ParameterType for PathBuf {
    const KIND: ParameterKind = abi::PARAMETER_FILE;

    fn read(value: &ParameterValue, id: &str) -> Result<Self, Error> {
        expect_kind(value, Self::KIND, id)?;
        // SAFETY: the boundary promises that a value's text is readable for the call that passes it.
        match unsafe { value.text.as_str() } {
            Some(text) => Ok(text.into()),
            None => Err(Error::new(format_args!("the path of parameter {id} is not valid UTF-8"))),
        }
    }
}

/// Reads a choice by its index.
#[doc(hidden)]
pub fn read_choice<T: Choice>(value: &ParameterValue, id: &str) -> Result<T, Error> {
    expect_kind(value, abi::PARAMETER_CHOICE, id)?;
    let chosen = usize::try_from(value.integer).ok().and_then(|index| T::VARIANTS.get(index));
    chosen.copied().ok_or_else(|| {
        let count = T::VARIANTS.len();
        Error::new(format_args!("parameter {id} is choice {}, expected one below {count}", value.integer))
    })
}

/// Refuses a wrong number of values.
#[doc(hidden)]
pub fn expect_values(values: &[ParameterValue], count: usize) -> Result<(), Error> {
    if values.len() == count {
        Ok(())
    } else {
        let found = values.len();
        Err(Error::new(format_args!("the host passed {found} parameter values, expected {count}")))
    }
}

/// The descriptor of one parameter; fails to compile when it contradicts itself.
#[doc(hidden)]
pub const fn parameter<T: ParameterType>(
    id: &'static str,
    doc: &'static str,
    unit: &'static str,
    default: Option<ParameterValue>,
    minimum: Option<f64>,
    maximum: Option<f64>,
) -> ParameterDescriptor {
    let numeric = matches!(T::KIND, abi::PARAMETER_FLOAT | abi::PARAMETER_INTEGER | abi::PARAMETER_RANGE);
    assert!(numeric || (minimum.is_none() && maximum.is_none()), "only numbers have a minimum and a maximum");
    let minimum = match minimum {
        Some(minimum) => minimum,
        None => T::MINIMUM,
    };
    let maximum = match maximum {
        Some(maximum) => maximum,
        None => T::MAXIMUM,
    };
    assert!(minimum <= maximum, "the minimum is above the maximum");
    assert!(minimum >= T::MINIMUM, "the type can't hold the minimum");
    assert!(maximum <= T::MAXIMUM, "the type can't hold the maximum");
    if let Some(value) = &default {
        let (low, high) = match T::KIND {
            abi::PARAMETER_INTEGER => (value.integer as f64, value.integer as f64),
            abi::PARAMETER_FLOAT => (value.float[0], value.float[0]),
            abi::PARAMETER_RANGE => (value.float[0], value.float[1]),
            _ => (0.0, 0.0),
        };
        assert!(low <= high, "the default's low end is above its high end");
        assert!(!numeric || (minimum <= low && high <= maximum), "the default is outside its bounds");
    }
    let required = default.is_none() as u32;
    let default = match default {
        Some(value) => value,
        None => {
            let mut value = ParameterValue::float(0.0);
            value.kind = T::KIND;
            value
        }
    };
    ParameterDescriptor {
        struct_size: size_of::<ParameterDescriptor>() as u32,
        required,
        id: Str::new(id),
        default,
        minimum,
        maximum,
        unit: Str::new(unit),
        doc: Str::new(doc),
        choices: T::CHOICES.as_ptr(),
        choice_count: T::CHOICES.len(),
    }
}
