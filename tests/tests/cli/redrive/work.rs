//! Work that was put aside: its attempt has failed, so its run begins again.

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{DeadEnd, RunOutcome};
use mesh_schemas::RunId;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

use super::{HELD, begun, bury, letters, message, redriven, refused};
use crate::support::Person;

/// A run whose two attempts were put aside by agents that could not read them.
async fn given_up(world: &World, correlation: &str) -> Result<(RunId, Vec<u64>)> {
    let mut request = world.request("held", correlation, json!({"n": 7}))?;
    request.correlation_id = Some(correlation.to_owned());
    let run = mesh_bus::submit(&*world.bus, &request).await?;
    let mut letters = Vec::new();
    for attempt in 1..=2_u64 {
        letters.push(attempt_given_up(world, run, attempt).await?);
    }
    ensure!(matches!(world.ended(run).await?, RunOutcome::Failed(_)));
    Ok((run, letters))
}

async fn attempt_given_up(world: &World, run: RunId, attempt: u64) -> Result<u64> {
    let created = format!("task.created.held.normal.{run}.t.{attempt}");
    let task = world.first(Stream::Tasks, &created).await?;
    let failed = json!({"error": {"code": "malformed_task", "message": "what is that?"}});
    world.publish(&created.replace("created", "failed"), failed.to_string()).await?;
    let text = String::from_utf8(task.message.payload.to_vec())?;
    bury(world, DeadEnd::UnreadableTask, message(created, text), task.sequence).await
}

#[tokio::test]
async fn its_run_begins_again_once_however_many_letters_it_has() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let (run, numbers) = given_up(&world, "order-7").await?;
    let mut again = Vec::new();
    for number in numbers {
        let told = redriven(&person, number).await?;
        ensure!(
            told["message"].as_str().is_some_and(|text| text.starts_with(&format!("began run {run} again"))),
            "{told}"
        );
        again.push(told["run"].as_str().context("a run")?.to_owned());
    }
    ensure!(again[0] == again[1] && again[0] != run.to_string(), "{again:?}");
    ensure!(begun(&world, "held").await?.len() == 2 && letters(&world).await?.is_empty());
    let started = world.first(Stream::Events, &format!("workflow.started.held.-.{}", again[0])).await?;
    let started: Value = serde_json::from_slice(&started.message.payload)?;
    ensure!(
        started["correlationid"] == "order-7" && started["data"]["input"] == json!({"n": 7}),
        "{started}"
    );
    ensure!(started["data"]["request"]["id"] == run.to_string(), "{started}");
    // The new run may be given up and begin again as well.
    let second: RunId = again[0].parse()?;
    let number = attempt_given_up(&world, second, 1).await?;
    let reason = refused(&world, &person, number).await?;
    ensure!(reason.contains(&format!("run {second} is still at task 't'")), "{reason}");
    let last = attempt_given_up(&world, second, 2).await?;
    world.ended(second).await?;
    let told = redriven(&person, last).await?;
    ensure!(told["run"] != again[0].as_str(), "{told}");
    orchestrator.stop().await
}

