//! A component's page for the terminal and for the documentation, both from the descriptor.

use crate::component::{Component, Kind, Parameter, ParameterKind};

/// What TOML may say of the key that the program itself adds to an augmentation.
const PROBABILITY: &str = "a number from 0 to 1";
const PROBABILITY_DOC: &str = "Share of the views that it is applied to.";

/// Columns of the terminal page.
const WIDTH: usize = 92;

impl Component {
    /// The component's page for a terminal: what it computes, its parameters, and a line of TOML that uses it.
    pub fn describe(&self) -> String {
        let mut page = format!("{} {}\n", self.kind(), self.id());
        page.push_str(&format!("from {}\n\n", self.library()));
        page.push_str(&wrap(self.doc(), 0));
        if !self.parameters().is_empty() || self.takes_probability() {
            page.push_str("\nparameters\n");
        }
        for parameter in self.parameters() {
            page.push_str(&format!("  {}  {}\n", parameter.id, facts(parameter)));
            page.push_str(&wrap(&parameter.doc, 6));
        }
        if self.takes_probability() {
            page.push_str(&format!("  probability  {PROBABILITY}, default 1\n"));
            page.push_str(&wrap(PROBABILITY_DOC, 6));
        }
        page.push_str(&format!("\nin TOML\n  {}\n", self.example()));
        page
    }

    /// The component's section of the reference documentation, in Markdown.
    pub fn describe_markdown(&self) -> String {
        let mut page = format!("### `{}`\n\n{}\n", self.id(), self.doc());
        if !self.parameters().is_empty() || self.takes_probability() {
            page.push_str("\n| parameter | value | default | unit | |\n|---|---|---|---|---|\n");
        }
        for parameter in self.parameters() {
            let default =
                if parameter.required { "required".to_owned() } else { format!("`{}`", parameter.default) };
            let cells = [
                format!("`{}`", parameter.id),
                parameter.expectation(),
                default,
                parameter.unit.clone(),
                parameter.doc.replace("\n\n", "<br>").replace('\n', " "),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            page.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        if self.takes_probability() {
            page.push_str(&format!("| `probability` | {PROBABILITY} | `1` |  | {PROBABILITY_DOC} |\n"));
        }
        page.push_str(&format!("\n```toml\n{}\n```\n", self.example()));
        page
    }

    /// TOML that uses the component: what must be given, and as many of the defaults as fit on a line.
    fn example(&self) -> String {
        let mut entries = format!("id = \"{}\"", self.id());
        if self.takes_probability() {
            entries.push_str(", probability = 0.5");
        }
        for required in self.parameters().iter().filter(|parameter| parameter.required) {
            entries.push_str(&format!(", {} = ..", required.id));
        }
        for parameter in self.parameters().iter().filter(|parameter| !parameter.required) {
            let entry = format!(", {} = {}", parameter.id, parameter.default);
            if entries.len() + entry.len() > WIDTH - 20 {
                break;
            }
            entries.push_str(&entry);
        }
        match self.kind() {
            Kind::Augmentation => format!("{{ {entries} }}"),
            Kind::Encoder => format!("encoder = {{ {entries} }}"),
            Kind::Loss => format!("losses = [{{ {entries} }}]"),
        }
    }
}

/// Kind, bounds, unit and default in words.
fn facts(parameter: &Parameter) -> String {
    let mut facts = parameter.expectation();
    if !parameter.unit.is_empty() && parameter.kind != ParameterKind::Choice {
        facts.push_str(&format!(", in {}", parameter.unit));
    }
    if parameter.required {
        facts.push_str(", required");
    } else {
        facts.push_str(&format!(", default {}", parameter.default));
    }
    facts
}

/// Breaks paragraphs into lines of at most [`WIDTH`] columns, indented.
fn wrap(text: &str, indent: usize) -> String {
    let mut lines = String::new();
    for (index, paragraph) in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()).enumerate()
    {
        if index > 0 {
            lines.push('\n');
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push_str(&format!("{:indent$}{line}\n", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push_str(&format!("{:indent$}{line}\n", ""));
    }
    lines
}
