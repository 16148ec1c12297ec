//! The charts: accuracy levels, drops from the baseline, accuracy over the values of a key, learning curves. Drawn once as SVG
//! for page and file, and as PNG from the file.

pub(crate) mod axis;
mod curves;
mod labels;
mod panel;
pub(crate) mod png;
mod scan;
mod series;
pub(crate) mod svg;
#[cfg(test)]
mod tests;

pub use curves::{CurveSet, curve_sets, needs_legend};
pub use png::RenderError;
pub use scan::scans;
pub use series::{ArmCurve, ArmPoint, POINTS, arm_curves};
pub use svg::Svg;

use panel::{Group, Mark, Panel, Row};
use svg::Anchor;

use crate::data::{Method, Metric, Study, Unhealthy, Variant};
use crate::statistics::{Sample, drop, interval, level, random_level};
use crate::text::number;

/// Okabe and Ito's colours, in the order in which methods take them: told apart by people with any colour vision.
/// The second of each pair is for dark backgrounds.
pub const COLORS: [(&str, &str); 7] = [
    ("#0072b2", "#56b4e9"),
    ("#d55e00", "#f08a3c"),
    ("#009e73", "#2fc79b"),
    ("#b0578d", "#cc79a7"),
    ("#b87f00", "#e69f00"),
    ("#3b8ec2", "#9bd3f5"),
    ("#555555", "#bbbbbb"),
];

/// Colours that methods can have; further ones begin again, with broken lines.
pub const COLOR_COUNT: usize = COLORS.len();

/// The style of a chart in a file: light, with the font that the PNG is drawn with first.
pub(crate) fn file_style() -> String {
    let mut css = String::from(
        "text{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:12px;fill:#24221f}.paper{fill:#fff}\
         .soft,.tick{fill:#65615a}.grid{stroke:#e7e3dc;stroke-width:1}.axis{stroke:#8d877d;stroke-width:1}\
         .level{stroke:#8d877d;stroke-width:1;stroke-dasharray:3 3}.keyseed{fill:#8d877d;fill-opacity:.6}\
         .keymean{fill:#65615a}.keyinterval{fill:#8d877d;fill-opacity:.3}.keypublished{fill:none;stroke:#65615a;stroke-width:1.6}",
    );
    css.push_str(SHARED_STYLE);
    for (index, (light, _)) in COLORS.iter().enumerate() {
        css.push_str(&format!(".fill{index}{{fill:{light}}}.stroke{index}{{stroke:{light}}}"));
    }
    css
}

/// What page and file have in common: sizes, widths, opacities.
pub const SHARED_STYLE: &str = ".title{font-size:15px;font-weight:bold}.big{font-size:20px;font-weight:bold}\
    .tick{font-size:11px}.name{font-size:11px;font-weight:bold}.value{font-weight:bold}.seed{fill-opacity:.55}.range{stroke-width:2;stroke-opacity:.45}\
    .thread{fill:none;stroke-width:1.2;stroke-opacity:.4}.published{fill:none;stroke-width:1.6}\
    .published.thread{stroke-width:1;stroke-dasharray:2 4;stroke-opacity:.6}.interval{fill-opacity:.22}\
    polyline.curve{fill:none;stroke-width:1.6}.band{fill-opacity:.16}.scan{fill:none;stroke-width:1.6}\
    .broken{stroke-dasharray:9 3 2 3}.pairs{fill:none;stroke-width:1.1;stroke-opacity:.7;stroke-dasharray:4 3}";

/// What tells a method from the others wherever it is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Index of its colour.
    pub color: usize,
    /// Another method had the colour before, so its lines are broken.
    broken: bool,
}

impl Look {
    /// Of a method, by its place among the study's methods.
    pub fn of(study: &Study, method: &str) -> Look {
        let place = study.methods.iter().position(|known| known.id == method).unwrap_or(0);
        Look { color: place % COLORS.len(), broken: place / COLORS.len() % 2 == 1 }
    }

    /// The classes of its lines.
    pub fn line(self) -> String {
        format!("stroke{}{}", self.color, if self.broken { " broken" } else { "" })
    }

