use clap::Args;
use mesh_bus::Bus as _;
use mesh_bus::topology::Bucket;
use mesh_schemas::payload::AgentRegistered;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};

/// List the agents that are alive
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let entries = bus.entries(Bucket::Agents).await?;
        let mut agents: Vec<AgentRegistered> =
            entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect();
        agents.sort_by(|a, b| a.agent.cmp(&b.agent));
        self.output.document(&agents, || {
            let rows: Vec<_> = agents.iter().map(row).collect();
            output::table(["AGENT", "TYPE", "CAPABILITIES", "CAPACITY", "VERSION"], &rows)
        })?;
        Ok(Outcome::Done)
    }
}

fn row(agent: &AgentRegistered) -> [String; 5] {
    let capabilities: Vec<&str> = agent.capabilities.iter().map(|capability| capability.as_str()).collect();
    [
        agent.agent.to_string(),
        agent.type_.clone(),
        capabilities.join(","),
        agent.capacity.to_string(),
        agent.version.clone(),
    ]
}
