use anyhow::{Context as _, Result};
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus, Flow, Health, Role};
use mesh_schemas::Lane;
use mesh_tests::{TestServer, patiently};

use crate::support::{World, connect, event, next, run, task};

fn state(health: &Health, role: &Role) -> Result<mesh_bus::ConsumerState> {
    let consumer = health.consumers.iter().find(|consumer| consumer.role == *role);
    consumer.and_then(|consumer| consumer.found.clone()).with_context(|| format!("no consumer of {role:?}"))
}

#[tokio::test]
async fn a_server_without_the_namespace_is_looked_at_all_the_same() -> Result<()> {
    let server = TestServer::start()?;
    let bus = connect(&server).await?;
    let health = bus.health().await?;
    assert!(health.server.version.starts_with("2."), "{health:?}");
    assert_eq!((health.shards, health.clock), (None, None));
    assert_eq!(health.streams.len(), 7);
    assert!(health.streams.iter().all(|stream| stream.found.is_none()), "{health:?}");
    assert_eq!(health.usage.streams.used, 0, "nothing was made");
    Ok(())
}

#[tokio::test]
async fn what_waits_and_what_is_in_hand_is_told() -> Result<()> {
    let world = World::new().await?;
    let capability = "risk".parse()?;
    let spec = agent_consumer(world.bus.namespace(), &capability, &Lane::Normal);
    world.bus.ensure_consumer(&spec).await?;
    for number in 1..=3 {
        world.bus.publish(task(number)).await?;
    }
    world.bus.publish(event(run(1), 1)).await?;
    let role = Role::Agents(capability, Lane::Normal);
    let before = state(&world.bus.health().await?, &role)?;
    assert_eq!((before.pending, before.in_hand, before.waiting, before.last_delivery), (3, 0, 0, None));
    let mut agent = world.bus.consume(&spec, Flow::OnRequest).await?;
    agent.request(1);
    let delivery = next(&mut agent).await?;
    let health = world.bus.health().await?;
    let after = state(&health, &role)?;
    assert_eq!((after.pending, after.in_hand, after.difference), (2, 1, None));
    assert!(after.last_delivery.is_some_and(|last| last <= after.at), "{health:?}");
    assert_eq!(health.shards.map(|shards| shards.count()), Some(2));
    let shards = health.consumers.iter().filter(|consumer| matches!(consumer.role, Role::Shard(_)));
    let pending = shards.map(|shard| shard.found.as_ref().map_or(0, |found| found.pending)).sum::<u64>();
    assert_eq!(pending, 1);
    assert!(!state(&health, &Role::Shard(0))?.is_asked(), "nobody follows it");
    let (difference, uncertainty) = health.clock.context("a clock")?;
    let uncertainty = chrono::TimeDelta::from_std(uncertainty)? + chrono::TimeDelta::milliseconds(1);
    assert!(difference.abs() <= uncertainty, "one machine has one clock: {difference} ± {uncertainty}");
    delivery.acker.ack().await;
    Ok(())
}

#[tokio::test]
async fn a_shard_is_asked_for_while_somebody_follows_it() -> Result<()> {
    let world = World::new().await?;
    let spec = mesh_bus::topology::shard_consumer(world.bus.namespace(), 1);
    let mut follower = world.bus.consume(&spec, Flow::Continuous(1)).await?;
    let following = tokio::spawn(async move { follower.next().await.map(drop) });
    let asked = async {
        while !state(&world.bus.health().await?, &Role::Shard(1))?.is_asked() {}
        anyhow::Ok(())
    };
    patiently("a request for events", asked).await??;
    following.abort();
    let given_up = async {
        while state(&world.bus.health().await?, &Role::Shard(1))?.is_asked() {}
        anyhow::Ok(())
    };
    patiently("the end of the requests", given_up).await?
}

#[tokio::test]
async fn only_processes_of_the_namespace_are_told() -> Result<()> {
    let world = World::new().await?;
    let options = ConnectOptions::new(&world.server.url()).namespace("other".parse()?);
    let other = NatsBus::connect(options).await?;
    assert_eq!(world.bus.instances("risk").await?, []);
    let _ours = world.bus.announce("risk", "1.2.3", "ours").await?;
    let _theirs = other.announce("risk", "3.2.1", "theirs").await?;
    let versions = |instances: Vec<mesh_bus::Instance>| -> Vec<String> {
        instances.into_iter().map(|instance| instance.version).collect()
    };
    assert_eq!(versions(world.bus.instances("risk").await?), ["1.2.3"]);
    assert_eq!(versions(other.instances("risk").await?), ["3.2.1"]);
    Ok(())
}

#[tokio::test]
async fn a_message_is_read_by_its_place() -> Result<()> {
    let world = World::new().await?;
    world.bus.publish(task(1)).await?;
    world.bus.publish(task(2)).await?;
    let second = world.bus.at(Stream::Tasks, 2).await?.context("it is stored")?;
    assert_eq!((second.sequence, &second.message.payload[..]), (2, &b"2"[..]));
    assert_eq!(world.bus.at(Stream::Tasks, 3).await?, None);
    Ok(())
}
