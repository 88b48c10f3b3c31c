use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_schemas::definition::{Body, Task};
use mesh_schemas::{Definition, TaskId};

use super::{Parts, case_note, doer, notes, parts, steps};

/// The tasks as a Mermaid flowchart; what is made of others stands around them.
pub(super) fn draw(definition: &Definition) -> String {
    let mut text = "flowchart TD\n".to_owned();
    block(&definition.tasks, "task_", 1, &mut text);
    text
}

/// Writing to a string does not fail.
fn block(tasks: &BTreeMap<TaskId, Task>, prefix: &str, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for (id, task) in steps(tasks).into_iter().flatten() {
        // Some words, such as `end`, are no names of nodes: none of them begins so.
        let name = format!("{prefix}{id}");
        node(&name, id.as_str(), &task.body, &notes(task), depth, text);
        for need in &task.needs {
            let arrow = if task.when.is_some() { "-.->" } else { "-->" };
            let _ = writeln!(text, "{indent}{prefix}{need} {arrow} {name}");
        }
    }
}

fn node(name: &str, id: &str, body: &Body, notes: &[String], depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let mut label = format!("{}<br/>{}", escaped(id), escaped(&doer(body)));
    for note in notes {
        let _ = write!(label, "<br/>{}", escaped(note));
    }
    let Some(parts) = parts(body) else {
        let _ = writeln!(text, "{indent}{name}[\"{label}\"]");
        return;
    };
    let _ = writeln!(text, "{indent}subgraph {name}[\"{label}\"]");
    match parts {
        Parts::Group(tasks) => block(tasks, &format!("{name}__"), depth + 1, text),
        Parts::Cases(cases) => {
            for (number, case) in cases.iter().enumerate() {
                let id = number.to_string();
                node(&format!("{name}__{id}"), &id, &case.body, &[case_note(case)], depth + 1, text);
            }
        }
    }
    let _ = writeln!(text, "{indent}end");
}

/// Characters that mean something in a label, as Mermaid writes them.
fn escaped(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '#' | '&' | '<' | '>' | '`' | ';') {
            let _ = write!(label, "#{};", u32::from(c));
        } else {
            label.push(c);
        }
    }
    label
}
