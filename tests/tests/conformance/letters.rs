//! Dead letters, and storing until it is done.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, DeadEnd, Persisted, Publish, Stored, dead_letter, persist};
use mesh_schemas::{MAX_CARRIED_BYTES, Message};

use crate::server::{Server, topology};
use crate::support::{event, message, run, soon, stored};

on_every_bus!(
    a_dead_letter_is_the_message_with_the_reason,
    a_letter_says_which_work_an_event_belonged_to,
    a_letter_that_would_be_too_large_refers_to_the_message,
    what_cannot_be_stored_yet_is_stored_when_it_can_be,
    what_can_never_be_stored_is_told,
);

async fn letter(bus: &dyn Bus, subject: &str) -> Result<mesh_schemas::StoredMessage> {
    bus.last(Stream::Dead, subject).await?.context("a letter")
}

async fn a_dead_letter_is_the_message_with_the_reason(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut garbage = event(run(1), 1);
    garbage.message.payload = vec![0xff, 0x00, b'{'].into();
    garbage.message.headers.set("traceparent", "00-trace");
    garbage.message.headers.set("content-type", "image/png");
    let original = stored(&*bus, Stream::Events, garbage).await?;
    for _ in 0..2 {
        let error = "not JSON:\nline 1, „garbage“";
        dead_letter(&*bus, DeadEnd::UnreadableFact, &original, error).await?;
    }
    let letter = letter(&*bus, "mesh.dead.events.malformed").await?;
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

async fn a_letter_says_which_work_an_event_belonged_to(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let request =
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","correlationid":"order-7","data":{}}"#;
    let request = Publish::plain(message("mesh.workflow.requested.w", request));
    let original = stored(&*bus, Stream::Inbox, request).await?;
    dead_letter(&*bus, DeadEnd::InboxType, &original, "t").await?;
    let letter = letter(&*bus, "mesh.dead.inbox.unknown_type").await?;
    assert_eq!(letter.message.headers.get("ce-correlationid"), Some("order-7"));
    Ok(())
}

async fn a_letter_that_would_be_too_large_refers_to_the_message(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut large = event(run(1), 1);
    large.message.payload = vec![b'x'; 1024 * 1024 - 100].into();
    let original = stored(&*bus, Stream::Events, large).await?;
    dead_letter(&*bus, DeadEnd::UnreadableFact, &original, "no JSON").await?;
    let letter = letter(&*bus, "mesh.dead.events.malformed").await?;
    assert_eq!(letter.message.headers.get("ce-dataref"), Some("nats:MESH_EVENTS/1"));
    assert!(letter.message.payload.is_empty());
    Ok(())
}

async fn what_cannot_be_stored_yet_is_stored_when_it_can_be(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.connect().await?, server.connect().await?);
    let tries = Arc::new(tokio::sync::Semaphore::new(0));
    let storing = tokio::spawn({
        let tries = Arc::clone(&tries);
        async move {
            let publish = || {
                tries.add_permits(1);
                bus.publish(event(run(1), 1))
            };
            persist(|| false, publish).await
        }
    });
    // Refused at least once: the namespace is not there.
    soon("a second try", tries.acquire_many(2)).await??.forget();
    other.set_up(&topology(2)).await?;
    assert_eq!(soon("the end", storing).await??, Persisted::Stored(Stored::Now(1)));
    Ok(())
}

async fn what_can_never_be_stored_is_told(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let fact = event(run(1), 1);
    let large = Message { payload: vec![b'x'; 2 * MAX_CARRIED_BYTES].into(), ..fact.message.clone() };
    let told = soon("the end", persist(|| false, || bus.publish(Publish::once(large.clone())))).await?;
    assert!(matches!(told, Persisted::TooLarge(_)), "{told:?}");
    for stored in [Stored::Now(1), Stored::Already] {
        let told = soon("the end", persist(|| false, || bus.publish(fact.clone()))).await?;
        assert_eq!(told, Persisted::Stored(stored));
    }
    // A fact that cannot be told from another: nobody is told, until it is nobody's any more.
    let other = Publish::plain(fact.message);
    let tries = Cell::new(0);
    let publish = || {
        tries.set(tries.get() + 1);
        bus.publish(other.clone())
    };
    let told = soon("the end", persist(|| tries.get() == 3, publish)).await?;
    assert_eq!((told, tries.get()), (Persisted::GivenUp, 3));
    Ok(())
}
