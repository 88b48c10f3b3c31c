//! The parts of a task.

use serde_json::Number;

use super::keys::PLANNED;
use super::read::{UNREADABLE, data, read_tasks};
use crate::definition::{
    Body, Case, Foreach, Join, OnFailure, OnMax, Quorum, Quota, QuotaError, Repeat, Retry,
};
use crate::document::{Content, Node, Object};
use crate::name::Capability;

const RETRY: [&str; 6] = ["max_attempts", "initial", "factor", "max", "jitter", "fatal_on"];
const FOREACH: [&str; 4] = ["in", "max_parallel", "max_items", "tolerate"];
const REPEAT: [&str; 3] = ["until", "max", "on_max"];
const QUORUM: [&str; 3] = ["quorum", "grace", "deadline"];
const CASE: [&str; 9] = ["when", "agent", "action", "tasks", "switch", "with", "output", "retry", "timeout"];

/// What is to be done. Which keys go together is looked at when the whole is compiled.
pub(super) fn body(mut fields: Object<'_, '_>) -> Body {
    let agent = fields.optional("agent", Node::parsed);
    let action = fields.optional("action", Node::text);
    let with = fields.optional("with", data);
    let output = fields.optional("output", data);
    let timeout = fields.optional("timeout", Node::span);
    let says_nothing = !["agent", "tasks", "switch"].into_iter().any(|key| fields.has(key));
    if says_nothing {
        fields.required("agent", "name the capability that does the task, or write 'tasks' or 'switch'", Ok);
    }
    let retry = fields.part_with("retry", &RETRY, |fields| Some(retry(fields)));
    let (tasks, switch) = (fields.optional("tasks", Ok), fields.optional("switch", Node::items));
    let (tasks_at, switch_at) = (fields.path_of("tasks"), fields.path_of("switch"));
    let problems = fields.into_problems();
    let tasks = tasks.map(|node| read_tasks(node, &tasks_at, problems));
    let switch: Option<Vec<Case>> = switch.map(|cases| {
        let read = cases.iter().enumerate().map(|(place, node)| {
            let path = format!("{switch_at}[{place}]");
            case(Object::with_planned(node, path, &CASE, &PLANNED, problems))
        });
        read.collect()
    });
    let tasks = tasks.flatten();
    let agent = match (&tasks, &switch) {
        (None, None) => agent.or_else(|| unreadable().agent),
        _ => agent,
    };
    Body { agent, action, with, output, retry: retry.unwrap_or_default(), timeout, tasks, switch }
}

fn case(fields: Option<Object<'_, '_>>) -> Case {
    let Some(mut fields) = fields else {
        return Case { when: Some("true".to_owned()), body: unreadable() };
    };
    let when = fields.optional("when", Node::text);
    Case { when, body: body(fields) }
}

/// What stands for work that cannot be read.
pub(super) fn unreadable() -> Body {
    Body { agent: Capability::new(UNREADABLE).ok(), ..Body::default() }
}

/// `foreach: ${…}` is short for `foreach: {in: ${…}}`.
pub(super) fn foreach(fields: &mut Object<'_, '_>) -> Option<Foreach> {
    let is_short =
        fields.entry("foreach").is_some_and(|entry| matches!(entry.value.content, Content::Text(_)));
    if is_short {
        let items = fields.optional("foreach", data)?;
        return Some(Foreach { items, max_parallel: None, max_items: None, tolerate: None });
    }
    fields.part_with("foreach", &FOREACH, |mut fields| {
        let items = fields.required("in", "name the list, as in 'in: ${input.items}'", data);
        Some(Foreach {
            max_parallel: fields.optional("max_parallel", count),
            max_items: fields.optional("max_items", count),
            tolerate: fields.optional("tolerate", quota),
            items: items?,
        })
    })
}

pub(super) fn repeat(fields: &mut Object<'_, '_>) -> Option<Repeat> {
    fields.part_with("repeat", &REPEAT, |mut fields| {
        let until =
            fields.required("until", "write the condition to end, as in 'until: result.ok'", Node::text);
        let max =
            fields.required("max", "write how many iterations there are at most, as in 'max: 5'", count);
        let on_max = fields
            .optional("on_max", |node| node.one_of(&[("fail", OnMax::Fail), ("continue", OnMax::Continue)]));
        Some(Repeat { until: until?, max: max?, on_max: on_max.unwrap_or_default() })
    })
}

pub(super) fn join(fields: &mut Object<'_, '_>) -> Option<Join> {
    if !fields.entry("join").is_some_and(|entry| matches!(entry.value.content, Content::Map(_))) {
        let words = |node: &Node| {
            node.one_of(&[("all", Join::All), ("any", Join::Any)])
                .map_err(|error| format!("{error}, or a quorum, as in {{quorum: 75%, grace: 10s}}"))
        };
        return fields.optional("join", words);
    }
    fields.part_with("join", &QUORUM, |mut fields| {
        let quorum = fields.required("quorum", "write how many are enough, as in 'quorum: 75%'", quota);
        Some(Join::Quorum(Quorum {
            grace: fields.optional("grace", Node::span),
            deadline: fields.optional("deadline", Node::span),
            quorum: quorum?,
        }))
    })
}

pub(super) fn on_failure(fields: &mut Object<'_, '_>) -> Option<OnFailure> {
    if fields.entry("on_failure").is_some_and(|entry| matches!(entry.value.content, Content::Map(_))) {
        return fields.part_with("on_failure", &["task"], |mut fields| {
            let task = fields.required("task", "name the task to be done instead", Node::parsed)?;
            Some(OnFailure::Task(task))
        });
    }
    let word = fields.optional("on_failure", |node| {
        node.one_of(&[("fail", false), ("continue", true)])
            .map_err(|error| format!("{error}, or the task to be done instead, as in {{task: repair}}"))
    });
    word.map(|goes_on| if goes_on { OnFailure::Continue } else { OnFailure::Fail })
}

fn retry(mut fields: Object<'_, '_>) -> Retry {
    let default = Retry::default();
    Retry {
        max_attempts: fields.optional("max_attempts", count).unwrap_or(default.max_attempts),
        initial: fields.optional("initial", Node::span).unwrap_or(default.initial),
        factor: fields.optional("factor", number).unwrap_or(default.factor),
        max: fields.optional("max", Node::span).unwrap_or(default.max),
        jitter: fields.optional("jitter", number).unwrap_or(default.jitter),
        fatal_on: fields.items("fatal_on", Node::text),
    }
}

fn number(node: &Node) -> Result<f64, String> {
    node.number("a number", Number::as_f64)
}

fn count(node: &Node) -> Result<u32, String> {
    node.number("a whole number", |number| number.as_u64().and_then(|number| u32::try_from(number).ok()))
}

fn quota(node: &Node) -> Result<Quota, String> {
    match &node.content {
        Content::Text(text) => text.parse().map_err(|error: QuotaError| error.to_string()),
        Content::Number(_) => count(node)
            .map(Quota::Count)
            .map_err(|error| format!("{error}: write a whole number or a share such as 75%")),
        _ => Err(node.unlike("a number or a share such as 75%")),
    }
}
