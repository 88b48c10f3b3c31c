//! Data that is too large for an event to carry: kept as an object of the run, which the event refers to.
//!
//! Writers call [`publish_event`], which costs nothing for an event that is small; readers look for
//! [`Envelope::dataref`] and [`fetch`] what is there, or have the [`whole`] event.

use bytes::Bytes;
use mesh_schemas::{
    DataRef, Decoded, Envelope, EnvelopeError, MAX_DATA_BYTES, Message, Namespace, ObjectOwner, RunId,
    StoredMessage,
};
use serde_json::Value;
use tracing::debug;

use crate::bus::{Bus, Publish, Stored};
use crate::error::{BusError, PublishError};

/// Why the data that an event refers to cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReferenceError {
    /// It is not there, damaged, no JSON or too large, and will be so next time.
    #[error("{0}")]
    Lost(String),
    /// It could not be looked for: try again.
    #[error(transparent)]
    Bus(BusError),
}

/// Stores an event of a run, or the request for one. What is too large for the event to carry is stored first, as an
/// object of the run: if this process dies in between, the object goes with the run.
///
/// The event carries its data all the same, as far as servers take it, where this user may not write objects or there is no
/// bucket for them yet.
///
/// # Errors
/// As [`Bus::publish`]; [`PublishError::TooLarge`] also if the data is larger than [`MAX_DATA_BYTES`].
pub async fn publish_event(bus: &dyn Bus, run: &RunId, publish: &Publish) -> Result<Stored, PublishError> {
    let mut publish = publish.clone();
    if publish.message.payload.len() > bus.max_inline() {
        // Boxed, as it is large and rare.
        publish.message = Box::pin(by_reference(bus, run, publish.message)).await?;
    }
    bus.publish(publish).await
}

/// The event with a reference in place of what may be kept elsewhere.
async fn by_reference(bus: &dyn Bus, run: &RunId, message: Message) -> Result<Message, PublishError> {
    let Ok(Decoded::Event(mut event)) = Envelope::decode(&message.headers, &message.payload) else {
        return Ok(message);
    };
    let Some(part) = event.large_part() else { return Ok(message) };
    let Some(content) = event.take_large(part) else { return Ok(message) };
    let content = Bytes::from(content.to_string());
    if content.len() > MAX_DATA_BYTES {
        let error = format!("{} bytes of JSON, and at most {MAX_DATA_BYTES} are allowed", content.len());
        return Err(PublishError::TooLarge(error));
    }
    let object = match bus.put_object(&ObjectOwner::Run(*run), content).await {
        Ok(object) => object,
        Err(error) if error.is_retryable() => return Err(PublishError::Retry(error.to_string())),
        Err(error) => {
            debug!(subject = message.subject, %error, "no object can be written: the event carries its data");
            return Ok(message);
        }
    };
    let member = part.member().map(ToOwned::to_owned);
    event.refer(&DataRef { bucket: bus.namespace().object_bucket(), object, member });
    encode(&event, &message).map_err(|error| PublishError::Refused(error.to_string()))
}

/// What an event refers to, and its length as JSON.
///
/// # Errors
/// [`ReferenceError::Lost`] by the word of whoever must know; a bus that does not answer is the other error.
pub async fn fetch(bus: &dyn Bus, reference: &DataRef) -> Result<(Value, usize), ReferenceError> {
    let name = &reference.object;
    let lost = |error: String| Err(ReferenceError::Lost(error));
    let content = match bus.object(name).await {
        Ok(Some(content)) => content,
        Ok(None) => return lost(format!("object {name} is not there")),
        Err(error @ BusError::Damaged { .. }) => return lost(error.to_string()),
        Err(error) => return Err(ReferenceError::Bus(error)),
    };
    if content.len() > MAX_DATA_BYTES {
        return lost(format!("object {name} has {} bytes, and data at most {MAX_DATA_BYTES}", content.len()));
    }
    match serde_json::from_slice(&content) {
        Ok(value) => Ok((value, content.len())),
        Err(error) => lost(format!("object {name} is not JSON: {error}")),
    }
}

/// An event as if it carried its data itself; any other message as it is.
///
/// # Errors
/// [`ReferenceError`]; also [`ReferenceError::Lost`] if it refers to nowhere that the mesh reads.
pub async fn whole(bus: &dyn Bus, stored: StoredMessage) -> Result<StoredMessage, ReferenceError> {
    let Ok(Decoded::Event(mut event)) = Envelope::decode(&stored.message.headers, &stored.message.payload)
    else {
        return Ok(stored);
    };
    let lost = |error: EnvelopeError| ReferenceError::Lost(error.to_string());
    let Some(reference) = event.dataref(bus.namespace()).map_err(lost)? else { return Ok(stored) };
    let (content, _) = fetch(bus, &reference).await?;
    event.put_large(&reference, content).map_err(lost)?;
    let message = encode(&event, &stored.message).map_err(lost)?;
    Ok(StoredMessage { message, ..stored })
}

