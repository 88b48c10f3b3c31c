//! Two outcomes for one attempt, and cancelling at the moment of completion: what stands first in the log counts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, From};
use mesh_schemas::{RunId, Subject, TaskVerb, WorkflowVerb};
use mesh_tests::{Process, TestServer, World, mesh_binary, patiently};
use serde_json::{Value, json};

use crate::support::{CHAIN, ends, is_well_and_complete, set_up, worker};

const COMPLETED: &str = r#"{"output": "done"}"#;
const FATAL: &str = r#"{"error": {"code": "no", "message": "never", "retryable": false}}"#;
const BUSY: &str = r#"{"error": {"code": "busy", "message": "not now"}}"#;

/// Which outcomes are published for the attempt, in which order, and how the run ends by that.
const CASES: [([(&str, &str); 2], WorkflowVerb); 4] = [
    ([("completed", COMPLETED), ("failed", FATAL)], WorkflowVerb::Completed),
    ([("failed", FATAL), ("completed", COMPLETED)], WorkflowVerb::Failed),
    ([("completed", COMPLETED), ("failed", BUSY)], WorkflowVerb::Completed),
    // Worth another attempt, which completes.
    ([("failed", BUSY), ("completed", COMPLETED)], WorkflowVerb::Completed),
];

#[tokio::test]
async fn the_first_outcome_counts_whoever_reads_the_log() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world).await?;
    let agent = world.agent(worker()).await?;
    let live = held(&world).await?;
    publish(&world, &live).await?;
    complete_second_attempts(&world, &live).await?;
    let before = ends(&world, live.len()).await?;
    let unseen = held(&world).await?;
    ensure!(first.terminate()?, "the orchestrator did not end well");
    publish(&world, &unseen).await?;
    let second = Process::orchestrator(&world)?;
    complete_second_attempts(&world, &unseen).await?;
    // Reads the runs anew that had ended, and stores what it finds missing: nothing.
    for run in &live {
        world.publish(&format!("workflow.signalled.held.-.{run}.check.1"), "").await?;
    }
    let after = ends(&world, live.len() + unseen.len()).await?;
    for (n, (_, verb)) in CASES.iter().enumerate() {
        for run in [live[n], unseen[n]] {
            ensure!(after[&run] == *verb, "case {n}: run {run} ended as {}", after[&run]);
            ensure!(shown(&world, run)? == verb.as_str(), "case {n}: run {run} is shown otherwise");
        }
        ensure!(before[&live[n]] == *verb, "case {n}: it was {} at first", before[&live[n]]);
    }
    let audit = is_well_and_complete(&world).await?;
    for (key, outcomes) in audit.outcomes.iter().filter(|(key, _)| live.contains(&key.run)) {
        let expected = if key.attempt.get() == 1 { 2 } else { 1 };
        ensure!(outcomes.len() == expected, "{key:?} has {outcomes:?}");
    }
    agent.stop().await?;
    ensure!(second.terminate()?, "the orchestrator did not end well");
    Ok(())
}

/// A run for each case, whose attempt waits for an outcome.
async fn held(world: &World) -> Result<Vec<RunId>> {
    let mut runs = Vec::new();
    for _ in CASES {
        let run = world.start("held", json!({})).await?;
        world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
        runs.push(run);
    }
    Ok(runs)
}

async fn publish(world: &World, runs: &[RunId]) -> Result<()> {
    for (run, (outcomes, _)) in runs.iter().zip(CASES) {
        for (verb, payload) in outcomes {
            world.publish(&format!("task.{verb}.held.normal.{run}.t.1"), payload).await?;
        }
    }
    Ok(())
}

async fn complete_second_attempts(world: &World, runs: &[RunId]) -> Result<()> {
    let run = runs[3];
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.2")).await?;
    world.publish(&format!("task.completed.held.normal.{run}.t.2"), COMPLETED).await
}

/// The status that `mesh runs show` prints.
fn shown(world: &World, run: RunId) -> Result<String> {
    let output = Command::new(mesh_binary()?)
        .args(["runs", "show", &run.to_string(), "--output", "json"])
        .env("MESH_NATS_URL", &world.url)
        .env("MESH_NAMESPACE", world.namespace.as_str())
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout)?;
    Ok(shown["status"].as_str().context("no status")?.to_owned())
}

/// A third of the runs is cancelled as soon as it is asked for, a third when its work is created, and a third when
/// its work is done.
#[tokio::test]
async fn cancel_and_completion_race() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply("{mesh: v1, name: quick, output: '${tasks.t.output}', tasks: {t: {agent: work}}}").await?;
    let filter = vec![format!("{}.task.*.work.normal.>", world.namespace)];
    let mut created = world.bus.follow(Stream::Tasks, filter.clone(), From::Now).await?;
    let mut done = world.bus.follow(Stream::Events, filter, From::Now).await?;
    let mut cancel_when = BTreeMap::new();
    for n in 0..60 {
        let run = world.start("quick", json!({"n": n})).await?;
        match n % 3 {
            0 => cancel(&world, run).await?,
            turn => {
                let verb = if turn == 1 { TaskVerb::Created } else { TaskVerb::Completed };
                cancel_when.insert(run, verb);
            }
        }
    }
    while !cancel_when.is_empty() {
        let next = async {
            tokio::select! {
                Some(message) = created.next() => message,
                Some(message) = done.next() => message,
            }
        };
        let Some(stored) = patiently("a task", next).await?? else { continue };
        if let Subject::Task { verb, key } = Subject::parse(&world.namespace, &stored.message.subject)?
            && cancel_when.get(&key.run) == Some(&verb)
        {
            cancel_when.remove(&key.run);
            cancel(&world, key.run).await?;
        }
    }
    let ends = ends(&world, 60).await?;
    is_well_and_complete(&world).await?;
    let first = first_of_each(&world).await?;
    for (run, verb) in ends {
        ensure!(first[&run] == verb, "run {run} ended as {verb}, but the log says {}", first[&run]);
    }
    agent.stop().await?;
    orchestrator.stop().await
}

async fn cancel(world: &World, run: RunId) -> Result<()> {
    world
        .publish(&format!("workflow.signalled.quick.-.{run}.cancel.1"), r#"{"reason": "changed my mind"}"#)
        .await
}

/// How each run must end: by what stands first in the log after its beginning.
async fn first_of_each(world: &World) -> Result<BTreeMap<RunId, WorkflowVerb>> {
    let mut begun = BTreeSet::new();
    let mut first = BTreeMap::new();
    for stored in world.stored(Stream::Events, ">").await? {
        let subject = Subject::parse(&world.namespace, &stored.message.subject)?;
        match subject {
            Subject::Workflow { verb: WorkflowVerb::Started, run, .. } => {
                begun.insert(run);
            }
            Subject::Signalled { run, .. } if begun.contains(&run) => {
                first.entry(run).or_insert(WorkflowVerb::Cancelled);
            }
            Subject::Task { verb: TaskVerb::Completed, key } => {
                first.entry(key.run).or_insert(WorkflowVerb::Completed);
            }
            _ => {}
        }
    }
    Ok(first)
}
