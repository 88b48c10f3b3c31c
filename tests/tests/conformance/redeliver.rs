//! When a message comes again.

use std::time::Duration;

use anyhow::Result;
use mesh_bus::Flow;
use mesh_bus::topology::AGENT_ACK_WAIT;
use tokio::time::Instant;

use crate::server::Server;
use crate::support::{
    LONG, SHORT, agents, body, eventually, impatient, next, nothing_comes, nothing_comes_for, store_tasks,
    take, task,
};

on_every_bus!(
    what_is_not_acknowledged_comes_again_after_ack_wait,
    what_is_handed_back_comes_again_at_once,
    what_is_handed_back_for_later_comes_again_after_the_pause,
    a_pause_may_be_longer_than_ack_wait,
    what_is_in_progress_does_not_come_again,
    a_late_acknowledgement_counts,
    what_one_receiver_leaves_comes_to_another,
);

/// As early as something that takes this long may be: clocks are read with a precision.
fn nearly(time: Duration) -> Duration {
    time.mul_f64(0.95)
}

async fn what_is_not_acknowledged_comes_again_after_ack_wait(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=2).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(8)).await?;
    let mut since = Instant::now();
    let first = next(&mut deliveries).await?;
    next(&mut deliveries).await?.acker.ack().await;
    for times in 2..=4 {
        let again = next(&mut deliveries).await?;
        assert_eq!((again.delivered, &again.stored), (times, &first.stored));
        assert_eq!(again.consumer_sequence, times + 1, "each delivery has the next number");
        assert!(since.elapsed() >= nearly(SHORT), "after {:?}", since.elapsed());
        assert!(since.elapsed() < LONG / 2, "after {:?}", since.elapsed());
        since = Instant::now();
    }
    Ok(())
}

async fn what_is_handed_back_comes_again_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=3).await?;
    let mut deliveries = bus.consume(&agents(), Flow::OnRequest).await?;
    for times in 1..=3 {
        deliveries.request(1);
        let begun = Instant::now();
        let delivery = next(&mut deliveries).await?;
        assert_eq!(
            (body(&delivery).as_str(), delivery.delivered),
            ("1", times),
            "it comes before what is new"
        );
        assert_eq!(delivery.consumer_sequence, times);
        assert!(begun.elapsed() < AGENT_ACK_WAIT / 2, "after {:?}", begun.elapsed());
        delivery.acker.nak(Duration::ZERO).await;
        assert!(nothing_comes_for(SHORT / 2, &mut deliveries).await, "the bus has heard of it");
    }
    Ok(())
}

async fn what_is_handed_back_for_later_comes_again_after_the_pause(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=2).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(8)).await?;
    let first = next(&mut deliveries).await?;
    let (pause, asked) = (Duration::from_millis(700), Instant::now());
    first.acker.nak(pause).await;
    assert_eq!(take(&mut deliveries, 1).await?, ["2"], "others do not wait for it");
    let again = next(&mut deliveries).await?;
    assert!(asked.elapsed() >= nearly(pause), "after {:?}", asked.elapsed());
    assert!(asked.elapsed() < AGENT_ACK_WAIT / 2, "after {:?}", asked.elapsed());
    assert_eq!((again.delivered, again.stored), (2, first.stored));
    Ok(())
}

async fn a_pause_may_be_longer_than_ack_wait(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(task(1)).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(8)).await?;
    let first = next(&mut deliveries).await?;
    let (pause, asked) = (SHORT * 2, Instant::now());
    first.acker.nak(pause).await;
    let again = next(&mut deliveries).await?;
    assert!(asked.elapsed() >= nearly(pause), "after {:?}", asked.elapsed());
    assert_eq!(again.delivered, 2);
    // From here on it is `ack_wait` again.
    assert_eq!(next(&mut deliveries).await?.delivered, 3);
    assert!(asked.elapsed() < LONG / 2, "after {:?}", asked.elapsed());
    Ok(())
}

async fn what_is_in_progress_does_not_come_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(task(1)).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(4)).await?;
    let first = next(&mut deliveries).await?;
    for _ in 0..4 {
        assert!(nothing_comes_for(SHORT / 2, &mut deliveries).await);
        first.acker.progress().await;
    }
    let since = Instant::now();
    assert_eq!(next(&mut deliveries).await?.delivered, 2, "without a mark for ack_wait");
    assert!(since.elapsed() >= nearly(SHORT), "after {:?}", since.elapsed());
    assert!(since.elapsed() < LONG / 2, "after {:?}", since.elapsed());
    Ok(())
}

async fn a_late_acknowledgement_counts(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(task(1)).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(4)).await?;
    let first = next(&mut deliveries).await?;
    let second = next(&mut deliveries).await?;
    // What the first receiver says of its delivery is about the message, whoever has it by now.
    first.acker.nak(Duration::ZERO).await;
    assert_eq!(next(&mut deliveries).await?.delivered, 3);
    first.acker.ack().await;
    // After that, nothing that is said of it matters.
    second.acker.nak(Duration::ZERO).await;
    second.acker.progress().await;
    assert!(nothing_comes_for(SHORT * 3 / 2, &mut deliveries).await);
    Ok(())
}

async fn what_one_receiver_leaves_comes_to_another(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = impatient();
    bus.publish(task(1)).await?;
    let mut first = bus.consume(&spec, Flow::OnRequest).await?;
    let mut second = server.connect().await?.consume(&spec, Flow::OnRequest).await?;
    first.request(1);
    let delivery = next(&mut first).await?;
    second.request(1);
    assert!(nothing_comes(&mut second).await);
    let again = next(&mut second).await?;
    assert_eq!((again.delivered, again.consumer_sequence), (2, 2));
    assert_eq!(again.stored, delivery.stored);
    again.acker.ack().await;
    // The mark of one that lost it keeps it for nobody.
    delivery.acker.progress().await;
    let handled = async || Ok(in_hand(&*bus).await? == 0);
    eventually("the acknowledgement", handled).await
}

async fn in_hand(bus: &dyn mesh_bus::Bus) -> Result<u64> {
    let consumers = bus.health().await?.consumers.into_iter();
    let agents = consumers.filter(|consumer| matches!(consumer.role, mesh_bus::Role::Agents(..)));
    Ok(agents.filter_map(|consumer| consumer.found).map(|found| found.in_hand).sum())
}
