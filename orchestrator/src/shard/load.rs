//! Makes a run anew from the log, beside whatever else its shard does meanwhile.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use mesh_bus::history::{is_checkpoint, is_end};
use mesh_bus::topology::Stream;
use mesh_bus::{BusError, ConsumerSpec, History, RunLog};
use mesh_core::{Action, Content, Decision, Event, Fact, Plan, Replay, Run, Started, Unreadable};
use mesh_schemas::{RunId, StoredMessage, Subject, TaskKey, TaskVerb, WorkflowVerb};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use super::cache::Cached;
use super::checkpoint::{Found, Grown, Pace, Place};
use super::settle::{Verdict, no_room, objection};
use crate::lease::Lease;
use crate::log::{self, Events};
use crate::service::Shared;
use crate::store;

/// An older `started` may be that of a run which has ended and was archived.
const NEW: Duration = Duration::from_secs(30);
/// How often a signal may come before its run is there: about ten seconds.
const EARLY_SIGNALS: u64 = 5;
/// Pause before a run is read again from a server that has not caught up.
const BEHIND_PAUSE: Duration = Duration::from_millis(20);
/// Events that are read or folded between two looks at what else there is to do: some milliseconds.
const AT_A_TIME: usize = 256;
/// From so many tasks on that may be missing, it is looked which are there before they are stored again.
const WIDE: usize = 64;

/// Loads a run.
pub(super) struct Loader {
    pub(super) shared: Arc<Shared>,
    pub(super) consumer: ConsumerSpec,
    /// The newest event that anyone had been given when this process took the shard over. Asked for when a run is
    /// first read.
    pub(super) taken_over: Arc<OnceCell<u64>>,
    /// The newest event that this process was given since.
    pub(super) given: u64,
}

/// What the log has of a run.
struct Log {
    started: Box<Event>,
    /// Bytes of `started` and of what it refers to or, if the run is saved, of its state.
    bytes: usize,
    /// The run up to a checkpoint, if there is one of use.
    saved: Option<Run>,
    /// The events behind that, or behind `started`.
    rest: Vec<StoredMessage>,
    /// Everything up to here is known.
    end: u64,
    places: Vec<Place>,
    _turn: Turn,
}

/// Kept while a long run is read and folded.
pub(crate) type Turn = Option<OwnedSemaphorePermit>;

/// How many runs an orchestrator reads at once, over all shards.
pub(crate) struct Reads {
    /// Short ones: enough to keep a server busy, few enough for its answers to come in time.
    short: Semaphore,
    /// Long ones: each may take a hundred megabytes while it is read.
    long: Arc<Semaphore>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { short: Semaphore::new(64), long: Arc::new(Semaphore::new(2)) }
    }
}

impl Reads {
    /// A turn to read a long run.
    pub(crate) async fn long_run(&self) -> Turn {
        Arc::clone(&self.long).acquire_owned().await.ok()
    }
}

/// What is read so far.
enum Reading {
    Log(Box<Log>),
    /// The log has no `started` of the run.
    Nothing,
    /// The definition or the rules that the run follows are not known here, or not yet.
    Unknown(Verdict),
    /// This version does not understand an event of the run.
    Newer(String),
    /// The server that answered lacks what was delivered.
    Behind,
}

impl Loader {
    /// The run up to the end of the log, with everything stored that may have been missing; and what is to become of
    /// the event, so many bytes long with what it refers to, for which it is loaded.
    pub(super) async fn load(
        &self,
        lease: &Lease,
        bytes: usize,
        event: &Event,
    ) -> (Option<Box<Cached>>, Verdict) {
        // The first that anybody hears of a run: nothing behind it was folded or decided yet.
        if let Fact::Started(started) = &event.fact
            && lease.delivered == 1
            && is_new(&self.shared, event)
        {
            return match plan(&self.shared, started).await {
                Ok(plan) => {
                    let (cached, verdict) = begin(&self.shared, event, bytes, started, plan);
                    (Some(Box::new(cached)), verdict)
                }
                Err(verdict) => (None, verdict),
            };
        }
        match self.read(lease, event).await {
            None | Some(Reading::Behind) => (None, Verdict::Later),
            Some(Reading::Unknown(verdict)) => (None, verdict),
            Some(Reading::Newer(why)) => (None, Verdict::Beyond(why)),
            Some(Reading::Nothing) => (None, self.of_no_run(lease, event).await),
            Some(Reading::Log(log)) => self.follow(lease, event, *log).await,
        }
    }

