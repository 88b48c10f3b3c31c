use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::{Number, Value};

use super::keys;
use crate::ErrorCode;
use crate::definition::{Definition, OnFailure, OnSkipped, Retry, Span, Task, Version};
use crate::document::{Content, Entry, Node, Position, Problem, join, nearest};
use crate::name::TaskId;

const DEFINITION: [&str; 7] = ["mesh", "name", "description", "input", "output", "timeout", "tasks"];
const TASK: [&str; 10] =
    ["agent", "action", "needs", "when", "on_skipped", "with", "output", "retry", "timeout", "on_failure"];
const RETRY: [&str; 6] = ["max_attempts", "initial", "factor", "max", "jitter", "fatal_on"];

/// Reads a tree against the model. The result is of use only if no problem was added.
pub(super) fn definition(root: &Node, problems: &mut Vec<Problem>) -> Option<Definition> {
    let mut fields = Object::new(root, String::new(), &DEFINITION, problems)?;
    let mesh = fields.required("mesh", "write 'mesh: v1'", version);
    let name = fields.required("name", "name the workflow", name);
    let description = fields.optional("description", text);
    let input = fields.optional("input", data);
    let output = fields.optional("output", data);
    let timeout = fields.optional("timeout", span);
    let tasks = fields.required("tasks", "a workflow has at least one task", Ok);
    let path = fields.path_of("tasks");
    let tasks = tasks.and_then(|node| read_tasks(node, &path, problems));
    Some(Definition { mesh: mesh?, name: name?, description, input, output, timeout, tasks: tasks? })
}

/// The tasks, if each could be read: one that is missing would make others wrong that refer to it.
fn read_tasks(node: &Node, path: &str, problems: &mut Vec<Problem>) -> Option<BTreeMap<TaskId, Task>> {
    let Content::Map(entries) = &node.content else {
        let message = expected("an object with a task for each id", node);
        problems.push(Problem {
            code: ErrorCode::WrongValue,
            path: path.to_owned(),
            position: Some(node.at),
            message,
        });
        return None;
    };
    let mut all = true;
    let mut tasks = BTreeMap::new();
    for Entry { key, at, value } in entries {
        let mut path = path.to_owned();
        join(&mut path, key);
        let id = TaskId::new(key.as_str()).map_err(|error| {
            problems.push(Problem {
                code: ErrorCode::InvalidName,
                path: path.clone(),
                position: Some(*at),
                message: error.to_string(),
            });
        });
        match (read_task(value, path, *at, problems), id) {
            (Some(task), Ok(id)) => drop(tasks.insert(id, task)),
            _ => all = false,
        }
    }
    all.then_some(tasks)
}

fn read_task(node: &Node, path: String, at: Position, problems: &mut Vec<Problem>) -> Option<Task> {
    let mut fields = Object::new(node, path, &TASK, problems)?;
    fields.at = at;
    let agent = fields.required("agent", "name the capability that does the task", name);
    let action = fields.optional("action", text);
    let needs = fields.items("needs", name);
    let when = fields.optional("when", text);
    let on_skipped = fields
        .optional("on_skipped", |node| one_of(node, &[("skip", OnSkipped::Skip), ("run", OnSkipped::Run)]));
    let with = fields.optional("with", data);
    let output = fields.optional("output", data);
    let timeout = fields.optional("timeout", span);
    let on_failure = fields.optional("on_failure", |node| {
        one_of(node, &[("fail", OnFailure::Fail), ("continue", OnFailure::Continue)])
    });
    let retry = fields.optional("retry", Ok);
    let path = fields.path_of("retry");
    let retry = retry.and_then(|node| read_retry(node, path, problems));
    Some(Task {
        agent: agent?,
        action,
        needs,
        when,
        on_skipped: on_skipped.unwrap_or_default(),
        with,
        output,
        retry: retry.unwrap_or_default(),
        timeout,
        on_failure: on_failure.unwrap_or_default(),
    })
}

fn read_retry(node: &Node, path: String, problems: &mut Vec<Problem>) -> Option<Retry> {
    let mut fields = Object::new(node, path, &RETRY, problems)?;
    let default = Retry::default();
    let whole = |number: &Number| number.as_u64().and_then(|number| u32::try_from(number).ok());
    Some(Retry {
        max_attempts: fields
            .optional("max_attempts", |node| number(node, "a whole number", whole))
            .unwrap_or(default.max_attempts),
        initial: fields.optional("initial", span).unwrap_or(default.initial),
        factor: fields
            .optional("factor", |node| number(node, "a number", Number::as_f64))
            .unwrap_or(default.factor),
        max: fields.optional("max", span).unwrap_or(default.max),
        jitter: fields
            .optional("jitter", |node| number(node, "a number", Number::as_f64))
            .unwrap_or(default.jitter),
        fatal_on: fields.items("fatal_on", text),
    })
}

