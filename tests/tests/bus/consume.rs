use anyhow::Result;
use mesh_bus::{Bus, Flow};

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
