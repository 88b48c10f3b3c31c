use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_nats::Subject;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use mesh_bus::topology::shard_consumer;
use mesh_bus::{Bus, ConsumerSpec, Flow};
use mesh_tests::{TestServer, patiently};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{LONG, World, agents, body, connect, event, next, nothing_comes, progress, run, task};

#[tokio::test]
async fn a_deleted_consumer_is_an_error_and_can_be_made_anew() -> Result<()> {
    let world = World::new().await?;
    let spec = agents();
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

#[tokio::test]
async fn what_came_while_a_request_was_refused_is_handed_out() -> Result<()> {
    let world = World::new().await?;
    let spec = agents();
    let mut deliveries = world.bus.consume(&spec, Flow::OnRequest).await?;
    let witness = async_nats::connect(world.server.url()).await?;
    let mut requests = witness.subscribe("$JS.API.CONSUMER.MSG.NEXT.>").await?;
    // Answered after the subscription was made.
    async_nats::jetstream::new(witness).query_account().await?;
    deliveries.request(2);
    assert!(nothing_comes(&mut deliveries).await);
    let request = patiently("a request", requests.next()).await?;
    let inbox = request.and_then(|request| request.reply).context("nothing was asked for")?;
    refuse(&world.server, &inbox).await?;
    for number in [1, 2] {
        world.bus.publish(task(number)).await?;
    }
    // Once the server says so on the connection of the deliveries, they are here.
    while world.bus.delivered(&spec).await? < 2 {}
    for number in ["1", "2"] {
        assert_eq!(body(&next(&mut deliveries).await?), number);
    }
    Ok(())
}

/// Says on an inbox what a server says that gives up a request. The client library cannot send a status.
async fn refuse(server: &TestServer, inbox: &Subject) -> Result<()> {
    let status = "NATS/1.0 409 Leadership Change\r\n\r\n";
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", server.port())).await?);
    let says = format!(
        "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nHPUB {inbox} {0} {0}\r\n{status}\r\nPING\r\n",
        status.len()
    );
    stream.write_all(says.as_bytes()).await?;
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        ensure!(stream.read_line(&mut line).await? > 0, "the server closed the connection");
    }
    Ok(())
}

/// Also beside other things that its process asks for: it must not forget what it receives on before the server does.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_to_an_owner_that_stops_is_with_the_next_at_once() -> Result<()> {
    const EVENTS: u32 = 4_000;
    let World { server, bus } = World::new().await?;
    let bus = Arc::new(bus);
    let shard = run(0).shard();
    // Far longer than a test waits.
    let waiting = ConsumerSpec { ack_wait: LONG * 4, ..shard_consumer(bus.namespace(), shard) };
    let spec = ConsumerSpec { name: "patient".to_owned(), pinned: Some(LONG * 4), ..waiting };
    let (publisher, standby) = (connect(&server).await?, connect(&server).await?);
    let mut owner = bus.consume(&spec, Flow::Continuous(EVENTS as usize)).await?;
    bus.publish(event(run(0), 0)).await?;
    next(&mut owner).await?.acker.ack().await;
    let mut standby = standby.consume(&spec, Flow::Continuous(64)).await?;
    assert!(nothing_comes(&mut standby).await);
    let publishing = tokio::spawn(async move {
        let events = (1..=EVENTS).map(|number| publisher.publish(event(run(0), number)));
        stream::iter(events).buffer_unordered(256).try_for_each(|_| async { Ok(()) }).await
    });
    let (asker, asked) = (Arc::clone(&bus), spec.clone());
    let asking = tokio::spawn(async move { while asker.delivered(&asked).await.is_ok() {} });
    let mut missing: BTreeSet<String> = (1..=EVENTS).map(|number| number.to_string()).collect();
    while missing.len() > EVENTS as usize / 2 {
        let delivery = next(&mut owner).await?;
        missing.remove(&body(&delivery));
        delivery.acker.ack().await;
    }
    owner.stop().await;
    asking.abort();
    while !missing.is_empty() {
        let delivery = next(&mut standby).await.with_context(|| format!("{} are missing", missing.len()))?;
        missing.remove(&body(&delivery));
        delivery.acker.ack().await;
    }
    Ok(publishing.await??)
}

/// It may become the owner behind its back: with a message that comes when it has stopped listening.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_leaves_as_the_owner_does_is_not_waited_for() -> Result<()> {
    let World { server, bus } = World::new().await?;
    let (leaver, stayer) = (connect(&server).await?, connect(&server).await?);
    // Far longer than a test waits.
    let waiting = ConsumerSpec { ack_wait: LONG * 4, ..shard_consumer(bus.namespace(), run(0).shard()) };
    for number in 0..2 {
        bus.publish(event(run(0), number)).await?;
    }
    let mut successions = JoinSet::new();
    // It happens in one of some ten.
    for round in 0..40 {
        let name = format!("patient-{round}");
        let spec = ConsumerSpec { name, pinned: Some(LONG * 4), ..waiting.clone() };
        let mut owner = bus.consume(&spec, Flow::Continuous(1)).await?;
        next(&mut owner).await?.acker.ack().await;
        let mut leaving = leaver.consume(&spec, Flow::Continuous(8)).await?;
        let mut staying = stayer.consume(&spec, Flow::Continuous(8)).await?;
        // The first that asks is the next owner.
        for (standby, bus) in [(&mut leaving, &leaver), (&mut staying, &stayer)] {
            assert!(standby.next().now_or_never().is_none());
            bus.delivered(&spec).await?;
        }
        // The server reads all this before it reads that nobody listens any more.
        for _ in 0..5 {
            leaver.notify(progress(500_000)).await?;
        }
        successions.spawn(async move { tokio::join!(leaving.stop(), next(&mut staying)).1 });
        owner.stop().await;
    }
    while let Some(delivery) = successions.join_next().await {
        assert_eq!(body(&delivery??), "1");
    }
    Ok(())
}
