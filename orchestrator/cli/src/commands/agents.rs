use clap::Args;
use mesh_bus::Bus as _;
use mesh_bus::topology::Bucket;
use mesh_schemas::payload::AgentRegistered;

use crate::Connection;
use crate::exit::Outcome;
use crate::output::{self, Format};

/// List the agents that are alive
#[derive(Args)]
pub(crate) struct Agents {
    /// How to print them
    #[arg(long, short, value_enum, default_value_t)]
    output: Format,
}

impl Agents {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let entries = bus.entries(Bucket::Agents).await?;
        let mut agents: Vec<AgentRegistered> =
            entries.iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect();
        agents.sort_by(|a, b| a.agent.cmp(&b.agent));
        match self.output {
            Format::Json => output::json(&agents)?,
            Format::Table => output::table(
                ["AGENT", "TYPE", "CAPABILITIES", "CAPACITY", "VERSION"],
                &agents.into_iter().map(row).collect::<Vec<_>>(),
            )?,
        }
        Ok(Outcome::Done)
    }
}

fn row(agent: AgentRegistered) -> [String; 5] {
    let capabilities: Vec<&str> = agent.capabilities.iter().map(|capability| capability.as_str()).collect();
    [agent.agent.to_string(), agent.type_, capabilities.join(","), agent.capacity.to_string(), agent.version]
}
