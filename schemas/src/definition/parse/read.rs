use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Graph;
use super::keys::PLANNED;
use super::task::{body, foreach, join, on_failure, recovery, repeat, unreadable};
use crate::ErrorCode;
use crate::definition::{Definition, Finally, OnSkipped, Task, Version};
use crate::document::{Content, Entry, Node, Object, Position, Problem, join as join_path};
use crate::name::{TaskId, WorkflowName};

const DEFINITION: [&str; 11] = [
    "mesh",
    "name",
    "description",
    "input",
    "config",
    "output",
    "output_schema",
    "timeout",
    "recovery",
    "tasks",
    "finally",
];
const FINALLY: [&str; 2] = ["tasks", "timeout"];
const GRAPH: [&str; 2] = ["tasks", "output"];
const TASK: [&str; 22] = [
    "agent",
    "action",
    "plan",
    "workflow",
    "version",
    "wait",
    "tasks",
    "switch",
    "merge",
    "foreach",
    "repeat",
    "needs",
    "join",
    "when",
    "on_skipped",
    "with",
    "output",
    "output_schema",
    "retry",
    "timeout",
    "on_failure",
    "pause_before",
];

/// What stands for a name that cannot be read.
pub(super) const UNREADABLE: &str = "unreadable";

/// Reads a tree against the model. If a problem was added, the result is of use only to look for more: something stands
/// in it for what cannot be read, so that what refers to that is not taken to be wrong. By the rules of another version
/// nothing can be said.
pub(super) fn definition(root: &Node, problems: &mut Vec<Problem>) -> Option<Definition> {
    let mut fields = Object::with_planned(root, "", &DEFINITION, &PLANNED, problems)?;
    let has_version = fields.has("mesh");
    let mesh = fields.required("mesh", "write 'mesh: v1'", version);
    let name = fields.required("name", "name the workflow", Node::parsed);
    let description = fields.optional("description", Node::text);
    let input = fields.optional("input", data);
    let config = fields.optional("config", object);
    let output = fields.optional("output", data);
    let output_schema = fields.optional("output_schema", data);
    let timeout = fields.optional("timeout", Node::span);
    let recovery = recovery(&mut fields).unwrap_or_default();
    let tasks = fields.required("tasks", "a workflow has at least one task", Ok);
    let (path, last) = (fields.path_of("tasks"), fields.entry("finally"));
    let tasks = tasks.and_then(|node| read_tasks(node, &path, problems));
    let finally = last.and_then(|entry| finally(&entry.value, problems));
    let mesh = if has_version { mesh? } else { Version::V1 };
    let name = name.or_else(|| WorkflowName::new(UNREADABLE).ok())?;
    Some(Definition {
        mesh,
        name,
        description,
        input,
        config,
        output,
        output_schema,
        timeout,
        recovery,
        tasks: tasks?,
        finally,
    })
}

fn finally(node: &Node, problems: &mut Vec<Problem>) -> Option<Finally> {
    let mut fields = Object::new(node, "finally", &FINALLY, problems)?;
    let timeout = fields.optional("timeout", Node::span);
    let tasks = fields.required("tasks", "name what is to be done at the end", Ok);
    let path = fields.path_of("tasks");
    let tasks = tasks.and_then(|node| read_tasks(node, &path, problems));
    Some(Finally { tasks: tasks?, timeout })
}

/// Reads what an agent returned that plans.
pub(super) fn graph(root: &Node, problems: &mut Vec<Problem>) -> Option<Graph> {
    let mut fields = Object::new(root, "", &GRAPH, problems)?;
    let output = fields.optional("output", data);
    let tasks = fields.required("tasks", "a plan has at least one task", Ok);
    let path = fields.path_of("tasks");
    let tasks = tasks.and_then(|node| read_tasks(node, &path, problems));
    Some(Graph { tasks: tasks?, output })
}

/// The tasks, if there are any. Nothing can refer to one whose name is none.
pub(super) fn read_tasks(
    node: &Node,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<BTreeMap<TaskId, Task>> {
    let Content::Map(entries) = &node.content else {
        let message = node.unlike("an object with a task for each id");
        problems.push(Problem {
            code: ErrorCode::WrongValue,
            path: path.to_owned(),
            position: Some(node.at),
            message,
        });
        return None;
    };
    let mut tasks = BTreeMap::new();
    for Entry { key, at, value } in entries {
        let mut path = path.to_owned();
        join_path(&mut path, key);
        let id = TaskId::new(key.as_str()).map_err(|error| {
            problems.push(Problem {
                code: ErrorCode::InvalidName,
                path: path.clone(),
                position: Some(*at),
                message: error.to_string(),
            });
        });
        let task = read_task(value, path, *at, problems);
        if let Ok(id) = id {
            tasks.insert(id, task);
        }
    }
    (entries.is_empty() || !tasks.is_empty()).then_some(tasks)
}

fn read_task(node: &Node, path: String, at: Position, problems: &mut Vec<Problem>) -> Task {
    let Some(fields) = Object::with_planned(node, path, &TASK, &PLANNED, problems) else {
        return Task { body: unreadable(), ..Task::default() };
    };
    let mut fields = fields.found_at(at);
    let needs = fields.items("needs", Node::parsed);
    let when = fields.optional("when", Node::text);
    let on_skipped = fields
        .optional("on_skipped", |node| node.one_of(&[("skip", OnSkipped::Skip), ("run", OnSkipped::Run)]));
    let (foreach, repeat) = (foreach(&mut fields), repeat(&mut fields));
    let (join, on_failure) = (join(&mut fields), on_failure(&mut fields));
    let pause_before = fields.optional("pause_before", Node::boolean);
    Task {
        body: body(fields),
        foreach,
        repeat,
        needs,
        join: join.unwrap_or_default(),
        when,
        on_skipped: on_skipped.unwrap_or_default(),
        on_failure: on_failure.unwrap_or_default(),
        pause_before: pause_before.unwrap_or_default(),
    }
}

pub(super) fn data(node: &Node) -> Result<Value, String> {
    Ok(node.to_value())
}

fn object(node: &Node) -> Result<Map<String, Value>, String> {
    match node.to_value() {
        Value::Object(map) => Ok(map),
        _ => Err(node.unlike("an object with a value for each key, such as {model: small}")),
    }
}

fn version(node: &Node) -> Result<Version, String> {
    match node.text()?.as_str() {
        "v1" => Ok(Version::V1),
        other => Err(format!("unknown version '{other}': this mesh reads 'v1'")),
    }
}
