//! A small SVG writer. Elements carry classes, never colours: a page and a file each bring their own style for
//! the same drawing.

use std::fmt::Write;

use crate::text::escape;

/// Where a text is held.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in the making.
pub struct Svg {
    /// In user units, which are pixels at the drawing's natural size.
    pub width: f64,
    /// As `width`.
    pub height: f64,
    body: String,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    pub fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.push(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            round(x1),
            round(y1),
            round(x2),
            round(y2)
        ));
    }

    /// A circle; `hint`, unless empty, is shown to who points at it.
    pub fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64, hint: &str) {
        let open = format!(
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"",
            round(x),
            round(y),
            round(radius)
        );
        self.hinted(&open, "circle", hint);
    }

    pub fn rectangle(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64), hint: &str) {
        let open = format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"1.5\"",
            round(x),
            round(y),
            round(width),
            round(height)
        );
        self.hinted(&open, "rect", hint);
    }

    pub fn polyline(&mut self, class: &str, points: &[(f64, f64)], hint: &str) {
        self.hinted(&format!("<polyline class=\"{class}\" points=\"{}\"", list(points)), "polyline", hint);
    }

    pub fn polygon(&mut self, class: &str, points: &[(f64, f64)]) {
        self.push(format_args!("<polygon class=\"{class}\" points=\"{}\"/>", list(points)));
    }

    pub fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.push(format_args!(
            "<text class=\"{class}\" x=\"{}\" y=\"{}\"{anchor}>{}</text>",
            round(x),
            round(y),
            escape(text)
        ));
    }

    /// Draws `inner` with its origin at (x, y).
    pub fn place(&mut self, (x, y): (f64, f64), inner: &Svg) {
        self.push(format_args!("<g transform=\"translate({} {})\">", round(x), round(y)));
        self.body.push_str(&inner.body);
        self.push(format_args!("</g>"));
    }

    /// As an element of a page, which brings the style. `description` says what is seen.
    pub fn inline(&self, description: &str) -> String {
        self.document("", description, "class=\"chart\" ")
    }

    /// As a file of its own with the style `css`.
    pub fn file(&self, css: &str, description: &str) -> String {
        let background =
            format!("<style>{css}</style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
        let (width, height) = (round(self.width), round(self.height));
        self.document(&background, description, &format!("width=\"{width}\" height=\"{height}\" ")) + "\n"
    }

    fn document(&self, head: &str, description: &str, attributes: &str) -> String {
        let (width, height) = (round(self.width), round(self.height));
        let label = escape(description);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {attributes}viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\">\n{head}{}</svg>",
            self.body
        )
    }

    fn hinted(&mut self, open: &str, name: &str, hint: &str) {
        if hint.is_empty() {
            self.push(format_args!("{open}/>"));
        } else {
            self.push(format_args!("{open}><title>{}</title></{name}>", escape(hint)));
        }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.body, "{element}").expect("writing to a String cannot fail");
    }
}

/// Lines have many points, and are a pixel wide: one decimal is enough.
fn list(points: &[(f64, f64)]) -> String {
    let short = |value: f64| (value * 10.0).round() / 10.0 + 0.0;
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{},{}", short(*x), short(*y))).collect();
    points.join(" ")
}

/// Two decimals are finer than any screen, and keep files small and equal on every machine.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}
