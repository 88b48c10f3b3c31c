use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::binary::{percent_decode, percent_encode};
use super::{Decoded, Envelope, EnvelopeError};
use crate::{CONTENT_TYPE, Headers};

fn headers(entries: &[(&'static str, &'static str)]) -> Headers {
    entries.iter().fold(Headers::new(), |headers, (name, value)| headers.with(*name, *value))
}

fn event() -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": "/crm", "type": "workflow.requested", "data": { "a": 1 } })
}

fn with(name: &str, value: Value) -> Value {
    let mut event = event();
    event[name] = value;
    event
}

fn read(value: &Value) -> Result<Decoded, EnvelopeError> {
    Envelope::decode(&Headers::new(), value.to_string().as_bytes())
}

fn read_event(value: &Value) -> Envelope {
    match read(value) {
        Ok(Decoded::Event(event)) => event,
        other => panic!("{value} gave {other:?}"),
    }
}

fn refused(value: &Value) -> String {
    read(value).expect_err(&value.to_string()).to_string()
}

mod structured {
    use super::*;

    #[test]
    fn is_told_by_specversion_or_content_type() {
        assert_eq!(read_event(&event()).id, "1");
        for content_type in [
            "application/cloudevents+json",
            "Application/CloudEvents+JSON; charset=utf-8",
            "application/cloudevents",
        ] {
            let headers = headers(&[("Content-Type", content_type)]);
            let decoded = Envelope::decode(&headers, event().to_string().as_bytes());
            assert!(matches!(decoded, Ok(Decoded::Event(_))), "{content_type}");
            let bare = Envelope::decode(&headers, b"{\"output\":1}").expect_err("declared, and no event");
            assert_eq!(bare.to_string(), "the payload is not a CloudEvent: specversion is missing");
            let list = Envelope::decode(&headers, b"[]").expect_err("declared, and no event");
            assert_eq!(list.to_string(), "the payload is not a CloudEvent: it is not an object");
        }
    }

    #[test]
    fn other_formats_are_refused() {
        for content_type in ["application/cloudevents-batch+json", "application/cloudevents+avro"] {
            let decoded = Envelope::decode(&headers(&[("content-type", content_type)]), b"[]");
            assert_eq!(decoded, Err(EnvelopeError::ContentType(content_type.to_owned())));
        }
    }

    #[test]
    fn only_version_1_0_is_read() {
        assert_eq!(
            read(&with("specversion", json!("0.3"))),
            Err(EnvelopeError::SpecVersion("0.3".to_owned()))
        );
        assert!(refused(&with("specversion", json!(1.0))).contains("specversion is 1.0, and not the string"));
    }

    #[test]
    fn required_attributes_are_required() {
        for name in ["id", "source", "type"] {
            let mut without = event();
            without.as_object_mut().and_then(|event| event.remove(name));
            assert!(refused(&without).ends_with(&format!("{name} is missing")));
            assert!(refused(&with(name, json!(""))).ends_with(&format!("{name} is empty")));
            assert!(refused(&with(name, json!(7))).ends_with(&format!("{name} is not a string")));
            assert!(
                refused(&with(name, json!("a\nb"))).ends_with(&format!("{name} has a control character"))
            );
        }
    }

    #[test]
    fn optional_attributes_may_be_null_but_not_wrong() {
        let names = ["subject", "dataschema", "correlationid", "causationid", "traceparent", "tracestate"];
        for name in names {
            assert_eq!(read_event(&with(name, Value::Null)), read_event(&event()), "{name}");
            assert!(refused(&with(name, json!(""))).ends_with(&format!("{name} is empty")));
            assert!(refused(&with(name, json!({}))).ends_with(&format!("{name} is not a string")));
        }
        assert!(refused(&with("time", json!("yesterday"))).contains("not as in RFC 3339"));
    }

    #[test]
    fn times_become_utc() {
        let event = read_event(&with("time", json!("2026-03-01T10:00:00.5+02:00")));
        assert_eq!(
            event.time.map(|time| time.to_rfc3339()).as_deref(),
            Some("2026-03-01T08:00:00.500+00:00")
        );
    }

    #[test]
    fn the_data_must_be_json() {
        for content_type in
            ["application/json", "APPLICATION/JSON; charset=utf-8", "text/json", "application/a+JSON"]
        {
            let event = read_event(&with("datacontenttype", json!(content_type)));
            assert_eq!(event.datacontenttype.as_deref(), Some(content_type));
        }
        for content_type in ["text/xml", "application/xml", "json", "+xml"] {
            let decoded = read(&with("datacontenttype", json!(content_type)));
            assert_eq!(decoded, Err(EnvelopeError::ContentType(content_type.to_owned())));
        }
    }

