//! A panel: one row per method in each variant, a dot per seed, a bar at the mean, values along the right edge.

use super::Look;
use super::axis::Axis;
use super::svg::{Anchor, Svg};
use crate::statistics::Sample;
use crate::text::{number, shortened, wrap};

/// Width of a panel in pixels at its natural size: readable side by side on a screen, one above the other on a phone.
pub const WIDTH: f64 = 470.0;

const ROW: f64 = 21.0;
/// Height of a line of a label.
const LINE: f64 = 15.0;
const GROUP_GAP: f64 = 15.0;
/// More variants than these are a list: lines from one to the next say nothing, and the axis is out of sight at its end.
const MOST_IN_SIGHT: usize = 10;
/// Of the 12-pixel font that labels are set in, with some slack.
const CHARACTER: f64 = 7.3;
const LABEL_CHARACTERS: usize = 16;
/// Of what stands to the right of a row; of its name at least so much is left.
const VALUE_CHARACTERS: usize = 30;
const LEAST_NAME: usize = 6;

/// What a panel shows.
pub struct Panel {
    pub title: String,
    pub subtitle: String,
    pub groups: Vec<Group>,
    /// Values to mark over the whole height, with their labels.
    pub levels: Vec<(f64, String)>,
    /// Lines to leave free for them above the plot; as many in the panel beside, so that rows align.
    pub head_lines: usize,
    pub axis_label: String,
    /// Draw the axis from zero even when all values are far from it.
    pub from_zero: bool,
    /// Labels of the key at the bottom: (mark, text).
    pub key: Vec<(Mark, String)>,
}

/// One variant.
pub struct Group {
    pub label: String,
    pub rows: Vec<Row>,
}

/// One method in it.
pub struct Row {
    /// Of the method.
    pub look: Look,
    pub label: String,
    pub sample: Sample,
    /// Of the mean, where it is to be shown.
    pub interval: Option<(f64, f64)>,
    /// Published value, in the same unit.
    pub published: Option<f64>,
    /// What must be known of it: that it collapsed. May be empty.
    pub note: String,
}

/// Kinds of marks.
#[derive(Clone, Copy)]
pub enum Mark {
    Seed,
    Mean,
    Interval,
    Published,
}

impl Group {
    /// Its label, wrapped; of a word that no line holds, the beginning.
    fn lines(&self) -> Vec<String> {
        let lines = wrap(&self.label, LABEL_CHARACTERS);
        lines.iter().map(|line| shortened(line, LABEL_CHARACTERS + 6)).collect()
    }

    /// Of its rows, or of its label where that is higher.
    fn height(&self) -> f64 {
        (self.rows.len() as f64 * ROW).max(self.lines().len() as f64 * LINE)
    }

    /// Where the middles of its rows are, in a group that begins at `top`.
    fn places(&self, top: f64) -> impl Iterator<Item = f64> {
        let first = top + (self.height() - self.rows.len() as f64 * ROW + ROW) / 2.0;
        (0..self.rows.len()).map(move |row| first + row as f64 * ROW)
    }
}

impl Panel {
    /// `SimCLR 37.2 collapsed`; a study of one method need not repeat its name.
    fn label_of(&self, row: &Row) -> String {
        let value = row.sample.mean().map_or("missing".to_string(), number);
        let rest = format!("{value} {}", row.note);
        // What is known of it is worth more room than its name.
        let room = VALUE_CHARACTERS.saturating_sub(rest.chars().count()).max(LEAST_NAME);
        let alone = self.groups.iter().all(|group| group.rows.len() == 1);
        let name = if alone { String::new() } else { shortened(&row.label, room) };
        shortened(format!("{name} {rest}").trim(), VALUE_CHARACTERS)
    }

    fn is_list(&self) -> bool {
        self.groups.len() > MOST_IN_SIGHT
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let rows =
            rows.flat_map(|row| row.sample.values.iter().map(|(_, value)| *value).chain(row.published));
        rows.chain(self.levels.iter().map(|(value, _)| *value)).chain(self.from_zero.then_some(0.0))
    }

    /// Left and right edge of the plot.
    fn edges(&self) -> (f64, f64) {
        let label = self.groups.iter().flat_map(Group::lines);
        let left = label.map(|line| line.chars().count()).max().unwrap_or(0);
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let right = rows.map(|row| self.label_of(row).chars().count() + 2).max().unwrap_or(0);
        (left as f64 * CHARACTER + 14.0, WIDTH - right as f64 * CHARACTER)
    }

    pub fn draw(&self) -> Svg {
        let top = 56.0 + self.head_lines as f64 * 15.0 + if self.is_list() { 16.0 } else { 0.0 };
        let bottom = top + self.groups.iter().map(|group| group.height() + GROUP_GAP).sum::<f64>();
        let mut svg = Svg::new(WIDTH, bottom + 82.0);
        let (left, right) = self.edges();
        let axis = Axis::covering(self.values(), 5.0, left, right);

        svg.text("title", (0.0, 16.0), Anchor::Start, &self.title);
        svg.text("soft", (0.0, 35.0), Anchor::Start, &self.subtitle);
        self.draw_axis(&mut svg, &axis, top, bottom);
        self.draw_levels(&mut svg, &axis, bottom);
        if !self.is_list() {
            self.draw_connections(&mut svg, &axis, top);
        }
        let mut y = top + GROUP_GAP / 2.0;
        for group in &self.groups {
            let lines = group.lines();
            let middle = y + group.height() / 2.0;
            let first = middle - (lines.len() as f64 - 1.0) * LINE / 2.0 + 4.0;
            for (index, line) in lines.iter().enumerate() {
                svg.text("label", (0.0, first + index as f64 * LINE), Anchor::Start, line);
            }
            for (row, place) in group.rows.iter().zip(group.places(y)) {
                row.draw(&mut svg, &axis, place, &group.label);
                let class = if row.sample.n() > 0 { "value" } else { "tick" };
                svg.text(class, (right + 8.0, place + 4.0), Anchor::Start, &self.label_of(row));
            }
            y += group.height() + GROUP_GAP;
        }
        self.draw_key(&mut svg, bottom + 70.0);
        svg
    }

