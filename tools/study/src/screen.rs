//! Lines at the bottom of a terminal that are drawn again and again, while others scroll past above them.
//!
//! Invariants: a frame is one write, which the terminal shows at once. No mode of the terminal outlives a frame and the cursor is never
//! hidden, so that whoever dies, by whatever signal, leaves it usable. No line is as wide as the terminal; what a terminal that was
//! made narrower has wrapped is counted and taken away.

use std::fmt::Write as _;
use std::io::Write;

use console::measure_text_width;

/// Draws onto `W`, which is a terminal.
pub struct Screen<W> {
    out: W,
    /// Widths of the lines that stand there.
    drawn: Vec<usize>,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W) -> Screen<W> {
        Screen { out, drawn: Vec::new() }
    }

    /// Puts `block` in place of what was drawn before, and `above` over it for good. The terminal is `columns` wide now.
    pub fn draw(&mut self, above: &[String], block: &[String], columns: usize) {
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        // Shown at once where the terminal knows how (mode 2026); others pass over it.
        let mut frame = String::from("\x1b[?2026h\r");
        if rows > 0 {
            let _ = write!(frame, "\x1b[{rows}A");
        }
        for line in above.iter().chain(block) {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J\x1b[?2026l");
        self.drawn = block.iter().map(|line| measure_text_width(line)).collect();
        // A terminal that went away ends nothing.
        let _ = self.out.write_all(frame.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(draw: impl Fn(&mut Screen<&mut Vec<u8>>)) -> String {
        let mut bytes = Vec::new();
        draw(&mut Screen::new(&mut bytes));
        String::from_utf8(bytes).unwrap()
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn a_frame_takes_the_place_of_the_one_before() {
        let found = frames(|screen| {
            screen.draw(&[], &lines(&["one", "two"]), 80);
            screen.draw(&lines(&["done"]), &lines(&["three"]), 80);
            screen.draw(&[], &[], 80);
        });
        let frame = |content: &str| format!("\x1b[?2026h\r{content}\x1b[J\x1b[?2026l");
        let expected =
            [frame("one\x1b[K\ntwo\x1b[K\n"), frame("\x1b[2Adone\x1b[K\nthree\x1b[K\n"), frame("\x1b[1A")];
        assert_eq!(found, expected.concat());
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_are_taken_away_whole() {
        let found = frames(|screen| {
            screen.draw(&[], &lines(&["\x1b[1m0123456789\x1b[0m", ""]), 80);
            screen.draw(&[], &[], 4);
        });
        // Ten letters in rows of four, and an empty line.
        assert!(found.contains("\x1b[4A"), "{found:?}");
    }
}
