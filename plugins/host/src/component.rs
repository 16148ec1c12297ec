//! What a loaded library offers: components with their parameters, copied out of the library and checked.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use diptych_abi as abi;

/// Kinds of component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An operator on one view of one image.
    Augmentation,
    /// A network from images to features.
    Encoder,
    /// A loss over the projections and predictions of all views.
    Loss,
}

impl Kind {
    /// The kinds, in the order of lists.
    pub const ALL: [Kind; 3] = [Kind::Augmentation, Kind::Encoder, Kind::Loss];

    /// TOML keys that stand beside a component's parameters and that the program itself reads.
    pub fn reserved_keys(self) -> &'static [&'static str] {
        match self {
            Kind::Augmentation => &["id", "name", "probability"],
            Kind::Encoder => &["id", "weights", "weights_hash"],
            Kind::Loss => &["id", "weight"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Augmentation => "augmentation",
            Kind::Encoder => "encoder",
            Kind::Loss => "loss",
        })
    }
}

/// A loaded library.
#[derive(Debug)]
pub struct LibraryInfo {
    /// What it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Absolute path.
    pub path: PathBuf,
    /// The libtorch that it was built against; `None` when it touches no tensors.
    pub torch_version: Option<String>,
    /// Held while one of its factories is called: the boundary promises one call at a time.
    pub(crate) calls: Mutex<()>,
}

impl fmt::Display for LibraryInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} ({})", self.name, self.version, self.path.display())
    }
}

/// One component of a loaded library. Cheap to clone.
#[derive(Clone)]
pub struct Component {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub id: String,
    pub doc: String,
    pub flags: u32,
    pub parameters: Vec<Parameter>,
    pub library: Arc<LibraryInfo>,
    pub factory: Factory,
    /// The component's index in its factory.
    pub index: u32,
    /// The program knows the library's libtorch to be its own, or the library needs none.
    pub creatable: bool,
}

/// A library's factory. Its function pointers were checked when it was loaded, and it is never unloaded.
#[derive(Clone, Copy)]
pub(crate) enum Factory {
    Augmentation(&'static abi::AugmentationFactory),
    Encoder(&'static abi::EncoderFactory),
    Loss(&'static abi::LossFactory),
}

impl Component {
    pub(crate) fn new(inner: Inner) -> Component {
        Component { inner: Arc::new(inner) }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.inner.factory {
            Factory::Augmentation(_) => Kind::Augmentation,
            Factory::Encoder(_) => Kind::Encoder,
            Factory::Loss(_) => Kind::Loss,
        }
    }

    /// The id that TOML names.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// What it computes and after whom, Markdown.
    pub fn doc(&self) -> &str {
        &self.inner.doc
    }

    /// The first sentence of [`Component::doc`], for lists.
    pub fn summary(&self) -> &str {
        let first = self.doc().split("\n\n").next().unwrap_or_default();
        first.find(". ").map_or(first, |end| &first[..=end])
    }

    /// The descriptor's flags: `AUGMENTATION_` or `LOSS_` constants of `diptych_abi`.
    pub fn flags(&self) -> u32 {
        self.inner.flags
    }

    /// Whether TOML may give it a `probability`.
    pub fn takes_probability(&self) -> bool {
        self.kind() == Kind::Augmentation && self.flags() & abi::AUGMENTATION_TAKES_PROBABILITY != 0
    }

    /// The library that it comes from.
    pub fn library(&self) -> &LibraryInfo {
        &self.inner.library
    }

    /// Its parameters, in the library's order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.inner.parameters
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {:?} of {}", self.kind(), self.id(), self.library())
    }
}

/// What a component can be told from TOML.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The TOML key.
    pub id: String,
    /// What values it takes.
    pub kind: ParameterKind,
    /// TOML must give it; `default` does not count then.
    pub required: bool,
    /// The value when TOML gives none.
    pub default: Value,
    /// Smallest allowed number, inclusive; minus infinity for none.
    pub minimum: f64,
    /// Largest allowed number, inclusive; infinity for none.
    pub maximum: f64,
    /// Unit as people write it, or empty.
    pub unit: String,
    /// What it does, Markdown.
    pub doc: String,
    /// The texts that a choice allows.
    pub choices: Vec<String>,
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A number.
    Float,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// One of the parameter's choices.
    Choice,
    /// `[low, high]`.
    Range,
    /// Free text.
    Text,
    /// Path of a file that the component reads.
    File,
}

/// A value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// A choice.
    Choice {
        /// Its place among the parameter's choices.
        index: usize,
        /// Its text.
        text: String,
    },
    /// Low and high end.
    Range(f64, f64),
    /// Free text.
    Text(String),
    /// A file that the component reads.
    File {
        /// Where it is; empty for none.
        path: String,
        /// [`diptych_config::file_fingerprint`] of its contents; empty for none.
        hash: String,
    },
}

