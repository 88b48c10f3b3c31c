//! What must be true of the log after anything that happened to those who write it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use mesh_bus::topology::{Stream, agent_consumer, relay_consumer, shard_consumer, timer_consumer};
use mesh_bus::{Bus as _, History, Reason};
use mesh_schemas::{Decoded, Envelope, Lane, RunId, StoredMessage, Subject, TaskKey, TaskVerb, WorkflowVerb};

use crate::world::{World, patiently};

/// What the log says about every run.
#[derive(Debug, Default)]
pub struct Audit {
    /// Runs that began, with how many ends each has.
    pub runs: BTreeMap<RunId, usize>,
    /// Work that was created.
    pub created: BTreeSet<TaskKey>,
    /// Outcomes in log order, by attempt.
    pub outcomes: BTreeMap<TaskKey, Vec<TaskVerb>>,
    /// How many runs were archived, and how many of them are gone from the log.
    pub archived: (usize, usize),
}

impl Audit {
    /// Reads the whole log, and what was moved from it to histories, and checks what must always be true: every run that
    /// began has ended, once; every attempt that was created has an outcome; no attempt was created or completed twice;
    /// every event carries the run's correlation id and is caused by an event that is there. A message that was put aside
    /// is no event; an outcome that was put aside because it cannot be read is the outcome all the same.
    ///
    /// # Errors
    /// The first thing that is not as it must be.
    pub async fn of(world: &World) -> Result<Self> {
        let mut events = world.stored(Stream::Events, ">").await?;
        let mut tasks = world.stored(Stream::Tasks, ">").await?;
        let archived = add_archived(world, &mut events, &mut tasks).await?;
        let mut audit = Self { archived, ..Self::default() };
        let aside = put_aside(world).await?;
        tasks.retain(|stored| !aside.contains(&(Stream::Tasks.short_name().to_owned(), stored.sequence)));
        let is_aside = |stored: &StoredMessage| {
            aside.contains(&(Stream::Events.short_name().to_owned(), stored.sequence))
        };
        for stored in &events {
            match Subject::parse(&world.namespace, &stored.message.subject) {
                Ok(Subject::Workflow { .. }) if is_aside(stored) => {}
                Ok(Subject::Workflow { verb: WorkflowVerb::Started, run, .. }) => {
                    audit.runs.entry(run).or_default();
                }
                Ok(Subject::Workflow { run, .. }) => *audit.runs.entry(run).or_default() += 1,
                Ok(Subject::Task { verb, key }) => audit.outcomes.entry(key).or_default().push(verb),
                _ => {}
            }
        }
        for stored in &tasks {
            if let Ok(Subject::Task { key, .. }) = Subject::parse(&world.namespace, &stored.message.subject) {
                ensure!(audit.created.insert(key.clone()), "{key:?} was created twice");
            }
        }
        for (run, ends) in &audit.runs {
            ensure!(*ends == 1, "run {run} has {ends} ends");
        }
        for key in &audit.created {
            let outcomes = audit.outcomes.get(key).map_or(0, Vec::len);
            ensure!((1..=2).contains(&outcomes), "{key:?} has {outcomes} outcomes");
        }
        let known = events.iter().chain(&tasks).map(|stored| stored.message.subject.clone()).collect();
        events.retain(|stored| !is_aside(stored));
        check_chain(world, &events, &tasks, &known)?;
        Ok(audit)
    }

    /// [`Audit::of`], after waiting until nobody has anything in hand any more.
    ///
    /// # Errors
    /// As [`Audit::of`], and if a consumer keeps pending work.
    pub async fn when_idle(world: &World, capabilities: &[&str]) -> Result<Self> {
        until_idle(world, capabilities).await?;
        Self::of(world).await
    }
}

