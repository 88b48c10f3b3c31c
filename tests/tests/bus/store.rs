use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::join_all;
use mesh_bus::topology::{Stream, relay_consumer};
use mesh_bus::{Bus, Flow, Publish, PublishError, Stored};
use mesh_schemas::Headers;

use crate::support::{LONG, World, event, message, next, run};

#[tokio::test]
async fn a_fact_is_stored_once() -> Result<()> {
    let world = World::new().await?;
    let first = world.bus.publish(event(run(1), 1)).await?;
    assert!(matches!(first, Stored::Now(_)));
    assert_eq!(world.bus.publish(event(run(1), 1)).await?, Stored::Already);
    assert!(matches!(world.bus.publish(event(run(1), 2)).await?, Stored::Now(_)));
    Ok(())
}

#[tokio::test]
async fn one_of_many_writers_wins() -> Result<()> {
    let world = World::new().await?;
    let bus = &world.bus;
    let writers = (0..16).map(|_| async move {
        loop {
            match bus.publish(event(run(1), 1)).await {
                Err(error) if error.is_retryable() => tokio::task::yield_now().await,
                result => return result,
            }
        }
    });
    let stored = join_all(writers).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(stored.iter().filter(|stored| matches!(stored, Stored::Now(_))).count(), 1);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_stored_is_told_apart() -> Result<()> {
    let world = World::new().await?;
    let nowhere = world.bus.publish(Publish::plain(message("mesh.nowhere", ""))).await;
    assert!(matches!(nowhere, Err(PublishError::Refused(_))), "{nowhere:?}");
    // A shard that the namespace does not have.
    let shard = world.bus.publish(Publish::once(message("mesh.timer.fired.-.-.7.x.deadline", ""))).await;
    assert!(matches!(shard, Err(PublishError::Refused(_))), "{shard:?}");
    let mut large = event(run(1), 1);
    large.message.payload = Bytes::from(vec![b'x'; 2 * 1024 * 1024]);
    let large = world.bus.publish(large).await;
    assert!(matches!(large, Err(PublishError::TooLarge(_))), "{large:?}");
    let large = Publish::plain(message("mesh.workflow.requested.w", &"x".repeat(1_010 * 1024)));
    let large = world.bus.publish(large).await;
    assert!(matches!(large, Err(PublishError::TooLarge(_))), "{large:?}");
    let mut broken = event(run(1), 1);
    broken.message.headers = Headers::new().with("a", "b\r\nc");
    let broken = world.bus.publish(broken).await;
    assert!(matches!(broken, Err(PublishError::Refused(_))), "{broken:?}");
    Ok(())
}

#[tokio::test]
async fn a_schedule_appears_on_its_target_when_due() -> Result<()> {
    let world = World::new().await?;
    let (set, due) = (
        format!("mesh.timer.set.-.-.{}.deadline", run(1)),
        format!("mesh.timer.due.-.-.{}.deadline", run(1)),
    );
    let mut timer = message(&set, "{}");
    timer.headers = Headers::new().with("traceparent", "00-trace");
    let at = world.bus.now() + Duration::from_millis(500);
    world.bus.publish(Publish::at(timer.clone(), at + Duration::from_secs(3_600), due.clone())).await?;
    // Set again, it replaces the one before.
    world.bus.publish(Publish::at(timer, at, due.clone())).await?;
    let mut relay = world.bus.consume(&relay_consumer(world.bus.namespace()), Flow::Continuous(8)).await?;
    let delivery = next(&mut relay).await?;
    assert_eq!(delivery.stored.message.subject, due);
    assert_eq!(delivery.stored.message.headers.get("traceparent"), Some("00-trace"));
    assert!(delivery.stored.time >= at, "it came {} early", at - delivery.stored.time);
    delivery.acker.ack().await;
    assert_eq!(world.bus.last(Stream::Inbox, &set).await?, None, "a schedule is gone when it was due");
    Ok(())
}

#[tokio::test]
async fn a_schedule_can_be_taken_back() -> Result<()> {
    let world = World::new().await?;
    let set = format!("mesh.timer.set.-.-.{}.deadline", run(1));
    let due = format!("mesh.timer.due.-.-.{}.deadline", run(1));
    let at = world.bus.now() + LONG;
    world.bus.publish(Publish::at(message(&set, "{}"), at, due)).await?;
    let waiting = world.bus.last(Stream::Inbox, &set).await?.context("it waits")?;
    assert_eq!(waiting.message.subject, set);
    world.bus.unschedule(&set).await?;
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let gone = async {
        while world.bus.last(Stream::Inbox, &set).await?.is_some() {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(LONG, gone).await.context("it still waits")??;
    // Taking back what is not there does no harm.
    world.bus.unschedule(&set).await?;
    Ok(())
}
