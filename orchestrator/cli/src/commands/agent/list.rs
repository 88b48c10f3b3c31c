use chrono::{DateTime, Utc};
use clap::Args;
use mesh_bus::Bus as _;

use crate::connection::Connection;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::supply::{Alive, alive};
use crate::words::age;

/// List the agents that are alive
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    output: Output,
}

impl List {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let bus = connection.connect().await?;
        let agents = alive(&bus).await?;
        let now = bus.now();
        self.output.document(&agents, || {
            let rows: Vec<_> = agents.iter().map(|agent| row(agent, now)).collect();
            output::table(["AGENT", "TYPE", "CAPABILITIES", "CAPACITY", "HEARTBEAT", "VERSION"], &rows)
        })?;
        Ok(Outcome::Done)
    }
}

fn row(alive: &Alive, now: DateTime<Utc>) -> [String; 6] {
    let agent = &alive.agent;
    let capabilities: Vec<&str> = agent.capabilities.iter().map(|capability| capability.as_str()).collect();
    [
        agent.agent.to_string(),
        agent.type_.clone(),
        capabilities.join(","),
        agent.capacity.to_string(),
        age(now - alive.heartbeat),
        agent.version.clone(),
    ]
}
