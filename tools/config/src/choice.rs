//! Enums that TOML names by text, and the nearest name to a misspelt one.

/// An enum that TOML names by text; made by [`choices!`](crate::choices).
pub trait Choice: Copy + PartialEq + 'static {
    /// Every choice with its text, in the order of the documentation.
    const ALL: &'static [(&'static str, Self)];

    /// The choice's text.
    fn text(self) -> &'static str {
        // `choices!` puts every variant into ALL.
        Self::ALL.iter().find(|(_, choice)| *choice == self).map_or("", |(text, _)| text)
    }
}

/// Declares an enum whose variants TOML names by text, and implements [`Choice`](crate::Choice) for it.
///
/// ```
/// diptych_config::choices! {
///     /// What the target network is.
///     pub enum Target {
///         /// A moving average.
///         Ema = "ema",
///         /// The online network itself.
///         None = "none",
///     }
/// }
/// use diptych_config::Choice;
/// assert_eq!(Target::Ema.text(), "ema");
/// ```
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $crate::Choice for $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($text, $name::$variant)),+];
        }
    };
}

/// The one of `known` that `name` is most likely a misspelling of, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}
