//! Runs many tasks through one orchestrator and one agent, with runs that are archived and forgotten soon, and shows that
//! memory and disk of the server stay bounded.
//!
//! `soak [--tasks N] [--chain N] [--at-once N]`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::{Limits, Stream, Topology};
use mesh_bus::{Bus as _, From};
use mesh_orchestrator::{Options, Retention};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

const USAGE: &str = "usage: soak [--tasks N] [--chain N] [--at-once N]";
/// How long ended runs stay as they are, how long they are known, and how long their histories are kept: so short that a
/// soak of a few minutes sees each many times over.
const GRACE: Duration = Duration::from_secs(2);
const REQUESTS: Duration = Duration::from_secs(20);
const HISTORY: Duration = Duration::from_secs(40);
/// How often to look at the server.
const PERIOD: Duration = Duration::from_secs(2);
/// A row is printed for about so many looks.
const ROWS: usize = 40;
/// What may come on top in the last third, in per cent of the middle third: what a measurement at another moment of
/// compaction or garbage collection finds.
const GROWTH: u64 = 15;
/// Bytes by which figures of that size may differ in any case.
const NOISE: u64 = 24 * 1024 * 1024;
/// Longest time without the end of a run.
const STALL: Duration = Duration::from_secs(60);

struct Settings {
    tasks: usize,
    chain: usize,
    at_once: usize,
}

/// What was seen at one time.
#[derive(Clone, Copy)]
struct Sample {
    at: Duration,
    tasks: usize,
    memory: u64,
    disk: u64,
    events: u64,
    work: u64,
    histories: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = match settings(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match soak(&settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn settings(mut words: impl Iterator<Item = String>) -> Result<Settings> {
    let mut settings = Settings { tasks: 1_000_000, chain: 10, at_once: 256 };
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--tasks" => &mut settings.tasks,
            "--chain" => &mut settings.chain,
            "--at-once" => &mut settings.at_once,
            _ => bail!("unknown: {word}"),
        };
        let value = words.next().with_context(|| format!("{word} needs a number"))?;
        *place = value.parse().context("a number")?;
        ensure!(*place > 0, "{word} is at least 1");
    }
    Ok(settings)
}

async fn soak(settings: &Settings) -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let limits = Limits { history_age: Some(HISTORY), ..Limits::default() };
    let options = Options {
        topology: Topology { limits, ..Topology::default() },
        retention: Retention { grace: GRACE, requests: REQUESTS },
        ..Options::default()
    };
    let orchestrator = world.orchestrator_with(options).await?;
    world.apply(&definition(settings.chain)).await?;
    let work = |_: Context, input: Value| async move { Ok::<_, TaskFailure>(json!({ "n": input["n"] })) };
    let agent = Agent::builder("worker").capacity(settings.at_once).capability("work", work);
    let agent = world.agent(agent).await?;

    let runs = settings.tasks.div_ceil(settings.chain);
    let (ended, has_ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let room = Arc::new(Semaphore::new(settings.at_once));
    let counting = tokio::spawn(count(
        Arc::clone(&world.bus),
        runs,
        Arc::clone(&ended),
        Arc::clone(&room),
        Arc::clone(&has_ended),
    ));
    let begun = Instant::now();
    let mut samples = Vec::new();
    let load = async {
        for run in 0..runs {
            room.acquire().await?.forget();
            world.start("chain", json!({ "n": run })).await?;
        }
        anyhow::Ok(())
    };
    let watch = async {
        let mut last = (0, Instant::now());
        let mut looks = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = has_ended.notified() => return anyhow::Ok(()),
                _ = looks.tick() => {}
            }
            let tasks = ended.load(Ordering::Relaxed) * settings.chain;
            if tasks > last.0 {
                last = (tasks, Instant::now());
            }
            ensure!(last.1.elapsed() < STALL, "nothing moves after {tasks} tasks");
            samples.push(look(&server, &world, begun.elapsed(), tasks).await?);
        }
    };
    tokio::try_join!(load, watch)?;
    counting.await??;
    let took = begun.elapsed();
    print(&samples);
    let rate = settings.tasks as u64 / took.as_secs().max(1);
    println!("{} tasks in {} runs took {} s: {rate} tasks/s", settings.tasks, runs, took.as_secs());
    let left = until_forgotten(&server, &world, begun).await?;
    println!("when all is over: {}", row(&left));
    let letters = world.stored(Stream::Dead, ">").await?;
    ensure!(letters.is_empty(), "{} dead letters, such as {:?}", letters.len(), letters.first());
    agent.stop().await?;
    orchestrator.stop().await?;
    is_bounded("memory", &samples, |sample| sample.memory)?;
    is_bounded("disk", &samples, |sample| sample.disk)
}

