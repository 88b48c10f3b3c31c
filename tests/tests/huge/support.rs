//! Workflows of many tasks, an agent for them, and how long things take.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From, RunOutcome, RunWaiter, read_whole_run};
use mesh_core::{Event, Fact, Replay, Run};
use mesh_orchestrator::Definitions;
use mesh_orchestrator::definitions::{self, ApplyError};
use mesh_schemas::document::Format;
use mesh_schemas::payload::WorkflowCheckpointed;
use mesh_schemas::{Envelope, RunId, Subject};
use mesh_tests::{Process, World, mesh_binary, patiently};
use serde::Deserialize as _;
use serde_json::Value;

/// Longest time that a huge run may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Tasks in a row, each of which adds one to what the one before gave.
pub(crate) fn sequence(count: usize) -> String {
    let mut text =
        format!("mesh: v1\nname: sequence\noutput: ${{tasks.t{:06}.output.n}}\ntasks:\n", count - 1);
    for n in 0..count {
        // Writing to a string does not fail.
        let _ = match n.checked_sub(1) {
            None => writeln!(text, "  t{n:06}: {{agent: work, with: {{n: 1}}}}"),
            Some(before) => writeln!(
                text,
                "  t{n:06}: {{agent: work, needs: [t{before:06}], with: {{n: \"${{tasks.t{before:06}.output.n + 1}}\"}}}}"
            ),
        };
    }
    text
}

/// Tasks side by side, and one that needs them all and uses the last.
pub(crate) fn parallel(count: usize) -> String {
    let mut text = "mesh: v1\nname: parallel\noutput: ${tasks.z.output.n}\ntasks:\n".to_owned();
    for n in 0..count {
        let _ = writeln!(text, "  t{n:06}: {{agent: work, with: {{n: {n}}}}}");
    }
    let all: Vec<String> = (0..count).map(|n| format!("t{n:06}")).collect();
    let (last, all) = (count - 1, all.join(", "));
    let _ = writeln!(
        text,
        "  z: {{agent: work, needs: [{all}], with: {{n: \"${{tasks.t{last:06}.output.n}}\"}}}}"
    );
    text
}

/// A short run, to see whether it is kept waiting.
pub(crate) const SHORT: &str =
    "{mesh: v1, name: short, tasks: {a: {agent: quick}, b: {agent: quick, needs: [a]}}}";

/// An agent for a capability that returns what it is given.
pub(crate) fn agent(capability: &str) -> AgentBuilder {
    async fn work(_: Context, input: Value) -> Result<Value, TaskFailure> {
        Ok(input)
    }
    Agent::builder(capability).capacity(256).capability(capability, work)
}

/// Waits until an orchestrator has made the namespace, and applies a definition.
pub(crate) async fn set_up(world: &World, definition: &str) -> Result<()> {
    // Each try waits for the server.
    let ready = async { while world.apply(SHORT).await.is_err() {} };
    patiently("the namespace", ready).await?;
    let definition = definitions::check(definition, Format::Yaml)?;
    // While a hundred thousand tasks are read, a connection may be lost.
    let apply = async {
        loop {
            match definitions::apply(&*world.bus, &definition).await {
                Err(ApplyError::Bus(error)) if error.is_retryable() => {}
                applied => return applied,
            }
        }
    };
    tokio::time::timeout(LONGEST, apply).await.context("waited too long")??;
    Ok(())
}

/// Waits for the end of a run, and gives its output.
pub(crate) async fn output(world: &World, run: RunId) -> Result<Value> {
    let bus: Arc<dyn Bus> = Arc::<NatsBus>::clone(&world.bus);
    let mut waiter = RunWaiter::new(bus, run).await?;
    let outcome = tokio::time::timeout(LONGEST, waiter.wait()).await.context("waited too long")??;
    match outcome {
        RunOutcome::Completed(completed) => Ok(completed.output),
        other => bail!("the run did not complete: {other:?}"),
    }
}

/// Waits until so many messages are on subjects of a stream. Returns when the last of them was there.
pub(crate) async fn so_many(world: &World, stream: Stream, filter: &str, count: usize) -> Result<Instant> {
    let filters = vec![format!("{}.{filter}", world.namespace)];
    let wait = async {
        let mut messages = world.bus.follow(stream, filters, From::Begin).await?;
        let mut seen = 0;
        while seen < count {
            let message = messages.next().await.context("the stream ended")?;
            seen += usize::from(message?.is_some());
        }
        Ok(Instant::now())
    };
    tokio::time::timeout(LONGEST, wait).await.with_context(|| format!("waited too long for {filter}"))?
}

/// The checkpoints that the log has of a run.
pub(crate) async fn checkpoints(world: &World, run: RunId) -> Result<Vec<(u64, WorkflowCheckpointed)>> {
    let mut found = Vec::new();
    for stored in world.bus.read_run_itself(&run).await?.events {
        if let Ok(Subject::Checkpointed { .. }) = Subject::parse(&world.namespace, &stored.message.subject) {
            let event = Envelope::decode(&stored.message.headers, &stored.message.payload)?;
            found.push((stored.sequence, WorkflowCheckpointed::deserialize(event.data())?));
        }
    }
    Ok(found)
}

