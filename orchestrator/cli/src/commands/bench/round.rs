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
use super::idle;
use super::load::Load;
use super::machine::{Clock, Disturbance};
use super::mesh::{Mesh, usage_of};
use super::plan::{Length, Plan};
use super::usage::{self, Usage};
use super::writes::Written;
use crate::connection::Connection;

/// Part of a round that is run before it, not measured: caches fill, connections and consumers are made.
const WARM_UP: u32 = 4;
/// Shortest warm-up where rounds take a time.
const LEAST_WARM_UP: Duration = Duration::from_secs(1);
/// How often metrics are asked for, where they are told: more often than collectors do by default.
const SCRAPE: Duration = Duration::from_secs(5);

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
    orchestrators: Option<Usage>,
    agents: Option<Usage>,
    collector: Option<Usage>,
    load: Option<Usage>,
    machine: Option<Clock>,
    written: Written,
}

impl Taken {
    async fn by(mesh: &Mesh) -> anyhow::Result<Self> {
        Ok(Self {
            server: mesh.server_pid().and_then(usage::of),
            orchestrators: mesh.orchestrators(),
            agents: usage_of(&mesh.agents),
            collector: mesh.collector.as_ref().and_then(|collector| usage::of(collector.pid())),
            load: usage::of(std::process::id()),
            machine: Clock::now(),
            written: Written::by(&mesh.bus).await?,
        })
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
    for capability in 0..plan.capabilities {
        definitions::apply(&*mesh.bus, &plan.workload.definition(capability)?).await?;
    }
    let nats = mesh.bus.health().await?.server.version;
    let _scrapes: Vec<_> =
        mesh.endpoints.iter().map(|at| AbortOnDropHandle::new(tokio::spawn(scrape(*at)))).collect();
    let warm_up = match plan.length {
        Length::Time(time) => Length::Time((time / WARM_UP).max(LEAST_WARM_UP)),
        Length::Runs(runs) => Length::Runs(runs.div_ceil(WARM_UP as usize)),
    };
    let mut load = Load::begin(&mesh.bus, plan).await?;
    let mut idle_run = None;
    if plan.idle_runs > 0 {
        // What any load takes of memory is not that of the runs that wait.
        load.keep(plan.in_flight(), warm_up).await?;
        load.drain().await?;
        idle_run = idle(plan, mesh).await?;
    }
    let began = Instant::now();
    let warm = load.keep(plan.in_flight(), warm_up).await?;
    let pace = plan.pace(per_second(warm.len(), began.elapsed()));
    if pace.is_some() {
        load.drain().await?;
    }
    let (before, began) = (Taken::by(mesh).await?, Instant::now());
    let mut latencies = match pace {
        Some(pace) => load.pace(pace, plan.length).await?,
        None => load.keep(plan.in_flight(), plan.length).await?,
    };
    let took = began.elapsed();
    let after = Taken::by(mesh).await?;
    load.drain().await?;
    latencies.sort_unstable();
    let (mut figures, own_cpu) = figures(plan, &latencies, took, &before, &after);
    figures.extend(idle_run.map(|bytes| (Measure::IdleRunMemory, bytes)));
    // A server that was there may be on this machine, and is not one of the others then.
    let clocks = before.machine.zip(after.machine).filter(|_| after.server.is_some());
    let disturbance = clocks.and_then(|(before, after)| after.since(before, own_cpu));
    Ok(Measured { figures, nats, disturbance })
}

/// Has runs begin that wait, and says how many bytes of the orchestrators' memory each takes, where that is known.
async fn idle(plan: &Plan, mesh: &Mesh) -> anyhow::Result<Option<f64>> {
    let before = mesh.orchestrators();
    idle::begin(&mesh.bus, plan.idle_runs).await?;
    let both = before.zip(mesh.orchestrators());
    Ok(both.map(|(before, after)| (after.bytes - before.bytes).max(0.0) / f64::from(plan.idle_runs)))
}

#[allow(clippy::cast_precision_loss, reason = "numbers of runs are far from 2⁵²")]
fn per_second(runs: usize, took: Duration) -> f64 {
    runs as f64 / took.as_secs_f64()
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
    let runs_per_second = per_second(latencies.len(), took);
    let tasks = (latencies.len() * plan.workload.tasks()) as f64;
    let [median, p99] = [0.5, 0.99].map(|part| quantile_ms(latencies, part));
    let mut figures = BTreeMap::from([
        (Measure::RunsPerSecond, runs_per_second),
        (Measure::TasksPerSecond, runs_per_second * plan.workload.tasks() as f64),
        (Measure::RunMsP50, median),
        (Measure::RunMsP90, quantile_ms(latencies, 0.9)),
        (Measure::RunMsP99, p99),
        (Measure::RunMsP999, quantile_ms(latencies, 0.999)),
        (Measure::Tail, p99 / median),
        (Measure::TaskMs, median / plan.workload.depth() as f64),
        (Measure::WritesPerTask, (after.written.messages - before.written.messages) / tasks),
        (Measure::BytesPerTask, (after.written.bytes - before.written.bytes) / tasks),
    ]);
    let (orchestrator, agents) = (Measure::OrchestratorCpu, Measure::AgentsCpu);
    let parts = [
        (before.server, after.server, Measure::ServerCpu, Some(Measure::ServerMemory)),
        (before.orchestrators, after.orchestrators, orchestrator, Some(Measure::OrchestratorMemory)),
        (before.agents, after.agents, agents, Some(Measure::AgentsMemory)),
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
