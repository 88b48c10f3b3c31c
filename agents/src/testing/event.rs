use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_schemas::{Envelope, Message, Namespace, RunId, Subject};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::line;
use super::pattern::Pattern;
use super::time::spoken;

/// Something that happened to a run: what was stored, and what its agents said of it meanwhile.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub(super) subject: Subject,
    pub(super) data: Value,
    pub(super) at: DateTime<Utc>,
    /// Time since the first event of the run.
    pub(super) after: Duration,
}

impl Event {
    /// Reads a message, if it is an event of a run.
    pub(super) fn read(namespace: &Namespace, message: &Message, at: DateTime<Utc>) -> Option<Self> {
        let subject = Subject::parse(namespace, &message.subject).ok()?;
        pattern_words(&subject)?;
        let decoded = Envelope::decode(&message.headers, &message.payload).ok();
        let data = decoded.map_or(Value::Null, |decoded| decoded.data().clone());
        Some(Self { subject, data, at, after: Duration::ZERO })
    }

    /// Its type: `task.created`.
    #[must_use]
    pub fn event_type(&self) -> String {
        self.subject.event_type()
    }

    /// The task that it is about, if it is about one.
    #[must_use]
    pub fn task(&self) -> Option<&str> {
        match &self.subject {
            Subject::Task { key, .. }
            | Subject::TaskAssigned { key, .. }
            | Subject::TaskReleased { key, .. } => Some(key.task.as_str()),
            _ => None,
        }
    }

    /// Which try of the task it is about, from 1.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        match &self.subject {
            Subject::Task { key, .. }
            | Subject::TaskAssigned { key, .. }
            | Subject::TaskReleased { key, .. } => Some(key.attempt.get()),
            _ => None,
        }
    }

    /// What it carries: the `data` of its type in the public contract.
    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// How long after the first event of the run it happened.
    #[must_use]
    pub fn after(&self) -> Duration {
        self.after
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether it is as described: `task.created`, `task.created risk` or `task.created risk 2`.
    ///
    /// # Panics
    /// If no event could be as described.
    #[must_use]
    #[track_caller]
    pub fn is(&self, description: &str) -> bool {
        match Pattern::new(description, None) {
            Ok(pattern) => pattern.matches(self),
            Err(wrong) => panic!("{wrong}"),
        }
    }

    /// The data as the type that belongs to the event's type.
    pub(super) fn data_as<T: DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(&self.data).ok()
    }

    /// The run that it belongs to; for a rejected request, the uuid of the run that it would have been.
    pub(super) fn run_uuid(&self) -> Option<uuid::Uuid> {
        match &self.subject {
            Subject::RequestRejected { id, .. } => Some(*id),
            subject => subject.run().as_ref().map(RunId::uuid),
        }
    }

    /// What a description is compared with.
    pub(super) fn words(&self) -> Vec<String> {
        pattern_words(&self.subject).unwrap_or_default()
    }
}

/// The words that describe an event on this subject; `None` if it is no event that tests see.
fn pattern_words(subject: &Subject) -> Option<Vec<String>> {
    let rest = match subject {
        Subject::Workflow { .. } | Subject::RequestRejected { .. } => Vec::new(),
        Subject::Signalled { signal, .. } => vec![signal.to_string()],
        Subject::Task { key, .. } | Subject::TaskAssigned { key, .. } | Subject::TaskReleased { key, .. } => {
            vec![key.task.to_string(), key.attempt.to_string()]
        }
        Subject::TimerFired { timer, .. } => vec![timer.to_string()],
        _ => return None,
    };
    Some(std::iter::once(subject.event_type()).chain(rest).collect())
}

impl fmt::Display for Event {
    /// A line for people: when, what, and the gist of what it carries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.words();
        if self.attempt() == Some(1) {
            words.pop();
        }
        let line = format!("+{:<9} {:<26} {}", spoken(self.after), words.join(" "), line::gist(self));
        f.write_str(line.trim_end())
    }
}
