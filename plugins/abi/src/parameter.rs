//! Parameters: what a component can be told from TOML, described once and checked by the host.

use crate::Str;

/// What values a parameter takes: one of the `PARAMETER_` constants.
pub type ParameterKind = u32;
/// A number, in `float[0]`.
pub const PARAMETER_FLOAT: ParameterKind = 0;
/// A whole number, in `integer`.
pub const PARAMETER_INTEGER: ParameterKind = 1;
/// `true` or `false`, as 1 or 0 in `integer`.
pub const PARAMETER_BOOLEAN: ParameterKind = 2;
/// One of the descriptor's choices: the text in `text`, its index in `integer`.
pub const PARAMETER_CHOICE: ParameterKind = 3;
/// A pair `[low, high]` with `low <= high`, each within the bounds, in `float[0]` and `float[1]`.
pub const PARAMETER_RANGE: ParameterKind = 4;
/// Free text, in `text`.
pub const PARAMETER_TEXT: ParameterKind = 5;
/// Path of a file that the component reads when it is created, in `text`. The host counts the file's contents, not its path,
/// among what changes a run's numbers, and refuses to create the component once they are others.
pub const PARAMETER_FILE: ParameterKind = 6;

/// One value of a parameter; which field counts depends on `kind`, the others are 0 or empty.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ParameterValue {
    /// One of the `PARAMETER_` constants.
    pub kind: ParameterKind,
    /// For [`PARAMETER_FLOAT`] the first, for [`PARAMETER_RANGE`] both.
    pub float: [f64; 2],
    /// For [`PARAMETER_INTEGER`], [`PARAMETER_BOOLEAN`] and [`PARAMETER_CHOICE`].
    pub integer: i64,
    /// For [`PARAMETER_CHOICE`], [`PARAMETER_TEXT`] and [`PARAMETER_FILE`].
    pub text: Str,
}

impl ParameterValue {
    const ZERO: ParameterValue =
        ParameterValue { kind: PARAMETER_FLOAT, float: [0.0; 2], integer: 0, text: Str::EMPTY };

    /// A [`PARAMETER_FLOAT`].
    pub const fn float(value: f64) -> Self {
        ParameterValue { float: [value, 0.0], ..Self::ZERO }
    }

    /// A [`PARAMETER_INTEGER`].
    pub const fn integer(value: i64) -> Self {
        ParameterValue { kind: PARAMETER_INTEGER, integer: value, ..Self::ZERO }
    }

    /// A [`PARAMETER_BOOLEAN`].
    pub const fn boolean(value: bool) -> Self {
        ParameterValue { kind: PARAMETER_BOOLEAN, integer: value as i64, ..Self::ZERO }
    }

    /// A [`PARAMETER_CHOICE`]: the choice's index and text.
    pub const fn choice(index: i64, text: &'static str) -> Self {
        ParameterValue { kind: PARAMETER_CHOICE, integer: index, text: Str::new(text), ..Self::ZERO }
    }

    /// A [`PARAMETER_RANGE`].
    pub const fn range(low: f64, high: f64) -> Self {
        ParameterValue { kind: PARAMETER_RANGE, float: [low, high], ..Self::ZERO }
    }

    /// A [`PARAMETER_TEXT`]; the result must not outlive `value`.
    pub const fn text(value: &str) -> Self {
        ParameterValue { kind: PARAMETER_TEXT, text: Str::new(value), ..Self::ZERO }
    }

    /// A [`PARAMETER_FILE`]; the result must not outlive `path`. The empty path means none.
    pub const fn file(path: &str) -> Self {
        ParameterValue { kind: PARAMETER_FILE, text: Str::new(path), ..Self::ZERO }
    }
}

/// One parameter of a component. The host validates TOML against it, so that `create` only ever
/// sees values of the right kind within the bounds, one per descriptor and in the descriptors' order.
#[repr(C)]
pub struct ParameterDescriptor {
    /// `sizeof(ParameterDescriptor)` of the plugin; also the stride of an array of them.
    pub struct_size: u32,
    /// 1 when TOML must give it, and `default` does not count.
    pub required: u32,
    /// Stable snake_case id, unique in the component: the TOML key.
    pub id: Str,
    /// The value when TOML gives none; its `kind` is the parameter's kind.
    pub default: ParameterValue,
    /// Smallest allowed number, inclusive; minus infinity for none.
    pub minimum: f64,
    /// Largest allowed number, inclusive; infinity for none.
    pub maximum: f64,
    /// Unit as people write it (`pixels`, `turns`), or empty.
    pub unit: Str,
    /// What it does, Markdown, at least one sentence.
    pub doc: Str,
    /// For [`PARAMETER_CHOICE`]: the allowed texts; else null.
    pub choices: *const Str,
    /// Number of choices.
    pub choice_count: usize,
}

// SAFETY: an immutable static with pointers to immutable statics.
unsafe impl Sync for ParameterDescriptor {}
// SAFETY: as above.
unsafe impl Send for ParameterDescriptor {}
