use std::time::{Duration, Instant};

use anyhow::Result;
use mesh_bus::{Bus, Flow, Publish, Stored};

use crate::support::{World, agents, body, next, task};

async fn publish(world: &World, publish: Publish) -> Result<Stored> {
    loop {
        match world.bus.publish(publish.clone()).await {
            Err(error) if error.is_retryable() => tokio::task::yield_now().await,
            result => return Ok(result?),
        }
    }
}

#[tokio::test]
async fn a_server_that_stands_still_does_not_block_an_acknowledgement() -> Result<()> {
    let world = World::new().await?;
    let mut tasks = world.bus.consume(&agents(), Flow::Continuous(4)).await?;
    publish(&world, task(0)).await?;
    let delivery = next(&mut tasks).await?;
    world.server.stop_signal()?;
    let begun = Instant::now();
    delivery.acker.ack().await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    world.server.cont()?;
    publish(&world, task(1)).await?;
    assert_eq!(body(&next(&mut tasks).await?), "1");
    Ok(())
}
