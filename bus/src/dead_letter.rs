use bytes::Bytes;
use chrono::SecondsFormat;
use mesh_schemas::{Decoded, Envelope, Headers, Message, StoredMessage};
use serde_json::Value;

use crate::bus::{Bus, Publish};
use crate::dead_end::DeadEnd;
use crate::error::PublishError;

/// Longest error text in a letter, in bytes: headers are for a glance, and count towards the size of a message.
const MAX_ERROR_BYTES: usize = 1024;
/// Type of the event that a letter is.
const TYPE: &str = "dead";
/// With this header the server stores a letter once, even if it is sent twice within its window of two minutes.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Before the attributes of a message that is an event in binary mode itself: the letter's own take their place.
const ORIGINAL: &str = "original-";

/// Puts a message that nobody can deal with aside, with the reason, on `<namespace>.dead.<stream>.<reason>`.
///
/// The letter is a CloudEvent in binary mode: its body is the message, byte by byte, its attributes are those of
/// [`mesh_schemas::payload::DeadLetter`], and the message's own headers stand beside them: [`original`] makes the
/// message of it again. Sending the letter again is safe. A message with a body or headers so large that the letter would
/// not fit is left where it is, and the letter refers to it with `dataref`. Returns how much of the message is in the
/// letter. Acknowledge the message after this, not before.
///
/// # Errors
/// [`PublishError`]; after a retryable one the message must not be acknowledged.
pub async fn dead_letter(
    bus: &dyn Bus,
    end: DeadEnd,
    stored: &StoredMessage,
    error: &str,
) -> Result<Content, PublishError> {
    for content in [Content::Whole, Content::Message] {
        match bus.publish(Publish::plain(letter(bus, end, stored, error, content))).await {
            Err(PublishError::TooLarge(_)) => {}
            stored => return stored.map(|_| content),
        }
    }
    let reference = letter(bus, end, stored, error, Content::Reference);
    bus.publish(Publish::plain(reference)).await.map(|_| Content::Reference)
}

/// How much of a message its letter repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Its body, its headers, and what its envelope says of its origin.
    Whole,
    /// Its body and its headers: what the envelope says may be as long as its sender likes, and stands in the body.
    Message,
    /// Nothing: the body, the headers or the envelope may be what is too large.
    Reference,
}

fn letter(bus: &dyn Bus, end: DeadEnd, stored: &StoredMessage, error: &str, content: Content) -> Message {
    let (namespace, from, reason) = (bus.namespace(), end.stream(), end.reason());
    let original = &stored.message;
    let id = format!("{}/{}", from.name(namespace), stored.sequence);
    let mut event = Envelope::new(&id, format!("/{namespace}"), TYPE, Value::Null);
    event.dataschema = None;
    event.subject = Some(original.subject.clone());
    event.time = Some(bus.now());
    let extensions = [
        ("stream", from.short_name().into()),
        ("sequence", stored.sequence.into()),
        ("storetime", stored.time.to_rfc3339_opts(SecondsFormat::Nanos, true).into()),
        ("reason", reason.as_str().into()),
        ("error", shorten(error).into()),
    ];
    event.extensions.extend(extensions.map(|(name, value): (_, Value)| (name.to_owned(), value)));
    let subject = format!("{namespace}.dead.{}.{reason}", from.short_name());
    if content == Content::Reference {
        let headers = event.binary_headers().with("ce-dataref", format!("nats:{id}")).with(MESSAGE_ID, id);
        return Message { subject, headers, payload: Bytes::new() };
    }
    event.datacontenttype = original.headers.get(mesh_schemas::CONTENT_TYPE).map(ToOwned::to_owned);
    if content == Content::Whole
        && let Ok(Decoded::Event(read)) = Envelope::decode(&original.headers, &original.payload)
    {
        event.correlationid = read.correlationid;
        event.causationid = read.causationid;
    }
    let mut headers = event.binary_headers();
    keep_own(&original.headers, &mut headers);
    headers.set(MESSAGE_ID, id);
    Message { subject, headers, payload: original.payload.clone() }
}

/// Adds the headers that are the message's own, and not those that steer the server.
fn keep_own(original: &Headers, letter: &mut Headers) {
    for (name, value) in original.iter() {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("ce-") {
            letter.append(format!("{ORIGINAL}{lower}"), value.to_owned());
        } else if !lower.starts_with("nats-") && letter.get(name).is_none() {
            letter.append(name.to_owned(), value.to_owned());
        }
    }
}

/// The message in a letter, with its own headers, to be sent again on `subject`, where it was found. Of a letter that only
/// refers to its message, the body is missing.
#[must_use]
pub fn original(letter: &Message, subject: String) -> Message {
    let mut headers = Headers::new();
    for (name, value) in letter.headers.iter() {
        let lower = name.to_ascii_lowercase();
        if let Some(attribute) = lower.strip_prefix(ORIGINAL).filter(|name| name.starts_with("ce-")) {
            headers.append(attribute.to_owned(), value.to_owned());
        } else if !lower.starts_with("nats-") && !lower.starts_with("ce-") {
            headers.append(name.to_owned(), value.to_owned());
        }
    }
    Message { subject, headers, payload: letter.payload.clone() }
}

/// The beginning of a text, cut between characters. Line breaks cannot stand in a header, but are encoded there.
fn shorten(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ERROR_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_between_characters() {
        assert_eq!(shorten("short"), "short");
        let long = format!("a{}", "ü".repeat(MAX_ERROR_BYTES));
        assert_eq!(shorten(&long).len(), MAX_ERROR_BYTES - 1);
    }

    #[test]
    fn headers_that_steer_the_server_are_not_repeated() {
        let original = Headers::new()
            .with("Nats-TTL", "1s")
            .with("CE-Id", "x")
            .with("content-type", "text/plain")
            .with("traceparent", "00");
        let mut letter = Headers::new().with("content-type", "text/plain");
        keep_own(&original, &mut letter);
        let own = Headers::new().with("content-type", "text/plain").with("original-ce-id", "x");
        assert_eq!(letter, own.with("traceparent", "00"));
        let message = Message { subject: String::new(), headers: letter, payload: Bytes::new() };
        let own =
            Headers::new().with("content-type", "text/plain").with("ce-id", "x").with("traceparent", "00");
        assert_eq!(super::original(&message, "s".to_owned()).headers, own);
    }
}
