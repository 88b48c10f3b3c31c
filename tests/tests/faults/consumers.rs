//! Consumers that are deleted, and made anew over full streams, while everyone is at work.

use anyhow::{Result, ensure};
use async_nats::jetstream;
use mesh_bus::topology::{agent_consumer, relay_consumer, shard_consumer, timer_consumer};
use mesh_bus::{Bus as _, ConsumerSpec};
use mesh_schemas::Lane;
use mesh_tests::{TestServer, World};

use crate::support::{CHAIN, all_complete, ends, is_well_and_complete, load, worker};

/// Runs before, while and after these consumers are deleted; those who use them see to it that they come back.
async fn survives(specs: impl Fn(&World) -> Result<Vec<ConsumerSpec>>, makes_anew: bool) -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(worker()).await?;
    world.apply(CHAIN).await?;
    let mut runs = load(&world, 60).await?;
    all_complete(&world, &runs).await?;
    runs.extend(load(&world, 60).await?);
    ends(&world, 70).await?;
    let context = jetstream::new(async_nats::connect(&world.url).await?);
    for spec in specs(&world)? {
        let stream = context.get_stream_no_info(spec.stream.name(&world.namespace)).await?;
        stream.delete_consumer(&spec.name).await?;
        if makes_anew {
            world.bus.ensure_consumer(&spec).await?;
        }
    }
    runs.extend(load(&world, 60).await?);
    all_complete(&world, &runs).await?;
    let audit = is_well_and_complete(&world).await?;
    ensure!(audit.created.len() == 181 * 3 + 3 * 15 + 1, "{} tasks", audit.created.len());
    ensure!(audit.outcomes.values().all(|outcomes| outcomes.len() == 1), "an attempt has two outcomes");
    agent.stop().await?;
    orchestrator.stop().await
}

fn of_agents(world: &World) -> Result<Vec<ConsumerSpec>> {
    Ok(vec![agent_consumer(&world.namespace, &"work".parse()?, &Lane::Normal)])
}

fn of_the_relay(world: &World) -> Result<Vec<ConsumerSpec>> {
    Ok(vec![relay_consumer(&world.namespace), timer_consumer(&world.namespace)])
}

fn of_shards(world: &World) -> Result<Vec<ConsumerSpec>> {
    Ok((0..8).map(|shard| shard_consumer(&world.namespace, shard)).collect())
}

#[tokio::test]
async fn agents_make_theirs_again() -> Result<()> {
    survives(of_agents, false).await
}

#[tokio::test]
async fn agents_go_on_with_one_made_anew() -> Result<()> {
    survives(of_agents, true).await
}

#[tokio::test]
async fn a_relay_makes_its_own_again() -> Result<()> {
    survives(of_the_relay, false).await
}

#[tokio::test]
async fn a_relay_goes_on_with_one_made_anew() -> Result<()> {
    survives(of_the_relay, true).await
}

#[tokio::test]
async fn shards_are_followed_again() -> Result<()> {
    survives(of_shards, false).await
}

#[tokio::test]
async fn shards_are_followed_when_made_anew() -> Result<()> {
    survives(of_shards, true).await
}
