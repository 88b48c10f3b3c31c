//! Messages that mean nothing, on every subject that somebody reads.

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Publish, RunOutcome};
use mesh_schemas::payload::code;
use mesh_schemas::{Headers, Message, RequestId, RunId, Shards};
use mesh_tests::{TestServer, World, until_idle};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{CHAIN, HELD, is_well, letter, letter_about, worker};

/// What cannot be read at all, whatever it is meant to be.
const UNREADABLE: [&[u8]; 8] = [
    b"\xff\xfe\x00garbage",
    b"",
    b"{\"n\": 1",
    b"{\"n\": NaN}",
    br#"{"specversion": "1.0"}"#,
    br#"{"specversion": "9.9", "id": "1", "source": "/x", "type": "t", "data": {}}"#,
    br#"{"specversion": "1.0", "id": "", "source": "/x", "type": "t", "data": {}}"#,
    br#"{"specversion": "1.0", "id": "1", "source": "/x", "type": "t", "datacontenttype": "text/xml", "data": "<a/>"}"#,
];

/// JSON that has none of the forms that the mesh's own events have.
const WRONG_TYPES: [&[u8]; 4] =
    [b"42", b"[]", b"{}", br#"{"due": 7, "error": "no", "digest": [], "agent": 1}"#];

/// A run that nobody asked for.
fn nobodys() -> RunId {
    let id = RequestId { source: "/nobody".to_owned(), id: Uuid::new_v4().to_string() };
    RunId::for_request("workflow.chain", &id, Shards::default())
}

/// Publishes, and waits for the letter about it.
async fn buried(world: &World, subject: &str, payload: &[u8], stream: &str, reason: &str) -> Result<()> {
    world.publish(subject, Bytes::copy_from_slice(payload)).await?;
    letter(world, stream, reason, subject, payload).await
}

#[tokio::test]
async fn requests_and_timers() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    for payload in UNREADABLE {
        buried(&world, "workflow.requested.chain", payload, "inbox", "malformed").await?;
        buried(&world, "task.requested.work", payload, "inbox", "malformed").await?;
        let timer = format!("timer.due.-.-.{}.deadline", nobodys());
        buried(&world, &timer, payload, "inbox", "malformed").await?;
    }
    for payload in WRONG_TYPES {
        let timer = format!("timer.due.-.-.{}.deadline", nobodys());
        buried(&world, &timer, payload, "inbox", "malformed").await?;
    }
    for subject in ["workflow.requested.Not_A_Name", "task.requested.Not_A_Name"] {
        buried(&world, subject, b"{}", "inbox", "malformed").await?;
    }
    let run = nobodys();
    for tail in ["someday", "retry-t", "retry-t-0", "retry-T-1"] {
        buried(&world, &format!("timer.due.-.-.{run}.{tail}"), b"{}", "inbox", "malformed").await?;
    }
    buried(&world, "timer.due.-.-.0.no-uuid.deadline", b"{}", "inbox", "malformed").await?;
    headers_that_lie(&world).await?;
    let rejected = world.stored(Stream::Notes, "request.rejected.>").await?.len();
    ensure!(rejected >= 2 * UNREADABLE.len(), "{rejected} rejections");
    let RunOutcome::Rejected(rejected) = world.run("nowhere", json!({})).await? else {
        bail!("an unknown workflow was not rejected")
    };
    ensure!(rejected.code == "unknown_workflow", "{rejected:?}");
    // A timer of a run that does not exist is readable, and fires for nobody.
    let due = json!({"specversion": "1.0", "id": "1", "source": "/x", "type": "timer.due", "data": {"due": Utc::now()}});
    world.publish(&format!("timer.due.-.-.{run}.deadline"), due.to_string()).await?;
    letter_about(&world, "events", "unknown_run", &format!("timer.fired.-.-.{run}.deadline")).await?;
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// Headers that say CloudEvent where there is none, and attributes that no header and no subject could hold.
async fn headers_that_lie(world: &World) -> Result<()> {
    let subject = "workflow.requested.chain";
    let structured = Headers::new().with("content-type", "application/cloudevents+json");
    let avro = Headers::new().with("Content-Type", "application/cloudevents+avro");
    let binary = Headers::new().with("ce-id", "1").with("ce-specversion", "1.0");
    for (n, headers) in [structured, avro, binary].into_iter().enumerate() {
        let payload = Bytes::from(json!({"lie": n}).to_string());
        let message =
            Message { subject: format!("{}.{subject}", world.namespace), headers, payload: payload.clone() };
        world.bus.publish(Publish::plain(message)).await?;
        letter(world, "inbox", "malformed", subject, &payload).await?;
    }
    let odd = |id: &str, correlation: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/odd source", "type": "x", "correlationid": correlation,
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=é",
            "data": {"n": 1}
        })
    };
    for (id, correlation) in [("line\r\nbreak: 1", "fine"), ("2", "a\r\nb: c"), ("3", "\u{7f}")] {
        let payload = Bytes::from(odd(id, correlation).to_string());
        world.publish(subject, payload.clone()).await?;
        letter(world, "inbox", "malformed", subject, &payload).await?;
    }
    // Odd, and allowed.
    world.publish(subject, odd("é.*.> %0d%0a", "\u{1f600}").to_string()).await?;
    world.first(Stream::Events, "workflow.completed.chain.>").await?;
    Ok(())
}

