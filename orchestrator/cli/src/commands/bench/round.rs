//! One round: a mesh of its own, a warm-up, and what was measured after that.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mesh_bus::Bus as _;
use mesh_orchestrator::definitions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::figures::{Measure, quantile_ms};
use super::load::Load;
use super::machine::{Clock, Disturbance};
use super::mesh::Mesh;
use super::telemetry::Telemetry;
use super::usage::{self, Usage};
use super::workload::Workload;
use crate::connection::Connection;

/// Part of a round that is run before it, not measured: caches fill, connections and consumers are made.
const WARM_UP: u32 = 4;
/// Shortest warm-up where rounds take a time.
const LEAST_WARM_UP: Duration = Duration::from_secs(1);
/// How often metrics are asked for, where they are told: more often than collectors do by default.
const SCRAPE: Duration = Duration::from_secs(5);

/// What is to be measured.
pub(super) struct Plan {
    pub(super) workload: Workload,
    pub(super) payload: usize,
    pub(super) in_flight: usize,
    pub(super) length: Length,
    pub(super) agents: u32,
    pub(super) agent_capacity: u32,
    pub(super) telemetry: Telemetry,
}

/// How long a round is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Time(Duration),
    Runs(usize),
}

impl Plan {
    /// Runs under way at a time: no more than there are.
    pub(super) fn in_flight(&self) -> usize {
        match self.length {
            Length::Runs(runs) => self.in_flight.min(runs),
            Length::Time(_) => self.in_flight,
        }
    }
}

/// What came out of a round.
pub(super) struct Measured {
    pub(super) figures: BTreeMap<Measure, f64>,
    /// Version of the NATS server.
    pub(super) nats: String,
    /// What else the machine did, where that can be told.
    pub(super) disturbance: Option<Disturbance>,
}

/// What each part of the mesh took so far, where that is known.
#[derive(Clone, Copy)]
struct Taken {
    server: Option<Usage>,
    orchestrator: Option<Usage>,
    agents: Option<Usage>,
    collector: Option<Usage>,
    load: Option<Usage>,
    machine: Option<Clock>,
}

impl Taken {
    fn by(mesh: &Mesh) -> Self {
        let agents: Vec<u32> = mesh.agents.iter().map(|agent| agent.pid()).collect();
        Self {
            server: mesh.server_pid().and_then(usage::of),
            orchestrator: usage::of(mesh.orchestrator.pid()),
            agents: usage::of_all(&agents),
            collector: mesh.collector.as_ref().and_then(|collector| usage::of(collector.pid())),
            load: usage::of(std::process::id()),
            machine: Clock::now(),
        }
    }
}

/// Measures one round; nothing if it is stopped before that is done.
pub(super) async fn measure(
    plan: &Plan,
    given: Option<&Connection>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Measured>> {
    let mesh = Mesh::start(plan, given).await?;
    let result = tokio::select! {
        result = within(plan, &mesh) => result.map(Some),
        error = mesh.ended() => Err(error),
        () = stop.cancelled() => Ok(None),
    };
    // Whatever became of it, no process and no namespace is to be left behind.
    let stopped = mesh.stop().await;
    let measured = result?;
    stopped.map(|()| measured)
}

async fn within(plan: &Plan, mesh: &Mesh) -> anyhow::Result<Measured> {
    definitions::apply(&*mesh.bus, &plan.workload.definition()?).await?;
    let nats = mesh.bus.health().await?.server.version;
    let _scrapes: Vec<_> =
        mesh.endpoints.iter().map(|at| AbortOnDropHandle::new(tokio::spawn(scrape(*at)))).collect();
    let mut load = Load::begin(&mesh.bus, plan).await?;
    let warm_up = match plan.length {
        Length::Time(time) => Length::Time((time / WARM_UP).max(LEAST_WARM_UP)),
        Length::Runs(runs) => Length::Runs(runs.div_ceil(WARM_UP as usize)),
    };
    go_on(&mut load, warm_up).await?;
    let (before, began) = (Taken::by(mesh), Instant::now());
    let mut latencies = go_on(&mut load, plan.length).await?;
    let (after, took) = (Taken::by(mesh), began.elapsed());
    load.drain().await?;
    latencies.sort_unstable();
    let (figures, own_cpu) = figures(plan, &latencies, took, &before, &after);
    // A server that was there may be on this machine, and is not one of the others then.
    let clocks = before.machine.zip(after.machine).filter(|_| after.server.is_some());
    let disturbance = clocks.and_then(|(before, after)| after.since(before, own_cpu));
    Ok(Measured { figures, nats, disturbance })
}

/// Has runs take the place of those that end, for so long; returns how long those took that ended.
async fn go_on(load: &mut Load, length: Length) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let began = Instant::now();
    let is_over = |ended: usize| match length {
        Length::Time(time) => began.elapsed() >= time && ended > 0,
        Length::Runs(runs) => ended >= runs,
    };
    while !is_over(latencies.len()) {
        latencies.push(load.next().await?);
        load.ask();
    }
    Ok(latencies)
}

/// What follows from the runs that ended within a time, and the seconds of CPU time that all parts took together.
#[allow(clippy::cast_precision_loss, reason = "numbers of runs are far from 2⁵²")]
fn figures(
    plan: &Plan,
    latencies: &[Duration],
    took: Duration,
    before: &Taken,
    after: &Taken,
) -> (BTreeMap<Measure, f64>, f64) {
    let runs = latencies.len() as f64;
    let tasks = runs * plan.workload.tasks() as f64;
    let median = quantile_ms(latencies, 0.5);
    let mut figures = BTreeMap::from([
        (Measure::RunsPerSecond, runs / took.as_secs_f64()),
        (Measure::TasksPerSecond, tasks / took.as_secs_f64()),
        (Measure::RunMsP50, median),
        (Measure::RunMsP90, quantile_ms(latencies, 0.9)),
        (Measure::RunMsP99, quantile_ms(latencies, 0.99)),
        (Measure::RunMsP999, quantile_ms(latencies, 0.999)),
        (Measure::TaskMs, median / plan.workload.depth() as f64),
    ]);
    let parts = [
        (before.server, after.server, Measure::ServerCpu, Some(Measure::ServerMemory)),
        (
            before.orchestrator,
            after.orchestrator,
            Measure::OrchestratorCpu,
            Some(Measure::OrchestratorMemory),
        ),
        (before.agents, after.agents, Measure::AgentsCpu, Some(Measure::AgentsMemory)),
        (before.load, after.load, Measure::LoadCpu, None),
        (before.collector, after.collector, Measure::CollectorCpu, None),
    ];
    let mut own_cpu = 0.0;
    for (before, after, cpu, memory) in parts {
        let Some((before, after)) = before.zip(after) else { continue };
        let seconds = after.cpu_seconds - before.cpu_seconds;
        own_cpu += seconds;
        figures.insert(cpu, seconds * 1_000.0 / tasks);
        if let Some(memory) = memory {
            figures.insert(memory, after.peak_bytes);
        }
    }
    (figures, own_cpu)
}

/// Asks for metrics again and again, as a collector does. Whether all is well is not its concern.
async fn scrape(endpoint: SocketAddr) {
    loop {
        if let Err(error) = ask(endpoint).await {
            tracing::debug!(%endpoint, %error, "no metrics");
        }
        tokio::time::sleep(SCRAPE).await;
    }
}

async fn ask(endpoint: SocketAddr) -> std::io::Result<usize> {
    let mut connection = TcpStream::connect(endpoint).await?;
    connection.write_all(b"GET /metrics HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n").await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await
}
