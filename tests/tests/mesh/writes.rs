//! What a step costs.

use anyhow::Result;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

async fn noop(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

fn chain(length: usize) -> String {
    let mut yaml = format!("mesh: v1\nname: chain{length}\ntasks:\n  t0: {{agent: noop}}\n");
    for index in 1..length {
        yaml.push_str(&format!("  t{index}: {{agent: noop, needs: [t{}]}}\n", index - 1));
    }
    yaml
}

/// Messages that a run of a chain leaves in the streams whose writes are awaited.
async fn writes(world: &World, length: usize) -> Result<u64> {
    let before = sequences(world).await?;
    world.output(&format!("chain{length}"), json!({})).await?;
    Audit::when_idle(world, &["noop"]).await?;
    Ok(sequences(world).await? - before)
}

/// Every sequence number is one stored message, whether or not it is still there.
async fn sequences(world: &World) -> Result<u64> {
    let context = async_nats::jetstream::new(async_nats::connect(&world.url).await?);
    let mut sum = 0;
    for stream in [Stream::Inbox, Stream::Events, Stream::Tasks, Stream::Dead] {
        let mut stream = context.get_stream(stream.name(&world.namespace)).await?;
        sum += stream.info().await?.state.last_sequence;
    }
    Ok(sum)
}

#[tokio::test]
async fn a_step_costs_two_awaited_writes() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("noop").capability("noop", noop)).await?;
    world.apply(&chain(3)).await?;
    world.apply(&chain(13)).await?;
    let (short, long) = (writes(&world, 3).await?, writes(&world, 13).await?);
    assert_eq!(long - short, 2 * 10, "work and outcome, for each of ten further steps");
    // Besides its steps, a run has a request, a start and an end. Its deadline is set only if it goes on for a while.
    assert_eq!(short - 2 * 3, 3);
    // `assigned` is sent and not awaited; it is advisory.
    assert_eq!(world.stored(Stream::Notes, "task.assigned.>").await?.len(), 16);
    agent.stop().await?;
    orchestrator.stop().await
}
