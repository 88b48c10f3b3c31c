//! A mesh for the time of one round: server, orchestrators, agents and what takes their telemetry.

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
use tokio_util::sync::CancellationToken;

use super::part::Part;
use super::parts::{Loop, Serve};
use super::plan::{Plan, Subject};
use super::usage::{self, Usage};
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
    pub(super) agents: Vec<Part>,
    pub(super) collector: Option<Process>,
    /// Where metrics are told.
    pub(super) endpoints: Vec<SocketAddr>,
    orchestrators: Vec<Part>,
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
            None => Some(ScratchServer::start(&folder.path().join("nats"), plan.is_durable).await?),
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
        let options = options.namespace(namespace.clone());
        let bus = NatsBus::connect(options.clone().name("mesh-bench")).await?;
        bus.set_up(&Topology::default()).await?;
        let collector = if plan.telemetry.is_sent() { Some(collector(&folder).await?) } else { None };
        let mut starter = Starter {
            plan,
            given,
            url: server.as_ref().map(ScratchServer::url),
            options,
            namespace,
            collector: collector.as_ref().map(|(_, address)| *address),
            folder: folder.path(),
            endpoints: Vec::new(),
        };
        let orchestrators = (1..=plan.orchestrators).map(|number| starter.orchestrator(number));
        let orchestrators = orchestrators.collect::<anyhow::Result<_>>()?;
        let agents = (1..=plan.agents).map(|number| starter.agent(number));
        let agents = agents.collect::<anyhow::Result<_>>()?;
        let endpoints = starter.endpoints;
        let collector = collector.map(|(process, _)| process);
        Ok(Self { bus: Arc::new(bus), orchestrators, agents, collector, endpoints, server, _folder: folder })
    }

    /// Process id of the server, if it is ours.
    pub(super) fn server_pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(ScratchServer::pid)
    }

    /// What all orchestrators took so far.
    pub(super) fn orchestrators(&self) -> Option<Usage> {
        usage_of(&self.orchestrators)
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.agents.iter().chain(&self.orchestrators)
    }

    /// Waits until one of the parts ends, and says which.
    pub(super) async fn ended(&self) -> anyhow::Error {
        let ends = self.parts().map(|part| Box::pin(part.ended()));
        let (words, place, _) = futures::future::select_all(ends).await;
        let what = if place < self.agents.len() { "an agent" } else { "an orchestrator" };
        anyhow::anyhow!("{what} ended; it said last: {words}")
    }

    /// Stops all of it, and removes the namespace from a server that was there.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for part in self.parts() {
            part.terminate()?;
        }
        for part in self.parts() {
            part.gone(START).await?;
        }
        if let Some(collector) = self.collector.take() {
            collector.kill().await?;
        }
        match self.server.take() {
            Some(mut server) => {
                // First, so that it does not tell that it lost the server.
                drop(self.bus);
                server.stop().await
            }
            None => {
                remove(&self.bus).await;
                Ok(())
            }
        }
    }
}

/// What parts took together, where they are processes.
pub(super) fn usage_of(parts: &[Part]) -> Option<Usage> {
    let pids: Option<Vec<u32>> = parts.iter().map(Part::pid).collect();
    usage::of_all(&pids?)
}

/// How the parts of a mesh are started.
struct Starter<'a> {
    plan: &'a Plan,
    given: Option<&'a Connection>,
    url: Option<String>,
    options: ConnectOptions,
    namespace: Namespace,
    collector: Option<SocketAddr>,
    folder: &'a Path,
    /// Where those that were started tell their metrics.
    endpoints: Vec<SocketAddr>,
}

impl Starter<'_> {
    fn orchestrator(&mut self, number: u32) -> anyhow::Result<Part> {
        let name = format!("orchestrator-{number}");
        let endpoint = self.endpoint()?;
        let course = self.course();
        let options = self.options.clone().name(&name);
        let stop = CancellationToken::new();
        match (self.plan.subject, self.plan.in_process) {
            (Subject::Mesh, false) => {
                let endpoint = endpoint.map_or_else(|| "off".to_owned(), |endpoint| endpoint.to_string());
                self.start(&name, &["orchestrator", "--observe", &endpoint].map(ToOwned::to_owned))
            }
            (Subject::Floor, false) => self.start(&name, &course.arguments("floor-orchestrator")),
            (Subject::Mesh, true) => Ok(Part::here(orchestrate(options, stop.clone()), stop)),
            (Subject::Floor, true) => Ok(Part::here(until(stop.clone(), course.orchestrate(options)), stop)),
        }
    }

    fn agent(&mut self, number: u32) -> anyhow::Result<Part> {
        let name = format!("agent-{number}");
        let course = self.course();
        let serve = Serve {
            tasks: self.plan.agent_capacity,
            capabilities: self.plan.capabilities,
            one_in_fails: self.plan.workload.one_in_fails(),
            endpoint: self.endpoint()?,
        };
        let options = self.options.clone().name(&name);
        let stop = CancellationToken::new();
        match (self.plan.subject, self.plan.in_process) {
            (Subject::Mesh, false) => self.start(&name, &serve.arguments()),
            (Subject::Floor, false) => self.start(&name, &course.arguments("floor-agent")),
            (Subject::Mesh, true) => Ok(Part::here(serve.run(options, stop.clone()), stop)),
            (Subject::Floor, true) => Ok(Part::here(until(stop.clone(), course.work(options)), stop)),
        }
    }

    fn course(&self) -> Loop {
        Loop {
            workload: self.plan.workload,
            payload: self.plan.payload,
            capabilities: self.plan.capabilities,
            tasks: self.plan.agent_capacity,
        }
    }

    /// Starts this program once more. Nothing that the environment or a configuration file says of a mesh reaches it.
    fn start(&self, name: &str, arguments: &[String]) -> anyhow::Result<Part> {
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
        Process::start(&command, prepare, &self.folder.join(format!("{name}.log"))).map(Part::Process)
    }

    /// Where the next part is to tell its metrics, if it is to.
    fn endpoint(&mut self) -> anyhow::Result<Option<SocketAddr>> {
        let endpoint = self.plan.telemetry.has_endpoint().then(free_address).transpose()?;
        self.endpoints.extend(endpoint);
        Ok(endpoint)
    }
}

/// Is an orchestrator until it is to stop.
async fn orchestrate(options: ConnectOptions, stop: CancellationToken) -> anyhow::Result<()> {
    let bus = Arc::new(NatsBus::connect(options).await?);
    Ok(mesh_orchestrator::run(bus, mesh_orchestrator::Options::default(), stop).await?)
}

/// Does something that has no end until it is to stop.
async fn until(
    stop: CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        result = work => result,
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
