use std::path::PathBuf;

use clap::Args;
use mesh_agents::{Agent, AgentBuilder, DEFAULT_OUTPUT_LIMIT, Secrets};
use mesh_schemas::definition::Span;
use mesh_schemas::{AgentId, Capability};

use crate::commands::observe::Observe;
use crate::connection::Connection;
use crate::exit::Outcome;

/// What every agent that is run from the command line needs to know.
#[derive(Args)]
pub(crate) struct Service {
    /// What the agent can do: tasks whose `agent` is this come to it
    #[arg(long, short, value_name = "NAME")]
    pub(crate) capability: Capability,
    /// How many tasks it does at once
    #[arg(long, env = "MESH_AGENT_CAPACITY", default_value = "10", value_name = "N", value_parser = capacity)]
    capacity: usize,
    /// How long running tasks get to end when the agent is stopped; what does not end is handed to other agents
    #[arg(long, env = "MESH_AGENT_DRAIN_TIMEOUT", default_value = "25s", value_name = "TIME")]
    drain_timeout: Span,
    /// Most bytes of output that are taken
    #[arg(long, env = "MESH_AGENT_OUTPUT_LIMIT", default_value_t = DEFAULT_OUTPUT_LIMIT, value_name = "BYTES")]
    pub(crate) output_limit: usize,
    /// Folder with a file for each secret that tasks refer to; else each is in a variable of its own, MESH_SECRET_ and its name
    #[arg(long, env = "MESH_SECRETS_DIR", value_name = "FOLDER")]
    secrets_dir: Option<PathBuf>,
    /// Type of the agent, the same for all processes of one deployment [default: the capability]
    #[arg(long = "type", env = "MESH_AGENT_TYPE", value_name = "NAME")]
    type_: Option<AgentId>,
    #[command(flatten)]
    observe: Observe,
}

impl Service {
    /// The type of the agent.
    pub(super) fn type_(&self) -> &str {
        self.type_.as_ref().map_or(self.capability.as_str(), AgentId::as_str)
    }

    /// Runs the agent until SIGTERM or Ctrl-C.
    pub(crate) async fn run(
        self,
        connection: &Connection,
        handler: impl FnOnce(AgentBuilder, &str) -> AgentBuilder,
    ) -> anyhow::Result<Outcome> {
        let type_ = self.type_().to_owned();
        let secrets = self.secrets_dir.map_or_else(Secrets::from_env, Secrets::in_folder);
        let builder = Agent::builder(type_)
            .secrets(secrets)
            .version(env!("CARGO_PKG_VERSION"))
            .capacity(self.capacity)
            .drain_timeout(self.drain_timeout.get())
            .connect(connection.options()?);
        let builder = match self.observe.address() {
            Some(address) => builder.observe(address),
            None => builder,
        };
        handler(builder, self.capability.as_str()).run().await?;
        Ok(Outcome::Done)
    }
}

fn capacity(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| "use a number from 1 to 10000".to_owned())
}
