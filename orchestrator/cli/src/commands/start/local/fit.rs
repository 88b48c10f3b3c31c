//! Whether the agents that are given are those that a workflow needs.

use std::collections::BTreeMap;

use mesh_schemas::document::nearest;
use mesh_schemas::{Capability, Definition, ErrorCode, TaskId};

use super::doer::Doer;
use crate::failure::Failure;

/// How many tasks of a capability are named.
const NAMED: usize = 3;

/// Tells all that is missing and all that is too much at once.
pub(super) fn check(definition: &Definition, doers: &[Doer]) -> Result<(), Failure> {
    let mut needed: BTreeMap<&Capability, Vec<TaskId>> = BTreeMap::new();
    let mut strangers = Vec::new();
    for (id, body) in definition.work() {
        if let Some(workflow) = body.workflow.as_ref().filter(|workflow| **workflow != definition.name) {
            strangers.push(format!(
                "task '{id}' starts a run of the workflow '{workflow}', and there is only '{}' here: try it on a server, as \
                 `mesh up` starts one",
                definition.name
            ));
        }
        if let Some(agent) = &body.agent {
            needed.entry(agent).or_default().push(id);
        }
    }
    let mut given: BTreeMap<&Capability, usize> = BTreeMap::new();
    for doer in doers {
        *given.entry(&doer.capability).or_default() += 1;
    }
    let missing = needed.iter().filter(|(capability, _)| !given.contains_key(*capability));
    let mut wrong: Vec<String> = missing.map(|(capability, tasks)| lacks(capability, tasks)).collect();
    wrong.extend(strangers);
    for (capability, count) in given {
        if !needed.contains_key(capability) {
            wrong.push(not_needed(capability, needed.keys().map(|known| known.as_str())));
        }
        if count > 1 {
            wrong.push(format!("'{capability}' has {count} agents and can have one"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message =
        format!("the agents do not fit the workflow '{}':\n  {}", definition.name, wrong.join("\n  "));
    Err(Failure::new(ErrorCode::UnfitAgents, message))
}

fn lacks(capability: &Capability, tasks: &[TaskId]) -> String {
    let named: Vec<String> = tasks.iter().take(NAMED).map(|task| format!("'{task}'")).collect();
    let more = if tasks.len() > NAMED { ", …" } else { "" };
    let plural = if tasks.len() > 1 { "s" } else { "" };
    format!(
        "'{capability}', of task{plural} {}{more}, has none: --agent {capability}=COMMAND",
        named.join(", ")
    )
}

fn not_needed<'a>(capability: &Capability, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(capability.as_str(), known.clone()) {
        Some(near) => format!("'{capability}' is needed by no task: did you mean '{near}'?"),
        None => {
            let known: Vec<&str> = known.collect();
            format!("'{capability}' is needed by no task: those needed are {}", known.join(", "))
        }
    }
}
