//! Removing messages from streams.

use std::time::Duration;

use anyhow::Result;
use futures::TryStreamExt as _;
use futures::future::try_join_all;
use mesh_bus::topology::{Stream, timer_consumer};
use mesh_bus::{BusError, Flow, From, Publish, Stored};

use crate::server::Server;
use crate::support::{
    agents, body, event, impatient, message, next, nothing_comes, run, soon, store, store_tasks, until_done,
};

on_every_bus!(
    what_is_removed_is_gone_and_nothing_else,
    one_of_those_who_remove_it_is_told_so,
    the_subject_of_a_fact_that_is_removed_is_free_again,
    what_is_removed_is_delivered_to_nobody,
    what_is_removed_does_not_come_again,
    a_schedule_that_is_removed_never_appears,
    what_was_removed_stays_away_when_the_server_dies,
);

async fn what_is_removed_is_gone_and_nothing_else(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 1..=5 {
        store(&*bus, event(run(1), number)).await?;
    }
    // One in the middle, the first and the last.
    for sequence in [3, 1, 5] {
        assert!(bus.remove(Stream::Events, sequence).await?, "{sequence}");
        assert_eq!(bus.at(Stream::Events, sequence).await?, None);
    }
    // What is gone, what never was, and what another stream has.
    store_tasks(&*bus, 1..=7).await?;
    for sequence in [0, 1, 3, 5, 6, 7, 1_000] {
        assert!(!bus.remove(Stream::Events, sequence).await?, "{sequence}");
    }
    let log = bus.read_run(&run(1)).await?;
    let left: Vec<u64> = log.events.iter().map(|event| event.sequence).collect();
    assert_eq!((left, log.end), (vec![2, 4], 5));
    let followed = bus.follow(Stream::Events, vec!["mesh.>".to_owned()], From::Begin).await?;
    let followed = followed.try_take_while(|stored| std::future::ready(Ok(stored.is_some())));
    let followed: Vec<_> = soon("the events", followed.try_collect::<Vec<_>>()).await??;
    assert_eq!(followed.into_iter().flatten().collect::<Vec<_>>(), log.events);
    assert_eq!(store(&*bus, event(run(1), 6)).await?, 6, "no sequence is given twice");
    Ok(())
}

async fn one_of_those_who_remove_it_is_told_so(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let others = [server.connect().await?, server.connect().await?];
    for number in 1..=10 {
        let sequence = store(&*bus, event(run(1), number)).await?;
        let told = try_join_all(others.iter().map(|other| other.remove(Stream::Events, sequence))).await?;
        assert_eq!(told.into_iter().filter(|removed| *removed).count(), 1);
    }
    Ok(())
}

async fn the_subject_of_a_fact_that_is_removed_is_free_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store(&*bus, event(run(1), 1)).await?;
    assert!(bus.remove(Stream::Events, 1).await?);
    assert_eq!(bus.publish(event(run(1), 1)).await?, Stored::Now(2));
    assert_eq!(bus.publish(event(run(1), 1)).await?, Stored::Already);
    Ok(())
}

async fn what_is_removed_is_delivered_to_nobody(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.ensure_consumer(&agents()).await?;
    store_tasks(&*bus, 1..=4).await?;
    for sequence in [1, 3] {
        assert!(bus.remove(Stream::Tasks, sequence).await?);
    }
    let mut deliveries = bus.consume(&agents(), Flow::Continuous(8)).await?;
    for expected in ["2", "4"] {
        assert_eq!(body(&next(&mut deliveries).await?), expected);
    }
    assert!(nothing_comes(&mut deliveries).await);
    Ok(())
}

async fn what_is_removed_does_not_come_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    // With no more than one in hand, the next comes only when the one that was removed no longer counts.
    let spec = mesh_bus::ConsumerSpec { max_ack_pending: 1, ..impatient() };
    store_tasks(&*bus, 1..=2).await?;
    let mut deliveries = bus.consume(&spec, Flow::Continuous(8)).await?;
    let first = next(&mut deliveries).await?;
    assert_eq!(body(&first), "1");
    assert!(bus.remove(Stream::Tasks, 1).await?);
    assert_eq!(body(&next(&mut deliveries).await?), "2");
    first.acker.ack().await;
    Ok(())
}

async fn a_schedule_that_is_removed_never_appears(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut timers = bus.consume(&timer_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    let mut set = Vec::new();
    for (timer, after) in [("a", 1_500), ("b", 1_500), ("later", 1_900)] {
        let [set_subject, due] =
            ["set", "due"].map(|verb| format!("mesh.timer.{verb}.-.-.{}.{timer}", run(1)));
        let publish = Publish::at(message(set_subject, timer), bus.now() + Duration::from_millis(after), due);
        set.push(store(&*bus, publish).await?);
    }
    assert!(bus.remove(Stream::Inbox, set[0]).await?);
    assert_eq!(body(&next(&mut timers).await?), "b", "the other comes");
    assert_eq!(body(&next(&mut timers).await?), "later");
    Ok(())
}

async fn what_was_removed_stays_away_when_the_server_dies(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 1..=3 {
        store(&*bus, event(run(1), number)).await?;
    }
    for sequence in [1, 3] {
        assert!(bus.remove(Stream::Events, sequence).await?);
    }
    let log = bus.read_run(&run(1)).await?;
    server.stop()?;
    server.start()?;
    let after = until_done(async || bus.read_run(&run(1)).await, BusError::is_retryable).await?;
    assert_eq!(after, log);
    assert!(!bus.remove(Stream::Events, 3).await?);
    assert_eq!(store(&*bus, event(run(1), 4)).await?, 4, "no sequence is given twice");
    Ok(())
}