    #[test]
    fn data_may_be_in_base64() {
        let mut event = event();
        let attributes = event.as_object_mut().expect("an object");
        attributes.remove("data");
        attributes.insert("data_base64".to_owned(), json!("eyJhIjoxfQ=="));
        let read = read_event(&event);
        assert_eq!((read.data, read.extensions.len()), (json!({ "a": 1 }), 0));
        event["data_base64"] = json!("???");
        assert!(refused(&event).contains("data_base64 is not Base64"));
        event["data_base64"] = json!("AAE=");
        assert!(refused(&event).contains("not JSON"));
        event["data_base64"] = json!(1);
        assert!(refused(&event).ends_with("data_base64 is not a string"));
        assert!(refused(&with("data_base64", json!("e30="))).ends_with("it has data and data_base64"));
    }

    #[test]
    fn absent_data_is_null() {
        let mut event = event();
        event.as_object_mut().and_then(|event| event.remove("data"));
        assert_eq!(read_event(&event).data, Value::Null);
        assert_eq!(read_event(&with("data", Value::Null)), read_event(&event));
    }

    #[test]
    fn extensions_are_kept() {
        let mut value = event();
        for (name, extension) in
            [("partitionkey", json!("a")), ("sequence", json!(7)), ("replayed", json!(true))]
        {
            value[name] = extension;
        }
        let event = read_event(&with_all(value.clone(), [("gone", Value::Null)]));
        assert_eq!(event.extensions.keys().collect::<Vec<_>>(), ["partitionkey", "replayed", "sequence"]);
        assert_eq!(serde_json::to_value(&event).ok(), Some(value));
    }

    #[test]
    fn extensions_follow_the_rules() {
        for name in ["Upper", "with_line", "with-line", "ä", ""] {
            assert!(refused(&with(name, json!("x"))).contains("is not allowed: use a-z and 0-9"), "{name}");
        }
        for value in [json!(1.5), json!([]), json!({})] {
            assert!(refused(&with("extension", value)).contains("is not a string, an integer or a boolean"));
        }
    }

    fn with_all<const N: usize>(mut value: Value, entries: [(&str, Value); N]) -> Value {
        for (name, entry) in entries {
            value[name] = entry;
        }
        value
    }
}

mod bare {
    use super::*;

    #[test]
    fn any_json_is_taken_as_it_is() {
        for value in [
            json!(null),
            json!(1),
            json!("a"),
            json!([1]),
            json!({ "output": 1 }),
            json!({ "specversion": 3 }),
        ] {
            assert_eq!(read(&value), Ok(Decoded::Bare(value.clone())));
            let plain = headers(&[("content-type", "application/json")]);
            assert_eq!(Envelope::decode(&plain, value.to_string().as_bytes()), Ok(Decoded::Bare(value)));
        }
    }

    #[test]
    fn garbage_is_not_json() {
        for garbage in [&b""[..], b" ", b"{", b"\xff\xfe", b"{}x", b"\xef\xbb\xbf{}", b"'a'", &[b'['; 1_000]]
        {
            let decoded = Envelope::decode(&Headers::new(), garbage);
            assert!(matches!(decoded, Err(EnvelopeError::NotJson(_))), "{garbage:?}");
        }
    }
}

mod binary {
    use super::*;

    const REQUIRED: [(&str, &str); 4] =
        [("CE-SpecVersion", "1.0"), ("Ce-Id", "1"), ("ce-source", "/crm"), ("CE-TYPE", "workflow.requested")];

    fn decode(more: &[(&'static str, &'static str)], body: &[u8]) -> Result<Decoded, EnvelopeError> {
        Envelope::decode(&headers(&[&REQUIRED, more].concat()), body)
    }

    #[test]
    fn attributes_are_headers_in_any_case() {
        let decoded = decode(&[("Content-Type", "application/json"), ("CE-PartitionKey", "a")], b"{\"a\":1}");
        let Ok(Decoded::Event(event)) = decoded else { panic!("{decoded:?}") };
        assert_eq!((event.id.as_str(), event.source.as_str()), ("1", "/crm"));
        assert_eq!(event.datacontenttype.as_deref(), Some("application/json"));
        assert_eq!(event.extensions.get("partitionkey"), Some(&json!("a")));
        assert_eq!(event.data, json!({ "a": 1 }));
    }

    #[test]
    fn values_are_percent_encoded() {
        let decoded = decode(&[("ce-subject", "M%C3%BCller %22GmbH%22 100% %e2%82%ac %+1")], b"");
        let Ok(Decoded::Event(event)) = decoded else { panic!("{decoded:?}") };
        assert_eq!(event.subject.as_deref(), Some("Müller \"GmbH\" 100% € %+1"));
        assert_eq!(event.data, Value::Null);
        assert_eq!(percent_encode("Müller \"GmbH\" 100%"), "M%C3%BCller%20%22GmbH%22%20100%25");
        assert_eq!(percent_decode("%FF%"), "\u{fffd}%");
    }

