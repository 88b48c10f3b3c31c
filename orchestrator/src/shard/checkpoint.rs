//! Checkpoints: how a long run stands, written to the log for whoever reads the run later.
//!
//! A checkpoint says two things of a run after some event: its state, and that all that was decided up to there is
//! stored. It is a cache: nobody waits for it, it may fail to be written or to be read, and without it a run is what
//! its events say.

use std::collections::BTreeSet;
use std::string::FromUtf8Error;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Stored};
use mesh_core::{Event, Header, MAX_STATE_BYTES, Run};
use mesh_schemas::payload::WorkflowCheckpointed;
use mesh_schemas::{Digest, Envelope, Namespace, ObjectName, ObjectOwner, RunId, StoredMessage, Subject};
use serde::Deserialize as _;
use tracing::debug;

use crate::encode;

/// Largest state that stands in the event itself: an event is to have at most 64 KiB, and a quarter is left for its
/// quotes and what else it carries.
const INLINE_BYTES: usize = 48 * 1024;

/// How many bytes of a state one byte of the events since the last one pays for. A state holds no more than the events
/// brought, so one that holds all of it is written each time the log has doubled; and what is written of states, ever,
/// stays below twice the log.
const STATE_PER_LOG: usize = 2;

/// Bytes that a message takes in a stream beside its body: its subject, its record, and headers of a trace.
const OVERHEAD: usize = 192;

/// A checkpoint that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    sequence: u64,
    /// The object that holds its state.
    object: Option<ObjectName>,
}

/// A state that is written down as soon as everything that was decided before it is stored.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    upto: u64,
    /// Id and time of the event after which the run stood so.
    cause: String,
    time: DateTime<Utc>,
    header: Header,
    state: Vec<u8>,
}

/// When a run is written down: when as much has come since the last time as the state is worth.
#[derive(Debug)]
pub(super) struct Pace {
    /// Fewest events from one checkpoint to the next.
    fewest: usize,
    /// Events since the last checkpoint, and what they brought in bytes.
    since: Grown,
    /// From so many bytes on it is looked whether the state is worth them: looking costs as much as the state is large.
    look_at: usize,
    /// Events whose decisions are being stored.
    storing: BTreeSet<u64>,
    saved: Option<Saved>,
    /// Checkpoints in the log, which the next one replaces.
    places: Vec<Place>,
}

/// How much a log has grown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Grown {
    events: usize,
    bytes: usize,
}

impl Grown {
    /// Counts events of so many bytes in all, with what they refer to.
    pub(super) fn by(&mut self, events: usize, bytes: usize) {
        self.events += events;
        self.bytes += bytes + events * OVERHEAD;
    }
}

impl Pace {
    /// That of a run whose log has grown by so much behind the last of these checkpoints.
    pub(super) fn new(fewest: usize, since: Grown, places: Vec<Place>) -> Self {
        Self { fewest, since, look_at: 0, storing: BTreeSet::new(), saved: None, places }
    }

    /// Whether the run is one that is written down, or soon will be.
    pub(super) fn is_long(&self) -> bool {
        !self.places.is_empty() || self.since.events >= self.fewest
    }

    /// Notes that a run has taken an event of so many bytes, and that what follows from that is about to be stored.
    pub(super) fn folded(&mut self, event: &Event, bytes: usize, run: &Run) {
        self.storing.insert(event.sequence);
        self.since.by(1, bytes);
        let Grown { events, bytes } = self.since;
        if events < self.fewest || bytes < self.look_at || self.saved.is_some() {
            return;
        }
        match run.save() {
            Some(state) if state.len() / STATE_PER_LOG <= bytes => {
                (self.since, self.look_at) = (Grown::default(), 0);
                let (cause, header) = (event.id.clone(), run.header.clone());
                self.saved = Some(Saved { upto: run.upto(), cause, time: event.time, header, state });
            }
            // Not before it can be worth it, and not too soon, as the state grows meanwhile.
            Some(state) => self.look_at = (state.len() / STATE_PER_LOG).max(bytes + bytes / 4),
            // It has ended, or is too large for now.
            None => self.look_at = bytes.saturating_mul(2).max(MAX_STATE_BYTES / STATE_PER_LOG),
        }
    }

