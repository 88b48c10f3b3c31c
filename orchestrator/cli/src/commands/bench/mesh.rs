//! A mesh for the time of one round: server, orchestrator, agents and what takes their telemetry, each a process of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use mesh_bus::Bus as _;
use mesh_bus::nats::settings::variable;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Bucket, Stream, Topology};
use mesh_schemas::Namespace;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::round::Plan;
use crate::connection::Connection;
use crate::nats_server::ScratchServer;
use crate::process::{Process, without};
use crate::scratch::Folder;

/// Longest time that a process may take to start on a busy machine, and to stop.
const START: Duration = Duration::from_secs(30);
/// Pause before it is looked again whether something is there.
const KNOCK: Duration = Duration::from_millis(50);

/// Everything that a round is measured with. What is still there when this is dropped is killed.
pub(super) struct Mesh {
    pub(super) bus: Arc<NatsBus>,
    pub(super) orchestrator: Process,
    pub(super) agents: Vec<Process>,
    pub(super) collector: Option<Process>,
    /// Where metrics are told.
    pub(super) endpoints: Vec<SocketAddr>,
    /// The server, if it is ours.
    server: Option<ScratchServer>,
    // After all that has its data in it.
    _folder: Folder,
}

impl Mesh {
    /// Starts all of it, on a server that is there if one is given. What is asked for meanwhile waits.
    pub(super) async fn start(plan: &Plan, given: Option<&Connection>) -> anyhow::Result<Self> {
        let folder = Folder::new("bench")?;
        let server = match given {
            Some(_) => None,
            None => Some(ScratchServer::start(&folder.path().join("nats")).await?),
        };
        let namespace = match server {
            Some(_) => Namespace::new("bench")?,
            None => Namespace::new(format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]))?,
        };
        let options = match (&server, given) {
            (Some(server), _) => ConnectOptions::new(&server.url()),
            (None, Some(given)) => given.options()?,
            (None, None) => bail!("there is no server"),
        };
        let bus = NatsBus::connect(options.namespace(namespace.clone()).name("mesh-bench")).await?;
        bus.set_up(&Topology::default()).await?;
        let collector = if plan.telemetry.is_sent() { Some(collector(&folder).await?) } else { None };
        let starter = Starter {
            plan,
            given,
            url: server.as_ref().map(ScratchServer::url),
            namespace,
            collector: collector.as_ref().map(|(_, address)| *address),
            folder: folder.path(),
        };
        let mut endpoints = Vec::new();
        let mut arguments = vec!["orchestrator".to_owned(), "--observe".to_owned()];
        arguments.push(match starter.endpoint()? {
            Some(endpoint) => {
                endpoints.push(endpoint);
                endpoint.to_string()
            }
            None => "off".to_owned(),
        });
        let orchestrator = starter.start("orchestrator", &arguments)?;
        let mut agents = Vec::new();
        for number in 1..=plan.agents {
            let tasks = plan.agent_capacity.to_string();
            let mut arguments = ["bench-part", "agent", "--tasks", &tasks].map(ToOwned::to_owned).to_vec();
            if let Some(endpoint) = starter.endpoint()? {
                endpoints.push(endpoint);
                arguments.extend(["--at".to_owned(), endpoint.to_string()]);
            }
            agents.push(starter.start(&format!("agent-{number}"), &arguments)?);
        }
        let collector = collector.map(|(process, _)| process);
        Ok(Self { bus: Arc::new(bus), orchestrator, agents, collector, endpoints, server, _folder: folder })
    }

    /// Process id of the server, if it is ours.
    pub(super) fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(ScratchServer::pid)
    }

    /// Waits until one of the processes ends, and says which.
    pub(super) async fn ended(&self) -> anyhow::Error {
        let agent = futures::future::select_all(self.agents.iter().map(|agent| Box::pin(agent.ended())));
        let (what, process) = tokio::select! {
            _ = self.orchestrator.ended() => ("the orchestrator", &self.orchestrator),
            (_, place, _) = agent => ("an agent", &self.agents[place]),
        };
        anyhow::anyhow!("{what} ended; it printed last: {}", process.last_words())
    }

    /// Stops all of it, and removes the namespace from a server that was there.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        let Self { bus, orchestrator, agents, collector, server, _folder, .. } = self;
        let processes = || agents.iter().chain([&orchestrator]);
        for process in processes() {
            process.terminate()?;
        }
        for process in processes() {
            if timeout(START, process.ended()).await.is_err() {
                process.kill().await?;
            }
        }
        if let Some(collector) = collector {
            collector.kill().await?;
        }
        match server {
            Some(mut server) => {
                // First, so that it does not tell that it lost the server.
                drop(bus);
                server.stop().await
            }
            None => {
                remove(&bus).await;
                Ok(())
            }
        }
    }
}

