use std::sync::Arc;

use anyhow::Context as _;
use mesh_bus::Bus as _;
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::{Topology, agent_consumer};
use mesh_schemas::{Lane, Namespace, Shards};

use super::stage::{Launch, Stage};
use super::watch::{Scope, Watch};
use crate::commands::agent::check::Settings;
use crate::nats_server::ScratchServer;
use crate::scratch::Folder;

/// Where agents are tried.
pub(in super::super) enum Place {
    /// On a server of our own, with an agent that we start.
    Own(Box<Bench>),
    /// In a mesh that is there, with the agents that are there.
    Live(Arc<NatsBus>),
}

/// A server and a folder for the time of a check, and the command that starts the agent.
pub(in super::super) struct Bench {
    server: ScratchServer,
    command: Vec<String>,
    // After the server, whose data is in it.
    folder: Folder,
}

impl Bench {
    pub(in super::super) async fn new(command: Vec<String>) -> anyhow::Result<Self> {
        let folder = Folder::new("check")?;
        let server = ScratchServer::start(&folder.path().join("shared"), false).await?;
        Ok(Self { server, command, folder })
    }

    /// Another server, for a trial that stops it.
    pub(in super::super) async fn another_server(&self, name: &str) -> anyhow::Result<ScratchServer> {
        ScratchServer::start(&self.folder.path().join(name), false).await
    }

    async fn stage<'a>(
        &'a self,
        server: &ScratchServer,
        name: &str,
        settings: &'a Settings,
        scope: Scope,
        with_consumer: bool,
    ) -> anyhow::Result<Stage<'a>> {
        let namespace = Namespace::new(format!("check-{name}"))?;
        let bus = server.connect(&namespace).await?;
        let shards = Shards::new(1).context("one shard")?;
        bus.set_up(&Topology { shards, ..Topology::default() }).await?;
        if with_consumer {
            bus.ensure_consumer(&agent_consumer(&namespace, &settings.capability, &Lane::Normal)).await?;
        }
        let watch = Watch::begin(&bus, &settings.capability, scope).await?;
        let launch = Launch {
            command: &self.command,
            url: server.url(),
            log: self.folder.path().join(format!("{name}.log")),
        };
        Ok(Stage::new(Arc::new(bus), settings, watch, Some(launch)))
    }
}

impl Place {
    /// Everything that a trial needs: a namespace of its own, or the one that is there.
    pub(in super::super) async fn stage<'a>(
        &'a self,
        name: &str,
        settings: &'a Settings,
    ) -> anyhow::Result<Stage<'a>> {
        match self {
            Self::Own(bench) => bench.stage(&bench.server, name, settings, Scope::Everything, true).await,
            Self::Live(bus) => {
                let watch = Watch::begin(bus, &settings.capability, Scope::Capability).await?;
                Ok(Stage::new(Arc::clone(bus), settings, watch, None))
            }
        }
    }

    /// A namespace where the consumer is not there yet, and nobody listens to what the agent publishes.
    pub(in super::super) async fn empty_stage<'a>(
        &'a self,
        name: &str,
        settings: &'a Settings,
    ) -> anyhow::Result<Stage<'a>> {
        let bench = self.bench()?;
        bench.stage(&bench.server, name, settings, Scope::Stored, false).await
    }

    /// A namespace on another server.
    pub(in super::super) async fn stage_on<'a>(
        &'a self,
        server: &ScratchServer,
        name: &str,
        settings: &'a Settings,
    ) -> anyhow::Result<Stage<'a>> {
        self.bench()?.stage(server, name, settings, Scope::Everything, true).await
    }

    /// Whether others use the mesh, too.
    pub(in super::super) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }

    /// Stops and removes what was made for the check.
    pub(in super::super) async fn end(self) -> anyhow::Result<()> {
        match self {
            Self::Own(mut bench) => bench.server.stop().await,
            Self::Live(_) => Ok(()),
        }
    }

    /// What there is only where we start the agent.
    pub(in super::super) fn bench(&self) -> anyhow::Result<&Bench> {
        match self {
            Self::Own(bench) => Ok(bench),
            Self::Live(_) => anyhow::bail!("this trial needs the command that starts the agent"),
        }
    }
}
