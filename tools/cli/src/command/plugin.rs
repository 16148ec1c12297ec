//! `diptych plugin`.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::{Result, bail};
use diptych_config::nearest;
use diptych_host::{Component, Kind, Registry};

use super::Plugins;
use crate::console;

/// What to say of the plugins at hand.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List every component with the library that it comes from.
    List,
    /// Show what a component computes, and its parameters with defaults, bounds and units.
    Describe {
        /// Id of an augmentation, encoder or loss.
        id: String,
    },
    /// Write the reference of all components as Markdown.
    Reference,
}

pub fn run(command: Command, plugins: &Plugins) -> Result<ExitCode> {
    let registry = plugins.load()?;
    let text = match command {
        Command::List => list(&registry)?,
        Command::Describe { id } => describe(&registry, &id)?,
        Command::Reference => reference(&registry)?,
    };
    console::print(&text);
    Ok(ExitCode::SUCCESS)
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Augmentation, "augmentations"), (Kind::Encoder, "encoders"), (Kind::Loss, "losses")];

fn list(registry: &Registry) -> Result<String> {
    let mut text = String::new();
    let width = registry.components().map(|component| component.id().len()).max().unwrap_or(0);
    for (kind, title) in KINDS {
        let components: Vec<&Component> = of_kind(registry, kind).collect();
        writeln!(text, "{title}{}", if components.is_empty() { ": none" } else { "" })?;
        for component in components {
            writeln!(text, "  {:width$}  {}", component.id(), component.summary())?;
        }
    }
    text.push_str("libraries\n");
    for library in registry.libraries() {
        writeln!(text, "  {library}")?;
    }
    Ok(text)
}

fn describe(registry: &Registry, id: &str) -> Result<String> {
    let pages: Vec<String> =
        registry.components().filter(|component| component.id() == id).map(Component::describe).collect();
    if pages.is_empty() {
        let hint = match nearest(id, registry.components().map(Component::id)) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => String::from("; `diptych plugin list` shows what there is"),
        };
        bail!("no component is called `{id}`{hint}");
    }
    Ok(pages.join("\n"))
}

fn reference(registry: &Registry) -> Result<String> {
    let mut text = String::from("# Components\n");
    for (kind, title) in KINDS {
        writeln!(text, "\n## {}{}\n", title[..1].to_uppercase(), &title[1..])?;
        let sections: Vec<String> = of_kind(registry, kind).map(Component::describe_markdown).collect();
        text.push_str(&sections.join("\n"));
    }
    Ok(text)
}

fn of_kind(registry: &Registry, kind: Kind) -> impl Iterator<Item = &Component> {
    registry.components().filter(move |component| component.kind() == kind)
}
