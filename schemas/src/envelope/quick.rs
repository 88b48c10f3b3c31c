//! Events as almost all of them are: structured, with every attribute once and data. They are read and written in one go,
//! without a tree of values in between; whatever is otherwise is read the general way.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::Deserializer as _;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::attributes::{self, TEXTS};
use super::{Envelope, SCHEMA_VERSION, STRUCTURED};
use crate::message::{CONTENT_TYPE, Headers};
use crate::trace::TraceContext;

/// The attributes of an event as they stand in its message.
#[derive(Debug, Default)]
pub struct Attributes<'a> {
    texts: [Option<Cow<'a, str>>; TEXTS.len()],
    time: Option<DateTime<Utc>>,
    extensions: BTreeMap<String, Value>,
}

/// Those that are texts, in the order of [`attributes::TEXTS`].
#[derive(Debug, Clone, Copy)]
enum Text {
    Specversion,
    Id,
    Source,
    Type,
    Subject,
    Datacontenttype,
    Dataschema,
    Correlationid,
    Causationid,
    Traceparent,
    Tracestate,
}

impl Attributes<'_> {
    /// What the requester calls the whole piece of work.
    #[must_use]
    pub fn correlationid(&self) -> Option<&str> {
        self.text(Text::Correlationid)
    }

    /// The trace that the work began in.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::new(self.text(Text::Traceparent)?, self.text(Text::Tracestate))
    }

    fn text(&self, text: Text) -> Option<&str> {
        self.texts[text as usize].as_deref()
    }

    /// Whether they are those of an event: what is refused when it is written is no event either.
    fn are_valid(&self) -> bool {
        let texts = TEXTS.iter().zip(&self.texts).filter_map(|(name, text)| Some((*name, text.as_deref()?)));
        let has_all = [Text::Id, Text::Source, Text::Type].iter().all(|text| self.text(*text).is_some());
        let content_type = self.text(Text::Datacontenttype);
        let version = self.text(Text::Specversion).unwrap_or_default();
        has_all && attributes::check_all(version, texts, content_type, &self.extensions).is_ok()
    }

    /// Whether an event carries its data itself, and is of no newer schema than ours.
    pub(super) fn are_plain(&self) -> bool {
        let schema = self.text(Text::Dataschema).and_then(attributes::mesh_schema);
        // An extension may say that the data is elsewhere.
        self.extensions.is_empty() && schema.is_none_or(|(_, version)| version <= SCHEMA_VERSION)
    }

    /// The event with its data.
    pub(super) fn with(self, data: Value) -> Envelope {
        let mut texts = self.texts.map(|text| text.map(Cow::into_owned));
        let mut take = |text: Text| texts[text as usize].take();
        Envelope {
            specversion: take(Text::Specversion).unwrap_or_default(),
            id: take(Text::Id).unwrap_or_default(),
            source: take(Text::Source).unwrap_or_default(),
            type_: take(Text::Type).unwrap_or_default(),
            subject: take(Text::Subject),
            time: self.time,
            datacontenttype: take(Text::Datacontenttype),
            dataschema: take(Text::Dataschema),
            correlationid: take(Text::Correlationid),
            causationid: take(Text::Causationid),
            traceparent: take(Text::Traceparent),
            tracestate: take(Text::Tracestate),
            extensions: self.extensions,
            data,
        }
    }
}

/// Reads the attributes of an event, and its data; `None` for whatever is to be read the general way, and perhaps refused.
pub(super) fn read<'a, T: DeserializeOwned>(
    headers: &Headers,
    payload: &'a [u8],
) -> Option<(Attributes<'a>, T)> {
    let is_structured = |value: &str| value.eq_ignore_ascii_case(STRUCTURED);
    if !headers.get(CONTENT_TYPE).is_some_and(is_structured) || super::binary::is_binary(headers) {
        return None;
    }
    // Checked as a whole, which is quicker than text by text.
    let payload = std::str::from_utf8(payload).ok()?;
    let mut deserializer = serde_json::Deserializer::from_str(payload);
    let (event, data) = deserializer.deserialize_map(Members(PhantomData)).ok()?;
    deserializer.end().ok()?;
    Some((event, data?)).filter(|(event, _)| event.are_valid())
}

