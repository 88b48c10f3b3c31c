//! What a consumer delivers, in which order, and to whom.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use futures::future::try_join_all;
use mesh_bus::topology::{Stream, relay_consumer};
use mesh_bus::{BusError, ConsumerSpec, Delivery, Flow};

use crate::server::Server;
use crate::support::{
    SHORT, agents, body, impatient, message, next, nothing_comes, nothing_comes_for, request, run, soon,
    store_tasks, take, task, task_of,
};

on_every_bus!(
    a_late_consumer_begins_with_the_oldest_message,
    only_what_passes_a_filter_is_delivered,
    what_is_acknowledged_does_not_come_again,
    several_receivers_share_the_messages,
    waiting_may_be_given_up_without_losing_a_message,
    the_newest_delivered_message_is_known,
    a_consumer_is_made_once,
    a_consumer_that_is_there_keeps_its_settings,
    a_consumer_that_would_deliver_something_else_is_a_conflict,
    a_delivery_says_since_when_it_may_have_been_here,
    a_receiver_that_is_never_idle_knows_how_old_its_messages_are,
    a_delivery_says_how_long_it_may_stay_unsettled,
);

async fn a_late_consumer_begins_with_the_oldest_message(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=20).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(8)).await?;
    for number in 1..=20 {
        let delivery = next(&mut deliveries).await?;
        assert_eq!((body(&delivery), delivery.stored.sequence), (number.to_string(), number));
        assert_eq!((delivery.consumer_sequence, delivery.delivered), (number, 1));
        assert_eq!(delivery.pin, None);
        assert_eq!(bus.at(Stream::Tasks, number).await?, Some(delivery.stored));
        delivery.acker.ack().await;
    }
    bus.publish(task(21)).await?;
    let new = next(&mut deliveries).await?;
    assert_eq!((body(&new).as_str(), new.consumer_sequence), ("21", 21));
    Ok(())
}

async fn only_what_passes_a_filter_is_delivered(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let set = mesh_bus::Publish::at(
        message(format!("mesh.timer.set.-.-.{}.deadline", run(1)), "waits"),
        bus.now() + Duration::from_secs(3_600),
        format!("mesh.timer.due.-.-.{}.deadline", run(1)),
    );
    bus.publish(set).await?;
    bus.publish(request("w", "1")).await?;
    bus.publish(mesh_bus::Publish::plain(message("mesh.task.requested.risk", "2"))).await?;
    let mut relay = bus.consume(&relay_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    assert_eq!(take(&mut relay, 2).await?, ["1", "2"], "every filter counts");
    assert!(nothing_comes(&mut relay).await);
    for number in 0..4 {
        bus.publish(task_of(if number % 2 == 0 { "score" } else { "risk" }, number)).await?;
    }
    let mut risk = bus.consume(&agents(), Flow::Continuous(8)).await?;
    let (first, second) = (next(&mut risk).await?, next(&mut risk).await?);
    assert_eq!([&first, &second].map(body), ["1", "3"]);
    assert_eq!((first.consumer_sequence, second.consumer_sequence), (1, 2), "only deliveries are counted");
    assert_eq!((first.stored.sequence, second.stored.sequence), (2, 4));
    Ok(())
}

async fn what_is_acknowledged_does_not_come_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=3).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(8)).await?;
    let all = [next(&mut deliveries).await?, next(&mut deliveries).await?, next(&mut deliveries).await?];
    // In any order.
    for delivery in all.iter().rev() {
        delivery.acker.ack().await;
    }
    assert!(nothing_comes_for(SHORT * 3 / 2, &mut deliveries).await);
    let mut other = server.connect().await?.consume(&impatient(), Flow::Continuous(8)).await?;
    assert!(nothing_comes(&mut other).await);
    Ok(())
}

async fn several_receivers_share_the_messages(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let clients = [bus.clone(), server.connect().await?, server.connect().await?];
    let open = clients.iter().map(|bus| async { bus.consume(&agents(), Flow::Continuous(4)).await });
    let receivers = try_join_all(open).await?;
    let (sender, mut deliveries) = tokio::sync::mpsc::unbounded_channel();
    for mut receiver in receivers {
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Ok(delivery) = receiver.next().await {
                delivery.acker.ack().await;
                if sender.send(delivery).is_err() {
                    return;
                }
            }
        });
    }
    store_tasks(&*bus, 1..=100).await?;
    let mut all: Vec<Delivery> = Vec::new();
    while all.len() < 100 {
        all.extend(soon("a delivery", deliveries.recv()).await?);
    }
    let bodies: BTreeSet<String> = all.iter().map(body).collect();
    assert_eq!(bodies.len(), 100, "none comes twice");
    let numbers: BTreeSet<u64> = all.iter().map(|delivery| delivery.consumer_sequence).collect();
    assert_eq!(numbers, (1..=100).collect(), "deliveries are counted over all who share");
    let more = tokio::time::timeout(Duration::from_millis(300), deliveries.recv()).await;
    assert!(more.is_err(), "{more:?}");
    Ok(())
}

async fn waiting_may_be_given_up_without_losing_a_message(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(4)).await?;
    let publishing = tokio::spawn(async move { store_tasks(&*bus, 1..=50).await });
    let mut bodies = Vec::new();
    let receiving = async {
        while bodies.len() < 50 {
            // Far too short, most of the time.
            let next = tokio::time::timeout(Duration::from_micros(50), deliveries.next());
            if let Ok(delivery) = next.await {
                let delivery = delivery?;
                assert_eq!(delivery.delivered, 1);
                delivery.acker.ack().await;
                bodies.push(body(&delivery));
            }
        }
        anyhow::Ok(())
    };
    soon("the messages", receiving).await??;
    assert_eq!(bodies, (1..=50).map(|number| number.to_string()).collect::<Vec<_>>());
    publishing.await?
}

