use std::cmp::Reverse;

use super::open::OpenRun;
use super::snapshot::{Agent, Queue, Snapshot};
use crate::output::columns;
use crate::terminal::{Colour, Terminal, cut};
use crate::text::{clock, millis, one_line, took};
use crate::words::{age, count};

/// Rows of each table, where there is no terminal to tell how many there is room for.
const ROWS: usize = 20;
/// Lines that are no rows: the first ones, headings, and blank ones.
const OTHER_LINES: usize = 13;

/// In less than so many seconds nothing can be measured.
const LEAST_S: f64 = 0.1;

/// The state as lines.
pub(super) fn lines(snapshot: &Snapshot, terminal: Terminal) -> Vec<String> {
    let rows = if terminal.is_there { (terminal.lines.saturating_sub(OTHER_LINES) / 3).max(2) } else { ROWS };
    let mut lines = head(snapshot, terminal);
    lines.push(String::new());
    lines.extend(queues(snapshot, rows, terminal));
    lines.push(String::new());
    lines.extend(agents(snapshot, rows, terminal));
    lines.push(String::new());
    lines.extend(runs(snapshot, rows, terminal));
    lines
}

fn head(snapshot: &Snapshot, terminal: Terminal) -> Vec<String> {
    let rates = &snapshot.rates;
    let over = match snapshot.window_s {
        window if window < LEAST_S => "rates follow".to_owned(),
        window => format!("rates over {window:.1} s"),
    };
    let measured = format!("{} UTC, {over}", clock(snapshot.time));
    let ended = format!(
        "{}/s completed, {}/s failed, {}/s cancelled",
        rate(rates.runs_completed),
        rate(rates.runs_failed),
        rate(rates.runs_cancelled)
    );
    let more = if snapshot.is_full { " or more" } else { "" };
    vec![
        terminal.paint(&terminal.fit(&format!("mesh top  {measured}")), Colour::Bold),
        terminal.fit(&format!("runs      {}/s started, {ended}", rate(rates.runs_started))),
        terminal.fit(&format!(
            "tasks     {}/s done, {}/s failed",
            rate(rates.tasks_done),
            rate(rates.tasks_failed)
        )),
        terminal.fit(&format!("open      at least {}{more}", count(snapshot.open_runs, "run"))),
    ]
}

fn queues(snapshot: &Snapshot, rows: usize, terminal: Terminal) -> Vec<String> {
    let mut queues: Vec<&Queue> = snapshot.queues.iter().collect();
    queues.sort_by_key(|queue| (queue.is_served, Reverse(queue.waiting + queue.in_hand)));
    let cells: Vec<[String; 7]> = queues
        .iter()
        .take(rows)
        .map(|queue| {
            [
                queue.capability.to_string(),
                queue.lane.to_string(),
                queue.waiting.to_string(),
                queue.in_hand.to_string(),
                queue.agents.to_string(),
                queue.capacity.to_string(),
                queue.free.to_string(),
            ]
        })
        .collect();
    let heading = ["QUEUE", "LANE", "WAITING", "IN HAND", "AGENTS", "CAPACITY", "FREE"];
    let mut lines = table(&columns(heading, &cells), queues.len(), rows, terminal);
    for (line, queue) in lines.iter_mut().skip(1).zip(&queues) {
        if !queue.is_served && queue.waiting + queue.in_hand > 0 {
            *line = terminal.paint(&terminal.fit(&format!("{line}  nobody serves it")), Colour::Red);
        }
    }
    lines
}

fn agents(snapshot: &Snapshot, rows: usize, terminal: Terminal) -> Vec<String> {
    let mut agents: Vec<&Agent> = snapshot.agents.iter().collect();
    agents.sort_by(|a, b| b.tasks_per_s.total_cmp(&a.tasks_per_s));
    let cells: Vec<[String; 5]> = agents
        .iter()
        .take(rows)
        .map(|agent| {
            let able: Vec<&str> = agent.capabilities.iter().map(|capability| capability.as_str()).collect();
            [
                agent.agent.to_string(),
                cut(&able.join(","), 30),
                agent.capacity.to_string(),
                rate(agent.tasks_per_s),
                age(snapshot.time - agent.heartbeat),
            ]
        })
        .collect();
    let heading = ["AGENT", "CAPABILITIES", "CAPACITY", "TASKS/S", "HEARTBEAT"];
    table(&columns(heading, &cells), agents.len(), rows, terminal)
}

fn runs(snapshot: &Snapshot, rows: usize, terminal: Terminal) -> Vec<String> {
    let slowest = &snapshot.slowest;
    let cells: Vec<[String; 4]> = slowest.iter().take(rows).map(|open| row(open, snapshot)).collect();
    let mut lines = table(
        &columns(["OPEN LONGEST", "WORKFLOW", "FOR", "WAITS FOR"], &cells),
        slowest.len(),
        rows,
        terminal,
    );
    for (line, open) in lines.iter_mut().skip(1).zip(slowest) {
        if open.is_stuck {
            *line = terminal.paint(line, Colour::Yellow);
        }
    }
    let left_out = "! stuck. Of runs from before this began, not all may be seen: --help says which";
    lines.push(terminal.paint(&terminal.fit(left_out), Colour::Dim));
    lines
}

fn row(open: &OpenRun, snapshot: &Snapshot) -> [String; 4] {
    let mark = if open.is_stuck { "! " } else { "" };
    // The beginning of an id names the run, and leaves room for what matters.
    let run: String = open.run.to_string().chars().take(10).collect();
    let workflow = open.workflow.as_ref().map_or_else(|| "(one task)".to_owned(), ToString::to_string);
    let waits = match open.waiting_for.as_slice() {
        [] => "it is too long to be looked at: `mesh runs show`".to_owned(),
        [only] => one_line(only),
        [first, more @ ..] => format!("{} (and {} more)", one_line(first), more.len()),
    };
    [run, cut(&workflow, 20), took(millis(open.started, snapshot.time)), format!("{mark}{waits}")]
}

/// The lines of a table that fit, and how many are left out.
fn table(text: &str, all: usize, rows: usize, terminal: Terminal) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| terminal.fit(line)).collect();
    if let Some(heading) = lines.first_mut() {
        *heading = terminal.paint(heading, Colour::Dim);
    }
    if all > rows {
        lines.push(format!("… and {} more", all - rows));
    }
    if all == 0 {
        lines.push("none".to_owned());
    }
    lines
}

/// So many in a second, to two or three digits.
fn rate(per_second: f64) -> String {
    if per_second >= 10.0 || per_second == 0.0 {
        format!("{per_second:.0}")
    } else {
        format!("{per_second:.1}")
    }
}