#[tokio::test]
async fn what_went_well_in_its_run_is_not_done_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world
        .apply("{mesh: v1, name: two, tasks: {s: {agent: held}, t: {agent: held, needs: [s], with: '${tasks.s.output}'}}}")
        .await?;
    let person = Person::of(&world)?;
    let run = world.start("two", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.s.1")).await?;
    world.publish(&format!("task.completed.held.normal.{run}.s.1"), r#"{"output": 5}"#).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    let fatal = json!({"error": {"code": "poison", "message": "deadly", "retryable": false}});
    world.publish(&format!("task.failed.held.normal.{run}.t.1"), fatal.to_string()).await?;
    world.ended(run).await?;
    let work = message(format!("task.created.held.normal.{run}.t.1"), "{}");
    let number = bury(&world, DeadEnd::PoisonTask, work, 2).await?;
    let told = redriven(&person, number).await?;
    let again = told["run"].as_str().context("a run")?;
    let created = world.first(Stream::Tasks, &format!("task.created.held.normal.{again}.>")).await?;
    ensure!(created.message.subject.ends_with(".t.1"), "{}", created.message.subject);
    let created: Value = serde_json::from_slice(&created.message.payload)?;
    ensure!(created["data"]["input"] == json!(5), "{created}");
    orchestrator.stop().await
}

#[tokio::test]
async fn what_a_run_completed_without_is_not_done_after_all() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world
        .apply(
            "{mesh: v1, name: race, tasks: {q: {agent: held}, s: {agent: held}, first: {needs: [q, s], join: any, merge: {by: \
             first}}}}",
        )
        .await?;
    let person = Person::of(&world)?;
    let run = world.start("race", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.q.1")).await?;
    world.publish(&format!("task.completed.held.normal.{run}.q.1"), r#"{"output": 1}"#).await?;
    world.ended(run).await?;
    let work = message(format!("task.created.held.normal.{run}.s.1"), "{}");
    let number = bury(&world, DeadEnd::UnreadableTask, work, 2).await?;
    let reason = refused(&world, &person, number).await?;
    ensure!(reason.contains("completed without task 's'") && reason.contains("mesh dead drop"), "{reason}");
    orchestrator.stop().await
}

#[tokio::test]
async fn work_that_somebody_did_later_is_not_done_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let run = world.start("held", json!({})).await?;
    let number = attempt_given_up(&world, run, 1).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.2")).await?;
    world.publish(&format!("task.completed.held.normal.{run}.t.2"), r#"{"output": 1}"#).await?;
    world.ended(run).await?;
    let reason = refused(&world, &person, number).await?;
    ensure!(
        reason.contains("a later attempt of task 't'") && reason.contains("nothing is left to do"),
        "{reason}"
    );
    let stray = message(format!("task.created.held.normal.{run}.other.1"), "{}");
    let stray = bury(&world, DeadEnd::UnreadableTask, stray, 99).await?;
    let reason = refused(&world, &person, stray).await?;
    ensure!(reason.contains("has no task 'other'"), "{reason}");
    let never = message(format!("task.completed.held.normal.{run}.t.7"), "done!");
    let never = bury(&world, DeadEnd::UnreadableFact, never, 100).await?;
    let reason = refused(&world, &person, never).await?;
    ensure!(reason.contains("never asked for attempt 7 of task 't'"), "{reason}");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_task_that_was_asked_for_alone_is_asked_for_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    world.publish("task.requested.held", r#"{"n": 1}"#).await?;
    let created = world.first(Stream::Tasks, "task.created.held.>").await?;
    let subject = created.message.subject.split_once('.').context("a subject")?.1.to_owned();
    let failed = json!({"error": {"code": "poison", "message": "deadly", "retryable": false}});
    world.publish(&subject.replace("created", "failed"), failed.to_string()).await?;
    world.first(Stream::Events, "workflow.failed.>").await?;
    let number = bury(&world, DeadEnd::PoisonTask, message(subject, "{}"), created.sequence).await?;
    let told = redriven(&person, number).await?;
    let run = told["run"].as_str().context("a run")?;
    let again = world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.>")).await?;
    let again: Value = serde_json::from_slice(&again.message.payload)?;
    ensure!(again["data"]["input"] == json!({"n": 1}), "{again}");
    orchestrator.stop().await
}

/// An outcome that nobody could read has failed its run: there, too, the run can only begin again.
#[tokio::test]
async fn an_outcome_that_could_not_be_read_begins_its_run_again() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let person = Person::of(&world)?;
    let run = world.start("held", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.t.1")).await?;
    world.publish(&format!("task.completed.held.normal.{run}.t.1"), "done!").await?;
    world.ended(run).await?;
    let letter = world.first(Stream::Dead, "dead.events.malformed").await?;
    let told = redriven(&person, letter.sequence).await?;
    ensure!(told["run"] != run.to_string() && begun(&world, "held").await?.len() == 2, "{told}");
    orchestrator.stop().await
}
