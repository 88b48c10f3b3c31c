//! From the start of all parties until nothing moves any more.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use mesh_bus::topology::{Bucket, Stream, Topology};
use mesh_bus::{Bus, BusError, From, read_whole_run};
use mesh_orchestrator::log;
use mesh_schemas::definition::parse;
use mesh_schemas::document::Format;
use mesh_schemas::{Subject, Timer};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{Figures, Violation, World, agents, clients, orchestrators, weather};

/// Longest time that something sent during the storm is on its way.
const AFTERMATH: Duration = Duration::from_secs(46);
/// How often to look whether all is quiet.
const LOOK: Duration = Duration::from_secs(2);
/// For how long nothing may happen while a run has not ended: longer than any pause between two deliveries.
const STUCK: Duration = Duration::from_secs(100);
/// After so long, work that is too late for its run is swept away, however young it was.
const SWEPT: Duration = Duration::from_secs(13 * 60 * 60);
/// Longest time that all of it may take: runs end after a day at the latest.
const LIMIT: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Starts everyone, lets the storm pass, and waits until all is quiet. Then everything is looked at.
pub(super) async fn live_through(world: &Arc<World>) -> Result<Figures, Violation> {
    let bus: Arc<dyn Bus> = world.server.connect();
    set_up(world, &*bus).await.map_err(Violation)?;
    let mut parties = JoinSet::new();
    for place in 0..world.storm.orchestrators as u64 {
        parties.spawn(orchestrators::keep(Arc::clone(world), place));
    }
    for place in 0..world.storm.agents as u64 {
        parties.spawn(agents::keep(Arc::clone(world), place));
    }
    parties.spawn(clients::attend(Arc::clone(world)));
    for place in 0..world.workload.runs.len() {
        parties.spawn(clients::again(Arc::clone(world), place));
    }
    let storm = async {
        futures::join!(sleep(world.storm.lasts), weather::befall(Arc::clone(world)));
        world.is_over.store(true, Ordering::Relaxed);
    };
    futures::join!(storm, clients::send_all(world));
    sleep(AFTERMATH).await;
    let quiet = match until_quiet(world, &*bus).await {
        Ok(()) => until_swept(&*bus).await.map_err(Violation),
        violated => violated,
    };
    // Whoever is asked now would not know what the others have done.
    parties.abort_all();
    quiet?;
    all_is_kept(world, &*bus).await.map_err(Violation)?;
    let mut observer = world.observer();
    observer.judge(&world.storm).map_err(Violation)?;
    let toll = &world.toll;
    Ok(Figures {
        steps: world.steps(),
        events: observer.events(),
        executions: observer.executions(),
        crashes: toll.crashes.load(Ordering::Relaxed),
        freezes: toll.freezes.load(Ordering::Relaxed),
        took: world.elapsed(),
        fingerprint: observer.fingerprint(),
    })
}

async fn set_up(world: &World, bus: &dyn Bus) -> Result<(), String> {
    let topology = Topology { shards: world.shards, ..Topology::default() };
    bus.set_up(&topology).await.map_err(|error| error.to_string())?;
    for workflow in world.workload.workflows.values() {
        let yaml = workflow.to_yaml();
        let definition = parse(&yaml, Format::Yaml).map_err(|error| format!("{error}\n{yaml}"))?;
        // As `definitions::apply` stores it, which would compile it first.
        let (name, digest) = (definition.name.as_str(), definition.digest());
        let text = serde_json::to_vec(&definition).map_err(|error| error.to_string())?;
        let stored = async {
            bus.put(Bucket::Workflows, &format!("{name}.{}", digest.hex()), text.into(), None).await?;
            bus.put(Bucket::Workflows, name, digest.to_string().into(), None).await
        };
        stored.await.map_err(|error: BusError| error.to_string())?;
    }
    Ok(())
}

async fn until_quiet(world: &World, bus: &dyn Bus) -> Result<(), Violation> {
    let mut idle = Duration::ZERO;
    loop {
        let open = world.observer().open_runs();
        let busy = busy(bus).await.map_err(Violation)?;
        if busy.is_empty() && open.is_empty() {
            return Ok(());
        }
        if !busy.is_empty() || waits_for_time(bus).await.map_err(Violation)? {
            idle = Duration::ZERO;
        }
        if idle > STUCK {
            return Err(Violation(format!(
                "nothing moves any more, and these runs have not ended: {open:?}"
            )));
        }
        if world.elapsed() > LIMIT {
            return Err(Violation(format!("there is no end: open runs {open:?}, busy consumers {busy:?}")));
        }
        sleep(LOOK).await;
        idle += LOOK;
    }
}

/// Work that was stored late, for a run that was forgotten, is swept away now and then.
async fn until_swept(bus: &dyn Bus) -> Result<(), String> {
    let begun = Instant::now();
    let is_left = async || bus.list_subjects(Stream::Tasks, ">").await.map(|work| !work.is_empty());
    while begun.elapsed() < SWEPT && is_left().await.map_err(|error| error.to_string())? {
        sleep(LOOK).await;
    }
    Ok(())
}

/// Every run is in its history, whole, and nothing is left in the log.
async fn all_is_kept(world: &World, bus: &dyn Bus) -> Result<(), String> {
    let health = bus.health().await.map_err(|error| error.to_string())?;
    let full = [Stream::Events, Stream::Tasks].map(|stream| stream.name(bus.namespace()));
    for stream in health.streams.iter().filter(|stream| full.contains(&stream.name)) {
        let left = stream.found.as_ref().map_or(0, |found| found.messages);
        if left > 0 {
            let stream = if stream.name == full[0] { Stream::Events } else { Stream::Tasks };
            let last = bus.last(stream, ">").await.map_err(|error| error.to_string())?;
            let last = last.map(|last| last.message.subject);
            return Err(format!("{left} messages are left in the {}, such as {last:?}", stream.short_name()));
        }
    }
    let runs = world.observer().runs();
    for run in runs {
        let mut kept = read_whole_run(bus, &run).await.map_err(|error| error.to_string())?;
        kept.events = log::whole(bus, kept.events).await.map_err(|error| error.to_string())?;
        let observer = world.observer();
        observer.compare(&run, &kept)?;
    }
    Ok(())
}

/// Consumers that have something to deliver, or to be acknowledged.
async fn busy(bus: &dyn Bus) -> Result<Vec<String>, String> {
    let health = bus.health().await.map_err(|error| error.to_string())?;
    let is_busy = |consumer: &mesh_bus::ConsumerHealth| {
        consumer.found.as_ref().is_none_or(|found| found.pending + found.in_hand > 0)
    };
    Ok(health.consumers.into_iter().filter(is_busy).map(|consumer| consumer.name).collect())
}

/// Whether the end of a pause or of a wait for other tasks is waited for. Deadlines do not count, nor does the time for what is done
/// finally: a run that only ends by these is stuck.
async fn waits_for_time(bus: &dyn Bus) -> Result<bool, String> {
    let filters = vec![format!("{}.timer.set.>", bus.namespace())];
    let mut timers =
        bus.follow(Stream::Inbox, filters, From::Begin).await.map_err(|error| error.to_string())?;
    while let Some(Ok(Some(timer))) = timers.next().await {
        let subject = Subject::parse(bus.namespace(), &timer.message.subject);
        if matches!(subject, Ok(Subject::TimerSet { timer, .. }) if !matches!(timer, Timer::Deadline | Timer::Finally))
        {
            return Ok(true);
        }
    }
    Ok(false)
}