/// An object of the model: knows its keys, and notes what is wrong with it.
struct Object<'n, 'p> {
    entries: &'n [Entry],
    path: String,
    at: Position,
    problems: &'p mut Vec<Problem>,
}

impl<'n, 'p> Object<'n, 'p> {
    fn new(node: &'n Node, path: String, known: &[&str], problems: &'p mut Vec<Problem>) -> Option<Self> {
        let Content::Map(entries) = &node.content else {
            let message = expected(&format!("an object with the keys {}", known.join(", ")), node);
            problems.push(Problem { code: ErrorCode::WrongValue, path, position: Some(node.at), message });
            return None;
        };
        for Entry { key, at, .. } in entries {
            if !known.contains(&key.as_str()) {
                let (code, message) = keys::unknown(key, known);
                problems.push(Problem { code, path: path.clone(), position: Some(*at), message });
            }
        }
        Some(Self { entries, path, at: node.at, problems })
    }

    fn path_of(&self, key: &str) -> String {
        let mut path = self.path.clone();
        join(&mut path, key);
        path
    }

    fn problem(&mut self, code: ErrorCode, path: String, position: Position, message: String) {
        self.problems.push(Problem { code, path, position: Some(position), message });
    }

    fn optional<T>(&mut self, key: &str, read: impl FnOnce(&'n Node) -> Result<T, String>) -> Option<T> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        // An empty value would be read as an absent one by some and as null by others.
        if matches!(entry.value.content, Content::Null) {
            let message = "has no value: write one, or leave the key out".to_owned();
            self.problem(ErrorCode::MissingKey, self.path_of(key), entry.at, message);
            return None;
        }
        match read(&entry.value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(ErrorCode::WrongValue, self.path_of(key), entry.value.at, message);
                None
            }
        }
    }

    fn required<T>(
        &mut self,
        key: &str,
        advice: &str,
        read: impl FnOnce(&'n Node) -> Result<T, String>,
    ) -> Option<T> {
        if self.entries.iter().all(|entry| entry.key != key) {
            // A key that is only misspelt was already told.
            if self.entries.iter().all(|entry| nearest(&entry.key, [key]).is_none()) {
                let message = format!("the key '{key}' is missing: {advice}");
                self.problem(ErrorCode::MissingKey, self.path.clone(), self.at, message);
            }
            return None;
        }
        self.optional(key, read)
    }

    fn items<T>(&mut self, key: &str, read: impl Fn(&'n Node) -> Result<T, String>) -> Vec<T> {
        let items = self.optional(key, |node| match &node.content {
            Content::List(items) => Ok(items.as_slice()),
            _ => Err(expected("a list, such as [first, second]", node)),
        });
        let mut values = Vec::new();
        for (index, item) in items.unwrap_or_default().iter().enumerate() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(message) => self.problem(
                    ErrorCode::WrongValue,
                    format!("{}[{index}]", self.path_of(key)),
                    item.at,
                    message,
                ),
            }
        }
        values
    }
}

fn expected(what: &str, node: &Node) -> String {
    format!("expected {what}, found {}", node.kind())
}

fn text(node: &Node) -> Result<String, String> {
    match &node.content {
        Content::Text(text) => Ok(text.clone()),
        Content::Bool(_) | Content::Number(_) => {
            Err(format!("{}: put it in quotes if it is meant as text", expected("text", node)))
        }
        _ => Err(expected("text", node)),
    }
}

fn name<T: FromStr<Err: fmt::Display>>(node: &Node) -> Result<T, String> {
    text(node)?.parse().map_err(|error: T::Err| error.to_string())
}

fn data(node: &Node) -> Result<Value, String> {
    Ok(node.to_value())
}

fn span(node: &Node) -> Result<Span, String> {
    match &node.content {
        Content::Text(text) => text.parse().map_err(|error: super::super::DurationError| error.to_string()),
        Content::Number(number) => Err(format!("{number} is not a duration: add a unit, as in {number}s")),
        _ => Err(expected("a duration such as 30s", node)),
    }
}

fn number<T>(node: &Node, what: &str, read: impl FnOnce(&Number) -> Option<T>) -> Result<T, String> {
    match &node.content {
        Content::Number(number) => read(number).ok_or_else(|| format!("expected {what}, found {number}")),
        _ => Err(expected(what, node)),
    }
}

fn version(node: &Node) -> Result<Version, String> {
    match text(node)?.as_str() {
        "v1" => Ok(Version::V1),
        other => Err(format!("unknown version '{other}': this mesh reads 'v1'")),
    }
}

fn one_of<T: Copy>(node: &Node, choices: &[(&'static str, T)]) -> Result<T, String> {
    let text = text(node)?;
    if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*value);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    Err(match nearest(&text, names.iter().copied()) {
        Some(near) => format!("unknown value '{text}': did you mean '{near}'?"),
        None => format!("unknown value '{text}': write one of {}", names.join(", ")),
    })
}
