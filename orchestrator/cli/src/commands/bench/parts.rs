//! The processes that a measurement starts beside servers and orchestrators: this program once more.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, Subcommand};
use mesh_agents::{Agent, Output, TaskFailure};
use mesh_bus::Bus as _;
use mesh_bus::nats::floor::Floor;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_schemas::Attempt;
use tokio_util::sync::CancellationToken;

use super::bodies::bodies;
use super::workload::{self, CAPABILITY, Workload};
use crate::connection::Connection;
use crate::exit::Outcome;

/// What a collector of telemetry says to everything.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A part of a measurement
#[derive(Subcommand)]
pub(crate) enum BenchPart {
    /// An agent that gives back what it is given
    Agent(Serve),
    /// The part of the bare loop that an orchestrator has in a mesh
    FloorOrchestrator(Loop),
    /// The part of the bare loop that an agent has in a mesh
    FloorAgent(Loop),
    /// Takes telemetry by OTLP over HTTP, and throws it away
    Collector {
        /// Where it listens
        address: SocketAddr,
    },
}

/// How an agent works.
#[derive(Args, Clone, Copy)]
pub(crate) struct Serve {
    /// Tasks at once, of each capability
    #[arg(long)]
    pub(super) tasks: u32,
    /// How many capabilities it has
    #[arg(long)]
    pub(super) capabilities: u32,
    /// One first attempt in so many fails; 0 for none
    #[arg(long)]
    pub(super) one_in_fails: u64,
    /// Where it tells metrics
    #[arg(long = "at")]
    pub(super) endpoint: Option<SocketAddr>,
}

/// What the bare loop goes through.
#[derive(Args, Clone, Copy)]
pub(crate) struct Loop {
    #[arg(long)]
    pub(super) workload: Workload,
    /// Bytes of text in each body
    #[arg(long)]
    pub(super) payload: u32,
    #[arg(long)]
    pub(super) capabilities: u32,
    /// Tasks at once, of each capability
    #[arg(long)]
    pub(super) tasks: u32,
}

impl BenchPart {
    pub(crate) async fn run(self, connection: &Connection) -> anyhow::Result<Outcome> {
        let options = || connection.options();
        match self {
            Self::Agent(serve) => serve.run(options()?, mesh_agents::stop_signal()?).await?,
            Self::FloorOrchestrator(course) => course.orchestrate(options()?).await?,
            Self::FloorAgent(course) => course.work(options()?).await?,
            Self::Collector { address } => collect(TcpListener::bind(address)?)?,
        }
        Ok(Outcome::Done)
    }
}

impl Serve {
    /// What the process is started with.
    pub(super) fn arguments(self) -> Vec<String> {
        let mut arguments = vec![
            "bench-part".to_owned(),
            "agent".to_owned(),
            format!("--tasks={}", self.tasks),
            format!("--capabilities={}", self.capabilities),
            format!("--one-in-fails={}", self.one_in_fails),
        ];
        arguments.extend(self.endpoint.map(|endpoint| format!("--at={endpoint}")));
        arguments
    }

    /// Does tasks until it is to stop.
    pub(super) async fn run(self, options: ConnectOptions, stop: CancellationToken) -> anyhow::Result<()> {
        let mut agent = Agent::builder(CAPABILITY).capacity(self.tasks as usize).connect(options);
        if let Some(endpoint) = self.endpoint {
            agent = agent.observe(endpoint);
        }
        let taken = Arc::new(AtomicU64::new(0));
        for capability in 0..self.capabilities {
            let taken = Arc::clone(&taken);
            agent = agent.raw_capability(&workload::name(capability), move |_, task| {
                let number = if self.one_in_fails == 0 { 1 } else { taken.fetch_add(1, Ordering::Relaxed) };
                async move {
                    if self.one_in_fails > 0
                        && number.is_multiple_of(self.one_in_fails)
                        && task.attempt == Attempt::FIRST
                    {
                        return Err(TaskFailure::retryable("bench_failure", "one of those that are to fail"));
                    }
                    Ok(Output::new(task.input))
                }
            });
        }
        Ok(agent.run_until(stop).await?)
    }
}

impl Loop {
    /// What the process is started with that is this part.
    pub(super) fn arguments(self, part: &str) -> Vec<String> {
        vec![
            "bench-part".to_owned(),
            part.to_owned(),
            format!("--workload={}", self.workload.name()),
            format!("--payload={}", self.payload),
            format!("--capabilities={}", self.capabilities),
            format!("--tasks={}", self.tasks),
        ]
    }

    async fn connect(self, options: ConnectOptions) -> anyhow::Result<Floor> {
        let bus = Arc::new(NatsBus::connect(options).await?);
        let bodies = bodies(bus.namespace(), self.payload)?;
        Ok(Floor::new(bus, self.workload.course(self.capabilities), bodies)?)
    }

    /// Follows runs, until it is dropped.
    pub(super) async fn orchestrate(self, options: ConnectOptions) -> anyhow::Result<()> {
        Ok(self.connect(options).await?.orchestrate().await?)
    }

    /// Does tasks, until it is dropped.
    pub(super) async fn work(self, options: ConnectOptions) -> anyhow::Result<()> {
        Ok(self.connect(options).await?.work(self.tasks as usize).await?)
    }
}

fn collect(listener: TcpListener) -> anyhow::Result<()> {
    // A few connections, each of which is kept: a thread for each is least of all work.
    for connection in listener.incoming() {
        let connection = connection?;
        std::thread::spawn(move || {
            if let Err(error) = take(connection) {
                eprintln!("collector: {error}");
            }
        });
    }
    Ok(())
}

/// Takes requests from a connection until the other side closes it.
fn take(mut connection: TcpStream) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                _ if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        connection.write_all(TAKEN)?;
    }
}
