//! What goes on at a moment.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use mesh_bus::Bus;
use mesh_schemas::{AgentId, Capability, Lane};
use serde::Serialize;

use super::flow::{Flow, Passed};
use super::open::{OpenRun, OpenRuns};
use crate::commands::doctor::is_served;
use crate::supply::{Alive, alive, supply};

/// Everything that is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Snapshot {
    pub(super) time: DateTime<Utc>,
    /// Over how many seconds rates are measured.
    pub(super) window_s: f64,
    pub(super) rates: Rates,
    /// How many open runs are known: those that began since this command did, and those with the oldest work.
    pub(super) open_runs: usize,
    /// Whether there may be more than those.
    pub(super) is_full: bool,
    pub(super) queues: Vec<Queue>,
    pub(super) agents: Vec<Agent>,
    /// The open runs that began first.
    pub(super) slowest: Vec<OpenRun>,
}

/// How often something happens in a second.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Rates {
    pub(super) runs_started: f64,
    pub(super) runs_completed: f64,
    pub(super) runs_failed: f64,
    pub(super) runs_cancelled: f64,
    pub(super) tasks_done: f64,
    pub(super) tasks_failed: f64,
}

/// Work of a capability in a lane.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Queue {
    pub(super) capability: Capability,
    #[serde(serialize_with = "as_text")]
    pub(super) lane: Lane,
    /// Tasks that nobody has taken.
    pub(super) waiting: u64,
    /// Tasks that agents have taken.
    pub(super) in_hand: u64,
    /// Agents in the registry that have the capability.
    pub(super) agents: usize,
    /// How many tasks those do at once.
    pub(super) capacity: u64,
    /// How many more tasks those can take, if they do nothing else.
    pub(super) free: u64,
    /// Whether anybody does the work, as far as can be seen.
    pub(super) is_served: bool,
}

/// An agent in the registry.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Agent {
    pub(super) agent: AgentId,
    pub(super) capabilities: Vec<Capability>,
    pub(super) capacity: u32,
    pub(super) heartbeat: DateTime<Utc>,
    /// Tasks that it ends in a second.
    pub(super) tasks_per_s: f64,
}

impl Snapshot {
    pub(super) async fn take(bus: &dyn Bus, flow: &Flow, open: &mut OpenRuns) -> anyhow::Result<Self> {
        let passed = flow.passed();
        let window_s = passed.since.elapsed().as_secs_f64();
        open.hear(&passed);
        open.look(bus).await?;
        let agents = alive(bus).await?;
        let health = bus.health().await?;
        let ids: BTreeSet<AgentId> = agents.iter().map(|alive| alive.agent.agent.clone()).collect();
        let supplies = supply(&health, &agents, &[]);
        let mut queues = Vec::new();
        for (capability, supply) in &supplies {
            let able = agents.iter().filter(|alive| alive.agent.capabilities.contains(capability));
            let capacity: u64 = able.map(|alive| u64::from(alive.agent.capacity)).sum();
            for (lane, state) in &supply.lanes {
                queues.push(Queue {
                    capability: capability.clone(),
                    lane: lane.clone(),
                    waiting: state.pending,
                    in_hand: state.in_hand,
                    agents: supply.agents.len(),
                    capacity,
                    free: capacity.saturating_sub(supply.in_hand()),
                    is_served: is_served(supply),
                });
            }
        }
        let served = |capability: &Capability| supplies.get(capability).is_none_or(is_served);
        let slowest = open.slowest(bus, served, |agent| ids.contains(agent)).await?;
        let rate = |number| Passed::rate(number, window_s);
        Ok(Self {
            time: bus.now(),
            window_s,
            rates: Rates {
                runs_started: rate(passed.started),
                runs_completed: rate(passed.completed),
                runs_failed: rate(passed.failed),
                runs_cancelled: rate(passed.cancelled),
                tasks_done: rate(passed.tasks_done),
                tasks_failed: rate(passed.tasks_failed),
            },
            open_runs: open.len(),
            is_full: open.is_full,
            queues,
            agents: agents.into_iter().map(|alive| Agent::of(alive, &passed, window_s)).collect(),
            slowest,
        })
    }
}

impl Agent {
    fn of(Alive { agent, heartbeat }: Alive, passed: &Passed, window_s: f64) -> Self {
        let ended = passed.by_agent.get(agent.agent.as_str()).copied().unwrap_or_default();
        Self {
            tasks_per_s: Passed::rate(ended, window_s),
            agent: agent.agent,
            capabilities: agent.capabilities,
            capacity: agent.capacity,
            heartbeat,
        }
    }
}

fn as_text<S: serde::Serializer>(lane: &Lane, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(lane)
}
