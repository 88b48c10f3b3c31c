//! Events as almost all of them are: structured, with every attribute once and data. They are read and written in one go,
//! without a tree of values in between; whatever is otherwise is read the general way.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer as _;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use super::{Envelope, SCHEMA_VERSION, STRUCTURED, attributes};
use crate::message::{CONTENT_TYPE, Headers};

/// Reads an event and its data, which is null in the envelope that is returned; `None` for whatever is to be read the
/// general way, and perhaps refused.
pub(super) fn read<T: DeserializeOwned>(headers: &Headers, payload: &[u8]) -> Option<(Envelope, T)> {
    let is_structured = |value: &str| value.eq_ignore_ascii_case(STRUCTURED);
    if !headers.get(CONTENT_TYPE).is_some_and(is_structured) || super::binary::is_binary(headers) {
        return None;
    }
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let (event, data) = deserializer.deserialize_map(Members(PhantomData)).ok()?;
    deserializer.end().ok()?;
    attributes::check(&event).ok()?;
    Some((event, data?))
}

/// Whether an event carries its data itself, and is of no newer schema than ours.
pub(super) fn is_plain(event: &Envelope) -> bool {
    let is_newer = event.mesh_schema().is_some_and(|(_, version)| version > SCHEMA_VERSION);
    // An extension may say that the data is elsewhere.
    event.extensions.is_empty() && !is_newer
}

struct Members<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
    type Value = (Envelope, Option<T>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut event = Envelope {
            specversion: String::new(),
            id: String::new(),
            source: String::new(),
            type_: String::new(),
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            correlationid: None,
            causationid: None,
            traceparent: None,
            tracestate: None,
            extensions: BTreeMap::new(),
            data: Value::Null,
        };
        let mut data = None;
        while let Some(name) = members.next_key_seed(Name)? {
            let text = match name {
                Member::Specversion => &mut event.specversion,
                Member::Id => &mut event.id,
                Member::Source => &mut event.source,
                Member::Type => &mut event.type_,
                Member::Subject => event.subject.get_or_insert_default(),
                Member::Datacontenttype => event.datacontenttype.get_or_insert_default(),
                Member::Dataschema => event.dataschema.get_or_insert_default(),
                Member::Correlationid => event.correlationid.get_or_insert_default(),
                Member::Causationid => event.causationid.get_or_insert_default(),
                Member::Traceparent => event.traceparent.get_or_insert_default(),
                Member::Tracestate => event.tracestate.get_or_insert_default(),
                Member::Time if event.time.is_none() => {
                    let text: String = members.next_value()?;
                    event.time = Some(attributes::time(&text).map_err(A::Error::custom)?);
                    continue;
                }
                Member::Data if data.is_none() => {
                    data = Some(members.next_value()?);
                    continue;
                }
                Member::Time | Member::Data => return Err(A::Error::custom("twice")),
                Member::Other(name) => {
                    if event.extensions.insert(name, members.next_value()?).is_some() {
                        return Err(A::Error::custom("twice"));
                    }
                    continue;
                }
            };
            // No attribute is empty: what is not was there before.
            if !std::mem::replace(text, members.next_value()?).is_empty() {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok((event, data))
    }
}

enum Member {
    Specversion,
    Id,
    Source,
    Type,
    Subject,
    Time,
    Datacontenttype,
    Dataschema,
    Correlationid,
    Causationid,
    Traceparent,
    Tracestate,
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
            "specversion" => Member::Specversion,
            "id" => Member::Id,
            "source" => Member::Source,
            "type" => Member::Type,
            "subject" => Member::Subject,
            "time" => Member::Time,
            "datacontenttype" => Member::Datacontenttype,
            "dataschema" => Member::Dataschema,
            "correlationid" => Member::Correlationid,
            "causationid" => Member::Causationid,
            "traceparent" => Member::Traceparent,
            "tracestate" => Member::Tracestate,
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

    fn read_both_ways(event: &Value) -> (Option<(Envelope, Value)>, Option<Envelope>) {
        let headers = Headers::new().with(CONTENT_TYPE, STRUCTURED);
        let general = event.as_object().and_then(|members| attributes::read(members.clone()).ok());
        (read(&headers, event.to_string().as_bytes()), general)
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
        let ((quick, data), general) = quick.zip(general).expect("both read it");
        assert_eq!(Envelope { data, ..quick }, general);
        assert_eq!(serde_json::to_value(&general).expect("JSON"), event);
    }

    #[test]
    fn what_is_elsewhere_or_newer_is_not_plain() {
        let event = Envelope::new("i", "s", "t", Value::Null);
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
        let read = |text: &str| read::<Value>(&headers, text.as_bytes());
        assert!(
            read(r#"{"specversion":"1.0","id":"i","id":"j","source":"s","type":"t","data":1}"#).is_none()
        );
        assert!(
            read(r#"{"specversion":"1.0","id":"i","source":"s","type":"t","data":1,"data":2}"#).is_none()
        );
        assert!(read(r#"{"specversion":"1.0","id":"i","source":"s","type":"t"}"#).is_none());
        assert!(read(r#"{"specversion":"1.0","id":"i","source":"s","type":"t","data":1} 2"#).is_none());
        assert!(super::read::<Value>(&Headers::new(), least.to_string().as_bytes()).is_none());
    }
}
