//! Whether there is somebody for everything that is asked for, and something to ask of everybody.

use mesh_schemas::{Capability, TaskId, WorkflowName};

use super::inner::Inner;
use super::pattern::meant;

impl Inner {
    /// Whether somebody has a capability, or is not to have it.
    pub(super) fn is_served(&self, capability: &Capability) -> bool {
        let state = self.lock();
        state.absent.contains(capability) || state.an_agent_has(capability)
    }

    /// Whether every task of a workflow has somebody to do it.
    pub(super) fn check_served(&self, workflow: &WorkflowName) -> Result<(), String> {
        let tasks: Vec<(TaskId, Capability)> = {
            let state = self.lock();
            let tasks = state.workflows.get(workflow).map(|workflow| &workflow.definition.tasks);
            tasks.into_iter().flatten().map(|(id, task)| (id.clone(), task.agent.clone())).collect()
        };
        match tasks.into_iter().find(|(_, capability)| !self.is_served(capability)) {
            Some((task, capability)) => Err(format!("task '{task}' needs {}", nobody(&capability))),
            None => Ok(()),
        }
    }

    /// Whether a capability is one that can be asked for here: misspelt ones would never be.
    pub(super) fn check_needed(&self, capability: &Capability) -> Result<(), String> {
        let state = self.lock();
        let tasks = || state.workflows.values().flat_map(|workflow| &workflow.definition.tasks);
        let needed = tasks().any(|(_, task)| task.agent == *capability);
        let there = state.an_agent_has(capability);
        // A mesh without a workflow is asked for tasks directly.
        if needed || there || state.workflows.is_empty() {
            return Ok(());
        }
        let hint = match tasks().find(|(id, _)| id.as_str() == capability.as_str()) {
            Some((_, task)) => format!(": that is a task, which needs the capability '{}'", task.agent),
            None => meant(capability.as_str(), tasks().map(|(_, task)| task.agent.as_str())),
        };
        Err(format!("no task here needs the capability '{capability}', and no agent here has it{hint}"))
    }

    /// Whether some workflow has a task that needs a capability.
    pub(super) fn check_task(&self, capability: &Capability, id: &str) -> Result<(), String> {
        let state = self.lock();
        let mut needing = state.workflows.values().flat_map(|workflow| &workflow.definition.tasks);
        if state.workflows.is_empty()
            || needing.any(|(known, task)| known.as_str() == id && task.agent == *capability)
        {
            return Ok(());
        }
        Err(format!("no workflow here has a task '{id}' that needs the capability '{capability}'"))
    }
}

/// What is to be done about a capability that nobody has.
pub(super) fn nobody(capability: &Capability) -> String {
    format!(
        "the capability '{capability}', and nobody here has it: add mesh.agent(…) or mesh.mock(\"{capability}\", …), or \
         mesh.nobody_has(\"{capability}\") if that is what you test"
    )
}
