//! A NATS server for the time of one command.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use mesh_bus::BusError;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_schemas::Namespace;
use tokio::time::{Instant, sleep};

use super::NatsServers;

/// Longest time a server may take to start on a busy machine.
const START: Duration = Duration::from_secs(30);
/// Pause between attempts to reach a server that is starting.
const KNOCK: Duration = Duration::from_millis(50);
/// How often to choose another port when somebody took the one that was free a moment ago.
const PORTS: u32 = 5;

/// A server with a folder and a port of its own; it ends when it is dropped.
pub(crate) struct ScratchServer {
    running: Option<NatsServers>,
    data: PathBuf,
    port: u16,
    is_durable: bool,
}

impl ScratchServer {
    /// Starts a server and waits until it takes clients. A durable one forces each write onto the disk.
    pub(crate) async fn start(data: &Path, is_durable: bool) -> anyhow::Result<Self> {
        let mut last = None;
        for _ in 0..PORTS {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
            let port = free.context("finding a free port")?.port();
            let mut server = Self { running: None, data: data.to_owned(), port, is_durable };
            match server.start_again().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no port is free")))
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.running.as_ref().and_then(NatsServers::pid)
    }

    /// Stops it. What it stored stays.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    /// Starts it with what it had stored, on the same port.
    pub(crate) async fn start_again(&mut self) -> anyhow::Result<()> {
        let mut server = NatsServers::one(&self.data, self.port, self.is_durable).await?;
        let namespace = Namespace::default();
        tokio::select! {
            connected = self.connect(&namespace) => drop(connected?),
            error = server.ended() => return Err(error),
        }
        self.running = Some(server);
        Ok(())
    }

    /// Connects to it, also while it is starting.
    pub(crate) async fn connect(&self, namespace: &Namespace) -> anyhow::Result<NatsBus> {
        let options = ConnectOptions::new(&self.url()).namespace(namespace.clone()).name("mesh-cli");
        let give_up = Instant::now() + START;
        loop {
            match NatsBus::connect(options.clone()).await {
                Ok(bus) => return Ok(bus),
                Err(BusError::Connect { .. } | BusError::Unavailable { .. }) if Instant::now() < give_up => {}
                Err(error) => bail!(error),
            }
            sleep(KNOCK).await;
        }
    }
}
