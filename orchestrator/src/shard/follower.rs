//! What happens with one event of a shard.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use mesh_bus::topology::{SHARD_MAX_ACK_PENDING, Stream};
use mesh_bus::{Bus, ConsumerSpec, Content as InLetter, DeadEnd, Delivery, History, Publish};
use mesh_core::{Content, Decision, Event, Fact, Header, Plan, Run, Started, Unreadable, replay};
use mesh_schemas::{DataRef, Message, ObjectOwner, RunId, SignalId, StoredMessage, Subject, TraceContext};
use mesh_telemetry::{names, propagation, span};
use tracing::{Instrument, Span, debug, warn};

use super::cache::{Cache, Cached, Memory, Standing};
use crate::janitor::{self, NotDone};
use crate::lease::Lease;
use crate::log::{self, Events};
use crate::service::Shared;
use crate::store::{self, Lost};

/// Pause before an event is delivered again whose run this instance does not know (yet): first, and at most. It grows
/// by the first with each delivery, so that a run which nobody here knows costs little.
const UNKNOWN_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// An older `started` may be that of a run which has ended and was archived.
const NEW: Duration = Duration::from_secs(30);
/// From so long after the end of a run on, events of it are not taken for what they seem by what is in memory: it may
/// have been archived. One that comes sooner and is late all the same is archived when the run is forgotten.
const MAY_BE_ARCHIVED: Duration = Duration::from_secs(2);
/// How often a signal may come before its run is there: about ten seconds.
const EARLY_SIGNALS: u64 = 5;
/// How long an event that this mesh is too old for is left to others. Who updates later than that has it among the
/// dead letters.
const LEFT_FOR: TimeDelta = TimeDelta::days(1);
/// Most events of a shard that are left to others at once: half of what may be in hand, so that runs which are
/// understood go on.
const MOST_LEFT: usize = SHARD_MAX_ACK_PENDING as usize / 2;
/// The form of the subjects that a shard delivers.
const TEMPLATE: &str = "{kind}.{verb}.{name}.{lane}.{shard}.{run}";
/// How long the other runs of a shard wait for data that an event refers to: less than others wait for the owner of the shard.
const FETCH_FOR: Duration = Duration::from_millis(1_500);
/// Pause before a run is read again from a server that has not caught up.
const BEHIND_PAUSE: Duration = Duration::from_millis(20);

/// Work that stores what an event led to and then acknowledges the event.
pub(super) type Work = BoxFuture<'static, Settled>;

/// What became of an event's decisions.
pub(super) enum Settled {
    /// All are stored.
    Stored,
    /// The event may be with another orchestrator by now.
    Lost(RunId),
}

/// The events of a run and how far that reaches, or which of them this instance does not understand.
type Read = Result<(Events, u64), String>;

/// What became of looking for what an event refers to.
enum Fetched {
    /// It is known, with so many bytes.
    Content(Content, usize),
    /// It cannot be told now: others of the shard are not to wait for it.
    NotNow(Option<RunId>),
    /// The event may be with another orchestrator by now.
    Lost,
}

/// What an event is to lead to.
enum Verdict {
    /// Store these, then acknowledge.
    Store { header: Box<Header>, decisions: Vec<Decision>, letter: Option<(DeadEnd, String)> },
    /// Nothing to store but a dead letter; then acknowledge.
    Bury(DeadEnd, String),
    /// A signal that came before its run began: store it again, behind `started`.
    Resend,
    /// The run is archived: see that the event is, too, and remove it from the log.
    Archived(Box<History>),
    /// Not for this instance, which does not understand it.
    Beyond(String),
    /// Not now: deliver it again later.
    Later,
    /// All is stored already.
    Done,
}

