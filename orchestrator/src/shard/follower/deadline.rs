//! Deadlines that are not set yet. Most runs end long before theirs, and many within a moment: what waits in the bus for such a
//! run, and is taken back at once, costs more than the rest of the run. So a deadline that is far off is set when the run has been
//! going on for a while. Until then the run's beginning is not acknowledged: if this process dies, another one takes it up, and
//! sets the deadline.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mesh_core::{Action, Decision, Header};
use mesh_schemas::{RunId, StoredMessage, Timer, TraceContext};
use tokio::time::Instant;

use super::{Follower, Settled, Work};
use crate::lease::Lease;
use crate::observe;
use crate::service::Shared;
use crate::shard::settle::{self, Decided, Verdict};
use crate::store::{self, Lost, Of};
use crate::trace::Origins;

/// How long a run goes on before its deadline is set: well below the time in which its beginning comes again.
pub(super) const PUT_OFF_FOR: Duration = Duration::from_secs(1);
/// A deadline that is nearer than this is set at once: what is late by the former is not to matter.
const FAR_OFF: TimeDelta = TimeDelta::seconds(10);
/// Deadlines of a shard that are put off at a time: the beginnings are in hand meanwhile, and others must have room there.
pub(super) const MOST: usize = 256;

/// A run whose beginning is in hand until its deadline is set.
pub(in crate::shard) struct Begun {
    lease: Lease,
    sequence: u64,
    header: Box<Header>,
    deadline: Decision,
    hop: Option<TraceContext>,
}

/// Runs whose deadlines are not set.
#[derive(Default)]
pub(super) struct PutOff {
    begun: HashMap<RunId, Begun>,
    /// When they are to be set, in this order; also of runs that have ended meanwhile.
    due: VecDeque<(Instant, RunId)>,
}

impl PutOff {
    fn add(&mut self, begun: Begun) {
        self.due.push_back((Instant::now() + PUT_OFF_FOR, begun.header.run));
        self.begun.insert(begun.header.run, begun);
    }

    /// The beginning of a run that has ended before its deadline was set.
    pub(super) fn take(&mut self, run: &RunId) -> Option<Lease> {
        self.begun.remove(run).map(|begun| begun.lease)
    }

    /// Those whose time has come, and those that are too many.
    fn ready(&mut self) -> Vec<Begun> {
        let now = Instant::now();
        let mut ready = Vec::new();
        while let Some((due, run)) = self.due.front()
            && (*due <= now || self.begun.len() > MOST || !self.begun.contains_key(run))
        {
            ready.extend(self.begun.remove(run));
            self.due.pop_front();
        }
        ready
    }

    /// All, in the order in which they were put off.
    fn all(&mut self) -> Vec<Begun> {
        self.due.drain(..).filter_map(|(_, run)| self.begun.remove(&run)).collect()
    }

    /// Forgets all: each beginning comes again.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
        self.due.clear();
    }
}

/// Takes the deadline of a run that begins out of what is to be stored, if it may be put off.
pub(super) fn far_off(verdict: &mut Verdict, beginning: &StoredMessage) -> Option<Decision> {
    let Verdict::Store(Decided { decisions, .. }, None) = verdict else { return None };
    let is_far_off = |decision: &Decision| match &decision.action {
        Action::SetTimer(Timer::Deadline, due) => *due - beginning.time >= FAR_OFF,
        _ => false,
    };
    decisions.iter().position(is_far_off).map(|place| decisions.remove(place))
}

/// Stores what follows from the beginning of a run, but for its deadline.
pub(super) async fn begin(
    shared: &Shared,
    lease: Lease,
    stored: &StoredMessage,
    decided: Decided,
    deadline: Decision,
    hop: Option<TraceContext>,
) -> Settled {
    let header = decided.header.clone();
    match settle::store(&*shared.bus, &lease, stored, decided, true, hop.clone()).await {
        Ok(()) => {
            observe::settled(shared.bus.now() - stored.time);
            let sequence = stored.sequence;
            Settled::Begun(Box::new(Begun { lease, sequence, header, deadline, hop }))
        }
        Err(Lost) => Settled::Lost(header.run),
    }
}

impl Follower {
    /// Whether a deadline is put off.
    pub(in crate::shard) fn has_put_off(&self) -> bool {
        !self.put_off.due.is_empty()
    }

    /// Sets the deadlines whose time has come.
    pub(in crate::shard) fn set_deadlines(&mut self) -> Vec<Work> {
        self.put_off.ready().into_iter().map(|begun| self.set_deadline(begun)).collect()
    }

    /// Sees through all that is in hand, and sets the deadlines that are put off, also of runs whose beginnings are among it.
    pub(in crate::shard) async fn finish(&mut self, in_hand: &mut FuturesUnordered<Work>) {
        loop {
            in_hand.extend(self.set_all_deadlines());
            let Some(settled) = in_hand.next().await else { return };
            in_hand.extend(self.settled(settled));
        }
    }

    fn set_all_deadlines(&mut self) -> Vec<Work> {
        self.put_off.all().into_iter().map(|begun| self.set_deadline(begun)).collect()
    }

    /// All that followed from the beginning of a run is stored, but for its deadline.
    pub(super) fn begun(&mut self, begun: Begun) -> Vec<Work> {
        let run = begun.header.run;
        match self.cache.get(&run) {
            Some(cached) if cached.run.has_ended() => vec![Box::pin(async move {
                begun.lease.ack().await;
                Settled::Stored(Some((run, begun.sequence)))
            })],
            Some(_) => {
                self.put_off.add(begun);
                self.set_deadlines()
            }
            None => vec![self.set_deadline(begun)],
        }
    }

    fn set_deadline(&self, begun: Begun) -> Work {
        let bus = Arc::clone(&self.shared.bus);
        Box::pin(async move {
            let Begun { lease, sequence, header, deadline, hop } = begun;
            let run = header.run;
            let of =
                Of { header: &header, origins: &Origins::default(), hop: hop.as_ref(), has_deadline: true };
            match store::decisions(&*bus, &lease, vec![deadline], of).await {
                // A moment in time is never too large.
                Ok(_) => {
                    lease.ack().await;
                    Settled::Stored(Some((run, sequence)))
                }
                Err(Lost) => Settled::Lost(run),
            }
        })
    }
}
