use mesh_schemas::{Definition, TaskId};

use super::{notes, steps};
use crate::output;

/// The tasks as a table, step by step.
pub(super) fn draw(definition: &Definition) -> String {
    let steps = steps(definition);
    let tasks = definition.tasks.len();
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut rows = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        for (place, (id, task)) in step.iter().enumerate() {
            rows.push([
                if place == 0 { (at + 1).to_string() } else { String::new() },
                id.to_string(),
                task.agent.to_string(),
                task.needs.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", "),
                notes(task).join("; "),
            ]);
        }
    }
    format!(
        "{}: {} in {}\n\n{}",
        definition.name,
        count(tasks, "task"),
        count(steps.len(), "step"),
        output::columns(["STEP", "TASK", "AGENT", "NEEDS", "CONDITIONS"], &rows)
    )
}