pub(super) struct Follower {
    shared: Arc<Shared>,
    shard: u32,
    consumer: ConsumerSpec,
    cache: Cache,
    /// Events that were left to others and may come again, by their sequences.
    left: BTreeSet<u64>,
    /// How far a read of a run must reach to count: to the newest event that anyone had been given when this process
    /// took the shard over, and to each that it was given since. Else what was folded into a run before the run was
    /// evicted could be missing in what is read of it later. Asked for when a run is first read.
    must_reach: Option<u64>,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, shard: u32, consumer: ConsumerSpec, memory: Memory) -> Self {
        let (cache, left) = (Cache::new(memory), BTreeSet::new());
        Self { shared, shard, consumer, cache, left, must_reach: None }
    }

    pub(super) fn forget_all(&mut self) {
        self.cache.forget_all();
        self.left.clear();
        self.must_reach = None;
    }

    pub(super) fn settled(&mut self, settled: Settled) {
        if let Settled::Lost(run) = settled {
            self.cache.forget(&run);
        }
    }

    /// Folds an event into its run. What is returned stores what follows and acknowledges the event, and says how many bytes
    /// the event has with what it refers to; `None` if the event was left to be delivered again.
    pub(super) async fn take(&mut self, delivery: Delivery) -> Option<(Work, usize)> {
        if !self.cache.continues(&delivery) {
            self.must_reach = None;
            self.shared.presence.pinned(self.shard, delivery.pin.clone());
        }
        let (stored, delivered) = (delivery.stored.clone(), delivery.delivered);
        if let Some(reach) = &mut self.must_reach {
            *reach = stored.sequence.max(*reach);
        }
        let lease = Lease::new(Arc::clone(&self.shared.bus), delivery);
        if lease.is_lost() {
            // This process was stopped for a while: whatever it remembers may be of the past.
            self.forget_all();
            return None;
        }
        let mut bytes = stored.message.payload.len();
        let mut read = Event::read(self.shared.bus.namespace(), &stored);
        if let Err(Unreadable::Elsewhere(reference)) = &read {
            match self.content(&lease, reference).await {
                Fetched::Content(content, length) => {
                    bytes += length;
                    read = Event::read_with(self.shared.bus.namespace(), &stored, content);
                }
                Fetched::NotNow(run) => return Some((self.work(lease, stored, run, Verdict::Later), bytes)),
                Fetched::Lost => return None,
            }
        }
        let event = match read {
            Ok(event) => event,
            Err(unreadable) => {
                let verdict = self.unread(&stored, unreadable);
                return Some((self.work(lease, stored, None, verdict), bytes));
            }
        };
        let run = event.run;
        if event.gives_up_as_lost().is_some() {
            // Who had the result before it was lost, and others who did not find it, must go on alike: as the log has it.
            self.cache.forget(&run);
        }
        let verdict = match lease.hold(self.judge(&lease, event, bytes, delivered)).await {
            Some(Verdict::Beyond(why)) => self.leave(&stored, why),
            Some(verdict) => {
                self.left.remove(&stored.sequence);
                verdict
            }
            None => {
                self.cache.forget(&run);
                return None;
            }
        };
        Some((self.work(lease, stored, Some(run), verdict), bytes))
    }

    /// What becomes of a message that is no event, or none that is known here.
    fn unread(&mut self, stored: &StoredMessage, unreadable: Unreadable) -> Verdict {
        match unreadable {
            Unreadable::UnknownType(error) => Verdict::Bury(DeadEnd::EventType, error),
            Unreadable::Newer(error) => {
                // What is decided without it may not be what those decide who know it: the run is left alone.
                if let Some(run) = Subject::run_of(self.shared.bus.namespace(), &stored.message.subject) {
                    self.cache.forget(&run);
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
        run.iter().for_each(|run| self.cache.forget(run));
        if fetched.is_err() { Fetched::NotNow(run) } else { Fetched::Lost }
    }

    /// What becomes of an event that this orchestrator does not understand: it is left to newer ones, but not for ever,
    /// and not so many that they would be all that the shard has in hand.
    fn leave(&mut self, stored: &StoredMessage, why: String) -> Verdict {
        self.shared.presence.does_not_understand(self.shard);
        let has_room = self.left.len() < MOST_LEFT || self.left.contains(&stored.sequence);
        if has_room && self.shared.bus.now() - stored.time < LEFT_FOR {
            warn!(subject = stored.message.subject, why, "left to newer orchestrators");
            self.left.insert(stored.sequence);
            Verdict::Later
        } else {
            self.left.remove(&stored.sequence);
            Verdict::Bury(DeadEnd::NewerEvent, why)
        }
    }

    /// What an event that is so many bytes long, with what it refers to, is to lead to.
    async fn judge(&mut self, lease: &Lease, event: Event, bytes: usize, delivered: u64) -> Verdict {
        let first_delivery = delivered == 1;
        match self.cache.standing(&event, first_delivery, self.spared(MAY_BE_ARCHIVED)) {
            Standing::Covered => self.covered(event),
            Standing::Next => self.next(event, bytes),
            Standing::Unknown => match &event.fact {
                Fact::Started(started) if first_delivery && self.is_new(&event) => {
                    match self.plan(started).await {
                        Ok(plan) => self.begin(&event, started, bytes, plan),
                        Err(verdict) => verdict,
                    }
                }
                _ => self.load(lease, event, delivered).await,
            },
        }
    }

    /// Whether an event is so young that its run cannot have been archived. A consumer that somebody deleted and that
    /// was made anew delivers old events as if for the first time.
    fn is_new(&self, event: &Event) -> bool {
        self.shared.bus.now() - event.time < self.spared(NEW)
    }

    /// This time or, if that is shorter, the one for which runs that have ended are left alone.
    fn spared(&self, time: Duration) -> TimeDelta {
        let grace =
            if self.shared.pressure.is_nearly_full() { Duration::ZERO } else { self.shared.retention.grace };
        TimeDelta::from_std(grace.min(time)).unwrap_or_default()
    }

    /// What follows from the event is stored, but nobody may have looked yet at what is wrong with it.
    fn covered(&mut self, event: Event) -> Verdict {
        let Some(cached) = self.cache.get(&event.run) else { return Verdict::Later };
        if event.is_signal() && event.sequence < cached.begin {
            return Verdict::Resend;
        }
        let stray = cached.run.stray(&event);
        match objection(event.defect, stray) {
            None => Verdict::Done,
            Some((end, error)) => Verdict::Bury(end, error),
        }
    }

    fn begin(&mut self, event: &Event, started: &Started, bytes: usize, plan: Arc<Plan>) -> Verdict {
        let (run, step) = Run::start(event, started, plan);
        let header = Box::new(run.header.clone());
        let sequence = event.sequence;
        (self.shared.folded)(&run, sequence);
        let begin = sequence;
        self.cache.keep(event.run, Cached { run, begin, upto: sequence, covered: 0, ended: None, bytes });
        Verdict::Store { header, decisions: step.decisions, letter: None }
    }

    fn next(&mut self, event: Event, bytes: usize) -> Verdict {
        let Some(cached) = self.cache.get(&event.run) else { return Verdict::Later };
        let step = cached.run.apply(&event);
        cached.upto = event.sequence;
        (self.shared.folded)(&cached.run, cached.upto);
        let header = Box::new(cached.run.header.clone());
        if event.fact == Fact::Ended {
            self.cache.forget(&event.run);
        } else {
            self.cache.grown(&event.run, bytes);
        }
        Verdict::Store { header, decisions: step.decisions, letter: objection(event.defect, step.stray) }
    }

    /// Makes the run anew from the log. All decisions that may be missing are stored again.
    async fn load(&mut self, lease: &Lease, event: Event, delivered: u64) -> Verdict {
        let (Events { events, bytes }, end) = match self.read(lease, &event).await {
            Some(Ok(read)) => read,
            Some(Err(newer)) => return Verdict::Beyond(newer),
            None => return Verdict::Later,
        };
        let started = events.iter().find_map(|event| match &event.fact {
            Fact::Started(started) => Some((started, event.sequence)),
            _ => None,
        });
        let ended = events.iter().find(|event| event.fact == Fact::Ended).map(|event| event.time);
        if started.is_none() || ended.is_some() {
            // The history is read after the log: what is missing in the log was archived before.
            let Some(history) = self.history(lease, &event.run).await else { return Verdict::Later };
            if history.is_archived() {
                return Verdict::Archived(Box::new(history));
            }
        }
        let Some((started, begin)) = started else {
            return match event.fact {
                _ if event.is_signal() && delivered < EARLY_SIGNALS => Verdict::Later,
                _ => Verdict::Bury(DeadEnd::EventOfNoRun, format!("the log has no run {}", event.run)),
            };
        };
        let plan = match self.plan(started).await {
            Ok(plan) => plan,
            Err(verdict) => return verdict,
        };
        if event.is_signal() && event.sequence < begin {
            return Verdict::Resend;
        }
        let Some((run, decisions)) = replay(&plan, &events) else { return Verdict::Later };
        let stray = run.stray(&event);
        let header = Box::new(run.header.clone());
        // Stored before the run is cached: events up to `end` are then acknowledged without storing anything.
        let stored = store::decisions(&*self.shared.bus, lease, &header, decisions, None).await;
        let Ok(too_large) = stored else { return Verdict::Later };
        let letter = objection(event.defect, stray).or_else(|| no_room(too_large));
        (self.shared.folded)(&run, end);
        self.cache.keep(event.run, Cached { run, begin, upto: end, covered: end, ended, bytes });
        Verdict::Store { header, decisions: Vec::new(), letter }
    }

    /// All events of the run, from a server that knows at least as much as whoever had the shard before.
    async fn read(&mut self, lease: &Lease, event: &Event) -> Option<Read> {
        loop {
            if lease.is_lost() {
                return None;
            }
            match self.try_read(event).await {
                Ok(Some(read)) => return Some(read),
                Ok(None) => debug!(run = %event.run, "the server that answered is behind"),
                Err(error) => debug!(run = %event.run, %error, "the run cannot be read yet"),
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }

    /// What is archived of a run.
    async fn history(&self, lease: &Lease, run: &RunId) -> Option<History> {
        loop {
            match self.shared.bus.read_history(run).await {
                Ok(messages) => return Some(History::read(self.shared.bus.namespace(), &messages)),
                Err(error) => debug!(%run, %error, "the history cannot be read yet"),
            }
            if lease.is_lost() {
                return None;
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }

    async fn try_read(&mut self, event: &Event) -> Result<Option<Read>, mesh_bus::BusError> {
        let bus = Arc::clone(&self.shared.bus);
        let must_reach = match self.must_reach {
            Some(sequence) => sequence,
            None => *self.must_reach.insert(bus.delivered(&self.consumer).await?.max(event.sequence)),
        };
        let log = bus.read_run(&event.run).await?;
        if log.end < must_reach {
            return Ok(None);
        }
        let read = log::events(&*bus, &log.events, event).await?;
        Ok(Some(read.map(|events| (events, log.end))))
    }

    /// The plan that a run is pinned to, or what to do if this instance does not know it, or not the rules.
    async fn plan(&self, started: &Started) -> Result<Arc<Plan>, Verdict> {
        let (data, known) = (&started.data, self.shared.rules);
        if data.rules > known {
            let why = format!("a run by rules {}, and {known} are the newest known here", data.rules);
            return Err(Verdict::Beyond(why));
        }
        let definitions = &self.shared.definitions;
        let known = match (&started.workflow, &data.capability) {
            (None, Some(capability)) => definitions.single_task(capability),
            (Some(name), _) => match definitions.get(name, &data.digest).await {
                Ok(known) => known,
                Err(error) => {
                    debug!(%error, "the definition cannot be read yet");
                    return Err(Verdict::Later);
                }
            },
            (None, None) => None,
        };
        let plan = known.map(|known| Arc::clone(&known.plan)).filter(|plan| plan.digest == data.digest);
        plan.ok_or_else(|| {
            Verdict::Beyond(format!("the definition {} is missing, or written for a newer mesh", data.digest))
        })
    }

    fn work(&self, lease: Lease, stored: StoredMessage, run: Option<RunId>, verdict: Verdict) -> Work {
        let shared = Arc::clone(&self.shared);
        let hop = TraceContext::from_headers(&stored.message.headers);
        let span = span::process(TEMPLATE, &stored.message.subject, hop.as_ref());
        if let Some(run) = run {
            span.record(names::RUN_ID, tracing::field::display(run));
        }
        Box::pin(
            async move {
                let settled = settle(&shared, &lease, &stored, verdict, hop).await;
                match (settled, run) {
                    (Ok(()), _) | (Err(Lost), None) => Settled::Stored,
                    (Err(Lost), Some(run)) => Settled::Lost(run),
                }
            }
            .instrument(span),
        )
    }
}

/// Why an event goes among the dead letters, whether or not it counts.
fn objection(defect: Option<String>, stray: Option<String>) -> Option<(DeadEnd, String)> {
    let malformed = defect.map(|error| (DeadEnd::UnreadableFact, error));
    malformed.or_else(|| stray.map(|error| (DeadEnd::StrayEvent, error)))
}

/// What to say of an event if something that follows from it cannot be stored.
fn no_room(too_large: Option<String>) -> Option<(DeadEnd, String)> {
    let error = too_large?;
    Some((DeadEnd::LargeDecision, format!("what follows from it is too large to be stored: {error}")))
}

/// Does what was decided about an event, and acknowledges it.
async fn settle(
    shared: &Shared,
    lease: &Lease,
    stored: &StoredMessage,
    verdict: Verdict,
    hop: Option<TraceContext>,
) -> Result<(), Lost> {
    let bus = &*shared.bus;
    match verdict {
        Verdict::Store { header, decisions, letter } => {
            let hop = propagation::current(&Span::current()).or(hop);
            let too_large = store::decisions(bus, lease, &header, decisions, hop.as_ref()).await?;
            if let Some((end, error)) = letter.or_else(|| no_room(too_large)) {
                store::letter(bus, lease, end, stored, &error).await?;
            }
        }
        Verdict::Bury(end, error) => {
            let content = store::letter(bus, lease, end, stored, &error).await?;
            // Nobody would ever remove it with its run. A letter that only refers to it needs it.
            if end == DeadEnd::EventOfNoRun
                && matches!(content, Some(InLetter::Whole | InLetter::Message))
                && let Err(error) = bus.remove(Stream::Events, stored.sequence).await
            {
                debug!(%error, "an event of no run stays in the log for now");
                return Err(Lost);
            }
        }
        Verdict::Archived(history) => {
            archived(bus, lease, stored, &history).await?;
        }
        Verdict::Resend => {
            if let Some(again) = resend(shared, stored) {
                store::message(bus, lease, Publish::once(again)).await?;
            }
        }
        Verdict::Later | Verdict::Beyond(_) if lease.is_lost() => return Err(Lost),
        Verdict::Later | Verdict::Beyond(_) => {
            let (first, longest) = UNKNOWN_PAUSES;
            let deliveries = u32::try_from(lease.delivered).unwrap_or(u32::MAX);
            lease.nak(first.saturating_mul(deliveries).min(longest)).await;
            return Ok(());
        }
        Verdict::Done => {}
    }
    lease.ack().await;
    Ok(())
}

/// Adds an event to the history of its run, unless that is there already, and removes it from the log. The beginning and
/// the end that stay there for a while are left.
async fn archived(
    bus: &dyn Bus,
    lease: &Lease,
    stored: &StoredMessage,
    history: &History,
) -> Result<(), Lost> {
    if history.holds(Stream::Events, stored.sequence) {
        return Ok(());
    }
    let Some(run) = history.subject.as_ref().and_then(Subject::run) else { return Ok(()) };
    debug!(%run, subject = stored.message.subject, "an event of an archived run");
    let kept = janitor::late(bus, lease, history, run, Stream::Events, stored).await;
    let done = match kept {
        Ok(()) => bus.remove(Stream::Events, stored.sequence).await.map(drop).map_err(NotDone::Bus),
        Err(error) => Err(error),
    };
    done.map_err(|error| {
        if let NotDone::Bus(error) = error {
            warn!(%run, %error, "an event of an archived run stays in the log for now");
        }
        Lost
    })
}

/// The same signal under an id of its own.
fn resend(shared: &Shared, stored: &StoredMessage) -> Option<Message> {
    let namespace = shared.bus.namespace();
    let Ok(Subject::Signalled { workflow, run, signal, .. }) =
        Subject::parse(namespace, &stored.message.subject)
    else {
        return None;
    };
    let id = SignalId::new(format!("resent-{}", stored.sequence)).ok()?;
    let subject = Subject::Signalled { workflow, run, signal, id }.render(namespace);
    Some(Message { subject, ..stored.message.clone() })
}
