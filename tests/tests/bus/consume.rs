use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use mesh_bus::topology::{AGENT_ACK_WAIT, agent_consumer, shard_consumer};
use mesh_bus::{Bus, ConsumerSpec, Flow};
use mesh_schemas::Lane;

use crate::support::{World, body, connect, event, next, nothing_comes, run_in, task};

fn agents(world: &World) -> Result<ConsumerSpec> {
    Ok(agent_consumer(world.bus.namespace(), &"risk".parse()?, &Lane::Normal))
}

#[tokio::test]
async fn no_more_is_in_hand_than_was_asked_for() -> Result<()> {
    let world = World::new().await?;
    for number in 0..100 {
        world.bus.publish(task(number)).await?;
    }
    let mut deliveries = world.bus.consume(&agents(&world)?, Flow::OnRequest).await?;
    assert!(nothing_comes(&mut deliveries).await, "nothing was asked for");
    deliveries.request(1);
    deliveries.request(2);
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        let delivery = next(&mut deliveries).await?;
        delivery.acker.ack().await;
        seen.insert(body(&delivery));
    }
    for _ in 3..100 {
        assert!(world.bus.delivered(&agents(&world)?).await? as usize <= seen.len());
        deliveries.request(1);
        let delivery = next(&mut deliveries).await?;
        assert_eq!(delivery.delivered, 1);
        delivery.acker.ack().await;
        seen.insert(body(&delivery));
    }
    assert_eq!(seen.len(), 100);
    assert!(nothing_comes(&mut deliveries).await);
    Ok(())
}

#[tokio::test]
async fn a_request_waits_for_messages_that_come_later() -> Result<()> {
    let world = World::new().await?;
    let mut deliveries = world.bus.consume(&agents(&world)?, Flow::OnRequest).await?;
    deliveries.request(5);
    assert!(nothing_comes(&mut deliveries).await);
    for number in 0..5 {
        world.bus.publish(task(number)).await?;
        assert_eq!(body(&next(&mut deliveries).await?), number.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn a_message_comes_again_after_the_pause() -> Result<()> {
    let world = World::new().await?;
    world.bus.publish(task(1)).await?;
    let mut deliveries = world.bus.consume(&agents(&world)?, Flow::OnRequest).await?;
    deliveries.request(1);
    let first = next(&mut deliveries).await?;
    let (pause, asked) = (Duration::from_millis(700), Instant::now());
    first.acker.nak(pause).await;
    deliveries.request(1);
    let again = next(&mut deliveries).await?;
    assert!(asked.elapsed() >= pause.mul_f64(0.95), "after {:?}", asked.elapsed());
    assert!(asked.elapsed() < AGENT_ACK_WAIT / 2);
    assert_eq!((again.delivered, again.stored.sequence), (2, first.stored.sequence));
    assert_eq!(again.stored, first.stored);
    Ok(())
}

#[tokio::test]
async fn progress_keeps_a_message() -> Result<()> {
    let world = World::new().await?;
    world.bus.publish(task(1)).await?;
    let spec = ConsumerSpec { ack_wait: Duration::from_millis(600), ..agents(&world)? };
    let mut deliveries = world.bus.consume(&spec, Flow::Continuous(4)).await?;
    let first = next(&mut deliveries).await?;
    for _ in 0..5 {
        assert!(nothing_comes(&mut deliveries).await);
        first.acker.progress().await;
    }
    let begun = Instant::now();
    assert_eq!(next(&mut deliveries).await?.delivered, 2);
    assert!(begun.elapsed() < Duration::from_secs(10));
    Ok(())
}

#[tokio::test]
async fn what_a_receiver_leaves_unseen_comes_to_another_at_once() -> Result<()> {
    let world = World::new().await?;
    for number in 0..10 {
        world.bus.publish(task(number)).await?;
    }
    let mut deliveries = world.bus.consume(&agents(&world)?, Flow::Continuous(10)).await?;
    next(&mut deliveries).await?.acker.ack().await;
    deliveries.stop().await;
    let mut other = connect(&world.server).await?.consume(&agents(&world)?, Flow::Continuous(10)).await?;
    let begun = Instant::now();
    for _ in 1..10 {
        next(&mut other).await?;
    }
    assert!(begun.elapsed() < AGENT_ACK_WAIT / 2, "after {:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_pinned_consumer_has_one_receiver_until_that_is_gone() -> Result<()> {
    let world = World::new().await?;
    let other_bus = connect(&world.server).await?;
    let spec = shard_consumer(world.bus.namespace(), 0);
    let mut owner = world.bus.consume(&spec, Flow::Continuous(8)).await?;
    world.bus.publish(event(run_in(0), 0)).await?;
    let pin = next(&mut owner).await?;
    pin.acker.ack().await;
    let mut standby = other_bus.consume(&spec, Flow::Continuous(8)).await?;
    let standby = tokio::spawn(async move { next(&mut standby).await });
    for number in 1..50 {
        world.bus.publish(event(run_in(0), number)).await?;
        let delivery = next(&mut owner).await?;
        assert_eq!(
            (&delivery.pin, delivery.consumer_sequence),
            (&pin.pin, pin.consumer_sequence + u64::from(number))
        );
        delivery.acker.ack().await;
    }
    assert!(pin.pin.is_some());
    assert_eq!(world.bus.delivered(&spec).await?, pin.stored.sequence + 49);
    assert!(!standby.is_finished());
    drop(owner);
    world.bus.publish(event(run_in(0), 50)).await?;
    let taken = standby.await??;
    assert_eq!(body(&taken), "50");
    assert_ne!(taken.pin, pin.pin);
    Ok(())
}

#[tokio::test]
async fn the_owner_of_an_idle_pinned_consumer_keeps_it() -> Result<()> {
    let world = World::new().await?;
    let spec = shard_consumer(world.bus.namespace(), 1);
    let mut owner = world.bus.consume(&spec, Flow::Continuous(8)).await?;
    world.bus.publish(event(run_in(1), 0)).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let other_bus = connect(&world.server).await?;
    let mut standby = other_bus.consume(&spec, Flow::Continuous(8)).await?;
    // Twice the time after which a silent owner loses it.
    let idle = mesh_bus::topology::PIN_TIMEOUT * 2;
    let both = async { tokio::join!(owner.next(), standby.next()) };
    assert!(tokio::time::timeout(idle, both).await.is_err());
    world.bus.publish(event(run_in(1), 1)).await?;
    let standby = tokio::spawn(async move { next(&mut standby).await });
    assert_eq!(next(&mut owner).await?.pin, first.pin);
    standby.abort();
    Ok(())
}

#[tokio::test]
async fn a_deleted_consumer_is_an_error_and_can_be_made_anew() -> Result<()> {
    let world = World::new().await?;
    let spec = agents(&world)?;
    let mut deliveries = world.bus.consume(&spec, Flow::OnRequest).await?;
    deliveries.request(1);
    assert!(nothing_comes(&mut deliveries).await);
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.server.url()).await?);
    let stream = jetstream.get_stream(spec.stream.name(world.bus.namespace())).await?;
    stream.delete_consumer(&spec.name).await?;
    let error = next(&mut deliveries).await.expect_err("the consumer is gone");
    assert!(error.to_string().contains("deleted"), "{error:#}");
    let mut deliveries = world.bus.consume(&spec, Flow::OnRequest).await?;
    deliveries.request(1);
    world.bus.publish(task(1)).await?;
    assert_eq!(body(&next(&mut deliveries).await?), "1");
    Ok(())
}
