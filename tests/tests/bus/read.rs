use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, From, Publish};
use mesh_schemas::{Headers, Message};

use crate::support::{World, event, run};

#[tokio::test]
async fn a_run_that_is_too_long_for_one_answer_is_read() -> Result<()> {
    let world = World::new().await?;
    // 100 MB, and the server sends at most 64 MiB at once.
    for number in 0..110 {
        let mut event = event(run(1), number);
        event.message.payload = vec![b'x'; 960 * 1024].into();
        world.bus.publish(event).await?;
    }
    assert_eq!(world.bus.read_run(&run(1)).await?.events.len(), 110);
    Ok(())
}

/// Janitors read histories all the time, and the server has room for so many consumers only.
#[tokio::test]
async fn reading_a_history_leaves_no_consumer_behind() -> Result<()> {
    let world = World::new().await?;
    let subject = format!("mesh.history.w.completed.{}", run(1));
    let message = Message { subject, headers: Headers::new(), payload: "{}".into() };
    world.bus.publish(Publish::plain(message)).await?;
    for _ in 0..3 {
        assert_eq!(world.bus.read_history(&run(1)).await?.len(), 1);
    }
    let history = Stream::History.name(world.bus.namespace());
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.server.url()).await?);
    assert_eq!(jetstream.get_stream(history).await?.cached_info().state.consumer_count, 0);
    Ok(())
}

/// The same of those who look at the beginning of a stream only, again and again.
#[tokio::test]
async fn who_stops_reading_leaves_no_consumer_behind() -> Result<()> {
    let world = World::new().await?;
    for number in 0..3 {
        world.bus.publish(event(run(1), number)).await?;
    }
    let log = Stream::Events.name(world.bus.namespace());
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.server.url()).await?);
    let consumers = async || anyhow::Ok(jetstream.get_stream(&log).await?.cached_info().state.consumer_count);
    let before = consumers().await?;
    for _ in 0..5 {
        let mut events = world.bus.follow(Stream::Events, vec!["mesh.>".to_owned()], From::Begin).await?;
        assert!(matches!(events.next().await, Some(Ok(Some(_)))));
    }
    // The server would keep them for half a minute.
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let until_they_are_gone = async {
        while consumers().await? > before {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(15), until_they_are_gone).await?
}
