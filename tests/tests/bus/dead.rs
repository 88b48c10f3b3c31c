use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Publish, Reason, dead_letter};
use mesh_schemas::StoredMessage;

use crate::support::{World, event, message, run};

async fn stored(world: &World, publish: Publish, stream: Stream) -> Result<StoredMessage> {
    let subject = publish.message.subject.clone();
    world.bus.publish(publish).await?;
    world.bus.last(stream, &subject).await?.context("it is stored")
}

#[tokio::test]
async fn a_dead_letter_is_the_message_with_the_reason() -> Result<()> {
    let world = World::new().await?;
    let mut garbage = event(run(1), 1);
    garbage.message.payload = vec![0xff, 0x00, b'{'].into();
    garbage.message.headers.set("traceparent", "00-trace");
    garbage.message.headers.set("content-type", "image/png");
    let original = stored(&world, garbage, Stream::Events).await?;
    for _ in 0..2 {
        let error = "not JSON:\nline 1, „garbage“";
        dead_letter(world.bus.as_ref(), Stream::Events, &original, Reason::Malformed, error).await?;
    }
    let letter = world.bus.last(Stream::Dead, "mesh.dead.events.malformed").await?.context("a letter")?;
    assert_eq!(letter.sequence, 1, "sent twice, it is stored once");
    assert_eq!(letter.message.payload, original.message.payload);
    let header = |name: &str| letter.message.headers.get(name).unwrap_or_default().to_owned();
    assert_eq!(header("ce-specversion"), "1.0");
    assert_eq!(header("ce-type"), "dead");
    assert_eq!(header("ce-id"), "MESH_EVENTS/1");
    assert_eq!(header("ce-source"), "/mesh");
    assert_eq!(header("ce-subject"), original.message.subject);
    assert_eq!(header("ce-reason"), "malformed");
    assert_eq!(header("ce-sequence"), "1");
    assert_eq!(header("ce-stream"), "events");
    assert!(header("ce-error").starts_with("not%20JSON:%0Aline"), "{}", header("ce-error"));
    assert_eq!(header("traceparent"), "00-trace");
    assert_eq!(header("content-type"), "image/png");
    Ok(())
}

#[tokio::test]
async fn a_letter_says_which_work_an_event_belonged_to() -> Result<()> {
    let world = World::new().await?;
    let request =
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","correlationid":"order-7","data":{}}"#;
    let request = Publish::plain(message("mesh.workflow.requested.w", request));
    let original = stored(&world, request, Stream::Inbox).await?;
    dead_letter(world.bus.as_ref(), Stream::Inbox, &original, Reason::UnknownType, "t").await?;
    let letter = world.bus.last(Stream::Dead, "mesh.dead.inbox.unknown_type").await?.context("a letter")?;
    assert_eq!(letter.message.headers.get("ce-correlationid"), Some("order-7"));
    Ok(())
}

#[tokio::test]
async fn a_letter_that_would_be_too_large_refers_to_the_message() -> Result<()> {
    let world = World::new().await?;
    let mut large = event(run(1), 1);
    large.message.payload = vec![b'x'; 1024 * 1024 - 100].into();
    let original = stored(&world, large, Stream::Events).await?;
    dead_letter(world.bus.as_ref(), Stream::Events, &original, Reason::Malformed, "no JSON").await?;
    let letter = world.bus.last(Stream::Dead, "mesh.dead.events.malformed").await?.context("a letter")?;
    assert_eq!(letter.message.headers.get("ce-dataref"), Some("nats:MESH_EVENTS/1"));
    assert!(letter.message.payload.is_empty());
    Ok(())
}