    /// Writes its name, or a value of it, from a place on: in ink, for letters in the colours are hard to read.
    fn name(self, svg: &mut Svg, class: &str, (x, y): (f64, f64), text: &str) {
        svg.circle(&format!("fill{} point", self.color), (x + 4.0, y), 3.0, "");
        svg.text(class, (x + 11.0, y + 4.0), Anchor::Start, text);
    }

    /// A small patch before its name in a page.
    pub fn swatch(self) -> String {
        let broken = if self.broken { " broken" } else { "" };
        format!("<span class=\"swatch back{}{broken}\"></span>", self.color)
    }
}

/// A drawing with what it shows in words.
pub struct Chart {
    /// The drawing.
    pub svg: Svg,
    /// For those who do not see it.
    pub description: String,
}

/// A row per method with what `sample` answers for it: values, their interval, the published value.
fn rows(
    study: &Study,
    variant: &Variant,
    sample: impl Fn(&str) -> (Sample, Option<(f64, f64)>, Option<f64>),
) -> Vec<Row> {
    let row = |method: &Method| {
        let (sample, interval, published) = sample(&method.id);
        let note = study.unhealthy(&method.id, &variant.id).map_or(String::new(), Unhealthy::short);
        let look = Look::of(study, &method.id);
        Row { look, label: method.label.clone(), sample, interval, published, note }
    };
    study.methods.iter().map(row).collect()
}

fn describe(panel: &Panel, unit: &str) -> String {
    let mut text = format!("{}, {}.", panel.title, panel.subtitle);
    for group in &panel.groups {
        let rows = group.rows.iter().map(|row| match (row.sample.mean(), row.sample.range()) {
            (Some(mean), Some((low, high))) => {
                let interval = row.interval;
                let more = [
                    Some(format!("{} to {}", number(low), number(high))),
                    interval.map(|(low, high)| format!("interval {} to {}", number(low), number(high))),
                    row.published.map(|published| format!("published {}", number(published))),
                    Some(row.note.clone()).filter(|note| !note.is_empty()),
                ];
                let more = more.into_iter().flatten().collect::<Vec<_>>().join(", ");
                format!("{} {}{unit} ({more})", row.label, number(mean))
            }
            _ => format!("{} missing", row.label),
        });
        text.push_str(&format!(" {}: {}.", group.label, rows.collect::<Vec<_>>().join(", ")));
    }
    for (_, label) in &panel.levels {
        text.push_str(&format!(" Line: {label}."));
    }
    text
}

/// Accuracy of every method in every variant.
pub fn levels(study: &Study, metric: &Metric) -> Chart {
    let groups = study.variants.iter().map(|variant| Group {
        label: variant.label.clone(),
        rows: rows(study, variant, |method| (level(study, &metric.id, method, &variant.id), None, None)),
    });
    let mut levels = Vec::new();
    levels.extend(study.chance.map(|chance| (chance * 100.0, format!("chance {}", number(chance * 100.0)))));
    let random = random_level(study, &metric.id).mean();
    levels.extend(random.map(|mean| (mean, format!("untrained encoder {}", number(mean)))));
    let panel = Panel {
        title: metric.measure.title().into(),
        subtitle: format!("{}, n = {}", metric.label, study.seeds_behind()),
        groups: groups.collect(),
        head_lines: levels.len(),
        levels,
        axis_label: format!("{}, %", metric.measure.axis()),
        from_zero: true,
        key: vec![(Mark::Seed, "one seed".into()), (Mark::Mean, "mean".into())],
    };
    Chart { svg: panel.draw(), description: describe(&panel, " %") }
}

