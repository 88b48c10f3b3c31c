//! The servers of one `mesh up`: one, or a cluster of three to try.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::select_all;
use mesh_schemas::ErrorCode;

use super::{NatsServer, Sync, port};
use crate::failure::Failure;

/// Servers of a cluster: as many as there are copies.
const CLUSTER: usize = 3;
/// Pause before a server of a cluster that ended is started again: long enough to see the others do without it.
const AGAIN: Duration = Duration::from_secs(2);
/// Time in which others have ended, too, that were ended by the same.
const MOMENT: Duration = Duration::from_millis(250);
/// Where a server keeps what it stores, in its folder.
const STORE: &str = "jetstream";

/// How a server finds the others of its cluster.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) routes: String,
}

/// One server, or three that keep copies of each other's streams.
pub(crate) struct NatsServers {
    servers: Vec<(PathBuf, Option<Member>, NatsServer)>,
    durable: bool,
}

impl NatsServers {
    /// Starts one server on a folder and a port.
    pub(crate) async fn one(data: &Path, port: u16, durable: bool) -> anyhow::Result<Self> {
        if folder_of(data, 1).exists() {
            return Err(mixed(data, "three servers", "--cluster").into());
        }
        let server = NatsServer::start(data, port, durable, None).await?;
        Ok(Self { servers: vec![(data.to_owned(), None, server)], durable })
    }

    /// Starts a cluster on folders in a folder, and on a port and those that follow it; on any free ones for 0.
    pub(crate) async fn three(data: &Path, port: u16, durable: bool) -> anyhow::Result<Self> {
        if data.join(STORE).exists() {
            return Err(mixed(data, "one server", "no --cluster").into());
        }
        let client_port = |number: u16| if port == 0 { 0 } else { port.saturating_add(number - 1) };
        if !data.exists() {
            (1..).take(CLUSTER).try_for_each(|number| port::free(client_port(number)).map(drop))?;
        }
        let ports = (0..CLUSTER).map(|_| port::free(0)).collect::<anyhow::Result<Vec<u16>>>()?;
        let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let mut servers = Vec::new();
        for (number, cluster_port) in (1..).zip(ports) {
            let folder = folder_of(data, number);
            let member = Member { name: format!("n{number}"), port: cluster_port, routes: routes.join(",") };
            let server = NatsServer::start(&folder, client_port(number), durable, Some(&member)).await?;
            servers.push((folder, Some(member), server));
        }
        Ok(Self { servers, durable })
    }

    /// Where they listen.
    pub(crate) fn url(&self) -> String {
        let url = |(_, _, server): &(_, _, NatsServer)| format!("nats://127.0.0.1:{}", server.port());
        self.servers.iter().map(url).collect::<Vec<_>>().join(",")
    }

    /// Process id of the first, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.servers.first().and_then(|(_, _, server)| server.process.id())
    }

    /// How often they force written data onto the disk.
    pub(crate) fn sync(&self) -> Option<&Sync> {
        self.servers.first().map(|(_, _, server)| server.sync())
    }

    /// How many copies they keep.
    pub(crate) fn copies(&self) -> usize {
        self.servers.len()
    }

    /// Waits until the mesh cannot go on without a server that has ended, and says why. One of a cluster that ended is
    /// started again.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        loop {
            let ends = self.servers.iter_mut().map(|(_, _, server)| Box::pin(server.ended()));
            let (error, place, _) = select_all(ends).await;
            if self.servers.len() < CLUSTER {
                return error;
            }
            let (folder, member, server) = self.servers.remove(place);
            let port = server.port();
            // It holds the lock of its folder.
            drop(server);
            let name = member.as_ref().map(|member| member.name.clone()).unwrap_or_default();
            tokio::time::sleep(MOMENT).await;
            let others = match self.running() {
                2 => "the other two go on meanwhile",
                _ => "until two are there, everything stands still",
            };
            eprintln!("server {name} has ended, and is started again: {others}");
            tokio::time::sleep(AGAIN).await;
            match NatsServer::start(&folder, port, self.durable, member.as_ref()).await {
                Ok(server) => self.servers.insert(place, (folder, member, server)),
                Err(error) => return error,
            }
        }
    }

    /// How many have not ended.
    fn running(&mut self) -> usize {
        self.servers.iter_mut().map(|(_, _, server)| usize::from(server.is_running())).sum()
    }

    /// Stops them in order.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        for (_, _, server) in self.servers {
            server.stop().await?;
        }
        Ok(())
    }
}

fn folder_of(data: &Path, number: u16) -> PathBuf {
    data.join(format!("n{number}"))
}

fn mixed(data: &Path, holds: &str, flag: &str) -> Failure {
    let message = format!(
        "the data folder {} is that of {holds}: start it with {flag}, or choose another folder with --data",
        data.display()
    );
    Failure::new(ErrorCode::DataFolder, message)
}
