use std::collections::BTreeMap;
use std::fmt::Write as _;

use mesh_schemas::definition::{Body, Task};
use mesh_schemas::{Definition, TaskId};

use super::{Parts, case_note, doer, notes, parts, steps};

/// The tasks as a Graphviz digraph; what is made of others stands in a box of its own below them.
pub(super) fn draw(definition: &Definition) -> String {
    let mut text = format!("digraph {} {{\n  node [shape=box];\n", quoted(definition.name.as_str()));
    block(&definition.tasks, "", 1, &mut text);
    text.push_str("}\n");
    text
}

/// Writing to a string does not fail.
fn block(tasks: &BTreeMap<TaskId, Task>, prefix: &str, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for (id, task) in steps(tasks).into_iter().flatten() {
        let name = format!("{prefix}{id}");
        let style = if task.when.is_some() { ", style=dashed" } else { "" };
        node(&name, id.as_str(), &task.body, notes(task), style, depth, text);
        for need in &task.needs {
            let _ = writeln!(text, "{indent}{} -> {};", quoted(&format!("{prefix}{need}")), quoted(&name));
        }
    }
}

fn node(name: &str, id: &str, body: &Body, notes: Vec<String>, style: &str, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let mut lines = vec![id.to_owned(), doer(body)];
    lines.extend(notes);
    let _ = writeln!(text, "{indent}{} [label={}{style}];", quoted(name), quoted(&lines.join("\n")));
    let Some(parts) = parts(body) else { return };
    let cluster = quoted(&format!("cluster_{name}"));
    let _ = writeln!(text, "{indent}subgraph {cluster} {{\n{indent}  label={};", quoted(id));
    match parts {
        Parts::Group(tasks) => block(tasks, &format!("{name}:"), depth + 1, text),
        Parts::Cases(cases) => {
            for (number, case) in cases.iter().enumerate() {
                let id = number.to_string();
                let name = format!("{name}:{id}");
                node(&name, &id, &case.body, vec![case_note(case)], "", depth + 1, text);
            }
        }
    }
    let _ = writeln!(text, "{indent}}}");
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
