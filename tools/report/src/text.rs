//! Numbers and words as the report writes them.

/// One decimal, with a real minus sign; never `−0.0`.
pub fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    // Adding zero turns -0.0 into 0.0.
    format!("{:.1}", rounded + 0.0).replace('-', "\u{2212}")
}

/// `63.7 %`
pub fn percent(value: f64) -> String {
    format!("{}\u{a0}%", number(value))
}

/// `1.0 point`, `17.0 points`.
pub fn points(value: f64) -> String {
    let text = number(value);
    let unit = if text == "1.0" || text == "\u{2212}1.0" { "point" } else { "points" };
    format!("{text}\u{a0}{unit}")
}

/// `one seed`, `3 seeds`.
pub fn seeds(count: usize) -> String {
    if count == 1 { "one seed".into() } else { format!("{count} seeds") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn join(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Text as it stands in XML and HTML, in attributes too.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // No XML can hold these, not even escaped.
            control if control.is_control() && !matches!(control, '\n' | '\t') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// `text` in lines of at most `width` characters where its words allow; a longer word stands alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// `text` in at most `most` characters, the last of which tells that it went on.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_string();
    }
    text.chars().take(most.saturating_sub(1)).chain(['\u{2026}']).collect()
}

/// Seconds as `45 s`, `12 min`, `3 h 20 min`.
pub fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match (seconds.round() as u64, minutes) {
        (seconds, _) if seconds < 120 => format!("{seconds}\u{a0}s"),
        (_, minutes) if minutes < 120 => format!("{minutes}\u{a0}min"),
        (_, minutes) => format!("{}\u{a0}h {}\u{a0}min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_decimal_and_no_negative_zero() {
        assert_eq!([number(17.04), number(-3.26), number(-0.04)], ["17.0", "\u{2212}3.3", "0.0"]);
        assert_eq!([points(1.0), points(2.0)], ["1.0\u{a0}point", "2.0\u{a0}points"]);
    }

    #[test]
    fn lists_read_as_people_write_them() {
        let items = ["a", "b", "c"].map(String::from);
        assert_eq!([join(&items[..1]), join(&items[..2]), join(&items)], ["a", "a and b", "a, b and c"]);
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<a href=\"x\">&\u{7}"), "&lt;a href=&quot;x&quot;&gt;&amp;\u{fffd}");
    }

    #[test]
    fn lines_wrap_between_words_only() {
        assert_eq!(wrap("remove grayscale and blur", 16), ["remove grayscale", "and blur"]);
        assert_eq!(wrap("unbreakable_identifier x", 8), ["unbreakable_identifier", "x"]);
    }

    #[test]
    fn a_text_without_room_tells_that_it_went_on() {
        assert_eq!([shortened("BYOL", 4), shortened("SimCLR", 4)], ["BYOL", "Sim\u{2026}"]);
    }

    #[test]
    fn durations_choose_their_unit() {
        assert_eq!(
            [duration(45.2), duration(720.0), duration(12_000.0)],
            ["45\u{a0}s", "12\u{a0}min", "3\u{a0}h 20\u{a0}min"]
        );
    }
}
