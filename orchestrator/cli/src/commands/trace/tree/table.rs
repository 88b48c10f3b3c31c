//! The tree as lines of text.

use chrono::{DateTime, Utc};

use super::bar;
use super::rows::{Row, Rows};
use crate::terminal::{Colour, Terminal, cut};
use crate::text::took;

/// Columns that names may take.
const NAME: usize = 36;
/// Columns of the bars, if there is room for them.
const BAR: (usize, usize) = (10, 40);
/// Columns that notes should have beside the bars.
const NOTE: usize = 30;

pub(super) fn lines(rows: &Rows, from: DateTime<Utc>, to: DateTime<Utc>, terminal: Terminal) -> Vec<String> {
    let names = names(&rows.rows);
    let widest = |texts: &mut dyn Iterator<Item = usize>, heading: usize| {
        texts.chain([heading]).max().unwrap_or_default()
    };
    let name = widest(&mut names.iter().map(|name| name.chars().count()), 4).min(NAME);
    let column = |of: fn(&Row) -> Option<u64>, heading: usize| {
        widest(&mut rows.rows.iter().map(|row| text(of(row)).chars().count()), heading)
    };
    let (wait, work, all) =
        (column(|row| row.wait_ms, 4), column(|row| row.work_ms, 4), column(|row| row.took_ms, 4));
    let used = 2 + name + wait + work + all + 8;
    let bars = terminal.columns.saturating_sub(used + NOTE).min(BAR.1);
    let bars = if bars < BAR.0 { BAR.0 } else { bars };
    let notes = terminal.columns.saturating_sub(used + bars + 2);
    let heading = format!(
        "  {:name$}  {:>wait$}  {:>work$}  {:>all$}  {:bars$}  HOW",
        "TASK", "WAIT", "WORK", "TOOK", ""
    );
    let mut lines = vec![terminal.paint(heading.trim_end(), Colour::Dim)];
    for (row, full) in rows.rows.iter().zip(&names) {
        let mark = if row.is_critical { "*" } else { " " };
        let drawn = bar::draw(&row.stretches, from, to, bars);
        let drawn = if row.stretches.is_empty() { " ".repeat(bars) } else { drawn };
        let note = if terminal.is_there { cut(&row.note, notes.max(1)) } else { row.note.clone() };
        let line = format!(
            "{mark} {:name$}  {:>wait$}  {:>work$}  {:>all$}  {}  {}",
            cut(full, name),
            text(row.wait_ms),
            text(row.work_ms),
            text(row.took_ms),
            terminal.paint(&drawn, if row.is_critical { Colour::Bold } else { Colour::Dim }),
            terminal.paint(&note, row.colour),
        );
        lines.push(line.trim_end().to_owned());
    }
    if rows.left_out > 0 {
        lines.push(format!("… and {} more tasks: `--limit 0` shows all", rows.left_out));
    }
    lines.push(String::new());
    let legend = "* critical path  ░ waiting for an agent  █ work  ▒ either  ─ pause  × lost";
    lines.push(terminal.paint(legend, Colour::Dim));
    lines
}

fn text(ms: Option<u64>) -> String {
    ms.map(took).unwrap_or_default()
}

/// The names with the lines of the tree before them.
fn names(rows: &[Row]) -> Vec<String> {
    let mut names = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let mut name = String::new();
        for depth in 1..=row.depth {
            let below = &rows[number + 1..];
            let goes_on = below.iter().find(|row| row.depth <= depth).is_some_and(|row| row.depth == depth);
            name.push_str(match (depth == row.depth, goes_on) {
                (true, true) => "├ ",
                (true, false) => "└ ",
                (false, true) => "│ ",
                (false, false) => "  ",
            });
        }
        name.push_str(&row.name);
        names.push(name);
    }
    names
}