/// How the processes of a mesh are started.
struct Starter<'a> {
    plan: &'a Plan,
    given: Option<&'a Connection>,
    url: Option<String>,
    namespace: Namespace,
    collector: Option<SocketAddr>,
    folder: &'a Path,
}

impl Starter<'_> {
    /// Starts this program once more. Nothing that the environment or a configuration file says of a mesh reaches it.
    fn start(&self, name: &str, arguments: &[String]) -> anyhow::Result<Process> {
        let configuration = self.folder.join("config.yaml");
        std::fs::write(&configuration, "{}\n").context("writing an empty configuration")?;
        let mut command = vec![program()?];
        command.extend_from_slice(arguments);
        let prepare = |started: &mut Command| {
            without(started, &["MESH_", "OTEL_", "RUST_LOG"]);
            if let Some(given) = self.given {
                started.envs(given.variables());
            }
            if let Some(url) = &self.url {
                started.env(variable::URL, url);
            }
            started.env(variable::NAMESPACE, self.namespace.as_str()).env("MESH_CONFIG", configuration);
            self.plan.telemetry.prepare(started, self.collector);
        };
        Process::start(&command, prepare, &self.folder.join(format!("{name}.log")))
    }

    /// Where the next process is to tell its metrics, if it is to.
    fn endpoint(&self) -> anyhow::Result<Option<SocketAddr>> {
        self.plan.telemetry.has_endpoint().then(free_address).transpose()
    }
}

/// Starts what takes telemetry, and waits until it listens.
async fn collector(folder: &Folder) -> anyhow::Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let command = [program()?, "bench-part".to_owned(), "collector".to_owned(), address.to_string()];
    let prepare = |started: &mut Command| without(started, &["MESH_", "OTEL_", "RUST_LOG"]);
    let process = Process::start(&command, prepare, &folder.path().join("collector.log"))?;
    let knock = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(KNOCK).await;
        }
    };
    tokio::select! {
        knocked = timeout(START, knock) => knocked.context("the collector does not listen")?,
        _ = process.ended() => bail!("the collector ended; it printed last: {}", process.last_words()),
    }
    Ok((process, address))
}

/// This program.
fn program() -> anyhow::Result<String> {
    let path = std::env::current_exe()?.into_os_string().into_string();
    path.map_err(|path| anyhow::anyhow!("the path of this program is not text: {}", path.display()))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.context("finding a free port")
}

/// Removes a namespace; says what of it stays.
async fn remove(bus: &NatsBus) {
    let namespace = bus.namespace();
    let streams = Stream::ALL.iter().map(|stream| stream.name(namespace));
    let buckets = Bucket::ALL.iter().map(|bucket| format!("KV_{}", bucket.name(namespace)));
    let objects = format!("OBJ_{}", namespace.object_bucket());
    for name in streams.chain(buckets).chain([objects]) {
        if let Err(error) = bus.jetstream(&format!("STREAM.DELETE.{name}"), &json!({})).await {
            eprintln!("warning: the stream {name} stays: {error}");
        }
    }
}
