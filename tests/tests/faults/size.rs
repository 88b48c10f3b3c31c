//! Messages that are larger than the server takes (1 MiB unless it is told otherwise), and data that is larger than any
//! may be.

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use mesh_agents::{Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Publish, PublishError, RunOutcome, SubmitError, submit};
use mesh_schemas::payload::code;
use mesh_schemas::{Headers, MAX_CARRIED_BYTES, MAX_DATA_BYTES, Message};
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

use crate::support::{CHAIN, HELD, is_well, letter_about, worker};

/// What the server takes at most, in bytes, headers included.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// Two large values beside each other, in places that the mesh fills in.
const LARGE: &str = "
mesh: v1
name: large
input: {type: object, properties: {place: {type: string}, bytes: {type: integer}}}
output: {left: '${tasks.left.output}', right: '${tasks.right.output}'}
tasks:
  left: {agent: large, retry: {max_attempts: 1}}
  right: {agent: large, retry: {max_attempts: 1}}
  both:
    agent: large
    needs: [left, right]
    when: input.place == 'input'
    with: {place: none, left: '${tasks.left.output}', right: '${tasks.right.output}'}
";

/// Returns, or fails with, as much text as the input asks for.
async fn large(_context: Context, input: Value) -> Result<Value, TaskFailure> {
    let text = "x".repeat(usize::try_from(input["bytes"].as_u64().unwrap_or_default()).unwrap_or_default());
    if input["place"] == "error" {
        return Err(TaskFailure::fatal("large", text));
    }
    Ok(json!(text))
}

