use std::collections::BTreeMap;

use clap::Args;
use mesh_bus::Bus;
use mesh_orchestrator::definitions;
use mesh_schemas::{AgentId, Capability, WorkflowName};
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::supply::{Alive, Supply, alive, supply};
use crate::unknown::unknown;
use crate::words::age;

/// Show an agent, or who has a capability, and the work that waits
#[derive(Args)]
pub(crate) struct Show {
    /// An agent that is alive, or else a capability
    #[arg(value_name = "AGENT|CAPABILITY")]
    name: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct AgentDetails<'a> {
    #[serde(flatten)]
    alive: &'a Alive,
    work: Vec<Work>,
}

/// A capability, with the work that waits for it.
#[derive(Serialize)]
struct Work {
    capability: Capability,
    /// Agents in the registry that have it.
    agents: Vec<AgentId>,
    /// Workflows that can be started and name it.
    workflows: Vec<WorkflowName>,
    /// Tasks that nobody has taken yet.
    pending: u64,
    /// Tasks that agents have taken.
    in_hand: u64,
    /// Requests for work that wait, also of agents that are not in the registry.
    requests: u64,
}

impl Work {
    fn new(capability: &Capability, supply: &Supply) -> Self {
        Self {
            capability: capability.clone(),
            agents: supply.agents.clone(),
            workflows: supply.workflows.clone(),
            pending: supply.pending(),
            in_hand: supply.in_hand(),
            requests: supply.waiting(),
        }
    }
}

impl Show {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let agents = alive(&bus).await?;
        let workflows: Vec<_> = definitions::all(&bus).await?;
        let workflows: Vec<_> = workflows.into_iter().filter(|workflow| workflow.current.is_some()).collect();
        let all = supply(&bus.health().await?, &agents, &workflows);
        if let Some(alive) = agents.iter().find(|alive| alive.agent.agent.as_str() == self.name) {
            let has = |capability: &&Capability| alive.agent.capabilities.contains(capability);
            let work = all.iter().filter(|(capability, _)| has(capability));
            let work = work.map(|(capability, supply)| Work::new(capability, supply)).collect();
            let details = AgentDetails { alive, work };
            self.output.document(&details, || print_agent(&bus, &details))?;
        } else if let Some((capability, supply)) =
            all.iter().find(|(capability, _)| capability.as_str() == self.name)
        {
            let work = Work::new(capability, supply);
            self.output.document(&work, || print_capability(&work))?;
        } else {
            return Err(not_found(&self.name, &agents, &all));
        }
        Ok(Outcome::Done)
    }
}

fn not_found(name: &str, agents: &[Alive], all: &BTreeMap<Capability, Supply>) -> anyhow::Error {
    let agents = agents.iter().map(|alive| alive.agent.agent.as_str());
    let known = agents.chain(all.keys().map(Capability::as_str));
    unknown("agent or capability", name, known, "no agent is alive, and no workflow names a capability")
}

fn print_agent(bus: &dyn Bus, details: &AgentDetails<'_>) -> anyhow::Result<()> {
    let agent = &details.alive.agent;
    output::line(&format!("agent      {}", agent.agent))?;
    output::line(&format!("type       {} {}", agent.type_, agent.version))?;
    output::line(&format!("heartbeat  {}", age(bus.now() - details.alive.heartbeat)))?;
    output::line(&format!("capacity   {}", agent.capacity))?;
    output::line("")?;
    let rows: Vec<_> = details
        .work
        .iter()
        .map(|work| {
            let numbers =
                [work.agents.len() as u64, work.in_hand, work.pending].map(|number| number.to_string());
            let [agents, in_hand, pending] = numbers;
            [work.capability.to_string(), agents, in_hand, pending]
        })
        .collect();
    output::table(["CAPABILITY", "AGENTS", "IN HAND", "WAITING"], &rows)
}

fn print_capability(work: &Work) -> anyhow::Result<()> {
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    output::line(&format!("capability  {}", work.capability))?;
    output::line(&format!("agents      {}", list(work.agents.iter().map(AgentId::as_str).collect())))?;
    output::line(&format!(
        "workflows   {}",
        list(work.workflows.iter().map(WorkflowName::as_str).collect())
    ))?;
    output::line(&format!("in hand     {}", work.in_hand))?;
    output::line(&format!("waiting     {}", work.pending))?;
    output::line(&format!("requests    {} of agents that ask for more work", work.requests))?;
    Ok(())
}
