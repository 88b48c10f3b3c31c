//! The CloudEvents 1.0 envelope: read in structured and binary mode and as bare JSON, written structured.

use std::collections::BTreeMap;

use base64::Engine as _;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{CONTENT_TYPE, Headers};
use crate::trace::TraceContext;

/// Content type of an event in structured mode.
const STRUCTURED: &str = "application/cloudevents+json";
/// The only version of CloudEvents there is.
const SPEC_VERSION: &str = "1.0";
/// Prefix of CloudEvents attributes in binary mode.
const BINARY_PREFIX: &str = "ce-";

/// A payload that cannot be read as an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The body is not JSON.
    #[error("the payload is not JSON: {0}")]
    NotJson(String),
    /// The JSON says that it is a CloudEvent, but it is not a valid one.
    #[error("the payload is not a CloudEvent: {0}")]
    NotCloudEvent(String),
    /// The event is of a version of CloudEvents that we do not know.
    #[error("CloudEvents specversion {0:?} is not supported: use \"1.0\"")]
    SpecVersion(String),
    /// The data is in a form that we do not read.
    #[error("datacontenttype {0:?} is not supported: send JSON")]
    ContentType(String),
    /// `data` does not have the form that the event's type asks for.
    #[error("the data of {type_} is wrong: {error}")]
    Data {
        /// Type of the event.
        type_: String,
        /// What is wrong, from the JSON reader.
        error: String,
    },
}

/// A CloudEvent. Field names are those of the specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Version of CloudEvents: `1.0`.
    pub specversion: String,
    /// Unique for a `source`; for events of the mesh, the subject as published.
    pub id: String,
    /// Who made the event, as a URI reference.
    pub source: String,
    /// What happened; for events of the mesh, the first words of the subject.
    #[serde(rename = "type")]
    pub type_: String,
    /// What the event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
    /// Media type of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// Which schema `data` follows: `urn:mesh:schema:<type>:<major>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// Extension: what the requester calls the whole piece of work; the run id if it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlationid: Option<String>,
    /// Extension: the id of the event that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causationid: Option<String>,
    /// Extension (Distributed Tracing): the trace that the work began in; it does not change from hop to hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Extension (Distributed Tracing): goes with `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// Every other extension attribute.
    #[serde(flatten)]
    pub extensions: BTreeMap<String, Value>,
    /// The payload.
    #[serde(default)]
    pub data: Value,
}

impl Envelope {
    /// An event of a type with JSON data; the other attributes are set on the fields.
    #[must_use]
    pub fn new(id: impl Into<String>, source: impl Into<String>, type_: impl Into<String>, data: Value) -> Self {
        let type_ = type_.into();
        Self {
            specversion: SPEC_VERSION.to_owned(),
            id: id.into(),
            source: source.into(),
            dataschema: Some(format!("urn:mesh:schema:{type_}:1")),
            type_,
            subject: None,
            time: None,
            datacontenttype: Some("application/json".to_owned()),
            correlationid: None,
            causationid: None,
            traceparent: None,
            tracestate: None,
            extensions: BTreeMap::new(),
            data,
        }
    }

    /// Reads a payload as a CloudEvent in structured or binary mode; `None` if it is bare JSON, whose ids come
    /// from the subject.
    ///
    /// # Errors
    /// [`EnvelopeError`] says what is wrong; none of them can be mended by reading again.
    pub fn decode(headers: &Headers, payload: &[u8]) -> Result<Decoded, EnvelopeError> {
        if headers.get("ce-specversion").is_some() {
            return Self::decode_binary(headers, payload).map(Decoded::Event);
        }
        let value: Value =
            serde_json::from_slice(payload).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
        let declared = headers.get(CONTENT_TYPE).is_some_and(|value| media_type(value) == STRUCTURED);
        if declared || value.get("specversion").is_some_and(Value::is_string) {
            Self::decode_structured(value).map(Decoded::Event)
        } else {
            Ok(Decoded::Bare(value))
        }
    }

    /// The headers and body of the event in structured mode.
    ///
    /// # Errors
    /// [`EnvelopeError::NotJson`] if the data cannot be written as JSON, which no data built from JSON can cause.
    pub fn encode(&self) -> Result<(Headers, Vec<u8>), EnvelopeError> {
        let body = serde_json::to_vec(self).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
        Ok((Headers::new().with(CONTENT_TYPE, STRUCTURED), body))
    }

