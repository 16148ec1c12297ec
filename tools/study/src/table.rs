//! The live table of a study's runs, as lines for a terminal of any size.

use std::collections::BTreeMap;

use console::{Style, measure_text_width, pad_str, truncate_str};
use diptych_report::Verdict;
use diptych_report::text::duration;

use crate::live::{Overview, RunStatus, State};

/// What runs at work are doing, by id, where their folders do not say it.
pub type Doing = BTreeMap<String, String>;

/// Of the terminal.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub rows: usize,
    pub columns: usize,
}

const GAP: usize = 2;
/// A run's name is not cut shorter.
const SHORTEST_NAME: usize = 10;
const BAR: usize = 16;

/// One column. A terminal that is too narrow shows those of the highest importance.
struct Column {
    head: &'static str,
    importance: u8,
    right: bool,
    cell: fn(&RunStatus, &Doing) -> String,
}

const COLUMNS: [Column; 8] = [
    Column { head: "", importance: 1, right: false, cell: |run, _| bar(run) },
    Column { head: "step", importance: 3, right: true, cell: |run, _| steps(run) },
    Column { head: "images/s", importance: 2, right: true, cell: |run, _| number(run.images_per_second, 0) },
    Column { head: "loss", importance: 5, right: true, cell: |run, _| number(run.loss, 4) },
    Column { head: "z-std", importance: 4, right: true, cell: |run, _| number(run.z_std, 2) },
    Column { head: "probe", importance: 0, right: true, cell: |run, _| percent(run.probe_accuracy) },
    Column { head: "state", importance: 7, right: false, cell: state },
    Column {
        head: "left",
        importance: 6,
        right: true,
        cell: |run, _| run.seconds_left.filter(|left| *left > 0.0).map_or(String::new(), duration),
    },
];

/// The table with its head, a line that counts all runs, and the note. Where not all runs fit, those at work come first, then failed ones.
pub fn lines(overview: &Overview, doing: &Doing, extent: Extent, note: Option<&str>) -> Vec<String> {
    // Head, summary, note, and the line that the cursor stands in.
    let room = extent.rows.saturating_sub(3 + usize::from(note.is_some()));
    let shown = shown(&overview.runs, room);
    // The last column stays free: a full line would wrap.
    let width = extent.columns.saturating_sub(1);
    let mut lines = Vec::new();
    if !shown.is_empty() {
        let cells: Vec<Vec<String>> = shown
            .iter()
            .map(|run| COLUMNS.iter().map(|column| (column.cell)(run, doing)).collect())
            .collect();
        let layout = Layout::new(&shown, &cells, width);
        let head = COLUMNS.iter().map(|column| column.head.to_string()).collect::<Vec<_>>();
        lines.push(dim().apply_to(layout.line("run", &head)).to_string());
        for (run, cells) in shown.iter().zip(&cells) {
            let line = layout.line(&run.label, cells);
            lines.push(style(run).apply_to(line).to_string());
        }
    }
    let ending = [Some(summary(overview, shown.len())), note.map(String::from)];
    lines.extend(ending.iter().flatten().map(|line| truncate_str(line, width, "…").into_owned()));
    lines
}

fn shown(runs: &[RunStatus], room: usize) -> Vec<&RunStatus> {
    if runs.len() <= room {
        return runs.iter().collect();
    }
    let of = |state| runs.iter().filter(move |run| run.state == state);
    of(State::Running).chain(of(State::Failed)).take(room).collect()
}

fn summary(overview: &Overview, shown: usize) -> String {
    let counts: Vec<String> =
        overview.counts().into_iter().map(|(count, text)| format!("{count} {text}")).collect();
    let total = overview.runs.len();
    let runs = if total == 1 { "1 run".to_string() } else { format!("{total} runs") };
    let mut text = format!("{runs}: {}", counts.join(", "));
    if shown < total {
        text = format!("{shown} of {text}");
    }
    if let Some(left) = overview.seconds_left {
        text.push_str(&format!(", about {} left", duration(left)));
    }
    text
}

/// Which columns there are, and how wide.
struct Layout {
    name: usize,
    /// `None` for columns that are left out.
    widths: Vec<Option<usize>>,
}