/// Waits until no consumer has pending or unacknowledged messages.
///
/// # Errors
/// If that does not come to pass in time.
pub async fn until_idle(world: &World, capabilities: &[&str]) -> Result<()> {
    let client = async_nats::connect(world.servers()?).await?;
    let context = async_nats::jetstream::new(client);
    let mut specs = vec![relay_consumer(&world.namespace), timer_consumer(&world.namespace)];
    specs.extend(world.bus.shards().await?.iter().map(|shard| shard_consumer(&world.namespace, shard)));
    for capability in capabilities {
        specs.push(agent_consumer(&world.namespace, &capability.parse()?, &Lane::Normal));
    }
    for spec in specs {
        let stream = context.get_stream_no_info(spec.stream.name(&world.namespace)).await?;
        let idle = async {
            let mut polls = tokio::time::interval(std::time::Duration::from_millis(50));
            loop {
                polls.tick().await;
                let info = stream.consumer_info(&spec.name).await?;
                if info.num_pending == 0 && info.num_ack_pending == 0 {
                    return anyhow::Ok(());
                }
            }
        };
        patiently(&format!("{} to have nothing pending", spec.name), idle).await??;
    }
    Ok(())
}

/// Adds what was moved to the histories of runs. Those are read after the log: what is removed from it meanwhile is there.
/// Returns how many runs were archived, and of how many the log had nothing any more.
async fn add_archived(
    world: &World,
    events: &mut Vec<StoredMessage>,
    tasks: &mut Vec<StoredMessage>,
) -> Result<(usize, usize)> {
    let mut of_run: BTreeMap<Option<RunId>, Vec<StoredMessage>> = BTreeMap::new();
    for stored in world.stored(Stream::History, ">").await? {
        let subject = Subject::parse(&world.namespace, &stored.message.subject)?;
        of_run.entry(subject.run()).or_default().push(stored);
    }
    let run_of = |stored: &StoredMessage| Subject::run_of(&world.namespace, &stored.message.subject);
    let in_log: BTreeSet<Option<RunId>> = events.iter().map(run_of).collect();
    let archived = (of_run.len(), of_run.keys().filter(|run| !in_log.contains(run)).count());
    let histories: Vec<History> =
        of_run.values().map(|messages| History::read(&world.namespace, messages)).collect();
    for (stream, hot) in [(Stream::Events, events), (Stream::Tasks, tasks)] {
        hot.extend(histories.iter().flat_map(|history| history.of(stream).cloned()));
        hot.sort_by_key(|stored| stored.sequence);
        hot.dedup_by_key(|stored| stored.sequence);
    }
    Ok(archived)
}

/// Short name of the stream and sequence of each message that there is a dead letter about. Poison is real work,
/// and stays.
async fn put_aside(world: &World) -> Result<BTreeSet<(String, u64)>> {
    let letters = world.stored(Stream::Dead, "dead.>").await?;
    let place = |letter: &StoredMessage| {
        let headers = &letter.message.headers;
        let is_poison = headers.get("ce-reason") == Some(Reason::Poison.as_str());
        let place = (headers.get("ce-stream")?.to_owned(), headers.get("ce-sequence")?.parse().ok()?);
        (!is_poison).then_some(place)
    };
    Ok(letters.iter().filter_map(place).collect())
}

/// Every event of a run has the correlation id of its `started`, and is caused by a message that is there.
fn check_chain(
    world: &World,
    events: &[StoredMessage],
    tasks: &[StoredMessage],
    known: &BTreeSet<String>,
) -> Result<()> {
    let mut correlation = BTreeMap::new();
    for stored in events.iter().chain(tasks) {
        let subject = Subject::parse(&world.namespace, &stored.message.subject);
        let Ok(Decoded::Event(event)) = Envelope::decode(&stored.message.headers, &stored.message.payload)
        else {
            continue;
        };
        let Some(run) = subject.as_ref().ok().and_then(Subject::run) else { continue };
        let given = event.correlationid.clone();
        ensure!(given.is_some(), "{} has no correlation id", stored.message.subject);
        let expected = correlation.entry(run).or_insert_with(|| given.clone());
        ensure!(*expected == given, "{} belongs to {given:?}, not {expected:?}", stored.message.subject);
        ensure!(event.causationid.is_some(), "{} has no cause", stored.message.subject);
        let is_begin = matches!(subject, Ok(Subject::Workflow { verb: WorkflowVerb::Started, .. }));
        if let Some(cause) = event.causationid.as_deref().filter(|_| !is_begin) {
            ensure!(
                known.contains(cause),
                "{} is caused by {cause}, which is not there",
                stored.message.subject
            );
        }
    }
    Ok(())
}
