use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use mesh_bus::Bus as _;
use mesh_bus::topology::{Replicas, Topology};
use mesh_orchestrator::Options;
use mesh_schemas::Shards;

use crate::connection::Connection;
use crate::durable::{Durable, demand};
use crate::exit::Outcome;

/// Run an orchestrator against a NATS server that is there
#[derive(Args)]
pub(crate) struct Orchestrator {
    #[command(flatten)]
    layout: Layout,
}

/// How a namespace is laid out when it is made.
#[derive(Args, Clone, Copy)]
pub(crate) struct Layout {
    /// Number of shards of the log, 1 to 64; fixed once the namespace exists
    #[arg(long, env = "MESH_SHARDS", default_value = "8", value_parser = shards)]
    shards: Shards,
    /// Copies of every stream in a NATS cluster: 1, 3 or 5
    #[arg(long, env = "MESH_REPLICAS", default_value = "1", value_parser = replicas)]
    replicas: Replicas,
    /// Lose nothing to a power failure. `mesh up` then forces each write onto the disk; an orchestrator refuses a server that
    /// may lose something, unless it is told =trust: that every server has `sync_interval: always`
    #[arg(
        long, env = "MESH_DURABLE", value_name = "WORD", value_enum,
        num_args = 0..=1, require_equals = true, default_missing_value = "yes"
    )]
    durable: Option<Durable>,
}

impl Layout {
    /// What an orchestrator runs with; `synced` is what is to be written down of the servers.
    pub(crate) fn options(self, synced: Option<bool>) -> Options {
        let topology = Topology { shards: self.shards, replicas: self.replicas, synced };
        Options { topology, ..Options::default() }
    }

    /// The same for a cluster of so many servers, which keeps so many copies.
    pub(crate) fn with_copies(self, copies: usize) -> Self {
        let replicas = u8::try_from(copies).map_or(self.replicas, Replicas);
        Self { replicas: Replicas(self.replicas.0.max(replicas.0)), ..self }
    }

    /// Whether a power failure is to lose nothing.
    pub(crate) fn is_durable(self) -> bool {
        matches!(self.durable, Some(Durable::Yes | Durable::Trust))
    }
}

impl Orchestrator {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let stop = mesh_agents::stop_signal()?;
        let bus = Arc::new(connection.connect().await?);
        if self.layout.durable == Some(Durable::Yes) {
            demand(&bus.health().await?, usize::from(self.layout.replicas.0))?;
        }
        let options = self.layout.options(self.layout.durable.and_then(Durable::written_down));
        mesh_orchestrator::run(bus, options, stop).await.context("the orchestrator stopped")?;
        Ok(Outcome::Done)
    }
}

fn shards(text: &str) -> Result<Shards, String> {
    text.parse().ok().and_then(Shards::new).ok_or_else(|| format!("use a number from 1 to {}", Shards::MAX))
}

fn replicas(text: &str) -> Result<Replicas, String> {
    match text {
        "1" => Ok(Replicas(1)),
        "3" => Ok(Replicas(3)),
        "5" => Ok(Replicas(5)),
        _ => Err("use 1, 3 or 5".to_owned()),
    }
}
