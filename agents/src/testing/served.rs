//! Whether there is somebody for everything that is asked for, and something to ask of everybody.

use std::collections::BTreeSet;

use mesh_schemas::{Capability, Definition, TaskId, WorkflowName};

use super::inner::Inner;
use super::pattern::meant;

impl Inner {
    /// Whether somebody has a capability, or is not to have it.
    pub(super) fn is_served(&self, capability: &Capability) -> bool {
        let state = self.lock();
        state.absent.contains(capability) || state.an_agent_has(capability)
    }

    /// Whether every task of a workflow, and of those that it starts runs of, has somebody to do it.
    pub(super) fn check_served(&self, workflow: &WorkflowName) -> Result<(), String> {
        let (mut known, mut open) = (BTreeSet::from([workflow.clone()]), vec![workflow.clone()]);
        while let Some(workflow) = open.pop() {
            let definition = self.lock().workflows.get(&workflow).map(|workflow| workflow.definition.clone());
            let Some(definition) = definition else { continue };
            let unserved = work(&definition).into_iter().find(|(_, capability)| !self.is_served(capability));
            if let Some((task, capability)) = unserved {
                return Err(format!("task '{task}' needs {}", nobody(&capability)));
            }
            for (task, body) in definition.work() {
                let Some(child) = &body.workflow else { continue };
                if !self.lock().workflows.contains_key(child) {
                    return Err(format!(
                        "task '{task}' starts a run of the workflow '{child}', which is not here: add it with \
                         mesh.workflow(…)"
                    ));
                }
                if known.insert(child.clone()) {
                    open.push(child.clone());
                }
            }
        }
        Ok(())
    }

    /// Whether a capability is one that can be asked for here: misspelt ones would never be.
    pub(super) fn check_needed(&self, capability: &Capability) -> Result<(), String> {
        let state = self.lock();
        let tasks: Vec<(TaskId, Capability)> =
            state.workflows.values().flat_map(|workflow| work(&workflow.definition)).collect();
        let needed = tasks.iter().any(|(_, agent)| agent == capability);
        let there = state.an_agent_has(capability);
        // A mesh without a workflow is asked for tasks directly.
        if needed || there || state.workflows.is_empty() {
            return Ok(());
        }
        let hint = match tasks.iter().find(|(id, _)| id.as_str() == capability.as_str()) {
            Some((_, agent)) => format!(": that is a task, which needs the capability '{agent}'"),
            None => meant(capability.as_str(), tasks.iter().map(|(_, agent)| agent.as_str())),
        };
        Err(format!("no task here needs the capability '{capability}', and no agent here has it{hint}"))
    }

    /// Whether some workflow has a task that needs a capability.
    pub(super) fn check_task(&self, capability: &Capability, id: &str) -> Result<(), String> {
        let state = self.lock();
        let plain = TaskId::new(id).ok().map(|id| id.without_numbers());
        let mut needing = state.workflows.values().flat_map(|workflow| work(&workflow.definition));
        if state.workflows.is_empty()
            || needing.any(|(known, agent)| plain.as_ref() == Some(&known) && agent == *capability)
        {
            return Ok(());
        }
        Err(format!("no workflow here has a task '{id}' that needs the capability '{capability}'"))
    }
}

/// The tasks of a workflow for agents, and what each asks for.
fn work(definition: &Definition) -> Vec<(TaskId, Capability)> {
    let work = definition.work().into_iter();
    work.filter_map(|(id, body)| Some((id, body.agent.clone()?))).collect()
}

/// What is to be done about a capability that nobody has.
pub(super) fn nobody(capability: &Capability) -> String {
    format!(
        "the capability '{capability}', and nobody here has it: add mesh.agent(…) or mesh.mock(\"{capability}\", …), or \
         mesh.nobody_has(\"{capability}\") if that is what you test"
    )
}