async fn the_newest_delivered_message_is_known(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.delivered(&agents()).await?, 0, "nobody made the consumer yet");
    bus.ensure_consumer(&agents()).await?;
    store_tasks(&*bus, 1..=5).await?;
    assert_eq!(bus.delivered(&agents()).await?, 0);
    let other = server.connect().await?;
    let mut deliveries = bus.consume(&agents(), Flow::OnRequest).await?;
    let mut all = Vec::new();
    for number in 1..=3 {
        deliveries.request(1);
        all.push(next(&mut deliveries).await?);
        assert_eq!(other.delivered(&agents()).await?, number);
    }
    // One that comes again is not newer.
    all[0].acker.nak(Duration::ZERO).await;
    assert!(nothing_comes_for(SHORT / 2, &mut deliveries).await, "the bus has heard of it");
    deliveries.request(1);
    let again = next(&mut deliveries).await?;
    assert_eq!((again.delivered, again.stored.sequence), (2, 1));
    assert_eq!(other.delivered(&agents()).await?, 3);
    Ok(())
}

async fn a_consumer_is_made_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let other = server.connect().await?;
    let many = (0..8).map(|number| if number % 2 == 0 { &bus } else { &other });
    try_join_all(many.map(|bus| async move { bus.ensure_consumer(&agents()).await })).await?;
    store_tasks(&*bus, 1..=2).await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(1)).await?;
    assert_eq!(take(&mut deliveries, 1).await?, ["1"]);
    deliveries.stop().await;
    // Made again, it is the one that is there, with its place in the stream.
    other.ensure_consumer(&agents()).await?;
    let mut deliveries = other.consume(&agents(), Flow::Continuous(1)).await?;
    assert_eq!(take(&mut deliveries, 1).await?, ["2"]);
    Ok(())
}

async fn a_consumer_that_is_there_keeps_its_settings(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.ensure_consumer(&impatient()).await?;
    bus.publish(task(1)).await?;
    let patient = ConsumerSpec { ack_wait: crate::support::LONG * 10, max_ack_pending: 1, ..agents() };
    bus.ensure_consumer(&patient).await?;
    let mut deliveries = bus.consume(&patient, Flow::Continuous(4)).await?;
    assert_eq!(next(&mut deliveries).await?.delivered, 1);
    assert_eq!(next(&mut deliveries).await?.delivered, 2, "its ack_wait is over");
    Ok(())
}

async fn a_consumer_that_would_deliver_something_else_is_a_conflict(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let both = vec!["mesh.task.created.a.>".to_owned(), "mesh.task.created.b.>".to_owned()];
    let spec = ConsumerSpec { filters: both, ..agents() };
    bus.ensure_consumer(&spec).await?;
    let turned = ConsumerSpec { filters: spec.filters.iter().rev().cloned().collect(), ..spec.clone() };
    bus.ensure_consumer(&turned).await?;
    let fewer = ConsumerSpec { filters: vec![spec.filters[0].clone()], ..spec.clone() };
    let pinned = ConsumerSpec { pinned: Some(Duration::from_secs(3)), ..spec };
    for other in [fewer, pinned] {
        let results =
            [bus.ensure_consumer(&other).await, bus.consume(&other, Flow::OnRequest).await.map(drop)];
        for result in results {
            assert!(matches!(result, Err(BusError::Conflict { .. })), "{result:?}");
        }
    }
    Ok(())
}

async fn a_delivery_says_since_when_it_may_have_been_here(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(4)).await?;
    let waits_since = bus.moment();
    assert!(nothing_comes(&mut deliveries).await);
    store_tasks(&*bus, 1..=2).await?;
    let first = next(&mut deliveries).await?;
    assert!(first.received > waits_since, "it waited, and nothing was here");
    let stored = bus.moment();
    // The second comes at any moment of this while, unseen.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let second = next(&mut deliveries).await?;
    assert!(second.received <= stored, "{:?} after it", second.received.since(stored));
    // Once nothing is left, that is the past.
    assert!(nothing_comes(&mut deliveries).await);
    store_tasks(&*bus, [3]).await?;
    assert!(next(&mut deliveries).await?.received > stored);
    Ok(())
}

async fn a_receiver_that_is_never_idle_knows_how_old_its_messages_are(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=200).await?;
    let mut deliveries = bus.consume(&impatient(), Flow::Continuous(8)).await?;
    let begun = bus.moment();
    for number in 1..=200 {
        // It is slower than what comes, so that something always waits for it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let delivery = next(&mut deliveries).await?;
        let age = bus.moment().since(delivery.received);
        assert!(age < SHORT, "message {number} seems to be {age:?} old");
        delivery.acker.ack().await;
    }
    assert!(bus.moment().since(begun) > SHORT * 2, "that was too quick to tell");
    Ok(())
}

async fn a_delivery_says_how_long_it_may_stay_unsettled(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.ensure_consumer(&impatient()).await?;
    store_tasks(&*bus, 1..=1).await?;
    // The consumer is taken as it is, whatever this one would have.
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(1)).await?;
    assert_eq!(next(&mut deliveries).await?.ack_wait, SHORT);
    Ok(())
}
