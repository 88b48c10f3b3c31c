//! A consumer that delivers to one receiver at a time: the one who follows a shard.

use std::time::Duration;

use anyhow::Result;
use mesh_bus::topology::{SHARD_ACK_WAIT, shard_consumer};
use mesh_bus::{Bus, ConsumerSpec, Deliveries, Delivery, Flow};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;

use crate::server::Server;
use crate::support::{LONG, body, event, next, nothing_comes, nothing_comes_for, run_in, soon};

on_every_bus!(
    one_receiver_has_it_until_that_is_gone,
    the_owner_keeps_it_while_nothing_happens,
    what_the_owner_hands_back_comes_to_the_owner,
    what_the_owner_did_not_settle_comes_to_the_next_after_ack_wait,
    what_the_owner_stops_at_comes_to_the_next,
    what_the_owner_lets_go_of_is_with_the_next_at_once,
    one_that_stops_without_having_it_takes_it_from_nobody,
    what_was_on_its_way_to_an_owner_that_stands_still_comes_to_the_next,
    an_owner_that_was_away_can_tell,
    each_shard_has_an_owner_of_its_own,
);

/// How long the owner may be silent, in tests that wait until it has been. NATS is asked for messages of a shard every
/// 700 ms, so it cannot be much shorter.
const SILENCE: Duration = Duration::from_secs(1);

/// A consumer like that of shard 0, with an owner who loses it soon. It has a name of its own, as the shards' are there
/// already, with other settings.
fn quick() -> ConsumerSpec {
    let namespace = "mesh".parse().expect("a namespace");
    ConsumerSpec { name: "quick".to_owned(), pinned: Some(SILENCE), ..shard_consumer(&namespace, 0) }
}

async fn follow(bus: &dyn Bus, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>> {
    Ok(bus.consume(spec, Flow::Continuous(8)).await?)
}

async fn store_events(bus: &dyn Bus, numbers: impl IntoIterator<Item = u32>) -> Result<()> {
    for number in numbers {
        bus.publish(event(run_in(0), number)).await?;
    }
    Ok(())
}

/// Receives for as long as the channel is kept, and acknowledges.
fn keep_following(mut deliveries: Box<dyn Deliveries>) -> UnboundedReceiver<Delivery> {
    let (sender, received) = unbounded_channel();
    tokio::spawn(async move {
        loop {
            let next = tokio::select! {
                next = deliveries.next() => next,
                () = sender.closed() => return,
            };
            let Ok(delivery) = next else { return };
            delivery.acker.ack().await;
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    received
}

async fn received(from: &mut UnboundedReceiver<Delivery>) -> Result<Delivery> {
    soon("a delivery", from.recv()).await?.ok_or_else(|| anyhow::anyhow!("the receiver ended"))
}

async fn one_receiver_has_it_until_that_is_gone(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut owner = follow(&*bus, &quick()).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    assert!(first.pin.is_some());
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &quick()).await?);
    for number in 1..50 {
        store_events(&*bus, [number]).await?;
        let delivery = next(&mut owner).await?;
        assert_eq!(body(&delivery), number.to_string());
        assert_eq!(delivery.pin, first.pin);
        assert_eq!(delivery.consumer_sequence, first.consumer_sequence + u64::from(number));
        delivery.acker.ack().await;
    }
    assert_eq!(bus.delivered(&quick()).await?, 50);
    assert!(standby.try_recv().is_err());
    drop(owner);
    store_events(&*bus, [50]).await?;
    let taken = received(&mut standby).await?;
    assert_eq!(body(&taken), "50");
    assert!(taken.pin.is_some() && taken.pin != first.pin, "{:?}", taken.pin);
    Ok(())
}

async fn the_owner_keeps_it_while_nothing_happens(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = shard_consumer(bus.namespace(), 0);
    let mut owner = follow(&*bus, &spec).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &spec).await?);
    // Longer than a silent owner would keep it, with what NATS may need on top.
    let idle = mesh_bus::topology::PIN_TIMEOUT * 3 / 2;
    assert!(nothing_comes_for(idle, &mut owner).await);
    store_events(&*bus, [1]).await?;
    let second = next(&mut owner).await?;
    assert_eq!((second.pin, second.consumer_sequence), (first.pin, 2));
    assert!(standby.try_recv().is_err());
    Ok(())
}

async fn what_the_owner_hands_back_comes_to_the_owner(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = ConsumerSpec { ack_wait: SILENCE, pinned: Some(LONG), ..quick() };
    let mut owner = follow(&*bus, &spec).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &spec).await?);
    first.acker.nak(Duration::ZERO).await;
    for times in 2..=3 {
        // The second time after `ack_wait`.
        let again = next(&mut owner).await?;
        assert_eq!((again.delivered, again.consumer_sequence), (times, times));
        assert_eq!((&again.pin, &again.stored), (&first.pin, &first.stored));
    }
    assert!(standby.try_recv().is_err());
    Ok(())
}

async fn what_the_owner_did_not_settle_comes_to_the_next_after_ack_wait(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut owner = follow(&*bus, &quick()).await?;
    store_events(&*bus, [0]).await?;
    let begun = Instant::now();
    let unsettled = next(&mut owner).await?;
    drop(owner);
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &quick()).await?);
    store_events(&*bus, [1]).await?;
    let new = received(&mut standby).await?;
    assert_eq!((body(&new).as_str(), new.delivered, new.consumer_sequence), ("1", 1, 2));
    assert_ne!(new.pin, unsettled.pin);
    let old = received(&mut standby).await?;
    assert_eq!((body(&old).as_str(), old.delivered, old.consumer_sequence), ("0", 2, 3));
    assert_eq!(old.pin, new.pin);
    assert!(begun.elapsed() >= SHARD_ACK_WAIT.mul_f64(0.95), "after {:?}", begun.elapsed());
    Ok(())
}

