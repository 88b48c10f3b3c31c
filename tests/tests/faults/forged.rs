//! Events that only an orchestrator may write, written by somebody else.

use anyhow::{Result, bail, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome, RunWaiter, submit};
use mesh_tests::{TestServer, World, patiently};
use serde_json::json;

use crate::support::{CHAIN, letter, worker};

/// Whoever takes the place of a run's beginning keeps the run from starting, but not in silence.
#[tokio::test]
async fn a_request_whose_run_cannot_start_is_rejected() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    let request = world.request("chain", "foreseen", json!({"n": 1}))?;
    let run = world.run_of(&request).await?;
    let started = format!("workflow.started.chain.-.{run}");
    world.publish(&started, "garbage").await?;
    letter(&world, "events", "malformed", &started, b"garbage").await?;
    let mut waiter = RunWaiter::before_submit(world.bus.clone(), run).await?;
    submit(&*world.bus, &request).await?;
    let outcome = patiently("the rejection", waiter.wait()).await??;
    let RunOutcome::Rejected(rejected) = outcome else { bail!("not rejected: {outcome:?}") };
    ensure!(rejected.code == "run_id_taken", "{rejected:?}");
    // Others are not harmed.
    world.output("chain", json!({"n": 1})).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// A subject names one fact, so what stands at the end of a run is its end; but it is told that nobody can read it.
#[tokio::test]
async fn an_end_that_nobody_can_read_is_a_dead_letter() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(CHAIN).await?;
    for (verb, payload) in [("completed", "garbage"), ("failed", "{}"), ("cancelled", "[]")] {
        let run = world.start("chain", json!({"n": 1})).await?;
        world.first(Stream::Tasks, &format!("task.created.*.*.{run}.>")).await?;
        let subject = format!("workflow.{verb}.chain.-.{run}");
        world.publish(&subject, payload).await?;
        letter(&world, "events", "malformed", &subject, payload.as_bytes()).await?;
        let ends = world.bus.read_run(&run).await?.events;
        ensure!(
            ends.iter().filter(|event| event.message.subject.contains(".workflow.")).count() == 2,
            "{ends:?}"
        );
    }
    orchestrator.stop().await
}
