use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use mesh_schemas::StoredMessage;
use tokio::sync::watch;

use super::filter::{Filter, any_matches, is_wild};

/// Messages in the order in which they were stored.
#[derive(Debug)]
pub(super) struct Log {
    messages: BTreeMap<u64, StoredMessage>,
    by_subject: BTreeMap<String, BTreeSet<u64>>,
    /// Sequence of the message that was stored last, whether or not it is still there.
    last: u64,
    bytes: u64,
    /// Wakes those who read along.
    grown: watch::Sender<u64>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self {
            messages: BTreeMap::new(),
            by_subject: BTreeMap::new(),
            last: 0,
            bytes: 0,
            grown: watch::Sender::new(0),
        }
    }

    /// Sequence of the next message.
    pub(super) fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.last
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, stored: StoredMessage) {
        self.last = stored.sequence;
        self.bytes += size(&stored);
        self.by_subject.entry(stored.message.subject.clone()).or_default().insert(stored.sequence);
        self.messages.insert(stored.sequence, stored);
        self.grown.send_replace(self.last);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<StoredMessage> {
        let stored = self.messages.remove(&sequence)?;
        self.bytes -= size(&stored);
        if let Some(sequences) = self.by_subject.get_mut(&stored.message.subject) {
            sequences.remove(&sequence);
            if sequences.is_empty() {
                self.by_subject.remove(&stored.message.subject);
            }
        }
        Some(stored)
    }

    pub(super) fn at(&self, sequence: u64) -> Option<&StoredMessage> {
        self.messages.get(&sequence)
    }

    pub(super) fn first(&self) -> Option<&StoredMessage> {
        self.messages.values().next()
    }

    /// Sequences of the messages on one subject, oldest first.
    pub(super) fn on(&self, subject: &str) -> impl Iterator<Item = u64> {
        self.by_subject.get(subject).into_iter().flatten().copied()
    }

    pub(super) fn holds(&self, subject: &str) -> bool {
        self.by_subject.contains_key(subject)
    }

    /// The last message on a subject, which may have wildcards.
    pub(super) fn last_on(&self, subject: &str) -> Option<&StoredMessage> {
        if is_wild(subject) {
            let filter = Filter::new(subject);
            return self.messages.values().rev().find(|stored| filter.matches(&stored.message.subject));
        }
        self.messages.get(self.by_subject.get(subject)?.last()?)
    }

    /// The first message after a sequence that any of the filters matches.
    pub(super) fn after(&self, sequence: u64, filters: &[Filter]) -> Option<&StoredMessage> {
        self.all_after(sequence).find(|stored| any_matches(filters, &stored.message.subject))
    }

    /// All messages after a sequence.
    pub(super) fn all_after(&self, sequence: u64) -> impl Iterator<Item = &StoredMessage> {
        self.messages.range((Bound::Excluded(sequence), Bound::Unbounded)).map(|(_, stored)| stored)
    }

    /// Has those who read along look again.
    pub(super) fn wake_readers(&self) {
        self.grown.send_replace(self.last);
    }

    /// Tells of each new message.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

/// Bytes of subject, headers and body.
pub(super) fn size(stored: &StoredMessage) -> u64 {
    let message = &stored.message;
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.subject.len() + headers + message.payload.len()) as u64
}
