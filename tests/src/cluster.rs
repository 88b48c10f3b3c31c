//! Three NATS servers that keep copies of each other's streams, with gates between them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, stream::Config};

use crate::gate::Gate;
use crate::server::{TestServer, free_port};
use crate::world::patiently;

/// How many servers.
pub const SERVERS: usize = 3;
/// Pause between two looks at servers that come to terms with each other.
const LOOK: Duration = Duration::from_millis(100);

/// A cluster of one's own. Dropping it kills the servers and removes their folders.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<TestServer>,
    /// The gate from each server to each other, by their numbers.
    gates: Vec<((usize, usize), Gate)>,
    folder: PathBuf,
}

impl Cluster {
    /// Starts the servers, and waits until all of them have found each other and keep copies.
    ///
    /// # Errors
    /// If they do not start, or do not find each other in time.
    pub async fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("mesh-cluster-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder)?;
        let ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect::<Result<_>>()?;
        let mut gates = Vec::new();
        for from in 0..SERVERS {
            for (to, port) in ports.iter().enumerate().filter(|(to, _)| *to != from) {
                gates.push(((from, to), Gate::to(*port).await?));
            }
        }
        let mut servers = Vec::new();
        for (number, port) in ports.iter().enumerate() {
            let routes = gates.iter().filter(|((from, _), _)| *from == number);
            let routes: Vec<String> =
                routes.map(|(_, gate)| format!("nats://127.0.0.1:{}", gate.port())).collect();
            let path = folder.join(format!("n{number}.conf"));
            std::fs::write(&path, configuration(number, *port, &routes))?;
            let path = path.to_str().context("the folder's name is no text")?;
            servers.push(tokio::task::block_in_place(|| TestServer::start_with(&["--config", path]))?);
        }
        let cluster = Self { servers, gates, folder };
        cluster.until_formed().await?;
        Ok(cluster)
    }

    /// Where all of them listen.
    #[must_use]
    pub fn urls(&self) -> String {
        self.servers.iter().map(TestServer::url).collect::<Vec<_>>().join(",")
    }

    /// One of the servers.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn server(&mut self, number: usize) -> Result<&mut TestServer> {
        self.servers.get_mut(number).context("no such server")
    }

    /// Cuts a server off from the others, or lets it have them back. Its clients notice nothing but that.
    pub fn isolate(&self, number: usize, is_alone: bool) {
        for (_, gate) in self.gates.iter().filter(|((from, to), _)| *from == number || *to == number) {
            gate.set_open(!is_alone);
        }
    }

    /// The number of the server that leads a stream.
    ///
    /// # Errors
    /// If no server answers in time, or none leads.
    pub async fn leader(&self, stream: &str) -> Result<usize> {
        let context = jetstream::new(async_nats::connect(self.addresses()?).await?);
        let led = async {
            loop {
                if let Ok(mut stream) = context.get_stream(stream).await
                    && let Ok(info) = stream.info().await
                    && let Some(leader) = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone())
                {
                    return leader;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let leader = patiently(&format!("a leader of {stream}"), led).await?;
        let number = leader.strip_prefix('n').and_then(|number| number.parse().ok());
        number.with_context(|| format!("the leader is called {leader:?}"))
    }

    /// Waits until every server has every message of every stream.
    ///
    /// # Errors
    /// If that does not come to pass in time.
    pub async fn until_whole(&self) -> Result<()> {
        let whole = async {
            loop {
                if self.is_whole().await.unwrap_or(false) {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        patiently("all copies of all streams to be the same", whole).await
    }

    async fn is_whole(&self) -> Result<bool> {
        use futures::TryStreamExt as _;
        let context = jetstream::new(async_nats::connect(self.addresses()?).await?);
        let streams: Vec<_> = context.streams().try_collect().await?;
        ensure!(!streams.is_empty(), "no streams");
        Ok(streams.iter().all(|stream| {
            stream.cluster.as_ref().is_some_and(|cluster| {
                cluster.leader.is_some()
                    && cluster.replicas.iter().all(|replica| replica.current && !replica.offline)
            })
        }))
    }

    /// Who leads may have been chosen by two of three, with the third unknown to them: only a stream with a copy on each
    /// shows that all are there.
    async fn until_formed(&self) -> Result<()> {
        let formed = async {
            while self.keep_copies().await.is_err() {
                tokio::time::sleep(LOOK).await;
            }
        };
        patiently("the servers to find each other", formed).await
    }

    async fn keep_copies(&self) -> Result<()> {
        let context = jetstream::new(async_nats::connect(self.addresses()?).await?);
        let name = "FORMED".to_owned();
        context
            .get_or_create_stream(Config { name: name.clone(), num_replicas: SERVERS, ..Config::default() })
            .await?;
        context.delete_stream(name).await?;
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<async_nats::ServerAddr>> {
        self.servers.iter().map(|server| Ok(server.url().parse()?)).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// The servers know each other only by the gates: what they would tell others of where they are leads nowhere.
fn configuration(number: usize, port: u16, routes: &[String]) -> String {
    format!(
        "server_name: n{number}
         cluster {{
           name: mesh
           listen: 127.0.0.1:{port}
           advertise: \"127.0.0.1:1\"
           no_advertise: true
           routes: {routes:?}
         }}"
    )
}
