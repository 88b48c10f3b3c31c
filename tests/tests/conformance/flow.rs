//! How many messages a receiver is sent.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use mesh_bus::{ConsumerSpec, Flow};

use crate::server::Server;
use crate::support::{
    SHORT, agents, body, impatient, next, nothing_comes, nothing_comes_for, store_tasks, take, task,
};

on_every_bus!(
    no_more_is_in_hand_than_was_asked_for,
    only_one_who_waits_is_sent_messages,
    what_was_asked_for_stays_asked_for,
    what_comes_again_was_asked_for_again,
    a_continuous_receiver_holds_no_more_than_it_said,
    no_more_than_the_bound_is_unacknowledged,
    at_the_bound_what_comes_again_still_comes,
);

async fn no_more_is_in_hand_than_was_asked_for(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 0..100).await?;
    let mut deliveries = bus.consume(&agents(), Flow::OnRequest).await?;
    assert!(nothing_comes(&mut deliveries).await, "nothing was asked for");
    deliveries.request(1);
    deliveries.request(2);
    let mut seen: BTreeSet<String> = take(&mut deliveries, 3).await?.into_iter().collect();
    for _ in 3..100 {
        assert!(bus.delivered(&agents()).await? as usize <= seen.len());
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

async fn only_one_who_waits_is_sent_messages(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let _idle = bus.consume(&agents(), Flow::Continuous(8)).await?;
    let mut allowed = bus.consume(&agents(), Flow::OnRequest).await?;
    allowed.request(8);
    store_tasks(&*bus, 1..=10).await?;
    let mut waits = server.connect().await?.consume(&agents(), Flow::Continuous(8)).await?;
    for number in 1..=8 {
        assert_eq!(take(&mut waits, 1).await?, [number.to_string()]);
    }
    waits.stop().await;
    let mut rest = take(&mut allowed, 2).await?;
    rest.sort_by_key(|body| body.parse::<u32>().ok());
    assert_eq!(rest, ["9", "10"]);
    Ok(())
}

async fn what_was_asked_for_stays_asked_for(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    // A request to NATS ends after `ack_wait`, or a second if that is shorter, and is then sent again.
    let mut deliveries = bus.consume(&impatient(), Flow::OnRequest).await?;
    deliveries.request(3);
    assert!(nothing_comes_for(Duration::from_millis(1_500), &mut deliveries).await);
    store_tasks(&*bus, 1..=2).await?;
    assert_eq!(take(&mut deliveries, 2).await?, ["1", "2"]);
    deliveries.request(1);
    assert!(nothing_comes(&mut deliveries).await);
    store_tasks(&*bus, 3..=5).await?;
    assert_eq!(take(&mut deliveries, 2).await?, ["3", "4"]);
    assert!(nothing_comes(&mut deliveries).await);
    Ok(())
}

async fn what_comes_again_was_asked_for_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(task(1)).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::OnRequest).await?;
    deliveries.request(1);
    next(&mut deliveries).await?;
    assert!(nothing_comes_for(SHORT * 3 / 2, &mut deliveries).await, "nothing was asked for");
    deliveries.request(1);
    assert_eq!(next(&mut deliveries).await?.delivered, 2);
    Ok(())
}

async fn a_continuous_receiver_holds_no_more_than_it_said(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=100).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(10)).await?;
    for taken in 1..=60 {
        next(&mut deliveries).await?.acker.ack().await;
        let delivered = bus.delivered(&agents()).await?;
        assert!(delivered <= taken + 10, "{delivered} are delivered, {taken} are taken");
    }
    // One at a time is possible, too.
    deliveries.stop().await;
    let mut one = bus.consume(&agents(), Flow::Continuous(1)).await?;
    let mut rest: Vec<u32> = Vec::new();
    for _ in 60..100 {
        rest.extend(take(&mut one, 1).await?.iter().flat_map(|body| body.parse::<u32>()));
    }
    rest.sort_unstable();
    assert_eq!(rest, (61..=100).collect::<Vec<_>>());
    Ok(())
}

async fn no_more_than_the_bound_is_unacknowledged(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = ConsumerSpec { max_ack_pending: 2, ..agents() };
    store_tasks(&*bus, 1..=6).await?;
    let other = server.connect().await?;
    let mut deliveries = bus.consume(&spec, Flow::Continuous(8)).await?;
    let (first, second) = (next(&mut deliveries).await?, next(&mut deliveries).await?);
    assert!(nothing_comes(&mut deliveries).await);
    // The bound is one for all who share the consumer.
    let mut others = other.consume(&spec, Flow::OnRequest).await?;
    others.request(1);
    assert!(nothing_comes(&mut others).await);
    drop(others);
    first.acker.ack().await;
    let third = next(&mut deliveries).await?;
    assert_eq!(body(&third), "3");
    assert!(nothing_comes(&mut deliveries).await);
    // What is to come again later is unacknowledged until then.
    second.acker.nak(Duration::from_secs(60)).await;
    assert!(nothing_comes(&mut deliveries).await);
    third.acker.ack().await;
    assert_eq!(take(&mut deliveries, 3).await?, ["4", "5", "6"]);
    Ok(())
}

async fn at_the_bound_what_comes_again_still_comes(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = ConsumerSpec { max_ack_pending: 2, ..impatient() };
    store_tasks(&*bus, 1..=3).await?;
    let mut deliveries = bus.consume(&spec, Flow::Continuous(8)).await?;
    let first = next(&mut deliveries).await?;
    next(&mut deliveries).await?;
    first.acker.nak(Duration::ZERO).await;
    let again = next(&mut deliveries).await?;
    assert_eq!((body(&again).as_str(), again.delivered), ("1", 2));
    // After `ack_wait`, too.
    let mut late = BTreeSet::new();
    for _ in 0..2 {
        let delivery = next(&mut deliveries).await?;
        late.insert((body(&delivery), delivery.delivered));
    }
    assert_eq!(late, [("1".to_owned(), 3), ("2".to_owned(), 2)].into());
    Ok(())
}
