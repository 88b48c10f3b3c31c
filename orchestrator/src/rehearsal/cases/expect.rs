use std::collections::BTreeMap;

use mesh_schemas::definition::Span;
use mesh_schemas::document::{Content, Node, Object};
use mesh_schemas::{ErrorCode, TaskId};
use serde_json::Value;

use super::mock::whole;
use super::read::{Reader, value};

const EXPECT: [&str; 6] = ["completed", "failed", "cancelled", "rejected", "tasks", "took"];
const ENDINGS: [&str; 4] = ["completed", "failed", "cancelled", "rejected"];
const COMPLETED: [&str; 2] = ["output", "output_contains"];
const FAILED: [&str; 3] = ["code", "task", "message_contains"];
const REJECTED: [&str; 2] = ["code", "reasons_contain"];
const TASK: [&str; 4] = ["status", "attempts", "input", "input_contains"];
const TOOK: [&str; 2] = ["at_least", "at_most"];
/// How a task of a run that has ended stands.
const STATUSES: [(&str, &str); 4] =
    [("done", "done"), ("skipped", "skipped"), ("failed", "failed"), ("cancelled", "cancelled")];

/// What is expected of a run. What is not said is not looked at, but that the run completes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// How it ends.
    pub ending: Ending,
    /// How tasks stand then.
    pub tasks: BTreeMap<TaskId, ExpectedTask>,
    /// How long it takes.
    pub took: Option<Took>,
}

/// How a run is expected to end.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// With an output.
    Completed(ExpectedValue),
    /// With an error.
    Failed {
        /// Its code.
        code: Option<String>,
        /// The task that failed.
        task: Option<TaskId>,
        /// A part of its message.
        message_contains: Option<String>,
    },
    /// By a signal.
    Cancelled {
        /// Why, as the canceller said.
        reason: Option<String>,
    },
    /// The request starts no run.
    Rejected {
        /// Why, for programs.
        code: Option<String>,
        /// Parts of the reasons: each must be in one of them.
        reasons_contain: Vec<String>,
    },
}

/// Data that is expected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedValue {
    /// All of it.
    pub exactly: Option<Value>,
    /// What must be there: an object may have further keys, at any depth.
    pub contains: Option<Value>,
}

/// What is expected of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExpectedTask {
    /// `done`, `skipped`, `failed` or `cancelled`.
    pub status: Option<&'static str>,
    /// How many times an agent was asked.
    pub attempts: Option<u32>,
    /// What the agent was given.
    pub input: ExpectedValue,
}

/// How long a run is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Took {
    /// So long.
    Exactly(Span),
    /// Within bounds, each of which may be missing.
    Between(Option<Span>, Option<Span>),
}

impl Default for Ending {
    fn default() -> Self {
        Self::Completed(ExpectedValue::default())
    }
}

impl Ending {
    /// Its key in a case.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Rejected { .. } => "rejected",
        }
    }
}

/// Reads what is expected: an ending alone, or an object.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node, path: &str) -> Expectation {
    if let Content::Text(_) = &node.content {
        return match node.one_of(&ENDINGS.map(|ending| (ending, ending))) {
            Ok(ending) => Expectation { ending: plain(ending), ..Expectation::default() },
            Err(message) => {
                reader.problem(ErrorCode::WrongValue, path.to_owned(), node.at, message);
                Expectation::default()
            }
        };
    }
    let Some(mut fields) = Object::new(node, path, &EXPECT, &mut reader.problems) else {
        return Expectation::default();
    };
    let given: Vec<&str> = ENDINGS.into_iter().filter(|key| fields.has(key)).collect();
    if let [first, second, ..] = given.as_slice() {
        fields.refuse(second, format!("a run ends in one way, and '{first}' is there too: leave one out"));
    }
    if given.first() == Some(&"rejected") {
        for key in ["tasks", "took"] {
            if fields.has(key) {
                fields.refuse(key, "a request that is rejected starts no run: leave it out");
            }
        }
    }
    let took = fields.optional("took", Ok);
    let tasks = fields.optional("tasks", Ok);
    let ending = given.first().and_then(|key| fields.entry(key).map(|entry| (*key, entry)));
    let path_of = |key: &str| format!("{path}.{key}");
    let ending = match ending {
        Some((key, entry)) => self::ending(reader, key, &entry.value, &path_of(key)),
        None => Ending::default(),
    };
    let what = "an object with what is expected of each task";
    let tasks = tasks.map(|node| reader.by_task(node, &path_of("tasks"), what)).unwrap_or_default();
    let tasks = tasks.into_iter().map(|(id, path, node)| (id, task(reader, node, &path))).collect();
    let took = took.and_then(|node| self::took(reader, node, &path_of("took")));
    Expectation { ending, tasks, took }
}