    /// Notes that everything that follows from an event is stored. Returns the state that can be written down now,
    /// and the checkpoints that are of no use then.
    pub(super) fn stored(&mut self, sequence: u64) -> Option<(Saved, Vec<Place>)> {
        self.storing.remove(&sequence);
        let earliest = self.storing.first().copied().unwrap_or(u64::MAX);
        let saved = self.saved.take_if(|saved| saved.upto < earliest)?;
        Some((saved, std::mem::take(&mut self.places)))
    }

    /// Notes checkpoints that stand in the log.
    pub(super) fn written(&mut self, places: Vec<Place>) {
        self.places.extend(places);
    }
}

/// Writes a state down, and takes away the older ones. Gives up at the first failure: the next one comes. Returns what
/// stands in the log then.
pub(super) async fn write(bus: &dyn Bus, rules: u32, saved: Saved, older: Vec<Place>) -> Vec<Place> {
    let run = saved.header.run;
    let place = match store(bus, rules, saved).await {
        Ok(Some(place)) => place,
        // Somebody else wrote the same.
        Ok(None) => return older,
        Err(error) => {
            debug!(%run, %error, "the state of a run is not written down");
            return older;
        }
    };
    for old in older {
        // What is left over does no harm, and goes with the run.
        let _ = bus.remove(Stream::Events, old.sequence).await;
        if let Some(object) = old.object.filter(|object| Some(object) != place.object.as_ref()) {
            let _ = bus.remove_object(&object).await;
        }
    }
    vec![place]
}

/// `None` if the place is taken.
async fn store(bus: &dyn Bus, rules: u32, saved: Saved) -> Result<Option<Place>, String> {
    let Saved { upto, cause, time, header, state } = saved;
    let digest = Digest::of(&state);
    let (state, object) = match String::from_utf8(state) {
        Ok(state) if state.len() <= INLINE_BYTES => (Some(state), None),
        large => {
            let content = Bytes::from(large.map_or_else(FromUtf8Error::into_bytes, String::into_bytes));
            let object = bus.put_object(&ObjectOwner::Run(header.run), content).await;
            (None, Some(object.map_err(|error| error.to_string())?))
        }
    };
    let data = WorkflowCheckpointed { upto, rules, digest, state };
    let publish = encode::checkpoint(bus.namespace(), &header, &cause, time, &data);
    match bus.publish(publish).await {
        Ok(Stored::Now(sequence)) => Ok(Some(Place { sequence, object })),
        Ok(Stored::Already) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// A checkpoint as it is found.
pub(super) struct Found {
    data: WorkflowCheckpointed,
    run: RunId,
    pub(super) place: Place,
}

/// The object that holds the state of a checkpoint, if a message of the log is one.
pub(crate) fn checkpoint_object(namespace: &Namespace, stored: &StoredMessage) -> Option<ObjectName> {
    Found::decode(namespace, stored)?.place.object
}

impl Found {
    /// Reads a message of the log; `None` if it is no checkpoint that is of use to who follows these rules.
    pub(super) fn read(namespace: &Namespace, stored: &StoredMessage, rules: u32) -> Option<Self> {
        Self::decode(namespace, stored)
            .filter(|found| found.data.rules == rules && found.data.upto < stored.sequence)
    }

    fn decode(namespace: &Namespace, stored: &StoredMessage) -> Option<Self> {
        let Ok(Subject::Checkpointed { run, upto, .. }) = Subject::parse(namespace, &stored.message.subject)
        else {
            return None;
        };
        let decoded = Envelope::decode(&stored.message.headers, &stored.message.payload).ok()?;
        let data = WorkflowCheckpointed::deserialize(decoded.data()).ok()?;
        if data.upto != upto {
            return None;
        }
        let object =
            data.state.is_none().then(|| ObjectName::new(ObjectOwner::Run(run), data.digest.clone()));
        let place = Place { sequence: stored.sequence, object };
        Some(Self { data, run, place })
    }

    /// Sequence of the last event that it knows.
    pub(super) fn upto(&self) -> u64 {
        self.data.upto
    }

    /// The state, if all of it is there.
    pub(super) async fn state(&self, bus: &dyn Bus) -> Option<Bytes> {
        let state = match (&self.data.state, &self.place.object) {
            (Some(state), _) => Bytes::copy_from_slice(state.as_bytes()),
            (None, Some(object)) => match bus.object(object).await {
                Ok(state) => state?,
                Err(error) => {
                    debug!(run = %self.run, %error, "a checkpoint is left out of account");
                    return None;
                }
            },
            (None, None) => return None,
        };
        (Digest::of(&state) == self.data.digest).then_some(state)
    }
}

#[cfg(test)]
mod tests;
