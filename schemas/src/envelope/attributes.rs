//! The rules of CloudEvents for attributes, for reading and for writing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::{Envelope, EnvelopeError, SCHEMA, SPEC_VERSION, is_json, json, media_type};

/// Attributes that are texts and fields of [`Envelope`].
pub(super) const TEXTS: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "datacontenttype",
    "dataschema",
    "correlationid",
    "causationid",
    "traceparent",
    "tracestate",
];

/// The other members of a structured event that are fields or stand for its data, and so no extensions.
const OTHERS: [&str; 3] = ["time", "data", "data_base64"];

/// How the value of an extension looks in JSON; null is the same as absent.
pub(super) struct Extension;

impl JsonSchema for Extension {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Extension".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean", "null"] })
    }
}

/// An event from the members of its JSON object.
pub(super) fn read(mut members: Map<String, Value>) -> Result<Envelope, EnvelopeError> {
    check_version(members.get("specversion"))?;
    let mut text = |name| take_text(&mut members, name);
    let mut event = Envelope {
        specversion: text("specversion")?.unwrap_or_default(),
        id: required("id", text("id")?)?,
        source: required("source", text("source")?)?,
        type_: required("type", text("type")?)?,
        subject: text("subject")?,
        time: text("time")?.as_deref().map(time).transpose()?,
        datacontenttype: text("datacontenttype")?,
        dataschema: text("dataschema")?,
        correlationid: text("correlationid")?,
        causationid: text("causationid")?,
        traceparent: text("traceparent")?,
        tracestate: text("tracestate")?,
        extensions: BTreeMap::new(),
        data: Value::Null,
    };
    check_content_type(event.datacontenttype.as_deref())?;
    event.data = take_data(&mut members)?;
    event.extensions = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
    event.extensions.iter().try_for_each(|(name, value)| check_extension(name, value))?;
    Ok(event)
}

/// Whether an event may be written: what [`read`] refuses is not sent either.
pub(super) fn check(event: &Envelope) -> Result<(), EnvelopeError> {
    let required = [("id", &*event.id), ("source", &*event.source), ("type", &*event.type_)];
    let texts = required.into_iter().chain(optional(event));
    check_all(&event.specversion, texts, event.datacontenttype.as_deref(), &event.extensions)
}

/// Whether the attributes that there are may be those of an event.
pub(super) fn check_all<'a>(
    specversion: &str,
    mut texts: impl Iterator<Item = (&'static str, &'a str)>,
    content_type: Option<&str>,
    extensions: &BTreeMap<String, Value>,
) -> Result<(), EnvelopeError> {
    if specversion != SPEC_VERSION {
        return Err(EnvelopeError::SpecVersion(specversion.to_owned()));
    }
    texts.try_for_each(|(name, value)| check_text(name, value))?;
    check_content_type(content_type)?;
    extensions.iter().try_for_each(|(name, value)| {
        if TEXTS.iter().chain(&OTHERS).any(|reserved| reserved == name) {
            return Err(not_event(format!("{name} is no extension")));
        }
        check_extension(name, value)
    })
}

/// The texts among the attributes that an event may have and has, by their names.
pub(super) fn optional(event: &Envelope) -> impl Iterator<Item = (&'static str, &str)> {
    let all = [
        ("subject", &event.subject),
        ("datacontenttype", &event.datacontenttype),
        ("dataschema", &event.dataschema),
        ("correlationid", &event.correlationid),
        ("causationid", &event.causationid),
        ("traceparent", &event.traceparent),
        ("tracestate", &event.tracestate),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
}

fn check_version(version: Option<&Value>) -> Result<(), EnvelopeError> {
    match version {
        Some(Value::String(version)) if version == SPEC_VERSION => Ok(()),
        Some(Value::String(version)) => Err(EnvelopeError::SpecVersion(version.clone())),
        Some(other) => Err(not_event(format!("specversion is {other}, and not the string \"1.0\""))),
        None => Err(not_event("specversion is missing".to_owned())),
    }
}

fn take_text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, EnvelopeError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => check_text(name, &text).map(|()| Some(text)),
        Some(_) => Err(not_event(format!("{name} is not a string"))),
    }
}

fn required(name: &str, value: Option<String>) -> Result<String, EnvelopeError> {
    value.ok_or_else(|| not_event(format!("{name} is missing")))
}

/// CloudEvents forbids empty strings and control characters. The latter also keeps the three parts of the name
/// that a run id is made of apart.
fn check_text(name: &str, text: &str) -> Result<(), EnvelopeError> {
    if text.is_empty() {
        Err(not_event(format!("{name} is empty")))
    } else if has_control(text) {
        Err(not_event(format!("{name} has a control character")))
    } else {
        Ok(())
    }
}

/// Almost all texts are ASCII, which needs no decoding, and have none: looking at every byte, many at a time, is quicker than
/// looking for the first.
fn has_control(text: &str) -> bool {
    let (control, other) = text.bytes().fold((false, false), |(control, other), byte| {
        (control | byte.is_ascii_control(), other | !byte.is_ascii())
    });
    control || (other && text.chars().any(char::is_control))
}

/// The schema of the mesh that a `dataschema` names, with its major version.
pub(super) fn mesh_schema(schema: &str) -> Option<(&str, u32)> {
    let (type_, version) = schema.strip_prefix(SCHEMA)?.rsplit_once(':')?;
    Some((type_, version.parse().ok()?))
}

pub(super) fn time(text: &str) -> Result<DateTime<Utc>, EnvelopeError> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|error| not_event(format!("time {text:?} is not as in RFC 3339: {error}")))
}

fn check_content_type(content_type: Option<&str>) -> Result<(), EnvelopeError> {
    match content_type {
        Some(given) if !is_json(media_type(given)) => Err(EnvelopeError::ContentType(given.to_owned())),
        _ => Ok(()),
    }
}

fn take_data(members: &mut Map<String, Value>) -> Result<Value, EnvelopeError> {
    let data = members.remove("data");
    match members.remove("data_base64") {
        None | Some(Value::Null) => Ok(data.unwrap_or_default()),
        Some(_) if data.is_some() => Err(not_event("it has data and data_base64".to_owned())),
        Some(Value::String(encoded)) => {
            let bytes = STANDARD
                .decode(encoded)
                .map_err(|error| not_event(format!("data_base64 is not Base64: {error}")))?;
            json(&bytes)
        }
        Some(_) => Err(not_event("data_base64 is not a string".to_owned())),
    }
}

fn check_extension(name: &str, value: &Value) -> Result<(), EnvelopeError> {
    if name.is_empty() || !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9')) {
        return Err(not_event(format!("attribute name {name:?} is not allowed: use a-z and 0-9")));
    }
    match value {
        Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Ok(()),
        _ => Err(not_event(format!("attribute {name} is not a string, an integer or a boolean"))),
    }
}

fn not_event(what: String) -> EnvelopeError {
    EnvelopeError::NotCloudEvent(what)
}
