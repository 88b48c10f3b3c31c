//! Messages that appear at a time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use mesh_bus::topology::{Stream, relay_consumer, timer_consumer};
use mesh_bus::{Bus, Deliveries, Flow, Publish, Stored};
use mesh_schemas::Headers;

use crate::server::Server;
use crate::support::{LONG, eventually, message, next, own, request, run, store};

on_every_bus!(
    a_message_appears_on_its_target_when_it_is_due,
    messages_appear_in_the_order_in_which_they_are_due,
    one_that_is_overdue_appears_at_once,
    one_that_is_set_again_is_replaced,
    one_that_has_been_due_may_be_set_again,
    one_that_is_taken_back_never_appears,
);

fn set(number: u32) -> String {
    format!("mesh.timer.set.-.-.{}.deadline", run(number))
}

fn due(number: u32) -> String {
    format!("mesh.timer.due.-.-.{}.deadline", run(number))
}

fn timer(number: u32, body: &str, at: DateTime<Utc>) -> Publish {
    Publish::at(message(set(number), body.to_owned()), at, due(number))
}

async fn relay(bus: &dyn Bus) -> Result<Box<dyn Deliveries>> {
    Ok(bus.consume(&timer_consumer(bus.namespace()), Flow::Continuous(8)).await?)
}

async fn a_message_appears_on_its_target_when_it_is_due(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    let at = bus.now() + Duration::from_secs(1);
    let mut timer = timer(1, "{\"due\":1}", at);
    timer.message.headers =
        Headers::new().with("content-type", "application/cloudevents+json").with("traceparent", "00-trace");
    assert_eq!(bus.publish(timer.clone()).await?, Stored::Now(1));
    let waiting = bus.last(Stream::Inbox, &set(1)).await?.context("it waits on its own subject")?;
    assert_eq!(own(&waiting.message), timer.message);
    // However often somebody looks whether it is there.
    let appears = async || Ok(bus.last(Stream::Inbox, &due(1)).await?.is_some());
    eventually("the message", appears).await?;
    let delivery = next(&mut relay).await?;
    assert_eq!(delivery.stored.message.subject, due(1));
    assert_eq!(own(&delivery.stored.message).headers, timer.message.headers);
    assert_eq!(delivery.stored.message.payload, timer.message.payload);
    assert_eq!((delivery.delivered, delivery.stored.sequence), (1, 2));
    assert!(delivery.stored.time >= at, "it came {} early", at - delivery.stored.time);
    assert_eq!(bus.last(Stream::Inbox, &set(1)).await?, None, "a schedule is gone when it was due");
    delivery.acker.ack().await;
    eventually("the end of the message", async || Ok(bus.last(Stream::Inbox, &due(1)).await?.is_none())).await
}

async fn messages_appear_in_the_order_in_which_they_are_due(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    let begun = bus.now();
    for number in [2, 1, 3] {
        bus.publish(timer(number, &number.to_string(), begun + Duration::from_millis(500) * number)).await?;
    }
    for number in 1..=3 {
        let delivery = next(&mut relay).await?;
        assert_eq!(delivery.stored.message.subject, due(number));
        delivery.acker.ack().await;
    }
    Ok(())
}

async fn one_that_is_overdue_appears_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    for (number, ago) in [(1, Duration::ZERO), (2, Duration::from_secs(3_600))] {
        bus.publish(timer(number, "x", bus.now() - ago)).await?;
        let delivery = next(&mut relay).await?;
        assert_eq!(delivery.stored.message.subject, due(number));
        delivery.acker.ack().await;
    }
    Ok(())
}

async fn one_that_is_set_again_is_replaced(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    let soon = bus.now() + Duration::from_secs(1);
    // Earlier than before, and later than before.
    bus.publish(timer(1, "late", soon + LONG * 10)).await?;
    bus.publish(timer(1, "early", soon)).await?;
    bus.publish(timer(2, "early", soon)).await?;
    bus.publish(timer(2, "late", soon + Duration::from_secs(1))).await?;
    for (number, body) in [(1, "early"), (2, "late")] {
        let delivery = next(&mut relay).await?;
        assert_eq!(delivery.stored.message.subject, due(number));
        assert_eq!(crate::support::body(&delivery), body);
        delivery.acker.ack().await;
    }
    assert_eq!(bus.last(Stream::Inbox, "mesh.timer.set.>").await?, None, "nothing of them is left");
    Ok(())
}

async fn one_that_has_been_due_may_be_set_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    for _ in 0..2 {
        store(&*bus, timer(1, "x", bus.now())).await?;
        let delivery = next(&mut relay).await?;
        assert_eq!((delivery.stored.message.subject.as_str(), delivery.delivered), (due(1).as_str(), 1));
        delivery.acker.ack().await;
    }
    // One that has been due and was not acknowledged stays beside the next.
    bus.publish(timer(1, "third", bus.now())).await?;
    let third = next(&mut relay).await?;
    bus.publish(timer(1, "fourth", bus.now())).await?;
    let fourth = next(&mut relay).await?;
    assert_eq!([&third, &fourth].map(crate::support::body), ["third", "fourth"]);
    assert_eq!(bus.at(Stream::Inbox, third.stored.sequence).await?, Some(third.stored));
    Ok(())
}

async fn one_that_is_taken_back_never_appears(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut relay = relay(&*bus).await?;
    let begun = bus.now();
    bus.publish(timer(1, "x", begun + Duration::from_secs(1))).await?;
    bus.publish(timer(2, "x", begun + Duration::from_millis(1_500))).await?;
    bus.unschedule(&set(1)).await?;
    eventually("its end", async || Ok(bus.last(Stream::Inbox, &set(1)).await?.is_none())).await?;
    assert_eq!(next(&mut relay).await?.stored.message.subject, due(2));
    // Taking back what is not there does no harm, and other messages stay.
    bus.publish(request("w", "x")).await?;
    for subject in [set(1), set(2), set(3), "mesh.workflow.requested.w".to_owned()] {
        bus.unschedule(&subject).await?;
    }
    let mut requests = bus.consume(&relay_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    assert_eq!(next(&mut requests).await?.stored.message.subject, "mesh.workflow.requested.w");
    Ok(())
}
