use std::collections::BTreeMap;

use mesh_schemas::WorkflowName;

use super::view::{Shape, View};
use super::{name, script, work};
use crate::workload::choices::Choices;
use crate::workload::run::Script;
use crate::workload::task::{Call, Work};
use crate::workload::workflow::Workflow;

/// What no workflow is called.
const UNKNOWN: &str = "nobody";
/// How many ways there are for what agents do in the runs that tasks start of a workflow.
const WAYS: usize = 3;

/// A run of another workflow, and what its output looks like.
pub(super) fn call(
    callable: &BTreeMap<WorkflowName, Workflow>,
    view: &View,
    choices: &mut Choices,
) -> (Work, Shape) {
    let number = choices.below(callable.len());
    let called = callable.iter().nth(number).filter(|_| !choices.chance("call of what nobody knows", 5));
    let agent = called.map_or_else(|| name(UNKNOWN), |(name, _)| name.into());
    let wait = !choices.chance("call without waiting", 20);
    let pinned = called.filter(|_| choices.chance("call of a version", 20));
    let version = pinned.map(|(_, workflow)| workflow.digest());
    let (work, shape) = work::work(&[agent], view, Shape::Other, choices);
    (Work { action: None, call: Some(Box::new(Call { wait, version })), ..work }, shape)
}

/// What agents do in the runs that tasks start.
pub(super) fn scripts(
    workflows: &BTreeMap<WorkflowName, Workflow>,
    choices: &mut Choices,
) -> BTreeMap<WorkflowName, Vec<Script>> {
    let called = workflows.iter().filter(|(name, _)| workflows.values().any(|workflow| workflow.calls(name)));
    called
        .map(|(name, workflow)| {
            (name.clone(), (0..WAYS).map(|_| script::script(workflow, choices)).collect())
        })
        .collect()
}