    /// The data as the payload type that belongs to the event's type.
    ///
    /// # Errors
    /// [`EnvelopeError::Data`] names the type and what does not fit.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        T::deserialize(&self.data)
            .map_err(|error| EnvelopeError::Data { type_: self.type_.clone(), error: error.to_string() })
    }

    /// The trace that the work began in.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::new(self.traceparent.as_deref()?, self.tracestate.as_deref())
    }

    /// Writes the trace that the work began in.
    pub fn set_trace(&mut self, trace: Option<&TraceContext>) {
        self.traceparent = trace.map(|trace| trace.traceparent.clone());
        self.tracestate = trace.and_then(|trace| trace.tracestate.clone());
    }

    /// Headers of binary mode for this event; the body is then the data alone, in any media type.
    #[must_use]
    pub fn binary_headers(&self) -> Headers {
        let mut headers = Headers::new();
        let mut set = |name: &str, value: &str| headers.set(format!("{BINARY_PREFIX}{name}"), percent_encode(value));
        set("specversion", &self.specversion);
        set("id", &self.id);
        set("source", &self.source);
        set("type", &self.type_);
        let time = self.time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        let optional = [
            ("subject", &self.subject),
            ("time", &time),
            ("dataschema", &self.dataschema),
            ("correlationid", &self.correlationid),
            ("causationid", &self.causationid),
            ("traceparent", &self.traceparent),
            ("tracestate", &self.tracestate),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                set(name, value);
            }
        }
        for (name, value) in &self.extensions {
            match value {
                Value::String(text) => set(name, text),
                other => set(name, &other.to_string()),
            }
        }
        if let Some(datacontenttype) = &self.datacontenttype {
            headers.set(CONTENT_TYPE, datacontenttype);
        }
        headers
    }

    fn decode_structured(mut value: Value) -> Result<Self, EnvelopeError> {
        let not_event = |error: &str| EnvelopeError::NotCloudEvent(error.to_owned());
        let attributes = value.as_object_mut().ok_or_else(|| not_event("it is not an object"))?;
        let version = attributes.get("specversion").and_then(Value::as_str).unwrap_or_default();
        if version != SPEC_VERSION {
            return Err(EnvelopeError::SpecVersion(version.to_owned()));
        }
        if let Some(encoded) = attributes.remove("data_base64") {
            let bytes = encoded
                .as_str()
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok())
                .ok_or_else(|| not_event("data_base64 is not Base64"))?;
            let data = serde_json::from_slice(&bytes).map_err(|e| EnvelopeError::NotJson(e.to_string()))?;
            attributes.insert("data".to_owned(), data);
        }
        let event: Self = serde_json::from_value(value).map_err(|error| not_event(&error.to_string()))?;
        event.check()
    }

    fn decode_binary(headers: &Headers, payload: &[u8]) -> Result<Self, EnvelopeError> {
        let mut attributes = serde_json::Map::new();
        for (name, value) in headers.iter() {
            let name = name.to_ascii_lowercase();
            if let Some(attribute) = name.strip_prefix(BINARY_PREFIX) {
                attributes.insert(attribute.to_owned(), Value::String(percent_decode(value)));
            }
        }
        let version = attributes.get("specversion").and_then(Value::as_str).unwrap_or_default();
        if version != SPEC_VERSION {
            return Err(EnvelopeError::SpecVersion(version.to_owned()));
        }
        if let Some(content_type) = headers.get(CONTENT_TYPE) {
            attributes.insert("datacontenttype".to_owned(), Value::String(content_type.to_owned()));
        }
        let mut event: Self = serde_json::from_value(Value::Object(attributes))
            .map_err(|error| EnvelopeError::NotCloudEvent(error.to_string()))?;
        event = event.check()?;
        if !payload.is_empty() {
            event.data =
                serde_json::from_slice(payload).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
        }
        Ok(event)
    }

    fn check(self) -> Result<Self, EnvelopeError> {
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.type_)] {
            if value.is_empty() {
                return Err(EnvelopeError::NotCloudEvent(format!("{name} is empty")));
            }
        }
        match &self.datacontenttype {
            Some(given) if !is_json(media_type(given)) => Err(EnvelopeError::ContentType(given.clone())),
            _ => Ok(self),
        }
    }
}

/// What a payload was read as.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// A CloudEvent.
    Event(Envelope),
    /// JSON without an envelope.
    Bare(Value),
}

impl Decoded {
    /// The data, with or without an envelope around it.
    #[must_use]
    pub fn data(&self) -> &Value {
        match self {
            Self::Event(event) => &event.data,
            Self::Bare(value) => value,
        }
    }

    /// The envelope, if there is one.
    #[must_use]
    pub fn envelope(&self) -> Option<&Envelope> {
        match self {
            Self::Event(event) => Some(event),
            Self::Bare(_) => None,
        }
    }
}

fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

/// Header values of binary mode: space, `"`, `%` and all that is not printable ASCII is percent-encoded as UTF-8.
fn percent_encode(value: &str) -> String {
    use std::fmt::Write as _;
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

fn percent_decode(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests;
