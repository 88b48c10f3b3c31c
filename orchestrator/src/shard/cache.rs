//! Runs in memory: (state, how far it has read), and when not to trust it.

use std::num::NonZeroUsize;

use chrono::{DateTime, TimeDelta, Utc};
use lru::LruCache;
use mesh_bus::Delivery;
use mesh_core::{Event, Run};
use mesh_schemas::{Namespace, RunId, StoredMessage};

use super::checkpoint::Pace;
use crate::observe::{self, Open, Out};

/// A run as far as it was folded.
pub(super) struct Cached {
    pub(super) run: Run,
    /// Sequence of its `started`.
    pub(super) begin: u64,
    /// Events up to here are folded.
    pub(super) upto: u64,
    /// Decisions of events up to here are stored. Behind `upto` only while this process has folded event by
    /// event, where each event's decisions are stored before that event is acknowledged.
    pub(super) covered: u64,
    /// When it is written down.
    pub(super) pace: Pace,
    /// When the run ended, if its end stands in the log.
    pub(super) ended: Option<DateTime<Utc>>,
    /// Length of what is folded of its log, with what events refer to: much of it is kept.
    pub(super) bytes: usize,
    /// Its tasks that are out with agents.
    pub(super) out: Out,
}

impl Cached {
    /// Counts an event that comes by and was folded when the run was read, if it is the outcome of an attempt.
    pub(super) fn was_read(
        &mut self,
        namespace: &Namespace,
        stored: &StoredMessage,
        event: &Event,
        first_delivery: bool,
    ) {
        if self.out.was_read(event) && first_delivery && self.run.stray(event).is_none() {
            observe::outcome(namespace, stored, event);
        }
    }
}

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// So many runs.
    pub(crate) runs: usize,
    /// So many bytes of their logs. One run is kept, however large.
    pub(crate) bytes: usize,
}

/// How the next event of a run stands to what is cached of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is the next one.
    Next,
    /// It is folded and all that it leads to is stored.
    Covered,
    /// The run is not cached, or what is cached cannot be trusted for this event.
    Unknown,
}

/// The runs of one shard that are in memory. They are worth something only as long as every event of the shard
/// comes to this process in order; a new pin or a gap in the deliveries empties the cache.
pub(super) struct Cache {
    runs: LruCache<RunId, Cached>,
    /// Bytes of all of them.
    bytes: usize,
    most_bytes: usize,
    pin: Option<String>,
    /// Number of the last delivery.
    last: Option<u64>,
}

impl Cache {
    pub(super) fn new(memory: Memory) -> Self {
        let runs = NonZeroUsize::new(memory.runs).unwrap_or(NonZeroUsize::MIN);
        Self { runs: LruCache::new(runs), bytes: 0, most_bytes: memory.bytes, pin: None, last: None }
    }

    /// Notes a delivery; `false` if others may have had deliveries since the last one, so that the cache was
    /// emptied.
    pub(super) fn continues(&mut self, delivery: &Delivery) -> bool {
        let in_order = self.last.is_some_and(|last| delivery.consumer_sequence == last + 1);
        let same_pin = self.pin == delivery.pin;
        self.last = Some(delivery.consumer_sequence);
        if in_order && same_pin {
            return true;
        }
        self.clear();
        self.pin.clone_from(&delivery.pin);
        false
    }

    pub(super) fn forget_all(&mut self) {
        self.clear();
        self.last = None;
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.bytes = 0;
    }

    pub(super) fn forget(&mut self, run: &RunId) {
        let forgotten = self.runs.pop(run);
        self.bytes -= forgotten.map_or(0, |cached| cached.bytes);
    }

    /// Keeps a run, in place of those that were not asked for the longest.
    pub(super) fn keep(&mut self, run: RunId, cached: Cached) {
        self.bytes += cached.bytes;
        // What had its place before, or the run that nothing has happened to for the longest time.
        let replaced = self.runs.push(run, cached);
        self.bytes -= replaced.map_or(0, |(_, cached)| cached.bytes);
        self.make_room();
    }

    /// So many more bytes of a run's log are folded.
    pub(super) fn grown(&mut self, run: &RunId, bytes: usize) {
        if let Some(cached) = self.runs.get_mut(run) {
            cached.bytes += bytes;
            self.bytes += bytes;
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        while self.bytes > self.most_bytes && self.runs.len() > 1 {
            let oldest = self.runs.pop_lru();
            self.bytes -= oldest.map_or(0, |(_, cached)| cached.bytes);
        }
    }

    /// How the open runs are.
    pub(super) fn figures(&self) -> Open {
        let mut open = Open { cached: self.runs.len(), ..Open::default() };
        for (_, Cached { run, .. }) in self.runs.iter().filter(|(_, cached)| cached.ended.is_none()) {
            let begun = run.header.started_at;
            let oldest = open.oldest.get_mut(&run.header.workflow);
            match oldest {
                Some(oldest) => *oldest = begun.min(*oldest),
                None => drop(open.oldest.insert(run.header.workflow.clone(), begun)),
            }
        }
        let is_active = |cached: &&Cached| cached.ended.is_none() && !cached.out.is_empty();
        open.active = self.runs.iter().map(|(_, cached)| cached).filter(is_active).count();
        open
    }

    pub(super) fn get(&mut self, run: &RunId) -> Option<&mut Cached> {
        self.runs.get_mut(run)
    }

    /// How an event stands to what is cached of its run. From so long after its end on, a run may have been archived.
    pub(super) fn standing(
        &mut self,
        event: &Event,
        first_delivery: bool,
        until_archived: TimeDelta,
    ) -> Standing {
        let Event { run, sequence, time, .. } = event;
        let is_late = |cached: &Cached| cached.ended.is_some_and(|ended| *time - ended >= until_archived);
        match self.runs.get(run) {
            Some(cached) if *sequence <= cached.covered => Standing::Covered,
            Some(cached) if is_late(cached) => Standing::Unknown,
            Some(cached) if *sequence > cached.upto && first_delivery => Standing::Next,
            _ => Standing::Unknown,
        }
    }
}
