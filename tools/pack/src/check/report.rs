//! The report as people read it.

use std::fmt::{self, Display, Formatter};

use super::sizes::{ELONGATED, TINY};
use super::{Class, Duplicates, Extreme, Report, Sizes};
use crate::options::ByteSize;

/// Broken images, duplicates and classes that are listed; the others are counted. `--json` has all.
const SHOWN: usize = 10;
/// Length of the longest bar.
const BAR: usize = 30;
/// Where the second column begins.
const COLUMN: usize = 13;

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.source)?;
        let readable = self.images - self.broken.len();
        row(
            formatter,
            "readable",
            format!("{readable} of {} images, {}", self.images, ByteSize(self.bytes)),
        )?;
        if !self.formats.is_empty() {
            let counts: Vec<String> =
                self.formats.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let gray = if self.gray > 0 { format!("; {} without colour", self.gray) } else { String::new() };
            row(formatter, "formats", format!("{}{gray}", counts.join(", ")))?;
        }
        if let Some(sizes) = &self.sizes {
            write_sizes(formatter, sizes)?;
        }
        if let Some(classes) = &self.classes {
            write_classes(formatter, classes)?;
        }
        write_duplicates(formatter, "same bytes", &self.same_bytes)?;
        write_duplicates(formatter, "same pixels", &self.same_pixels)?;
        let broken = if self.broken.is_empty() { "none".into() } else { count(self.broken.len(), "image") };
        row(formatter, "broken", broken)?;
        let lines = self.broken.iter().map(|broken| format!("{}: {}", broken.path.display(), broken.reason));
        list(formatter, lines, self.broken.len())
    }
}

fn write_sizes(formatter: &mut Formatter<'_>, sizes: &Sizes) -> fmt::Result {
    let extreme = |Extreme { width, height, path }: &Extreme| format!("{width}x{height}  {}", path.display());
    row(formatter, "smallest", extreme(&sizes.smallest))?;
    row(formatter, "largest", extreme(&sizes.largest))?;
    row(formatter, "longest", extreme(&sizes.most_elongated))?;
    if sizes.tiny > 0 {
        row(formatter, "tiny", format!("{} with a short side below {TINY} pixels", sizes.tiny))?;
    }
    if sizes.elongated > 0 {
        row(formatter, "elongated", format!("{} longer than {ELONGATED}:1", sizes.elongated))?;
    }
    let most = sizes.short_sides.iter().map(|bin| bin.images).max().unwrap_or(0).max(1);
    let digits = most.to_string().len();
    for (number, bin) in sizes.short_sides.iter().enumerate() {
        // A bin with any image at all shows something.
        let bar = "#".repeat((bin.images * BAR).div_ceil(most));
        let text = format!("{:>5} to {:<5}  {:>digits$}  {bar}", bin.from, bin.to, bin.images);
        row(formatter, if number == 0 { "short side" } else { "" }, text.trim_end())?;
    }
    Ok(())
}

fn write_classes(formatter: &mut Formatter<'_>, classes: &[Class]) -> fmt::Result {
    let mut sorted: Vec<&Class> = classes.iter().collect();
    sorted.sort_by(|one, other| other.images.cmp(&one.images).then_with(|| one.name.cmp(&other.name)));
    let (Some(Class { images: most, .. }), Some(Class { images: fewest, .. })) =
        (sorted.first(), sorted.last())
    else {
        return row(formatter, "classes", "none");
    };
    let spread = match fewest {
        _ if most == fewest => format!("{most} images each"),
        0 => format!("0 to {most} images each"),
        _ => format!("{fewest} to {most} images each, 1:{:.1}", *most as f64 / *fewest as f64),
    };
    row(formatter, "classes", format!("{}, {spread}", classes.len()))?;
    if most == fewest {
        return Ok(());
    }
    let text = |classes: &[&Class]| {
        let texts: Vec<String> =
            classes.iter().map(|class| format!("{} {}", class.name, class.images)).collect();
        texts.join(", ")
    };
    let text = if sorted.len() <= SHOWN {
        text(&sorted)
    } else {
        format!("{}, ..., {}", text(&sorted[..SHOWN / 2]), text(&sorted[sorted.len() - SHOWN / 2..]))
    };
    row(formatter, "", text)
}

fn write_duplicates(formatter: &mut Formatter<'_>, title: &str, groups: &[Duplicates]) -> fmt::Result {
    if groups.is_empty() {
        return row(formatter, title, "none");
    }
    let more: usize = groups.iter().map(|group| group.paths.len() - 1).sum();
    let differing = groups.iter().filter(|group| group.classes_differ).count();
    let labels =
        if differing > 0 { format!("; {differing} of them in different classes") } else { String::new() };
    row(
        formatter,
        title,
        format!("{}, {} too many{labels}", count(groups.len(), "group"), count(more, "image")),
    )?;
    let line = |group: &Duplicates| {
        let paths: Vec<String> = group.paths.iter().take(3).map(|path| path.display().to_string()).collect();
        let more = if group.paths.len() > 3 {
            format!(" and {} more", group.paths.len() - 3)
        } else {
            String::new()
        };
        format!("{}{more}", paths.join(" = "))
    };
    list(formatter, groups.iter().map(line), groups.len())
}

fn row(formatter: &mut Formatter<'_>, title: &str, text: impl Display) -> fmt::Result {
    writeln!(formatter, "  {title:COLUMN$}{text}")
}

/// The first lines of a list.
fn list(formatter: &mut Formatter<'_>, lines: impl Iterator<Item = String>, total: usize) -> fmt::Result {
    for line in lines.take(SHOWN) {
        writeln!(formatter, "    {line}")?;
    }
    if total > SHOWN {
        writeln!(formatter, "    and {} more, which --json lists", total - SHOWN)?;
    }
    Ok(())
}

fn count(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