    /// What becomes of an event whose run does not stand in the log.
    async fn of_no_run(&self, lease: &Lease, event: &Event) -> Verdict {
        let Some(history) = self.history(lease, &event.run).await else { return Verdict::Later };
        if history.is_archived() {
            return Verdict::Archived(Box::new(history));
        }
        if event.is_signal() && lease.delivered < EARLY_SIGNALS {
            return Verdict::Later;
        }
        Verdict::OfNoRun(format!("the log has no run {}", event.run))
    }

    /// What is archived of a run. It is read after the log: what is missing in the log was archived before.
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

    async fn follow(&self, lease: &Lease, event: &Event, log: Log) -> (Option<Box<Cached>>, Verdict) {
        let Log { started: first, mut bytes, saved, rest, end, places, _turn: turn } = log;
        let (bus, begin) = (&*self.shared.bus, first.sequence);
        let ended = rest.iter().find(|stored| self.is_end(stored)).map(|stored| stored.time);
        if ended.is_some() {
            let Some(history) = self.history(lease, &event.run).await else { return (None, Verdict::Later) };
            if history.is_archived() {
                return (None, Verdict::Archived(Box::new(history)));
            }
        }
        let Fact::Started(started) = &first.fact else { return (None, Verdict::Later) };
        let plan = match plan(&self.shared, started).await {
            Ok(plan) => plan,
            Err(verdict) => return (None, verdict),
        };
        if event.is_signal() && event.sequence < begin {
            return (None, Verdict::Resend);
        }
        let mut replay = match saved {
            Some(run) => Replay::resume(run),
            None => Replay::begin(&first, started, plan),
        };
        let lost = log::lost(bus.namespace(), &rest);
        let mut grown = Grown::default();
        for chunk in rest.chunks(AT_A_TIME) {
            let events = loop {
                match log::events(bus, chunk, event, &lost).await {
                    Ok(Ok(events)) => break events,
                    // What is decided without it may not be what those decide who know it.
                    Ok(Err(newer)) => return (None, Verdict::Beyond(newer)),
                    Err(error) => debug!(run = %event.run, %error, "the run cannot be read yet"),
                }
                if lease.is_lost() {
                    return (None, Verdict::Later);
                }
                tokio::time::sleep(BEHIND_PAUSE).await;
            };
            let Events { events, bytes: length } = events;
            bytes += length;
            grown.by(events.len(), length);
            events.iter().for_each(|event| replay.take(event));
            tokio::task::yield_now().await;
        }
        drop((rest, turn));
        let (run, decisions) = replay.finish();
        let letter = objection(event.defect.clone(), run.stray(event));
        let header = Box::new(run.header.clone());
        let decisions = self.missing(&run.header.run, decisions).await;
        // Stored before the run is cached: events up to `end` are then acknowledged without storing anything.
        let stored = store::decisions(bus, lease, &header, decisions, None).await;
        let Ok(too_large) = stored else { return (None, Verdict::Later) };
        let letter = letter.or_else(|| no_room(too_large));
        (self.shared.folded)(&run, end);
        let pace = Pace::new(self.shared.checkpoint_after, grown, places);
        let cached = Cached { run, begin, upto: end, covered: end, pace, ended, bytes };
        (Some(Box::new(cached)), Verdict::Store { header, decisions: Vec::new(), letter })
    }

    /// Without the tasks of a wide run that are there: asking once is cheaper than being refused ten thousand times.
    async fn missing(&self, run: &RunId, mut decisions: Vec<Decision>) -> Vec<Decision> {
        let is_task = |decision: &&Decision| matches!(decision.action, Action::Create(..));
        if decisions.iter().filter(is_task).count() < WIDE {
            return decisions;
        }
        let bus = &*self.shared.bus;
        let namespace = bus.namespace();
        let filter = format!("{namespace}.task.{}.*.*.{run}.>", TaskVerb::Created);
        match bus.list_subjects(Stream::Tasks, &filter).await {
            Ok(there) => decisions.retain(|decision| match &decision.action {
                Action::Create(key, _) => !there.contains(&key.subject(TaskVerb::Created).render(namespace)),
                _ => true,
            }),
            Err(error) => debug!(%run, %error, "storing all tasks of the run again"),
        }
        decisions
    }

