//! From TOML values to Rust values.

use std::path::PathBuf;

use crate::node::{Place, Value};

/// A value that is not what was expected: see [`Value::expected`].
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Path below the value that was read (`[2]`), or empty.
    pub(crate) path: String,
    pub(crate) place: Place,
    pub(crate) message: String,
}

/// A type that a TOML value can be read as.
pub trait FromValue: Sized {
    /// What the value must be, for messages (`a whole number`, `text`).
    fn expected() -> String;

    /// Reads `value`, or says what is wrong with it.
    fn from_value(value: Value<'_>) -> Result<Self, Wrong>;
}

impl FromValue for bool {
    fn expected() -> String {
        "true or false".into()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        value.as_bool().ok_or_else(|| value.expected(Self::expected()))
    }
}

impl FromValue for String {
    fn expected() -> String {
        "text in quotes".into()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        value.as_str().map(str::to_string).ok_or_else(|| value.expected(Self::expected()))
    }
}

/// Whole paths come out: relative ones start from the folder of the file that they stand in, or from the
/// working directory when they come from `--set`. The result is absolute; where the path exists it is also
/// free of `..`.
impl FromValue for PathBuf {
    fn expected() -> String {
        "a path in quotes".into()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        let text = value.as_str().filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| value.expected(Self::expected()))?;
        let path = match value.folder() {
            Some(folder) => folder.join(text),
            None => PathBuf::from(text),
        };
        // `absolute` fails only without a working directory; the path as written is then the best name.
        Ok(path.canonicalize().or_else(|_| std::path::absolute(&path)).unwrap_or(path))
    }
}

impl FromValue for f64 {
    fn expected() -> String {
        "a number".into()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        match value.as_float() {
            Some(number) if number.is_finite() => Ok(number),
            Some(_) => Err(value.expected("a finite number")),
            None => Err(value.expected(Self::expected())),
        }
    }
}

impl FromValue for f32 {
    fn expected() -> String {
        f64::expected()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        let number = f64::from_value(value)? as f32;
        if number.is_finite() { Ok(number) } else { Err(value.expected("a number of 32-bit precision")) }
    }
}

impl FromValue for i64 {
    fn expected() -> String {
        "a whole number".into()
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        value.as_integer().ok_or_else(|| value.expected(Self::expected()))
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),*) => {$(
        impl FromValue for $kind {
            fn expected() -> String {
                "a whole number".into()
            }

            fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
                let number = i64::from_value(value)?;
                <$kind>::try_from(number).map_err(|_| {
                    // i64 is TOML's own limit, so that a larger bound is not worth naming.
                    let maximum = i64::try_from(<$kind>::MAX).unwrap_or(i64::MAX);
                    value.expected(format!("a whole number from 0 to {maximum}"))
                })
            }
        }
    )*};
}

whole_numbers!(u32, u64, usize);

impl<T: FromValue> FromValue for Vec<T> {
    fn expected() -> String {
        format!("an array, each item {}", T::expected())
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        let items = value.items().ok_or_else(|| value.expected(Self::expected()))?;
        items
            .enumerate()
            .map(|(index, item)| {
                T::from_value(item)
                    .map_err(|wrong| Wrong { path: format!("[{index}]{}", wrong.path), ..wrong })
            })
            .collect()
    }
}

impl<T: FromValue, const N: usize> FromValue for [T; N] {
    fn expected() -> String {
        format!("an array of {N}, each {}", T::expected())
    }

    fn from_value(value: Value<'_>) -> Result<Self, Wrong> {
        if value.items().is_none_or(|items| items.len() != N) {
            return Err(value.expected(Self::expected()));
        }
        let items = Vec::<T>::from_value(value)?;
        items.try_into().map_err(|_| value.expected(Self::expected()))
    }
}
