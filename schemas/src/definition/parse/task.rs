//! The parts of a task.

use serde_json::Number;

use super::keys::PLANNED;
use super::read::{UNREADABLE, data, read_tasks};
use crate::definition::adaptive::nothing;
use crate::definition::{
    Adaptive, Body, Case, Foreach, Join, Limits, Merge, MergeBy, OnFailure, OnMax, Planner, Quorum, Quota,
    QuotaError, Recovery, Repeat, Retry, Weights,
};
use crate::document::{Content, Node, Object};
use crate::name::Capability;

const RETRY: [&str; 6] = ["max_attempts", "initial", "factor", "max", "jitter", "fatal_on"];
const FOREACH: [&str; 5] = ["in", "max_parallel", "adaptive", "max_items", "tolerate"];
const ADAPTIVE: [&str; 2] = ["complexity", "dependency"];
const REPEAT: [&str; 3] = ["until", "max", "on_max"];
const QUORUM: [&str; 3] = ["quorum", "grace", "deadline"];
const MERGE: [&str; 4] = ["by", "from", "weights", "default_quality"];
const WEIGHTS: [&str; 2] = ["quality", "speed"];
const PLAN: [&str; 3] = ["capabilities", "max_tasks", "max_depth"];
const CASE: [&str; 15] = [
    "when",
    "agent",
    "action",
    "plan",
    "workflow",
    "version",
    "wait",
    "tasks",
    "switch",
    "merge",
    "with",
    "output",
    "output_schema",
    "retry",
    "timeout",
];
/// The keys one of which says what is to be done.
const DOES: [&str; 5] = ["agent", "workflow", "tasks", "switch", "merge"];
/// The ways to merge.
const BY: [(&str, MergeBy); 4] = [
    ("quality", MergeBy::Quality),
    ("collect", MergeBy::Collect),
    ("first", MergeBy::First),
    ("object", MergeBy::Object),
];

/// What is to be done. Which keys go together is looked at when the whole is compiled.
pub(super) fn body(mut fields: Object<'_, '_>) -> Body {
    let agent = fields.optional("agent", Node::parsed);
    let action = fields.optional("action", Node::text);
    let with = fields.optional("with", data);
    let output = fields.optional("output", data);
    let output_schema = fields.optional("output_schema", data);
    let timeout = fields.optional("timeout", Node::span);
    let (workflow, version) =
        (fields.optional("workflow", Node::parsed), fields.optional("version", Node::parsed));
    let wait = fields.optional("wait", Node::boolean);
    let says_nothing = !DOES.into_iter().any(|key| fields.has(key));
    if says_nothing {
        let advice =
            "name the capability that does the task, or write 'workflow', 'tasks', 'switch' or 'merge'";
        fields.required("agent", advice, Ok);
    } else if !fields.has("workflow") && wait == Some(true) {
        fields.refuse("wait", "'wait' goes with a workflow: leave it out");
    }
    // To wait is what is done anyway: said or not, it is one definition.
    let wait = wait.filter(|waits| !waits);
    let (merge, plan) = (merge(&mut fields), planner(&mut fields));
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
    let (tasks, retry) = (tasks.flatten(), retry.unwrap_or_default());
    if agent.is_none() && workflow.is_none() && tasks.is_none() && switch.is_none() && merge.is_none() {
        return Body { action, with, output, output_schema, retry, timeout, plan, ..unreadable() };
    }
    Body {
        agent,
        action,
        workflow,
        version,
        wait,
        with,
        output,
        output_schema,
        retry,
        timeout,
        plan,
        tasks,
        switch,
        merge,
    }
}

/// `merge: collect` is short for `merge: {by: collect}`.
fn merge(fields: &mut Object<'_, '_>) -> Option<Merge> {
    let how = |node: &Node| node.one_of(&BY);
    if !fields.entry("merge").is_some_and(|entry| matches!(entry.value.content, Content::Map(_))) {
        return fields.optional("merge", how).map(Merge::by);
    }
    fields.part_with("merge", &MERGE, |mut fields| {
        let by = fields.required("by", "write how, as in 'by: quality'", how);
        let from = fields.items("from", Node::parsed);
        let default_quality = fields.optional("default_quality", number);
        let weights = fields.part_with("weights", &WEIGHTS, |mut fields| {
            let default = Weights::default();
            Some(Weights {
                quality: fields.optional("quality", number).unwrap_or(default.quality),
                speed: fields.optional("speed", number).unwrap_or(default.speed),
            })
        });
        let merge = Merge::by(by?);
        let default_quality = default_quality.unwrap_or(merge.default_quality);
        Some(Merge { from, weights: weights.unwrap_or_default(), default_quality, ..merge })
    })
}

/// `plan: true` is short for a plan with the limits that hold if nothing is said.
fn planner(fields: &mut Object<'_, '_>) -> Option<Planner> {
    if !fields.entry("plan").is_some_and(|entry| matches!(entry.value.content, Content::Map(_))) {
        let word = |node: &Node| match node.content {
            Content::Bool(plans) => Ok(plans),
            _ => Err(node.unlike("true, false, or the limits of the plan, as in {max_tasks: 20}")),
        };
        return fields.optional("plan", word).map(Planner::Plain);
    }
    fields.part_with("plan", &PLAN, |mut fields| {
        let default = Limits::default();
        Some(Planner::Limited(Limits {
            capabilities: fields.items("capabilities", Node::parsed).into_iter().collect(),
            max_tasks: fields.optional("max_tasks", count).unwrap_or(default.max_tasks),
            max_depth: fields.optional("max_depth", count).unwrap_or(default.max_depth),
        }))
    })
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
        return Some(Foreach { items, max_parallel: None, adaptive: None, max_items: None, tolerate: None });
    }
    fields.part_with("foreach", &FOREACH, |mut fields| {
        let items = fields.required("in", "name the list, as in 'in: ${input.items}'", data);
        Some(Foreach {
            max_parallel: fields.optional("max_parallel", count),
            max_items: fields.optional("max_items", count),
            tolerate: fields.optional("tolerate", quota),
            adaptive: fields.part_with("adaptive", &ADAPTIVE, |mut fields| {
                let hint = "write how complex the work is, as in 'complexity: ${input.complexity}'";
                let complexity = fields.required("complexity", hint, data)?;
                let dependency = fields.optional("dependency", data).unwrap_or_else(nothing);
                Some(Adaptive { complexity, dependency })
            }),
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

pub(super) fn recovery(fields: &mut Object<'_, '_>) -> Option<Recovery> {
    if fields.entry("recovery").is_some_and(|entry| matches!(entry.value.content, Content::Map(_))) {
        return fields.part_with("recovery", &["retry"], |mut fields| {
            let times = fields.required("retry", "write how many times more, as in 'retry: 2'", count)?;
            Some(Recovery::Retry(times))
        });
    }
    let words = [("fail", Recovery::Fail), ("continue", Recovery::Continue), ("pause", Recovery::Pause)];
    fields.optional("recovery", |node| {
        node.one_of(&words).map_err(|error| format!("{error}, or more tries, as in {{retry: 2}}"))
    })
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
