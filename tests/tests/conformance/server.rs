//! The servers that the tests run on.

use std::sync::Arc;

use anyhow::Result;
use mesh_bus::Bus;
use mesh_bus::memory::MemoryServer;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::Topology;
use mesh_schemas::{Namespace, Shards};
use mesh_tests::TestServer;

/// A server of a test's own, on which nothing is set up.
pub(crate) trait Server {
    /// A client with a connection of its own.
    async fn connect(&self) -> Result<Arc<dyn Bus>>;

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
}
