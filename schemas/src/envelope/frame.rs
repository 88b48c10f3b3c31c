//! Events of runs, as agents and orchestrators write them: the envelopes are all alike, so they are written without being
//! made first.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{SCHEMA, SCHEMA_VERSION, SPEC_VERSION, STRUCTURED};
use crate::Namespace;
use crate::message::{CONTENT_TYPE, Headers, Message};
use crate::subject::Subject;
use crate::trace::TraceContext;

/// Bytes of room for an event, which most do not exceed.
const USUAL_BYTES: usize = 2 * 1024;

/// What the envelope of an event of a run says besides who makes the event, its subject and its data. The texts are those of
/// events that were read, or names: none is empty or has a control character.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The namespace that the event is for.
    pub namespace: &'a Namespace,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What the requester calls the whole piece of work.
    pub correlation_id: &'a str,
    /// Id of the event that caused this one.
    pub cause: &'a str,
    /// The trace that the work began in.
    pub trace: Option<&'a TraceContext>,
    /// The trace of the hop that sends the event.
    pub hop: Option<&'a TraceContext>,
}

impl Frame<'_> {
    /// The event on a subject, which is its id, in structured mode; `source` says who makes it, as a URI reference. Data that cannot be written as JSON, of which there is none
    /// among the payloads of the mesh, would be left out with everything else, and the message put aside by whoever reads it.
    #[must_use]
    pub fn message(&self, source: &str, subject: &Subject, data: &impl Serialize) -> Message {
        let id = subject.render(self.namespace);
        let type_ = subject.type_in(self.namespace, &id);
        let mut body = Vec::with_capacity(USUAL_BYTES);
        if serde_json::to_writer(&mut body, &Body { frame: self, source, id: &id, type_, data }).is_err() {
            body.clear();
        }
        let mut headers = Headers::new().with(CONTENT_TYPE, STRUCTURED);
        if let Some(hop) = self.hop {
            hop.write(&mut headers);
        }
        Message { subject: id, headers, payload: Bytes::from(body) }
    }
}

struct Body<'a, T> {
    frame: &'a Frame<'a>,
    source: &'a str,
    id: &'a str,
    type_: &'a str,
    data: &'a T,
}

impl<T: Serialize> Serialize for Body<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Frame { time, correlation_id, cause, trace, .. } = self.frame;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", SPEC_VERSION)?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("type", self.type_)?;
        map.serialize_entry("time", time)?;
        map.serialize_entry("datacontenttype", "application/json")?;
        map.serialize_entry("dataschema", &format_args!("{SCHEMA}{}:{SCHEMA_VERSION}", self.type_))?;
        map.serialize_entry("correlationid", correlation_id)?;
        map.serialize_entry("causationid", cause)?;
        if let Some(trace) = trace {
            map.serialize_entry("traceparent", &trace.traceparent)?;
            if let Some(state) = &trace.tracestate {
                map.serialize_entry("tracestate", state)?;
            }
        }
        map.serialize_entry("data", self.data)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Envelope, TaskVerb};

    /// As it is written when it is made first.
    fn made(frame: &Frame<'_>, source: &str, subject: &Subject, data: &Value) -> Message {
        let id = subject.render(frame.namespace);
        let mut envelope = Envelope::new(&*id, source, subject.event_type(), data.clone());
        envelope.time = Some(frame.time);
        envelope.correlationid = Some(frame.correlation_id.to_owned());
        envelope.causationid = Some(frame.cause.to_owned());
        envelope.set_trace(frame.trace);
        let (mut headers, body) = envelope.encode().expect("an event");
        if let Some(hop) = frame.hop {
            hop.write(&mut headers);
        }
        Message { subject: id, headers, payload: body.into() }
    }

    #[test]
    fn an_event_is_written_as_one_that_is_made_first() {
        let trace = |state| {
            TraceContext::new("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state)
                .expect("valid")
        };
        let (plain, with_state) = (trace(None), trace(Some("x=1")));
        let namespace = Namespace::new("shop").expect("a name");
        let key = Subject::parse(
            &namespace,
            "shop.task.created.risk.normal.0.6ba7b810-9dad-11d1-80b4-00c04fd430c8.t:3.2",
        );
        let Ok(Subject::Task { key, .. }) = key else { panic!("{key:?}") };
        let subjects = [
            key.subject(TaskVerb::Completed),
            Subject::TaskAssigned { key: key.clone(), delivery: 7 },
            Subject::TimerSet { run: key.run, timer: crate::Timer::Deadline },
        ];
        for subject in &subjects {
            for (trace, hop) in [(None, None), (Some(&plain), Some(&with_state)), (Some(&with_state), None)] {
                let frame = Frame {
                    namespace: &namespace,
                    time: "2026-01-02T03:04:05.678901234Z".parse().expect("a time"),
                    correlation_id: "order ü",
                    cause: "the \\ cause",
                    trace,
                    hop,
                };
                let data = json!({ "output": [1.5, { "a": null }] });
                let source = "/shop/agents/a\"b";
                assert_eq!(frame.message(source, subject, &data), made(&frame, source, subject, &data));
            }
        }
    }
}
