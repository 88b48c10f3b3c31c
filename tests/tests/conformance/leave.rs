//! What becomes of messages that a receiver holds when it goes away.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_bus::topology::AGENT_ACK_WAIT;
use mesh_bus::{Bus, ConsumerState, Flow, Role};
use tokio::time::Instant;

use crate::server::Server;
use crate::support::{agents, body, eventually, impatient, next, nothing_comes, store_tasks, take};

on_every_bus!(
    what_a_receiver_drains_is_its_own,
    what_a_receiver_stops_at_comes_to_another_at_once,
    what_a_receiver_drops_unseen_comes_to_another,
    a_receiver_that_is_gone_is_sent_nothing,
    a_receiver_that_holds_nothing_drains_nothing,
);

async fn state(bus: &dyn Bus) -> Result<ConsumerState> {
    let mut consumers = bus.health().await?.consumers.into_iter();
    let agents = consumers.find(|consumer| matches!(consumer.role, Role::Agents(..)));
    agents.and_then(|consumer| consumer.found).context("no consumer of agents")
}

async fn what_a_receiver_drains_is_its_own(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=10).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(6)).await?;
    assert_eq!(take(&mut deliveries, 1).await?, ["1"]);
    let held = deliveries.drain().await;
    // That the first one is acknowledged, the server learns later.
    let in_hand = async || Ok(usize::try_from(state(&*bus).await?.in_hand)? == held.len());
    eventually("all that is delivered and not acknowledged", in_hand).await?;
    let bodies: Vec<String> = held.iter().map(body).collect();
    assert_eq!(bodies, (2..).take(held.len()).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(held.iter().all(|delivery| delivery.delivered == 1));
    // Others get what was not delivered, and nothing of what was.
    let mut other = server.connect().await?.consume(&agents(), Flow::Continuous(16)).await?;
    for number in 2 + held.len()..=10 {
        assert_eq!(body(&next(&mut other).await?), number.to_string());
    }
    for delivery in &held {
        delivery.acker.ack().await;
    }
    assert!(nothing_comes(&mut other).await);
    Ok(())
}

async fn what_a_receiver_stops_at_comes_to_another_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=10).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(10)).await?;
    assert_eq!(take(&mut deliveries, 1).await?, ["1"]);
    // What was taken stays in the hands of who took it.
    let taken = next(&mut deliveries).await?;
    deliveries.stop().await;
    let mut other = server.connect().await?.consume(&agents(), Flow::Continuous(10)).await?;
    let begun = Instant::now();
    let mut rest = take(&mut other, 8).await?;
    rest.sort_by_key(|body| body.parse::<u32>().ok());
    assert_eq!(rest, (3..=10).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(begun.elapsed() < AGENT_ACK_WAIT / 2, "after {:?}", begun.elapsed());
    assert!(nothing_comes(&mut other).await);
    taken.acker.nak(Duration::ZERO).await;
    assert_eq!(take(&mut other, 1).await?, ["2"]);
    Ok(())
}

async fn what_a_receiver_drops_unseen_comes_to_another(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=4).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(4)).await?;
    let taken = next(&mut deliveries).await?;
    // The answer to this comes behind the deliveries that it counts.
    eventually("four deliveries", async || Ok(state(&*bus).await?.in_hand == 4)).await?;
    drop(deliveries);
    let mut other = server.connect().await?.consume(&agents(), Flow::Continuous(4)).await?;
    let begun = Instant::now();
    for _ in 0..3 {
        let delivery = next(&mut other).await?;
        assert_eq!(delivery.delivered, 2, "NATS counts it as delivered, though nobody saw it");
        assert_ne!(delivery.stored.sequence, taken.stored.sequence);
        delivery.acker.ack().await;
    }
    assert!(begun.elapsed() < AGENT_ACK_WAIT / 2, "after {:?}", begun.elapsed());
    assert!(nothing_comes(&mut other).await);
    Ok(())
}

async fn a_receiver_that_is_gone_is_sent_nothing(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut gone = bus.consume(&impatient(), Flow::Continuous(4)).await?;
    let mut stopped = bus.consume(&impatient(), Flow::OnRequest).await?;
    stopped.request(4);
    assert!(nothing_comes(&mut gone).await && nothing_comes(&mut stopped).await, "both have asked");
    drop(gone);
    stopped.stop().await;
    store_tasks(&*bus, 1..=20).await?;
    // A message that is sent to one that just went away is late, and not lost.
    let mut other = server.connect().await?.consume(&impatient(), Flow::Continuous(4)).await?;
    let mut all = take(&mut other, 20).await?;
    all.sort_by_key(|body| body.parse::<u32>().ok());
    assert_eq!(all, (1..=20).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(nothing_comes(&mut other).await);
    Ok(())
}

async fn a_receiver_that_holds_nothing_drains_nothing(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(4)).await?;
    assert!(deliveries.drain().await.is_empty());
    let mut deliveries = bus.consume(&agents(), Flow::OnRequest).await?;
    deliveries.request(4);
    assert!(nothing_comes(&mut deliveries).await);
    assert!(deliveries.drain().await.is_empty());
    store_tasks(&*bus, 1..=1).await?;
    let mut other = bus.consume(&agents(), Flow::Continuous(4)).await?;
    let delivery = next(&mut other).await?;
    assert_eq!((body(&delivery).as_str(), delivery.delivered), ("1", 1));
    Ok(())
}