/// An event with null in place of what it refers to, for those who can do without; any other message as it is.
#[must_use]
pub fn without_large(namespace: &Namespace, stored: &StoredMessage) -> StoredMessage {
    let without = || {
        let Ok(Decoded::Event(mut event)) =
            Envelope::decode(&stored.message.headers, &stored.message.payload)
        else {
            return None;
        };
        let reference = event.dataref(namespace).ok().flatten()?;
        event.put_large(&reference, Value::Null).ok()?;
        let message = encode(&event, &stored.message).ok()?;
        Some(StoredMessage { message, ..stored.clone() })
    };
    without().unwrap_or_else(|| stored.clone())
}

/// The message with another event in it, in structured mode.
fn encode(event: &Envelope, message: &Message) -> Result<Message, EnvelopeError> {
    let (mut headers, body) = event.encode()?;
    for (name, value) in message.headers.iter().filter(|(name, _)| !is_of_event(name)) {
        headers.append(name.to_owned(), value.to_owned());
    }
    Ok(Message { subject: message.subject.clone(), headers, payload: Bytes::from(body) })
}

/// Whether a header tells of the event in the message: what it says stands in the structured event itself.
fn is_of_event(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower == mesh_schemas::CONTENT_TYPE || lower.starts_with("ce-")
}

#[cfg(test)]
mod tests {
    use mesh_schemas::{CONTENT_TYPE, DEFAULT_MAX_INLINE, Subject, TaskVerb};
    use serde_json::json;

    use super::*;
    use crate::memory::MemoryServer;
    use crate::topology::{Stream, Topology};

    const RUN: &str = "0.6ba7b810-9dad-11d1-80b4-00c04fd430c8";

    fn run() -> RunId {
        RUN.parse().expect("a run")
    }

    /// An outcome whose body has so many bytes.
    fn outcome(bytes: usize) -> Publish {
        let subject = format!("mesh.task.completed.risk.normal.{RUN}.t.1");
        let message = |length: usize| {
            let data = json!({"output": "x".repeat(length), "agent": "a"});
            let (mut headers, body) =
                Envelope::new(&subject, "/test", "task.completed", data).encode().expect("an event");
            headers.append("traceparent", "00");
            Message { subject: subject.clone(), headers, payload: body.into() }
        };
        let overhead = message(0).payload.len();
        Publish::once(message(bytes - overhead))
    }

    #[tokio::test]
    async fn the_limit_is_what_the_body_of_an_event_may_have() {
        let bus = MemoryServer::new(Namespace::default()).connect();
        bus.set_up(&Topology::default()).await.expect("set up");
        for (bytes, objects) in [(DEFAULT_MAX_INLINE, 0), (DEFAULT_MAX_INLINE + 1, 1)] {
            let mut publish = outcome(bytes);
            publish.message.subject = publish.message.subject.replace(".t.1", &format!(".t{objects}.1"));
            let sent = publish.message.clone();
            publish_event(&*bus, &run(), &publish).await.expect("stored");
            assert_eq!(bus.objects().await.expect("listed").len(), objects);
            let stored = bus.last(Stream::Events, &sent.subject).await.expect("read").expect("stored");
            assert_eq!(stored.message == sent, objects == 0, "a small event is sent as it is");
            let whole = whole(&*bus, stored.clone()).await.expect("all is there").message;
            assert_eq!(whole.payload, sent.payload);
            assert_eq!(whole.headers.get("traceparent"), Some("00"));
            assert_eq!(whole.headers.get(CONTENT_TYPE), sent.headers.get(CONTENT_TYPE));
            assert!(stored.message.payload.len() <= DEFAULT_MAX_INLINE);
        }
        let subject = Subject::parse(bus.namespace(), &outcome(1_000).message.subject);
        assert!(matches!(subject, Ok(Subject::Task { verb: TaskVerb::Completed, .. })));
    }

    #[tokio::test]
    async fn what_is_larger_than_any_data_may_be_is_refused_and_a_missing_object_is_lost() {
        let bus = MemoryServer::new(Namespace::default()).connect();
        let large = outcome(MAX_DATA_BYTES + 1_000);
        // Without a bucket the event carries its data itself, as far as the server takes it.
        let refused = publish_event(&*bus, &run(), &outcome(100_000)).await;
        assert!(matches!(refused, Err(PublishError::Refused(_))), "no stream: {refused:?}");
        bus.set_up(&Topology::default()).await.expect("set up");
        let refused = publish_event(&*bus, &run(), &large).await;
        assert!(matches!(refused, Err(PublishError::TooLarge(_))), "{refused:?}");
        publish_event(&*bus, &run(), &outcome(100_000)).await.expect("stored");
        let subject = outcome(1_000).message.subject;
        let stored = bus.last(Stream::Events, &subject).await.expect("read").expect("stored");
        bus.remove_objects(&ObjectOwner::Run(run())).await.expect("removed");
        let lost = whole(&*bus, stored).await;
        assert!(
            matches!(&lost, Err(ReferenceError::Lost(error)) if error.contains("is not there")),
            "{lost:?}"
        );
    }
}
