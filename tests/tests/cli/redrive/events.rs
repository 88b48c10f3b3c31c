//! What was put aside of the log.

use anyhow::{Result, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{DeadEnd, RunOutcome};
use mesh_schemas::{RequestId, RunId, Shards};
use mesh_tests::{TestServer, World};
use serde_json::json;

use super::{HELD, bury, letters, message, redriven, refused};
use crate::support::Person;

#[tokio::test]
async fn a_signal_is_sent_under_an_id_of_its_own() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    // It came before its run, and nobody waited so long.
    let request = world.request("held", "late", json!({}))?;
    let run = world.run_of(&request).await?;
    let cancel = message(format!("workflow.signalled.held.-.{run}.cancel.mine"), r#"{"reason": "no more"}"#);
    let number = bury(&world, DeadEnd::EventOfNoRun, cancel.clone(), 77).await?;
    let reason = refused(&world, &person, number).await?;
    ensure!(reason.contains(&format!("the log has no run {run}")), "{reason}");
    mesh_bus::submit(&*world.bus, &request).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let told = redriven(&person, number).await?;
    ensure!(told["message"] == format!("sent the signal 'cancel' to run {run}"), "{told}");
    let outcome = world.ended(run).await?;
    ensure!(
        matches!(&outcome, RunOutcome::Cancelled(end) if end.reason.as_deref() == Some("no more")),
        "{outcome:?}"
    );
    world.first(Stream::Events, &format!("workflow.signalled.held.-.{run}.cancel.redriven-77")).await?;
    let late = bury(&world, DeadEnd::EventOfNoRun, cancel, 78).await?;
    let reason = refused(&world, &person, late).await?;
    ensure!(reason.contains("is over (cancelled)"), "{reason}");
    orchestrator.stop().await
}

#[tokio::test]
async fn what_names_a_fact_cannot_be_sent_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    // Nobody puts anything aside but this test.
    world.orchestrator().await?.stop().await?;
    let person = Person::of(&world)?;
    let id = RequestId { source: "/nobody".to_owned(), id: "1".to_owned() };
    let run = RunId::for_request("workflow.held", &id, Shards::default());
    let mut numbers = Vec::new();
    for (end, subject, says) in [
        (
            DeadEnd::EventOfNoRun,
            format!("task.completed.held.normal.{run}.t.1"),
            "no run has asked for this one",
        ),
        (DeadEnd::StrayEvent, format!("task.failed.held.normal.{run}.t.7"), "`mesh start` begins a run"),
        (DeadEnd::StrayEvent, format!("timer.fired.-.-.{run}.retry-t-1"), "no other waits"),
        (DeadEnd::UnreadableEvent, format!("workflow.started.held.-.{run}"), "under another id"),
        (DeadEnd::UnreadableFact, format!("workflow.completed.held.-.{run}"), "the end of its run"),
        (DeadEnd::LargeDecision, format!("task.completed.held.normal.{run}.u.1"), "larger messages"),
        (DeadEnd::EventType, format!("workflow.exploded.held.-.{run}"), "no subject that the mesh knows"),
        (
            DeadEnd::EventType,
            format!("workflow.paused.held.-.{run}.1"),
            "nothing follows from what tells of a pause",
        ),
    ] {
        world.publish(&subject, "{}").await?;
        let number = bury(&world, end, message(&subject, "{}"), numbers.len() as u64 + 1).await?;
        let reason = refused(&world, &person, number).await?;
        ensure!(
            reason.contains(says) && reason.contains(&format!("mesh dead drop {number}")),
            "{subject}: {reason}"
        );
        numbers.push(number);
    }
    // The orchestrator that wrote the letter has removed the event.
    let gone = message(format!("task.completed.held.normal.{run}.t.9"), "{}");
    let number = bury(&world, DeadEnd::EventOfNoRun, gone, numbers.len() as u64 + 1).await?;
    let reason = refused(&world, &person, number).await?;
    ensure!(reason.contains("no longer in the log") && !reason.contains("taken for good"), "{reason}");
    numbers.push(number);
    ensure!(letters(&world).await? == numbers);
    Ok(())
}

/// It stands in the log, for whoever understands it: the run is only to be read again.
#[tokio::test]
async fn what_was_too_new_is_looked_at_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let newer = message(format!("workflow.rerouted.held.-.{run}"), "{}");
    let number = bury(&world, DeadEnd::NewerEvent, newer, 5).await?;
    redriven(&person, number).await?;
    let check = format!("workflow.signalled.-.-.{run}.check.redriven-5");
    let check = world.first(Stream::Events, &check).await?;
    ensure!(check.message.headers.get("mesh-redriven").is_some(), "{check:?}");
    // As when somebody is killed after sending the signal and before removing the letter.
    let newer = message(format!("workflow.rerouted.held.-.{run}"), "{}");
    let number = bury(&world, DeadEnd::NewerEvent, newer, 6).await?;
    world.publish(&format!("workflow.signalled.-.-.{run}.check.redriven-6"), "").await?;
    redriven(&person, number).await?;
    let checks = world.stored(Stream::Events, "workflow.signalled.>").await?;
    ensure!(checks.len() == 2, "{checks:?}");
    ensure!(letters(&world).await?.is_empty());
    orchestrator.stop().await
}