/// A workflow of so many tasks, one after the other.
fn definition(chain: usize) -> String {
    let task = |n: usize| match n {
        0 => "  t0: {agent: work, with: {n: '${input.n}'}}\n".to_owned(),
        n => format!(
            "  t{n}: {{agent: work, needs: [t{0}], with: {{n: '${{tasks.t{0}.output.n}}'}}}}\n",
            n - 1
        ),
    };
    let tasks: String = (0..chain).map(task).collect();
    format!("mesh: v1\nname: chain\noutput: '${{tasks.t{}.output}}'\ntasks:\n{tasks}", chain - 1)
}

/// Counts the runs that have ended, and makes room for others.
async fn count(
    bus: Arc<mesh_bus::nats::NatsBus>,
    runs: usize,
    ended: Arc<AtomicUsize>,
    room: Arc<Semaphore>,
    has_ended: Arc<Notify>,
) -> Result<()> {
    let ends = vec![format!("{}.workflow.completed.chain.>", bus.namespace())];
    let mut ends = bus.follow(Stream::Events, ends, From::Begin).await?;
    while let Some(end) = ends.next().await {
        if end?.is_some() {
            room.add_permits(1);
            if ended.fetch_add(1, Ordering::Relaxed) + 1 == runs {
                has_ended.notify_one();
                return Ok(());
            }
        }
    }
    bail!("the log ended")
}

async fn look(server: &TestServer, world: &World, at: Duration, tasks: usize) -> Result<Sample> {
    let health = world.bus.health().await?;
    let messages = |stream: Stream| {
        let name = stream.name(&world.namespace);
        let stream = health.streams.iter().find(|stream| stream.name == name);
        stream.and_then(|stream| stream.found.as_ref()).map_or(0, |found| found.messages)
    };
    Ok(Sample {
        at,
        tasks,
        memory: memory(server.pid())?,
        disk: size(server.folder()),
        events: messages(Stream::Events),
        work: messages(Stream::Tasks),
        histories: messages(Stream::History),
    })
}

/// Bytes of memory that a process has.
fn memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the server's memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024)
}

/// Bytes of all files in a folder. Files that go away meanwhile count for nothing.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Waits until nothing is left of any run in the log.
async fn until_forgotten(server: &TestServer, world: &World, begun: Instant) -> Result<Sample> {
    let give_up = Instant::now() + REQUESTS + STALL;
    loop {
        let sample = look(server, world, begun.elapsed(), 0).await?;
        if sample.events == 0 && sample.work == 0 {
            return Ok(sample);
        }
        ensure!(
            Instant::now() < give_up,
            "{} events and {} tasks stay in the log",
            sample.events,
            sample.work
        );
        tokio::time::sleep(PERIOD).await;
    }
}

fn print(samples: &[Sample]) {
    println!("    time      tasks   memory     disk   events    tasks  histories");
    for sample in samples.iter().step_by((samples.len() / ROWS).max(1)) {
        println!("{}", row(sample));
    }
}

fn row(sample: &Sample) -> String {
    let Sample { at, tasks, memory, disk, events, work, histories } = sample;
    let (memory, disk) = (memory / 1_000_000, disk / 1_000_000);
    format!(
        "{:>6} s {tasks:>10} {memory:>5} MB {disk:>5} MB {events:>8} {work:>8} {histories:>10}",
        at.as_secs()
    )
}

/// Whether the last third is not much above the middle third.
fn is_bounded(what: &str, samples: &[Sample], figure: impl Fn(&Sample) -> u64) -> Result<()> {
    let third = samples.len() / 3;
    ensure!(third > 0, "too few tasks to tell");
    let most = |samples: &[Sample]| samples.iter().map(&figure).max().unwrap_or_default();
    let (middle, last) = (most(&samples[third..2 * third]), most(&samples[2 * third..]));
    println!(
        "{what}: at most {} MB in the middle third, {} MB in the last",
        middle / 1_000_000,
        last / 1_000_000
    );
    ensure!(last <= middle + middle * GROWTH / 100 + NOISE, "the {what} of the server is not bounded");
    Ok(())
}
