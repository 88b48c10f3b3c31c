//! Looks again and again at what is not seen as it happens: queues, agents, open runs, the connection.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_bus::topology::{Bucket, Stream};
use mesh_bus::{Backlog, BusError, Role};
use mesh_schemas::Lane;
use mesh_schemas::payload::AgentRegistered;
use mesh_telemetry::metrics::is_collected;
use mesh_telemetry::metrics::table::{
    CACHED_RUNS, CAPABILITY_AGENTS, CAPABILITY_CAPACITY, NATS_RECONNECTS, NATS_UP, PROBLEMS, QUEUE_AGE,
    QUEUE_ASKING, QUEUE_DEPTH, QUEUE_IN_HAND, RUN_OLDEST, RUNS, SHARD_BACKLOG, SHARD_OWNED,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::count::{begin, label};
use super::outlook::problems;
use crate::service::Shared;

/// How often to look at what this process knows itself.
const GLANCE: Duration = Duration::from_secs(1);
/// How often followers of shards tell of the runs in memory.
pub(crate) const FIGURES: Duration = Duration::from_secs(5);
/// When to ask the bus first: when it is known which shards others have.
const FIRST: Duration = Duration::from_secs(3);
/// How often to ask the bus.
const PERIOD: Duration = Duration::from_secs(15);
/// A look at a large namespace takes the server long: so many times that is the least time between two.
const SHARE: u32 = 50;
/// Longest time that one look may take.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest pause between two looks: what is told is not to be of long ago.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What stands for every queue of one agent: there are as many as agents.
const TO_AGENT: &str = "to-agent";

/// Looks until `stop`, if somebody collects metrics when it begins.
pub(crate) async fn run(shared: Arc<Shared>, mine: watch::Receiver<BTreeSet<u32>>, stop: CancellationToken) {
    if !is_collected() {
        return stop.cancelled().await;
    }
    begin();
    // Each at its own pace: counting runs may take the server long, which is not to keep what waits from being seen.
    let all = async {
        let runs = again_and_again("open runs", || runs(&shared, &mine), || RUNS.forget());
        let queues = again_and_again("queues", || queues(&shared, &mine), forget_queues);
        tokio::join!(glances(&shared), runs, queues)
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = all => {}
    }
}

async fn glances(shared: &Shared) {
    let mut returns = shared.bus.connection().returns;
    loop {
        returns = glance(shared, returns);
        tokio::time::sleep(GLANCE).await;
    }
}

/// Looks at something, with pauses that grow with how long it takes. What cannot be seen is forgotten, rather than told as it was.
async fn again_and_again<F: Future<Output = Result<(), BusError>>>(
    what: &str,
    look: impl Fn() -> F,
    forget: impl Fn(),
) {
    tokio::time::sleep(FIRST).await;
    loop {
        let begun = Instant::now();
        let pause = match tokio::time::timeout(LONGEST, look()).await {
            Ok(Ok(())) => begun.elapsed() * SHARE,
            Ok(Err(error)) => {
                debug!(%error, "{what} cannot be looked at; trying again");
                forget();
                PERIOD
            }
            Err(_) => {
                debug!("a look at {what} takes too long; trying again later");
                forget();
                LONGEST_PAUSE
            }
        };
        tokio::time::sleep_until(begun + pause.clamp(PERIOD, LONGEST_PAUSE)).await;
    }
}

/// What this process knows itself. Returns how often the connection was there again.
fn glance(shared: &Shared, returns: u64) -> u64 {
    let connection = shared.bus.connection();
    NATS_UP.set(if connection.lost.is_none() { 1.0 } else { 0.0 }, []);
    NATS_RECONNECTS.add(connection.returns.saturating_sub(returns), []);
    PROBLEMS.set(problems(shared).len() as f64, []);
    let followed = shared.presence.report().shards;
    let followed: Vec<String> = followed.keys().map(ToString::to_string).collect();
    SHARD_OWNED.replace(followed.iter().map(|shard| ([shard.as_str()], 1.0)));
    let figures = shared.figures.all();
    CACHED_RUNS.set(figures.values().map(|open| open.cached).sum::<usize>() as f64, []);
    let now = shared.bus.now();
    let oldest = figures.values().flat_map(|open| &open.oldest);
    RUN_OLDEST
        .replace_by_most(oldest.map(|(workflow, begun)| ([label(workflow.as_ref())], age(now, *begun))));
    connection.returns
}

/// What waits, for orchestrators and for agents.
async fn queues(shared: &Shared, mine: &watch::Receiver<BTreeSet<u32>>) -> Result<(), BusError> {
    let mine = mine.borrow().clone();
    let backlogs = shared.bus.backlogs(Stream::Events).await?;
    let own = backlogs.into_iter().filter_map(|Backlog { role, pending, .. }| match role {
        Role::Shard(shard) if mine.contains(&shard) => Some((shard.to_string(), pending as f64)),
        _ => None,
    });
    let own: Vec<(String, f64)> = own.collect();
    SHARD_BACKLOG.replace(own.iter().map(|(shard, pending)| ([shard.as_str()], *pending)));
    // For all of the namespace, one orchestrator looks.
    if mine.contains(&0) {
        return work(shared).await;
    }
    forget_work();
    Ok(())
}

fn forget_queues() {
    SHARD_BACKLOG.forget();
    forget_work();
}

fn forget_work() {
    for gauge in [&QUEUE_DEPTH, &QUEUE_IN_HAND, &QUEUE_ASKING, &QUEUE_AGE] {
        gauge.forget();
    }
    CAPABILITY_AGENTS.forget();
    CAPABILITY_CAPACITY.forget();
}

/// The open runs of the shards that this orchestrator has, by the log.
async fn runs(shared: &Shared, mine: &watch::Receiver<BTreeSet<u32>>) -> Result<(), BusError> {
    let mine = mine.borrow().clone();
    let (bus, namespace) = (&*shared.bus, shared.bus.namespace());
    let mut open = 0;
    for shard in &mine {
        let on = |verb: &str| format!("{namespace}.workflow.{verb}.*.-.{shard}.*");
        let mut ended = 0;
        // Ends first: a run that ends meanwhile then counts as open, and not as less than none.
        for verb in ["completed", "failed", "cancelled"] {
            ended += bus.count(Stream::Events, &on(verb)).await?;
        }
        open += bus.count(Stream::Events, &on("started")).await?.saturating_sub(ended);
    }
    let active = {
        let figures = shared.figures.all();
        figures
            .iter()
            .filter(|(shard, _)| mine.contains(shard))
            .map(|(_, open)| open.active as u64)
            .sum::<u64>()
    };
    let waiting = open.saturating_sub(active);
    RUNS.replace([(["active"], active as f64), (["waiting"], waiting as f64)]);
    Ok(())
}

/// Work that waits, and who is there for it.
async fn work(shared: &Shared) -> Result<(), BusError> {
    let backlogs = shared.bus.backlogs(Stream::Tasks).await?;
    let agents = shared.bus.entries(Bucket::Agents).await?;
    let agents = agents.iter().filter(|entry| !entry.deleted);
    let agents = agents.filter_map(|entry| serde_json::from_slice::<AgentRegistered>(&entry.value).ok());
    let mut serving: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    let mut queues = Vec::new();
    let now = shared.bus.now();
    for Backlog { role, pending, in_hand, asking, oldest } in backlogs {
        let Role::Agents(capability, lane) = role else { continue };
        let lane = match lane {
            Lane::To(_) => TO_AGENT.to_owned(),
            lane => lane.to_string(),
        };
        serving.entry(capability.to_string()).or_default();
        let oldest = oldest.map_or(0.0, |oldest| age(now, oldest));
        queues.push((capability, lane, [pending as f64, in_hand as f64, asking as f64, oldest]));
    }
    for agent in agents {
        // Each capability has as much room as the others.
        let each = f64::from(agent.capacity) / agent.capabilities.len().max(1) as f64;
        for capability in agent.capabilities {
            let (agents, capacity) = serving.entry(capability.to_string()).or_default();
            *agents += 1;
            *capacity += each;
        }
    }
    let labels = queues.iter().map(|(capability, lane, ..)| [capability.as_str(), lane.as_str()]);
    for (place, gauge) in [&QUEUE_DEPTH, &QUEUE_IN_HAND, &QUEUE_ASKING].into_iter().enumerate() {
        gauge.replace(labels.clone().zip(queues.iter().map(|(_, _, figures)| figures[place])));
    }
    QUEUE_AGE.replace_by_most(labels.zip(queues.iter().map(|(_, _, [.., oldest])| *oldest)));
    // Of those that count together, the one with the fewest is what somebody has to know of.
    CAPABILITY_AGENTS.replace_by_least(
        serving.iter().map(|(capability, (agents, _))| ([capability.as_str()], *agents as f64)),
    );
    CAPABILITY_CAPACITY
        .replace(serving.iter().map(|(capability, (_, capacity))| ([capability.as_str()], *capacity)));
    Ok(())
}

/// Seconds since then; none where clocks differ.
fn age(now: DateTime<Utc>, then: DateTime<Utc>) -> f64 {
    (now - then).to_std().unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_seen_is_forgotten_and_looked_for_again_soon() {
        let (looks, forgotten) = (AtomicU32::new(0), AtomicU32::new(0));
        let look = || async {
            if looks.fetch_add(1, Ordering::Relaxed) == 0 {
                return Err(BusError::Address { url: "x".to_owned(), error: "y".to_owned() });
            }
            std::future::pending().await
        };
        let forget = || {
            forgotten.fetch_add(1, Ordering::Relaxed);
        };
        // At 3 s, then at 18 s, and from then on every minute, of which a look takes half.
        let looking = again_and_again("what does not answer", look, forget);
        assert!(tokio::time::timeout(Duration::from_secs(139), looking).await.is_err());
        assert_eq!((looks.into_inner(), forgotten.into_inner()), (4, 3));
    }
}
