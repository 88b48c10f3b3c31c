//! The course of a run as a tree, for people.

mod bar;
mod rows;
mod table;
#[cfg(test)]
mod tests;

use chrono::{DateTime, SecondsFormat, Utc};

use super::story::{Kind, Path, Story};
use crate::terminal::{Colour, Terminal};
use crate::text::{self, took};
use rows::Rows;

/// Steps of the critical path that are named one by one.
const STEPS: usize = 12;

/// All lines that tell of a run.
pub(super) fn lines(story: &Story, now: DateTime<Utc>, limit: usize, terminal: Terminal) -> Vec<String> {
    let mut lines = head(story, now, terminal);
    lines.push(String::new());
    let rows = Rows::of(story, now, limit);
    lines.extend(table::lines(&rows, story.started, story.until(now), terminal));
    if story.ended.is_none() {
        lines.push(String::new());
        lines.extend(
            story.waiting_for.iter().map(|wait| terminal.paint(&format!("→ {wait}"), Colour::Yellow)),
        );
    }
    for story in story.all() {
        lines.extend(story.untold.iter().map(|what| format!("run {}: {}", story.run, text::one_line(what))));
    }
    lines
}

fn head(story: &Story, now: DateTime<Utc>, terminal: Terminal) -> Vec<String> {
    let status = story.status.as_str();
    let duration = took(story.duration_ms);
    let how = if story.ended.is_some() {
        format!("{status} in {duration}")
    } else {
        format!("{status} for {duration}")
    };
    let head = format!("{}  {}  {how}", story.run, story.target);
    let mut lines = vec![terminal.paint(&head, Colour::Bold)];
    if let Some(parent) = &story.parent {
        let (task, run, workflow) = (&parent.task, parent.run, &parent.workflow);
        lines.push(format!("for      task '{task}' of run {run} ({workflow}), attempt {}", parent.attempt));
    }
    lines.push(format!("started  {}", story.started.to_rfc3339_opts(SecondsFormat::Millis, true)));
    if let Some(error) = &story.error {
        lines.push(terminal.fit(&format!("error    {}", text::error(&error.code, &error.message))));
    }
    if let Some(reason) = &story.reason {
        lines.push(terminal.fit(&format!("reason   {}", text::one_line(reason))));
    }
    if story.ended.is_none() {
        lines.push(format!("last     {} ago something happened", took(text::millis(story.last_event, now))));
    }
    lines.extend(path(&story.critical_path, story));
    lines
}

/// The critical path in two lines: what it was spent with, and with which tasks.
fn path(path: &Path, story: &Story) -> Vec<String> {
    if path.steps.is_empty() {
        return Vec::new();
    }
    let mut kinds: Vec<(Kind, u64)> = path.by_kind.iter().map(|(kind, ms)| (*kind, *ms)).collect();
    kinds.sort_by_key(|(_, ms)| std::cmp::Reverse(*ms));
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(_, ms)| *ms > 0)
        .map(|(kind, ms)| format!("{} {} ({})", kind.as_str(), took(*ms), percent(*ms, path.total_ms)))
        .collect();
    let mut tasks: Vec<(String, u64)> = Vec::new();
    for step in &path.steps {
        let Some(task) = &step.task else { continue };
        let name = if step.run == story.run {
            task.to_string()
        } else {
            format!("{task} (run {})", short(&step.run.to_string()))
        };
        match tasks.last_mut().filter(|(last, _)| *last == name) {
            Some((_, ms)) => *ms += step.ms,
            None => tasks.push((name, step.ms)),
        }
    }
    let more = tasks.len().saturating_sub(STEPS);
    // The beginning and the end of a long path tell more than its middle.
    let mut named: Vec<String> = tasks.iter().map(|(name, ms)| format!("{name} {}", took(*ms))).collect();
    if more > 0 {
        named.splice(STEPS / 2..STEPS / 2 + more, [format!("… {more} more …")]);
    }
    vec![
        format!("critical path  {}: {}", took(path.total_ms), kinds.join(", ")),
        format!("               {}", named.join(" → ")),
    ]
}

/// The beginning of a run's id, which is enough to name it.
fn short(run: &str) -> String {
    run.chars().take(10).collect()
}

/// A part of a whole, in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{}%", (u128::from(part) * 100 + u128::from(whole) / 2) / u128::from(whole.max(1)))
}
