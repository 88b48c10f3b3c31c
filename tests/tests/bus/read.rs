use anyhow::Result;
use mesh_bus::Bus;

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
