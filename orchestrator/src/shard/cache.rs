//! Runs in memory: (state, how far it has read), and when not to trust it.

use lru::LruCache;
use mesh_bus::Delivery;
use mesh_core::Run;
use mesh_schemas::RunId;

use super::checkpoint::Pace;

/// A run of more tasks than this counts as several, so that huge ones do not take all the memory.
const TASKS_OF_ONE: usize = 100;

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
}

impl Cached {
    /// For how many runs it counts.
    fn weight(&self) -> usize {
        1 + self.run.size() / TASKS_OF_ONE
    }
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
    /// For how many runs of usual size there is room, and for how many those that are here count.
    room: usize,
    taken: usize,
    pin: Option<String>,
    /// Number of the last delivery.
    last: Option<u64>,
}

impl Cache {
    pub(super) fn new(runs: usize) -> Self {
        Self { runs: LruCache::unbounded(), room: runs.max(1), taken: 0, pin: None, last: None }
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
        self.taken = 0;
    }

    pub(super) fn forget(&mut self, run: &RunId) {
        if let Some(gone) = self.runs.pop(run) {
            self.taken -= gone.weight();
        }
    }

    /// Keeps a run, in place of those that were not asked for the longest. One that is larger than the room is kept
    /// alone.
    pub(super) fn keep(&mut self, run: RunId, cached: Cached) {
        self.forget(&run);
        self.taken += cached.weight();
        self.runs.put(run, cached);
        while self.taken > self.room
            && self.runs.len() > 1
            && let Some((_, gone)) = self.runs.pop_lru()
        {
            self.taken -= gone.weight();
        }
    }

    pub(super) fn get(&mut self, run: &RunId) -> Option<&mut Cached> {
        self.runs.get_mut(run)
    }

    pub(super) fn standing(&mut self, run: &RunId, sequence: u64, first_delivery: bool) -> Standing {
        match self.runs.get(run) {
            Some(cached) if sequence <= cached.covered => Standing::Covered,
            Some(cached) if sequence > cached.upto && first_delivery => Standing::Next,
            _ => Standing::Unknown,
        }
    }
}