#[tokio::test]
async fn a_publisher_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    let subject = format!("{}.workflow.requested.chain", world.namespace);
    // More than the server takes at all, and more than the inbox takes.
    for bytes in [2 * MAX_PAYLOAD, MAX_PAYLOAD - 1024] {
        let payload = Bytes::from(vec![b' '; bytes]);
        let message = Message { subject: subject.clone(), headers: Headers::new(), payload };
        let refused = world.bus.publish(Publish::plain(message)).await;
        ensure!(matches!(refused, Err(PublishError::TooLarge(_))), "{bytes} bytes: {refused:?}");
    }
    let request = world.request("chain", "large", json!("x".repeat(MAX_DATA_BYTES)))?;
    let refused = submit(&*world.bus, &request).await;
    ensure!(matches!(refused, Err(SubmitError::TooLarge { .. })), "{refused:?}");
    // The largest request that is taken is taken to its end, in a letter too.
    let input = json!({"n": 1, "text": "x".repeat(MAX_DATA_BYTES - 100)});
    ensure!(world.output("chain", input).await? == json!(1), "the largest input");
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// Every value that is too large ends the run, with a code that says so.
#[tokio::test]
async fn a_run_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker().capability("large", large)).await?;
    world.apply(CHAIN).await?;
    world.apply(LARGE).await?;
    for (place, bytes) in
        [("result", MAX_DATA_BYTES), ("output", MAX_DATA_BYTES / 2), ("input", MAX_DATA_BYTES / 2)]
    {
        let input = json!({"place": place, "bytes": bytes});
        let RunOutcome::Failed(failed) = world.run("large", input).await? else {
            bail!("{place}: no failure")
        };
        ensure!(failed.error.code == code::PAYLOAD_TOO_LARGE, "{place}: {failed:?}");
    }
    // An error whose text fits into the event of the task, but not into that of the run.
    for bytes in [2 * MAX_PAYLOAD, MAX_PAYLOAD - 900, MAX_PAYLOAD - 700] {
        let outcome = world.run("large", json!({"place": "error", "bytes": bytes})).await?;
        let RunOutcome::Failed(failed) = outcome else { bail!("an error of {bytes} bytes: no failure") };
        let codes = ["large", code::PAYLOAD_TOO_LARGE];
        ensure!(codes.contains(&&*failed.error.code), "an error of {bytes} bytes: {}", failed.error.code);
    }
    is_well(&world).await?;
    Audit::when_idle(&world, &["large"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// A reason, an error and a list of reasons that do not fit beside what the mesh adds.
#[tokio::test]
async fn an_end_has_room() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    let text = "x".repeat(MAX_PAYLOAD - 300);
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let failed = json!({"error": {"code": "large", "message": text, "retryable": false}});
    world.publish(&format!("task.failed.held.normal.{run}.t.1"), failed.to_string()).await?;
    let outcome = world.ended(run).await?;
    ensure!(matches!(&outcome, RunOutcome::Failed(end) if end.error.code == "large"), "the run did not fail");
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let reason = json!({"reason": text});
    world.publish(&format!("workflow.signalled.held.-.{run}.cancel.1"), reason.to_string()).await?;
    ensure!(matches!(world.ended(run).await?, RunOutcome::Cancelled(_)), "the run was not cancelled");
    world
        .apply(
            "
mesh: v1
name: strict
input: {type: object, properties: {n: {type: integer}, m: {type: integer}, o: {maxLength: 1}}}
tasks: {t: {agent: work}}
",
        )
        .await?;
    let wrong = "x".repeat(MAX_CARRIED_BYTES / 3 - 100);
    let outcome = world.run("strict", json!({"n": wrong, "m": wrong, "o": wrong})).await?;
    let RunOutcome::Rejected(rejected) = outcome else { bail!("a wrong input was not rejected") };
    ensure!(rejected.reasons.len() == 3, "{} reasons", rejected.reasons.len());
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// A letter is written even when what it is about leaves no room for it.
#[tokio::test]
async fn a_letter_has_room() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let publish = |task: &str, headers: Headers, payload: Bytes| {
        let subject = format!("{}.task.completed.held.normal.{run}.{task}.1", world.namespace);
        world.bus.publish(Publish::plain(Message { subject, headers, payload }))
    };
    // As large as it can be stored.
    publish("body", Headers::new(), Bytes::from(vec![b'x'; MAX_PAYLOAD - 10])).await?;
    let good = Bytes::from_static(br#"{"output": 1}"#);
    publish("header", Headers::new().with("x-note", "x".repeat(65_000)), good).await?;
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/x", "type": "task.completed", "data": {"output": 1},
        "correlationid": "c".repeat(70_000),
    });
    publish("correlation", Headers::new(), Bytes::from(event.to_string())).await?;
    for (task, reason) in [("body", "malformed"), ("header", "unknown_task"), ("correlation", "unknown_task")]
    {
        letter_about(&world, "events", reason, &format!("task.completed.held.normal.{run}.{task}.1")).await?;
    }
    world.publish(&format!("task.completed.held.normal.{run}.t.1"), r#"{"output": 1}"#).await?;
    world.ended(run).await?;
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// JSON that is nested as deep as readers allow leaves no room for an envelope around it.
#[tokio::test]
async fn depth_is_told_as_size_is() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker().capability("large", deep)).await?;
    world.apply(CHAIN).await?;
    world
        .apply(&LARGE.replace("output: {left: '${tasks.left.output}', right: '${tasks.right.output}'}", ""))
        .await?;
    for depth in [90, 120, 124, 125, 126, 127] {
        let bare = format!(r#"{{"bytes": {depth}, "deep": {}}}"#, nested(depth - 1, "1"));
        world.publish("workflow.requested.large", bare.clone()).await?;
        let input = serde_json::from_str(&bare)?;
        let request = world.request("large", &format!("deep-{depth}"), input)?;
        match submit(&*world.bus, &request).await {
            Ok(run) => drop(world.ended(run).await?),
            Err(error) => ensure!(!error.is_retryable(), "depth {depth}: {error}"),
        }
    }
    for depth in [90, 120, 124, 125, 126, 127] {
        let outcome = world.run("large", json!({"bytes": depth})).await?;
        ensure!(
            matches!(outcome, RunOutcome::Completed(_) | RunOutcome::Failed(_)),
            "depth {depth}: {outcome:?}"
        );
    }
    is_well(&world).await?;
    Audit::when_idle(&world, &["large"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

fn nested(depth: u64, core: &str) -> String {
    let depth = usize::try_from(depth).unwrap_or_default();
    format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Returns lists in lists.
async fn deep(_context: Context, input: Value) -> Result<Value, TaskFailure> {
    let depth = input["bytes"].as_u64().unwrap_or_default();
    Ok(serde_json::from_str(&nested(depth, "1"))?)
}
