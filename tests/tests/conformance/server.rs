//! The servers that the tests run on.

use std::sync::Arc;

use anyhow::Result;
use mesh_bus::Bus;
use mesh_bus::memory::MemoryServer;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Stream, Topology};
use mesh_schemas::{Namespace, Shards};
use mesh_tests::TestServer;

/// A server of a test's own, on which nothing is set up.
pub(crate) trait Server {
    /// A client with a connection of its own.
    async fn connect(&self) -> Result<Arc<dyn Bus>>;

    /// Bounds how many messages a stream takes, or lifts the bound.
    async fn limit(&self, stream: Stream, messages: Option<usize>) -> Result<()>;

    /// A client, after setting up a namespace of two shards.
    async fn set_up(&self) -> Result<Arc<dyn Bus>> {
        let bus = self.connect().await?;
        bus.set_up(&topology(2)).await?;
        Ok(bus)
    }
}

/// A layout with so many shards.
pub(crate) fn topology(shards: u32) -> Topology {
    Topology { shards: Shards::new(shards).expect("a number of shards"), ..Topology::default() }
}

/// A NATS server.
pub(crate) struct Nats(TestServer);

impl Nats {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self(TestServer::start()?))
    }
}

impl Server for Nats {
    async fn connect(&self) -> Result<Arc<dyn Bus>> {
        Ok(Arc::new(NatsBus::connect(ConnectOptions::new(&self.0.url())).await?))
    }

    async fn limit(&self, stream: Stream, messages: Option<usize>) -> Result<()> {
        let jetstream = async_nats::jetstream::new(async_nats::connect(self.0.url()).await?);
        let name = stream.name(&Namespace::default());
        let mut config = jetstream.get_stream(name).await?.cached_info().config.clone();
        config.max_messages = messages.map_or(Ok(-1), i64::try_from)?;
        jetstream.update_stream(&config).await?;
        Ok(())
    }
}

/// A server in this process.
pub(crate) struct Memory(MemoryServer);

impl Memory {
    pub(crate) fn start() -> Self {
        Self(MemoryServer::new(Namespace::default()))
    }
}

impl Server for Memory {
    async fn connect(&self) -> Result<Arc<dyn Bus>> {
        Ok(self.0.connect())
    }

    async fn limit(&self, stream: Stream, messages: Option<usize>) -> Result<()> {
        self.0.limit(stream, messages);
        Ok(())
    }
}
