use super::super::state::{AttemptState, TaskState};
use crate::text;

/// What there is to say of a task beside its status: which attempt, by whom, how long, why.
pub(super) fn detail(task: &TaskState) -> String {
    let mut words = Vec::new();
    if let Some(attempt) = task.attempt {
        words.push(format!("#{attempt}"));
    }
    if let Some(agent) = &task.agent {
        words.push(format!("by {agent}"));
    }
    if let Some(run) = &task.run {
        words.push(format!("by run {run}"));
    }
    if let Some(duration_ms) = task.duration_ms {
        words.push(format!("in {}", text::took(duration_ms)));
    }
    if task.status == "active" {
        words.extend(task.attempts.last().and_then(progress));
    }
    let note = match task.status {
        "failed" | "retrying" | "done" => task.note(),
        _ => String::new(),
    };
    let words = words.join(" ");
    match (words.is_empty(), note.is_empty()) {
        (_, true) => words,
        (true, false) => note,
        (false, false) => format!("{words}: {note}"),
    }
}

fn progress(attempt: &AttemptState) -> Option<String> {
    let (progress, message) = attempt.progress.as_ref()?;
    let percent = format!("{:.0}%", progress * 100.0);
    Some(match message {
        Some(message) => format!("{percent} {}", text::one_line(message)),
        None => percent,
    })
}

/// As wide as the longest id of a task.
pub(super) fn id_width(tasks: &[TaskState]) -> usize {
    tasks.iter().map(|task| task.id.as_str().len()).max().unwrap_or_default()
}

/// From so many tasks on nobody reads what becomes of each: how many stand how is told then, and which are in trouble.
pub(super) const MANY_TASKS: usize = 500;

/// Whether a task is one to tell of among many.
pub(super) fn is_in_trouble(task: &TaskState) -> bool {
    matches!(task.status, "failed" | "retrying")
}

/// The longest status.
pub(super) const STATUS_WIDTH: usize = "cancelled".len();