#[tokio::test]
async fn events_of_no_run() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    let readable: [&[u8]; 1] = [b"{}"];
    for payload in UNREADABLE.into_iter().chain(WRONG_TYPES) {
        let run = nobodys();
        buried(&world, &format!("workflow.started.chain.-.{run}"), payload, "events", "malformed").await?;
    }
    for payload in UNREADABLE.into_iter().chain(readable) {
        let run = nobodys();
        for subject in [
            format!("task.completed.work.normal.{run}.a.1"),
            format!("task.failed.work.normal.{run}.a.1"),
            format!("timer.fired.-.-.{run}.deadline"),
            format!("workflow.completed.chain.-.{run}"),
        ] {
            buried(&world, &subject, payload, "events", "unknown_run").await?;
        }
    }
    let run = nobodys();
    for (subject, reason) in [
        (format!("workflow.exploded.chain.-.{run}"), "unknown_type"),
        (format!("workflow.paused.chain.-.{run}"), "unknown_type"),
        (format!("workflow.signalled.chain.-.{run}.explode.1"), "unknown_type"),
        ("task.completed.work.normal.0.no-uuid.a.1".to_owned(), "malformed"),
        (format!("task.completed.work.normal.{run}.a.0"), "malformed"),
        (format!("task.completed.work.urgent.{run}.a.1"), "malformed"),
        (format!("task.failed.WORK.normal.{run}.a.1"), "malformed"),
        (format!("timer.fired.-.-.{run}.someday"), "malformed"),
    ] {
        buried(&world, &subject, b"{}", "events", reason).await?;
    }
    // Signals may come before their run and are kept for a while.
    let cancel = format!("workflow.signalled.chain.-.{run}.cancel.1");
    buried(&world, &cancel, b"", "events", "unknown_run").await?;
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn events_of_a_run() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    strays(&world, run).await?;
    for (n, payload) in UNREADABLE.into_iter().skip(2).enumerate() {
        let signal = format!("workflow.signalled.held.-.{run}.cancel.{n}");
        buried(&world, &signal, payload, "events", "malformed").await?;
    }
    let wrong = format!("workflow.signalled.held.-.{run}.cancel.wrong");
    buried(&world, &wrong, br#"{"reason": 7}"#, "events", "malformed").await?;
    let unknown = format!("workflow.signalled.-.-.{run}.explode.1");
    buried(&world, &unknown, b"", "events", "unknown_type").await?;
    // None of that was an outcome or an end.
    world.publish(&format!("task.completed.held.normal.{run}.t.1"), r#"{"output": "mine"}"#).await?;
    let outcome = world.ended(run).await?;
    ensure!(matches!(&outcome, RunOutcome::Completed(end) if end.output == "mine"), "{outcome:?}");
    // What a run never had, it does not have after its end either.
    let late = format!("task.completed.held.normal.{run}.other.2");
    buried(&world, &late, br#"{"output": 1}"#, "events", "unknown_task").await?;
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// Outcomes and timers of tasks, attempts and capabilities that the run does not have.
async fn strays(world: &World, run: RunId) -> Result<()> {
    // Good as `completed`, as `failed` and as a timer.
    let good = br#"{"output": 1, "error": {"code": "no", "message": "no"}, "due": "2026-01-01T00:00:00Z"}"#;
    for subject in [
        format!("task.completed.held.normal.{run}.other.1"),
        format!("task.failed.held.normal.{run}.other.1"),
        format!("task.completed.held.normal.{run}.t.7"),
        format!("task.completed.work.normal.{run}.t.1"),
        format!("task.completed.held.high.{run}.t.1"),
        format!("timer.fired.-.-.{run}.retry-other-1"),
        format!("timer.fired.-.-.{run}.retry-t-7"),
    ] {
        buried(world, &subject, good, "events", "unknown_task").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_outcome_that_cannot_be_read_is_a_failure_that_says_so() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    for (n, payload) in UNREADABLE.into_iter().chain(WRONG_TYPES).enumerate() {
        let run = world.start("held", json!({})).await?;
        world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
        let verb = if n % 2 == 0 { "completed" } else { "failed" };
        let subject = format!("task.{verb}.held.normal.{run}.t.1");
        buried(&world, &subject, payload, "events", "malformed").await?;
        let RunOutcome::Failed(failed) = world.ended(run).await? else { bail!("run {run} went on") };
        ensure!(failed.error.code == code::MALFORMED_OUTCOME, "{failed:?}");
    }
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// A timer's subject is taken for good, so a firing that cannot be read fires all the same: else the run would
/// have no deadline any more.
#[tokio::test]
async fn a_timer_that_cannot_be_read_fires_and_is_put_aside() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let fired = format!("timer.fired.-.-.{run}.deadline");
    buried(&world, &fired, b"\xff", "events", "malformed").await?;
    let outcome = world.ended(run).await?;
    ensure!(matches!(&outcome, RunOutcome::Failed(end) if end.error.code == code::TIMEOUT), "{outcome:?}");
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// What nobody was there to see is put aside all the same, also when it is found while a run is read anew.
#[tokio::test]
async fn events_that_came_while_nobody_was_there() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    world.apply(HELD).await?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    orchestrator.stop().await?;
    // The first of them makes the run be read anew, with all the others in it.
    let check = format!("workflow.signalled.held.-.{run}.check.1");
    let stray = format!("task.completed.held.normal.{run}.other.1");
    let outcome = format!("task.completed.held.normal.{run}.t.1");
    for (subject, payload) in [(&check, ""), (&stray, r#"{"output": 1}"#), (&outcome, "no JSON")] {
        world.publish(subject, payload).await?;
    }
    let orchestrator = world.orchestrator().await?;
    let RunOutcome::Failed(failed) = world.ended(run).await? else { bail!("run {run} went on") };
    ensure!(failed.error.code == code::MALFORMED_OUTCOME, "{failed:?}");
    letter(&world, "events", "unknown_task", &stray, br#"{"output": 1}"#).await?;
    letter(&world, "events", "malformed", &outcome, b"no JSON").await?;
    is_well(&world).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn work_that_is_none() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    for payload in UNREADABLE.into_iter().chain(WRONG_TYPES) {
        let run = nobodys();
        let subject = format!("task.created.work.normal.{run}.a.1");
        buried(&world, &subject, payload, "tasks", "malformed").await?;
        // The attempt, if it is one, has failed: nobody would do it.
        letter_about(&world, "events", "unknown_run", &format!("task.failed.work.normal.{run}.a.1")).await?;
    }
    let run = nobodys();
    for subject in ["task.created.work.normal.0.no-uuid.a.1", &format!("task.created.work.normal.{run}.A.1")]
    {
        buried(&world, subject, b"{}", "tasks", "malformed").await?;
    }
    is_well(&world).await?;
    work_of_no_run(&world).await?;
    world.output("chain", json!({"n": 4})).await?;
    until_idle(&world, &["work"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// Work of a run that does not exist: new, it is done and its outcome put aside; old, it is not even done.
async fn work_of_no_run(world: &World) -> Result<()> {
    let model = world.first(Stream::Tasks, "task.created.work.normal.*.*.c.1").await?;
    let mut model: Value = serde_json::from_slice(&model.message.payload)?;
    let mut task = model["data"].take();
    let (new, old) = (nobodys(), nobodys());
    for (run, age) in [(old, TimeDelta::hours(1)), (new, TimeDelta::zero())] {
        task["basis"] = json!(Utc::now() - age);
        world.publish(&format!("task.created.work.normal.{run}.c.1"), task.to_string()).await?;
    }
    let outcome = format!("task.completed.work.normal.{new}.c.1");
    letter_about(world, "events", "unknown_run", &outcome).await?;
    until_idle(world, &["work"]).await?;
    let assigned = world.stored(Stream::Notes, &format!("task.assigned.work.normal.{old}.>")).await?;
    ensure!(assigned.is_empty(), "old work of no run was done: {assigned:?}");
    Ok(())
}
