//! Requests and timers that were put aside.

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, DeadEnd, RunOutcome, dead_letter};
use mesh_schemas::{Headers, Message, RequestId, RunId, Shards};
use mesh_tests::{TestServer, World};
use serde_json::json;

use super::{HELD, bury, letters, message, redriven, refused};
use crate::support::Person;

fn run_of(source: &str, id: &str) -> String {
    let id = RequestId { source: source.to_owned(), id: id.to_owned() };
    RunId::for_request("workflow.held", &id, Shards::default()).to_string()
}

#[tokio::test]
async fn a_bare_request_begins_the_run_that_it_would_have_begun() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    world.apply(HELD).await?;
    // Found in the inbox and put aside by somebody who could not read it, twice, as somebody died in between.
    world.publish("workflow.requested.held", r#"{"n": 1}"#).await?;
    let subject = format!("{}.workflow.requested.held", world.namespace);
    let found = world.bus.last(Stream::Inbox, &subject).await?.context("the request")?;
    dead_letter(&*world.bus, DeadEnd::UnreadableRequest, &found, "too new").await?;
    dead_letter(&*world.bus, DeadEnd::LargeRequest, &found, "too large").await?;
    let twice = letters(&world).await?.len();
    world.bus.remove(Stream::Inbox, found.sequence).await?;
    let person = Person::of(&world)?;
    let orchestrator = world.orchestrator().await?;
    for number in letters(&world).await? {
        let told = redriven(&person, number).await?;
        let time = found.time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        let inbox = Stream::Inbox.name(&world.namespace);
        ensure!(told["run"] == run_of(&inbox, &format!("{time}-1")), "{told}");
    }
    ensure!(twice >= 1 && letters(&world).await?.is_empty(), "letters are left");
    let [run] = super::begun(&world, "held").await?[..] else { anyhow::bail!("not one run") };
    let task = world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let task: serde_json::Value = serde_json::from_slice(&task.message.payload)?;
    ensure!(task["data"]["input"] == json!({"n": 1}), "{task}");
    orchestrator.stop().await
}

#[tokio::test]
async fn an_event_is_sent_as_it_was() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let structured = json!({
        "specversion": "1.0", "id": "1", "source": "/shop", "type": "order", "correlationid": "order-7", "data": {"n": 1}
    });
    let binary = Headers::new()
        .with("ce-specversion", "1.0")
        .with("ce-id", "2")
        .with("ce-source", "/shop")
        .with("ce-type", "order")
        .with("ce-correlationid", "order-8");
    let structured = message("workflow.requested.held", structured.to_string());
    let binary = Message { headers: binary, ..message("workflow.requested.held", r#"{"n": 2}"#) };
    for (sequence, event) in [(1, structured), (2, binary)] {
        let number = bury(&world, DeadEnd::UnreadableRequest, event, sequence).await?;
        let told = redriven(&person, number).await?;
        let run = told["run"].as_str().context("a run")?;
        ensure!(run == run_of("/shop", &sequence.to_string()), "{told}");
        let started = world.first(Stream::Events, &format!("workflow.started.held.-.{run}")).await?;
        let started: serde_json::Value = serde_json::from_slice(&started.message.payload)?;
        ensure!(started["correlationid"] == format!("order-{}", sequence + 6), "{started}");
        ensure!(started["data"]["input"] == json!({"n": sequence}), "{started}");
    }
    orchestrator.stop().await
}

#[tokio::test]
async fn what_begins_no_run_stays_and_says_why() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    let garbage =
        bury(&world, DeadEnd::UnreadableRequest, message("workflow.requested.held", "{"), 1).await?;
    let reason = refused(&world, &person, garbage).await?;
    ensure!(reason.contains("still cannot be read") && reason.contains("JSON"), "{reason}");
    let name = bury(&world, DeadEnd::InboxSubject, message("workflow.requested.No_Name", "{}"), 2).await?;
    let reason = refused(&world, &person, name).await?;
    ensure!(reason.contains("no subject that the mesh knows"), "{reason}");
    // Nobody has applied it yet.
    let early = bury(&world, DeadEnd::UnreadableRequest, message("workflow.requested.held", "{}"), 3).await?;
    let reason = refused(&world, &person, early).await?;
    ensure!(reason.contains("no workflow 'held' is registered"), "{reason}");
    world.apply(HELD).await?;
    redriven(&person, early).await?;
    ensure!(letters(&world).await? == [garbage, name]);
    orchestrator.stop().await
}

