use anyhow::{Context as _, Result, ensure};
use async_nats::Subject;
use futures::StreamExt as _;
use mesh_bus::{Bus, Flow};
use mesh_tests::{TestServer, patiently};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::{World, agents, body, next, nothing_comes, task};

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
