//! What a dead letter says about the message in it.

use chrono::{DateTime, Utc};
use mesh_schemas::{Envelope, Namespace, RunId, StoredMessage, Subject};
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
        let subject = event.and_then(|event| event.subject.clone());
        let parsed = subject.as_deref().and_then(|subject| Subject::parse(namespace, subject).ok());
        Self {
            sequence: stored.sequence,
            time: stored.time,
            stream,
            reason,
            error: extension("error"),
            original_sequence: extension("sequence").and_then(|sequence| sequence.parse().ok()),
            run: parsed.and_then(|subject| subject.run()),
            correlation_id: event.and_then(|event| event.correlationid.clone()),
            dataref: extension("dataref"),
            subject,
            size: stored.message.payload.len(),
        }
    }
}
