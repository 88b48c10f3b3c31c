use std::fmt::Write as _;

use mesh_schemas::Definition;

use super::{notes, steps};

/// The tasks as a Mermaid flowchart.
pub(super) fn draw(definition: &Definition) -> String {
    let mut text = "flowchart TD\n".to_owned();
    // Writing to a string does not fail.
    for (id, task) in steps(definition).into_iter().flatten() {
        let mut label = format!("{}<br/>{}", escaped(id.as_str()), escaped(task.agent.as_str()));
        for note in notes(task) {
            let _ = write!(label, "<br/>{}", escaped(&note));
        }
        // Some words, such as `end`, are no names of nodes: none of them begins so.
        let _ = writeln!(text, "  task_{id}[\"{label}\"]");
        for need in &task.needs {
            let arrow = if task.when.is_some() { "-.->" } else { "-->" };
            let _ = writeln!(text, "  task_{need} {arrow} task_{id}");
        }
    }
    text
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
