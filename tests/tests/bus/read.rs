use anyhow::Result;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Publish};
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