/// Takes the checkpoints of a run away.
pub(crate) async fn remove_checkpoints(world: &World, run: RunId) -> Result<usize> {
    let found = checkpoints(world, run).await?;
    for (sequence, _) in &found {
        world.bus.remove(Stream::Events, *sequence).await?;
    }
    Ok(found.len())
}

/// Reads a run as an orchestrator does that has never seen it, with and without its newest checkpoint, and compares.
pub(crate) async fn compare_cold_loads(world: &World, run: RunId) -> Result<()> {
    let definitions = Definitions::new(Arc::<NatsBus>::clone(&world.bus));
    let read = |stored: &mesh_schemas::StoredMessage| Event::read(&world.namespace, stored).ok();
    let itself = world.bus.read_run_itself(&run).await?.events;
    let first = itself.iter().filter_map(read).find(|event| matches!(event.fact, Fact::Started(_)));
    let first = first.context("the run has not begun")?;
    let Fact::Started(started) = &first.fact else { bail!("the run has not begun") };
    let name = started.workflow.as_ref().context("a workflow")?;
    let begin = Instant::now();
    let known = definitions.get(name, &started.data.digest).await?.context("the definition")?;
    let compiled = begin.elapsed();

    let begin = Instant::now();
    let whole = world.bus.read_run(&run).await?;
    let fetched = begin.elapsed();
    let mut replay = Replay::begin(&first, started, Arc::clone(&known.plan));
    whole.events.iter().filter_map(read).for_each(|event| replay.take(&event));
    let (from_log, _) = replay.finish();
    let without = begin.elapsed();

    let begin = Instant::now();
    let found = checkpoints(world, run).await?;
    let (_, checkpoint) = found.last().context("a checkpoint")?;
    let state = checkpoint.state.clone().context("its state")?;
    let restored = Run::restore(&first, started, Arc::clone(&known.plan), state.as_bytes())?;
    let rest = world.bus.read_run_after(&run, checkpoint.upto).await?;
    let mut replay = Replay::resume(restored);
    rest.events.iter().filter_map(read).for_each(|event| replay.take(&event));
    let (from_checkpoint, _) = replay.finish();
    let with = begin.elapsed();
    ensure!(from_checkpoint == from_log, "the run is another one by its checkpoint");
    println!("definition read and compiled in {compiled:?}");
    println!(
        "cold load of {} events: {without:?} ({fetched:?} of it reading); from a checkpoint of {} bytes and {} events: {with:?}",
        whole.events.len(),
        state.len(),
        rest.events.len()
    );
    Ok(())
}

/// Archives a run that has ended, by an orchestrator without grace, and compares what is kept with what the log had.
pub(crate) async fn archive(world: &World, run: RunId) -> Result<()> {
    let log = read_whole_run(&*world.bus, &run).await?.events;
    let work = world.bus.read_work(&run).await?;
    let janitor = Process::start(world, &mesh_binary()?, &["orchestrator", "--grace", "0s"])?;
    let begin = Instant::now();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    // Reading what is not there costs little.
    let emptied = async {
        while world.bus.read_short_run(&run, 2).await?.is_none()
            || !world.bus.read_work(&run).await?.is_empty()
        {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LONGEST, emptied).await.context("waited too long for the archive")??;
    println!("archived {:?} after the start, {}", begin.elapsed(), janitor.memory()?);
    let begin = Instant::now();
    let kept = read_whole_run(&*world.bus, &run).await?;
    ensure!(kept.events == log, "the events are other ones");
    ensure!(kept.history.of(Stream::Tasks).eq(&work), "the work is other work");
    println!("read from {} parts of its history in {:?}", kept.history.parts, begin.elapsed());
    ensure!(janitor.terminate()?, "the orchestrator did not end well");
    Ok(())
}

/// How long short runs take in the shard of another run, until it is dropped; printed then.
pub(crate) async fn short_runs(
    world: &World,
    beside: RunId,
    until: impl Future<Output = Result<()>>,
) -> Result<()> {
    let mut took = Vec::new();
    let bus: Arc<dyn Bus> = Arc::<NatsBus>::clone(&world.bus);
    let meanwhile = async {
        for n in 0_u64.. {
            let request = world.request("short", &format!("{beside}-{n}"), Value::from(n))?;
            let run = world.run_of(&request).await?;
            if run.shard() != beside.shard() {
                continue;
            }
            let begin = Instant::now();
            let mut waiter = RunWaiter::new(Arc::clone(&bus), run).await?;
            mesh_bus::submit(&*bus, &request).await?;
            waiter.wait().await?;
            took.push(begin.elapsed());
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = until => ended?,
        ended = meanwhile => ended?,
    }
    took.sort_unstable();
    println!(
        "{} short runs in the same shard meanwhile: median {:?}, longest {:?}",
        took.len(),
        took.get(took.len() / 2),
        took.last()
    );
    Ok(())
}
