//! The servers that the tests run on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

    /// Ends the server as a crash does. What it stored stays.
    fn stop(&self) -> Result<()>;

    /// Starts it again.
    fn start(&self) -> Result<()>;

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
pub(crate) struct Nats(Mutex<TestServer>);

impl Nats {
    pub(crate) fn start() -> Result<Self> {
        Ok(Self(Mutex::new(TestServer::start()?)))
    }

    fn server(&self) -> MutexGuard<'_, TestServer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server for Nats {
    async fn connect(&self) -> Result<Arc<dyn Bus>> {
        let options = ConnectOptions::new(&self.server().url());
        Ok(Arc::new(NatsBus::connect(options).await?))
    }

    fn stop(&self) -> Result<()> {
        self.server().kill9()
    }

    fn start(&self) -> Result<()> {
        self.server().restart()
    }

    async fn limit(&self, stream: Stream, messages: Option<usize>) -> Result<()> {
        let url = self.server().url();
        let jetstream = async_nats::jetstream::new(async_nats::connect(url).await?);
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

    fn stop(&self) -> Result<()> {
        self.0.stop();
        Ok(())
    }

    fn start(&self) -> Result<()> {
        self.0.start();
        Ok(())
    }

    async fn limit(&self, stream: Stream, messages: Option<usize>) -> Result<()> {
        self.0.limit(stream, messages);
        Ok(())
    }
}
