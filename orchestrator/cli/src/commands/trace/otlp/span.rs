use chrono::{DateTime, Utc};
use mesh_schemas::SpanId;
use mesh_telemetry::names;
use serde::{Serialize, Serializer};

/// `SpanKind` of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SpanKind {
    Internal = 1,
    Producer = 4,
    Consumer = 5,
}

impl Serialize for SpanKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

/// `Span` of OTLP.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    pub(super) trace_id: String,
    #[serde(serialize_with = "as_text")]
    pub(super) span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_span_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_state: Option<String>,
    pub(super) name: String,
    pub(super) kind: SpanKind,
    #[serde(serialize_with = "as_nanos")]
    pub(super) start_time_unix_nano: DateTime<Utc>,
    #[serde(serialize_with = "as_nanos")]
    pub(super) end_time_unix_nano: DateTime<Utc>,
    pub(super) attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<SpanEvent>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) links: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
}

/// `Span.Event` of OTLP.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpanEvent {
    #[serde(serialize_with = "as_nanos")]
    pub(super) time_unix_nano: DateTime<Utc>,
    pub(super) name: String,
    pub(super) attributes: Vec<Attribute>,
}

/// `Span.Link` of OTLP.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Link {
    pub(super) trace_id: String,
    #[serde(serialize_with = "as_text")]
    pub(super) span_id: SpanId,
}

/// `Status` of OTLP.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// 2 is an error.
    code: u8,
    message: String,
}

/// `KeyValue` of OTLP.
#[derive(Debug, Serialize)]
pub(super) struct Attribute {
    key: &'static str,
    value: AnyValue,
}

/// `AnyValue` of OTLP. Whole numbers are text, as 64 bits do not fit in a number of JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum AnyValue {
    StringValue(String),
    IntValue(String),
}

/// Attributes with texts as values.
pub(super) fn attributes<const N: usize>(pairs: [(&'static str, String); N]) -> Vec<Attribute> {
    pairs.map(|(key, value)| text(key, value)).into()
}

/// An attribute with a text as its value.
pub(super) fn text(key: &'static str, value: impl ToString) -> Attribute {
    Attribute { key, value: AnyValue::StringValue(value.to_string()) }
}

/// An attribute with a whole number as its value.
pub(super) fn number(key: &'static str, value: u64) -> Attribute {
    Attribute { key, value: AnyValue::IntValue(value.to_string()) }
}

impl Span {
    /// Says that it failed, and why.
    pub(super) fn fail(&mut self, at: DateTime<Utc>, code: &str, message: &str) {
        self.attributes.push(text(names::ERROR_TYPE, code));
        self.events.push(SpanEvent {
            time_unix_nano: at,
            name: names::EXCEPTION.to_owned(),
            attributes: attributes([
                (names::EXCEPTION_TYPE, code.to_owned()),
                (names::EXCEPTION_MESSAGE, message.to_owned()),
            ]),
        });
        self.status = Some(Status { code: 2, message: message.to_owned() });
    }
}

fn as_text<S: Serializer>(id: &SpanId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_nanos<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    // Until the year 2262, there are so many.
    serializer.collect_str(&time.timestamp_nanos_opt().unwrap_or_default())
}
