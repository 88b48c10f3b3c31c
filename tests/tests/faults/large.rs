//! Processes that die on the way between an object and the event that refers to it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use async_nats::jetstream;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome};
use mesh_schemas::{ObjectName, ObjectOwner, RunId};
use mesh_tests::{Audit, Process, TestServer, World, mesh_binary, patiently};
use serde_json::json;

use crate::support::{impatient_consumer, set_up};

const TURNED: &str = "{mesh: v1, name: turned, output: '${tasks.t.output}', tasks: {t: {agent: turn}}}";

/// Bounds how many messages the log takes, or lifts the bound.
async fn limit(world: &World, messages: i64) -> Result<()> {
    let jetstream = jetstream::new(async_nats::connect(&world.url).await?);
    let stream = jetstream.get_stream(Stream::Events.name(&world.namespace)).await?;
    let mut config = stream.cached_info().config.clone();
    config.max_messages = messages;
    jetstream.update_stream(&config).await?;
    Ok(())
}

async fn bytes(world: &World) -> Result<u64> {
    let health = world.bus.health().await?;
    Ok(health.streams.last().and_then(|bucket| Some(bucket.found.as_ref()?.bytes.used)).unwrap_or_default())
}

/// Waits until a run has an object with this content.
async fn stored(world: &World, run: RunId, content: &str) -> Result<()> {
    let name = ObjectName::of(ObjectOwner::Run(run), content.as_bytes());
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        loop {
            match world.bus.object(&name).await {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                // It is being stored just now.
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
            looks.tick().await;
        }
    };
    patiently("the object", looking).await?
}

#[tokio::test]
async fn an_agent_that_dies_between_object_and_outcome_leaves_nothing_behind() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    impatient_consumer(&world, "turn", Duration::from_secs(1)).await?;
    world.apply(TURNED).await?;
    let agent = || {
        let arguments = ["agent", "exec", "--capability", "turn", "--", "tr", "x", "y"];
        Process::start(&world, &mesh_binary()?, &arguments)
    };
    let (input, output) = (json!("x".repeat(200_000)), json!("y".repeat(200_000)));
    let run = world.start("turned", input).await?;
    world.first(Stream::Tasks, &format!("task.created.turn.normal.{run}.t.1")).await?;
    // The log takes nothing more, so that the outcome waits for it, and its object is there.
    limit(&world, 1).await?;
    let first = agent()?;
    stored(&world, run, &output.to_string()).await?;
    let before = bytes(&world).await?;
    first.kill9()?;
    limit(&world, -1).await?;
    let second = agent()?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("not completed") };
    ensure!(completed.output == output, "another output");
    ensure!(bytes(&world).await? == before, "the same object was stored again");
    let audit = Audit::when_idle(&world, &["turn"]).await?;
    ensure!(audit.runs.len() == 1, "another run");
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    ensure!(bytes(&world).await? == 0 && world.bus.objects().await?.is_empty(), "something is left");
    ensure!(second.terminate()?, "the agent did not end well");
    orchestrator.stop().await
}

/// Whoever takes over reads it where the log refers to it.
#[tokio::test]
async fn orchestrators_that_die_hand_large_data_on() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let mut orchestrator = Process::orchestrator(&world)?;
    set_up(&world).await?;
    world
        .apply(
            &TURNED
                .replace("tasks: {", "tasks: {s: {agent: turn}, ")
                .replace("t: {agent: turn}", "t: {agent: turn, needs: [s], with: '${tasks.s.output}'}"),
        )
        .await?;
    let agent = Process::start(
        &world,
        &mesh_binary()?,
        &["agent", "exec", "--capability", "turn", "--", "sh", "-c", "tr x y; sleep 0.1"],
    )?;
    let mut runs = Vec::new();
    for number in 0..10 {
        let input = json!(format!("{number}{}", "x".repeat(100_000)));
        runs.push((world.start("turned", input.clone()).await?, input));
    }
    for _ in 0..2 {
        world.until(Stream::Events, "task.completed.turn.>", |_| true).await?;
        orchestrator.kill9()?;
        orchestrator = Process::orchestrator(&world)?;
    }
    for (run, input) in runs {
        let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("not completed") };
        let expected = input.as_str().map(|text| text.replace('x', "y"));
        ensure!(completed.output.as_str() == expected.as_deref(), "another output");
    }
    Audit::when_idle(&world, &["turn"]).await?;
    ensure!(agent.terminate()?, "the agent did not end well");
    orchestrator.kill9()
}
