//! What happens with one event of a shard.

mod deadline;
mod hand;
mod leave;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use mesh_bus::topology::SHARD_ACK_WAIT;
use mesh_bus::{ConsumerSpec, DeadEnd, Delivery};
use mesh_core::{Content, Event, Fact, Plan, Started, Unreadable};
use mesh_schemas::{DataRef, ObjectOwner, RunId, StoredMessage, Subject};
use mesh_telemetry::metrics::table::{CACHE_LOOKUPS, REDELIVERED};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::Instrument;

use deadline::{Begun, PutOff};
use hand::{Hand, Held, Weight};
use waiting::{Loaded, Loading};

use super::cache::{Cache, Memory, Standing};
use super::checkpoint::{self, Place};
use super::load::{begin, is_new, spared};
use super::read::newer_rules;
use super::settle::{Decided, Verdict, objection, settle};
use crate::lease::Lease;
use crate::observe::{self, Open};
use crate::service::Shared;
use crate::store::{self, Lost};
use crate::trace::{self, Origins};

/// From so long after the end of a run on, events of it are not taken for what they seem by what is in memory: it may
/// have been archived. One that comes sooner and is late all the same is archived when the run is forgotten.
const MAY_BE_ARCHIVED: Duration = Duration::from_secs(2);

/// How long the other runs of a shard wait for data that an event refers to: less than others wait for the owner of the shard.
const FETCH_FOR: Duration = Duration::from_millis(1_500);

/// Work that stores what an event led to and then acknowledges the event, or that writes a checkpoint.
pub(super) type Work = BoxFuture<'static, Settled>;

/// What became of some work.
pub(super) enum Settled {
    /// Everything that follows from an event is stored.
    Stored(Option<(RunId, u64)>),
    /// Everything that follows from the beginning of a run is stored, but for its deadline.
    Begun(Box<Begun>),
    /// The event may be with another orchestrator by now.
    Lost(RunId),
    /// A run was read, and this is to become of the event for which it was.
    Loaded(Box<Loaded>),
    /// These checkpoints of a run stand in the log.
    Written { run: RunId, places: Vec<Place> },
}

