//! Between the client's types and ours: headers, messages out of streams, acknowledgement subjects.

use std::str::FromStr as _;

use async_nats::{HeaderMap, HeaderName, HeaderValue, Subject};
use chrono::{DateTime, Utc};
use mesh_schemas::{CONTENT_TYPE, Headers, Message, STRUCTURED, StoredMessage, TraceContext};

/// Tells which pinning of a consumer a delivery belongs to.
pub(super) const PIN_ID: &str = "Nats-Pin-Id";

/// Store only if the last message on the subject is at this sequence; with 0, if it holds none.
pub(super) const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// Headers that the server adds when it hands out a stored message; they are no part of the message.
const ADDED_BY_SERVER: [&str; 8] = [
    PIN_ID,
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

/// Headers as the client takes them.
///
/// # Errors
/// Names the header that NATS cannot carry.
pub(super) fn to_nats(headers: &Headers) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        let error = || format!("header {name:?} has a character that NATS cannot carry");
        let key = match known(name) {
            Some(name) => HeaderName::from_static(name),
            None => HeaderName::from_str(name).map_err(|_| error())?,
        };
        map.append(key, HeaderValue::from_str(value).map_err(|_| error())?);
    }
    Ok(map)
}

/// The name, if it is one that most messages have.
fn known(name: &str) -> Option<&'static str> {
    let names =
        [CONTENT_TYPE, TraceContext::TRACEPARENT, TraceContext::TRACESTATE, EXPECTED_LAST_SUBJECT_SEQUENCE];
    names.into_iter().find(|known| *known == name)
}

/// A message as it passed by.
pub(super) fn from_nats(message: async_nats::Message) -> Message {
    let headers = from_headers(message.headers.as_ref(), |_| true);
    Message { subject: message.subject.into_string(), headers, payload: message.payload }
}

/// The message itself out of a delivery by a consumer or a direct get.
fn stored(
    subject: String,
    message: async_nats::Message,
    sequence: u64,
    time: DateTime<Utc>,
) -> StoredMessage {
    let headers = from_headers(message.headers.as_ref(), |name| !ADDED_BY_SERVER.contains(&name));
    StoredMessage { message: Message { subject, headers, payload: message.payload }, sequence, time }
}

/// The client keeps headers in a hash map: sorting them makes the order the same everywhere.
fn from_headers(map: Option<&HeaderMap>, keep: impl Fn(&str) -> bool) -> Headers {
    let mut headers = Headers::new();
    let all = map.into_iter().flat_map(HeaderMap::iter).filter(|(name, _)| keep(name.as_ref()));
    for (name, value) in all.flat_map(|(name, values)| values.iter().map(move |value| (name.as_ref(), value)))
    {
        match (known(name), value.as_str()) {
            (Some(CONTENT_TYPE), STRUCTURED) => headers.append(CONTENT_TYPE, STRUCTURED),
            (Some(name), value) => headers.append(name, value.to_owned()),
            (None, value) => headers.append(name.to_owned(), value.to_owned()),
        }
    }
    headers.sort();
    headers
}

/// The value of a header that the server wrote. The last one: a publisher may have sent the same name before.
pub(super) fn server_header<'a>(message: &'a async_nats::Message, name: &'static str) -> Option<&'a str> {
    message.headers.as_ref()?.get_last(HeaderName::from_static(name)).map(HeaderValue::as_str)
}

/// A number in a header that the server wrote.
pub(super) fn server_number(message: &async_nats::Message, name: &'static str) -> Option<u64> {
    server_header(message, name)?.parse().ok()
}

/// Reads an answer of the direct get API.
pub(super) fn from_direct_get(message: async_nats::Message) -> Option<StoredMessage> {
    let subject = server_header(&message, "Nats-Subject")?.to_owned();
    let sequence = server_number(&message, "Nats-Sequence")?;
    let time = server_header(&message, "Nats-Time-Stamp")?.parse().ok()?;
    Some(stored(subject, message, sequence, time))
}

/// A delivery by a consumer, with where its acknowledgement goes.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) stored: StoredMessage,
    pub(super) place: Place,
    pub(super) pin: Option<String>,
    pub(super) reply: Subject,
}

/// Reads a delivery; `None` if the message is not one.
pub(super) fn from_consumer(message: async_nats::Message) -> Option<Received> {
    let reply = message.reply.clone()?;
    let place = Place::parse(&reply)?;
    let pin = server_header(&message, PIN_ID).map(ToOwned::to_owned);
    let subject = message.subject.as_str().to_owned();
    Some(Received { stored: stored(subject, message, place.stream_sequence, place.time), place, pin, reply })
}

/// What the subject of an acknowledgement tells of a delivery: `$JS.ACK.…`, NATS ADR-15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) delivered: u64,
    pub(super) stream_sequence: u64,
    pub(super) consumer_sequence: u64,
    pub(super) time: DateTime<Utc>,
    /// How many messages the consumer had to deliver after this one.
    pub(super) pending: u64,
}

impl Place {
    pub(super) fn parse(reply: &str) -> Option<Self> {
        let tokens = reply.strip_prefix("$JS.ACK.")?;
        // Old form: stream, consumer and five numbers. New form: domain and account before, more behind.
        let before = match tokens.bytes().filter(|byte| *byte == b'.').count() + 1 {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = tokens.split('.').skip(before);
        Some(Self {
            delivered: numbers.next()?.parse().ok()?,
            stream_sequence: numbers.next()?.parse().ok()?,
            consumer_sequence: numbers.next()?.parse().ok()?,
            time: DateTime::from_timestamp_nanos(numbers.next()?.parse().ok()?),
            pending: numbers.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_ack_subject_are_read() {
        let place = Place {
            delivered: 2,
            stream_sequence: 100,
            consumer_sequence: 7,
            time: DateTime::from_timestamp_nanos(1_790_230_470_084_404_000),
            pending: 42,
        };
        let old = "$JS.ACK.EVENTS.relay.2.100.7.1790230470084404000.42";
        let new = "$JS.ACK._.hash.EVENTS.relay.2.100.7.1790230470084404000.42.token";
        assert_eq!(Place::parse(old), Some(place));
        assert_eq!(Place::parse(new), Some(place));
        assert_eq!(Place::parse("$JS.ACK.EVENTS.relay.2"), None);
        assert_eq!(Place::parse("_INBOX.abc"), None);
    }

    #[test]
    fn a_header_that_would_break_the_protocol_is_refused() {
        assert!(to_nats(&Headers::new().with("a", "b\r\nc: d")).is_err());
        assert!(to_nats(&Headers::new().with("a:b", "c")).is_err());
        assert!(to_nats(&Headers::new().with("ce-id", "c")).is_ok());
    }
}
