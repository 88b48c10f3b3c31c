use std::fmt::Write as _;

use mesh_schemas::Definition;

use super::{notes, steps};

/// The tasks as a Graphviz digraph.
pub(super) fn draw(definition: &Definition) -> String {
    let mut text = format!("digraph {} {{\n  node [shape=box];\n", quoted(definition.name.as_str()));
    // Writing to a string does not fail.
    for (id, task) in steps(definition).into_iter().flatten() {
        let mut lines = vec![id.to_string(), task.agent.to_string()];
        lines.extend(notes(task));
        let style = if task.when.is_some() { ", style=dashed" } else { "" };
        let _ = writeln!(text, "  {} [label={}{style}];", quoted(id.as_str()), quoted(&lines.join("\n")));
        for need in &task.needs {
            let _ = writeln!(text, "  {} -> {};", quoted(need.as_str()), quoted(id.as_str()));
        }
    }
    text.push_str("}\n");
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