/// What became of looking for what an event refers to.
enum Fetched {
    /// It is known, with so many bytes.
    Content(Content, usize),
    /// It cannot be told now: others of the shard are not to wait for it.
    NotNow(Option<RunId>),
    /// The event may be with another orchestrator by now.
    Lost,
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    shard: u32,
    consumer: ConsumerSpec,
    cache: Cache,
    put_off: PutOff,
    /// Events that were left to others and may come again, by their sequences.
    left: BTreeSet<u64>,
    /// Runs that are being read.
    loading: BTreeMap<RunId, Loading>,
    /// How far a read of a run must reach to count: to the newest event that anyone had been given when this process
    /// took the shard over, and to each that it was given since. Else what was folded into a run before the run was
    /// evicted could be missing in what is read of it later.
    taken_over: Arc<OnceCell<u64>>,
    given: u64,
    /// Grows whenever what is in memory is of no use any more, and so is what is being read.
    era: u64,
    /// Bytes of all events in hand, with what they refer to.
    in_hand: Arc<AtomicUsize>,
    /// When the bus was last told that we are at the events that wait, and how often it wants to hear that.
    renewed: Instant,
    renewal: Duration,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, shard: u32, consumer: ConsumerSpec, memory: Memory) -> Self {
        Self {
            shared,
            shard,
            consumer,
            cache: Cache::new(memory),
            put_off: PutOff::default(),
            left: BTreeSet::new(),
            loading: BTreeMap::new(),
            taken_over: Arc::default(),
            given: 0,
            era: 0,
            in_hand: Arc::default(),
            renewed: Instant::now(),
            renewal: SHARD_ACK_WAIT / 3,
        }
    }

    /// How the open runs in memory are.
    pub(super) fn figures(&self) -> Open {
        self.cache.figures()
    }

    pub(super) fn forget_all(&mut self) {
        self.cache.forget_all();
        self.left.clear();
        self.begin_era();
    }

    /// Forgets a run, also what is being read of it.
    fn forget(&mut self, run: &RunId) {
        self.cache.forget(run);
        if let Some(loading) = self.loading.get_mut(run) {
            loading.spoilt = true;
        }
    }

    /// Events that wait, and beginnings in hand, are left to be delivered again.
    fn begin_era(&mut self) {
        self.loading.clear();
        self.put_off.clear();
        self.taken_over = Arc::default();
        self.given = 0;
        self.era += 1;
    }

    /// Bytes of all events in hand, with what they refer to.
    pub(super) fn in_hand(&self) -> usize {
        self.in_hand.load(Ordering::Relaxed)
    }

    /// Notes what became of some work. What is returned is to be done next.
    pub(super) fn settled(&mut self, settled: Settled) -> Vec<Work> {
        match settled {
            Settled::Stored(None) => Vec::new(),
            Settled::Stored(Some((run, sequence))) => {
                let ready = self.cache.get(&run).and_then(|cached| cached.pace.stored(sequence));
                ready.map(|(saved, older)| self.write(run, saved, older)).into_iter().collect()
            }
            Settled::Begun(begun) => self.begun(*begun),
            Settled::Lost(run) => {
                self.forget(&run);
                Vec::new()
            }
            Settled::Written { run, places } => {
                if let Some(cached) = self.cache.get(&run) {
                    cached.pace.written(places);
                }
                Vec::new()
            }
            Settled::Loaded(loaded) => self.loaded(*loaded),
        }
    }

    /// Folds an event into its run. What is returned stores what follows and acknowledges the event; `None` if the
    /// event waits for its run to be read, or was left to be delivered again.
    pub(super) async fn take(&mut self, delivery: Delivery) -> Option<Work> {
        if !self.cache.continues(&delivery) {
            self.begin_era();
            self.shared.presence.pinned(self.shard, delivery.pin.clone());
        }
        if delivery.delivered > 1 {
            REDELIVERED.add(1, ["events"]);
        }
        self.given = delivery.stored.sequence.max(self.given);
        self.renewal = delivery.ack_wait / 3;
        let (lease, stored) = Lease::new(Arc::clone(&self.shared.bus), delivery);
        let lease = self.unless_late(lease)?;
        let mut weight = Weight::new(stored.message.payload.len(), &self.in_hand);
        let mut read = Event::read(self.shared.bus.namespace(), &stored);
        if let Err(Unreadable::Elsewhere(reference)) = &read {
            match self.content(&lease, reference).await {
                Fetched::Content(content, length) => {
                    weight.add(length);
                    read = Event::read_with(self.shared.bus.namespace(), &stored, content);
                }
                Fetched::NotNow(run) => {
                    return Some(self.work(Hand { lease, stored, weight }, run, Verdict::Later));
                }
                Fetched::Lost => return None,
            }
        }
        match read {
            Ok(event) => {
                if event.gives_up_as_lost().is_some() {
                    // Who had the result before it was lost, and others who did not find it, must go on alike: as the
                    // log has it.
                    self.forget(&event.run);
                }
                self.handle(Held { hand: Hand { lease, stored, weight }, event })
            }
            Err(unreadable) => {
                let verdict = self.unread(&stored, unreadable);
                Some(self.work(Hand { lease, stored, weight }, None, verdict))
            }
        }
    }

    /// What becomes of a message that is no event, or none that is known here.
    fn unread(&mut self, stored: &StoredMessage, unreadable: Unreadable) -> Verdict {
        match unreadable {
            Unreadable::UnknownType(error) => Verdict::Bury(DeadEnd::EventType, error),
            Unreadable::Newer(error) => {
                // What is decided without it may not be what those decide who know it: the run is left alone.
                if let Some(run) = Subject::run_of(self.shared.bus.namespace(), &stored.message.subject) {
                    self.forget(&run);
                }
                self.leave(stored, error)
            }
            // What an event refers to was given, if that could be.
            unreadable @ (Unreadable::Malformed(_) | Unreadable::Elsewhere(_)) => {
                Verdict::Bury(DeadEnd::UnreadableEvent, unreadable.to_string())
            }
        }
    }

    /// What an event refers to. If it cannot be had now, the event comes again behind others of its run, which so must be
    /// read anew.
    async fn content(&mut self, lease: &Lease, reference: &DataRef) -> Fetched {
        let fetch = lease.hold(store::fetched(&*self.shared.bus, lease, reference));
        let fetched = tokio::time::timeout(FETCH_FOR, fetch).await;
        if let Ok(Some(Ok((content, length)))) = fetched {
            return Fetched::Content(content, length);
        }
        let run = match reference.object.owner() {
            ObjectOwner::Run(run) => Some(*run),
            ObjectOwner::Definition(..) => None,
        };
        run.iter().for_each(|run| self.forget(run));
        if fetched.is_err() { Fetched::NotNow(run) } else { Fetched::Lost }
    }

    /// The lease, if it is still ours.
    fn unless_late(&mut self, lease: Lease) -> Option<Lease> {
        if lease.is_lost() {
            // This process was stopped for a while: whatever it remembers may be of the past.
            self.forget_all();
            return None;
        }
        Some(lease)
    }

    fn handle(&mut self, held: Held) -> Option<Work> {
        let Held { hand: Hand { lease, stored, weight }, event } = held;
        let hand = Hand { lease: self.unless_late(lease)?, stored, weight };
        let run = event.run;
        let (bytes, first_delivery) = (hand.weight.bytes, hand.lease.delivered == 1);
        let until_archived = spared(&self.shared, MAY_BE_ARCHIVED);
        let standing = self.cache.standing(&event, first_delivery, until_archived);
        let hit = || CACHE_LOOKUPS.add(1, ["hit"]);
        let verdict = match standing {
            _ if event.fact == Fact::Checkpoint => self.checkpoint(&run),
            _ if self.loading.contains_key(&run) => {
                let loading = self.loading.entry(run).or_default();
                loading.waiting.push_back(Held { hand, event });
                return None;
            }
            Standing::Covered => {
                hit();
                self.covered(event, &hand.stored, first_delivery)
            }
            Standing::Next => {
                hit();
                self.next(event, &hand.stored, bytes)
            }
            Standing::Unknown => match &event.fact {
                Fact::Started(started) if first_delivery && is_new(&self.shared, &event) => {
                    match self.plan_at_hand(started) {
                        Some(plan) => {
                            let (cached, verdict) = begin(&self.shared, &event, bytes, started, plan);
                            self.cache.keep(run, cached);
                            verdict
                        }
                        None => return Some(self.load(hand, event)),
                    }
                }
                _ => return Some(self.load(hand, event)),
            },
        };
        self.left.remove(&hand.stored.sequence);
        Some(self.work(hand, Some(run), verdict))
    }

    /// Nothing follows from a checkpoint, for nobody; but one that comes late may be all that there is of its run.
    fn checkpoint(&mut self, run: &RunId) -> Verdict {
        let goes_on = self.cache.get(run).is_some_and(|cached| cached.ended.is_none());
        if goes_on { Verdict::Done } else { Verdict::Checkpoint }
    }

    /// What follows from the event is stored, but nobody may have looked yet at what is wrong with it.
    fn covered(&mut self, event: Event, stored: &StoredMessage, first_delivery: bool) -> Verdict {
        let Some(cached) = self.cache.get(&event.run) else { return Verdict::Later };
        if event.fact == Fact::Ended && first_delivery {
            observe::ended(self.shared.bus.namespace(), &cached.run.header, &event.id, event.time);
        }
        if event.is_signal() && event.sequence < cached.begin {
            return Verdict::Resend;
        }
        cached.was_read(self.shared.bus.namespace(), stored, &event, first_delivery);
        let stray = cached.run.stray(&event);
        match objection(event.defect, stray) {
            letter if cached.ended.is_some() => Verdict::Ended(letter),
            None => Verdict::Done,
            Some((end, error)) => Verdict::Bury(end, error),
        }
    }

    fn next(&mut self, event: Event, stored: &StoredMessage, bytes: usize) -> Verdict {
        let Some(cached) = self.cache.get(&event.run) else { return Verdict::Later };
        let had_ended = cached.ended.is_some();
        let gathered = trace::gathered(&cached.run, &event);
        let step = cached.run.apply(&event);
        let origins = Origins::of(&cached.run, &step.decisions, &gathered);
        if cached.out.take(&event) {
            observe::outcome(self.shared.bus.namespace(), stored, &event);
        }
        cached.out.decided(&step.decisions);
        cached.upto = event.sequence;
        cached.pace.folded(&event, bytes, &cached.run);
        (self.shared.folded)(&cached.run, cached.upto);
        let (header, is_over) = (Box::new(cached.run.header.clone()), cached.run.has_ended());
        // More may come of a long run that has ended, and reading it again would take long.
        if event.fact == Fact::Ended {
            if !had_ended {
                observe::ended(self.shared.bus.namespace(), &header, &event.id, event.time);
            }
            cached.ended = Some(event.time);
        }
        if event.fact == Fact::Ended && !cached.pace.is_long() {
            self.cache.forget(&event.run);
        } else {
            self.cache.grown(&event.run, bytes);
        }
        let (decisions, letter) = (step.decisions, objection(event.defect, step.stray));
        if had_ended && decisions.is_empty() {
            return Verdict::Ended(letter);
        }
        let beginning = if is_over { self.put_off.take(&event.run) } else { None };
        Verdict::Store(Decided { header, decisions, origins, letter }, beginning)
    }

    /// The plan of a run that begins, if it is in memory.
    fn plan_at_hand(&self, started: &Started) -> Option<Arc<Plan>> {
        let definitions = &self.shared.definitions;
        let known = match (&started.workflow, &started.data.capability) {
            (None, Some(capability)) => definitions.single_task(capability),
            _ => definitions.at_hand(&started.data.digest),
        };
        let known = known.filter(|_| newer_rules(&self.shared, started).is_none());
        let plan = known.map(|known| Arc::clone(&known.plan));
        plan.filter(|plan| plan.digest == started.data.digest)
    }

    fn work(&self, hand: Hand, run: Option<RunId>, mut verdict: Verdict) -> Work {
        let shared = Arc::clone(&self.shared);
        let (span, hop) = hand.span(run, &self.consumer.name);
        Box::pin(
            async move {
                let Hand { lease, stored, weight: _weight } = hand;
                let deadline = deadline::far_off(&mut verdict, &stored);
                let verdict = match (verdict, deadline) {
                    (Verdict::Store(decided, _), Some(deadline)) => {
                        // Boxed, as it is large and not for every event.
                        let begun = deadline::begin(&shared, lease, &stored, decided, deadline, hop);
                        return Box::pin(begun).await;
                    }
                    (verdict, _) => verdict,
                };
                // What is put off is not settled yet.
                let is_put_off = matches!(verdict, Verdict::Later | Verdict::Beyond(_));
                let settled = settle(&shared, &lease, &stored, verdict, hop).await;
                if settled.is_ok() && !is_put_off && lease.delivered == 1 {
                    observe::settled(shared.bus.now() - stored.time);
                }
                match (settled, run) {
                    (Ok(()), run) => Settled::Stored(run.map(|run| (run, stored.sequence))),
                    (Err(Lost), None) => Settled::Stored(None),
                    (Err(Lost), Some(run)) => Settled::Lost(run),
                }
            }
            .instrument(span),
        )
    }

    fn write(&self, run: RunId, saved: checkpoint::Saved, older: Vec<Place>) -> Work {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let places = checkpoint::write(&*shared.bus, shared.rules, saved, older).await;
            Settled::Written { run, places }
        })
    }
}
