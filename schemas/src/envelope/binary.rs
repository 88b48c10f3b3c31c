//! Binary mode: attributes in headers, the body is the data.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use serde_json::{Map, Value};

use super::{Envelope, EnvelopeError, attributes, json};
use crate::message::{CONTENT_TYPE, Headers};

/// Prefix of CloudEvents attributes in headers.
const PREFIX: &str = "ce-";

/// Whether the headers are those of binary mode. One required attribute is enough: an event that lacks the others
/// is a wrong event, and not bare JSON.
pub(super) fn is_binary(headers: &Headers) -> bool {
    ["ce-specversion", "ce-id", "ce-source", "ce-type"].iter().any(|name| headers.get(name).is_some())
}

pub(super) fn read(headers: &Headers, payload: &[u8]) -> Result<Envelope, EnvelopeError> {
    let mut members = Map::new();
    for (name, value) in headers.iter() {
        let name = name.to_ascii_lowercase();
        if let Some(attribute) = name.strip_prefix(PREFIX) {
            if matches!(attribute, "data" | "data_base64") {
                return Err(EnvelopeError::NotCloudEvent(format!("{name} is no attribute")));
            }
            // Of several values the first counts, as in `Headers::get`.
            members.entry(attribute).or_insert_with(|| Value::String(percent_decode(value)));
        }
    }
    // The NATS binding has the data's media type in `ce-datacontenttype`, the others have it in the content type.
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        members.entry("datacontenttype").or_insert_with(|| Value::String(content_type.to_owned()));
    }
    let mut event = attributes::read(members)?;
    if !payload.is_empty() {
        event.data = json(payload)?;
    }
    Ok(event)
}

pub(super) fn headers(event: &Envelope) -> Headers {
    let mut headers = Headers::new();
    let mut set = |name: &str, value: &str| headers.set(format!("{PREFIX}{name}"), percent_encode(value));
    set("specversion", &event.specversion);
    set("id", &event.id);
    set("source", &event.source);
    set("type", &event.type_);
    if let Some(time) = event.time {
        set("time", &time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    attributes::optional(event).for_each(|(name, value)| set(name, value));
    for (name, value) in &event.extensions {
        match value {
            Value::String(text) => set(name, text),
            other => set(name, &other.to_string()),
        }
    }
    if let Some(datacontenttype) = &event.datacontenttype {
        headers.set(CONTENT_TYPE, datacontenttype.clone());
    }
    headers
}

/// What an event attribute looks like in a header, as the CloudEvents bindings have it: space, `"`, `%` and all that is
/// not printable ASCII is written as `%` and the hexadecimal digits of its UTF-8 bytes.
#[must_use]
pub fn percent_encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'!' | b'#'..=b'$' | b'&'..=b'~' => text.push(char::from(byte)),
            other => {
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

/// The opposite of [`percent_encode`]. A `%` without two hexadecimal digits stands for itself, and bytes that are
/// not UTF-8 become U+FFFD, as the HTTP binding asks.
#[must_use]
pub fn percent_decode(value: &str) -> String {
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match after {
            [high, low, after @ ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|pair| (pair, after)),
            _ => None,
        };
        match escaped {
            Some(((high, low), after)) => {
                decoded.push(high << 4 | low);
                rest = after;
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
