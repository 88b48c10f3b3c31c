use chrono::{DateTime, Utc};
use mesh_bus::topology::Stream;
use mesh_schemas::{Decoded, Envelope, Namespace, StoredMessage, Subject, TraceContext};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What may be large in the data of an event, and tells nothing of what happened when.
const LARGE: [&str; 5] = ["input", "output", "taken_over", "config", "state"];

/// What an event says of the course of a run: little enough that a long run fits in memory.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// Its id, which is its subject.
    pub(crate) id: String,
    /// When it was stored.
    pub(crate) time: DateTime<Utc>,
    /// Where it stands among events of the same time: the stream, and the sequence there.
    place: (u8, u64),
    pub(crate) subject: Subject,
    /// The id of the event that led to it.
    pub(crate) cause: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) correlation_id: Option<String>,
    /// The trace that the work began in.
    pub(crate) trace: Option<TraceContext>,
    /// Its data, but for what may be large.
    data: Value,
}

impl Fact {
    /// What a message of a stream says; `None` if it is nothing of the course of a run.
    pub(crate) fn of(namespace: &Namespace, stream: Stream, stored: &StoredMessage) -> Option<Self> {
        let subject = Subject::parse(namespace, &stored.message.subject).ok()?;
        if matches!(subject, Subject::Checkpointed { .. } | Subject::Dead { .. }) {
            return None;
        }
        let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload).ok();
        let envelope = decoded.as_ref().and_then(Decoded::envelope);
        let id = stored.message.subject.clone();
        let cause = envelope.and_then(|event| event.causationid.clone());
        let source = envelope.map(|event| event.source.clone());
        let correlation_id = envelope.and_then(|event| event.correlationid.clone());
        let trace = envelope.and_then(Envelope::trace);
        let mut data = match decoded {
            Some(Decoded::Event(event)) => event.data,
            Some(Decoded::Bare(data)) => data,
            None => Value::Null,
        };
        if let Value::Object(members) = &mut data {
            LARGE.iter().for_each(|name| drop(members.remove(*name)));
        }
        // Of the same time, what is decided comes before what is asked for, and that before what is noted.
        let rank = match stream {
            Stream::Events => 0,
            Stream::Tasks => 1,
            _ => 2,
        };
        let place = (rank, stored.sequence);
        Some(Self { id, time: stored.time, place, subject, cause, source, correlation_id, trace, data })
    }

    /// Its place among the facts of a run.
    pub(crate) fn order(&self) -> (DateTime<Utc>, u8, u64) {
        (self.time, self.place.0, self.place.1)
    }

    /// Whether it is only noted, and no event of the log.
    pub(crate) fn is_note(&self) -> bool {
        self.place.0 == 2
    }

    /// A member of its data, if it is there and of that kind.
    pub(crate) fn member<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.data.get(name)?).ok()
    }
}
