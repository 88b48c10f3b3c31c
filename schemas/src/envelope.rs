//! The CloudEvents 1.0 envelope: read in structured and binary mode and as bare JSON, written structured.

mod attributes;
mod binary;
mod config;
mod frame;
mod quick;
mod rerun;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::message::{CONTENT_TYPE, Headers};
use crate::trace::TraceContext;

pub use binary::{percent_decode, percent_encode};
pub use frame::Frame;
pub use quick::Attributes;

/// Content type of an event in structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";
/// Content types that begin so mean structured mode, in one format or another.
const CLOUDEVENTS: &str = "application/cloudevents";
/// What the schemas of the mesh begin with; the type and the major version of the schema follow.
const SCHEMA: &str = "urn:mesh:schema:";
/// Major version of the schemas that this mesh writes, and the newest that it reads.
pub const SCHEMA_VERSION: u32 = 1;
/// The only version of CloudEvents there is.
const SPEC_VERSION: &str = "1.0";

/// A payload that cannot be read as an event. Reading it again does not help.
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
    /// The data is elsewhere, and cannot be had from there.
    #[error("dataref: {0}")]
    DataRef(String),
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
#[derive(Debug, Clone, PartialEq, JsonSchema)]
pub struct Envelope {
    /// Version of CloudEvents: `1.0`.
    #[schemars(extend("const" = SPEC_VERSION))]
    pub specversion: String,
    /// Unique for a `source`; for events of the mesh, the subject as published.
    #[schemars(length(min = 1))]
    pub id: String,
    /// Who made the event, as a URI reference.
    #[schemars(length(min = 1))]
    pub source: String,
    /// What happened; for events of the mesh, the first words of the subject.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub type_: String,
    /// What the event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub subject: Option<String>,
    /// When it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<DateTime<Utc>>,
    /// Media type of `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub datacontenttype: Option<String>,
    /// Which schema `data` follows: `urn:mesh:schema:<type>:<major>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub dataschema: Option<String>,
    /// Extension: what the requester calls the whole piece of work; the run id if it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub correlationid: Option<String>,
    /// Extension: the id of the event that caused this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub causationid: Option<String>,
    /// Extension (Distributed Tracing): the trace that the work began in; it does not change from hop to hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub traceparent: Option<String>,
    /// Extension (Distributed Tracing): goes with `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub tracestate: Option<String>,
    /// Every other extension attribute: names of `a`–`z` and `0`–`9`, values that are strings, integers or booleans.
    /// `dataref` says where data is that the event does not carry: `nats-object:<bucket>/<object>`, with `#/<member>` behind
    /// it if it is that member of `data`.
    #[serde(flatten)]
    #[schemars(with = "BTreeMap<String, attributes::Extension>")]
    pub extensions: BTreeMap<String, Value>,
    /// The payload.
    #[serde(default)]
    pub data: Value,
}

impl Envelope {
    /// An event of a type with JSON data; the other attributes are set on the fields.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        source: impl Into<String>,
        type_: impl Into<String>,
        data: Value,
    ) -> Self {
        let type_ = type_.into();
        Self {
            specversion: SPEC_VERSION.to_owned(),
            id: id.into(),
            source: source.into(),
            dataschema: Some(format!("{SCHEMA}{type_}:{SCHEMA_VERSION}")),
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

    /// Reads a payload as a CloudEvent in structured or binary mode, or as bare JSON, whose ids come from the
    /// subject.
    ///
    /// A message with a `ce-` attribute that every event has is in binary mode, whatever its content type: a dead
    /// letter keeps the content type of the message in it.
    ///
    /// # Errors
    /// [`EnvelopeError`] says what is wrong; none of them can be mended by reading again.
    pub fn decode(headers: &Headers, payload: &[u8]) -> Result<Decoded, EnvelopeError> {
        if let Some((event, data)) = quick::read(headers, payload) {
            return Ok(Decoded::Event(event.with(data)));
        }
        if binary::is_binary(headers) {
            return binary::read(headers, payload).map(Decoded::Event);
        }
        let declared =
            headers.get(CONTENT_TYPE).map(media_type).filter(|media| starts_with(media, CLOUDEVENTS));
        if let Some(media) = declared
            && !media.eq_ignore_ascii_case(STRUCTURED)
            && !media.eq_ignore_ascii_case(CLOUDEVENTS)
        {
            return Err(EnvelopeError::ContentType(media.to_owned()));
        }
        match json(payload)? {
            Value::Object(event) if declared.is_some() || is_event(&event) => {
                attributes::read(event).map(Decoded::Event)
            }
            _ if declared.is_some() => Err(EnvelopeError::NotCloudEvent("it is not an object".to_owned())),
            bare => Ok(Decoded::Bare(bare)),
        }
    }

    /// The headers and body of the event in structured mode.
    ///
    /// # Errors
    /// [`EnvelopeError::NotCloudEvent`] if an attribute is not allowed, such as an empty id.
    pub fn encode(&self) -> Result<(Headers, Vec<u8>), EnvelopeError> {
        attributes::check(self)?;
        let body = serde_json::to_vec(self);
        let body = body.map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
        Ok((Headers::new().with(CONTENT_TYPE, STRUCTURED), body))
    }

    /// Reads an event in structured mode that carries its data itself, of a type, and of no newer schema than ours, all in one
    /// go: its attributes, and the data. `None` for everything else, also for what is no event, or has any
    /// extension: see [`Envelope::decode`].
    #[must_use]
    pub fn decode_with<'a, T: serde::de::DeserializeOwned>(
        headers: &Headers,
        payload: &'a [u8],
    ) -> Option<(Attributes<'a>, T)> {
        quick::read(headers, payload).filter(|(event, _)| event.are_plain())
    }

    /// The data as the payload type that belongs to the event's type.
    ///
    /// # Errors
    /// [`EnvelopeError::Data`] names the type and what does not fit.
    pub fn data<T: serde::de::DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        T::deserialize(&self.data)
            .map_err(|error| EnvelopeError::Data { type_: self.type_.clone(), error: error.to_string() })
    }

    /// The schema that the data follows, with its major version, if it is one of the mesh.
    #[must_use]
    pub fn mesh_schema(&self) -> Option<(&str, u32)> {
        attributes::mesh_schema(self.dataschema.as_deref()?)
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
        binary::headers(self)
    }
}

impl<'de> Deserialize<'de> for Envelope {
    /// Reads an event in structured mode, by the same rules as [`Envelope::decode`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        attributes::read(Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What a payload was read as.
#[allow(clippy::large_enum_variant, reason = "an event is the usual case, and few are held at once")]
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

/// Whether an object that nobody declared to be a CloudEvent is one. An event whose version is not a string is
/// still an event, and wrong; a bare payload may use the one word `specversion` for something of its own.
fn is_event(object: &Map<String, Value>) -> bool {
    object.get("specversion").is_some_and(|version| {
        version.is_string() || ["id", "source", "type"].iter().all(|name| object.contains_key(*name))
    })
}

fn json(bytes: &[u8]) -> Result<Value, EnvelopeError> {
    serde_json::from_slice(bytes).map_err(|error| EnvelopeError::NotJson(error.to_string()))
}

/// The media type without its parameters.
fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_json(media_type: &str) -> bool {
    let ends_in_json = media_type.len().checked_sub("+json".len()).and_then(|at| media_type.get(at..));
    ["application/json", "text/json"].iter().any(|json| media_type.eq_ignore_ascii_case(json))
        || ends_in_json.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

#[cfg(test)]
mod tests;