impl Layout {
    fn new(runs: &[&RunStatus], cells: &[Vec<String>], width: usize) -> Layout {
        let longest =
            |column: usize| cells.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
        let mut widths: Vec<Option<usize>> = (0..COLUMNS.len())
            .map(|column| Some(longest(column)).filter(|width| *width > 0))
            .zip(&COLUMNS)
            .map(|(width, column)| width.map(|width| width.max(measure_text_width(column.head))))
            .collect();
        let name = runs.iter().map(|run| measure_text_width(&run.label)).max().unwrap_or(0).max(3);
        let taken =
            |widths: &[Option<usize>]| widths.iter().flatten().map(|width| width + GAP).sum::<usize>();
        let mut by_importance: Vec<usize> = (0..COLUMNS.len()).collect();
        by_importance.sort_by_key(|column| COLUMNS[*column].importance);
        // Names give way a little before figures do.
        let least = name.min(2 * SHORTEST_NAME);
        for column in by_importance {
            if least + taken(&widths) > width {
                widths[column] = None;
            }
        }
        let name = name.min(width.saturating_sub(taken(&widths)).max(SHORTEST_NAME.min(width)));
        Layout { name, widths }
    }

    fn line(&self, name: &str, cells: &[String]) -> String {
        let mut line =
            pad_str(&shortened(name, self.name), self.name, console::Alignment::Left, None).into_owned();
        for ((cell, width), column) in cells.iter().zip(&self.widths).zip(&COLUMNS) {
            let Some(width) = width else { continue };
            let side = if column.right { console::Alignment::Right } else { console::Alignment::Left };
            line.push_str(&" ".repeat(GAP));
            line.push_str(&pad_str(cell, *width, side, None));
        }
        line.trim_end().to_string()
    }
}

/// Cut in the middle: what tells runs apart stands at both ends.
fn shortened(name: &str, width: usize) -> String {
    let characters: Vec<char> = name.chars().collect();
    if characters.len() <= width {
        return name.to_string();
    }
    let tail = width.saturating_sub(1) / 2;
    let head = width.saturating_sub(1) - tail;
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    format!("{}…{}", part(0, head), part(characters.len() - tail, characters.len()))
}

fn bar(run: &RunStatus) -> String {
    let Some(steps) = run.steps.filter(|steps| *steps > 0) else { return String::new() };
    let done = (run.step.min(steps) as f64 / steps as f64 * BAR as f64) as usize;
    "━".repeat(done) + &"─".repeat(BAR - done)
}

fn steps(run: &RunStatus) -> String {
    match (run.step, run.steps) {
        (0, None) => String::new(),
        (step, None) => step.to_string(),
        (step, Some(steps)) => format!("{step}/{steps}"),
    }
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or(String::new(), |value| format!("{value:.decimals$}"))
}

fn percent(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{:.1} %", value * 100.0))
}

fn state(run: &RunStatus, doing: &Doing) -> String {
    use diptych_config::Choice;
    match (run.state, run.verdict, doing.get(&run.id), run.accuracy) {
        (State::Running, Some(Verdict::Healthy), ..) => Verdict::Healthy.text().into(),
        (State::Running, Some(verdict), ..) => verdict.text().to_uppercase(),
        (_, _, Some(doing), _) => doing.clone(),
        (state @ (State::Finished | State::StoppedEarly), _, _, Some(accuracy)) => {
            format!("{}, {:.1} %", state.text(), accuracy * 100.0)
        }
        (state, ..) => state.text().into(),
    }
}

fn dim() -> Style {
    Style::new().for_stderr().dim()
}