    #[test]
    fn one_attribute_is_enough_to_be_a_wrong_event() {
        for name in ["ce-specversion", "ce-id", "ce-source", "ce-type"] {
            let decoded = Envelope::decode(&headers(&[(name, "1.0")]), b"{}");
            assert!(matches!(decoded, Err(EnvelopeError::NotCloudEvent(_))), "{name}: {decoded:?}");
        }
        let other = Envelope::decode(&headers(&[("ce-specversion", "2.0")]), b"{}");
        assert_eq!(other, Err(EnvelopeError::SpecVersion("2.0".to_owned())));
    }

    #[test]
    fn data_is_the_body_and_nothing_else() {
        assert!(matches!(decode(&[], b"garbage"), Err(EnvelopeError::NotJson(_))));
        assert!(matches!(decode(&[("ce-data", "1")], b""), Err(EnvelopeError::NotCloudEvent(_))));
        let xml = decode(&[("content-type", "text/xml")], b"<a/>");
        assert_eq!(xml, Err(EnvelopeError::ContentType("text/xml".to_owned())));
    }

    #[test]
    fn the_trace_of_the_hop_is_no_attribute() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let decoded = decode(&[("traceparent", parent)], b"1");
        assert_eq!(decoded.ok().and_then(|decoded| decoded.envelope().and_then(Envelope::trace)), None);
        let decoded = decode(&[("ce-traceparent", parent)], b"1");
        assert!(decoded.is_ok_and(|decoded| decoded.envelope().and_then(Envelope::trace).is_some()));
    }
}

#[test]
fn what_may_not_be_read_is_not_written() {
    let event = || Envelope::new("1", "/crm", "a", Value::Null);
    assert!(event().encode().is_ok());
    let wrong = [
        Envelope { id: String::new(), ..event() },
        Envelope { correlationid: Some("a\r\nb".to_owned()), ..event() },
        Envelope { datacontenttype: Some("text/plain".to_owned()), ..event() },
        Envelope { specversion: "2.0".to_owned(), ..event() },
        Envelope { extensions: [("id".to_owned(), json!("2"))].into(), ..event() },
        Envelope { extensions: [("data".to_owned(), json!("2"))].into(), ..event() },
        Envelope { extensions: [("not allowed".to_owned(), json!("2"))].into(), ..event() },
    ];
    for event in wrong {
        assert!(event.encode().is_err(), "{event:?}");
    }
}

#[test]
fn data_of_the_wrong_form_names_the_type() {
    let event = Envelope::new("1", "/agent", "task.completed", json!({ "result": 1 }));
    let error = event.data::<crate::payload::TaskCompleted>().expect_err("there is no output").to_string();
    assert_eq!(error, "the data of task.completed is wrong: missing field `output`");
}

fn text() -> impl Strategy<Value = String> {
    "[^\\p{Cc}]{1,20}"
}

fn extensions() -> impl Strategy<Value = Vec<(String, Value)>> {
    let value = prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    proptest::collection::vec(("x[a-z0-9]{1,19}", value), 0..4)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".*", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

prop_compose! {
    fn envelope()(
        id in text(),
        source in text(),
        type_ in text(),
        optional in proptest::array::uniform6(proptest::option::of(text())),
        time in proptest::option::of(0..4_102_444_800_000_i64),
        extensions in extensions(),
        data in json_value(),
    ) -> Envelope {
        let [subject, dataschema, correlationid, causationid, traceparent, tracestate] = optional;
        Envelope {
            subject,
            dataschema,
            correlationid,
            causationid,
            traceparent,
            tracestate,
            time: time.and_then(chrono::DateTime::from_timestamp_millis),
            extensions: extensions.into_iter().collect(),
            ..Envelope::new(id, source, type_, data)
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(event in envelope()) {
        let (headers, body) = event.encode().expect("every attribute is allowed");
        prop_assert_eq!(headers.get(CONTENT_TYPE), Some("application/cloudevents+json"));
        prop_assert_eq!(Envelope::decode(&headers, &body), Ok(Decoded::Event(event.clone())));
        prop_assert_eq!(Envelope::decode(&Headers::new(), &body), Ok(Decoded::Event(event)));
    }

    #[test]
    fn binary_mode_is_read_too(event in envelope()) {
        let headers = event.binary_headers();
        prop_assert!(headers.iter().all(|(_, value)| value.bytes().all(|b| (b' '..=b'~').contains(&b))));
        // Headers are text, so an extension comes back as text.
        let texts = event.extensions.iter().map(|(name, value)| {
            (name.clone(), value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned).into())
        });
        let expected = Envelope { extensions: texts.collect(), ..event.clone() };
        prop_assert_eq!(Envelope::decode(&headers, event.data.to_string().as_bytes()), Ok(Decoded::Event(expected)));
    }

    #[test]
    fn percent_encoding_round_trips(text in ".*") {
        prop_assert_eq!(percent_decode(&percent_encode(&text)), text);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), name in "[a-z-]{1,15}", value in ".*") {
        let _ = Envelope::decode(&Headers::new(), &bytes);
        let _ = Envelope::decode(&Headers::new().with("ce-id", "1").with(name, value), &bytes);
    }
}