    /// Reads the run from a server that knows at least as much as whoever had the shard before; `None` if the lease
    /// was lost meanwhile.
    async fn read(&self, lease: &Lease, event: &Event) -> Option<Reading> {
        loop {
            if lease.is_lost() {
                return None;
            }
            match self.try_read(event).await {
                Ok(Reading::Behind) => debug!(run = %event.run, "the server that answered is behind"),
                Ok(read) => return Some(read),
                Err(error) => debug!(run = %event.run, %error, "the run cannot be read yet"),
            }
            tokio::time::sleep(BEHIND_PAUSE).await;
        }
    }

    async fn try_read(&self, event: &Event) -> Result<Reading, BusError> {
        let (bus, run) = (&*self.shared.bus, &event.run);
        let taken_over = self.taken_over.get_or_try_init(|| bus.delivered(&self.consumer)).await?;
        let must_reach = self.given.max(*taken_over);
        let short = match event.fact {
            // Who asks for a run to be looked at again wants it looked at, not at what somebody wrote about it.
            Fact::Check => None,
            _ => {
                let _turn = self.shared.reads.short.acquire().await;
                bus.read_short_run(run, self.shared.checkpoint_after).await?
            }
        };
        let mut turn = None;
        if short.is_none() {
            turn = self.shared.reads.long_run().await;
            if event.fact != Fact::Check
                && let Some(read) = self.read_from_checkpoint(event, must_reach, &mut turn).await?
            {
                return Ok(read);
            }
        }
        let RunLog { mut events, end } = match short {
            Some(log) => log,
            None => bus.read_run(run).await?,
        };
        if end < must_reach {
            return Ok(Reading::Behind);
        }
        let mut found = None;
        for (place, stored) in events.iter().enumerate() {
            if let Some((started, bytes)) = self.started(stored, event).await? {
                found = Some((place, started, bytes));
                break;
            }
        }
        let Some((place, started, bytes)) = found else {
            let newer = events.iter().find_map(|stored| match Event::read(bus.namespace(), stored) {
                Err(Unreadable::Newer(why)) => Some(why),
                _ => None,
            });
            return Ok(newer.map_or(Reading::Nothing, Reading::Newer));
        };
        let checkpoints =
            events.iter().filter_map(|stored| Found::read(bus.namespace(), stored, self.shared.rules));
        let places = checkpoints.map(|found| found.place).collect();
        let mut rest = events.split_off(place + 1);
        rest.retain(|stored| !is_checkpoint(bus.namespace(), stored));
        Ok(Reading::Log(Box::new(Log { started, bytes, saved: None, rest, end, places, _turn: turn })))
    }

    /// Reads a long run from its newest checkpoint that is of use; `None` if it has none.
    async fn read_from_checkpoint(
        &self,
        event: &Event,
        must_reach: u64,
        turn: &mut Turn,
    ) -> Result<Option<Reading>, BusError> {
        let (bus, run) = (&*self.shared.bus, &event.run);
        let itself = bus.read_run_itself(run).await?.events;
        let found: Vec<Found> = itself
            .iter()
            .filter_map(|stored| Found::read(bus.namespace(), stored, self.shared.rules))
            .collect();
        if found.is_empty() {
            return Ok(None);
        }
        let mut first = None;
        for stored in &itself {
            first = self.started(stored, event).await?;
            if first.is_some() {
                break;
            }
        }
        let Some((first, _)) = first else { return Ok(None) };
        let Fact::Started(started) = &first.fact else { return Ok(None) };
        let plan = match plan(&self.shared, started).await {
            Ok(plan) => plan,
            Err(verdict) => return Ok(Some(Reading::Unknown(verdict))),
        };
        for checkpoint in found.iter().rev() {
            let Some(state) = checkpoint.state(bus).await else { continue };
            let saved = match Run::restore(&first, started, Arc::clone(&plan), &state) {
                Ok(saved) if saved.upto() == checkpoint.upto() => saved,
                Ok(_) => continue,
                Err(error) => {
                    debug!(%run, %error, "a checkpoint is left out of account");
                    continue;
                }
            };
            let RunLog { events: mut rest, end } = bus.read_run_after(run, checkpoint.upto()).await?;
            if end < must_reach {
                return Ok(Some(Reading::Behind));
            }
            rest.retain(|stored| !is_checkpoint(bus.namespace(), stored));
            // A result that counts here, and that somebody did not find: what follows is what all of the log says.
            let lost = log::lost(bus.namespace(), &rest);
            if lost.iter().any(|key: &TaskKey| saved.has_used(key)) {
                debug!(%run, "a result that a checkpoint has was given up as lost: reading all of the log");
                return Ok(None);
            }
            let places = found.into_iter().map(|found| found.place).collect();
            let (bytes, turn) = (state.len(), turn.take());
            let log = Log { started: first, bytes, saved: Some(saved), rest, end, places, _turn: turn };
            return Ok(Some(Reading::Log(Box::new(log))));
        }
        Ok(None)
    }