    fn draw_axis(&self, svg: &mut Svg, axis: &Axis, top: f64, bottom: f64) {
        for tick in axis.ticks() {
            let x = axis.at(tick);
            let class = if tick.abs() < 1e-9 { "axis" } else { "grid" };
            svg.line(class, (x, top), (x, bottom));
            svg.text("tick", (x, bottom + 16.0), Anchor::Middle, &axis.label(tick));
            if self.is_list() {
                svg.text("tick", (x, top - 4.0), Anchor::Middle, &axis.label(tick));
            }
        }
        let (left, right) = self.edges();
        svg.text("soft", ((left + right) / 2.0, bottom + 36.0), Anchor::Middle, &self.axis_label);
    }

    fn draw_levels(&self, svg: &mut Svg, axis: &Axis, bottom: f64) {
        for (index, (value, label)) in self.levels.iter().enumerate() {
            let (x, y) = (axis.at(*value), 56.0 + index as f64 * 15.0);
            svg.line("level", (x, y + 3.0), (x, bottom));
            // To the side on which there is room.
            match x < WIDTH / 2.0 {
                true => svg.text("tick", (x - 3.0, y), Anchor::Start, label),
                false => svg.text("tick", (x + 3.0, y), Anchor::End, label),
            }
        }
    }

    /// A thin line through the means of each method, and a dashed one through what was published: where two of them cross, the
    /// ranking does.
    fn draw_connections(&self, svg: &mut Svg, axis: &Axis, top: f64) {
        self.draw_connection(svg, axis, top, "thread", |row| row.sample.mean());
        self.draw_connection(svg, axis, top, "published thread", |row| row.published);
    }

    fn draw_connection(
        &self,
        svg: &mut Svg,
        axis: &Axis,
        top: f64,
        class: &str,
        value: impl Fn(&Row) -> Option<f64>,
    ) {
        // Every group has a row for every method, in the same order.
        let mut lines: Vec<(Look, Vec<(f64, f64)>)> = Vec::new();
        let mut y = top + GROUP_GAP / 2.0;
        for group in &self.groups {
            for (index, (row, place)) in group.rows.iter().zip(group.places(y)).enumerate() {
                if lines.len() == index {
                    lines.push((row.look, Vec::new()));
                }
                lines[index].1.extend(value(row).map(|value| (axis.at(value), place)));
            }
            y += group.height() + GROUP_GAP;
        }
        for (look, places) in lines.iter().filter(|(_, places)| places.len() > 1) {
            svg.polyline(&format!("{} {class}", look.line()), places, "");
        }
    }

    fn draw_key(&self, svg: &mut Svg, y: f64) {
        let mut x = 0.0;
        for (mark, text) in &self.key {
            let place = (x + 6.0, y - 4.0);
            match mark {
                Mark::Seed => svg.circle("keyseed", place, 3.6, ""),
                Mark::Mean => svg.rectangle("keymean", (place.0 - 2.0, place.1 - 7.0), (4.0, 14.0), ""),
                Mark::Interval => {
                    svg.rectangle("keyinterval", (place.0 - 6.0, place.1 - 5.0), (13.0, 10.0), "")
                }
                Mark::Published => svg.circle("keypublished", place, 4.6, ""),
            }
            svg.text("tick", (x + 16.0, y), Anchor::Start, text);
            x += 36.0 + text.chars().count() as f64 * 6.7;
        }
    }
}

impl Row {
    fn draw(&self, svg: &mut Svg, axis: &Axis, y: f64, variant: &str) {
        let color = self.look.color;
        let hint = |what: &str, value: f64| format!("{}, {variant}, {what}: {}", self.label, number(value));
        if let Some((low, high)) = self.interval {
            let (from, to) = (axis.at(low), axis.at(high));
            let text = format!("{}, {variant}, interval: {} to {}", self.label, number(low), number(high));
            svg.rectangle(
                &format!("fill{color} interval"),
                (from, y - 5.0),
                ((to - from).max(1.0), 10.0),
                &text,
            );
        }
        if let Some((low, high)) = self.sample.range() {
            svg.line(&format!("stroke{color} range"), (axis.at(low), y), (axis.at(high), y));
        }
        for (seed, value) in &self.sample.values {
            let place = (axis.at(*value), y);
            svg.circle(&format!("fill{color} seed"), place, 3.6, &hint(&format!("seed {seed}"), *value));
        }
        if let Some(published) = self.published {
            let place = (axis.at(published), y);
            svg.circle(&format!("stroke{color} published"), place, 4.6, &hint("published", published));
        }
        if let Some(mean) = self.sample.mean() {
            let hint = hint(&format!("mean of n = {}", self.sample.n()), mean);
            svg.rectangle(&format!("fill{color} mean"), (axis.at(mean) - 2.0, y - 7.0), (4.0, 14.0), &hint);
        }
    }
}