/// An ending of which nothing more is said.
fn plain(ending: &str) -> Ending {
    match ending {
        "failed" => Ending::Failed { code: None, task: None, message_contains: None },
        "cancelled" => Ending::Cancelled { reason: None },
        "rejected" => Ending::Rejected { code: None, reasons_contain: Vec::new() },
        _ => Ending::default(),
    }
}

fn ending(reader: &mut Reader<'_>, key: &str, node: &Node, path: &str) -> Ending {
    // `failed:` with nothing behind it is what people write who want to say no more.
    if matches!(node.content, Content::Null) {
        return plain(key);
    }
    let known: &[&str] = match key {
        "completed" => &COMPLETED,
        "failed" => &FAILED,
        "cancelled" => &["reason"],
        _ => &REJECTED,
    };
    let mut task_at = None;
    let read = {
        let Some(mut fields) = Object::new(node, path, known, &mut reader.problems) else {
            return plain(key);
        };
        match key {
            "completed" => Ending::Completed(expected(&fields, "output")),
            "failed" => {
                task_at = fields.entry("task").map(|entry| entry.value.at);
                Ending::Failed {
                    code: fields.optional("code", Node::text),
                    task: fields.optional("task", Node::parsed),
                    message_contains: fields.optional("message_contains", Node::text),
                }
            }
            "cancelled" => Ending::Cancelled { reason: fields.optional("reason", Node::text) },
            _ => Ending::Rejected {
                code: fields.optional("code", Node::text),
                reasons_contain: fields.items("reasons_contain", Node::text),
            },
        }
    };
    if let (Ending::Failed { task: Some(task), .. }, Some(at)) = (&read, task_at)
        && let Err(message) = reader.task(task.as_str())
    {
        reader.problem(ErrorCode::UnknownTask, format!("{path}.task"), at, message);
    }
    read
}

/// What is expected under a key, and under the same key with `_contains`.
fn expected(fields: &Object<'_, '_>, key: &str) -> ExpectedValue {
    ExpectedValue { exactly: value(fields, key), contains: value(fields, &format!("{key}_contains")) }
}

/// What is expected of a task: its status alone, or an object.
fn task(reader: &mut Reader<'_>, node: &Node, path: &str) -> ExpectedTask {
    if let Content::Text(_) = &node.content {
        return match node.one_of(&STATUSES) {
            Ok(status) => ExpectedTask { status: Some(status), ..ExpectedTask::default() },
            Err(message) => {
                reader.problem(ErrorCode::WrongValue, path.to_owned(), node.at, message);
                ExpectedTask::default()
            }
        };
    }
    let Some(mut fields) = Object::new(node, path, &TASK, &mut reader.problems) else {
        return ExpectedTask::default();
    };
    if !TASK.iter().any(|key| fields.has(key)) {
        fields.lacks("say what is expected of the task, or leave it out");
    }
    ExpectedTask {
        status: fields.optional("status", |node| node.one_of(&STATUSES)),
        attempts: fields.optional("attempts", |node| node.number("a whole number", whole)),
        input: expected(&fields, "input"),
    }
}

fn took(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Took> {
    if !matches!(node.content, Content::Map(_)) {
        let what = "a duration such as 30s, or an object with at_least and at_most";
        let span = node.span().map_err(|message| {
            if matches!(node.content, Content::Text(_) | Content::Number(_)) {
                message
            } else {
                node.unlike(what)
            }
        });
        return match span {
            Ok(span) => Some(Took::Exactly(span)),
            Err(message) => {
                reader.problem(ErrorCode::WrongValue, path.to_owned(), node.at, message);
                None
            }
        };
    }
    let mut fields = Object::new(node, path, &TOOK, &mut reader.problems)?;
    let (least, most) = (fields.optional("at_least", Node::span), fields.optional("at_most", Node::span));
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        fields.refuse("at_least", format!("{least} is more than the {most} of at_most"));
    }
    if !TOOK.iter().any(|key| fields.has(key)) {
        fields.lacks("write at_least, at_most or both");
    }
    Some(Took::Between(least, most))
}