async fn what_the_owner_stops_at_comes_to_the_next(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = ConsumerSpec { ack_wait: LONG * 10, ..quick() };
    store_events(&*bus, 0..8).await?;
    let mut owner = follow(&*bus, &spec).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &spec).await?);
    owner.stop().await;
    let mut bodies = Vec::new();
    for _ in 1..8 {
        let delivery = received(&mut standby).await?;
        assert_ne!(delivery.pin, first.pin);
        bodies.push(body(&delivery));
    }
    bodies.sort();
    assert_eq!(bodies, (1..8).map(|number| number.to_string()).collect::<Vec<_>>());
    Ok(())
}

async fn what_the_owner_lets_go_of_is_with_the_next_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    // Far longer than a test waits for what comes soon.
    let spec = ConsumerSpec { pinned: Some(LONG * 2), ..quick() };
    let mut owner = follow(&*bus, &spec).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &spec).await?);
    owner.stop().await;
    store_events(&*bus, [1]).await?;
    let taken = received(&mut standby).await?;
    assert_eq!((body(&taken).as_str(), taken.consumer_sequence), ("1", 2));
    assert!(taken.pin.is_some() && taken.pin != first.pin, "{:?}", taken.pin);
    Ok(())
}

async fn one_that_stops_without_having_it_takes_it_from_nobody(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut earlier = follow(&*bus, &quick()).await?;
    store_events(&*bus, [0]).await?;
    next(&mut earlier).await?.acker.ack().await;
    let client = server.connect().await?;
    let mut owner = follow(&*client, &quick()).await?;
    // The one who had it is silent for its time.
    assert!(nothing_comes_for(SILENCE * 2, &mut owner).await);
    store_events(&*bus, [1]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    earlier.stop().await;
    store_events(&*bus, [2]).await?;
    let second = next(&mut owner).await?;
    assert_eq!((second.pin, second.consumer_sequence), (first.pin, 3));
    Ok(())
}

async fn what_was_on_its_way_to_an_owner_that_stands_still_comes_to_the_next(
    server: &impl Server,
) -> Result<()> {
    let bus = server.set_up().await?;
    let spec = ConsumerSpec { ack_wait: SILENCE * 3 / 2, ..quick() };
    let mut owner = follow(&*bus, &spec).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let standby = server.connect().await?;
    let mut standby = keep_following(follow(&*standby, &spec).await?);
    // The owner has asked for this, and does not look.
    store_events(&*bus, [1]).await?;
    let taken = received(&mut standby).await?;
    assert_eq!((body(&taken).as_str(), taken.delivered, taken.consumer_sequence), ("1", 2, 3));
    assert_ne!(taken.pin, first.pin);
    // When it wakes up it finds it, and can tell that it is of the past.
    let late = next(&mut owner).await?;
    assert_eq!((body(&late).as_str(), late.delivered, late.consumer_sequence), ("1", 1, 2));
    assert_eq!(late.pin, first.pin);
    let age = bus.moment().since(late.received);
    assert!(age >= spec.ack_wait.mul_f64(0.95), "{age:?}");
    Ok(())
}

async fn an_owner_that_was_away_can_tell(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut owner = follow(&*bus, &quick()).await?;
    store_events(&*bus, [0]).await?;
    let first = next(&mut owner).await?;
    first.acker.ack().await;
    let client = server.connect().await?;
    let mut standby = follow(&*client, &quick()).await?;
    // The owner does not ask any more. What comes too early would be on its way to the owner all the same.
    assert!(nothing_comes_for(SILENCE * 2, &mut standby).await);
    store_events(&*bus, 1..3).await?;
    let (second, third) = (next(&mut standby).await?, next(&mut standby).await?);
    assert_eq!([&second, &third].map(body), ["1", "2"]);
    assert_eq!((second.consumer_sequence, third.consumer_sequence), (2, 3), "counted on over owners");
    assert!(second.pin.is_some() && second.pin != first.pin && second.pin == third.pin);
    second.acker.ack().await;
    third.acker.ack().await;
    // It is back, but no longer the owner.
    assert!(tokio::join!(nothing_comes(&mut owner), nothing_comes(&mut standby)).0);
    standby.stop().await;
    assert!(nothing_comes_for(SILENCE * 2, &mut owner).await);
    store_events(&*bus, [3]).await?;
    let back = next(&mut owner).await?;
    assert_eq!((body(&back).as_str(), back.consumer_sequence), ("3", 4), "it sees the gap");
    assert!(back.pin.is_some() && back.pin != first.pin && back.pin != second.pin, "and another pinning");
    Ok(())
}

async fn each_shard_has_an_owner_of_its_own(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let other = server.connect().await?;
    let specs = [0, 1].map(|shard| shard_consumer(bus.namespace(), shard));
    let mut owners = [follow(&*bus, &specs[0]).await?, follow(&*other, &specs[1]).await?];
    let mut pins = Vec::new();
    for shard in [0, 1, 0, 1] {
        bus.publish(event(run_in(shard), u32::try_from(pins.len())?)).await?;
        let delivery = next(&mut owners[shard as usize]).await?;
        assert_eq!(delivery.stored.sequence, pins.len() as u64 + 1);
        assert_eq!(delivery.consumer_sequence, pins.len() as u64 / 2 + 1);
        delivery.acker.ack().await;
        pins.push(delivery.pin);
    }
    assert_eq!((&pins[0], &pins[1]), (&pins[2], &pins[3]));
    assert_ne!(pins[0], pins[1]);
    Ok(())
}