/// Colours repeat what the state's word says.
fn style(run: &RunStatus) -> Style {
    let plain = Style::new().for_stderr();
    let is_ill = matches!(run.verdict, Some(Verdict::Collapsing | Verdict::Collapsed));
    match run.state {
        State::Failed => plain.red(),
        State::Running if is_ill => plain.yellow(),
        State::Finished => plain.green(),
        State::Planned => plain.dim(),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, state: State) -> RunStatus {
        RunStatus {
            id: id.into(),
            label: id.into(),
            method: None,
            state,
            detail: None,
            step: 0,
            steps: None,
            images_per_second: None,
            loss: None,
            z_std: None,
            effective_rank: None,
            verdict: None,
            probe_accuracy: None,
            accuracy: None,
            seconds_left: None,
            seconds: None,
            last_line: None,
            loss_curve: Vec::new(),
            z_std_curve: Vec::new(),
        }
    }

    fn at_work(id: &str) -> RunStatus {
        RunStatus {
            step: 300,
            steps: Some(1200),
            images_per_second: Some(812.4),
            loss: Some(1.23456),
            z_std: Some(0.874),
            verdict: Some(Verdict::Healthy),
            probe_accuracy: Some(0.5),
            seconds_left: Some(90.0),
            ..run(id, State::Running)
        }
    }

    fn overview(runs: Vec<RunStatus>) -> Overview {
        Overview {
            title: "x".into(),
            is_study: true,
            methods: Vec::new(),
            runs,
            seconds_left: Some(300.0),
            behind: false,
        }
    }

    fn table(runs: Vec<RunStatus>, rows: usize, columns: usize) -> Vec<String> {
        lines(&overview(runs), &Doing::new(), Extent { rows, columns }, None)
    }

    #[test]
    fn a_wide_terminal_shows_everything_of_every_run() {
        let done = RunStatus { accuracy: Some(0.831), ..run("byol-baseline-seed1", State::Finished) };
        let waiting = run("simclr-baseline-seed0", State::Planned);
        let lines = table(vec![at_work("byol-baseline-seed0"), done, waiting], 24, 120);
        let expected = [
            "run                                          step  images/s    loss  z-std   probe  state             left",
            "byol-baseline-seed0    ━━━━────────────  300/1200       812  1.2346   0.87  50.0 %  healthy           90\u{a0}s",
            "byol-baseline-seed1                                                                 finished, 83.1 %",
            "simclr-baseline-seed0                                                               not begun",
            "3 runs: 1 running, 1 not begun, 1 finished, about 5\u{a0}min left",
        ];
        assert_eq!(
            lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n"),
            expected.join("\n")
        );
    }

    #[test]
    fn no_line_reaches_the_edge_of_any_terminal_and_the_state_is_the_last_to_go() {
        for columns in 1..140 {
            let runs = vec![at_work("byol-remove_color_jitter-grayscale-seed0"), run("b", State::Failed)];
            for line in table(runs, 24, columns) {
                assert!(measure_text_width(&line) < columns.max(2), "{columns}: {line:?}");
            }
        }
        let narrow = table(vec![at_work("byol-remove_color_jitter-seed0")], 24, 40).join("\n");
        assert!(
            narrow.contains("byol-r") && narrow.contains("seed0") && narrow.contains("healthy"),
            "{narrow}"
        );
        assert!(!narrow.contains("images/s"), "{narrow}");
    }

    #[test]
    fn of_many_runs_those_at_work_and_failed_ones_are_shown_and_all_are_counted() {
        let mut runs: Vec<RunStatus> =
            (0..200).map(|index| run(&format!("run{index}"), State::Planned)).collect();
        runs[150] = at_work("run150");
        runs[170] = run("run170", State::Failed);
        runs[180] = run("run180", State::Running);
        let doing = Doing::from([("run180".to_string(), "evaluating".to_string())]);
        let lines = lines(&overview(runs), &doing, Extent { rows: 24, columns: 100 }, None);
        let first: Vec<&str> = lines.iter().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(first, ["run", "run150", "run180", "run170", "3"]);
        assert!(lines[2].ends_with("evaluating"), "{}", lines[2]);
        assert!(lines[4].starts_with("3 of 200 runs: 2 running, 1 failed, 197 not begun"), "{}", lines[4]);
    }

    #[test]
    fn a_collapse_stands_out_without_colour() {
        let ill = RunStatus { verdict: Some(Verdict::Collapsed), ..at_work("a") };
        assert!(table(vec![ill], 24, 100)[1].contains("COLLAPSED"));
    }

    #[test]
    fn a_note_stands_below_everything_and_takes_its_line_from_the_runs() {
        let overview = overview(vec![at_work("a"), at_work("b"), run("c", State::Finished)]);
        let count = |note, rows| lines(&overview, &Doing::new(), Extent { rows, columns: 80 }, note).len();
        assert_eq!([count(None, 6), count(Some("stopping"), 7)], [5, 6]);
        let lines = lines(&overview, &Doing::new(), Extent { rows: 6, columns: 80 }, Some("stopping"));
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (5, "stopping"));
        assert!(lines[3].starts_with("2 of 3 runs"), "{}", lines[3]);
    }

    #[test]
    fn a_terminal_without_room_shows_the_counts() {
        let lines = table(vec![at_work("a"), at_work("b")], 3, 80);
        assert_eq!(lines, ["0 of 2 runs: 2 running, about 5\u{a0}min left"]);
    }
}