impl Value {
    pub(crate) fn no_file() -> Value {
        Value::File { path: String::new(), hash: String::new() }
    }

    /// The value as TOML holds it.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Value::Float(number) => toml::Value::Float(*number),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Boolean(flag) => toml::Value::Boolean(*flag),
            Value::Choice { text, .. } | Value::Text(text) | Value::File { path: text, .. } => {
                toml::Value::String(text.clone())
            }
            Value::Range(low, high) => {
                toml::Value::Array(vec![toml::Value::Float(*low), toml::Value::Float(*high)])
            }
        }
    }

    /// The value as it crosses the boundary; its text borrows from `self`.
    pub(crate) fn to_abi(&self) -> abi::ParameterValue {
        match self {
            Value::Float(number) => abi::ParameterValue::float(*number),
            Value::Integer(number) => abi::ParameterValue::integer(*number),
            Value::Boolean(flag) => abi::ParameterValue::boolean(*flag),
            Value::Choice { index, text } => abi::ParameterValue {
                kind: abi::PARAMETER_CHOICE,
                integer: *index as i64,
                ..abi::ParameterValue::text(text)
            },
            Value::Range(low, high) => abi::ParameterValue::range(*low, *high),
            Value::Text(text) => abi::ParameterValue::text(text),
            Value::File { path, .. } => abi::ParameterValue::file(path),
        }
    }
}

impl fmt::Display for Value {
    /// As TOML writes it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.to_toml())
    }
}

impl Parameter {
    /// What TOML may say, as an error message puts it: `a number from 0 to 1`.
    pub fn expectation(&self) -> String {
        let (singular, plural) = match self.kind {
            ParameterKind::Boolean => return "true or false".to_owned(),
            ParameterKind::Text => return "text in quotes".to_owned(),
            ParameterKind::File => return "the path of a file in quotes".to_owned(),
            ParameterKind::Choice => {
                let choices: Vec<String> = self.choices.iter().map(|choice| format!("{choice:?}")).collect();
                return format!("one of {}", choices.join(", "));
            }
            ParameterKind::Float => ("a number", ""),
            ParameterKind::Integer => ("a whole number", ""),
            ParameterKind::Range => ("a range [low, high]", " of numbers"),
        };
        let bounds = self.bounds();
        if bounds.is_empty() { singular.to_owned() } else { format!("{singular}{plural} {bounds}") }
    }

    /// For a file: the TOML key of its hash, which the resolved configuration holds beside the path.
    pub fn hash_key(&self) -> String {
        format!("{}_hash", self.id)
    }

    /// The bounds in words (`from 0 to 1`), or nothing when there are none.
    pub fn bounds(&self) -> String {
        match (self.minimum.is_finite(), self.maximum.is_finite()) {
            (true, true) => format!("from {} to {}", self.minimum, self.maximum),
            (true, false) => format!("of at least {}", self.minimum),
            (false, true) => format!("of at most {}", self.maximum),
            (false, false) => String::new(),
        }
    }

    /// Whether `number` is finite and within the bounds.
    pub fn allows(&self, number: f64) -> bool {
        number.is_finite() && self.minimum <= number && number <= self.maximum
    }
}
