use std::collections::BTreeMap;

use mesh_schemas::definition::{Body, Task};
use mesh_schemas::{Definition, TaskId};

use super::{Parts, case_note, doer, notes, parts, steps};
use crate::output;

/// A line of the table.
type Row = [String; 5];

/// The tasks as a table, step by step; what a task is made of follows it, further in.
pub(super) fn draw(definition: &Definition) -> String {
    let mut rows = Vec::new();
    let steps = block(&definition.tasks, "", &mut rows);
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    format!(
        "{}: {} in {}\n\n{}",
        definition.name,
        count(definition.size(), "task"),
        count(steps, "step"),
        output::columns(["STEP", "TASK", "AGENT", "NEEDS", "CONDITIONS"], &rows)
    )
}

/// Returns how many steps it has.
fn block(tasks: &BTreeMap<TaskId, Task>, indent: &str, rows: &mut Vec<Row>) -> usize {
    let steps = steps(tasks);
    for (at, step) in steps.iter().enumerate() {
        for (place, (id, task)) in step.iter().enumerate() {
            let step = if place == 0 { format!("{indent}{}", at + 1) } else { String::new() };
            let needs = task.needs.iter().map(TaskId::as_str).collect::<Vec<_>>().join(", ");
            rows.push([step, format!("{indent}{id}"), doer(&task.body), needs, notes(task).join("; ")]);
            inside(&task.body, indent, rows);
        }
    }
    steps.len()
}

fn inside(body: &Body, indent: &str, rows: &mut Vec<Row>) {
    let indent = format!("{indent}  ");
    match parts(body) {
        None => {}
        Some(Parts::Group(tasks)) => {
            block(tasks, &indent, rows);
        }
        Some(Parts::Cases(cases)) => {
            for (number, case) in cases.iter().enumerate() {
                let id = format!("{indent}{number}");
                rows.push([String::new(), id, doer(&case.body), String::new(), case_note(case)]);
                inside(&case.body, &indent, rows);
            }
        }
    }
}
