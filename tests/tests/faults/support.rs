//! A workflow and an agent to load the mesh with, and what must be true afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus as _, ConsumerSpec, From, submit};
use mesh_schemas::{Lane, RunId, StoredMessage, Subject, WorkflowVerb};
use mesh_tests::{Audit, World, patiently};
use serde_json::{Value, json};
use uuid::Uuid;

/// Three tasks in a row. The second fails once in every fourth run; its pause is a timer.
pub(crate) const CHAIN: &str = "
mesh: v1
name: chain
output: '${tasks.c.output.n}'
tasks:
  a: {agent: work}
  b:
    agent: work
    needs: [a]
    with: {n: '${input.n}', failures: '${input.n % 4 == 0 ? 1 : 0}'}
    retry: {max_attempts: 3, initial: 200ms, jitter: 0}
  c: {agent: work, needs: [b], with: {n: '${input.n}'}}
";

/// One task that nobody does unless a test does.
pub(crate) const HELD: &str = "
mesh: v1
name: held
output: '${tasks.t.output}'
tasks: {t: {agent: held, retry: {max_attempts: 2, initial: 0s}}}
";

/// Requests on their way at once while a load is submitted.
const AT_ONCE: usize = 16;

/// Returns its input, after as many failed attempts as that asks for.
async fn work(context: Context, input: Value) -> Result<Value, TaskFailure> {
    if u64::from(context.attempt().get()) <= input["failures"].as_u64().unwrap_or_default() {
        return Err(TaskFailure::retryable("busy", "not now"));
    }
    Ok(input)
}

/// An agent for [`CHAIN`].
pub(crate) fn worker() -> AgentBuilder {
    Agent::builder("worker").capacity(32).capability("work", work)
}

/// Submits this many runs of [`CHAIN`].
pub(crate) async fn load(world: &World, count: u64) -> Result<Vec<RunId>> {
    let requests = (0..count).map(|n| world.request("chain", &Uuid::new_v4().to_string(), json!({"n": n})));
    let requests: Vec<_> = requests.collect::<Result<_>>()?;
    let submitted = stream::iter(&requests).map(|request| submit(&*world.bus, request));
    Ok(submitted.buffer_unordered(AT_ONCE).try_collect().await?)
}

/// Waits until so many runs have ended, and tells how each did. Servers may come and go meanwhile.
pub(crate) async fn ends(world: &World, count: usize) -> Result<BTreeMap<RunId, WorkflowVerb>> {
    let mut ends = BTreeMap::new();
    each(world, Stream::Events, "workflow.*.*.-.>", |stored| {
        if let Ok(Subject::Workflow { verb, run, .. }) =
            Subject::parse(&world.namespace, &stored.message.subject)
            && verb != WorkflowVerb::Started
        {
            ends.insert(run, verb);
        }
        ends.len() >= count
    })
    .await?;
    Ok(ends)
}

/// Shows every message of a stream, those that are there and those that come, until one is the last to be seen.
pub(crate) async fn each(
    world: &World,
    stream: Stream,
    filter: &str,
    mut is_last: impl FnMut(&StoredMessage) -> bool,
) -> Result<()> {
    let filters = vec![format!("{}.{filter}", world.namespace)];
    let wait = async {
        let mut messages = loop {
            match world.bus.follow(stream, filters.clone(), From::Begin).await {
                Ok(messages) => break messages,
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error),
            }
        };
        while let Some(message) = messages.next().await {
            // An error means that the server was away: the stream goes on where it was.
            if let Ok(Some(stored)) = message
                && is_last(&stored)
            {
                break;
            }
        }
        Ok(())
    };
    Ok(patiently(&format!("messages on {filter}"), wait).await??)
}

/// Waits for all of these runs to complete.
pub(crate) async fn all_complete(world: &World, runs: &[RunId]) -> Result<()> {
    let ends = ends(world, runs.len()).await?;
    for run in runs {
        ensure!(ends.get(run) == Some(&WorkflowVerb::Completed), "run {run} ended as {:?}", ends.get(run));
    }
    Ok(())
}

/// After a fault: a further run completes, and then nobody has anything in hand and the log is as it must be.
pub(crate) async fn is_well(world: &World) -> Result<Audit> {
    ensure!(world.output("chain", json!({"n": 4})).await? == json!(4), "the output is wrong");
    Audit::when_idle(world, &["work"]).await
}

/// [`is_well`], where nothing was put aside.
pub(crate) async fn is_well_and_complete(world: &World) -> Result<Audit> {
    let letters = world.stored(Stream::Dead, "dead.>").await?;
    ensure!(letters.is_empty(), "put aside: {letters:?}");
    is_well(world).await
}

/// Waits until an orchestrator has made the namespace, and applies the definitions. Agents of [`CHAIN`] that say
/// nothing are given up soon: what a dead server kept of their acknowledgements is the time that the test takes.
pub(crate) async fn set_up(world: &World) -> Result<()> {
    until_it_works("the namespace", || async { Ok(world.bus.shards().await?) }).await?;
    until_it_works("a consumer", || impatient_consumer(world, "work", Duration::from_secs(3))).await?;
    until_it_works("a definition", || world.apply(CHAIN)).await?;
    world.apply(HELD).await
}

/// Tries again at once: each try waits for the server.
async fn until_it_works<T, F: Future<Output = Result<T>>>(what: &str, attempt: impl Fn() -> F) -> Result<T> {
    let tries = async {
        loop {
            if let Ok(done) = attempt().await {
                return done;
            }
        }
    };
    patiently(what, tries).await
}

/// Makes the consumer of a capability before anyone else does, with less patience for agents that say nothing.
pub(crate) async fn impatient_consumer(world: &World, capability: &str, ack_wait: Duration) -> Result<()> {
    let spec = agent_consumer(&world.namespace, &capability.parse()?, &Lane::Normal);
    ensure!(ack_wait < spec.ack_wait, "that is not impatient");
    Ok(world.bus.ensure_consumer(&ConsumerSpec { ack_wait, ..spec }).await?)
}

/// Waits for the letter about a message, given without the namespace: for the right reason, with the message in it.
pub(crate) async fn letter(
    world: &World,
    stream: &str,
    reason: &str,
    subject: &str,
    payload: &[u8],
) -> Result<()> {
    let about = format!("{}.{subject}", world.namespace);
    let fits = |letter: &StoredMessage| {
        letter.message.headers.get("ce-subject") == Some(&about) && letter.message.payload == payload
    };
    let found = world.until(Stream::Dead, &format!("dead.{stream}.{reason}"), fits).await;
    let found = found.with_context(|| format!("no letter {stream}.{reason} about {subject}"))?;
    ensure!(
        found.message.headers.get("ce-error").is_some_and(|error| !error.is_empty()),
        "no error is named"
    );
    Ok(())
}

/// Waits for the letter about a message that only the mesh knows.
pub(crate) async fn letter_about(
    world: &World,
    stream: &str,
    reason: &str,
    subject: &str,
) -> Result<StoredMessage> {
    let about = format!("{}.{subject}", world.namespace);
    let fits = |letter: &StoredMessage| letter.message.headers.get("ce-subject") == Some(&about);
    let found = world.until(Stream::Dead, &format!("dead.{stream}.{reason}"), fits).await;
    found.with_context(|| format!("no letter {stream}.{reason} about {subject}"))
}
