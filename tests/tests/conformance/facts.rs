//! What is stored, where, and how often.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use futures::future::join_all;
use mesh_bus::topology::{Stream, shard_consumer};
use mesh_bus::{Flow, From, Publish, PublishError, Stored};
use mesh_schemas::Message;

use crate::server::Server;
use crate::support::{
    agents, event, message, next, own, request, run, run_in, soon, store, store_when_possible, stored, take,
    task, text,
};

on_every_bus!(
    a_fact_is_stored_once,
    one_of_many_writers_wins,
    a_fact_cannot_be_changed,
    a_fact_outlives_its_acknowledgement,
    other_subjects_take_many_messages,
    a_message_with_an_id_is_stored_once,
    sequences_grow_by_one_and_times_never_go_back,
    a_message_comes_back_as_it_was_published,
);

async fn a_fact_is_stored_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for publish in [event(run(1), 1), task(1)] {
        assert_eq!(bus.publish(publish.clone()).await?, Stored::Now(1));
        let mut other = publish.clone();
        other.message.payload = "other".into();
        for again in [publish, other] {
            assert_eq!(bus.publish(again).await?, Stored::Already);
        }
    }
    let fact = bus.at(Stream::Events, 1).await?.context("it is stored")?;
    assert_eq!(text(&fact.message), "1");
    // A fact that was known took no place.
    assert_eq!(bus.publish(event(run(1), 2)).await?, Stored::Now(2));
    Ok(())
}

async fn one_of_many_writers_wins(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let others = [server.connect().await?, server.connect().await?];
    let writers = (0..16).map(|number| {
        let bus = if number == 0 { &bus } else { &others[number % 2] };
        store_when_possible(&**bus, event(run(1), 1))
    });
    let stored = join_all(writers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(stored.iter().filter(|stored| matches!(stored, Stored::Now(_))).count(), 1);
    Ok(())
}

async fn a_fact_cannot_be_changed(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for (stream, fact) in [(Stream::Events, event(run(1), 1)), (Stream::Tasks, task(1))] {
        let first = stored(&*bus, stream, fact.clone()).await?;
        // Without `once` the bus does not say that the fact is known, but that it cannot take another now.
        let other = Publish::plain(Message { payload: "other".into(), ..fact.message });
        let refused = bus.publish(other.clone()).await;
        assert!(matches!(refused, Err(PublishError::Retry(_))), "{refused:?}");
        bus.notify(other.message).await?;
        assert_eq!(bus.last(stream, "mesh.>").await?, Some(first));
        // Neither took a place.
        let next = if stream == Stream::Events { event(run(1), 2) } else { task(2) };
        assert_eq!(bus.publish(next).await?, Stored::Now(2));
    }
    Ok(())
}

async fn a_fact_outlives_its_acknowledgement(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(event(run_in(0), 1)).await?;
    bus.publish(task(1)).await?;
    for spec in [shard_consumer(bus.namespace(), 0), agents()] {
        let mut deliveries = bus.consume(&spec, Flow::Continuous(4)).await?;
        assert_eq!(take(&mut deliveries, 1).await?, ["1"]);
        deliveries.stop().await;
    }
    assert_eq!(bus.publish(event(run_in(0), 1)).await?, Stored::Already);
    assert_eq!(bus.publish(task(1)).await?, Stored::Already);
    assert_eq!(bus.read_run(&run_in(0)).await?.events.len(), 1);
    Ok(())
}

async fn other_subjects_take_many_messages(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let dead = Publish::plain(message("mesh.dead.events.malformed", "x"));
    let note = Publish::plain(message("mesh.agent.registered.a1", "x"));
    for (stream, publish) in [(Stream::Inbox, request("w", "x")), (Stream::Notes, note), (Stream::Dead, dead)]
    {
        for sequence in 1..=3 {
            assert_eq!(bus.publish(publish.clone()).await?, Stored::Now(sequence), "{stream:?}");
        }
        for sequence in 1..=3 {
            assert!(bus.at(stream, sequence).await?.is_some(), "{stream:?} {sequence}");
        }
    }
    Ok(())
}

async fn a_message_with_an_id_is_stored_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let with_id = |subject: &str, body: &'static str| {
        let mut message = message(subject, body);
        message.headers.set("Nats-Msg-Id", "MESH_EVENTS/1");
        Publish::plain(message)
    };
    assert_eq!(bus.publish(with_id("mesh.dead.events.malformed", "1")).await?, Stored::Now(1));
    assert_eq!(bus.publish(with_id("mesh.dead.events.malformed", "2")).await?, Stored::Already);
    assert_eq!(bus.publish(with_id("mesh.dead.events.unknown_run", "3")).await?, Stored::Already);
    // An id is that of one message of one stream.
    assert_eq!(bus.publish(with_id("mesh.agent.registered.a1", "4")).await?, Stored::Now(1));
    assert_eq!(bus.at(Stream::Dead, 2).await?, None);
    Ok(())
}

async fn sequences_grow_by_one_and_times_never_go_back(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let begun = bus.now();
    for number in 1..=20 {
        assert_eq!(bus.publish(event(run(number), number)).await?, Stored::Now(number.into()));
    }
    assert_eq!(store(&*bus, task(1)).await?, 1, "each stream counts for itself");
    let mut times = vec![begun];
    for sequence in 1..=20 {
        times.push(bus.at(Stream::Events, sequence).await?.context("it is stored")?.time);
    }
    times.push(bus.now());
    // The clocks of bus and server are one here, but may be read with another precision.
    times[0] -= Duration::from_millis(1);
    times[21] += Duration::from_millis(1);
    assert!(times.is_sorted(), "{times:?}");
    Ok(())
}

async fn a_message_comes_back_as_it_was_published(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let run = run_in(0);
    let mut full = event(run, 1).message;
    full.payload = vec![0xff, 0x00, b'\r', b'\n'].into();
    full.headers.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    full.headers.set("Content-Type", "application/cloudevents+json; charset=utf-8");
    full.headers.append("x-both", "one");
    full.headers.append("x-both", "two");
    let empty = message(event(run, 2).message.subject, "");
    let mut followed = bus.follow(Stream::Events, vec!["mesh.>".to_owned()], From::Begin).await?;
    assert_eq!(soon("the end", followed.next()).await?.transpose()?, Some(None));
    let mut deliveries = bus.consume(&shard_consumer(bus.namespace(), 0), Flow::Continuous(4)).await?;
    for published in [full, empty] {
        let stored = stored(&*bus, Stream::Events, Publish::once(published.clone())).await?;
        assert_eq!(own(&stored.message), own(&published));
        // It is the same on every way.
        assert_eq!(bus.last(Stream::Events, &published.subject).await?.as_ref(), Some(&stored));
        assert_eq!(bus.read_run(&run).await?.events.last(), Some(&stored));
        assert_eq!(next(&mut deliveries).await?.stored, stored);
        assert_eq!(soon("an event", followed.next()).await?.transpose()?, Some(Some(stored)));
    }
    Ok(())
}
