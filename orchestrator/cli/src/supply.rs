//! Who can do what, who needs it, and what waits.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError, ConsumerState, Health, Role};
use mesh_orchestrator::definitions::Registered;
use mesh_schemas::payload::AgentRegistered;
use mesh_schemas::{AgentId, Capability, Lane, WorkflowName};
use serde::Serialize;

/// An agent in the registry: it renewed its entry not long ago.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Alive {
    #[serde(flatten)]
    pub(crate) agent: AgentRegistered,
    /// When it last said that it is alive.
    pub(crate) heartbeat: DateTime<Utc>,
}

/// The agents in the registry, by their ids.
pub(crate) async fn alive(bus: &dyn Bus) -> Result<Vec<Alive>, BusError> {
    let entries = bus.entries(Bucket::Agents).await?;
    let mut agents: Vec<Alive> = entries
        .into_iter()
        .filter_map(|entry| {
            let agent = serde_json::from_slice(&entry.value).ok()?;
            Some(Alive { agent, heartbeat: entry.time })
        })
        .collect();
    agents.sort_by(|a, b| a.agent.agent.cmp(&b.agent.agent));
    Ok(agents)
}

/// A capability that somebody has or needs.
#[derive(Debug, Default)]
pub(crate) struct Supply {
    /// Agents in the registry that have it.
    pub(crate) agents: Vec<AgentId>,
    /// Workflows that can be started and name it.
    pub(crate) workflows: Vec<WorkflowName>,
    /// The consumers that its work comes from.
    pub(crate) lanes: Vec<(Lane, ConsumerState)>,
}

impl Supply {
    /// Tasks that nobody has taken yet.
    pub(crate) fn pending(&self) -> u64 {
        self.lanes.iter().map(|(_, state)| state.pending).sum()
    }

    /// Tasks that agents have taken.
    pub(crate) fn in_hand(&self) -> u64 {
        self.lanes.iter().map(|(_, state)| state.in_hand).sum()
    }

    /// Tasks that have no outcome yet.
    pub(crate) fn unsettled(&self) -> u64 {
        self.pending() + self.in_hand()
    }

    /// Requests for work that wait, also of agents that are not in the registry.
    pub(crate) fn waiting(&self) -> u64 {
        self.lanes.iter().map(|(_, state)| state.waiting).sum()
    }

    /// Time since a task was last given to anyone.
    pub(crate) fn idle(&self) -> Option<TimeDelta> {
        self.lanes.iter().filter_map(|(_, state)| Some(state.at - state.last_delivery?)).min()
    }
}

/// Every capability that an agent has, a workflow names or a consumer is there for.
pub(crate) fn supply(
    health: &Health,
    agents: &[Alive],
    workflows: &[Registered],
) -> BTreeMap<Capability, Supply> {
    let mut all: BTreeMap<Capability, Supply> = BTreeMap::new();
    for Alive { agent, .. } in agents {
        for capability in &agent.capabilities {
            all.entry(capability.clone()).or_default().agents.push(agent.agent.clone());
        }
    }
    for workflow in workflows {
        let definition = workflow.current_version().and_then(|version| version.definition.as_ref());
        for capability in definition.iter().flat_map(|definition| definition.capabilities()) {
            let named = &mut all.entry(capability.clone()).or_default().workflows;
            if named.last() != Some(&workflow.name) {
                named.push(workflow.name.clone());
            }
        }
    }
    for consumer in &health.consumers {
        if let (Role::Agents(capability, lane), Some(state)) = (&consumer.role, &consumer.found) {
            all.entry(capability.clone()).or_default().lanes.push((lane.clone(), state.clone()));
        }
    }
    all
}
