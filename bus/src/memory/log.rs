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
    /// By the run in the subject.
    by_run: BTreeMap<String, BTreeSet<u64>>,
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
            by_run: BTreeMap::new(),
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
        if let Some(run) = run_in(&stored.message.subject) {
            self.by_run.entry(run.to_owned()).or_default().insert(stored.sequence);
        }
        self.by_subject.entry(stored.message.subject.clone()).or_default().insert(stored.sequence);
        self.messages.insert(stored.sequence, stored);
        self.grown.send_replace(self.last);
    }

    pub(super) fn remove(&mut self, sequence: u64) -> Option<StoredMessage> {
        let stored = self.messages.remove(&sequence)?;
        self.bytes -= size(&stored);
        let subject = stored.message.subject.as_str();
        forget(&mut self.by_subject, subject, sequence);
        if let Some(run) = run_in(subject) {
            forget(&mut self.by_run, run, sequence);
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

    /// The messages of a run, oldest first.
    pub(super) fn of_run(&self, run: &str) -> impl Iterator<Item = &StoredMessage> {
        let sequences = self.by_run.get(run).into_iter().flatten();
        sequences.filter_map(|sequence| self.messages.get(sequence))
    }

    /// Subjects of all messages.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &str> {
        self.messages.values().map(|stored| stored.message.subject.as_str())
    }

    /// Sequences of the messages whose subjects begin with these tokens.
    pub(super) fn under(&self, tokens: &str) -> impl Iterator<Item = u64> {
        let prefix = format!("{tokens}.");
        let subjects = self.by_subject.range(prefix.clone()..);
        subjects.take_while(move |(subject, _)| subject.starts_with(&prefix)).flat_map(|(_, at)| at).copied()
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

/// The run in a subject of the form `<namespace>.<kind>.<verb>.<name>.<lane>.<shard>.<uuid>[.<rest>]`, or
/// `<namespace>.history.<name>.<outcome>.<shard>.<uuid>`.
fn run_in(subject: &str) -> Option<&str> {
    let is_history = subject.split('.').nth(1) == Some("history") && subject.split('.').count() == 6;
    let mut dots = subject.match_indices('.').map(|(place, _)| place);
    let begin = dots.nth(if is_history { 3 } else { 4 })? + 1;
    dots.next()?;
    Some(&subject[begin..dots.next().unwrap_or(subject.len())])
}

fn forget(index: &mut BTreeMap<String, BTreeSet<u64>>, key: &str, sequence: u64) {
    if let Some(sequences) = index.get_mut(key) {
        sequences.remove(&sequence);
        if sequences.is_empty() {
            index.remove(key);
        }
    }
}

/// Bytes of subject, headers and body.
pub(super) fn size(stored: &StoredMessage) -> u64 {
    let message = &stored.message;
    let headers: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.subject.len() + headers + message.payload.len()) as u64
}