/// Points lost against the baseline, paired by seed, with the published losses where they exist.
pub fn drops(study: &Study, metric: &Metric) -> Chart {
    // The baseline's own row, all zero, is where each method's line starts from.
    let groups: Vec<Group> = study
        .variants
        .iter()
        .map(|variant| Group {
            label: variant.label.clone(),
            rows: rows(study, variant, |method| {
                let compared = variant.id != study.baseline;
                let sample = drop(study, &metric.id, method, &variant.id);
                let interval = sample.interval().filter(|_| compared);
                (sample, interval, study.published_drop(method, &variant.id).filter(|_| compared))
            }),
        })
        .collect();
    let mut key = vec![(Mark::Seed, "one seed".into()), (Mark::Mean, "mean".into())];
    let rows = || groups.iter().flat_map(|group| &group.rows);
    if rows().any(|row| row.interval.is_some()) {
        key.push((Mark::Interval, format!("{:.0} % interval", interval::CONFIDENCE * 100.0)));
    }
    if rows().any(|row| row.published.is_some()) {
        key.push((Mark::Published, short_source(study)));
    }
    let panel = Panel {
        title: "Drop from the baseline".into(),
        subtitle: format!("{}, paired by seed, n = {}", metric.label, study.seeds_behind()),
        groups,
        levels: Vec::new(),
        head_lines: usize::from(study.chance.is_some()) + usize::from(!study.random_encoders.is_empty()),
        axis_label: format!("points of {} lost", metric.measure.text()),
        from_zero: true,
        key,
    };
    Chart { svg: panel.draw(), description: describe(&panel, " points") }
}

/// `Grill et al. 2020: ImageNet, ...` is `Grill et al. 2020` in a key.
fn short_source(study: &Study) -> String {
    let source = study.reference.as_ref().map_or("", |reference| &reference.source);
    source.split([':', ',', '(']).next().unwrap_or(source).trim().to_string()
}

/// A drawing for a file of its own.
pub struct ChartFile {
    /// Of the files, without suffix.
    pub name: &'static str,
    /// The drawing as an SVG file.
    pub svg: String,
    /// The same as a PNG file.
    pub png: Vec<u8>,
}

/// Draws the study's main metric, both panels side by side with what goes over the values of a key below, and the curves;
/// nothing of what the study does not have.
pub fn files(study: &Study) -> Result<Vec<ChartFile>, RenderError> {
    let charts = study.main_metric().map(|metric| ("charts", panels(study, metric)));
    let curves = curves::drawing(study, &study.title).map(|chart| ("curves", chart));
    let file = |(name, chart): (&'static str, Chart)| {
        let svg = chart.svg.file(&file_style(), &chart.description);
        let png = png::render(&svg, scale(&chart.svg))?;
        Ok(ChartFile { name, svg, png })
    };
    charts.into_iter().chain(curves).map(file).collect()
}

/// Twice the natural size, for screens with small pixels; less for what would become a huge picture.
fn scale(svg: &Svg) -> f32 {
    const MOST_PIXELS: f64 = 8e6;
    (MOST_PIXELS / (svg.width * svg.height)).sqrt().clamp(0.5, 2.0) as f32
}

fn panels(study: &Study, metric: &Metric) -> Chart {
    const MARGIN: f64 = 28.0;
    let (left, right) = (levels(study, metric), drops(study, metric));
    let more = scans(study, metric);
    let width = left.svg.width + right.svg.width + 3.0 * MARGIN;
    let top = MARGIN + 44.0;
    let below = top + left.svg.height.max(right.svg.height) + MARGIN;
    let row = |index: usize| below + (index / 2) as f64 * (more[index].svg.height + MARGIN);
    let mut all =
        Svg::new(width, more.iter().map(|chart| chart.svg.height + MARGIN).step_by(2).sum::<f64>() + below);
    all.text("big", (MARGIN, MARGIN + 16.0), Anchor::Start, &study.title);
    all.place((MARGIN, top), &left.svg);
    all.place((left.svg.width + 2.0 * MARGIN, top), &right.svg);
    for (index, chart) in more.iter().enumerate() {
        let x = if index % 2 == 0 { MARGIN } else { left.svg.width + 2.0 * MARGIN };
        all.place((x, row(index)), &chart.svg);
    }
    let words: Vec<&str> =
        [&left, &right].into_iter().chain(&more).map(|chart| &*chart.description).collect();
    Chart { svg: all, description: words.join(" ") }
}
