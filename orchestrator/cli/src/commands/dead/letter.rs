//! What a dead letter says about the message in it.

use chrono::{DateTime, Utc};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, original};
use mesh_schemas::{Envelope, Headers, Message, Namespace, RunId, StoredMessage, Subject};
use serde::Serialize;
use serde_json::Value;

/// A dead letter without its body and headers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Letter {
    /// Its sequence among the dead letters.
    pub(super) sequence: u64,
    /// When it was put aside.
    pub(super) time: DateTime<Utc>,
    /// The stream that the message was found in, by its short name.
    pub(super) stream: String,
    /// Stable and short.
    pub(super) reason: String,
    /// What exactly is wrong.
    pub(super) error: Option<String>,
    /// The subject that the message was found on.
    pub(super) subject: Option<String>,
    /// Its sequence in its stream.
    pub(super) original_sequence: Option<u64>,
    /// When it was stored there.
    pub(super) original_time: Option<DateTime<Utc>>,
    /// The run that it belongs to by its subject.
    pub(super) run: Option<RunId>,
    /// What its sender called the whole piece of work.
    pub(super) correlation_id: Option<String>,
    /// Where the message is, if it is not in the letter.
    pub(super) dataref: Option<String>,
    /// Bytes of the body.
    pub(super) size: usize,
}

impl Letter {
    /// Reads a letter. What does not follow the rules is left out: others may write letters too.
    pub(super) fn read(namespace: &Namespace, stored: &StoredMessage) -> Self {
        // Without the body, which is whatever it was.
        let decoded = Envelope::decode(&stored.message.headers, &[]).ok();
        let event = decoded.as_ref().and_then(|decoded| decoded.envelope());
        let extension = |name: &str| -> Option<String> {
            Some(match event?.extensions.get(name)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        let (stream, reason) = match Subject::parse(namespace, &stored.message.subject) {
            Ok(Subject::Dead { stream, reason }) => (stream.to_string(), reason.to_string()),
            _ => ("?".to_owned(), "?".to_owned()),
        };
        let mut letter = Self {
            sequence: stored.sequence,
            time: stored.time,
            stream,
            reason,
            error: extension("error"),
            original_sequence: extension("sequence").and_then(|sequence| sequence.parse().ok()),
            original_time: extension("storetime").and_then(|time| time.parse().ok()),
            run: None,
            correlation_id: event.and_then(|event| event.correlationid.clone()),
            dataref: extension("dataref"),
            subject: event.and_then(|event| event.subject.clone()),
            size: stored.message.payload.len(),
        };
        letter.run = letter.parsed(namespace).and_then(|subject| subject.run());
        letter
    }

    /// The subject that the message was found on, if it is one of the mesh.
    pub(super) fn parsed(&self, namespace: &Namespace) -> Option<Subject> {
        Subject::parse(namespace, self.subject.as_deref()?).ok()
    }

    /// What the letter is called: its stream and its place there.
    pub(super) fn id(&self, namespace: &Namespace) -> String {
        format!("{}/{}", Stream::Dead.name(namespace), self.sequence)
    }

    /// The message that was put aside, with its own headers, from the letter or from where it was found; none if it is
    /// gone there.
    pub(super) async fn message(
        &self,
        bus: &dyn Bus,
        stored: &StoredMessage,
    ) -> Result<Option<Message>, BusError> {
        if self.dataref.is_none() {
            return Ok(Some(original(&stored.message, self.subject.clone().unwrap_or_default())));
        }
        let stream = Stream::ALL.into_iter().find(|stream| stream.short_name() == self.stream);
        let Some((stream, sequence)) = stream.zip(self.original_sequence) else { return Ok(None) };
        let found = bus.at(stream, sequence).await?.map(|stored| stored.message);
        let found = found.filter(|message| Some(&message.subject) == self.subject.as_ref());
        // As in a letter, without what steers the server.
        Ok(found.map(|message| {
            let mut headers = Headers::new();
            let own =
                message.headers.iter().filter(|(name, _)| !name.to_ascii_lowercase().starts_with("nats-"));
            own.for_each(|(name, value)| headers.append(name.to_owned(), value.to_owned()));
            Message { headers, ..message }
        }))
    }
}
