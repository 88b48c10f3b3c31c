//! The inbox is a queue: what was acknowledged is gone.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_bus::topology::{Stream, relay_consumer};
use mesh_bus::{Flow, Publish};

use crate::server::Server;
use crate::support::{body, eventually, message, next, request, store};

on_every_bus!(
    only_what_was_acknowledged_is_gone,
    what_nobody_consumes_waits,
    a_message_is_dropped_when_its_time_is_over,
);

async fn only_what_was_acknowledged_is_gone(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 1..=3 {
        bus.publish(request("w", &number.to_string())).await?;
    }
    let mut relay = bus.consume(&relay_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    let (first, second, third) = (next(&mut relay).await?, next(&mut relay).await?, next(&mut relay).await?);
    first.acker.progress().await;
    second.acker.ack().await;
    third.acker.nak(Duration::from_secs(60)).await;
    eventually("the end of the second", async || Ok(bus.at(Stream::Inbox, 2).await?.is_none())).await?;
    for delivery in [first, third] {
        assert_eq!(bus.at(Stream::Inbox, delivery.stored.sequence).await?, Some(delivery.stored));
    }
    assert_eq!(store(&*bus, request("w", "4")).await?, 4, "no sequence is given twice");
    Ok(())
}

async fn what_nobody_consumes_waits(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let requests = [request("w", "1"), Publish::plain(message("mesh.task.requested.risk", "2"))];
    for publish in requests {
        bus.publish(publish).await?;
    }
    assert!(bus.last(Stream::Inbox, "mesh.workflow.requested.w").await?.is_some());
    let other = server.connect().await?;
    let mut relay = other.consume(&relay_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    for expected in ["1", "2"] {
        assert_eq!(body(&next(&mut relay).await?), expected);
    }
    Ok(())
}

async fn a_message_is_dropped_when_its_time_is_over(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let ttl = Some(Duration::from_secs(1));
    let kept = store(&*bus, request("w", "kept")).await?;
    let dropped = store(&*bus, Publish { ttl, ..request("w", "dropped") }).await?;
    let stored = bus.at(Stream::Inbox, dropped).await?.context("it is there at first")?;
    eventually("its end", async || Ok(bus.at(Stream::Inbox, dropped).await?.is_none())).await?;
    assert!(bus.now() - stored.time >= chrono::TimeDelta::seconds(1));
    assert!(bus.at(Stream::Inbox, kept).await?.is_some());
    let mut relay = bus.consume(&relay_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    bus.publish(request("w", "next")).await?;
    assert_eq!(body(&next(&mut relay).await?), "kept");
    assert_eq!(body(&next(&mut relay).await?), "next");
    Ok(())
}
