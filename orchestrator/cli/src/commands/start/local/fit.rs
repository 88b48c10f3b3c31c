//! Whether the agents that are given are those that a workflow needs.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::document::nearest;
use mesh_schemas::{Capability, Definition, ErrorCode, TaskId};

use super::doer::Doer;
use crate::failure::Failure;

/// How many tasks of a capability are named.
const NAMED: usize = 3;

/// Tells all that is missing and all that is too much at once.
pub(super) fn check(definitions: &[Definition], doers: &[Doer]) -> Result<(), Failure> {
    let mut needed: BTreeMap<&Capability, Vec<TaskId>> = BTreeMap::new();
    let mut strangers = Vec::new();
    let mut names = BTreeSet::new();
    for definition in definitions {
        if !names.insert(&definition.name) {
            strangers.push(format!("the workflow '{}' is there twice", definition.name));
        }
    }
    let mut called = BTreeSet::new();
    for definition in definitions {
        for (id, body) in definition.work() {
            if let Some(workflow) = &body.workflow {
                called.insert(workflow);
                if !names.contains(workflow) {
                    strangers.push(format!(
                        "task '{id}' starts a run of the workflow '{workflow}', which is not here: --local FILE"
                    ));
                }
            }
            if let Some(agent) = &body.agent {
                needed.entry(agent).or_default().push(id);
            }
        }
    }
    let is_idle = |definition: &&Definition| !called.contains(&definition.name);
    strangers.extend(definitions.iter().skip(1).filter(is_idle).map(|definition| {
        format!("the workflow '{}' is there, and no task starts a run of it", definition.name)
    }));
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
    let workflow = definitions.first().map_or("-", |definition| definition.name.as_str());
    let message = format!("what is given does not fit the workflow '{workflow}':\n  {}", wrong.join("\n  "));
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
