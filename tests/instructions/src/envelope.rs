//! Reading and writing messages.

use std::hint::black_box;

use bytes::Bytes;
use mesh_core::{Event, Fact};
use mesh_schemas::{Decoded, Envelope, Headers, Message, Namespace, StoredMessage, TaskVerb};
use serde_json::json;

use crate::data::{key, records, run, time};
use crate::{Scenario, Work};

/// Bytes of the output that is carried, and what that is called; how often it is read or written.
const SIZES: [(usize, &str, usize); 2] = [(512, "512B", 100), (64 * 1024, "64KiB", 10)];

pub(crate) fn scenarios() -> Vec<Scenario> {
    SIZES
        .into_iter()
        .flat_map(|(bytes, size, repetitions)| {
            [
                Scenario::new(format!("envelope-decode-{size}"), repetitions, move || decode(bytes)),
                Scenario::new(format!("envelope-encode-{size}"), repetitions, move || encode(bytes)),
                Scenario::new(format!("event-read-{size}"), repetitions, move || read(bytes)),
            ]
        })
        .collect()
}

/// The outcome of a task as its agent sends it, with an output of this size.
fn outcome(bytes: usize) -> Envelope {
    let subject = key("enrich").subject(TaskVerb::Completed);
    let data = json!({ "output": records(bytes), "agent": "worker-1" });
    let id = subject.render(&Namespace::default());
    let mut event = Envelope::new(id, "/mesh/agent/worker-1", subject.event_type(), data);
    event.time = Some(time());
    event.correlationid = Some(run().to_string());
    event.causationid = Some(key("enrich").subject(TaskVerb::Created).render(&Namespace::default()));
    event.traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    event
}

fn written(bytes: usize) -> (Headers, Vec<u8>) {
    outcome(bytes).encode().expect("it may be written")
}

fn decode(bytes: usize) -> Work {
    let (headers, body) = written(bytes);
    Box::new(move || {
        let decoded = Envelope::decode(black_box(&headers), black_box(&body));
        assert!(matches!(black_box(decoded), Ok(Decoded::Event(_))));
    })
}

fn encode(bytes: usize) -> Work {
    let event = outcome(bytes);
    Box::new(move || assert!(black_box(black_box(&event).encode()).is_ok()))
}

/// Reads an event of the log for the fold: envelope, subject and payload.
fn read(bytes: usize) -> Work {
    let namespace = Namespace::default();
    let subject = outcome(bytes).id;
    let (headers, body) = written(bytes);
    let message = Message { subject, headers, payload: Bytes::from(body) };
    let stored = StoredMessage { message, sequence: 7, time: time() };
    Box::new(move || {
        let event = Event::read(black_box(&namespace), black_box(&stored));
        assert!(event.is_ok_and(|event| matches!(black_box(event).fact, Fact::Completed(..))));
    })
}
