//! The one error type of the SDK: a message for the person who wrote the TOML.

use std::fmt::{self, Debug, Display};

/// Why a component can't do what it was asked. Lower case, no full stop: what was found, what was expected.
/// The host adds the component's id, its library and where in the configuration it stands.
///
/// Every standard error turns into one with `?`.
pub struct Error {
    message: String,
}

impl Error {
    /// An error that says `message`.
    pub fn new(message: impl Display) -> Self {
        Error { message: message.to_string() }
    }
}

impl Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Error { message }
    }
}