#[tokio::test]
async fn nobody_there_to_take_it_up_loses_nothing() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    for sequence in 1..=3 {
        let request = message("workflow.requested.held", json!({"n": sequence}).to_string());
        bury(&world, DeadEnd::UnreadableRequest, request, sequence).await?;
    }
    let (said, told) = super::redrive(&person, &["--all"]).await?;
    ensure!(said.code == 1 && told.len() == 1 && told[0]["result"] == "untaken", "{said:?}");
    ensure!(said.err.contains("start an orchestrator"), "{said:?}");
    ensure!(letters(&world).await?.len() == 3);
    let orchestrator = world.orchestrator().await?;
    let (said, _) = super::redrive(&person, &["--all"]).await?;
    ensure!(said.code == 0 && letters(&world).await?.is_empty(), "{said:?}");
    ensure!(super::begun(&world, "held").await?.len() == 3);
    orchestrator.stop().await
}

#[tokio::test]
async fn what_is_put_aside_again_is_there_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    // It fits into the inbox, but not beside what every first event has, and not elsewhere.
    world.without_objects().await?;
    let (input, id) = (json!({"n": "x".repeat(900_000)}), "y".repeat(75_000));
    let event = json!({"specversion": "1.0", "id": id, "source": "/shop", "type": "order", "data": input});
    world.publish("workflow.requested.held", event.to_string()).await?;
    let first = world.first(Stream::Dead, "dead.inbox.too_large").await?.sequence;
    for number in [first, first + 1] {
        let (said, told) = super::redrive(&person, &["--all"]).await?;
        ensure!(said.code == 1 && told[0]["result"] == "refused", "{said:?}");
        ensure!(told[0]["message"].as_str().is_some_and(|text| text.contains("put aside again")), "{told:?}");
        ensure!(letters(&world).await? == [number + 1], "not one letter");
    }
    orchestrator.stop().await
}

#[tokio::test]
async fn a_timer_fires_once_if_its_run_waits_for_it() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let due = json!({
        "specversion": "1.0", "id": "1", "source": "/x", "type": "timer.set", "data": {"due": chrono::Utc::now()}
    });
    let subject = format!("timer.due.-.-.{run}.deadline");
    let first = bury(&world, DeadEnd::UnreadableTimer, message(&subject, due.to_string()), 7).await?;
    let garbage = bury(&world, DeadEnd::UnreadableTimer, message(&subject, "{}"), 8).await?;
    let reason = refused(&world, &person, garbage).await?;
    ensure!(reason.contains("no CloudEvent"), "{reason}");
    let told = redriven(&person, first).await?;
    ensure!(told["run"] == run.to_string(), "{told}");
    let outcome = world.ended(run).await?;
    ensure!(matches!(&outcome, RunOutcome::Failed(end) if end.error.code == "timeout"), "{outcome:?}");
    let late = bury(&world, DeadEnd::UnreadableTimer, message(&subject, due.to_string()), 9).await?;
    let reason = refused(&world, &person, late).await?;
    ensure!(reason.contains(&format!("run {run} is over (failed)")), "{reason}");
    orchestrator.stop().await
}

/// What is sent again says of which letter it is.
#[tokio::test]
async fn what_is_sent_again_tells_where_it_came_from() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    world.orchestrator().await?.stop().await?;
    let event = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order", "data": {}});
    let headers = Headers::new().with("Nats-Msg-Id", "theirs").with("x-own", "1");
    let request = Message { headers, ..message("workflow.requested.held", event.to_string()) };
    let person = Person::of(&world)?;
    let number = bury(&world, DeadEnd::UnreadableRequest, request.clone(), 1).await?;
    super::redrive(&person, &[&number.to_string()]).await?;
    let subject = format!("{}.workflow.requested.held", world.namespace);
    let sent = world.bus.last(Stream::Inbox, &subject).await?.context("the request")?;
    let dead = Stream::Dead.name(&world.namespace);
    let header = |name: &str| sent.message.headers.get(name).unwrap_or_default().to_owned();
    ensure!(header("mesh-redriven") == format!("{dead}/{number}") && header("x-own") == "1", "{sent:?}");
    ensure!(header("Nats-Msg-Id").is_empty() && sent.message.payload == request.payload, "{sent:?}");
    let bare = message("workflow.requested.held", "{}");
    let number = bury(&world, DeadEnd::UnreadableRequest, bare, 2).await?;
    super::redrive(&person, &[&number.to_string()]).await?;
    let sent = world.bus.last(Stream::Inbox, &subject).await?.context("the request")?;
    let sent: serde_json::Value = serde_json::from_slice(&sent.message.payload)?;
    ensure!(sent["causationid"] == format!("{dead}/{number}"), "{sent}");
    Ok(())
}