    /// The first event of a run with what it refers to, if this is one, and how many bytes that is; `known` is an event
    /// that was read already.
    async fn started(
        &self,
        stored: &StoredMessage,
        known: &Event,
    ) -> Result<Option<(Box<Event>, usize)>, BusError> {
        let (bus, mut bytes) = (&*self.shared.bus, stored.message.payload.len());
        if self.verb(stored) != Some(WorkflowVerb::Started) {
            return Ok(None);
        }
        let event = match Event::read(bus.namespace(), stored) {
            Err(Unreadable::Elsewhere(_)) if stored.sequence == known.sequence => Ok(known.clone()),
            Err(Unreadable::Elsewhere(reference)) => {
                let (content, length): (Content, usize) = log::content(bus, &reference).await?;
                bytes += length;
                Event::read_with(bus.namespace(), stored, content)
            }
            read => read,
        };
        let event = event.ok().filter(|event| matches!(event.fact, Fact::Started(_)));
        Ok(event.map(|event| (Box::new(event), bytes)))
    }

    fn is_end(&self, stored: &StoredMessage) -> bool {
        self.verb(stored).is_some_and(is_end)
    }

    fn verb(&self, stored: &StoredMessage) -> Option<WorkflowVerb> {
        match Subject::parse(self.shared.bus.namespace(), &stored.message.subject) {
            Ok(Subject::Workflow { verb, .. }) => Some(verb),
            _ => None,
        }
    }
}

/// Whether an event is so young that its run cannot have been archived. A consumer that somebody deleted and that was made
/// anew delivers old events as if for the first time.
pub(super) fn is_new(shared: &Shared, event: &Event) -> bool {
    shared.bus.now() - event.time < spared(shared, NEW)
}

/// This time or, if that is shorter, the one for which runs that have ended are left alone.
pub(super) fn spared(shared: &Shared, time: Duration) -> TimeDelta {
    let grace = if shared.pressure.is_nearly_full() { Duration::ZERO } else { shared.retention.grace };
    TimeDelta::from_std(grace.min(time)).unwrap_or_default()
}

/// A run that begins, and what is to become of its first event.
pub(super) fn begin(
    shared: &Shared,
    event: &Event,
    bytes: usize,
    started: &Started,
    plan: Arc<Plan>,
) -> (Cached, Verdict) {
    let (run, step) = Run::start(event, started, plan);
    let header = Box::new(run.header.clone());
    let sequence = event.sequence;
    (shared.folded)(&run, sequence);
    let mut pace = Pace::new(shared.checkpoint_after, Grown::default(), Vec::new());
    pace.folded(event, bytes, &run);
    let cached = Cached { run, begin: sequence, upto: sequence, covered: 0, pace, ended: None, bytes };
    (cached, Verdict::Store { header, decisions: step.decisions, letter: None })
}

/// Why this orchestrator does not know the rules that a run follows, if so.
pub(super) fn newer_rules(shared: &Shared, started: &Started) -> Option<String> {
    let (rules, known) = (started.data.rules, shared.rules);
    (rules > known).then(|| format!("a run by rules {rules}, and {known} are the newest known here"))
}

/// The plan that a run is pinned to, or what to do if this instance does not know it, or not the rules.
async fn plan(shared: &Shared, started: &Started) -> Result<Arc<Plan>, Verdict> {
    let data = &started.data;
    if let Some(why) = newer_rules(shared, started) {
        return Err(Verdict::Beyond(why));
    }
    let definitions = &shared.definitions;
    let known = match (&started.workflow, &data.capability) {
        (None, Some(capability)) => definitions.single_task(capability),
        (Some(name), _) => match definitions.get(name, &data.digest).await {
            Ok(known) => known,
            // One that holds a large definition, which somebody may put there again.
            Err(error @ BusError::Damaged { .. }) => return Err(Verdict::Beyond(error.to_string())),
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