struct Members<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
    type Value = (Attributes<'de>, Option<T>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut event, mut data) = (Attributes::default(), None);
        while let Some(member) = members.next_key_seed(Name)? {
            let is_twice = match member {
                Member::Text(text) => {
                    event.texts[text as usize].replace(members.next_value_seed(Borrowed)?).is_some()
                }
                Member::Time => {
                    let time = attributes::time(&members.next_value_seed(Borrowed)?);
                    event.time.replace(time.map_err(A::Error::custom)?).is_some()
                }
                Member::Data => data.replace(members.next_value()?).is_some(),
                Member::Other(name) => event.extensions.insert(name, members.next_value()?).is_some(),
            };
            if is_twice {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok((event, data))
    }
}

/// A text, out of the message itself unless something in it is escaped.
struct Borrowed;

impl<'de> DeserializeSeed<'de> for Borrowed {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Borrowed {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

enum Member {
    Text(Text),
    Time,
    Data,
    Other(String),
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Member;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Member, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name of an attribute")
    }

    fn visit_str<E>(self, name: &str) -> Result<Member, E> {
        Ok(match name {
            "specversion" => Member::Text(Text::Specversion),
            "id" => Member::Text(Text::Id),
            "source" => Member::Text(Text::Source),
            "type" => Member::Text(Text::Type),
            "subject" => Member::Text(Text::Subject),
            "time" => Member::Time,
            "datacontenttype" => Member::Text(Text::Datacontenttype),
            "dataschema" => Member::Text(Text::Dataschema),
            "correlationid" => Member::Text(Text::Correlationid),
            "causationid" => Member::Text(Text::Causationid),
            "traceparent" => Member::Text(Text::Traceparent),
            "tracestate" => Member::Text(Text::Tracestate),
            "data" => Member::Data,
            other => Member::Other(other.to_owned()),
        })
    }
}

impl Serialize for Envelope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", &self.specversion)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("source", &self.source)?;
        map.serialize_entry("type", &self.type_)?;
        if let Some(time) = &self.time {
            map.serialize_entry("time", time)?;
        }
        attributes::optional(self).try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        for (name, value) in &self.extensions {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::envelope::SPEC_VERSION;

    fn read_both_ways(event: &Value) -> (Option<Envelope>, Option<Envelope>) {
        let headers = Headers::new().with(CONTENT_TYPE, STRUCTURED);
        let general = event.as_object().and_then(|members| attributes::read(members.clone()).ok());
        let text = event.to_string();
        let quick = read::<Value>(&headers, text.as_bytes());
        (quick.map(|(attributes, data)| attributes.with(data)), general)
    }

    #[test]
    fn an_event_is_read_as_it_is_the_general_way() {
        let event = json!({
            "specversion": SPEC_VERSION, "id": "i", "source": "/s", "type": "task.completed", "subject": "a",
            "time": "2026-01-02T03:04:05.678Z", "datacontenttype": "application/json",
            "dataschema": "urn:mesh:schema:task.completed:1", "correlationid": "c", "causationid": "d",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "x=1",
            "dataref": "nats-object:b/o", "data": {"output": [1.5, {"a": null}]},
        });
        let (quick, general) = read_both_ways(&event);
        let (quick, general) = quick.zip(general).expect("both read it");
        assert_eq!(quick, general);
        assert_eq!(serde_json::to_value(&general).expect("JSON"), event);
    }

    #[test]
    fn what_is_elsewhere_or_newer_is_not_plain() {
        let event = Envelope::new("i", "s", "t", Value::Null);
        let is_plain = |event: &Envelope| {
            let (headers, body) = event.encode().expect("an event");
            Envelope::decode_with::<Value>(&headers, &body).is_some()
        };
        assert!(is_plain(&event));
        let newer = Envelope { dataschema: Some("urn:mesh:schema:t:2".to_owned()), ..event.clone() };
        let elsewhere = BTreeMap::from([("dataref".to_owned(), json!("nats-object:b/o"))]);
        assert!(!is_plain(&newer) && !is_plain(&Envelope { extensions: elsewhere, ..event }));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_general_way() {
        let least = json!({ "specversion": "1.0", "id": "i", "source": "s", "type": "t", "data": 1 });
        assert!(read_both_ways(&least).0.is_some());
        let unusual = [
            ("specversion", json!("0.3")),
            ("id", json!("")),
            ("id", json!(7)),
            ("source", json!("a\u{1}")),
            ("time", json!("yesterday")),
            ("subject", Value::Null),
            ("data_base64", json!("MQ==")),
            ("datacontenttype", json!("text/plain")),
            ("Upper", json!("x")),
        ];
        for (name, value) in unusual {
            let mut event = least.clone();
            event[name] = value;
            assert!(read_both_ways(&event).0.is_none(), "{event}");
        }
        let headers = Headers::new().with(CONTENT_TYPE, STRUCTURED);
        let is_left = |text: &str| read::<Value>(&headers, text.as_bytes()).is_none();
        assert!(is_left(r#"{"specversion":"1.0","id":"i","id":"j","source":"s","type":"t","data":1}"#));
        assert!(is_left(r#"{"specversion":"1.0","id":"i","source":"s","type":"t","data":1,"data":2}"#));
        assert!(is_left(r#"{"specversion":"1.0","id":"i","source":"s","type":"t"}"#));
        assert!(is_left(r#"{"specversion":"1.0","id":"i","source":"s","type":"t","data":1} 2"#));
        assert!(super::read::<Value>(&Headers::new(), least.to_string().as_bytes()).is_none());
    }
}
